//! `GetRecords`: reads from where an iterator points, and says where to go on.

use weir_core::{id::StreamRef, limits::GET_RECORDS_COUNT_MAX, sequence::RecordIndex};
use weir_wire::{
    cell::{CellReply, CellRequest, ReadReply},
    kinesis::{
        get_records::{GetRecordsInput, GetRecordsReply},
        validate::null_member,
    },
};

use super::{Call, SMALL_ANSWER_BYTES};
use crate::{
    answer::Answer,
    error::RequestError,
    forward::ForwardError,
    iterator::ShardIterator,
    lookup::StreamSelector,
    page::{Page, PageBounds, children},
    route::{ReadTicket, Routed, ShardPlace, route_read, usable_map},
};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: GetRecordsInput<'_> = call.input()?;
    let text = input.shard_iterator.as_deref().ok_or_else(|| null_member("shardIterator"))?;
    let iterator = ShardIterator::open(&call.config.sealer, text, call.wall())?;
    must_be_of(call, &input, &iterator)?;
    call.permitted(iterator.stream.clone())?;
    let map = usable_map(call.maps, call.now())?;
    let stream = call.common.lookup.of_iterator(&map, &iterator).await?;
    let routed = route_read(call.admitted, stream, iterator.key.shard, call.gate(&map), call.now())
        .inspect_err(|error| {
            if matches!(error, RequestError::ShardThrottled { .. }) {
                call.common.shard_metrics.read_throttled(iterator.key);
            }
        })?;
    let dry_run = input.dry_run == Some(true);
    let limit = input.limit.map_or(GET_RECORDS_COUNT_MAX, |limit| limit as usize);
    let limit = if dry_run { 1 } else { limit };
    let (permit, bytes_max) =
        call.common.answers.reserve_page(limit, call.record_bytes_max(&iterator.stream))?;
    let bounds = PageBounds { records_max: limit, bytes_max };
    let read = read(call, &routed, &iterator.stream, iterator.record, bounds).await?;
    // The number after the last of a closed shard is one that was given out.
    let behind_end = u64::from(read.closed);
    if read.from > read.tip + behind_end {
        return Err(RequestError::IteratorAhead { record: read.from, tip: read.tip });
    }
    if dry_run {
        return Err(RequestError::DryRun);
    }

    let place = routed.get().place;
    let page = Page::cut(&read, iterator.record, &place, bounds);
    let millis_behind_latest = page.behind(&read, call.wall());
    let children =
        if read.closed && page.next >= read.tip { children(stream, iterator.key.shard) } else { None };
    let goes_on = children.is_none();
    let reply = GetRecordsReply {
        children: children.unwrap_or_default(),
        millis_behind_latest,
        records: page.records(call.config.encrypted_since(iterator.key.stream)),
        next_shard_iterator: goes_on.then(|| iterator.at(page.next).seal(&call.config.sealer, call.wall())),
    };
    let answer_bytes = SMALL_ANSWER_BYTES + page.answer_bytes();
    let answer = call.common.answers.settle(permit, call.encoding.encode(&reply, answer_bytes))?;
    routed.get().charge(call.now(), page.payload_bytes);
    call.common.metrics.given_out(page.count, page.payload_bytes);
    call.common.shard_metrics.given_out(iterator.key, page.count, page.payload_bytes, millis_behind_latest);
    Ok(answer)
}

/// An iterator leads into its stream alone: that of the call, if it names one, and else one of the call's region.
fn must_be_of(
    call: &Call<'_>,
    input: &GetRecordsInput<'_>,
    iterator: &ShardIterator,
) -> Result<(), RequestError> {
    let is_of = match input.stream_arn.as_deref() {
        Some(arn) => StreamSelector { name: None, arn: Some(arn) }.resolve(call.caller())? == iterator.stream,
        None => iterator.stream.region == call.caller().region,
    };
    if is_of { Ok(()) } else { Err(RequestError::IteratorInvalid) }
}

async fn read(
    call: &Call<'_>,
    routed: &Routed<ReadTicket>,
    stream: &StreamRef,
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
    match call.ask_owner(stream, node, request).await? {
        CellReply::Read(read) => Ok(read),
        _ => Err(ForwardError::Nonsense { node }.into()),
    }
}
