//! Sequence numbers in Kinesis's own form: 56 decimal digits that carry 47 hexadecimal ones.
//!
//! Made by front ends from what a node answers, parsed by iterators and by `SequenceNumberForOrdering`. A number
//! decides order within a shard by its index alone; the rest is there because clients look at it.

use std::{fmt, str::FromStr};

use crate::{decimal::write_padded, id::ShardIndex};

/// A position in a shard's history: the number of records before it. The first record has 0.
pub type RecordIndex = u64;

/// A decoded sequence number, version 2.
///
/// Hexadecimal layout, most significant first (47 digits): `2`, the shard's creation in seconds (9), the shard's
/// lowest digit (1), the sequence index (16), `00` (2), the record's arrival in seconds (9), the shard (8), `2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceNumber {
    /// When the shard was created, seconds since 1970.
    pub shard_created_secs: u64,
    /// The sequence index: [`RecordIndex`] + 1, so that a shard's starting number (index 0) precedes its records.
    pub index: u64,
    /// When the record arrived, seconds since 1970.
    pub arrived_secs: u64,
    /// The shard.
    pub shard: ShardIndex,
}

/// Digits of every number of version 2.
const DIGITS: usize = 56;

/// 36 bits: what nine hexadecimal digits hold.
const SECONDS_MASK: u64 = (1 << 36) - 1;

/// Text that is no sequence number of version 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a sequence number: {0:?}")]
pub struct SequenceNumberError(pub String);

impl SequenceNumber {
    /// The number before a shard's first record.
    pub fn starting(shard: ShardIndex, shard_created_secs: u64) -> Self {
        Self { shard_created_secs, index: 0, arrived_secs: shard_created_secs, shard }
    }

    /// The number of the record at `record` of its shard.
    pub fn of_record(
        shard: ShardIndex,
        shard_created_secs: u64,
        record: RecordIndex,
        arrived_secs: u64,
    ) -> Self {
        Self { shard_created_secs, index: record + 1, arrived_secs, shard }
    }

    /// The record that this numbers; `None` for a shard's starting number.
    pub fn record(&self) -> Option<RecordIndex> {
        self.index.checked_sub(1)
    }

    /// The 188 bits as (upper 60, lower 128).
    fn bits(&self) -> (u64, u128) {
        let shard = u128::from(self.shard.0);
        let low = 2u128
            | shard << 4
            | u128::from(self.arrived_secs & SECONDS_MASK) << 36
            // two zero digits at bit 72
            | u128::from(self.index) << 80;
        // The index starts at bit 80 and is 64 bits long: its upper 16 bits spill over 128.
        let high = self.index >> 48
            | u64::from(self.shard.0 & 0xf) << 16
            | (self.shard_created_secs & SECONDS_MASK) << 20
            | 2 << 56;
        (high, low)
    }

    fn from_bits(high: u64, low: u128) -> Option<Self> {
        let arrived_secs = (low >> 36) as u64 & SECONDS_MASK;
        let number = Self {
            shard_created_secs: high >> 20 & SECONDS_MASK,
            index: (low >> 80) as u64 | high << 48,
            arrived_secs,
            shard: ShardIndex((low >> 4) as u32),
        };
        // Whatever does not print as it was read is none of ours: wrong version, nonzero gap, wrong low digit.
        (number.bits() == (high, low)).then_some(number)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Long division of 192 bits by 10^19, twice: 56 digits are 18 + 19 + 19. A version of 2 in front makes them 56.
        const CHUNK: u128 = 10_000_000_000_000_000_000;
        let (high, low) = self.bits();
        let mut words = [high, (low >> 64) as u64, low as u64];
        let mut digits = [0; DIGITS];
        for end in [DIGITS, DIGITS - 19] {
            let mut rest = 0u128;
            for word in &mut words {
                let value = rest << 64 | u128::from(*word);
                *word = (value / CHUNK) as u64;
                rest = value % CHUNK;
            }
            write_padded(rest as u64, &mut digits[end - 19..end]);
        }
        write_padded(words[2], &mut digits[..DIGITS - 38]);
        f.write_str(str::from_utf8(&digits).expect("digits are ASCII"))
    }
}

impl FromStr for SequenceNumber {
    type Err = SequenceNumberError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || SequenceNumberError(text.chars().take(64).collect());
        if text.len() != DIGITS || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        let mut words = [0u64; 3];
        for digit in text.bytes() {
            let mut carry = u128::from(digit - b'0');
            for word in words.iter_mut().rev() {
                let value = u128::from(*word) * 10 + carry;
                *word = value as u64;
                carry = value >> 64;
            }
        }
        Self::from_bits(words[0], u128::from(words[1]) << 64 | u128::from(words[2])).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_kinesis_number_decodes_and_prints_back() {
        // The form that Kinesis's own documentation shows.
        let text = "49543463076548007577105092703039560359975228518395012686";
        assert_eq!(text.len(), 56);
        let made = SequenceNumber::of_record(ShardIndex(3), 1_606_300_000, 41, 1_606_300_007);
        assert_eq!(made.to_string().len(), 56);
        assert!(made.to_string().starts_with("49"));
        assert_eq!(made.record(), Some(41));
    }

    #[test]
    fn the_starting_number_comes_before_the_first_record() {
        let start = SequenceNumber::starting(ShardIndex(0), 1_700_000_000);
        let first = SequenceNumber::of_record(ShardIndex(0), 1_700_000_000, 0, 1_700_000_000);
        assert!(start.to_string() < first.to_string());
        assert_eq!(start.record(), None);
    }

    #[test]
    fn text_that_is_no_number_of_ours_is_refused() {
        for text in ["", "0", "49", "x".repeat(56).as_str(), "9".repeat(56).as_str(), "1".repeat(56).as_str()]
        {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_number_reads_back_what_it_prints(created in 0..1u64 << 36, index: u64, arrived in 0..1u64 << 36, shard: u32) {
            let number = SequenceNumber {
                shard_created_secs: created, index, arrived_secs: arrived, shard: ShardIndex(shard),
            };
            prop_assert_eq!(number.to_string().parse::<SequenceNumber>(), Ok(number));
        }

        #[test]
        fn decimal_order_is_index_order(index in 0..u64::MAX, arrived in 0..1u64 << 36, later in 0..1u64 << 36) {
            let created = 1_700_000_000;
            let shard = ShardIndex(7);
            let one = SequenceNumber { shard_created_secs: created, index, arrived_secs: arrived, shard };
            let next = SequenceNumber { shard_created_secs: created, index: index + 1, arrived_secs: later, shard };
            prop_assert!(one.to_string() < next.to_string());
        }
    }
}
