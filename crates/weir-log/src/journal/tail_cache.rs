//! The newest batches in memory, bounded in bytes over all shards.
//!
//! The committer adds each batch when it is durable and takes out the oldest of all. A batch costs nothing but the
//! bytes that it arrived in: they are shared, not copied. Those of a shard that nobody reads are not kept: their memory is
//! still in the processor's caches when the next batch is laid out in it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use weir_core::{batch::StoredBatch, clock::Monotonic, limits::NODE_AWAIT_MAX, sequence::RecordIndex};

use crate::shard::{Shard, ShardState};

/// When nobody read a shard or waited for it for so long, its batches are not kept.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Batches that one [`TailCache::evict`] gives back beyond those that the bound needs: it goes on when more is published.
const EVICTED_MAX: usize = 64;

const _: () = assert!(
    READ_WITHIN.as_nanos() > NODE_AWAIT_MAX.as_nanos(),
    "who waits for records asks again in between"
);

/// Which batches are cached, oldest first.
#[derive(Debug)]
pub(super) struct TailCache {
    bytes_max: usize,
    /// Bytes of what is in order, also where a shard has let go of it since.
    bytes: usize,
    order: VecDeque<Cached>,
    /// What shards have let go of and is not given back yet.
    let_go: Vec<VecDeque<StoredBatch>>,
}

#[derive(Debug)]
struct Cached {
    shard: Arc<Shard>,
    first: RecordIndex,
    bytes: usize,
}

impl TailCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, order: VecDeque::new(), let_go: Vec::new() }
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
        if self.bytes_max == 0 || !is_read(state, now) {
            // What is kept has no hole up to the tip.
            if !state.tail.is_empty() {
                self.let_go.push(std::mem::take(&mut state.tail));
            }
            return;
        }
        let bytes = stored.batch.body().len();
        self.bytes += bytes;
        self.order.push_back(Cached { shard: Arc::clone(shard), first: stored.first, bytes });
        state.tail.push_back(stored);
    }

    /// Takes the oldest batches out: as many as the bound needs and, a few at a time, those of shards that nobody reads and
    /// what shards have let go of. Whoever appends waits for it. The caller holds no shard's lock.
    pub(super) fn evict(&mut self, now: Monotonic) {
        let mut left = EVICTED_MAX;
        while left > 0
            && let Some(batches) = self.let_go.last_mut()
        {
            let given_back = left.min(batches.len());
            batches.drain(..given_back);
            left -= given_back;
            if batches.is_empty() {
                self.let_go.pop();
            }
        }
        while let Some(oldest) = self.order.front() {
            let mut state = oldest.shard.state.lock();
            if self.bytes <= self.bytes_max && (left == 0 || is_read(&state, now)) {
                break;
            }
            while state.tail.front().is_some_and(|batch| batch.first <= oldest.first) {
                state.tail.pop_front();
            }
            drop(state);
            self.bytes -= oldest.bytes;
            self.order.pop_front();
            left = left.saturating_sub(1);
        }
    }
}

/// Did somebody lately?
fn is_read(state: &ShardState, now: Monotonic) -> bool {
    state.last_read.is_some_and(|read| now.since(read) <= READ_WITHIN)
}

#[cfg(test)]
mod tests {
    use weir_core::{
        batch::{BatchBuilder, Record},
        clock::WallMs,
    };

    use super::*;
    use crate::shard::tests::shard;

    fn stored(first: RecordIndex) -> StoredBatch {
        let mut builder = BatchBuilder::default();
        builder.push(&Record { partition_key: "key".into(), explicit_hash_key: None, data: b"data" });
        StoredBatch { first, arrived: WallMs(1), batch: builder.finish() }
    }

    /// Adds a batch of one record, `first`, at `now` to a shard last read at `last_read`; says which batches it has then.
    fn add(
        cache: &mut TailCache,
        shard: &Arc<Shard>,
        first: RecordIndex,
        last_read: Option<Monotonic>,
        now: Monotonic,
    ) -> Vec<RecordIndex> {
        let mut state = shard.state.lock();
        state.last_read = last_read;
        cache.add(shard, &mut state, stored(first), now);
        drop(state);
        cache.evict(now);
        firsts(shard)
    }

    fn firsts(shard: &Shard) -> Vec<RecordIndex> {
        shard.state.lock().tail.iter().map(|stored| stored.first).collect()
    }

    #[test]
    fn a_shard_that_nobody_reads_any_more_has_no_tail_in_memory() {
        let (mut cache, shard) = (TailCache::new(1 << 20), Arc::new(shard()));
        let (read, last, late) = times();
        assert_eq!(add(&mut cache, &shard, 5, None, last), [0; 0]);
        assert_eq!(add(&mut cache, &shard, 6, Some(read), read), [6]);
        assert_eq!(add(&mut cache, &shard, 7, Some(read), last), [6, 7]);
        assert_eq!(add(&mut cache, &shard, 8, Some(read), late), [0; 0], "no hole is left");
        assert_eq!(add(&mut cache, &shard, 9, Some(last), late), [9]);
    }

    /// When a shard was read, the last moment at which that counts, and the one after it.
    fn times() -> (Monotonic, Monotonic, Monotonic) {
        let last = 7 + u64::try_from(READ_WITHIN.as_nanos()).unwrap();
        (Monotonic(7), Monotonic(last), Monotonic(last + 1))
    }

    #[test]
    fn what_nobody_reads_goes_also_where_nothing_more_comes() {
        let (a, b) = (Arc::new(shard()), Arc::new(shard()));
        let mut cache = TailCache::new(1 << 20);
        let (read, last, late) = times();
        add(&mut cache, &a, 5, Some(read), read);
        add(&mut cache, &b, 5, Some(read), read);
        add(&mut cache, &a, 6, Some(read), read);
        cache.evict(last);
        assert_eq!((firsts(&a), firsts(&b)), (vec![5, 6], vec![5]));
        b.state.lock().last_read = Some(last);
        cache.evict(late);
        assert_eq!((firsts(&a), firsts(&b)), (vec![6], vec![5]), "as far as no other's is older");
        assert_eq!(cache.order.len(), 2);
    }

    #[test]
    fn what_nobody_reads_goes_a_few_at_a_time() {
        let shard = Arc::new(shard());
        let (read, _, late) = times();
        let mut cache = TailCache::new(1 << 20);
        let kept = 2 * EVICTED_MAX as u64;
        for first in 5..5 + kept {
            add(&mut cache, &shard, first, Some(read), read);
        }
        cache.evict(late);
        assert_eq!(firsts(&shard).len(), EVICTED_MAX);
        shard.state.lock().last_read = Some(late); // somebody is back: the rest stays
        cache.evict(late);
        assert_eq!(firsts(&shard).len(), EVICTED_MAX);
        add(&mut cache, &shard, 5 + kept, None, late);
        assert_eq!((firsts(&shard).len(), cache.let_go.len()), (0, 0), "as many as one call gives back");
        add(&mut cache, &shard, 6 + kept, Some(late), late);
        let bytes_max = cache.bytes_max;
        cache.bytes_max = 0;
        cache.evict(late);
        assert_eq!((cache.order.len(), cache.bytes), (0, 0), "the bound counts at once");
        cache.bytes_max = bytes_max;
        for first in 7 + kept..7 + 2 * kept {
            add(&mut cache, &shard, first, Some(late), late);
        }
        let mut state = shard.state.lock();
        state.last_read = None;
        cache.add(&shard, &mut state, stored(7 + 2 * kept), late);
        drop(state);
        let held = |cache: &TailCache| cache.let_go.iter().map(VecDeque::len).sum::<usize>();
        assert_eq!(held(&cache), 2 * EVICTED_MAX);
        cache.evict(late);
        assert_eq!(held(&cache), EVICTED_MAX, "what was let go of, too");
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
        assert_eq!(add(&mut cache, &a, 8, Some(now), now), [7, 8]);
        assert_eq!(add(&mut cache, &a, 9, Some(now), now), [7, 8, 9]);
        assert_eq!((firsts(&b), cache.bytes), (vec![], 3 * batch_bytes), "b's was the oldest then");
    }

    #[test]
    fn what_a_shard_has_let_go_of_takes_nothing_newer_with_it() {
        let shard = Arc::new(shard());
        let (read, _, late) = times();
        let mut cache = TailCache::new(1 << 20);
        let mut state = shard.state.lock();
        for (first, at) in [(5, read), (6, late)] {
            state.last_read = Some(read);
            cache.add(&shard, &mut state, stored(first), at);
        }
        state.last_read = Some(late);
        cache.add(&shard, &mut state, stored(7), late);
        drop(state);
        assert_eq!((cache.order.len(), cache.let_go.len()), (2, 1));
        cache.bytes_max = stored(7).batch.body().len();
        cache.evict(late);
        assert_eq!((firsts(&shard), cache.bytes, cache.let_go.len()), (vec![7], cache.bytes_max, 0));
    }
}
