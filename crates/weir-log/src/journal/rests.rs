//! Batches that a page ended within, kept for the page that begins there.
//!
//! Readers put them in and take them out. A page has so many records and the file has batches, so a reader that is behind
//! would read and check most pages' last batch twice. Bounded in bytes and in number over all shards, the oldest goes
//! first: a rest that is gone is read again. It must never hold more memory than it counts.

use std::collections::VecDeque;

use weir_core::{
    batch::StoredBatch,
    id::ShardKey,
    limits::{LOG_RESTS_BYTES_MAX, LOG_RESTS_MAX},
};

use crate::{facade::Mutex, segment::LogPlace, shard_index::FrameRead};

/// The rests of all readers.
#[derive(Debug, Default)]
pub(super) struct Rests(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    /// In the order in which they came.
    batches: VecDeque<Rest>,
}

#[derive(Debug)]
struct Rest {
    life: Life,
    place: LogPlace,
    stored: StoredBatch,
}

/// One life of a shard, which may be deleted and opened again: then its records are numbered anew, and a rewritten segment
/// may have one where another had one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) shard: ShardKey,
    /// Where it begins.
    pub(super) opened: LogPlace,
}

impl Rests {
    /// Keeps what a shard has at `frame`; `is_part`: its bytes are a part of more, which would stay in memory with them.
    pub(super) fn put(&self, life: Life, frame: &FrameRead, stored: &StoredBatch, is_part: bool) {
        let bytes = stored.batch.body().len();
        if bytes > LOG_RESTS_BYTES_MAX {
            return;
        }
        let batch = if is_part { stored.batch.copied() } else { stored.batch.clone() };
        let mut kept = self.0.lock();
        kept.bytes += bytes;
        let stored = StoredBatch { batch, ..*stored };
        kept.batches.push_back(Rest { life, place: frame.place(), stored });
        while kept.bytes > LOG_RESTS_BYTES_MAX || kept.batches.len() > LOG_RESTS_MAX {
            kept.remove(0);
        }
    }

    /// What was kept of `frame`, for one reader.
    pub(super) fn take(&self, life: Life, frame: &FrameRead) -> Option<StoredBatch> {
        let is_it = |rest: &Rest| {
            rest.life == life && rest.place == frame.place() && rest.stored.first == frame.first
        };
        let mut kept = self.0.lock();
        let at = kept.batches.iter().position(is_it)?;
        kept.remove(at)
    }
}

impl Kept {
    fn remove(&mut self, at: usize) -> Option<StoredBatch> {
        let Rest { stored, .. } = self.batches.remove(at)?;
        self.bytes -= stored.batch.body().len();
        Some(stored)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use weir_core::{
        batch::{BatchBuilder, Record},
        clock::WallMs,
        id::{ShardIndex, StreamId},
    };

    use super::*;
    use crate::{
        disk::{Disk, MemoryDisk},
        segment::{Segment, SegmentSequence},
    };

    const LIFE: Life = Life {
        shard: ShardKey { stream: StreamId(1), shard: ShardIndex(0) },
        opened: LogPlace { segment: SegmentSequence(1), offset: 0 },
    };

    /// A frame at `offset` with a batch of about `bytes`.
    fn read(offset: u32, bytes: usize) -> (FrameRead, StoredBatch) {
        let file = MemoryDisk::new(10).lay_out(Path::new("f/s"), 1, false).unwrap();
        let segment = Arc::new(Segment::new(SegmentSequence(1), 0, "f/s".into(), file));
        let mut builder = BatchBuilder::default();
        builder.push(&Record { partition_key: "k".into(), explicit_hash_key: None, data: &vec![7; bytes] });
        let stored = StoredBatch { first: 9, arrived: WallMs(1), batch: builder.finish() };
        (FrameRead { segment, offset, bytes: bytes as u32, first: 9 }, stored)
    }

    #[test]
    fn what_is_kept_is_given_to_one_reader_of_the_same_place() {
        let rests = Rests::default();
        let (frame, stored) = read(1, 10);
        rests.put(LIFE, &frame, &stored, true);
        let other = Life { shard: ShardKey { stream: StreamId(2), ..LIFE.shard }, ..LIFE };
        let later = Life { opened: LogPlace { offset: 1, ..LIFE.opened }, ..LIFE };
        assert_eq!(rests.take(other, &frame), None);
        assert_eq!(rests.take(later, &frame), None, "it was deleted and opened again");
        assert_eq!(rests.take(LIFE, &FrameRead { offset: 2, ..frame.clone() }), None);
        assert_eq!(rests.take(LIFE, &FrameRead { first: 8, ..frame.clone() }), None);
        assert_eq!(rests.take(LIFE, &frame), Some(stored));
        assert_eq!(rests.take(LIFE, &frame), None);
        assert_eq!(rests.0.lock().bytes, 0);
    }

    #[test]
    fn bytes_that_are_a_part_of_more_are_copied_and_others_are_not() {
        let rests = Rests::default();
        let (frame, stored) = read(1, 10);
        for is_part in [true, false] {
            rests.put(LIFE, &frame, &stored, is_part);
            let kept = rests.take(LIFE, &frame).unwrap().batch;
            assert_eq!(kept.body().as_ptr() != stored.batch.body().as_ptr(), is_part);
        }
    }

    #[test]
    fn the_oldest_goes_where_there_is_no_room_for_all() {
        for (count, bytes) in [(3, LOG_RESTS_BYTES_MAX / 2 - 100), (LOG_RESTS_MAX as u32 + 1, 1)] {
            let rests = Rests::default();
            let all: Vec<_> = (0..count).map(|offset| read(offset, bytes)).collect();
            all.iter().for_each(|(frame, stored)| rests.put(LIFE, frame, stored, false));
            let kept: Vec<_> = all.iter().map(|(frame, _)| rests.take(LIFE, frame).is_some()).collect();
            assert!(!kept[0] && kept[1..].iter().all(|kept| *kept), "{kept:?}");
        }
    }

    #[test]
    fn what_is_larger_than_all_room_takes_none() {
        let rests = Rests::default();
        let ((small, one), (large, other)) = (read(1, 1), read(2, LOG_RESTS_BYTES_MAX));
        rests.put(LIFE, &small, &one, false);
        rests.put(LIFE, &large, &other, false);
        assert!(rests.take(LIFE, &large).is_none() && rests.take(LIFE, &small).is_some());
    }
}
