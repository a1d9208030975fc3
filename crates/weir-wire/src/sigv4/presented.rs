//! The server's half: what a request presents as its proof, and whether the proof holds.
//!
//! Front ends read every request with [`Presented::read`]; the check itself runs only where credentials are configured.
//! The texts are AWS's own. Signatures are compared in constant time, and a wrong one is never told from a wrong key.

use std::borrow::Cow;

use http::{HeaderMap, header, request::Parts};
use sha2::{Digest, Sha256};
use weir_core::{clock::WallMs, id::Region};

use super::canonical::{Canonical, QUERY_SIGNATURE, decoded, push_value};
use super::{ALGORITHM, BodyHash, KeyCache, SKEW_SECS_MAX, Scope, SignatureError, Stamp, TERMINATOR};

const QUERY_ALGORITHM: &str = "X-Amz-Algorithm";
const TARGET: &str = "x-amz-target";
const TOKEN: &str = "x-amz-security-token";
const QUERY_TOKEN: &str = "X-Amz-Security-Token";
const BODY_HASH: &str = "x-amz-content-sha256";
const NO_REGION: &str = "Credential should be scoped to a valid region. ";
/// How long a signed query may live, in seconds: a week (AWS).
const QUERY_LIVES_SECS_MAX: u64 = 604_800;

/// A proof that has form: whether it holds is for [`Self::check`] to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented<'a> {
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    stamp: Stamp,
    /// How long after its time a signature holds: its own word in a query, else the skew.
    lives_secs: u64,
}

/// The parts of a proof as text, before their form is looked at.
struct Raw<'a> {
    algorithm: Cow<'a, str>,
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    date: Cow<'a, str>,
    lives_secs: u64,
}

impl<'a> Presented<'a> {
    /// Reads the `Authorization` header or the signed query.
    pub fn read(head: &'a Parts) -> Result<Self, SignatureError> {
        let header = head.headers.get(header::AUTHORIZATION);
        let query = head.uri.query().unwrap_or("");
        let in_query = query.split('&').any(|pair| pair.split('=').next() == Some(QUERY_ALGORITHM));
        let raw = match (header, in_query) {
            (Some(_), true) => {
                return Err(SignatureError::Invalid(
                    "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
                        .to_owned(),
                ));
            }
            (Some(value), false) => match value.to_str() {
                Ok(value) => from_header(value, &head.headers)?,
                Err(_) => {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    return Err(SignatureError::Incomplete(format!(
                        "Authorization header is not plain ASCII. Authorization={value}"
                    )));
                }
            },
            (None, true) => from_query(query)?,
            (None, false) => return Err(SignatureError::Missing),
        };
        Self::formed(raw)
    }

    fn formed(raw: Raw<'a>) -> Result<Self, SignatureError> {
        if raw.algorithm != ALGORITHM {
            let text = format!("Unsupported AWS 'algorithm': '{}'", raw.algorithm);
            return Err(SignatureError::Incomplete(text));
        }
        if raw.credential.split('/').count() != 5 || raw.credential.starts_with('/') {
            return Err(SignatureError::Incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, \
                 got '{}'",
                raw.credential
            )));
        }
        let stamp = raw.date.parse().map_err(|_| {
            SignatureError::Incomplete(format!(
                "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
                raw.date
            ))
        })?;
        Ok(Self {
            credential: raw.credential,
            signed_headers: raw.signed_headers,
            signature: raw.signature,
            stamp,
            lives_secs: raw.lives_secs,
        })
    }

    /// The access key id.
    pub fn access_key(&self) -> &str {
        self.element(0)
    }

    /// The region that the request was signed for.
    pub fn region(&self) -> Result<Region, SignatureError> {
        self.element(2).parse().map_err(|_| SignatureError::Invalid(NO_REGION.to_owned()))
    }

    fn element(&self, at: usize) -> &str {
        self.credential.split('/').nth(at).expect("a credential has five elements")
    }

    /// Does the proof hold for this request at `now`? `body_hash` is asked for its body's hash when [`Self::check_head`]
    /// has passed; `secret` belongs to [`Self::access_key`]; `keys` serves one set of credentials.
    pub fn check(
        &self,
        head: &Parts,
        body_hash: impl FnOnce() -> BodyHash,
        secret: &str,
        service: &str,
        now: WallMs,
        keys: &KeyCache,
    ) -> Result<(), SignatureError> {
        self.check_head(head, service, now)?;
        let hash = body_hash().to_string();
        let canonical = Canonical {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or(""),
            signed_headers: &self.signed_headers,
            body_hash: &hash,
        };
        let scope = Scope { date: self.element(1), region: self.element(2), service: self.element(3) };
        let to_sign = canonical.string_to_sign(self.stamp, scope, |name, out| push_header(head, name, out));
        if !keys.verify(self.access_key(), secret, scope, &to_sign, &self.signature) {
            return Err(SignatureError::mismatch());
        }
        // A body is always signed here: what S3 calls an unsigned payload was refused above, as any other hash.
        match head.headers.get(BODY_HASH) {
            Some(told) if !told.as_bytes().eq_ignore_ascii_case(hash.as_bytes()) => {
                Err(SignatureError::Invalid(format!(
                    "The provided '{BODY_HASH}' header does not match what was computed."
                )))
            }
            _ => Ok(()),
        }
    }

    /// What can be said before the body is there: are time, scope and the choice of signed headers as they must be?
    pub fn check_head(&self, head: &Parts, service: &str, now: WallMs) -> Result<(), SignatureError> {
        self.check_time(Stamp::at(now))?;
        self.check_scope(service)?;
        if !self.signs("host") && !self.signs(":authority") {
            return Err(SignatureError::Invalid(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
            ));
        }
        self.check_signed(&head.headers)
    }

    /// Does the request bring the session token that its access key was given out with, or none where there was none?
    /// Compared by their hashes, so that the time it takes says nothing of the token.
    pub fn check_token(&self, head: &Parts, expected: Option<&str>) -> Result<(), SignatureError> {
        let header = head.headers.get(TOKEN).map(|token| token.as_bytes().to_vec());
        let told = header.or_else(|| query_value(head.uri.query().unwrap_or(""), QUERY_TOKEN));
        let hash = |token: &[u8]| Sha256::digest(token);
        if told.as_deref().map(hash) == expected.map(|token| hash(token.as_bytes())) {
            Ok(())
        } else {
            Err(SignatureError::UnknownKey)
        }
    }

    /// What names the operation and what proves a session must be signed with the rest: else whoever sees a request could
    /// make another one of it. Other `x-amz-` headers say nothing here that counts, and some clients sign not all of
    /// theirs.
    fn check_signed(&self, headers: &HeaderMap) -> Result<(), SignatureError> {
        for name in [TARGET, TOKEN] {
            if headers.contains_key(name) && !self.signs(name) {
                return Err(SignatureError::Invalid(format!(
                    "'{name}' must be a 'SignedHeader' in the AWS Authorization."
                )));
            }
        }
        Ok(())
    }

    fn signs(&self, header: &str) -> bool {
        self.signed_headers.split(';').any(|name| name == header)
    }

    fn check_time(&self, now: Stamp) -> Result<(), SignatureError> {
        let (stamp, skew) = (self.stamp, SKEW_SECS_MAX);
        if stamp > now.plus(skew) {
            return Err(SignatureError::Invalid(format!(
                "Signature not yet current: {stamp} is still later than {} ({now} + 5 min.)",
                now.plus(skew)
            )));
        }
        if stamp.plus(self.lives_secs) < now {
            let (earliest, lives) = (now.minus(self.lives_secs), self.lives_secs);
            let span = if lives.is_multiple_of(60) { lives / 60 } else { lives };
            let unit = if lives.is_multiple_of(60) { "min" } else { "sec" };
            return Err(SignatureError::Invalid(format!(
                "Signature expired: {stamp} is now earlier than {earliest} ({now} - {span} {unit}.)"
            )));
        }
        Ok(())
    }

    fn check_scope(&self, service: &str) -> Result<(), SignatureError> {
        let mut wrong = String::new();
        if self.region().is_err() {
            wrong.push_str(NO_REGION);
        }
        if self.element(3) != service {
            wrong.push_str(&format!("Credential should be scoped to correct service: '{service}'. "));
        }
        if self.element(4) != TERMINATOR {
            wrong.push_str(&format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'. ",
                self.element(4)
            ));
        }
        let date = self.stamp.date();
        if self.element(1) != date {
            wrong.push_str(&format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                 '{}' != '{date}', from '{}'. ",
                self.element(1),
                self.stamp
            ));
        }
        if wrong.is_empty() { Ok(()) } else { Err(SignatureError::Invalid(wrong)) }
    }
}

fn from_header<'a>(value: &'a str, headers: &'a HeaderMap) -> Result<Raw<'a>, SignatureError> {
    let (algorithm, rest) = value.split_once([' ', ',']).unwrap_or((value, ""));
    let find = |name: &str| {
        rest.split([',', ' '])
            .filter_map(|part| part.split_once('='))
            .find(|(key, value)| *key == name && !value.is_empty())
            .map(|(_, value)| Cow::Borrowed(value))
    };
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let date = text("x-amz-date").or_else(|| text("date"));
    let (credential, signature, signed) = (find("Credential"), find("Signature"), find("SignedHeaders"));
    match (credential, signature, signed, date) {
        (Some(credential), Some(signature), Some(signed_headers), Some(date)) => Ok(Raw {
            algorithm: Cow::Borrowed(algorithm),
            credential,
            signed_headers,
            signature,
            date,
            lives_secs: SKEW_SECS_MAX,
        }),
        (credential, signature, signed, date) => {
            let mut missing = String::new();
            for (name, found) in
                [("Credential", credential), ("Signature", signature), ("SignedHeaders", signed)]
            {
                if found.is_none() {
                    missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
                }
            }
            if date.is_none() {
                missing.push_str(
                    "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
                );
            }
            Err(SignatureError::Incomplete(format!("{missing}Authorization={value}")))
        }
    }
}

fn from_query(query: &str) -> Result<Raw<'static>, SignatureError> {
    let find = |name: &str| {
        query_value(query, name).map(|value| Cow::<str>::Owned(String::from_utf8_lossy(&value).into_owned()))
    };
    let names = [QUERY_ALGORITHM, "X-Amz-Credential", QUERY_SIGNATURE, "X-Amz-SignedHeaders", "X-Amz-Date"];
    let lives_secs = find("X-Amz-Expires").map_or(Ok(SKEW_SECS_MAX), |secs| query_lives(&secs))?;
    match names.map(find) {
        [Some(algorithm), Some(credential), Some(signature), Some(signed_headers), Some(date)] => {
            Ok(Raw { algorithm, credential, signed_headers, signature, date, lives_secs })
        }
        found => {
            let mut missing = String::new();
            for (name, found) in names.iter().zip(found) {
                if found.is_none() {
                    missing.push_str(&format!("AWS query-string parameters must include '{name}'. "));
                }
            }
            Err(SignatureError::Incomplete(format!("{missing}Re-examine the query-string parameters.")))
        }
    }
}

/// The value of a parameter of the query, if it has one.
fn query_value(query: &str, name: &str) -> Option<Vec<u8>> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| decoded(value))
}

fn query_lives(secs: &str) -> Result<u64, SignatureError> {
    let wrong = |text: &str| Err(SignatureError::Incomplete(text.to_owned()));
    if secs.is_empty() || !secs.bytes().all(|byte| byte.is_ascii_digit()) {
        return wrong("X-Amz-Expires should be a number");
    }
    match secs.parse() {
        Ok(0) => wrong("X-Amz-Expires must be greater than zero"),
        Ok(secs) if secs <= QUERY_LIVES_SECS_MAX => Ok(secs),
        _ => wrong("X-Amz-Expires must be less than a week (in seconds) that is 604800"),
    }
}

/// Appends the value of a signed header: all of its values, in order, separated by commas. The host may have come as
/// the URI's authority, and may be signed by HTTP/2's name of it.
fn push_header(head: &Parts, name: &str, out: &mut String) {
    let start = out.len();
    let is_host = matches!(name, "host" | ":authority");
    for value in head.headers.get_all(if is_host { "host" } else { name }) {
        if out.len() > start {
            out.push(',');
        }
        push_value(out, &String::from_utf8_lossy(value.as_bytes()));
    }
    if out.len() == start && is_host {
        out.push_str(head.uri.authority().map_or("", |authority| authority.as_str()));
    }
}

#[cfg(test)]
mod tests;
