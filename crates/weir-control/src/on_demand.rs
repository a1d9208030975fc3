//! Growth of on-demand streams: what they take in against what their shards could.
//!
//! Pure: the machine feeds it what nodes report and carries growth out as any reshard. It must never shrink a stream: AWS
//! keeps what a stream has grown to for the peaks to come.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use weir_core::{
    clock::Monotonic,
    id::StreamId,
    limits::{MIB, SHARDS_PER_STREAM_MAX, STREAMS_MAX},
};
use weir_wire::control::StreamTraffic;

/// What a shard can take in (AWS), whatever limits are set: growth is about AWS's capacity.
const SHARD_BYTES_PER_SECOND: u64 = MIB as u64;
/// As above.
const SHARD_RECORDS_PER_SECOND: u64 = 1_000;
/// Over how long traffic is measured. AWS grows within a quarter of an hour; whoever tries it here waits for seconds.
pub const GROWTH_WINDOW: Duration = Duration::from_secs(10);
/// A stream grows when it takes in more than one in so many parts of what its shards could: AWS keeps room for double the
/// peak.
pub const GROWTH_SHARE: u64 = 2;
/// By how much it grows (AWS: to double).
pub const GROWTH_FACTOR: u32 = 2;

/// What streams took in lately.
#[derive(Debug, Default)]
pub struct TrafficBook {
    windows: BTreeMap<StreamId, Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Monotonic,
    bytes: u64,
    records: u64,
}

impl TrafficBook {
    /// Adds what a stream of `open` shards took in since the last report. Gives back how many shards it should have, when
    /// a window has ended and that is more.
    pub fn add(&mut self, now: Monotonic, traffic: StreamTraffic, open: u32) -> Option<NonZeroU32> {
        if self.windows.len() >= STREAMS_MAX && !self.windows.contains_key(&traffic.stream) {
            self.windows.retain(|_, window| now.since(window.since) < 2 * GROWTH_WINDOW);
        }
        let fresh = Window { since: now, bytes: 0, records: 0 };
        let window = self.windows.entry(traffic.stream).or_insert(fresh);
        if now.since(window.since) >= 2 * GROWTH_WINDOW {
            *window = fresh; // it was quiet since: that is no traffic of now
        }
        window.bytes += traffic.bytes;
        window.records += traffic.records;
        let over = now.since(window.since);
        if over < GROWTH_WINDOW {
            return None;
        }
        let ended = std::mem::replace(window, fresh);
        grown(open, ended.bytes, ended.records, over)
    }

    /// What was counted so far says nothing about the stream as it is now.
    pub fn forget(&mut self, stream: StreamId) {
        self.windows.remove(&stream);
    }
}

/// How many shards a stream of `open` should have that took in so much over that time, if more.
pub fn grown(open: u32, bytes: u64, records: u64, over: Duration) -> Option<NonZeroU32> {
    let millis = over.as_millis().max(1);
    let exceeds = |taken: u64, shard_per_second: u64| {
        let capacity = u128::from(shard_per_second) * u128::from(open);
        u128::from(taken) * 1_000 * u128::from(GROWTH_SHARE) > capacity * millis
    };
    let busy = exceeds(bytes, SHARD_BYTES_PER_SECOND) || exceeds(records, SHARD_RECORDS_PER_SECOND);
    let target = open.saturating_mul(GROWTH_FACTOR).min(SHARDS_PER_STREAM_MAX);
    NonZeroU32::new(target).filter(|target| busy && target.get() > open)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(ms)
    }

    fn taken(records: u64) -> StreamTraffic {
        StreamTraffic { stream: StreamId(1), bytes: 0, records }
    }

    #[test]
    fn a_stream_is_doubled_above_half_of_its_capacity_by_bytes_or_by_records() {
        let shards = |bytes, records| grown(4, bytes, records, SECOND).map(NonZeroU32::get);
        assert_eq!(shards(2 << 20, 2_000), None, "half is not more than half");
        assert_eq!(shards((2 << 20) + 1, 0), Some(8));
        assert_eq!(shards(0, 2_001), Some(8));
        assert_eq!(grown(4, 0, 20_000, 10 * SECOND), None);
        assert_eq!(grown(6_000, u64::MAX, 0, SECOND).map(NonZeroU32::get), Some(SHARDS_PER_STREAM_MAX));
        assert_eq!(grown(SHARDS_PER_STREAM_MAX, u64::MAX, 0, SECOND), None);
    }

    #[test]
    fn a_burst_is_judged_over_the_whole_window_and_an_old_one_not_at_all() {
        let mut book = TrafficBook::default();
        assert_eq!(book.add(at(0), taken(19_000), 4), None);
        assert_eq!(book.add(at(9_999), taken(1_000), 4), None);
        assert_eq!(book.add(at(10_000), taken(0), 4), None, "20,000 in ten seconds are half");
        assert_eq!(book.add(at(10_000), taken(20_001), 4), None);
        assert_eq!(book.add(at(20_000), taken(0), 4).map(NonZeroU32::get), Some(8));
        book.add(at(20_000), taken(90_000), 4);
        assert_eq!(book.add(at(40_000), taken(1), 4), None, "quiet for two windows");
        book.add(at(40_000), taken(90_000), 4);
        book.forget(StreamId(1));
        assert_eq!(book.add(at(50_000), taken(1), 4), None);
    }
}
