//! A page of records: what of a node's answer goes into one answer of ours.
//!
//! `GetRecords` and the events of subscriptions are made of pages. The node gives whole batches, a page has records, each
//! with its number. It only slices: nothing is copied before it is encoded.

use weir_core::{
    batch::StoredBatch,
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
pub(crate) const RECORD_FRAME_BYTES: usize = 192;

/// How much one answer may have.
#[derive(Clone, Copy)]
pub(crate) struct PageBounds {
    /// Records.
    pub(crate) records_max: usize,
    /// Data and keys.
    pub(crate) bytes_max: usize,
}

/// What of a read goes into one answer.
pub(crate) struct Page<'a> {
    /// In order.
    pub(crate) records: Vec<RecordFacts<'a>>,
    /// Data and keys.
    pub(crate) bytes: usize,
    /// Where the next read begins.
    pub(crate) next: RecordIndex,
}

/// The node gives whole batches; the answer has records, from the one asked for, within `bounds`, but always one if there
/// is one.
pub(crate) fn cut<'a>(
    read: &'a ReadReply,
    from: RecordIndex,
    place: &ShardPlace,
    bounds: PageBounds,
) -> Page<'a> {
    let there: usize = read.batches.iter().map(|stored| stored.batch.count() as usize).sum();
    let records = Vec::with_capacity(there.min(bounds.records_max));
    let mut page = Page { records, bytes: 0, next: read.from.max(from) };
    for stored in &read.batches {
        for (index, record) in numbered(stored) {
            if index < page.next {
                continue;
            }
            let bytes = record.payload_bytes();
            let full = page.bytes + bytes > bounds.bytes_max && !page.records.is_empty();
            if page.records.len() >= bounds.records_max || full {
                return page;
            }
            let sequence =
                SequenceNumber::of_record(place.key.shard, place.created_secs, index, stored.arrived.secs());
            page.records.push(RecordFacts {
                sequence,
                arrived: stored.arrived,
                data: record.data,
                partition_key: record.partition_key,
                encrypted: false, // the stream's settings say
            });
            page.bytes += bytes;
            page.next = index + 1;
        }
    }
    page
}

fn numbered(stored: &StoredBatch) -> impl Iterator<Item = (RecordIndex, weir_core::batch::Record<'_>)> {
    (stored.first..).zip(stored.batch.records())
}

/// How long ago the last record of this answer arrived, if there are newer ones; a reader that is behind is never told 0.
pub(crate) fn behind(read: &ReadReply, records: &[RecordFacts<'_>], next: RecordIndex, now: WallMs) -> u64 {
    if next >= read.tip {
        return 0;
    }
    let reached = records.last().map_or(read.tip_arrived, |last| last.arrived);
    now.0.saturating_sub(reached.0).max(1)
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

    fn read(batches: Vec<StoredBatch>, from: RecordIndex) -> ReadReply {
        let tip = batches.last().map_or(from, StoredBatch::end);
        ReadReply { batches, from, tip, tip_arrived: WallMs(9_000), closed: false }
    }

    #[test]
    fn records_before_the_one_asked_for_are_skipped_and_the_limit_cuts_inside_a_batch() {
        let read = read(vec![batch(5, 1_000, &[1, 1, 1]), batch(8, 2_000, &[1, 1])], 6);
        let page = cut(&read, 6, &place(), of(3));
        let indexes: Vec<_> = page.records.iter().map(|record| record.sequence.record().unwrap()).collect();
        assert_eq!((indexes, page.next, page.bytes), (vec![6, 7, 8], 9, 6));
        assert_eq!(behind(&read, &page.records, page.next, WallMs(5_000)), 3_000);
        assert_eq!(behind(&read, &page.records, page.next, WallMs(1_000)), 1, "behind is never 0");
        let rest = cut(&read, 9, &place(), of(3));
        assert_eq!((rest.records.len(), rest.next), (1, 10));
        assert_eq!(behind(&read, &rest.records, rest.next, WallMs(5_000)), 0);
    }

    #[test]
    fn an_answer_ends_before_ten_mebibytes_and_is_never_empty_for_size() {
        let read = read(vec![batch(0, 1, &[6 * MIB]), batch(1, 1, &[6 * MIB])], 0);
        let page = cut(&read, 0, &place(), of(100));
        assert_eq!((page.records.len(), page.next), (1, 1));
        let page = cut(&read, 1, &place(), of(100));
        assert_eq!((page.records.len(), page.next), (1, 2));
        let little = PageBounds { bytes_max: 1, ..of(100) };
        assert_eq!(cut(&read, 0, &place(), little).next, 1, "always one");
    }

    #[test]
    fn reading_goes_on_after_what_was_trimmed() {
        let trimmed = ReadReply { batches: vec![], from: 40, tip: 40, tip_arrived: WallMs(0), closed: false };
        let page = cut(&trimmed, 3, &place(), of(10));
        assert_eq!((page.records.len(), page.next), (0, 40));
        assert_eq!(behind(&trimmed, &page.records, page.next, WallMs(1)), 0);
        let read = read(vec![batch(40, 1, &[1])], 40);
        assert_eq!(cut(&read, 3, &place(), of(10)).next, 41);
    }
}
