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

/// Bytes of every number of version 2, all of them digits.
pub const SEQUENCE_BYTES: usize = 56;

/// What numbers are divided by to be printed: the largest power of ten in 64 bits.
const CHUNK: u64 = 10_000_000_000_000_000_000;
/// 2^128 / [`CHUNK`] - 2^64, rounded down.
const CHUNK_RECIPROCAL: u64 = (u128::MAX / CHUNK as u128) as u64;

/// Digits that are added to at once.
const WORD_DIGITS: usize = 16;
/// One more than the largest word of digits.
const WORD: u128 = 10_u128.pow(WORD_DIGITS as u32);

/// The digits of the three chunks of a number: 56 are 18 + 19 + 19. A version of 2 in front makes them 56.
const CHUNK_DIGITS: [std::ops::Range<usize>; 3] = [0..18, 18..37, 37..SEQUENCE_BYTES];

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

    /// Its digits in ASCII.
    pub fn printed(&self) -> [u8; SEQUENCE_BYTES] {
        let mut text = [0; SEQUENCE_BYTES];
        for (chunk, digits) in self.chunks().into_iter().zip(CHUNK_DIGITS) {
            write_padded(chunk, &mut text[digits]);
        }
        text
    }

    /// Its digits by [`CHUNK_DIGITS`]: long division of 192 bits by 10^19, twice.
    fn chunks(&self) -> [u64; 3] {
        let (high, low) = self.bits();
        let mut words = [high, (low >> 64) as u64, low as u64];
        let mut rests = [0; 2];
        for rest in &mut rests {
            for word in &mut words {
                (*word, *rest) = divide(*rest, *word);
            }
        }
        [words[2], rests[1], rests[0]]
    }

    /// Is it the number of the record behind that of `before`, which arrived with it?
    fn follows(&self, before: &Self) -> bool {
        *self == Self { index: before.index.wrapping_add(1), ..*before } && self.index != 0
    }
}

/// Prints numbers one after another: that of the next record of a batch by an addition to the one before.
#[derive(Debug, Default)]
pub struct SequencePrinter {
    last: Option<Printed>,
}

#[derive(Debug)]
struct Printed {
    number: SequenceNumber,
    text: [u8; SEQUENCE_BYTES],
}

impl SequencePrinter {
    /// The digits of `number`.
    #[inline]
    pub fn print(&mut self, number: SequenceNumber) -> &[u8; SEQUENCE_BYTES] {
        match &mut self.last {
            Some(last) if number.follows(&last.number) => last.go_on(number),
            last => *last = Some(Printed::new(number)),
        }
        &self.last.as_ref().expect("it was just printed").text
    }
}

impl Printed {
    fn new(number: SequenceNumber) -> Self {
        Self { number, text: number.printed() }
    }

    /// Adds one to the index, which is 2^80 in the number: to the last 32 digits, sixteen at once. Those in front of them change
    /// once in 83 million records, and then all are printed anew.
    #[inline]
    fn go_on(&mut self, number: SequenceNumber) {
        const STEP: u128 = 1 << 80;
        const LOW: u128 = digits(STEP % WORD);
        const HIGH: u128 = digits(STEP / WORD);
        let [.., high, low] = self.text.as_rchunks_mut::<WORD_DIGITS>().1 else {
            unreachable!("a number has more than two words")
        };
        let carry = add_digits(low, LOW, false);
        if add_digits(high, HIGH, carry) {
            *self = Self::new(number);
        } else {
            self.number = number;
        }
    }
}

/// The last [`WORD_DIGITS`] digits of `number`, one a byte, the last of them in the lowest.
const fn digits(mut number: u128) -> u128 {
    let mut word = 0;
    let mut at = 0;
    while at < WORD_DIGITS {
        word |= (number % 10) << (8 * at);
        number /= 10;
        at += 1;
    }
    word
}

/// Adds `more`, as [`digits`] gives it, and a carry to digits in ASCII, the first one first; true when the sum has a digit
/// more. All are added at once: each byte is lifted so far that it overflows into the next one when its digit does.
#[inline]
fn add_digits(text: &mut [u8; WORD_DIGITS], more: u128, carry: bool) -> bool {
    const EACH: u128 = u128::from_ne_bytes([1; WORD_DIGITS]);
    const LIFT: u128 = EACH * (256 - 10 - b'0' as u128);
    let (sum, over) = u128::from_be_bytes(*text).overflowing_add(more + LIFT + u128::from(carry));
    let stayed = sum >> 7 & EACH; // a byte that has not overflowed is at 246 or above, one that has is below 10
    let digits = (sum & (EACH * 0xf)) - stayed * 6;
    *text = (digits | (EACH * u128::from(b'0'))).to_be_bytes();
    over
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.printed()).expect("digits are ASCII"))
    }
}

/// (`high` * 2^64 + `low`) / [`CHUNK`] and what is left, for a `high` below it: a multiplication and a correction, where
/// the compiler would call a division of 128 bits. Möller and Granlund, "Improved division by invariant integers", 2011.
#[inline]
fn divide(high: u64, low: u64) -> (u64, u64) {
    let guess = (u128::from(CHUNK_RECIPROCAL) * u128::from(high))
        .wrapping_add(u128::from(high) << 64 | u128::from(low));
    let quotient = ((guess >> 64) as u64).wrapping_add(1);
    let rest = low.wrapping_sub(quotient.wrapping_mul(CHUNK));
    // One too far in about every other case: no branch, which would be guessed wrong as often.
    let too_far = u64::from(rest > guess as u64);
    let mut quotient = quotient.wrapping_sub(too_far);
    let mut rest = rest.wrapping_add(CHUNK & too_far.wrapping_neg());
    if rest >= CHUNK {
        quotient += 1;
        rest -= CHUNK;
    }
    (quotient, rest)
}

impl FromStr for SequenceNumber {
    type Err = SequenceNumberError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || SequenceNumberError(text.chars().take(64).collect());
        if text.len() != SEQUENCE_BYTES || !text.bytes().all(|b| b.is_ascii_digit()) {
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

    #[test]
    fn division_holds_where_its_guess_is_corrected() {
        for high in [0, 1, CHUNK / 2, CHUNK - 2, CHUNK - 1] {
            for low in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, u64::MAX] {
                let whole = u128::from(high) << 64 | u128::from(low);
                let (quotient, rest) = divide(high, low);
                assert_eq!(u128::from(quotient) * u128::from(CHUNK) + u128::from(rest), whole);
                assert!(rest < CHUNK, "{high} {low}");
            }
        }
    }

    /// Any index, and some from which on batches meet what is rare: the digits in front of the last two words change, the index is
    /// the last there is.
    fn first_index() -> impl Strategy<Value = u64> {
        prop_oneof![any::<u64>(), Just(FRONT_CHANGES - 85), Just(u64::MAX - 100)]
    }

    /// The index of shard 0, created and written to when these tests say, whose number has another front than the one before.
    const FRONT_CHANGES: u64 = 77_173_398_424_685;

    #[test]
    fn where_the_front_changes_is_where_the_tests_look_for_it() {
        let front = |index| {
            let number = SequenceNumber {
                shard_created_secs: 1_606_300_000,
                index,
                arrived_secs: 1_606_300_007,
                shard: ShardIndex(0),
            };
            number.printed()[..SEQUENCE_BYTES - 2 * WORD_DIGITS].to_vec()
        };
        assert_eq!(front(FRONT_CHANGES - 85), front(FRONT_CHANGES - 1));
        assert_ne!(front(FRONT_CHANGES), front(FRONT_CHANGES - 1));
    }

    proptest! {
        /// Batches one after another, near and far from where the front changes.
        #[test]
        fn a_printer_prints_what_each_number_prints_alone(
            batches in prop::collection::vec((0..3u32, first_index(), 1..300u64), 1..20),
            gap in prop::sample::select(vec![1, 4, 1_000u64]),
        ) {
            let mut printer = SequencePrinter::default();
            for (shard, first, records) in batches {
                for at in 0..records {
                    let index = first.wrapping_add(at + at / gap); // some are left out
                    let number = SequenceNumber {
                        shard_created_secs: 1_606_300_000,
                        index,
                        arrived_secs: 1_606_300_007,
                        shard: ShardIndex(shard),
                    };
                    let printed = String::from_utf8(printer.print(number).to_vec()).unwrap();
                    prop_assert_eq!(printed, number.to_string());
                }
            }
        }

        /// Any words, and those that carry through all of their digits.
        #[test]
        fn digits_are_added_as_numbers_are(
            text in prop_oneof![0..WORD, WORD - 20..WORD], more in prop_oneof![0..WORD, 0..20_u128], carry: bool,
        ) {
            let mut word: [u8; WORD_DIGITS] = format!("{text:016}").into_bytes().try_into().unwrap();
            let over = add_digits(&mut word, digits(more), carry);
            let sum = text + more + u128::from(carry);
            prop_assert_eq!(String::from_utf8(word.to_vec()).unwrap(), format!("{:016}", sum % WORD));
            prop_assert_eq!(over, sum >= WORD);
        }

        #[test]
        fn division_is_the_one_of_128_bits(high in 0..CHUNK, low: u64) {
            let whole = u128::from(high) << 64 | u128::from(low);
            let (quotient, rest) = ((whole / u128::from(CHUNK)) as u64, (whole % u128::from(CHUNK)) as u64);
            prop_assert_eq!(divide(high, low), (quotient, rest));
        }

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
