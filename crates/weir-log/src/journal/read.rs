//! Reading: below the watermark only, from memory at the tail and where a page ended within a batch, else from the file, every
//! byte checked.
//!
//! Called by the node on the thread that asks. A reader looks up under the shard's lock and reads without it, so that a slow
//! disk never holds up a writer. A record that does not check is never served, and neither is one after it.

use std::sync::Arc;

use bytes::Bytes;
use weir_core::{
    batch::{Batch, StoredBatch},
    clock::WallMs,
    id::ShardKey,
    sequence::RecordIndex,
};

use weir_sync::watermark::Rise;

use super::{Journal, rests::Life};
use crate::{
    disk::read_bytes_at,
    error::{ReadError, StorageError},
    frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind},
    shard::{Shard, ShardState},
    shard_index::FrameRead,
    snapshot::DamageMark,
};

/// Batches read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBatch {
    /// Whole batches in order, without a hole. The first may begin before [`Self::from`]: the caller skips.
    pub batches: Vec<StoredBatch>,
    /// Where reading began: the record asked for, or the oldest where that is trimmed.
    pub from: RecordIndex,
    /// The record after the newest durable one.
    pub tip: RecordIndex,
    /// The first record that is served.
    pub oldest: RecordIndex,
    /// When the newest durable record arrived; zero when there never was one.
    pub tip_arrived: WallMs,
    /// The shard is closed: there will never be a record at [`Self::tip`].
    pub closed: bool,
}

/// A place in a shard's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The first record that is served.
    TrimHorizon,
    /// After the newest durable record.
    Latest,
    /// The first record that arrived at or after this time.
    Timestamp(WallMs),
}

/// How much one read may return; one batch however large.
#[derive(Debug, Clone, Copy)]
struct Limits {
    records_max: u64,
    bytes_max: usize,
}

impl Journal {
    /// The batches that hold the records from `from` on: up to about `records_max` records and `bytes_max` bytes, but
    /// one batch at least if there is one. Trimmed records are passed over; a record that is not there yet is an error.
    pub fn read(
        &self,
        shard: ShardKey,
        from: RecordIndex,
        records_max: u32,
        bytes_max: usize,
    ) -> Result<ReadBatch, ReadError> {
        let found = self.shared.shard(shard).ok_or(ReadError::NoShard { shard })?;
        let limits = Limits { records_max: u64::from(records_max), bytes_max };
        let now = self.shared.clock.now();
        let mut state = found.state.lock();
        state.last_read = Some(now);
        let (tip, oldest, tip_arrived) = (state.tip, state.oldest, state.last_arrived);
        let closed = !state.owned.is_open();
        if from > tip {
            return Err(ReadError::BeyondTip { shard, from, tip, closed });
        }
        let from = from.max(oldest);
        let trusted_end = match state.damage {
            Some(mark) if from >= mark.from => {
                return Err(ReadError::Damaged(self.shared.damaged(shard, mark)));
            }
            Some(mark) => mark.from.min(tip),
            None => tip,
        };
        let life = Life { shard, opened: state.opened };
        let cached = cached(&state, from, trusted_end, limits);
        let plan = match cached {
            Some(_) => Vec::new(),
            None => state.runs.plan(from, trusted_end, limits.records_max, limits.bytes_max),
        };
        drop(state);
        let counters = &self.shared.counters;
        counters.reads.add(1);
        counters.reads_cached.add(u64::from(cached.is_some()));
        let batches = match cached {
            Some(batches) => batches,
            None => self.read_planned(&found, life, &plan, from, limits)?,
        };
        counters.read_bytes.add(batches.iter().map(|stored| stored.batch.body().len() as u64).sum());
        Ok(ReadBatch { batches, from, tip, oldest, tip_arrived, closed })
    }

    /// Resolves when the shard has a durable record at `record` or later, or is closed or deleted; `None` when the
    /// journal does not hold it. Whoever waits looks for itself what there is then.
    pub fn rise(&self, shard: ShardKey, record: RecordIndex) -> Option<Rise> {
        let found = self.shared.shard(shard)?;
        found.state.lock().last_read = Some(self.shared.clock.now()); // who waits reads next
        Some(found.watermark.above(record))
    }

    /// The record at `at`.
    pub fn position(&self, shard: ShardKey, at: At) -> Result<RecordIndex, ReadError> {
        let found = self.shared.shard(shard).ok_or(ReadError::NoShard { shard })?;
        let state = found.state.lock();
        Ok(match at {
            At::TrimHorizon => state.oldest,
            At::Latest => state.tip,
            At::Timestamp(time) => {
                let since = state.runs.arrived_since(time).unwrap_or(state.tip);
                since.max(state.oldest)
            }
        })
    }

    /// Gives what was planned for the records from `from` on: the first batch from memory if a page ended within it, and the
    /// others from the file. A batch within which this page ends is kept for the next.
    fn read_planned(
        &self,
        shard: &Shard,
        life: Life,
        plan: &[FrameRead],
        from: RecordIndex,
        limits: Limits,
    ) -> Result<Vec<StoredBatch>, ReadError> {
        let Some(first) = plan.first() else { return Ok(Vec::new()) };
        let mut batches = Vec::with_capacity(plan.len());
        batches.extend(self.shared.rests.take(life, first));
        let held = batches.len();
        self.read_frames(shard, &plan[held..], &mut batches)?;
        let bytes: usize = batches.iter().map(|stored| stored.batch.body().len()).sum();
        if let Some(stored) = batches.last()
            && (stored.end() > from.saturating_add(limits.records_max) || bytes > limits.bytes_max)
        {
            let from_file = &plan[held..batches.len()];
            let is_part = matches!(from_file, [.., before, last] if before.is_followed_by(last));
            self.shared.rests.put(life, &plan[batches.len() - 1], stored, is_part);
        }
        Ok(batches)
    }

    /// Adds planned frames to `batches`, reading neighbours in one go. Ends before the first that does not check; an error
    /// when that is the first of all.
    fn read_frames(
        &self,
        shard: &Shard,
        plan: &[FrameRead],
        batches: &mut Vec<StoredBatch>,
    ) -> Result<(), ReadError> {
        for neighbours in plan.chunk_by(FrameRead::is_followed_by) {
            let bytes = match read_neighbours(neighbours) {
                Ok(bytes) => bytes,
                Err(_) if !batches.is_empty() => return Ok(()),
                Err(error) => return Err(ReadError::Storage(Arc::new(error))),
            };
            let start = neighbours[0].offset;
            for frame in neighbours {
                let at = (frame.offset - start) as usize;
                let Some(stored) = decode(shard.key, frame, &bytes.slice(at..at + frame.bytes as usize))
                else {
                    frame.segment.distrust();
                    let is_first = batches.is_empty(); // else the next read meets it first
                    return if is_first { Err(self.found_damage(shard, frame)) } else { Ok(()) };
                };
                batches.push(stored);
            }
        }
        Ok(())
    }

    fn found_damage(&self, shard: &Shard, frame: &FrameRead) -> ReadError {
        let mark = DamageMark { from: frame.first, place: frame.place() };
        shard.state.lock().mark_damaged(mark);
        let damaged = self.shared.damaged(shard.key, mark);
        tracing::error!(error = %damaged, "a stored batch does not check: the shard stops");
        ReadError::Damaged(damaged)
    }
}

/// The batches from `from` on, if all that are wanted are in memory.
fn cached(
    state: &ShardState,
    from: RecordIndex,
    end: RecordIndex,
    limits: Limits,
) -> Option<Vec<StoredBatch>> {
    if from >= end {
        return Some(Vec::new());
    }
    state.tail.front().filter(|oldest| oldest.first <= from)?;
    let start = state.tail.partition_point(|batch| batch.end() <= from);
    let mut batches = Vec::new();
    let mut bytes = 0;
    for stored in state.tail.range(start..) {
        bytes += stored.batch.body().len();
        let enough = stored.first >= from.saturating_add(limits.records_max) || bytes > limits.bytes_max;
        if stored.first >= end || (!batches.is_empty() && enough) {
            break;
        }
        batches.push(stored.clone());
    }
    Some(batches)
}

fn read_neighbours(neighbours: &[FrameRead]) -> Result<Bytes, StorageError> {
    let first = &neighbours[0];
    let bytes = neighbours.iter().map(|frame| frame.bytes as usize).sum();
    read_bytes_at(first.segment.file.as_ref(), u64::from(first.offset), bytes).map(Bytes::from).map_err(
        |source| {
            first.segment.distrust();
            first.segment.error("read", source)
        },
    )
}

fn decode(shard: ShardKey, frame: &FrameRead, bytes: &Bytes) -> Option<StoredBatch> {
    let header = FrameHeader::decode(bytes, frame.segment.salt, frame.offset)?;
    let is_it = header.kind == FrameKind::Append
        && header.shard == shard
        && header.first == frame.first
        && header.frame_bytes() == bytes.len();
    if !is_it {
        return None;
    }
    let batch = Batch::from_parts(header.count, header.body_crc, bytes.slice(FRAME_HEADER_BYTES..)).ok()?;
    Some(StoredBatch { first: header.first, arrived: header.arrived, batch })
}
