//! The third gate: which shard, on which node?
//!
//! Looks at the shard map of this moment, hashes partition keys, asks the shard's buckets and lays each shard's records
//! out into the one batch that travels and is stored. Passing yields [`Routed`], which nothing else can make and which
//! is all that the forwarding steps take. It decides and does nothing.

mod put;
mod turns;

use std::{net::SocketAddr, sync::Arc};

use weir_core::{
    clock::Monotonic,
    hash_key::HashKey,
    id::{ShardIndex, ShardKey},
};

pub(crate) use self::{
    put::{NewRecord, PutPlan, RecordPlace, look_put, route_put},
    turns::{Turn, Turns},
};
use crate::{
    error::RequestError,
    shard_map::{MapReader, MapState, RoutedShard, ShardMap, StreamShards},
    throttle::{Admitted, ShardGate, ShardLimits},
};

/// The map of this moment, or why there is none to route by.
pub(crate) fn usable_map(maps: &MapReader, now: Monotonic) -> Result<Arc<ShardMap>, RequestError> {
    match maps.look(now) {
        MapState::Usable(map) => Ok(map),
        MapState::Expired { age } => Err(RequestError::MapExpired(age)),
        MapState::Never => Err(RequestError::NoMap),
    }
}

/// Something whose place is known, asked for by an admitted caller.
#[derive(Debug)]
pub(crate) struct Routed<T> {
    what: T,
}

impl<T> Routed<T> {
    /// What was routed.
    pub(crate) fn get(&self) -> &T {
        &self.what
    }

    /// What was routed, to be sent.
    pub(crate) fn into_inner(self) -> T {
        self.what
    }
}

/// Where a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShardPlace {
    /// The shard.
    pub(crate) key: ShardKey,
    /// When it was created, seconds since 1970: part of its sequence numbers.
    pub(crate) created_secs: u64,
    /// Its node.
    pub(crate) node: SocketAddr,
}

impl From<&RoutedShard> for ShardPlace {
    fn from(routed: &RoutedShard) -> Self {
        let created_secs = routed.shard.created_ms / 1_000;
        Self { key: routed.shard.key, created_secs, node: routed.address }
    }
}

/// A read of a shard that its buckets have let pass.
#[derive(Debug)]
pub(crate) struct ReadTicket {
    /// Where the shard is.
    pub(crate) place: ShardPlace,
    limits: Option<Arc<ShardLimits>>,
}

impl ReadTicket {
    /// Counts what the read gave out.
    pub(crate) fn charge(&self, now: Monotonic, bytes: usize) {
        if let Some(limits) = &self.limits {
            limits.charge_read(now, bytes);
        }
    }
}

/// Finds a shard by its number.
pub(crate) fn route_shard(
    _admitted: &Admitted,
    stream: &StreamShards,
    shard: ShardIndex,
) -> Result<Routed<ShardPlace>, RequestError> {
    match stream.shard(shard) {
        Some(routed) => Ok(Routed { what: routed.into() }),
        None => {
            let stream_ref = stream.stream().clone();
            // With every key owned there is no other shard; with a hole, this one may be in it.
            Err(if tiles_the_space(stream) {
                RequestError::ShardNotFound { stream: stream_ref, shard }
            } else {
                RequestError::OwnerUnknown(stream_ref)
            })
        }
    }
}

/// Finds a shard by its number and asks its buckets for a read. `gate` comes with how many shards the map has; none:
/// there are no limits.
pub(crate) fn route_read(
    admitted: &Admitted,
    stream: &StreamShards,
    shard: ShardIndex,
    gate: Option<(&ShardGate, usize)>,
    now: Monotonic,
) -> Result<Routed<ReadTicket>, RequestError> {
    let place = route_shard(admitted, stream, shard)?.into_inner();
    let limits = gate.map(|(gate, known_shards)| gate.limits(place.key, known_shards));
    if limits.as_ref().is_some_and(|limits| !limits.admit_read(now)) {
        let stream = stream.stream().clone();
        return Err(RequestError::ShardThrottled { stream, shard });
    }
    Ok(Routed { what: ReadTicket { place, limits } })
}

/// Is every key owned by a known shard?
pub(crate) fn tiles_the_space(stream: &StreamShards) -> bool {
    let mut next = Some(HashKey::MIN.0);
    for routed in stream.open_shards() {
        let range = routed.shard.range;
        if next != Some(range.start.0) {
            return false;
        }
        next = range.end.0.checked_add(1);
    }
    next.is_none()
}
