//! A page of records: what of a node's answer goes into one answer of ours.
//!
//! `GetRecords` and the events of subscriptions are made of pages. The node gives whole batches, a page has records, each
//! with its number. It only slices: nothing is copied before it is encoded, and most records are walked only then. What a batch
//! has in front of the place that was asked for, or of the end of the batch before it, is passed over.

use weir_core::{
    batch::{Records, StoredBatch},
    clock::WallMs,
    id::ShardIndex,
    sequence::{RecordIndex, SequenceNumber},
    shard::OwnedShard,
};
use weir_wire::{
    cell::ReadReply,
    kinesis::get_records::{ChildShard, RecordFacts},
};

use crate::{route::ShardPlace, shard_map::StreamShards};

/// Bytes of one record in an answer beside its data and key.
const RECORD_FRAME_BYTES: usize = 192;

/// How much one answer may have.
#[derive(Clone, Copy)]
pub(crate) struct PageBounds {
    /// Records.
    pub(crate) records_max: usize,
    /// Data and keys.
    pub(crate) bytes_max: usize,
}

/// What of a read goes into one answer. Its records are walked when they are written.
pub(crate) struct Page<'a> {
    shard: ShardIndex,
    /// When the stream was created.
    created_secs: u64,
    /// In order, none of them empty.
    parts: Vec<Part<'a>>,
    /// Records.
    pub(crate) count: usize,
    /// Data and keys.
    pub(crate) payload_bytes: usize,
    /// Where the next read begins.
    pub(crate) next: RecordIndex,
}

/// Records of one batch, one behind another.
struct Part<'a> {
    /// The index of the first.
    first: RecordIndex,
    arrived: WallMs,
    /// The first and all behind it.
    records: Records<'a>,
    /// How many of them are in the page.
    count: usize,
}

impl<'a> Page<'a> {
    /// The node gives whole batches; the answer has records, from the one asked for, within `bounds`, but always one if there
    /// is one.
    pub(crate) fn cut(
        read: &'a ReadReply,
        from: RecordIndex,
        place: &ShardPlace,
        bounds: PageBounds,
    ) -> Self {
        let mut page = Self {
            shard: place.key.shard,
            created_secs: place.created_secs,
            parts: Vec::with_capacity(read.batches.len()),
            count: 0,
            payload_bytes: 0,
            next: read.from.max(from),
        };
        for stored in &read.batches {
            if !page.take(stored, bounds) {
                break;
            }
        }
        page
    }

    /// Takes what fits of the next batch; tells whether that was all of it.
    fn take(&mut self, stored: &'a StoredBatch, bounds: PageBounds) -> bool {
        let mut records = stored.batch.records();
        let passed = self.next.saturating_sub(stored.first);
        let passed_bytes: usize =
            records.by_ref().take(passed as usize).map(|record| record.payload_bytes()).sum();
        let (left, left_bytes) = (records.len(), stored.batch.payload_bytes() - passed_bytes);
        let all_fit =
            self.count + left <= bounds.records_max && self.payload_bytes + left_bytes <= bounds.bytes_max;
        let (count, payload_bytes) =
            if all_fit { (left, left_bytes) } else { self.fitting(records.clone(), bounds) };
        if count > 0 {
            let first = stored.first + passed;
            self.parts.push(Part { first, arrived: stored.arrived, records, count });
            self.count += count;
            self.payload_bytes += payload_bytes;
            self.next = first + count as u64;
        }
        count == left
    }

    /// How many of these records still fit, and their bytes.
    fn fitting(&self, records: Records<'a>, bounds: PageBounds) -> (usize, usize) {
        let (mut count, mut payload_bytes) = (0, 0);
        for record in records.take(bounds.records_max - self.count) {
            let with = payload_bytes + record.payload_bytes();
            if self.payload_bytes + with > bounds.bytes_max && self.count + count > 0 {
                break;
            }
            (count, payload_bytes) = (count + 1, with);
        }
        (count, payload_bytes)
    }

    /// The records in order; those that arrived at `encrypted_since` or later are shown as encrypted.
    pub(crate) fn records(
        &self,
        encrypted_since: Option<WallMs>,
    ) -> impl Iterator<Item = RecordFacts<'a>> + Clone {
        self.parts.iter().flat_map(move |part| {
            let encrypted = encrypted_since.is_some_and(|since| part.arrived >= since);
            (part.first..).zip(part.records.clone().take(part.count)).map(move |(index, record)| {
                RecordFacts {
                    sequence: self.number(index, part.arrived),
                    arrived: part.arrived,
                    data: record.data,
                    partition_key: record.partition_key,
                    encrypted,
                }
            })
        })
    }

    /// The number of the last record; none where there is no record.
    pub(crate) fn last(&self) -> Option<SequenceNumber> {
        self.parts.last().map(|part| self.number(self.next - 1, part.arrived))
    }

    fn number(&self, index: RecordIndex, arrived: WallMs) -> SequenceNumber {
        SequenceNumber::of_record(self.shard, self.created_secs, index, arrived.secs())
    }

    /// Bytes that the records take in an answer, about.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.payload_bytes / 3 * 4 + self.count * RECORD_FRAME_BYTES
    }

    /// How long ago the last record arrived, if there are newer ones; a reader that is behind is never told 0.
    pub(crate) fn behind(&self, read: &ReadReply, now: WallMs) -> u64 {
        if self.next >= read.tip {
            return 0;
        }
        let reached = self.parts.last().map_or(read.tip_arrived, |last| last.arrived);
        now.0.saturating_sub(reached.0).max(1)
    }
}

/// What goes on where a closed shard ends. As long as this server does not know it all the reader has not seen the end:
/// it would look for the children and miss some.
pub(crate) fn children(stream: &StreamShards, shard: ShardIndex) -> Option<Vec<ChildShard>> {
    let children = stream.children_of(&stream.shard(shard)?.shard)?;
    let as_told = |child: &&OwnedShard| ChildShard {
        shard: child.key.shard,
        parents: child.parents.iter().flatten().copied().collect(),
        range: child.range,
    };
    Some(children.iter().map(as_told).collect())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::{collection::vec, prelude::*};
    use weir_core::{
        batch::{BatchBuilder, Record},
        id::{ShardIndex, ShardKey, StreamId},
        limits::{GET_RECORDS_BYTES_MAX, MIB},
    };

    use super::*;

    fn place() -> ShardPlace {
        ShardPlace {
            key: ShardKey { stream: StreamId(1), shard: ShardIndex(2) },
            created_secs: 1_600_000_000,
            node: SocketAddr::from(([127, 0, 0, 1], 1)),
        }
    }

    fn of(records_max: usize) -> PageBounds {
        PageBounds { records_max, bytes_max: GET_RECORDS_BYTES_MAX }
    }

    fn batch(first: RecordIndex, arrived: u64, sizes: &[usize]) -> StoredBatch {
        let mut builder = BatchBuilder::default();
        for &size in sizes {
            builder.push(&Record {
                partition_key: "k".into(),
                explicit_hash_key: None,
                data: &vec![7; size],
            });
        }
        StoredBatch { first, arrived: WallMs(arrived), batch: builder.finish() }
    }

    fn indexes(page: &Page<'_>) -> Vec<RecordIndex> {
        page.records(None).map(|record| record.sequence.record().unwrap()).collect()
    }

    fn read(batches: Vec<StoredBatch>, from: RecordIndex) -> ReadReply {
        let tip = batches.last().map_or(from, StoredBatch::end);
        ReadReply { batches, from, tip, tip_arrived: WallMs(9_000), closed: false }
    }

    #[test]
    fn records_before_the_one_asked_for_are_skipped_and_the_limit_cuts_inside_a_batch() {
        let read = read(vec![batch(5, 1_000, &[1, 1, 1]), batch(8, 2_000, &[1, 1])], 6);
        let page = Page::cut(&read, 6, &place(), of(3));
        assert_eq!((indexes(&page), page.next, page.payload_bytes), (vec![6, 7, 8], 9, 6));
        assert_eq!(page.behind(&read, WallMs(5_000)), 3_000);
        assert_eq!(page.behind(&read, WallMs(1_000)), 1, "behind is never 0");
        let rest = Page::cut(&read, 9, &place(), of(3));
        assert_eq!((indexes(&rest), rest.next), (vec![9], 10));
        assert_eq!(rest.behind(&read, WallMs(5_000)), 0);
    }

    #[test]
    fn an_answer_ends_before_ten_mebibytes_and_is_never_empty_for_size() {
        let read = read(vec![batch(0, 1, &[6 * MIB]), batch(1, 1, &[6 * MIB])], 0);
        let page = Page::cut(&read, 0, &place(), of(100));
        assert_eq!((page.count, page.next), (1, 1));
        let page = Page::cut(&read, 1, &place(), of(100));
        assert_eq!((page.count, page.next), (1, 2));
        let little = PageBounds { bytes_max: 1, ..of(100) };
        assert_eq!(Page::cut(&read, 0, &place(), little).next, 1, "always one");
    }

    /// The page by the rule, a record at a time: indexes, bytes and where it goes on.
    fn plainly(
        read: &ReadReply,
        from: RecordIndex,
        bounds: PageBounds,
    ) -> (Vec<RecordIndex>, usize, RecordIndex) {
        let (mut indexes, mut bytes, mut next) = (Vec::new(), 0, read.from.max(from));
        for (index, record) in
            read.batches.iter().flat_map(|stored| (stored.first..).zip(stored.batch.records()))
        {
            let with = bytes + record.payload_bytes();
            let fits = indexes.is_empty() || with <= bounds.bytes_max;
            if index >= next && (!fits || indexes.len() == bounds.records_max) {
                break;
            }
            if index >= next {
                indexes.push(index);
                (bytes, next) = (with, index + 1);
            }
        }
        (indexes, bytes, next)
    }

    proptest! {
        /// Also of batches that overlap, or have holes between them: they may come from another process.
        #[test]
        fn a_page_has_what_fits_wherever_it_begins_and_ends(
            batches in vec((-4..4_i64, vec(0..40_usize, 1..6)), 0..6),
            read_from in 0..12_u64, from in 0..30_u64, records_max in 1..30_usize, bytes_max in 0..400_usize,
        ) {
            let mut end = read_from;
            let stored = |(skip, sizes): &(i64, Vec<usize>)| {
                let stored = batch(end.saturating_add_signed(*skip), 7_000 + end, sizes);
                end = stored.end();
                stored
            };
            let read = read(batches.iter().map(stored).collect(), read_from);
            let bounds = PageBounds { records_max, bytes_max };
            let page = Page::cut(&read, from, &place(), bounds);
            let found = (indexes(&page), page.payload_bytes, page.next);
            prop_assert_eq!(page.count, found.0.len());
            prop_assert_eq!(page.last(), page.records(None).last().map(|record| record.sequence));
            prop_assert_eq!(found, plainly(&read, from, bounds));
        }
    }

    #[test]
    fn records_are_shown_as_encrypted_from_the_time_on() {
        let read = read(vec![batch(0, 1_000, &[1, 1]), batch(2, 2_000, &[1])], 0);
        let page = Page::cut(&read, 0, &place(), of(9));
        let encrypted = |since| page.records(since).map(|record| record.encrypted).collect::<Vec<_>>();
        assert_eq!(encrypted(None), [false; 3]);
        assert_eq!(encrypted(Some(WallMs(1_001))), [false, false, true]);
        assert_eq!(encrypted(Some(WallMs(1_000))), [true; 3]);
    }

    #[test]
    fn reading_goes_on_after_what_was_trimmed() {
        let trimmed = ReadReply { batches: vec![], from: 40, tip: 40, tip_arrived: WallMs(0), closed: false };
        let page = Page::cut(&trimmed, 3, &place(), of(10));
        assert_eq!((page.count, page.next), (0, 40));
        assert_eq!(page.behind(&trimmed, WallMs(1)), 0);
        let read = read(vec![batch(40, 1, &[1])], 40);
        assert_eq!(Page::cut(&read, 3, &place(), of(10)).next, 41);
    }
}
