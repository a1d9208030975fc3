//! The canonical request: the one spelling of a request that both sides hash.
//!
//! Signers and verifiers build it here from the same parts, so that they can only differ where the requests differ.
//! It reads what it is given and decides nothing.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::key::{Scope, hex};
use super::{ALGORITHM, Stamp};

/// The query parameter that carries the signature itself and so is not signed.
pub(super) const QUERY_SIGNATURE: &str = "X-Amz-Signature";

/// The parts of a request that a signature covers.
pub(super) struct Canonical<'a> {
    pub(super) method: &'a str,
    /// As on the wire.
    pub(super) path: &'a str,
    /// As on the wire, without the question mark.
    pub(super) query: &'a str,
    /// Lower-case names, in the order in which they are signed, separated by semicolons.
    pub(super) signed_headers: &'a str,
    /// SHA-256 of the body, in hexadecimal.
    pub(super) body_hash: &'a str,
}

impl Canonical<'_> {
    /// The string that is signed. `values` appends the value of each signed header.
    pub(super) fn string_to_sign(
        &self,
        stamp: Stamp,
        scope: Scope<'_>,
        values: impl FnMut(&str, &mut String),
    ) -> String {
        let hash = hex(&Sha256::digest(self.request(values).as_bytes()));
        format!("{ALGORITHM}\n{stamp}\n{scope}\n{hash}")
    }

    fn request(&self, mut values: impl FnMut(&str, &mut String)) -> String {
        let mut out = String::with_capacity(768); // an SDK's request with five headers fits
        out.push_str(self.method);
        out.push('\n');
        push_path(&mut out, self.path);
        out.push('\n');
        push_query(&mut out, self.query);
        out.push('\n');
        for name in self.signed_headers.split(';') {
            out.push_str(name);
            out.push(':');
            values(name, &mut out);
            out.push('\n');
        }
        out.push('\n');
        out.push_str(self.signed_headers);
        out.push('\n');
        out.push_str(self.body_hash);
        out
    }
}

/// A header's value without outer spaces, runs of spaces made one.
pub(super) fn push_value(out: &mut String, value: &str) {
    for (at, word) in value.split(' ').filter(|word| !word.is_empty()).enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(word);
    }
}

/// `.` and `..` taken out, slashes made single, and each byte that is not unreserved percent-encoded. What comes encoded
/// is encoded again, as every service but S3 wants it.
fn push_path(out: &mut String, path: &str) {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    for segment in &segments {
        out.push('/');
        push_encoded(out, segment.as_bytes());
    }
    if segments.is_empty() || path.ends_with('/') {
        out.push('/');
    }
}

/// Parameters sorted by their encoded name, then value.
fn push_query(out: &mut String, query: &str) {
    if query.is_empty() {
        return;
    }
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name != QUERY_SIGNATURE)
        .map(|(name, value)| (reencoded(name), reencoded(value)))
        .collect();
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push('&');
        }
        let _ = write!(out, "{name}={value}"); // a string takes everything
    }
}

fn reencoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_encoded(&mut out, &decoded(text));
    out
}

/// Percent-decodes; what is no valid escape stays as it is.
pub(super) fn decoded(text: &str) -> Vec<u8> {
    let digit =
        |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).map(|digit| digit as u8);
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

fn push_encoded(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // a string takes everything
        }
    }
}
