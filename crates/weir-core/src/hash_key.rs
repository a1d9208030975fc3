//! Where a partition key lands: the 128-bit hash key space and its ranges.
//!
//! Used by routing, by placement and by the load generator to aim at shards. Kinesis hashes with MD5; that choice is
//! the protocol's and must never change.

mod md5_at_once;

use std::{fmt, num::NonZeroU32, str::FromStr};

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use self::md5_at_once::{AT_ONCE, TEXT_BYTES_MAX};

/// Digests from which on it pays to take them at once: sixteen take as long as four one after another.
const WORTH_AT_ONCE: usize = 4;

/// A point of the hash key space, 0 to 2^128 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HashKey(pub u128);

impl HashKey {
    /// The lowest key.
    pub const MIN: Self = Self(0);
    /// The highest key, 340282366920938463463374607431768211455.
    pub const MAX: Self = Self(u128::MAX);

    /// The MD5 of the partition key's UTF-8 bytes, read as a big-endian number.
    pub fn of_partition_key(key: &str) -> Self {
        Self::of_digest(Md5::digest(key.as_bytes()).into())
    }

    /// [`Self::of_partition_key`] of each of `keys`, in their order: several at once, at a quarter of the time.
    pub fn of_partition_keys<'a>(keys: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = Self> {
        let mut keys = keys.into_iter();
        let (mut hashes, mut count, mut at) = ([Self::MIN; AT_ONCE], 0, 0);
        std::iter::from_fn(move || {
            if at == count {
                let mut taken = [""; AT_ONCE];
                (count, at) = (0, 0);
                for (place, key) in taken.iter_mut().zip(&mut keys) {
                    *place = key;
                    count += 1;
                }
                Self::of_taken(&taken[..count], &mut hashes);
            }
            let hash = *hashes[..count].get(at)?;
            at += 1;
            Some(hash)
        })
    }

    /// Of at most [`AT_ONCE`] keys. What are too few, or longer than a block, is left to the plain digest.
    fn of_taken(keys: &[&str], hashes: &mut [Self; AT_ONCE]) {
        let is_short = |key: &str| key.len() <= TEXT_BYTES_MAX;
        let at_once = keys.iter().filter(|key| is_short(key)).count() >= WORTH_AT_ONCE;
        if at_once {
            let text = |at: usize| keys.get(at).copied().filter(|key| is_short(key)).unwrap_or_default();
            *hashes = md5_at_once::digests(std::array::from_fn(text)).map(Self::of_digest);
        }
        let alone = |(_, key): &(&mut Self, &&str)| !at_once || !is_short(key);
        for (hash, key) in hashes.iter_mut().zip(keys).filter(alone) {
            *hash = Self::of_partition_key(key);
        }
    }

    fn of_digest(digest: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(digest))
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Text that is no decimal number below 2^128.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a hash key is a decimal number below 2^128, not {0:?}")]
pub struct HashKeyError(String);

impl FromStr for HashKey {
    type Err = HashKeyError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| HashKeyError(text.to_owned()))
    }
}

// JSON numbers end at 2^53: on the wire a hash key is its decimal text.
impl Serialize for HashKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HashKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The keys from `start` to `end`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HashKeyRange {
    /// The first key.
    pub start: HashKey,
    /// The last key.
    pub end: HashKey,
}

impl HashKeyRange {
    /// The whole space.
    pub const ALL: Self = Self { start: HashKey::MIN, end: HashKey::MAX };

    /// Does the range hold `key`?
    pub fn contains(&self, key: HashKey) -> bool {
        self.start <= key && key <= self.end
    }

    /// Shard `index` of a stream of `count` uniform shards, as Kinesis divides the space: each range is
    /// floor(2^128 / count) long and the last takes what is left, so that two shards meet at 2^127 exactly.
    pub fn uniform(index: u32, count: NonZeroU32) -> Self {
        assert!(index < count.get(), "shard {index} of {count}");
        if count.get() == 1 {
            return Self::ALL; // the only width that does not fit 128 bits
        }
        let count = u128::from(count.get());
        // 2^128 / count without a 129th bit: (2^128 - 1) / count falls one short only where count divides 2^128.
        let width = u128::MAX / count + u128::from(u128::MAX % count == count - 1);
        let start = width.wrapping_mul(u128::from(index));
        let end = if u128::from(index) == count - 1 { u128::MAX } else { start + (width - 1) };
        Self { start: HashKey(start), end: HashKey(end) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn many_keys_hash_as_each_of_them_does(keys in prop::collection::vec("[a-zé]{0,70}", 0..50)) {
            let hashes: Vec<_> = HashKey::of_partition_keys(keys.iter().map(String::as_str)).collect();
            let each: Vec<_> = keys.iter().map(|key| HashKey::of_partition_key(key)).collect();
            prop_assert_eq!(hashes, each);
        }
    }

    #[test]
    fn two_shards_meet_at_two_to_the_127() {
        let two = NonZeroU32::new(2).unwrap();
        assert_eq!(HashKeyRange::uniform(0, two).end, HashKey((1 << 127) - 1));
        assert_eq!(HashKeyRange::uniform(1, two).start, HashKey(1 << 127));
    }

    #[test]
    fn uniform_ranges_tile_the_space() {
        for count in [1u32, 2, 3, 5, 7, 64, 100, 4096, 9_999] {
            let count_nz = NonZeroU32::new(count).unwrap();
            let mut next = Some(0u128);
            for index in 0..count {
                let range = HashKeyRange::uniform(index, count_nz);
                assert_eq!(Some(range.start.0), next, "shard {index} of {count}");
                next = range.end.0.checked_add(1);
            }
            assert_eq!(next, None, "{count} shards end at the top");
        }
    }

    #[test]
    fn a_partition_key_hashes_as_md5() {
        // MD5("a") = 0cc175b9c0f1b6a831c399e269772661
        assert_eq!(HashKey::of_partition_key("a").0, 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }
}
