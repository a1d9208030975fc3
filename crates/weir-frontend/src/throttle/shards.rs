//! What each shard takes in and gives out each second: Kinesis's own limits.
//!
//! Routing asks before it lays a record out, reads ask before they go to the node. A shard has its buckets from its
//! first request on. Each front end counts for itself: behind N of them a shard may see up to N times the limit, which
//! one front end alone cannot know.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use weir_core::{
    clock::Monotonic,
    id::ShardKey,
    limits::{GET_RECORDS_BYTES_MAX, PUT_RECORDS_BYTES_MAX, RECORD_BYTES_MAX},
};
use weir_sync::{TokenBucket, token_bucket::TokenRate};
use weir_wire::kinesis::{
    limits::{Limit, PER_SECOND_GRAIN, ServiceLimits, Value},
    operation::Operation,
};

use super::calls::bucket_rate;

/// Shards whose buckets are kept beyond twice the shards of the map, before those that are gone are thrown out.
const STALE_SHARDS_MAX: usize = 1_024;

/// The buckets of all shards.
#[derive(Debug)]
pub(crate) struct ShardGate {
    shards: Mutex<Shards>,
}

#[derive(Debug)]
struct Shards {
    rates: ShardRates,
    known: HashMap<ShardKey, Arc<ShardLimits>>,
}

/// What one shard takes in and gives out each second; `None` is without a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShardRates {
    /// Thousandths of a record.
    write_records: Value,
    write_bytes: Value,
    /// Thousandths of a call.
    read_calls: Value,
    read_bytes: Value,
}

impl ShardRates {
    /// Those that are kept.
    pub(crate) fn of(limits: &ServiceLimits) -> Self {
        Self {
            write_records: limits.get(Limit::ShardWriteRecords),
            write_bytes: limits.get(Limit::ShardWriteBytes),
            read_calls: limits.get(Limit::Calls(Operation::GetRecords)),
            read_bytes: limits.get(Limit::ShardReadBytes),
        }
    }
}

/// The buckets of one shard.
#[derive(Debug)]
pub(crate) struct ShardLimits {
    write_records: Option<TokenBucket>,
    write_bytes: Option<WriteBytes>,
    read_calls: Option<TokenBucket>,
    read_bytes: Option<ReadBytes>,
}

impl Default for ShardGate {
    fn default() -> Self {
        let rates = ShardRates::of(&ServiceLimits::default());
        Self { shards: Mutex::new(Shards { rates, known: HashMap::new() }) }
    }
}

impl ShardGate {
    /// Takes over other rates. All shards begin anew with them.
    pub(crate) fn adopt(&self, rates: ShardRates) {
        let mut shards = self.shards.lock();
        if shards.rates != rates {
            shards.rates = rates;
            shards.known.clear();
        }
    }

    /// The buckets of a shard. `known` is how many shards the map has: the measure of how many may be kept.
    pub(crate) fn limits(&self, key: ShardKey, known: usize) -> Arc<ShardLimits> {
        let mut shards = self.shards.lock();
        if let Some(limits) = shards.known.get(&key) {
            return Arc::clone(limits);
        }
        if shards.known.len() >= 2 * known + STALE_SHARDS_MAX {
            // A full bucket has no memory worth keeping, but telling a full one apart needs the time; starting all of
            // them afresh once in so many new shards gives one second's burst away.
            shards.known.clear();
        }
        let limits = Arc::new(ShardLimits::new(shards.rates));
        shards.known.insert(key, Arc::clone(&limits));
        limits
    }
}

impl ShardLimits {
    fn new(rates: ShardRates) -> Self {
        let events = |rate: Value| rate.map(|rate| TokenBucket::new(bucket_rate(rate)));
        Self {
            write_records: events(rates.write_records),
            write_bytes: rates.write_bytes.map(WriteBytes::new),
            read_calls: events(rates.read_calls),
            read_bytes: rates.read_bytes.map(ReadBytes::new),
        }
    }

    /// May a record of so many bytes (data and key) be written now? All or nothing.
    pub(crate) fn admit_record(&self, now: Monotonic, bytes: usize) -> bool {
        if !takes(&self.write_records, now) {
            return false;
        }
        let admitted = self.write_bytes.as_ref().is_none_or(|room| room.take(now, bytes as u64));
        if !admitted && let Some(records) = &self.write_records {
            records.give_back(PER_SECOND_GRAIN);
        }
        admitted
    }

    /// Would such a record be admitted now? Takes nothing.
    pub(crate) fn would_admit(&self, now: Monotonic, bytes: usize) -> bool {
        let admitted = self.admit_record(now, bytes);
        if admitted {
            if let Some(records) = &self.write_records {
                records.give_back(PER_SECOND_GRAIN);
            }
            if let Some(room) = &self.write_bytes {
                room.give_back(bytes as u64);
            }
        }
        admitted
    }

    /// May a read call go to the shard now?
    pub(crate) fn admit_read(&self, now: Monotonic) -> bool {
        let in_debt = self.read_bytes.as_ref().is_some_and(|given| given.in_debt(now));
        !in_debt && takes(&self.read_calls, now)
    }

    /// Counts what a read call gave out.
    pub(crate) fn charge_read(&self, now: Monotonic, bytes: usize) {
        if let Some(given) = &self.read_bytes {
            given.charge(now, bytes as u64);
        }
    }
}

/// Is there one more, where events are counted?
fn takes(events: &Option<TokenBucket>, now: Monotonic) -> bool {
    events.as_ref().is_none_or(|bucket| bucket.try_take(now.nanos(), PER_SECOND_GRAIN).is_ok())
}

/// Bytes that a shard takes in, after AWS's picture of large records: a tank that every record draws from, large enough
/// for the largest of them and filled at the shard's rate; and a second's worth for the ordinary ones, so that they cannot
/// use the whole tank for a burst.
#[derive(Debug)]
struct WriteBytes {
    ordinary: TokenBucket,
    tank: TokenBucket,
}

impl WriteBytes {
    fn new(per_second: u64) -> Self {
        let ordinary = per_second.max(RECORD_BYTES_MAX as u64);
        let largest = ordinary.max(PUT_RECORDS_BYTES_MAX as u64); // one record may be a whole call
        let bucket = |burst| TokenBucket::new(TokenRate { per_second, burst });
        Self { ordinary: bucket(ordinary), tank: bucket(largest) }
    }

    fn take(&self, now: Monotonic, bytes: u64) -> bool {
        let ordinary = bytes <= RECORD_BYTES_MAX as u64;
        if ordinary && self.ordinary.try_take(now.nanos(), bytes).is_err() {
            return false;
        }
        let taken = self.tank.try_take(now.nanos(), bytes).is_ok();
        if !taken && ordinary {
            self.ordinary.give_back(bytes);
        }
        taken
    }

    fn give_back(&self, bytes: u64) {
        if bytes <= RECORD_BYTES_MAX as u64 {
            self.ordinary.give_back(bytes);
        }
        self.tank.give_back(bytes);
    }
}

/// Bytes that a shard gives out. The bucket holds one second of reading on top of the debt that may be: a call is charged
/// when it is known what it gave out, so it may run into debt, and while there is debt there are no calls. That is how 10 MiB
/// each five seconds, or 2 MiB each second, pass alike.
#[derive(Debug)]
struct ReadBytes(TokenBucket);

impl ReadBytes {
    /// What calls may give out that were admitted before the first of them was charged: five a second, for longer than a
    /// node may take to answer.
    const DEBT_MAX: u64 = 64 * GET_RECORDS_BYTES_MAX as u64;

    fn new(per_second: u64) -> Self {
        Self(TokenBucket::new(TokenRate { per_second, burst: per_second + Self::DEBT_MAX }))
    }

    fn in_debt(&self, now: Monotonic) -> bool {
        self.0.available(now.nanos()) < Self::DEBT_MAX
    }

    /// An answer larger than a second's reading uses up what was saved as well, so that it blocks the shard for as long as
    /// its bytes take, whatever came before: five seconds for 10 MiB.
    fn charge(&self, now: Monotonic, bytes: u64) {
        let large = bytes > self.0.rate().per_second;
        loop {
            let available = self.0.available(now.nanos());
            let saved = available.saturating_sub(Self::DEBT_MAX);
            let owed = if large { bytes + saved } else { bytes };
            // Without a limit of calls more than that may be admitted together: the rest is forgiven.
            let owed = owed.min(available);
            if owed == 0 || self.0.try_take(now.nanos(), owed).is_ok() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_core::{
        id::{ShardIndex, StreamId},
        limits::{KIB, MIB},
    };

    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(ms)
    }

    fn admitted(limits: &ShardLimits, bytes: usize, from_ms: u64, to_ms: u64) -> usize {
        (from_ms..to_ms).map(|ms| (0..10).filter(|_| limits.admit_record(at(ms), bytes)).count()).sum()
    }

    #[test]
    fn a_trial_is_judged_as_a_record_and_takes_nothing() {
        let limits = ShardLimits::new(ShardRates::of(&ServiceLimits::default()));
        for _ in 0..5_000 {
            assert!(limits.would_admit(at(0), 1_000));
        }
        while limits.admit_record(at(0), 1_000) {}
        assert!(!limits.would_admit(at(0), 1_000));
    }

    #[test]
    fn records_are_admitted_at_their_rate_after_the_burst() {
        let limits = ShardLimits::new(ShardRates::of(&ServiceLimits::default()));
        assert_eq!(admitted(&limits, 1, 0, 10_000), 1_000 + 9_999, "the burst, and one a millisecond");
    }

    #[test]
    fn bytes_are_admitted_at_their_rate_and_a_refused_record_costs_nothing() {
        let limits = ShardLimits::new(ShardRates::of(&ServiceLimits::default()));
        let records = admitted(&limits, 10 * 1024, 0, 10_000);
        let expected = (1.0 + 9.999) * MIB as f64 / (10.0 * 1024.0);
        assert!((expected - 1.0..=expected).contains(&(records as f64)), "{records} of {expected}");
        let left = limits.write_records.as_ref().unwrap().available(at(20_000).nanos());
        assert_eq!(left, 1_000 * PER_SECOND_GRAIN);
    }

    #[test]
    fn five_calls_a_second_may_read() {
        let limits = ShardLimits::new(ShardRates::of(&ServiceLimits::default()));
        let calls = (0..10_000).filter(|&ms| limits.admit_read(at(ms))).count();
        assert_eq!(calls, 5 + 49, "the burst, and one each 200 ms");
    }

    #[test]
    fn ten_mebibytes_at_once_block_the_shard_for_five_seconds() {
        let limits = ShardLimits::new(ShardRates::of(&ServiceLimits::default()));
        for begin in [0, 5_000, 60_000] {
            assert!(limits.admit_read(at(begin)));
            limits.charge_read(at(begin), 10 * MIB);
            assert!(!limits.admit_read(at(begin + 4_999)), "what was saved up before does not shorten it");
            assert!(limits.admit_read(at(begin + 5_000)));
            limits.charge_read(at(begin + 5_000), 0);
        }
    }

    #[test]
    fn calls_that_were_admitted_together_are_paid_for_one_and_all() {
        let limits = ShardLimits::new(ShardRates::of(&ServiceLimits::default()));
        for _ in 0..5 {
            assert!(limits.admit_read(at(0)));
        }
        for _ in 0..5 {
            limits.charge_read(at(0), 10 * MIB);
        }
        assert!(!limits.admit_read(at(24_999)));
        assert!(limits.admit_read(at(25_000)));
    }

    #[test]
    fn bytes_are_given_out_at_their_rate_in_answers_of_any_size() {
        for answer in [100 * KIB, MIB, 2 * MIB, 3 * MIB, 10 * MIB] {
            let mut rates = ShardRates::of(&ServiceLimits::default());
            rates.read_calls = None;
            let limits = ShardLimits::new(rates);
            let read = |from: u64, to: u64| -> usize {
                let calls = (from..to).filter(|&ms| {
                    let admitted = limits.admit_read(at(ms));
                    if admitted {
                        limits.charge_read(at(ms), answer);
                    }
                    admitted
                });
                calls.count() * answer
            };
            read(0, 20_000);
            let steady = read(20_000, 320_000) as f64 / (300 * 2 * MIB) as f64;
            assert!((0.98..=1.02).contains(&steady), "{answer}: {steady} of the rate");
        }
    }

    #[test]
    fn a_large_record_passes_and_is_paid_for_while_ordinary_ones_go_on() {
        let limits = ShardLimits::new(ShardRates::of(&ServiceLimits::default()));
        assert!(limits.admit_record(at(0), 10 * MIB));
        assert!(!limits.admit_record(at(0), 1), "the tank is empty");
        assert!(limits.admit_record(at(500), 512 * KIB), "and fills at once");
        assert!(!limits.admit_record(at(10_000), 10 * MIB), "of what others have used it lacks");
        assert!(limits.admit_record(at(10_500), 10 * MIB));
        assert!(!limits.admit_record(at(60_000), 10 * MIB + 1), "larger than any call");
    }

    #[test]
    fn large_and_ordinary_records_together_average_the_rate() {
        let limits = ShardLimits::new(ShardRates::of(&ServiceLimits::default()));
        let write = |from: u64, to: u64| -> usize {
            let mixed = (from..to).map(|ms| match ms % 20 {
                0 => {
                    if limits.admit_record(at(ms), 3 * MIB) {
                        3 * MIB
                    } else {
                        0
                    }
                }
                _ => {
                    if limits.admit_record(at(ms), 10 * KIB) {
                        10 * KIB
                    } else {
                        0
                    }
                }
            });
            mixed.sum()
        };
        write(0, 20_000);
        let steady = write(20_000, 120_000) as f64 / (100 * MIB) as f64;
        assert!((0.98..=1.02).contains(&steady), "{steady} of the rate");
    }

    #[test]
    fn each_rate_of_a_shard_is_kept_within_two_percent_over_ten_seconds() {
        for factor in [0.1, 1.0, 7.5] {
            let mut chosen = ServiceLimits::default();
            chosen.scale(factor).unwrap();
            let limits = ShardLimits::new(ShardRates::of(&chosen));
            let per_ms = |records: u64, bytes: usize, from: u64, to: u64| {
                let tries =
                    (from..to).map(|ms| (0..records).filter(|_| limits.admit_record(at(ms), bytes)).count());
                tries.sum::<usize>() as f64
            };
            per_ms(20, 0, 0, 5_000);
            let records = per_ms(20, 0, 5_000, 15_000) / (10_000.0 * factor);
            assert!((0.98..=1.02).contains(&records), "{records} of the rate of records");
            per_ms(4, 8 * KIB, 15_000, 30_000);
            let bytes = per_ms(4, 8 * KIB, 30_000, 40_000) * 8.0 / (10_240.0 * factor);
            assert!((0.98..=1.02).contains(&bytes), "{bytes} of the rate of bytes");
            let calls =
                |from: u64, to: u64| (from..to).filter(|&ms| limits.admit_read(at(ms))).count() as f64;
            calls(0, 20_000);
            let calls = calls(20_000, 30_000) / (50.0 * factor);
            assert!((0.98..=1.02).contains(&calls), "{calls} of the rate of calls");
        }
    }

    #[test]
    fn a_limit_that_is_lifted_is_not_kept_and_changed_ones_are_from_then_on() {
        let (gate, key) = (ShardGate::default(), ShardKey { stream: StreamId(1), shard: ShardIndex(0) });
        let mut chosen = ServiceLimits::default();
        chosen.assign(&"shard-write-records=off".parse().unwrap());
        chosen.assign(&"shard-write-bytes=2MiB/s".parse().unwrap());
        gate.adopt(ShardRates::of(&chosen));
        let limits = gate.limits(key, 1);
        assert_eq!(admitted(&limits, 0, 0, 1_000), 10_000, "as many as are tried");
        assert_eq!((0..10).filter(|_| limits.admit_record(at(1_000), MIB)).count(), 2);
        gate.adopt(ShardRates::of(&chosen));
        assert!(Arc::ptr_eq(&limits, &gate.limits(key, 1)), "the same limits change nothing");
        gate.adopt(ShardRates::of(&ServiceLimits::default()));
        assert_eq!(admitted(&gate.limits(key, 1), 0, 1_000, 1_001), 10, "anew");
    }

    #[test]
    fn a_debt_is_never_deeper_than_the_bucket() {
        let limits = ShardLimits::new(ShardRates::of(&ServiceLimits::default()));
        limits.charge_read(at(0), 1_000 * MIB);
        assert!(!limits.admit_read(at(319_999)));
        assert!(limits.admit_read(at(320_000)));
    }

    #[test]
    fn buckets_of_shards_that_are_gone_do_not_pile_up() {
        let gate = ShardGate::default();
        for shard in 0..3 * STALE_SHARDS_MAX as u32 {
            gate.limits(ShardKey { stream: StreamId(1), shard: ShardIndex(shard) }, 1);
            assert!(gate.shards.lock().known.len() <= STALE_SHARDS_MAX + 2);
        }
    }
}
