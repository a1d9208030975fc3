//! Seals what a client carries for us: shard iterators and paging tokens.
//!
//! A front end keeps no state between calls, so the state travels with the client, and any front end of the fleet can go
//! on with it. It is sealed with a secret that the fleet shares: it can be read by who holds it, but neither made nor
//! changed. What it says must never be trusted before [`Sealer::open`] has.

use std::{fmt, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use weir_core::clock::WallMs;

/// The first eight bytes of every Kinesis iterator.
const PREFIX: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
/// Prefix, kind and time of issue.
const HEAD_BYTES: usize = 8 + 1 + 8;
const TAG_BYTES: usize = 32;
/// Bytes of a shared secret.
const SECRET_BYTES: usize = 32;

/// What is sealed. Part of the seal, so that one kind cannot be passed for another. On the wire, never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealKind {
    /// A shard iterator.
    ShardIterator = 1,
    /// A token of `ListShards`.
    ListShards = 2,
    /// A token of `ListStreams`.
    ListStreams = 3,
    /// A token of `ListStreamConsumers`.
    ListStreamConsumers = 4,
}

/// The shared secret is not 32 bytes in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the iterator secret must be {SECRET_BYTES} bytes in hexadecimal")]
pub struct SecretError;

/// Why a text leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsealed {
    /// It was not made by a server with this secret, or not as this kind.
    NotOurs,
    /// Its time is over.
    Expired {
        /// When it was sealed.
        issued: WallMs,
    },
}

/// Seals and opens with one secret.
#[derive(Clone)]
pub(crate) struct Sealer {
    mac: Hmac<Sha256>,
    /// For how long what it has sealed is opened.
    lifetime: Duration,
}

impl Sealer {
    /// Takes the secret and the lifetime as the control plane gives them.
    pub(crate) fn new(secret: &str, lifetime: Duration) -> Result<Self, SecretError> {
        let digits = secret.as_bytes();
        if digits.len() != SECRET_BYTES * 2 {
            return Err(SecretError);
        }
        let mut key = [0u8; SECRET_BYTES];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or(SecretError);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        let mac = Hmac::new_from_slice(&key).expect("HMAC takes keys of every length");
        Ok(Self { mac, lifetime })
    }

    /// For how long what it has sealed is opened.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Seals `payload` at `now`, as base64.
    pub(crate) fn seal(&self, kind: SealKind, now: WallMs, payload: &[u8]) -> String {
        let mut sealed = Vec::with_capacity(HEAD_BYTES + payload.len() + TAG_BYTES);
        sealed.extend_from_slice(&PREFIX);
        sealed.push(kind as u8);
        sealed.extend_from_slice(&now.0.to_le_bytes());
        sealed.extend_from_slice(payload);
        let mut mac = self.mac.clone();
        mac.update(&sealed);
        sealed.extend_from_slice(&mac.finalize().into_bytes());
        base64_simd::STANDARD.encode_to_string(sealed)
    }

    /// The payload.
    pub(crate) fn open(&self, kind: SealKind, now: WallMs, text: &str) -> Result<Vec<u8>, Unsealed> {
        let sealed = base64_simd::STANDARD.decode_to_vec(text).map_err(|_| Unsealed::NotOurs)?;
        let body_bytes = sealed.len().checked_sub(TAG_BYTES).ok_or(Unsealed::NotOurs)?;
        let (body, tag) = sealed.split_at(body_bytes);
        let mut mac = self.mac.clone();
        mac.update(body);
        mac.verify_slice(tag).map_err(|_| Unsealed::NotOurs)?;
        let (head, payload) = body.split_first_chunk::<HEAD_BYTES>().ok_or(Unsealed::NotOurs)?;
        if head[..8] != PREFIX || head[8] != kind as u8 {
            return Err(Unsealed::NotOurs);
        }
        let issued = u64::from_le_bytes(head[9..].try_into().expect("the rest of the head"));
        if u128::from(now.0.saturating_sub(issued)) > self.lifetime.as_millis() {
            return Err(Unsealed::Expired { issued: WallMs(issued) });
        }
        Ok(payload.to_vec())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealer(digit: &str) -> Sealer {
        Sealer::new(&digit.repeat(64), Duration::from_secs(5)).unwrap()
    }

    #[test]
    fn a_secret_is_64_hexadecimal_digits() {
        for secret in ["", "00", &"g".repeat(64), &"0".repeat(63), &"é".repeat(32)] {
            assert!(Sealer::new(secret, Duration::MAX).is_err(), "{secret}");
        }
    }

    #[test]
    fn a_seal_holds_for_its_kind_and_its_secret_alone() {
        let text = sealer("a").seal(SealKind::ListShards, WallMs(7), b"payload");
        let open = |sealer: Sealer, kind, now| sealer.open(kind, WallMs(now), &text);
        assert_eq!(open(sealer("a"), SealKind::ListShards, 7), Ok(b"payload".to_vec()));
        assert_eq!(open(sealer("a"), SealKind::ShardIterator, 7), Err(Unsealed::NotOurs));
        assert_eq!(open(sealer("b"), SealKind::ListShards, 7), Err(Unsealed::NotOurs));
    }

    #[test]
    fn a_seal_holds_for_its_lifetime_and_not_a_millisecond_more() {
        let text = sealer("a").seal(SealKind::ListShards, WallMs(1_000), b"payload");
        let open = |now| sealer("a").open(SealKind::ListShards, WallMs(now), &text);
        assert!(open(6_000).is_ok());
        assert_eq!(open(6_001), Err(Unsealed::Expired { issued: WallMs(1_000) }));
        assert!(open(0).is_ok(), "a clock that went back expires nothing");
    }

    proptest! {
        #[test]
        fn no_changed_bit_passes(payload: Vec<u8>, at: prop::sample::Index, bit in 0..8u32) {
            let sealer = sealer("c");
            let text = sealer.seal(SealKind::ShardIterator, WallMs(1), &payload);
            let mut bytes = base64_simd::STANDARD.decode_to_vec(&text).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let changed = base64_simd::STANDARD.encode_to_string(bytes);
            prop_assert_eq!(sealer.open(SealKind::ShardIterator, WallMs(1), &changed), Err(Unsealed::NotOurs));
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            prop_assert_eq!(sealer("d").open(SealKind::ShardIterator, WallMs(1), &text), Err(Unsealed::NotOurs));
        }
    }
}
