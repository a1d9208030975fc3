//! A stream as this front end shows it: what the control plane knows, in the light of this front end's own map.
//!
//! The describing and listing operations share it. A stream is active only when this server could route to all of it,
//! so that who waits for it here can use it here.

use std::collections::BTreeSet;

use weir_core::{
    clock::WallMs,
    id::{ShardIndex, StreamRef},
    shard::OwnedShard,
};
use weir_wire::{
    control::{StreamDescription, StreamStatus},
    kinesis::describe_stream::{ShardFacts, StreamFacts},
};

use super::Call;
use crate::{
    error::RequestError,
    lookup::stream_arn,
    route::usable_map,
    shard_map::{MapState, ShardMap, StreamShards},
};

/// Looks at a stream. Without a map to route by there is nothing to say about any stream.
pub(super) async fn look(call: &Call<'_>, stream: &StreamRef) -> Result<View, RequestError> {
    // The map before the question: what the control plane says after it may be newer than the map, never older.
    let map = usable_map(call.maps, call.now())?;
    let description = call.common.lookup.describe(stream).await?;
    let status = status(call, &description, Some(&map));
    let serves = matches!(status, StreamStatus::Active | StreamStatus::Updating);
    let shards = if serves { shown(&description.shards, &map) } else { Vec::new() };
    Ok(View { facts: facts(&description, status), serves, consumers: description.consumers, shards })
}

/// What was seen.
#[derive(Debug)]
pub(super) struct View {
    /// The stream.
    pub(super) facts: StreamFacts,
    /// Does it serve, here?
    pub(super) serves: bool,
    /// Registered consumers.
    pub(super) consumers: u32,
    shards: Vec<OwnedShard>,
}

impl View {
    /// Its shards, by number; none before it serves.
    pub(super) fn shards(&self) -> &[OwnedShard] {
        &self.shards
    }

    /// From when on records are kept: the birth of a young stream.
    pub(super) fn horizon(&self, now: WallMs) -> WallMs {
        let kept_ms = u64::from(self.facts.retention_hours) * 3_600_000;
        WallMs(now.0.saturating_sub(kept_ms)).max(self.facts.created)
    }

    /// How many of them take records.
    pub(super) fn open_count(&self) -> u32 {
        let open = self.shards.iter().filter(|shard| shard.is_open()).count();
        u32::try_from(open).expect("shards of a stream are bounded")
    }
}

/// The facts of a stream in a list, where a missing map does not matter.
pub(super) fn listed(call: &Call<'_>, description: &StreamDescription) -> StreamFacts {
    let map = match call.maps.look(call.now()) {
        MapState::Usable(map) => Some(map),
        MapState::Expired { .. } | MapState::Never => None,
    };
    facts(description, status(call, description, map.as_deref()))
}

/// The state as it is here. To a server that cannot route to all of it, a stream that serves is still on its way: being
/// resharded if any of its shards ever was, else being created.
fn status(call: &Call<'_>, description: &StreamDescription, map: Option<&ShardMap>) -> StreamStatus {
    let serves = matches!(description.status, StreamStatus::Active | StreamStatus::Updating);
    let Some(map) = map.filter(|_| serves) else { return description.status };
    let is_known = |owned: &OwnedShard| match map.stream_by_id(owned.key.stream) {
        Some(stream) => {
            stream.shard(owned.key.shard).is_some() && (owned.is_open() || is_replaced(stream, owned))
        }
        None => false,
    };
    if description.shards.iter().all(is_known) {
        // Whoever waits for ACTIVE here finds the settings here.
        let knows = description.settings_revision <= call.config.settings_revision;
        return if knows { description.status } else { StreamStatus::Updating };
    }
    let resharded = |owned: &OwnedShard| !owned.is_open() || owned.parents.iter().any(Option::is_some);
    if description.shards.iter().any(resharded) { StreamStatus::Updating } else { StreamStatus::Creating }
}

/// The shards as this server can serve them: a split or a merge is shown when it is whole, and not before. Its parents
/// are open till then and its children are not there, so that no reader finds an end without what comes after it.
fn shown(shards: &[OwnedShard], map: &ShardMap) -> Vec<OwnedShard> {
    let Some(stream) = shards.first().and_then(|shard| map.stream_by_id(shard.key.stream)) else {
        return Vec::new();
    };
    let halfway: BTreeSet<ShardIndex> = shards
        .iter()
        .filter(|shard| !shard.is_open() && !is_replaced(stream, shard))
        .map(|shard| shard.key.shard)
        .collect();
    let is_shown =
        |shard: &&OwnedShard| !shard.parents.iter().flatten().any(|parent| halfway.contains(parent));
    let shown = shards.iter().filter(is_shown).cloned();
    let as_before = |shard: OwnedShard| match halfway.contains(&shard.key.shard) {
        true => OwnedShard { closed: None, ..shard },
        false => shard,
    };
    shown.map(as_before).collect()
}

/// Does somebody take records for every key of a closed shard, or did, and is that known here?
fn is_replaced(stream: &StreamShards, shard: &OwnedShard) -> bool {
    stream.children_of(shard).is_some()
}

fn facts(description: &StreamDescription, status: StreamStatus) -> StreamFacts {
    let stream = &description.stream;
    let distribution = if description.intake.spread { "AUTO" } else { "USER_PARTITION_KEY" };
    StreamFacts {
        name: stream.name.as_str().to_owned(),
        arn: stream_arn(stream),
        status: status.name(),
        mode: if description.on_demand { "ON_DEMAND" } else { "PROVISIONED" },
        record_kib_max: description.intake.record_kib_max,
        distribution: description.on_demand.then_some(distribution),
        warm_mibps: description.warm_mibps,
        retention_hours: description.retention_hours,
        created: WallMs(description.created_ms),
        metrics: description.metrics,
        key_id: description.encryption_key.clone(),
    }
}

/// A shard as it is shown.
pub(super) fn shard_facts(owned: &OwnedShard) -> ShardFacts {
    let [parent, adjacent_parent] = owned.parents;
    ShardFacts {
        shard: owned.key.shard,
        range: owned.range,
        parent,
        adjacent_parent,
        starting: owned.starting_number(),
        ending: owned.ending_number(),
    }
}

/// Up to `most` shards whose ids come after `after`, as texts compare, and whether there are more.
pub(super) fn page(shards: &[OwnedShard], after: Option<&str>, most: usize) -> (Vec<ShardFacts>, bool) {
    let rest = match after {
        None => shards,
        Some(after) => {
            let start = shards.partition_point(|owned| owned.key.shard.to_string().as_str() <= after);
            &shards[start..]
        }
    };
    let page = rest.iter().take(most).map(shard_facts).collect();
    (page, rest.len() > most)
}
