//! The newest batches in memory, bounded in bytes over all shards.
//!
//! The committer adds each batch when it is durable and takes out the oldest of all. A batch costs nothing but the
//! bytes that it arrived in: they are shared, not copied. Those of a shard that nobody reads are not kept: their memory is
//! still in the processor's caches when the next batch is laid out in it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use weir_core::{batch::StoredBatch, clock::Monotonic, sequence::RecordIndex};

use crate::shard::{Shard, ShardState};

/// Whoever follows a shard reads it more often than this. When nobody did for so long, its batches are not kept.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Which batches are cached, oldest first.
#[derive(Debug)]
pub(super) struct TailCache {
    bytes_max: usize,
    bytes: usize,
    order: VecDeque<Cached>,
}

#[derive(Debug)]
struct Cached {
    shard: Arc<Shard>,
    first: RecordIndex,
    bytes: usize,
}

impl TailCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, order: VecDeque::new() }
    }

    /// Adds the batch to `state`, which is `shard`'s and locked by the caller, if somebody reads it; [`Self::evict`] is due
    /// after that. Without room for any, nothing is ever in memory.
    pub(super) fn add(
        &mut self,
        shard: &Arc<Shard>,
        state: &mut ShardState,
        stored: StoredBatch,
        now: Monotonic,
    ) {
        let is_read = state.last_read.is_some_and(|read| now.since(read) <= READ_WITHIN);
        if self.bytes_max == 0 || !is_read {
            state.tail.clear(); // what is kept has no hole up to the tip
            return;
        }
        let bytes = stored.batch.body().len();
        self.bytes += bytes;
        self.order.push_back(Cached { shard: Arc::clone(shard), first: stored.first, bytes });
        state.tail.push_back(stored);
    }

    /// Takes the oldest batches out until the rest is within the bound. The caller holds no shard's lock.
    pub(super) fn evict(&mut self) {
        while self.bytes > self.bytes_max {
            let oldest = self.order.pop_front().expect("bytes are those of what is in order");
            self.bytes -= oldest.bytes;
            let mut state = oldest.shard.state.lock();
            while state.tail.front().is_some_and(|batch| batch.first <= oldest.first) {
                state.tail.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_core::{
        batch::{BatchBuilder, Record},
        clock::WallMs,
    };

    use super::*;
    use crate::shard::tests::shard;

    /// Adds a batch of one record, `first`, at `now` to a shard last read at `last_read`; says which batches it has then.
    fn add(
        cache: &mut TailCache,
        shard: &Arc<Shard>,
        first: RecordIndex,
        last_read: Option<Monotonic>,
        now: Monotonic,
    ) -> Vec<RecordIndex> {
        let mut builder = BatchBuilder::default();
        builder.push(&Record { partition_key: "key", explicit_hash_key: None, data: b"data" });
        let stored = StoredBatch { first, arrived: WallMs(1), batch: builder.finish() };
        let mut state = shard.state.lock();
        state.last_read = last_read;
        cache.add(shard, &mut state, stored, now);
        drop(state);
        cache.evict();
        firsts(shard)
    }

    fn firsts(shard: &Shard) -> Vec<RecordIndex> {
        shard.state.lock().tail.iter().map(|stored| stored.first).collect()
    }

    #[test]
    fn a_shard_that_nobody_reads_any_more_has_no_tail_in_memory() {
        let (mut cache, shard) = (TailCache::new(1 << 20), Arc::new(shard()));
        let read = Monotonic(7);
        let last = Monotonic(7 + u64::try_from(READ_WITHIN.as_nanos()).unwrap());
        assert_eq!(add(&mut cache, &shard, 5, None, last), [0; 0]);
        assert_eq!(add(&mut cache, &shard, 6, Some(read), read), [6]);
        assert_eq!(add(&mut cache, &shard, 7, Some(read), last), [6, 7]);
        assert_eq!(add(&mut cache, &shard, 8, Some(read), Monotonic(last.0 + 1)), [0; 0], "no hole is left");
        assert_eq!(add(&mut cache, &shard, 9, Some(last), Monotonic(last.0 + 1)), [9]);
    }

    #[test]
    fn the_oldest_of_all_shards_goes_first() {
        let (a, b) = (Arc::new(shard()), Arc::new(shard()));
        let now = Monotonic(7);
        let mut cache = TailCache::new(1 << 20);
        add(&mut cache, &Arc::new(shard()), 5, Some(now), now);
        let batch_bytes = cache.bytes;
        let mut cache = TailCache::new(3 * batch_bytes);
        for (shard, first) in [(&a, 6), (&b, 5), (&a, 7)] {
            add(&mut cache, shard, first, Some(now), now);
        }
        // What a shard let go of when nobody read it goes the same way, and takes nothing newer with it.
        add(&mut cache, &a, 8, None, now);
        assert_eq!(add(&mut cache, &a, 9, Some(now), now), [9]);
        assert_eq!(add(&mut cache, &b, 6, Some(now), now), [6], "the older one of it was the oldest of all");
        assert_eq!(add(&mut cache, &b, 7, Some(now), now), [6, 7]);
        assert_eq!((firsts(&a), cache.bytes), (vec![9], 3 * batch_bytes));
    }
}
