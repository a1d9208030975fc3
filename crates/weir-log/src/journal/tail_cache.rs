//! The newest batches in memory, bounded in bytes over all shards.
//!
//! The committer adds each batch when it is durable and takes out the oldest of all. A batch costs nothing but the
//! bytes that it arrived in: they are shared, not copied.

use std::{collections::VecDeque, sync::Arc};

use weir_core::{batch::StoredBatch, sequence::RecordIndex};

use crate::shard::{Shard, ShardState};

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

    /// Adds the batch to `state`, which is `shard`'s and locked by the caller; [`Self::evict`] is due after that. Without
    /// room for any, nothing is ever in memory.
    pub(super) fn add(&mut self, shard: &Arc<Shard>, state: &mut ShardState, stored: StoredBatch) {
        if self.bytes_max == 0 {
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
