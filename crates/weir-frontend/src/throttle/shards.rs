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
    limits::{
        GET_RECORDS_BYTES_MAX, RECORD_BYTES_MAX, SHARD_READ_BYTES_PER_SECOND, SHARD_READS_PER_SECOND,
        SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND,
    },
};
use weir_sync::{TokenBucket, token_bucket::TokenRate};

/// Shards whose buckets are kept beyond twice the shards of the map, before those that are gone are thrown out.
const STALE_SHARDS_MAX: usize = 1_024;

const _: () = {
    assert!(SHARD_WRITE_BYTES_PER_SECOND >= RECORD_BYTES_MAX as u64, "the largest record must pass at all");
};

/// The buckets of all shards.
#[derive(Debug, Default)]
pub(crate) struct ShardGate {
    shards: Mutex<HashMap<ShardKey, Arc<ShardLimits>>>,
}

/// The buckets of one shard.
#[derive(Debug)]
pub(crate) struct ShardLimits {
    write_records: TokenBucket,
    write_bytes: TokenBucket,
    read_calls: TokenBucket,
    /// Holds one second of reading on top of the largest answer: a call may run up to one such answer into debt, and
    /// while there is debt there are no calls. That is how 10 MiB each five seconds, or 2 MiB each second, pass alike.
    read_bytes: TokenBucket,
}

impl ShardGate {
    /// The buckets of a shard. `known` is how many shards the map has: the measure of how many may be kept.
    pub(crate) fn limits(&self, key: ShardKey, known: usize) -> Arc<ShardLimits> {
        let mut shards = self.shards.lock();
        if let Some(limits) = shards.get(&key) {
            return Arc::clone(limits);
        }
        if shards.len() >= 2 * known + STALE_SHARDS_MAX {
            // A full bucket has no memory worth keeping, but telling a full one apart needs the time; starting all of
            // them afresh once in so many new shards gives one second's burst away.
            shards.clear();
        }
        let limits = Arc::new(ShardLimits::new());
        shards.insert(key, Arc::clone(&limits));
        limits
    }
}

impl ShardLimits {
    fn new() -> Self {
        let bucket = |per_second, burst| TokenBucket::new(TokenRate { per_second, burst });
        Self {
            write_records: bucket(SHARD_WRITE_RECORDS_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND),
            write_bytes: bucket(SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_BYTES_PER_SECOND),
            read_calls: bucket(SHARD_READS_PER_SECOND, SHARD_READS_PER_SECOND),
            read_bytes: bucket(
                SHARD_READ_BYTES_PER_SECOND,
                SHARD_READ_BYTES_PER_SECOND + GET_RECORDS_BYTES_MAX as u64,
            ),
        }
    }

    /// May a record of so many bytes (data and key) be written now? All or nothing.
    pub(crate) fn admit_record(&self, now: Monotonic, bytes: usize) -> bool {
        if self.write_records.try_take(now.nanos(), 1).is_err() {
            return false;
        }
        let admitted = self.write_bytes.try_take(now.nanos(), bytes as u64).is_ok();
        if !admitted {
            self.write_records.give_back(1);
        }
        admitted
    }

    /// May a read call go to the shard now?
    pub(crate) fn admit_read(&self, now: Monotonic) -> bool {
        let in_debt = self.read_bytes.available(now.nanos()) < GET_RECORDS_BYTES_MAX as u64;
        !in_debt && self.read_calls.try_take(now.nanos(), 1).is_ok()
    }

    /// Counts what a read call gave out.
    pub(crate) fn charge_read(&self, now: Monotonic, bytes: usize) {
        // Calls that were admitted together may together ask for more than is left: the rest is forgiven.
        let mut owed = bytes as u64;
        while owed > 0 {
            owed = owed.min(self.read_bytes.available(now.nanos()));
            if self.read_bytes.try_take(now.nanos(), owed).is_ok() {
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
        limits::MIB,
    };

    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(ms)
    }

    fn admitted(limits: &ShardLimits, bytes: usize, from_ms: u64, to_ms: u64) -> usize {
        (from_ms..to_ms).map(|ms| (0..10).filter(|_| limits.admit_record(at(ms), bytes)).count()).sum()
    }

    #[test]
    fn records_are_admitted_at_their_rate_after_the_burst() {
        let limits = ShardLimits::new();
        assert_eq!(admitted(&limits, 1, 0, 10_000), 1_000 + 9_999, "the burst, and one a millisecond");
    }

    #[test]
    fn bytes_are_admitted_at_their_rate_and_a_refused_record_costs_nothing() {
        let limits = ShardLimits::new();
        let records = admitted(&limits, 10 * 1024, 0, 10_000);
        let expected = (1.0 + 9.999) * MIB as f64 / (10.0 * 1024.0);
        assert!((expected - 1.0..=expected).contains(&(records as f64)), "{records} of {expected}");
        assert_eq!(limits.write_records.available(at(20_000).nanos()), SHARD_WRITE_RECORDS_PER_SECOND);
    }

    #[test]
    fn five_calls_a_second_may_read() {
        let limits = ShardLimits::new();
        let calls = (0..10_000).filter(|&ms| limits.admit_read(at(ms))).count();
        assert_eq!(calls, 5 + 49, "the burst, and one each 200 ms");
    }

    #[test]
    fn ten_mebibytes_at_once_are_paid_back_at_two_a_second() {
        let limits = ShardLimits::new();
        assert!(limits.admit_read(at(0)));
        limits.charge_read(at(0), 10 * MIB);
        assert!(!limits.admit_read(at(3_999)), "one second of reading was saved up, four are owed");
        assert!(limits.admit_read(at(4_000)));
        limits.charge_read(at(4_000), 10 * MIB);
        assert!(!limits.admit_read(at(8_999)), "nothing was saved up: five are owed");
        assert!(limits.admit_read(at(9_000)));
    }

    #[test]
    fn a_debt_is_never_deeper_than_the_bucket() {
        let limits = ShardLimits::new();
        limits.charge_read(at(0), 100 * MIB);
        assert!(!limits.admit_read(at(4_999)));
        assert!(limits.admit_read(at(5_000)));
    }

    #[test]
    fn buckets_of_shards_that_are_gone_do_not_pile_up() {
        let gate = ShardGate::default();
        for shard in 0..3 * STALE_SHARDS_MAX as u32 {
            gate.limits(ShardKey { stream: StreamId(1), shard: ShardIndex(shard) }, 1);
            assert!(gate.shards.lock().len() <= STALE_SHARDS_MAX + 2);
        }
    }
}
