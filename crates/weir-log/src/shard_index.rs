//! The index of one shard: which record lies where, and when it arrived.
//!
//! Filled by the committer after each sync, rebuilt by recovery, asked by readers and by retention, moved by rewriting. It
//! holds 16 bytes for each stored batch and 64 for each segment that the shard is in, and it never reads a file.

use std::{collections::VecDeque, sync::Arc};

use weir_core::{clock::WallMs, sequence::RecordIndex};

use crate::segment::{LogPlace, Segment, SegmentSequence};

/// One stored batch. Offsets and differences fit 32 bits because a segment's length does and because a run ends
/// before its times do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where the frame is in the segment.
    pub(crate) offset: u32,
    /// Bytes of the whole frame.
    pub(crate) bytes: u32,
    /// Index of its first record, counted from the run's.
    pub(crate) first_delta: u32,
    /// Its arrival, milliseconds after the run's first.
    pub(crate) arrived_delta: u32,
}

impl Entry {
    /// Of `batch` in a run whose first record is `first` and came at `base`; `None` when its time does not fit into the
    /// run's 32 bits.
    pub(crate) fn of(batch: Indexed, first: RecordIndex, base: WallMs) -> Option<Self> {
        Some(Self {
            offset: batch.offset,
            bytes: batch.bytes,
            first_delta: u32::try_from(batch.first - first).expect("bounded by the segment's length"),
            arrived_delta: u32::try_from(batch.arrived.0.checked_sub(base.0)?).ok()?,
        })
    }
}

const _: () = assert!(size_of::<Entry>() == 16 && size_of::<Run>() == 64, "the stated cost of the index");

/// Batches of the shard that are in one segment, without a hole.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) segment: Arc<Segment>,
    /// The first record.
    pub(crate) first: RecordIndex,
    /// The record after the last.
    pub(crate) end: RecordIndex,
    /// When the first batch arrived.
    pub(crate) base: WallMs,
    /// Bytes of all its frames.
    bytes: u64,
    pub(crate) entries: Vec<Entry>,
}

/// What a shard keeps of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    /// Bytes of the frames.
    pub(crate) bytes: u64,
    /// Frames.
    pub(crate) entries: u64,
    /// Runs that they are in.
    pub(crate) runs: u64,
}

/// A batch that is to be indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
    pub(crate) first: RecordIndex,
    pub(crate) count: u32,
    pub(crate) arrived: WallMs,
}

/// A frame to be read.
#[derive(Debug, Clone)]
pub(crate) struct FrameRead {
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
    pub(crate) first: RecordIndex,
}

impl FrameRead {
    /// Whether `next` lies right behind it.
    pub(crate) fn is_followed_by(&self, next: &Self) -> bool {
        self.segment.sequence == next.segment.sequence && self.offset + self.bytes == next.offset
    }

    /// Where it lies.
    pub(crate) fn place(&self) -> LogPlace {
        LogPlace { segment: self.segment.sequence, offset: self.offset }
    }
}

/// Does a batch that came at `arrived` fit into the 32 bits of a run whose first came at `base`?
pub(crate) fn fits(base: WallMs, arrived: WallMs) -> bool {
    arrived.0.checked_sub(base.0).is_some_and(|after| after <= u64::from(u32::MAX))
}

/// All batches of a shard in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runs {
    runs: VecDeque<Run>,
}

impl Run {
    /// Batches that lie in `segment`, one after another.
    pub(crate) fn new(
        segment: Arc<Segment>,
        first: RecordIndex,
        end: RecordIndex,
        base: WallMs,
        entries: Vec<Entry>,
    ) -> Self {
        let bytes = entries.iter().map(|entry| u64::from(entry.bytes)).sum();
        Self { segment, first, end, base, bytes, entries }
    }

    /// When the newest batch arrived.
    pub(crate) fn last_arrived(&self) -> WallMs {
        let delta = self.entries.last().map_or(0, |entry| entry.arrived_delta);
        WallMs(self.base.0 + u64::from(delta))
    }

    fn first_of(&self, entry: &Entry) -> RecordIndex {
        self.first + u64::from(entry.first_delta)
    }

    /// The entries of batches that hold a record from `oldest` on.
    fn kept(&self, oldest: RecordIndex) -> &[Entry] {
        let held = self.entries.partition_point(|entry| self.first_of(entry) <= oldest);
        if self.end <= oldest { &[] } else { &self.entries[held.saturating_sub(1)..] }
    }

    /// The batches of [`Self::kept`], as they were indexed.
    fn batches(&self, oldest: RecordIndex) -> impl Iterator<Item = Indexed> + '_ {
        let kept = self.kept(oldest);
        kept.iter().enumerate().map(|(at, entry)| {
            let first = self.first_of(entry);
            let end = kept.get(at + 1).map_or(self.end, |next| self.first_of(next));
            Indexed {
                offset: entry.offset,
                bytes: entry.bytes,
                first,
                count: u32::try_from(end - first).expect("the records of one batch"),
                arrived: WallMs(self.base.0 + u64::from(entry.arrived_delta)),
            }
        })
    }
}

impl Runs {
    /// Would a batch that arrives at `arrived` begin a run of its own in `segment`?
    pub(crate) fn begins_run(&self, segment: SegmentSequence, arrived: WallMs) -> bool {
        !self.runs.back().is_some_and(|run| run.segment.sequence == segment && fits(run.base, arrived))
    }

    /// Adds the batch after the newest.
    pub(crate) fn push(&mut self, segment: &Arc<Segment>, batch: Indexed) {
        if self.begins_run(segment.sequence, batch.arrived) {
            let run = Run::new(Arc::clone(segment), batch.first, batch.first, batch.arrived, Vec::new());
            self.runs.push_back(run);
        }
        let run = self.runs.back_mut().expect("just made");
        assert_eq!(run.end, batch.first, "a shard's index has no hole");
        run.entries.push(Entry::of(batch, run.first, run.base).expect("the run takes it"));
        run.bytes += u64::from(batch.bytes);
        run.end += u64::from(batch.count);
    }

    /// Adds a run from a footer.
    pub(crate) fn attach(&mut self, run: Run) {
        if let Some(last) = self.runs.back() {
            assert_eq!(last.end, run.first, "a shard's index has no hole");
        }
        self.runs.push_back(run);
    }

    /// The segment and first arrival of the newest run.
    pub(crate) fn last_run(&self) -> Option<(SegmentSequence, WallMs)> {
        self.runs.back().map(|run| (run.segment.sequence, run.base))
    }

    /// The segment that holds `record` or, where it is gone, the first after it.
    pub(crate) fn segment_of(&self, record: RecordIndex) -> Option<SegmentSequence> {
        let run = self.runs.get(self.runs.partition_point(|run| run.end <= record))?;
        Some(run.segment.sequence)
    }

    /// The runs that are in `segment`: the last ones, if any.
    pub(crate) fn in_segment(&self, segment: SegmentSequence) -> impl Iterator<Item = &Run> {
        let before = self.runs.partition_point(|run| run.segment.sequence < segment);
        self.runs.range(before..).take_while(move |run| run.segment.sequence == segment)
    }

    /// Gives back memory that the runs in `segment` hold and will not need.
    pub(crate) fn shrink(&mut self, segment: SegmentSequence) {
        for run in self.runs.iter_mut().rev().take_while(|run| run.segment.sequence == segment) {
            run.entries.shrink_to_fit();
        }
    }

    /// Forgets what is in segments before `first`.
    pub(crate) fn forget_before(&mut self, first: SegmentSequence) {
        while self.runs.front().is_some_and(|run| run.segment.sequence < first) {
            self.runs.pop_front();
        }
    }

    /// What is kept from `oldest` on, segment by segment, in order.
    pub(crate) fn kept(&self, oldest: RecordIndex) -> impl Iterator<Item = (SegmentSequence, Kept)> + '_ {
        let start = self.runs.partition_point(|run| run.end <= oldest);
        self.runs.range(start..).map(move |run| {
            let entries = run.kept(oldest);
            let bytes = if entries.len() == run.entries.len() {
                run.bytes
            } else {
                entries.iter().map(|entry| u64::from(entry.bytes)).sum()
            };
            (run.segment.sequence, Kept { bytes, entries: entries.len() as u64, runs: 1 })
        })
    }

    /// The batches in a segment that hold a record from `oldest` on.
    pub(crate) fn batches_in(
        &self,
        segment: SegmentSequence,
        oldest: RecordIndex,
    ) -> impl Iterator<Item = Indexed> + '_ {
        self.runs.range(self.between(segment, segment)).flat_map(move |run| run.batches(oldest))
    }

    /// What was kept of segments `from` to `to` lies elsewhere now: in `runs`. When they begin later than what they take
    /// the place of, everything before them is gone. A shard that was deleted meanwhile has no batches there, and gets
    /// none.
    pub(crate) fn replace(&mut self, from: SegmentSequence, to: SegmentSequence, runs: Vec<Run>) {
        let mut place = self.between(from, to);
        let (Some(first), Some(last)) =
            (self.runs.range(place.clone()).next(), self.runs.range(place.clone()).last())
        else {
            return;
        };
        let is_whole = runs.first().is_some_and(|run| run.first == first.first);
        assert!(
            runs.last().is_none_or(|run| run.end == last.end),
            "a rewriting leaves out oldest records only"
        );
        if !is_whole {
            place.start = 0;
        }
        let behind = self.runs.split_off(place.end);
        self.runs.truncate(place.start);
        self.runs.extend(runs);
        self.runs.extend(behind);
    }

    fn between(&self, from: SegmentSequence, to: SegmentSequence) -> std::ops::Range<usize> {
        let start = self.runs.partition_point(|run| run.segment.sequence < from);
        start..self.runs.partition_point(|run| run.segment.sequence <= to)
    }

    /// The oldest record indexed.
    pub(crate) fn first(&self) -> Option<RecordIndex> {
        self.runs.front().map(|run| run.first)
    }

    /// The first batch that arrived at or after `time`, by its first record.
    pub(crate) fn arrived_since(&self, time: WallMs) -> Option<RecordIndex> {
        let run = self.runs.get(self.runs.partition_point(|run| run.last_arrived() < time))?;
        let after = time.0.saturating_sub(run.base.0);
        let at = run.entries.partition_point(|entry| u64::from(entry.arrived_delta) < after);
        Some(run.first_of(&run.entries[at]))
    }

    /// Which frames hold the records from `from` on, before `end`: at most so many records and bytes, but at least one
    /// frame if there is one.
    pub(crate) fn plan(
        &self,
        from: RecordIndex,
        end: RecordIndex,
        records_max: u64,
        bytes_max: usize,
    ) -> Vec<FrameRead> {
        let mut plan = Vec::new();
        let mut bytes = 0;
        let start = self.runs.partition_point(|run| run.end <= from);
        for run in self.runs.range(start..) {
            let first = run.entries.partition_point(|entry| run.first_of(entry) <= from).saturating_sub(1);
            for entry in &run.entries[first..] {
                let at = run.first_of(entry);
                bytes += entry.bytes as usize;
                let enough = at >= from.saturating_add(records_max) || bytes > bytes_max;
                if at >= end || (!plan.is_empty() && enough) {
                    return plan;
                }
                plan.push(FrameRead {
                    segment: Arc::clone(&run.segment),
                    offset: entry.offset,
                    bytes: entry.bytes,
                    first: at,
                });
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::{Disk, MemoryDisk};

    fn segment(sequence: u64) -> Arc<Segment> {
        let file = MemoryDisk::new(10).lay_out(Path::new("f/s"), 1, false).unwrap();
        Arc::new(Segment::new(SegmentSequence(sequence), 0, "f/s".into(), file))
    }

    /// Batches of 10 records and 100 bytes, three to a segment, 5 ms apart.
    fn runs() -> Runs {
        let mut runs = Runs::default();
        for sequence in 1..=3 {
            let segment = segment(sequence);
            for at in 0..3 {
                let batch = (sequence - 1) * 3 + at;
                runs.push(
                    &segment,
                    Indexed {
                        offset: 4096 + at as u32 * 100,
                        bytes: 100,
                        first: batch * 10,
                        count: 10,
                        arrived: WallMs(1_000 + batch * 5),
                    },
                );
            }
        }
        runs
    }

    fn firsts(plan: &[FrameRead]) -> Vec<u64> {
        plan.iter().map(|frame| frame.first).collect()
    }

    #[test]
    fn a_plan_begins_with_the_batch_that_holds_the_record_and_crosses_segments() {
        let runs = runs();
        assert_eq!(firsts(&runs.plan(25, 90, 1_000, 10_000)), [20, 30, 40, 50, 60, 70, 80]);
        assert_eq!(firsts(&runs.plan(20, 90, 11, 10_000)), [20, 30]);
        assert_eq!(firsts(&runs.plan(29, 90, 1, 10_000)), [20]);
        assert_eq!(firsts(&runs.plan(0, 90, 1_000, 250)), [0, 10]);
        assert_eq!(firsts(&runs.plan(0, 90, 1_000, 1)), [0], "one batch however large");
        assert_eq!(firsts(&runs.plan(60, 70, 1_000, 10_000)), [60], "not past the end");
        assert_eq!(firsts(&runs.plan(90, 90, 1_000, 10_000)), [0; 0]);
    }

    #[test]
    fn a_time_finds_the_first_batch_that_is_not_before_it() {
        let runs = runs();
        for (time, first) in [(0, 0), (1_000, 0), (1_001, 10), (1_010, 20), (1_011, 30), (1_040, 80)] {
            assert_eq!(runs.arrived_since(WallMs(time)), Some(first), "{time}");
        }
        assert_eq!(runs.arrived_since(WallMs(1_041)), None);
    }

    #[test]
    fn forgotten_segments_leave_the_rest_as_it_was() {
        let mut runs = runs();
        runs.forget_before(SegmentSequence(2));
        assert_eq!(runs.first(), Some(30));
        assert_eq!(firsts(&runs.plan(30, 90, 20, 10_000)), [30, 40]);
        assert_eq!(runs.in_segment(SegmentSequence(2)).map(|run| run.entries.len()).sum::<usize>(), 3);
        assert_eq!(runs.in_segment(SegmentSequence(1)).count(), 0);
        assert_eq!(
            (runs.segment_of(29), runs.segment_of(60)),
            (Some(SegmentSequence(2)), Some(SegmentSequence(3)))
        );
    }

    #[test]
    fn what_is_kept_is_weighed_by_whole_batches() {
        let runs = runs();
        let weighed = |oldest| -> Vec<_> {
            runs.kept(oldest).map(|(segment, kept)| (segment.0, kept.bytes, kept.entries)).collect()
        };
        assert_eq!(weighed(0), [(1, 300, 3), (2, 300, 3), (3, 300, 3)]);
        assert_eq!(weighed(30), [(2, 300, 3), (3, 300, 3)]);
        assert_eq!(weighed(49), [(2, 200, 2), (3, 300, 3)], "the batch that holds it is kept whole");
        assert_eq!(weighed(90), []);
        let batches: Vec<_> = runs.batches_in(SegmentSequence(2), 49).collect();
        assert_eq!(batches.len(), 2);
        let batch = batches[0];
        assert_eq!((batch.first, batch.count, batch.offset), (40, 10, 4196));
        assert_eq!(batch.arrived, WallMs(1_020));
    }

    #[test]
    fn replaced_runs_take_their_place_and_what_they_leave_out_takes_all_before_it_along() {
        let moved = |first, end| {
            let entry = Entry { offset: 1, bytes: 100, first_delta: 0, arrived_delta: 0 };
            Run::new(segment(2), first, end, WallMs(1_020), vec![entry])
        };
        let (from, to) = (SegmentSequence(2), SegmentSequence(2));
        let mut whole = runs();
        whole.replace(from, to, vec![moved(30, 60)]);
        assert_eq!(firsts(&whole.plan(0, 90, 100, 10_000)), [0, 10, 20, 30, 60, 70, 80]);
        let mut cut = runs();
        cut.replace(from, to, vec![moved(50, 60)]);
        assert_eq!(firsts(&cut.plan(50, 90, 100, 10_000)), [50, 60, 70, 80]);
        assert_eq!(cut.first(), Some(50));
        let mut gone = runs();
        gone.replace(from, to, vec![]);
        assert_eq!(gone.first(), Some(60));
        let mut deleted = Runs::default();
        deleted.replace(from, to, vec![moved(30, 60)]);
        assert_eq!(deleted.first(), None);
    }

    #[test]
    fn a_batch_long_after_the_others_begins_a_run_of_its_own() {
        let segment = segment(1);
        let mut runs = Runs::default();
        let late = 1 + u64::from(u32::MAX) + 1;
        for (first, arrived) in [(0, 1), (1, late), (2, late + 1)] {
            let batch = Indexed { offset: 0, bytes: 1, first, count: 1, arrived: WallMs(arrived) };
            runs.push(&segment, batch);
        }
        assert_eq!(runs.in_segment(SegmentSequence(1)).count(), 2);
        assert_eq!(runs.arrived_since(WallMs(late)), Some(1));
        assert_eq!(runs.arrived_since(WallMs(late + 1)), Some(2));
    }
}
