//! What happens once frames are durable: the index and the watermark move, then callers are answered.
//!
//! In that order, for the whole group: whoever hears an acknowledgement finds its record.

use std::sync::Arc;

use weir_core::{
    batch::StoredBatch,
    clock::{Monotonic, WallMs},
    shard::OwnedShard,
};

use super::{Committer, StagedFrame, Then};
use crate::{
    error::WriteError,
    frame::FRAME_HEADER_BYTES,
    journal::{AppendOutcome, retain::RetainOutcome},
    segment::{LogPlace, beginning_before, layout::Recycled, uncovered_before},
    shard::Shard,
    shard_index::{Indexed, Runs},
    snapshot::{ShardSnapshot, shard_bytes_max},
};

/// An answer that is due.
type Answer = Box<dyn FnOnce()>;

impl Committer {
    /// Makes `frames`, durable `now`, visible and answers.
    pub(super) fn publish(&mut self, frames: Vec<StagedFrame>, now: Monotonic) {
        let mut answers: Vec<Answer> = Vec::with_capacity(frames.len());
        for frame in frames {
            answers.push(self.publish_frame(frame, now));
        }
        for answer in answers {
            answer();
        }
        self.cache.evict(now); // behind the answers: only the next group waits for it
    }

    fn publish_frame(&mut self, frame: StagedFrame, now: Monotonic) -> Answer {
        match frame.then {
            Then::Appended { shard, batch, numbered, done } => {
                let (first, arrived, count) = (numbered.first, numbered.arrived, batch.count());
                let bytes = FRAME_HEADER_BYTES + batch.body().len();
                let indexed = Indexed {
                    offset: frame.offset,
                    bytes: u32::try_from(bytes).expect("it fits the segment"),
                    first,
                    count,
                    arrived,
                };
                let counters = &self.shared.counters;
                counters.appends.add(1);
                counters.records.add(u64::from(count));
                counters.append_bytes.add(batch.body().len() as u64);
                let mut state = shard.state.lock();
                assert_eq!(state.tip, first, "the watermark moves without a hole");
                state.runs.push(&self.active.segment, indexed);
                state.tip = first + u64::from(count);
                state.last_arrived = arrived;
                self.cache.add(&shard, &mut state, StoredBatch { first, arrived, batch }, now);
                drop(state);
                shard.watermark.raise(first + u64::from(count));
                Box::new(move || done.succeed(AppendOutcome { first, count, arrived }))
            }
            Then::Opened { owned, opened, done } => {
                self.publish_opened(owned, opened);
                Box::new(move || done.succeed(()))
            }
            Then::Closed { key, closed, done } => {
                let shard = self.shared.shard(key).expect("deleted after it was closed, if at all");
                let mut state = shard.state.lock();
                assert_eq!(state.tip, closed.end, "every record before the end is durable");
                state.owned.closed = Some(closed);
                state.staged.closed = Some(closed);
                drop(state);
                shard.watermark.end();
                Box::new(move || done.succeed(closed))
            }
            Then::Deleted { key, done } => {
                if let Some(shard) = self.shared.shards.write().remove(&key) {
                    let mut state = shard.state.lock();
                    state.staged.deleted = true; // it may have been opened behind the look that staged this
                    self.shards_bytes -= shard_bytes_max(&state.owned);
                    // Whoever still holds the shard must not keep its segments from being dropped.
                    state.runs = Runs::default();
                    state.tail.clear();
                    drop(state);
                    shard.watermark.end();
                }
                Box::new(move || done.succeed(()))
            }
            Then::Retained { first, done } => {
                self.durable_first_segment = first;
                let dropped = self.drop_segments();
                Box::new(move || match dropped {
                    Ok(segments_dropped) => done.succeed(RetainOutcome { segments_dropped }),
                    Err(error) => done.fail(error),
                })
            }
        }
    }

    fn publish_opened(&self, owned: OwnedShard, opened: LogPlace) {
        let mut shards = self.shared.shards.write();
        match shards.get(&owned.key) {
            Some(shard) => shard.state.lock().owned = owned,
            None => {
                let (key, last_arrived) = (owned.key, WallMs(0));
                let snapshot =
                    ShardSnapshot { owned, opened, next: 0, oldest: 0, last_arrived, damage: None };
                shards.insert(key, Arc::new(Shard::new(snapshot, Runs::default())));
            }
        }
    }

    /// Lets go of segments that recovery would not look for any more, and says how many went. Those whose names did not go, or
    /// that are needed to tell what shards there were, are tried again the next time.
    pub(super) fn drop_segments(&self) -> Result<usize, WriteError> {
        let (shared, first) = (&self.shared, self.durable_first_segment);
        let _names = shared.names.lock();
        for shard in shared.shards.read().values() {
            let mut state = shard.state.lock();
            state.runs.forget_before(first);
            let oldest = state.runs.first().unwrap_or(state.tip);
            state.trim_to(oldest);
        }
        let mut segments = shared.segments.write();
        let first = beginning_before(first, segments.values());
        let kept = segments.split_off(&first);
        let covered_to = uncovered_before(first, kept.values());
        // What is covered goes with what stands for it, and before: alone, it would be taken for what the log begins with.
        let mut going = std::mem::replace(&mut *segments, kept);
        drop(segments);
        let mut covered = shared.covered.lock();
        let due = covered.partition_point(|segment| segment.sequence < covered_to);
        going.extend(covered.drain(..due).map(|segment| (segment.sequence, segment)));
        drop(covered);
        let count = going.len();
        let Recycled { left, gone } = shared.spares.recycle(going.into_values());
        let count = count - left.len();
        let left = left.into_iter().map(|segment| (segment.sequence, segment));
        shared.segments.write().extend(left);
        // Before any of them is used again: a new segment's bytes must never be found under an old one's name.
        match shared.config.sync_names() {
            Ok(()) => shared.spares.leaving.take(gone),
            Err(error) => return Err(WriteError::Storage(shared.stop(error))),
        }
        Ok(count)
    }
}
