//! Was every promise kept? Compares what was acknowledged with what is in the log: pure, and run after every arm.
//!
//! Fed by `read_back.rs`, shard by shard in the order of the log, then with the file of acknowledged records. A record counts
//! as found only at the sequence number that the caller was told and with every byte that the caller sent. Only records of the
//! load generator are judged: the services on the streams write others, which carry no id of ours and are passed over.

use std::collections::HashMap;

use weir_core::checksum::crc32c;
use weir_loadgen::{
    acks::Ack,
    payload::{self, PayloadError, RecordId},
};

use crate::series::Integrity;

/// A shard of one of the run's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ShardPlace {
    /// The stream: its number among the load generator's targets.
    pub(super) target: u32,
    /// The shard's number.
    pub(super) shard: u32,
}

/// What one record of the log was when it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    place: ShardPlace,
    sequence_number: String,
    checksum: u32,
    times: u32,
}

/// What a caller was told about a record, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    sequence_number: String,
    sent_ms: u64,
    acked_ms: u64,
}

/// Collects what the log holds, then judges the acknowledgements.
#[derive(Debug, Default)]
pub(super) struct Checker {
    found: HashMap<RecordId, Found>,
    last: HashMap<ShardPlace, String>,
    reordered: u64,
    damaged: u64,
}

impl Checker {
    /// Takes the next record of a shard, in the order of the log.
    pub(super) fn read(&mut self, place: ShardPlace, sequence_number: &str, data: &[u8]) {
        let last = self.last.entry(place).or_default();
        if !last.is_empty() && in_order(last) >= in_order(sequence_number) {
            self.reordered += 1;
        }
        sequence_number.clone_into(last);
        match payload::read(data) {
            Ok(id) => {
                let (sequence_number, checksum) = (sequence_number.to_owned(), checksum_of(data));
                let found = Found { place, sequence_number, checksum, times: 0 };
                self.found.entry(id).or_insert(found).times += 1;
            }
            // Services on the streams write records of their own.
            Err(PayloadError::Foreign) => {}
            Err(PayloadError::Checksum { .. }) => self.damaged += 1,
        }
    }

    /// Judges. Every record of the log has been read. A damaged record that was acknowledged counts as lost, too.
    ///
    /// Out of order is what is read back against the order of its numbers, and what a caller can see by the clock: a
    /// record that was sent after another of its shard had been acknowledged, and still has the lower number.
    pub(super) fn judge<E>(&self, acks: impl Iterator<Item = Result<Ack, E>>) -> Result<Integrity, E> {
        let (reordered, damaged) = (self.reordered, self.damaged);
        let mut integrity = Integrity { reordered, damaged, ..Integrity::default() };
        let mut told: HashMap<ShardPlace, Vec<Told>> = HashMap::new();
        for ack in acks {
            let ack = ack?;
            integrity.acknowledged += 1;
            let place = ShardPlace { target: ack.target, shard: ack.shard };
            let promised = |found: &&Found| {
                found.place == place
                    && found.sequence_number == ack.sequence_number
                    && found.checksum == ack.checksum
            };
            match self.found.get(&ack.id).filter(promised) {
                Some(found) => {
                    integrity.found += 1;
                    integrity.duplicated += u64::from(found.times > 1);
                }
                None => integrity.lost += 1,
            }
            let Ack { sequence_number, sent_ms, acked_ms, .. } = ack;
            told.entry(place).or_default().push(Told { sequence_number, sent_ms, acked_ms });
        }
        integrity.reordered += told.into_values().map(sent_after_a_higher_number).sum::<u64>();
        Ok(integrity)
    }
}

fn checksum_of(data: &[u8]) -> u32 {
    crc32c(data)
}

/// How many records of a shard were sent when a record with a higher number had been acknowledged already. Times are
/// rounded down, so that only a difference of whole milliseconds proves an order; calls that overlap prove none.
fn sent_after_a_higher_number(mut told: Vec<Told>) -> u64 {
    told.sort_by(|left, right| in_order(&right.sequence_number).cmp(&in_order(&left.sequence_number)));
    let mut count = 0;
    let mut first_acked_ms = u64::MAX;
    for record in told {
        count += u64::from(record.sent_ms > first_acked_ms);
        first_acked_ms = first_acked_ms.min(record.acked_ms);
    }
    count
}

/// By this, decimal numbers of any length, without leading zeros, are compared as numbers.
fn in_order(number: &str) -> (usize, &str) {
    (number.len(), number)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const PLACE: ShardPlace = ShardPlace { target: 0, shard: 3 };

    /// Record `number` and the acknowledgement of it at `sequence`.
    fn record(number: u64, sequence: &str) -> (Vec<u8>, Ack) {
        let mut data = vec![0x5a; 64];
        let id = RecordId { run: 1, number };
        let checksum = payload::write_head(id, &mut data);
        let sequence_number = sequence.to_owned();
        (data, Ack { target: 0, shard: 3, id, checksum, sent_ms: 0, acked_ms: 0, sequence_number })
    }

    fn judge(checker: &Checker, acks: &[Ack]) -> Integrity {
        checker.judge(acks.iter().cloned().map(Ok::<_, Infallible>)).unwrap()
    }

    #[test]
    fn a_log_that_holds_what_was_promised_is_whole() {
        let mut checker = Checker::default();
        let ((first, ack), (second, unacknowledged)) = (record(1, "9"), record(2, "10"));
        checker.read(PLACE, "9", &first);
        checker.read(PLACE, "10", &second);
        checker.read(PLACE, "11", b"a record of somebody else");
        let integrity = judge(&checker, &[ack]);
        assert_eq!(integrity, Integrity { acknowledged: 1, found: 1, ..Integrity::default() });
        assert!(integrity.is_whole(), "what was never acknowledged may be there: {unacknowledged:?}");
    }

    #[test]
    fn each_broken_promise_is_counted_as_what_it_is() {
        let (data, ack) = record(1, "9");
        let empty = judge(&Checker::default(), std::slice::from_ref(&ack));
        assert_eq!((empty.lost, empty.found), (1, 0));

        let mut elsewhere = Checker::default();
        elsewhere.read(PLACE, "8", &data);
        assert_eq!(judge(&elsewhere, std::slice::from_ref(&ack)).lost, 1, "at another number than was told");

        let mut other_shard = Checker::default();
        other_shard.read(ShardPlace { shard: 4, ..PLACE }, "9", &data);
        assert_eq!(judge(&other_shard, std::slice::from_ref(&ack)).lost, 1);

        let mut twice = Checker::default();
        twice.read(PLACE, "9", &data);
        twice.read(PLACE, "10", &data);
        assert_eq!(judge(&twice, std::slice::from_ref(&ack)).duplicated, 1);

        let mut damaged = Checker::default();
        let mut changed = data.clone();
        changed[40] ^= 1;
        damaged.read(PLACE, "9", &changed);
        let found = judge(&damaged, std::slice::from_ref(&ack));
        assert_eq!((found.lost, found.damaged), (1, 1));
        let unacknowledged = judge(&damaged, &[]);
        assert_eq!((unacknowledged.lost, unacknowledged.damaged), (0, 1));
        assert!(
            !unacknowledged.is_whole(),
            "nobody was promised it, yet these are not the bytes that were sent"
        );

        let mut backwards = Checker::default();
        backwards.read(PLACE, "10", &record(2, "10").0);
        backwards.read(PLACE, "9", &data);
        assert_eq!(judge(&backwards, &[ack]).reordered, 1);
    }

    /// A log of these records in the order of their numbers, each told as (number, sent, acknowledged).
    fn reordered(records: &[(u32, &str, u64, u64)]) -> u64 {
        let mut checker = Checker::default();
        let mut acks = Vec::new();
        for (number, &(shard, sequence, sent_ms, acked_ms)) in (0..).zip(records) {
            let (data, ack) = record(number, sequence);
            checker.read(ShardPlace { shard, ..PLACE }, sequence, &data);
            acks.push(Ack { shard, sent_ms, acked_ms, ..ack });
        }
        let integrity = judge(&checker, &acks);
        assert_eq!(integrity.found, integrity.acknowledged, "what is told is in the log");
        integrity.reordered
    }

    #[test]
    fn a_record_sent_after_anothers_acknowledgement_has_the_higher_number() {
        assert_eq!(reordered(&[(3, "9", 0, 5), (3, "10", 6, 9), (3, "11", 10, 12)]), 0);
        assert_eq!(reordered(&[(3, "9", 6, 9), (3, "10", 0, 5)]), 1, "sent at 6, after the ack at 5");
        assert_eq!(
            reordered(&[(3, "9", 6, 9), (3, "10", 7, 8), (3, "11", 0, 5)]),
            2,
            "one early acknowledgement of a high number convicts every later record below it"
        );
        assert_eq!(
            reordered(&[(3, "99", 50, 60), (3, "100", 0, 5), (3, "101", 40, 70)]),
            1,
            "numbers, not text"
        );
    }

    #[test]
    fn calls_that_overlap_and_other_shards_prove_no_order() {
        assert_eq!(reordered(&[(3, "9", 4, 9), (3, "10", 0, 5)]), 0, "both were on their way at 4");
        assert_eq!(reordered(&[(3, "9", 5, 9), (3, "10", 0, 5)]), 0, "the same millisecond");
        assert_eq!(reordered(&[(3, "9", 7, 7), (3, "10", 7, 7)]), 0, "two records of one call");
        assert_eq!(reordered(&[(4, "9", 6, 9), (3, "10", 0, 5)]), 0);
    }

    #[test]
    fn numbers_are_ordered_as_numbers() {
        assert!(in_order("9") < in_order("10") && in_order("10") < in_order("11"));
        assert!(in_order("100") > in_order("99"));
    }
}
