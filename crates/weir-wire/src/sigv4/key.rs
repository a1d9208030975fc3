//! Signing keys: derived once a day for each access key, region and service, and kept.
//!
//! Signers keep one, verifiers a [`KeyCache`]. Deriving costs four HMACs, about half of a small request's whole check.
//! Neither the secret nor a derived key may leave this file in readable form.

use std::{collections::HashMap, fmt};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;

use super::TERMINATOR;

/// Derived keys that one verifier keeps. Beyond, the oldest day's keys are dropped, then all of them: a key that is
/// needed again costs four HMACs, so forgetting is cheap and growing is not.
const KEYS_MAX: usize = 4_096;

/// What a signing key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// `20201125`.
    pub date: &'a str,
    /// `us-east-1`.
    pub region: &'a str,
    /// `kinesis`.
    pub service: &'a str,
}

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}

/// A derived key, ready to sign: the state of an HMAC that has taken it in.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Derives the key of `secret` for `scope`.
    pub fn derive(secret: &str, scope: Scope<'_>) -> Self {
        let mut first = Vec::with_capacity(4 + secret.len());
        first.extend_from_slice(b"AWS4");
        first.extend_from_slice(secret.as_bytes());
        let parts = [scope.date, scope.region, scope.service, TERMINATOR];
        let mut mac = keyed(&first);
        for part in parts {
            mac.update(part.as_bytes());
            mac = keyed(&mac.finalize().into_bytes());
        }
        Self(mac)
    }

    /// The signature of `text`, in hexadecimal.
    pub fn sign(&self, text: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    /// Is `signature` (64 hexadecimal digits) the one of `text`? Takes the same time wherever the two differ.
    pub fn verify(&self, text: &str, signature: &str) -> bool {
        let mut bytes = [0u8; 32];
        if !unhex(signature, &mut bytes) {
            return false;
        }
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        mac.verify_slice(&bytes).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

/// Derived keys by access key and scope.
#[derive(Default)]
pub struct KeyCache {
    keys: Mutex<HashMap<String, SigningKey>>,
}

impl KeyCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// Is `signature` the one of `text` under `secret` for `scope`? The key is derived if it is not here yet, and kept once
    /// it has verified something: a scope is the caller's own text, and only who has the secret may have it kept. The
    /// secret of an access key never changes while a cache lives: whoever changes credentials makes a new cache.
    pub fn verify(
        &self,
        access_key: &str,
        secret: &str,
        scope: Scope<'_>,
        text: &str,
        signature: &str,
    ) -> bool {
        let name = format!("{}/{access_key}/{}/{}", scope.date, scope.region, scope.service);
        let kept = self.keys.lock().get(&name).cloned();
        if let Some(key) = kept {
            return key.verify(text, signature);
        }
        let key = SigningKey::derive(secret, scope);
        let holds = key.verify(text, signature);
        if holds {
            self.keep(name, key, scope);
        }
        holds
    }

    fn keep(&self, name: String, key: SigningKey, scope: Scope<'_>) {
        let mut keys = self.keys.lock();
        if keys.len() >= KEYS_MAX {
            keys.retain(|kept, _| kept.starts_with(scope.date));
        }
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(name, key);
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache").field("keys", &self.keys.lock().len()).finish()
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Reads exactly as many hexadecimal digits as `bytes` needs; false for any other text.
fn unhex(text: &str, bytes: &mut [u8]) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let digits = text.as_bytes();
    if digits.len() != bytes.len() * 2 {
        return false;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return false };
        *byte = high << 4 | low;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope<'_> = Scope { date: "20150830", region: "us-east-1", service: "iam" };
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// AWS's published example of "deriving the signing key" and of signing the ListUsers request with it.
    #[test]
    fn the_documented_example_signs_as_documented() {
        let text = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                    f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        let key = SigningKey::derive(SECRET, SCOPE);
        assert_eq!(key.sign(text), signature);
        assert!(key.verify(text, signature));
        assert!(!key.verify(text, &signature.replace('5', "6")));
        assert!(!key.verify(text, &signature[..62]));
        assert!(!key.verify(text, ""));
    }

    #[test]
    fn a_cache_forgets_other_days_first_and_never_grows_past_its_bound() {
        let cache = KeyCache::new();
        for n in 0..KEYS_MAX + 10 {
            let date = if n < KEYS_MAX { "20150829" } else { "20150830" };
            let scope = Scope { date, ..SCOPE };
            let signature = SigningKey::derive(SECRET, scope).sign("text");
            assert!(cache.verify(&format!("AKID{n}"), SECRET, scope, "text", &signature));
            assert!(cache.keys.lock().len() <= KEYS_MAX);
        }
        assert_eq!(cache.keys.lock().len(), 10, "yesterday's keys went, today's stayed");
    }

    #[test]
    fn a_key_is_kept_only_once_it_has_verified_something() {
        let cache = KeyCache::new();
        assert!(!cache.verify("AKID", SECRET, SCOPE, "text", &"0".repeat(64)));
        assert!(cache.keys.lock().is_empty(), "a guess costs no memory");
        let signature = SigningKey::derive(SECRET, SCOPE).sign("text");
        assert!(cache.verify("AKID", SECRET, SCOPE, "text", &signature));
        assert!(cache.verify("AKID", SECRET, SCOPE, "text", &signature), "the kept one");
        assert!(!cache.verify("AKID", SECRET, SCOPE, "other", &signature));
        assert_eq!(cache.keys.lock().len(), 1);
    }

    #[test]
    fn no_debug_form_shows_a_key() {
        let cache = KeyCache::new();
        let key = SigningKey::derive(SECRET, SCOPE);
        assert!(cache.verify("AKID", SECRET, SCOPE, "text", &key.sign("text")));
        assert_eq!(format!("{key:?} {cache:?}"), "SigningKey(..) KeyCache { keys: 1 }");
    }
}
