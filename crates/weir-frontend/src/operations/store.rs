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
    forward::{ForwardError, Forwarder},
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
    let places = routed.get().places.clone();
    let (shard_places, outcomes) = append(call.forwarder, routed).await;
    let results = places.into_iter().map(|place| result_of(place, stream, &shard_places, &outcomes));
    Ok((shards.id(), results.collect()))
}

/// Sends every batch; gives back where each went and what became of it.
async fn append(forwarder: &Forwarder, routed: Routed<PutPlan>) -> (Vec<ShardPlace>, Vec<GroupOutcome>) {
    let groups = routed.into_inner().groups;
    let places: Vec<ShardPlace> = groups.iter().map(|(place, _)| *place).collect();
    let mut frames: Vec<NodeFrame> = Vec::new();
    for (group, (place, batch)) in groups.into_iter().enumerate() {
        NodeFrame::of(&mut frames, place.node).add(group, place, batch);
    }
    let mut outcomes: Vec<Option<GroupOutcome>> = places.iter().map(|_| None).collect();
    let mut questions = Vec::with_capacity(frames.len());
    let mut asked = Vec::with_capacity(frames.len());
    for NodeFrame { node, groups, appends } in frames {
        questions.push((node, CellRequest::Append(appends)));
        asked.push((node, groups));
    }
    let answers = forwarder.call_all(questions).await;
    for ((node, groups), answer) in asked.into_iter().zip(answers) {
        spread(node, &groups, answer, &mut outcomes);
    }
    (places, outcomes.into_iter().map(|outcome| outcome.expect("every batch was sent to a node")).collect())
}

/// The batches of one node.
struct NodeFrame {
    node: SocketAddr,
    groups: Vec<usize>,
    appends: Vec<ShardAppend>,
}

impl NodeFrame {
    /// The frame of a node, new if it has none yet. Nodes are few: a search costs less than a map.
    fn of(frames: &mut Vec<Self>, node: SocketAddr) -> &mut Self {
        let at = frames.iter().position(|frame| frame.node == node).unwrap_or_else(|| {
            frames.push(Self { node, groups: Vec::new(), appends: Vec::new() });
            frames.len() - 1
        });
        &mut frames[at]
    }

    fn add(&mut self, group: usize, place: ShardPlace, batch: Batch) {
        self.groups.push(group);
        self.appends.push(ShardAppend { key: place.key, batch });
    }
}

/// Gives each batch of a frame its part of the node's answer.
fn spread(
    node: SocketAddr,
    groups: &[usize],
    answer: Result<CellReply, ForwardError>,
    outcomes: &mut [Option<GroupOutcome>],
) {
    match answer {
        Ok(CellReply::Append(results)) if results.len() == groups.len() => {
            for (&group, result) in groups.iter().zip(results) {
                outcomes[group] = Some(result.map_err(|error| ForwardError::Refused { node, error }));
            }
        }
        Ok(_) => {
            tracing::error!(%node, "node answered an append with something else");
            groups.iter().for_each(|&group| outcomes[group] = Some(Err(ForwardError::Nonsense { node })));
        }
        Err(error) => groups.iter().for_each(|&group| outcomes[group] = Some(Err(error.clone()))),
    }
}

fn result_of(
    place: RecordPlace,
    stream: &StreamRef,
    shard_places: &[ShardPlace],
    outcomes: &[GroupOutcome],
) -> Result<Stored, RequestError> {
    match place {
        RecordPlace::BetweenShards => Err(RequestError::BetweenShards(stream.clone())),
        RecordPlace::NoOwner => Err(RequestError::OwnerUnknown(stream.clone())),
        RecordPlace::Throttled(shard) => Err(RequestError::ShardThrottled { stream: stream.clone(), shard }),
        RecordPlace::Placed { group, at } => {
            let reply = outcomes[group].as_ref().map_err(|error| unowned(stream, error.clone()))?;
            let ShardPlace { key, created_secs, .. } = shard_places[group];
            let record = reply.first + u64::from(at);
            let sequence = SequenceNumber::of_record(key.shard, created_secs, record, reply.arrived.secs());
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
