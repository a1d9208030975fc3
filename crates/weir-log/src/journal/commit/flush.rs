//! From staged frames to durable ones: the write, the sync, and what becomes of everybody when one of them fails.
//!
//! A group is written under the committer's lock and synced without it, so that the next one can be written meanwhile,
//! behind it in the file. Groups are handed out, synced and finished one after another: nothing is published that a sync
//! which began later has to bring to the disk, and what was written behind a failed sync fails with it.

use std::{
    io::IoSlice,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use weir_core::{clock::Monotonic, limits::COMMIT_GROUP_BYTES_MAX};

use super::{Committer, Need, Shared, StagedFrame, Then, Write};
use crate::{
    disk::write_all_at,
    error::{StorageError, WriteError},
    segment::{Segment, SegmentSequence},
};

/// When half a segment took longer to fill, there is time to write zeros into the next one, three quarters as long: the other
/// half takes as long again if nothing changes. A whole segment in that time is a third of what a slow disk writes.
const ZEROS_WORTH: Duration = Duration::from_millis(500);
/// They are spread over no more than this, however slowly segments are filled: rewriting waits meanwhile.
const ZEROS_TIME_MAX: Duration = Duration::from_secs(4);

/// Frames that are in the file and become durable with the next sync.
#[derive(Debug)]
pub(super) struct Group {
    segment: Arc<Segment>,
    frames: Vec<StagedFrame>,
    /// Where they end.
    end: u32,
    /// Does it end with a sync?
    is_synced: bool,
    /// When it was begun to be written.
    begun: Monotonic,
}

impl Group {
    /// Brings the frames to the disk, if that is promised, with all that is in the file by then.
    pub(super) fn sync(&self, shared: &Shared) -> Result<(), StorageError> {
        if !self.is_synced {
            return Ok(());
        }
        let written = shared.clock.now();
        self.segment.sync_data()?;
        shared.counters.syncs.add(1);
        shared.counters.sync_nanos.add_time(shared.clock.now().since(written));
        Ok(())
    }
}

impl Committer {
    /// Writes and syncs what is staged, then answers, all under the lock.
    pub(super) fn flush(&mut self) {
        if let Some(group) = self.hand_out() {
            let synced = group.sync(&self.shared);
            self.finish(group, synced);
        }
    }

    /// Writes what is not written yet and hands out all that is staged. Whoever gets it syncs and finishes it before the next
    /// is handed out. `None`: nothing is staged, or it could not be written.
    pub(super) fn hand_out(&mut self) -> Option<Group> {
        assert_eq!(self.handed_out_to, None, "the group before is finished");
        if self.staged.is_empty() {
            return None;
        }
        if let Some(cause) = self.shared.stopped.get() {
            // Somebody else's failure, since these were staged: nothing is acknowledged any more.
            let cause = Arc::clone(cause);
            self.fail_staged(&cause);
            return None;
        }
        let begun = self.shared.clock.now();
        if let Err(error) = self.write_staged() {
            self.fail(error, Vec::new());
            return None;
        }
        let is_synced = self.syncs_staged();
        let (segment, end) = (Arc::clone(&self.active.segment), self.active.written_end);
        self.handed_out_to = Some(end);
        self.shared.flushing.store(true, Ordering::Relaxed);
        self.written = 0;
        Some(Group { segment, frames: std::mem::take(&mut self.staged), end, is_synced, begun })
    }

    /// Publishes what a sync made durable and answers, or answers that it failed.
    pub(super) fn finish(&mut self, group: Group, synced: Result<(), StorageError>) {
        assert_eq!(self.handed_out_to.take(), Some(group.end), "this group was handed out");
        self.shared.flushing.store(false, Ordering::Relaxed);
        if let Err(error) = synced {
            return self.fail(error, group.frames);
        }
        let now = self.shared.clock.now();
        self.last_flush = now.since(group.begun);
        self.active.end = group.end;
        if group.is_synced {
            self.active.synced_end = group.end;
        }
        self.publish(group.frames, now);
        self.staged_shards.clear();
        self.prepare_next();
    }

    /// Writes appends that wait behind the group that is being synced, as far as they fit into this segment and into one
    /// more group: the next sync has them. Whoever holds the lock may do it.
    pub(super) fn write_ahead(&mut self) {
        let shared = Arc::clone(&self.shared);
        let Some(synced_to) = self.handed_out_to.filter(|_| shared.stopped.get().is_none()) else { return };
        let ahead = (self.active.staged_end - synced_to) as usize;
        let left = shared.config.marks_bytes();
        let mut need = Need { frame_bytes: 0, runs: 0, entries: 0, shards_bytes: self.shards_bytes, left };
        let mut group = std::mem::take(&mut self.group);
        let taken = shared.gate.take_while(&mut group, |write, bytes| {
            need.frame_bytes += bytes;
            need.runs += 1;
            need.entries += 1;
            matches!(write, Write::Append { .. })
                && ahead + need.frame_bytes <= COMMIT_GROUP_BYTES_MAX
                && self.active.fits(&shared.config, need)
        });
        if taken > 0 {
            self.stage_group(group.drain(..));
            match self.write_staged() {
                Ok(()) => {
                    shared.counters.groups_overlapped.add(1);
                    shared.gate.call_second(shared.config.overlap_bytes_min);
                }
                Err(error) => self.fail(error, Vec::new()),
            }
        }
        self.group = group;
    }

    /// Writes those of the staged frames that are not in the file yet.
    fn write_staged(&mut self) -> Result<(), StorageError> {
        let (shared, segment) = (&self.shared, &self.active.segment);
        let frames = &self.staged[self.written..];
        if frames.is_empty() {
            return Ok(());
        }
        let mut parts = Vec::with_capacity(frames.len() * 2);
        let mut offset = self.active.written_end;
        for frame in frames {
            assert_eq!(frame.offset, offset, "frames lie one after another");
            offset += u32::try_from(frame.header.len() + frame.body.len()).expect("it fits the segment");
            parts.push(IoSlice::new(&frame.header));
            parts.push(IoSlice::new(&frame.body));
        }
        assert_eq!(offset, self.active.staged_end, "what was placed is what is written");
        let begun = shared.clock.now();
        write_all_at(segment.file.as_ref(), u64::from(self.active.written_end), &mut parts)
            .map_err(|source| segment.error("write", source))?;
        shared.counters.written_bytes.add(u64::from(offset - self.active.written_end));
        shared.counters.write_nanos.add_time(shared.clock.now().since(begun));
        self.active.written_end = offset;
        self.written = self.staged.len();
        Ok(())
    }

    /// Does what is staged end with a sync? Under `os` only when it lets go of segments: what is dropped before the word that
    /// it may be missing is on disk would be missed after a power loss.
    fn syncs_staged(&self) -> bool {
        let drops = |frame: &StagedFrame| matches!(frame.then, Then::Retained { .. });
        let config = &self.shared.config;
        config.syncs() || (config.syncs_segments() && self.staged.iter().any(drops))
    }

    /// Nothing more is written: `frames` and all that is staged behind them were not made durable.
    fn fail(&mut self, error: StorageError, frames: Vec<StagedFrame>) {
        let cause = self.shared.stop(error);
        let staged = std::mem::take(&mut self.staged);
        self.staged = frames;
        self.staged.extend(staged);
        self.fail_staged(&cause);
    }

    /// Answers all that is staged that it was not made durable, because of `cause`.
    fn fail_staged(&mut self, cause: &Arc<StorageError>) {
        for frame in self.staged.drain(..) {
            self.shared.counters.failed.add(1);
            frame.then.fail(WriteError::Storage(Arc::clone(cause)));
        }
        self.written = 0;
        self.staged_shards.clear();
    }

    /// Has the next segment laid out in time.
    fn prepare_next(&mut self) {
        if !self.active.is_half_full(&self.shared.config) {
            return;
        }
        let half_took = self.shared.clock.now().since(self.begun);
        let (shared, here) = (&self.shared, self.active.segment.sequence);
        let zeros_over = zeros_over(half_took).filter(|_| shared.config.zeros_ahead);
        self.layout.prepare(zeros_over, || {
            let behind = shared.config.kernel_cache_bytes / shared.config.segment_bytes;
            let old = SegmentSequence(here.0.checked_sub(behind.max(1))?);
            shared.segments.read().get(&old).cloned()
        });
    }
}

/// Over which time zeros are written into the next segment, if there is any, when half of this one took so long to fill.
fn zeros_over(half_took: Duration) -> Option<Duration> {
    (half_took > ZEROS_WORTH).then(|| (half_took * 3 / 4).min(ZEROS_TIME_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_written_when_there_is_time_and_done_before_the_other_half_is_full() {
        let over = |millis| zeros_over(Duration::from_millis(millis)).map(|time| time.as_millis());
        assert_eq!([0, 500].map(over), [None, None], "under load they would take the disk from the records");
        assert_eq!([600, 4_000].map(over), [Some(450), Some(3_000)]);
        assert_eq!(over(3_600_000), Some(4_000), "rewriting does not wait for hours");
    }
}
