//! The hash of a body: all that a signature says of it.
//!
//! Signers and verifiers take it of a body that is there; a listener whose handler asks for it takes it of each part as it
//! arrives, while the part is still in the processor's caches. It must never hold a body.

use std::fmt;

use sha2::{Digest, Sha256};

use super::key::hex;

/// SHA-256 of a body. Its `Display` is hexadecimal, as signatures are over it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BodyHash([u8; 32]);

impl BodyHash {
    /// Of a body that is there.
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyHash({self})")
    }
}

/// Takes it part by part.
#[derive(Debug, Default)]
pub(crate) struct BodyHasher(Sha256);

impl BodyHasher {
    /// The next part.
    pub(crate) fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// There are no more.
    pub(crate) fn finish(self) -> BodyHash {
        BodyHash(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_hash_as_the_whole_does(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5)) {
            let mut hasher = BodyHasher::default();
            parts.iter().for_each(|part| hasher.update(part));
            prop_assert_eq!(hasher.finish(), BodyHash::of(&parts.concat()));
        }
    }

    #[test]
    fn nothing_hashes_as_everybody_says() {
        let known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(BodyHash::of(b"").to_string(), known);
    }
}
