//! A stream as this front end shows it: what the control plane knows, in the light of this front end's own map.
//!
//! The describing and listing operations share it. A stream is active only when this server could route to all of it,
//! so that who waits for it here can use it here.

use weir_core::{clock::WallMs, id::StreamRef, sequence::SequenceNumber, shard::OwnedShard};
use weir_wire::{
    control::{StreamDescription, StreamStatus},
    kinesis::describe_stream::{ShardFacts, StreamFacts},
};

use super::Call;
use crate::{
    error::RequestError,
    lookup::stream_arn,
    route::usable_map,
    shard_map::{MapState, ShardMap},
};

/// Looks at a stream. Without a map to route by there is nothing to say about any stream.
pub(super) async fn look(call: &Call<'_>, stream: &StreamRef) -> Result<View, RequestError> {
    // The map before the question: what the control plane says after it may be newer than the map, never older.
    let map = usable_map(call.maps, call.now())?;
    let description = call.common.lookup.describe(stream).await?;
    let active = is_active(&description, Some(&map));
    Ok(View { facts: facts(&description, active), active, shards: description.shards })
}

/// What was seen.
#[derive(Debug)]
pub(super) struct View {
    /// The stream.
    pub(super) facts: StreamFacts,
    /// Does it serve, here?
    pub(super) active: bool,
    shards: Vec<OwnedShard>,
}

impl View {
    /// Its shards, by number; none before it serves.
    pub(super) fn shards(&self) -> &[OwnedShard] {
        if self.active { &self.shards } else { &[] }
    }
}

/// The facts of a stream in a list, where a missing map does not matter.
pub(super) fn listed(call: &Call<'_>, description: &StreamDescription) -> StreamFacts {
    let map = match call.maps.look(call.now()) {
        MapState::Usable(map) => Some(map),
        MapState::Expired { .. } | MapState::Never => None,
    };
    facts(description, is_active(description, map.as_deref()))
}

fn is_active(description: &StreamDescription, map: Option<&ShardMap>) -> bool {
    let serves = match description.status {
        StreamStatus::Active | StreamStatus::Updating => true,
        StreamStatus::Creating | StreamStatus::Deleting => false,
    };
    let Some(map) = map else { return serves };
    serves
        && description.shards.iter().all(|owned| {
            map.stream_by_id(owned.key.stream).is_some_and(|known| known.shard(owned.key.shard).is_some())
        })
}

fn facts(description: &StreamDescription, active: bool) -> StreamFacts {
    let stream = &description.stream;
    StreamFacts {
        name: stream.name.as_str().to_owned(),
        arn: stream_arn(stream),
        status: match description.status {
            StreamStatus::Active | StreamStatus::Updating if !active => StreamStatus::Creating.name(),
            status => status.name(),
        },
        mode: if description.on_demand { "ON_DEMAND" } else { "PROVISIONED" },
        retention_hours: description.retention_hours,
        created: WallMs(description.created_ms),
    }
}

/// A shard as it is shown.
pub(super) fn shard_facts(owned: &OwnedShard) -> ShardFacts {
    let shard = owned.key.shard;
    ShardFacts {
        shard,
        range: owned.range,
        starting: SequenceNumber::starting(shard, owned.created_ms / 1_000),
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
