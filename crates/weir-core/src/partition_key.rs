//! A partition key that is carried and not read.
//!
//! Batches give their records with it, answers write it. It is text, but between the two nobody needs more than its bytes:
//! whether they are UTF-8 is looked at when a batch is made of them, and not again for each walk over its records. It must not
//! be made of bytes that were not looked at.

use std::{fmt, str};

/// A partition key: UTF-8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PartitionKey<'a>(&'a [u8]);

impl<'a> PartitionKey<'a> {
    /// The key of these bytes; none if they are not UTF-8.
    #[inline]
    pub fn of_utf8(bytes: &'a [u8]) -> Option<Self> {
        // Most keys are ASCII and short: `from_utf8` looks at the first and the last bytes one by one.
        (bytes.is_ascii() || str::from_utf8(bytes).is_ok()).then_some(Self(bytes))
    }

    /// The key of bytes that a batch has looked at when it was made.
    #[inline]
    pub(crate) fn of_checked(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The key as text, for whoever reads it.
    pub fn as_str(self) -> &'a str {
        str::from_utf8(self.0).expect("looked at when the key was made")
    }

    /// Bytes that it takes.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Has it no bytes? A record that was put without a key has such a one.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> From<&'a str> for PartitionKey<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl fmt::Debug for PartitionKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_a_key_where_they_are_a_text(
            bytes in prop_oneof![vec(any::<u8>(), 0..40), ".{0,20}".prop_map(String::into_bytes)],
        ) {
            let key = PartitionKey::of_utf8(&bytes);
            prop_assert_eq!(key.map(PartitionKey::as_str), str::from_utf8(&bytes).ok());
            prop_assert!(key.is_none_or(|key| key.as_bytes() == bytes));
        }
    }
}
