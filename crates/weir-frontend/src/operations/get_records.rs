//! `GetRecords`: reads from where an iterator points, and says where to go on.

use weir_core::{
    batch::StoredBatch,
    clock::WallMs,
    id::ShardIndex,
    limits::GET_RECORDS_COUNT_MAX,
    sequence::{RecordIndex, SequenceNumber},
    shard::OwnedShard,
};
use weir_wire::{
    cell::{CellReply, CellRequest, ReadReply},
    kinesis::{
        get_records::{ChildShard, GetRecordsInput, GetRecordsReply, RecordFacts},
        validate::null_member,
    },
};

use super::{Call, SMALL_ANSWER_BYTES};
use crate::{
    answer::Answer,
    error::RequestError,
    forward::ForwardError,
    iterator::ShardIterator,
    route::{ReadTicket, Routed, ShardPlace, route_read, usable_map},
    shard_map::StreamShards,
};

/// Bytes of one record in an answer beside its data and key.
const RECORD_FRAME_BYTES: usize = 192;

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: GetRecordsInput<'_> = call.input()?;
    let text = input.shard_iterator.as_deref().ok_or_else(|| null_member("shardIterator"))?;
    let iterator = ShardIterator::open(&call.config.sealer, text, call.wall())?;
    call.permitted(iterator.stream.clone())?;
    let map = usable_map(call.maps, call.now())?;
    let stream = call.common.lookup.of_iterator(&map, &iterator).await?;
    let routed = route_read(call.admitted, stream, iterator.key.shard, call.gate(&map), call.now())
        .inspect_err(|error| {
            if matches!(error, RequestError::ShardThrottled { .. }) {
                call.common.shard_metrics.read_throttled(iterator.key);
            }
        })?;
    let limit = input.limit.map_or(GET_RECORDS_COUNT_MAX, |limit| limit as usize);
    let (permit, bytes_max) = call.common.answers.reserve_page(limit)?;
    let bounds = PageBounds { records_max: limit, bytes_max };
    let read = read(call, &routed, iterator.record, bounds).await?;
    // The number after the last of a closed shard is one that was given out.
    let behind_end = u64::from(read.closed);
    if read.from > read.tip + behind_end {
        return Err(RequestError::IteratorAhead { record: read.from, tip: read.tip });
    }

    let place = routed.get().place;
    let Page { mut records, bytes, next } = cut(&read, iterator.record, &place, bounds);
    for record in &mut records {
        record.encrypted = call.config.is_encrypted(iterator.key.stream, record.arrived);
    }
    let count = records.len();
    let answer_bytes = SMALL_ANSWER_BYTES + bytes / 3 * 4 + count * RECORD_FRAME_BYTES;
    let millis_behind_latest = behind(&read, &records, next, call.wall());
    let children = if read.closed && next >= read.tip { children(stream, iterator.key.shard) } else { None };
    let goes_on = children.is_none();
    let reply = GetRecordsReply {
        children: children.unwrap_or_default(),
        millis_behind_latest,
        records,
        next_shard_iterator: goes_on.then(|| iterator.at(next).seal(&call.config.sealer, call.wall())),
    };
    let answer = call.common.answers.settle(permit, call.encoding.encode(&reply, answer_bytes))?;
    routed.get().charge(call.now(), bytes);
    call.common.metrics.given_out(count, bytes);
    call.common.shard_metrics.given_out(iterator.key, count, bytes, millis_behind_latest);
    Ok(answer)
}

async fn read(
    call: &Call<'_>,
    routed: &Routed<ReadTicket>,
    from: RecordIndex,
    bounds: PageBounds,
) -> Result<ReadReply, RequestError> {
    let ShardPlace { key, node, .. } = routed.get().place;
    let request = CellRequest::Read {
        key,
        from,
        records_max: u32::try_from(bounds.records_max).expect("at most 10,000"),
        bytes_max: u32::try_from(bounds.bytes_max).expect("at most 10 MiB"),
    };
    match call.forwarder.call(node, request).await? {
        CellReply::Read(read) => Ok(read),
        _ => Err(ForwardError::Nonsense { node }.into()),
    }
}

/// What goes on where a closed shard ends. As long as this server does not know it all the reader has not seen the end:
/// it would look for the children and miss some.
fn children(stream: &StreamShards, shard: ShardIndex) -> Option<Vec<ChildShard>> {
    let children = stream.children_of(&stream.shard(shard)?.shard)?;
    let as_told = |child: &&OwnedShard| ChildShard {
        shard: child.key.shard,
        parents: child.parents.iter().flatten().copied().collect(),
        range: child.range,
    };
    Some(children.iter().map(as_told).collect())
}

/// How much one answer may have.
#[derive(Clone, Copy)]
struct PageBounds {
    records_max: usize,
    /// Data and keys.
    bytes_max: usize,
}

/// What of a read goes into one answer.
struct Page<'a> {
    records: Vec<RecordFacts<'a>>,
    /// Data and keys.
    bytes: usize,
    /// Where the next read begins.
    next: RecordIndex,
}

/// The node gives whole batches; the answer has records, from the one asked for, within `bounds`, but always one if there
/// is one.
fn cut<'a>(read: &'a ReadReply, from: RecordIndex, place: &ShardPlace, bounds: PageBounds) -> Page<'a> {
    let mut page = Page { records: Vec::new(), bytes: 0, next: read.from.max(from) };
    for stored in &read.batches {
        for (index, record) in numbered(stored) {
            if index < page.next {
                continue;
            }
            let bytes = record.data.len() + record.partition_key.len();
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
fn behind(read: &ReadReply, records: &[RecordFacts<'_>], next: RecordIndex, now: WallMs) -> u64 {
    if next >= read.tip {
        return 0;
    }
    let reached = records.last().map_or(read.tip_arrived, |last| last.arrived);
    now.0.saturating_sub(reached.0).max(1)
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
            builder.push(&Record { partition_key: "k", explicit_hash_key: None, data: &vec![7; size] });
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
