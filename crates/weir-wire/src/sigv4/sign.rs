//! The client's half: signs a request with an access key.
//!
//! Used by `weir-client` and the load generator, and by tests on both sides. One [`Signer`] for each access key and
//! region; it may be shared by threads.

use std::fmt;

use parking_lot::Mutex;
use weir_core::clock::WallMs;

use super::canonical::{Canonical, push_value};
use super::{ALGORITHM, BodyHash, SERVICE, Scope, SigningKey, Stamp};

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// What is to be signed.
#[derive(Debug, Clone, Copy)]
pub struct ToSign<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path as on the wire.
    pub path: &'a str,
    /// The query as on the wire, without the question mark.
    pub query: &'a str,
    /// Lower-case names with values; `host` must be among them. The signer adds the date and the session token.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
}

/// The headers that make a request signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    /// `x-amz-date`.
    pub date: String,
    /// `authorization`.
    pub authorization: String,
    /// `x-amz-security-token`, when the identity has one.
    pub session_token: Option<String>,
}

impl SignedHeaders {
    /// Names and values, ready to be sent.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let token = self.session_token.as_deref().map(|token| ("x-amz-security-token", token));
        [("x-amz-date", self.date.as_str()), ("authorization", self.authorization.as_str())]
            .into_iter()
            .chain(token)
    }
}

/// Signs for one access key, region and service; keeps the key of the day.
#[derive(Debug)]
pub struct Signer {
    identity: Identity,
    region: String,
    service: String,
    day: Mutex<Option<(u64, DayKey)>>,
}

#[derive(Debug, Clone)]
struct DayKey {
    date: String,
    key: SigningKey,
}

impl Signer {
    /// A signer for Kinesis in `region`.
    pub fn new(identity: Identity, region: impl Into<String>) -> Self {
        Self::for_service(identity, region, SERVICE)
    }

    /// A signer for another service.
    pub fn for_service(identity: Identity, region: impl Into<String>, service: impl Into<String>) -> Self {
        Self { identity, region: region.into(), service: service.into(), day: Mutex::new(None) }
    }

    /// Signs at `now`.
    pub fn sign(&self, request: &ToSign<'_>, now: WallMs) -> SignedHeaders {
        let stamp = Stamp::at(now);
        let date = stamp.to_string();
        let mut headers: Vec<(&str, &str)> = Vec::with_capacity(request.headers.len() + 2);
        headers.extend_from_slice(request.headers);
        headers.push(("x-amz-date", &date));
        if let Some(token) = &self.identity.session_token {
            headers.push(("x-amz-security-token", token));
        }
        headers.sort_by_key(|(name, _)| *name); // stable: values of one name keep their order
        let mut names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        names.dedup();
        let signed_headers = names.join(";");
        let day = self.day_key(stamp);
        let scope = Scope { date: &day.date, region: &self.region, service: &self.service };
        let hash = BodyHash::of(request.body).to_string();
        let canonical = Canonical {
            method: request.method,
            path: request.path,
            query: request.query,
            signed_headers: &signed_headers,
            body_hash: &hash,
        };
        let to_sign = canonical.string_to_sign(stamp, scope, |name, out| {
            for (at, (_, value)) in headers.iter().filter(|(other, _)| *other == name).enumerate() {
                if at > 0 {
                    out.push(',');
                }
                push_value(out, value);
            }
        });
        let signature = day.key.sign(&to_sign);
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={signed_headers}, Signature={signature}",
            self.identity.access_key
        );
        SignedHeaders { date, authorization, session_token: self.identity.session_token.clone() }
    }

    fn day_key(&self, stamp: Stamp) -> DayKey {
        let mut day = self.day.lock();
        match &*day {
            Some((kept, key)) if *kept == stamp.day() => key.clone(),
            _ => {
                let date = stamp.date();
                let scope = Scope { date: &date, region: &self.region, service: &self.service };
                let key = SigningKey::derive(&self.identity.secret_key, scope);
                let made = DayKey { date, key };
                *day = Some((stamp.day(), made.clone()));
                made
            }
        }
    }
}

#[cfg(test)]
mod tests;
