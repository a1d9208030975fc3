//! Stores records: what `PutRecord` and `PutRecords` have in common.
//!
//! One frame a node carries all batches that land there; frames to several nodes are in flight together. A batch is
//! stored whole or not at all, and each record learns what became of its batch.

use std::net::SocketAddr;

use tokio::time::{Instant, timeout_at};
use weir_core::{
    batch::Batch,
    id::{ShardIndex, ShardKey, StreamId, StreamRef},
    limits::RESHARD_WAIT,
    sequence::SequenceNumber,
};
use weir_wire::cell::{AppendReply, CellError, CellReply, CellRequest, ShardAppend};

use super::{Call, unowned};
use crate::{
    error::RequestError,
    forward::{ForwardError, Forwarder, all},
    route::{NewRecord, PutPlan, RecordPlace, Routed, ShardPlace, Turn, look_put, route_put, usable_map},
};

/// A stored record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// Where it landed.
    pub(super) shard: ShardIndex,
    /// Its number.
    pub(super) sequence: SequenceNumber,
}

/// What became of the records of one call.
#[derive(Debug)]
pub(super) struct StoreOutcome {
    /// One result for each record, in order.
    pub(super) results: Vec<Result<Stored, RequestError>>,
    /// Are records of this stream shown as encrypted?
    pub(super) encrypted: bool,
}

/// What became of one batch.
type GroupOutcome = Result<AppendReply, ForwardError>;
/// Where one batch went, and what became of it.
type SentBatch = (ShardPlace, GroupOutcome);

/// Routes and stores: one outcome for each record, in order; an error when nothing could be routed at all.
///
/// What a reshard is in the way of waits for the next map and is routed again: the parent has taken none of it, since it
/// says so, and the children take records as soon as this front end hears of them.
pub(super) async fn store(
    call: &Call<'_>,
    stream: &StreamRef,
    records: &[NewRecord<'_>],
) -> Result<StoreOutcome, RequestError> {
    let mut changes = call.maps.changes();
    let (id, mut results) = attempt(call, stream, records).await?;
    let mut left = resharding(&results);
    if !left.is_empty()
        && let Ok(_waiting) = call.common.resharding.try_acquire()
    {
        let deadline = Instant::from_std(call.common.clock.instant(call.now() + RESHARD_WAIT));
        while !left.is_empty() && matches!(timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
            let again: Vec<NewRecord<'_>> = left.iter().map(|&at| records[at]).collect();
            match attempt(call, stream, &again).await {
                Ok((_, outcomes)) => {
                    left.iter().zip(outcomes).for_each(|(&at, outcome)| results[at] = outcome);
                }
                Err(error) => left.iter().for_each(|&at| results[at] = Err(error.clone())),
            }
            left = resharding(&results);
        }
    }
    count(call, id, records, &results);
    Ok(StoreOutcome { encrypted: call.config.is_encrypted(id, call.wall()), results })
}

/// Tells what would become of a call with these records, and stores none: [`RequestError::DryRun`] where it would succeed.
/// `only` is the record whose failure is the call's; records that fail one by one make no call fail.
pub(super) async fn dry_run(
    call: &Call<'_>,
    stream: &StreamRef,
    only: Option<&NewRecord<'_>>,
) -> RequestError {
    match would_store(call, stream, only).await {
        Ok(()) => RequestError::DryRun,
        Err(error) => error,
    }
}

async fn would_store(
    call: &Call<'_>,
    stream: &StreamRef,
    only: Option<&NewRecord<'_>>,
) -> Result<(), RequestError> {
    let map = usable_map(call.maps, call.now())?;
    let shards = call.common.lookup.in_map(&map, stream).await?;
    let Some(record) = only else { return Ok(()) };
    let turn = turn(call, stream, shards.id());
    match look_put(shards, record, call.gate(&map), turn.as_ref(), (call.now(), call.wall())) {
        None | Some(RecordPlace::Placed { .. }) => Ok(()),
        Some(RecordPlace::BetweenShards) => Ok(()), // it would be waited for
        Some(RecordPlace::Throttled(shard)) => {
            Err(RequestError::ShardThrottled { stream: stream.clone(), shard })
        }
        Some(RecordPlace::NoOwner) => Err(RequestError::OwnerUnknown(stream.clone())),
    }
}

/// The stream's turn, if it spreads its records.
fn turn(call: &Call<'_>, stream: &StreamRef, id: StreamId) -> Option<Turn> {
    call.config.intake(stream).spread.then(|| call.common.turns.of(id))
}

/// The records that a reshard is in the way of.
fn resharding(results: &[Result<Stored, RequestError>]) -> Vec<usize> {
    let waits = |result: &Result<Stored, RequestError>| match result {
        Err(RequestError::BetweenShards(_)) => true,
        Err(RequestError::Forward(ForwardError::Refused { error, .. })) => *error == CellError::Closed,
        _ => false,
    };
    (0..results.len()).filter(|&at| waits(&results[at])).collect()
}

/// Routes and stores by the map of this moment; says which stream that was.
async fn attempt(
    call: &Call<'_>,
    stream: &StreamRef,
    records: &[NewRecord<'_>],
) -> Result<(StreamId, Vec<Result<Stored, RequestError>>), RequestError> {
    let map = usable_map(call.maps, call.now())?;
    let shards = call.common.lookup.in_map(&map, stream).await?;
    let turn = turn(call, stream, shards.id());
    let now = (call.now(), call.wall());
    let routed = route_put(call.admitted, shards, records, call.gate(&map), turn.as_ref(), now);
    let (places, sent) = append(call.forwarder, routed).await;
    let results = places.into_iter().map(|place| result_of(place, stream, &sent));
    Ok((shards.id(), results.collect()))
}

/// Sends every batch; gives back the places of the records, and where each batch went and what became of it.
async fn append(forwarder: &Forwarder, routed: Routed<PutPlan>) -> (Vec<RecordPlace>, Vec<SentBatch>) {
    let PutPlan { groups, places } = routed.into_inner();
    let one_node = groups.first().map(|(place, _)| place.node);
    let sent = match one_node.filter(|node| groups.iter().all(|(place, _)| place.node == *node)) {
        Some(node) => append_to_one(forwarder, node, groups).await,
        None => append_to_each(forwarder, groups).await,
    };
    (places, sent)
}

/// Sends batches that all land on one node: a whole call's, more often than not.
async fn append_to_one(
    forwarder: &Forwarder,
    node: SocketAddr,
    groups: Vec<(ShardPlace, Batch)>,
) -> Vec<SentBatch> {
    let mut places = Vec::with_capacity(groups.len());
    let mut appends = Vec::with_capacity(groups.len());
    for (place, batch) in groups {
        places.push(place);
        appends.push(ShardAppend { key: place.key, batch });
    }
    let answer = forwarder.call(node, CellRequest::Append(appends)).await;
    let outcomes = outcomes_of(node, places.len(), answer);
    places.into_iter().zip(outcomes).collect()
}

/// Sends the batches of each node to it, at once.
async fn append_to_each(forwarder: &Forwarder, groups: Vec<(ShardPlace, Batch)>) -> Vec<SentBatch> {
    let mut nodes: Vec<NodeGroups> = Vec::new();
    for (group, (place, batch)) in groups.into_iter().enumerate() {
        let of_node = NodeGroups::of(&mut nodes, place.node);
        of_node.groups.push(group);
        of_node.batches.push((place, batch));
    }
    let mut order = Vec::new();
    let mut asked = Vec::with_capacity(nodes.len());
    for NodeGroups { node, groups, batches } in nodes {
        order.extend(groups);
        asked.push(append_to_one(forwarder, node, batches));
    }
    let mut sent: Vec<_> = order.into_iter().zip(all(asked).await.into_iter().flatten()).collect();
    sent.sort_unstable_by_key(|(group, _)| *group);
    sent.into_iter().map(|(_, sent)| sent).collect()
}

/// The batches of one node.
struct NodeGroups {
    node: SocketAddr,
    /// Which batches of the plan they are.
    groups: Vec<usize>,
    batches: Vec<(ShardPlace, Batch)>,
}

impl NodeGroups {
    /// Those of a node, none if it has none yet. Nodes are few: a search costs less than a map.
    fn of(nodes: &mut Vec<Self>, node: SocketAddr) -> &mut Self {
        let at = nodes.iter().position(|of| of.node == node).unwrap_or_else(|| {
            nodes.push(Self { node, groups: Vec::new(), batches: Vec::new() });
            nodes.len() - 1
        });
        &mut nodes[at]
    }
}

/// What a node's answer says of each of the batches that were sent to it.
fn outcomes_of(
    node: SocketAddr,
    batches: usize,
    answer: Result<CellReply, ForwardError>,
) -> Vec<GroupOutcome> {
    match answer {
        Ok(CellReply::Append(results)) if results.len() == batches => {
            let outcome =
                |result: Result<_, _>| result.map_err(|error| ForwardError::Refused { node, error });
            results.into_iter().map(outcome).collect()
        }
        Ok(_) => {
            tracing::error!(%node, "node answered an append with something else");
            vec![Err(ForwardError::Nonsense { node }); batches]
        }
        Err(error) => vec![Err(error); batches],
    }
}

fn result_of(place: RecordPlace, stream: &StreamRef, sent: &[SentBatch]) -> Result<Stored, RequestError> {
    match place {
        RecordPlace::BetweenShards => Err(RequestError::BetweenShards(stream.clone())),
        RecordPlace::NoOwner => Err(RequestError::OwnerUnknown(stream.clone())),
        RecordPlace::Throttled(shard) => Err(RequestError::ShardThrottled { stream: stream.clone(), shard }),
        RecordPlace::Placed { group, at } => {
            let (ShardPlace { key, created_secs, .. }, outcome) = &sent[group];
            let reply = outcome.as_ref().map_err(|error| unowned(stream, error.clone()))?;
            let record = reply.first + u64::from(at);
            let sequence = SequenceNumber::of_record(key.shard, *created_secs, record, reply.arrived.secs());
            Ok(Stored { shard: key.shard, sequence })
        }
    }
}

fn count(
    call: &Call<'_>,
    stream: StreamId,
    records: &[NewRecord<'_>],
    results: &[Result<Stored, RequestError>],
) {
    let shard_metrics = &call.common.shard_metrics;
    let (mut stored, mut bytes, mut throttled, mut failed) = (0, 0, 0, 0);
    for (record, result) in records.iter().zip(results) {
        match result {
            Ok(done) => {
                stored += 1;
                bytes += record.counted_bytes();
                shard_metrics.stored(ShardKey { stream, shard: done.shard }, record.counted_bytes());
            }
            Err(RequestError::ShardThrottled { shard, .. }) => {
                throttled += 1;
                shard_metrics.write_throttled(ShardKey { stream, shard: *shard });
            }
            Err(_) => failed += 1,
        }
    }
    let metrics = &call.common.metrics;
    metrics.stored(stored, bytes);
    metrics.throttled(throttled);
    metrics.failed(failed);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_core::{
        batch::{BatchBuilder, Record},
        clock::{Clock, WallMs},
        limits::NODE_CALL_TIMEOUT,
    };
    use weir_wire::cell::{LocalNode, ReplyFuture};

    use super::*;
    use crate::forward::LocalDial;

    /// Says of each batch that its first record has the number of its shard.
    #[derive(Debug)]
    struct Numbers;

    impl LocalNode for Numbers {
        fn ask(&self, question: CellRequest) -> ReplyFuture {
            let CellRequest::Append(appends) = question else { panic!("{question:?}") };
            let number = |append: &ShardAppend| {
                Ok(AppendReply { first: append.key.shard.0.into(), arrived: WallMs(1) })
            };
            let reply = CellReply::Append(appends.iter().map(number).collect());
            Box::pin(std::future::ready(Some(reply)))
        }
    }

    #[tokio::test]
    async fn batches_of_several_nodes_come_back_in_the_order_of_the_plan() {
        let forwarder =
            Forwarder::new(Arc::new(LocalDial::new(Arc::new(Numbers))), Clock::new(), NODE_CALL_TIMEOUT);
        let group = |shard: u32| {
            let key = ShardKey { stream: StreamId(1), shard: ShardIndex(shard) };
            let node = SocketAddr::from(([127, 0, 0, 1], 4_000 + (shard % 3) as u16));
            let mut builder = BatchBuilder::default();
            builder.push(&Record { partition_key: "k".into(), explicit_hash_key: None, data: b"data" });
            (ShardPlace { key, created_secs: 1, node }, builder.finish())
        };
        let sent = append_to_each(&forwarder, (0..7).map(group).collect()).await;
        let found = sent.iter().map(|(place, outcome)| (place.key.shard.0, outcome.as_ref().unwrap().first));
        assert_eq!(found.collect::<Vec<_>>(), (0..7).map(|shard| (shard, shard.into())).collect::<Vec<_>>());
    }
}
