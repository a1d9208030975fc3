//! Retention: which records are too old to be served, and which segments hold nothing else.
//!
//! The node calls it now and then with its streams' hours. Records are trimmed at once and to the batch; segments
//! are dropped whole, oldest first, and what lies behind a segment that is still kept goes by rewriting. One that is needed
//! to tell what shards there were stays: without it the log would not open again.

use std::time::Duration;

use weir_core::{clock::WallMs, id::ShardKey};

use super::{Journal, done::Done, stage::Write};
use crate::{error::WriteError, frame::FRAME_HEADER_BYTES, segment::beginning_before};

/// What retention did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetainOutcome {
    /// Segments that are no longer there: spares now, or on their way back to the disk.
    pub segments_dropped: usize,
}

impl Journal {
    /// Stops serving records that arrived more than `keep(shard)` before `now`, and drops the oldest segments as long
    /// as every batch in them is that old and what is left tells of all shards. `on_done` is called once, as in [`Self::open_shard`].
    pub fn retain(
        &self,
        keep: impl Fn(ShardKey) -> Duration,
        now: WallMs,
        on_done: impl FnOnce(Result<RetainOutcome, WriteError>) + Send + 'static,
    ) {
        let segments = self.shared.segments.read();
        let oldest_segment = *segments.keys().next().expect("there is always one");
        let mut first = *segments.keys().next_back().expect("there is always one");
        drop(segments);
        let shards: Vec<_> = self.shared.shards.read().values().cloned().collect();
        for shard in shards {
            let age_max = u64::try_from(keep(shard.key).as_millis()).unwrap_or(u64::MAX);
            let cutoff = WallMs(now.0.saturating_sub(age_max));
            let mut state = shard.state.lock();
            let oldest = state.runs.arrived_since(cutoff).unwrap_or(state.tip);
            state.trim_to(oldest);
            if let Some(needed) = state.runs.segment_of(state.oldest) {
                first = first.min(needed);
            }
        }
        // Nor is it said of one that it is not kept as long as it is needed: a start believes that.
        first = beginning_before(first, self.shared.segments.read().values());
        let done = Done::new(on_done);
        if first > oldest_segment {
            self.enqueue(Write::Retain { first, done }, FRAME_HEADER_BYTES);
        } else {
            done.succeed(RetainOutcome { segments_dropped: 0 });
        }
    }
}
