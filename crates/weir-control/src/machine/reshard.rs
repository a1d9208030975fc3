//! Reshards: shards that end and the shards that take their place.
//!
//! Part of the machine. A reshard is kept state: its parents are closed first, and only when their nodes say that they
//! are, durably, are the children placed; the stream is ACTIVE again when the nodes say that they own them. Each step is
//! found again after a restart, and a node that is silent holds the reshard up and loses nothing. The benefit: no record
//! of a parent can come after one of its child. The downside: between a parent's end and its child's beginning nobody
//! takes records for their keys, for as long as the nodes' words take; front ends let such puts wait.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use weir_core::{
    clock::{Monotonic, WallMs},
    hash_key::{HashKey, HashKeyRange},
    id::{Epoch, MemberId, ShardIndex, ShardKey},
    limits::{SHARDS_PER_STREAM_MAX, UPDATE_SHARD_COUNT_PERIOD},
    shard::OwnedShard,
};
use weir_wire::{
    control::{ControlError, StreamStatus, StreamTraffic},
    kinesis::limits::Limit,
};

use super::Machine;
use crate::{
    config::StreamDelays,
    placement,
    reshard::{OpenShard, Reshard, ReshardStep, births_toward_uniform, merge, split, toward_uniform},
    state::{AssignedShard, Stream},
};

/// What nodes say of the shards of one stream.
type Words = BTreeMap<(MemberId, ShardIndex), OwnedShard>;

impl Machine {
    pub(super) fn split_shard(
        &mut self,
        at: usize,
        shard: ShardIndex,
        key: HashKey,
    ) -> Result<(), ControlError> {
        let stream = &self.state.streams[at];
        stream.must_be_active()?;
        let parent = open_shard(stream, shard)?;
        self.check_shard_quotas(&stream.reference(), stream.on_demand, 1, 2)?;
        let HashKeyRange { start, end } = parent.range;
        // Kinesis keeps the lower part at two keys or more.
        let step = split(parent, key).filter(|_| key.0 > start.0.saturating_add(1) && key < end);
        let step = step.ok_or_else(|| {
            ControlError::Invalid(format!(
                "NewStartingHashKey {key} used in SplitShard() on shard {shard} in stream {} under account {} is not both \
                 greater than one plus the shard's StartingHashKey {start} and less than the shard's EndingHashKey {end}.",
                stream.name, stream.account
            ))
        })?;
        self.begin_reshard(at, Reshard { steps: vec![step], target: None })
    }

    pub(super) fn merge_shards(
        &mut self,
        at: usize,
        shard: ShardIndex,
        adjacent: ShardIndex,
    ) -> Result<(), ControlError> {
        let stream = &self.state.streams[at];
        stream.must_be_active()?;
        let (lower, upper) = (open_shard(stream, shard)?, open_shard(stream, adjacent)?);
        let step = merge(lower, upper).ok_or_else(|| {
            ControlError::Invalid(format!(
                "Shards {shard} and {adjacent} in stream {} under account {} are not an adjacent pair of shards eligible \
                 for merging",
                stream.name, stream.account
            ))
        })?;
        self.check_shard_quotas(&stream.reference(), stream.on_demand, 0, 1)?;
        self.begin_reshard(at, Reshard { steps: vec![step], target: None })
    }

    pub(super) fn update_shard_count(
        &mut self,
        at: usize,
        target: u32,
        wall: WallMs,
    ) -> Result<(), ControlError> {
        let stream = &self.state.streams[at];
        stream.must_be_active()?;
        let open = stream.open_shards();
        let target = check_target(open.len(), target)?;
        let period = u64::try_from(UPDATE_SHARD_COUNT_PERIOD.as_millis()).expect("a day");
        let counts = |then: &u64| wall.0.saturating_sub(*then) < period;
        let mut scaled_ms: Vec<u64> = stream.scaled_ms.iter().copied().filter(counts).collect();
        let most = self.state.config.shared.limits.quota(Limit::ShardCountUpdates);
        if scaled_ms.len() >= most {
            return Err(ControlError::LimitExceeded(format!(
                "UpdateShardCount cannot be called more than {most} times in a rolling 24-hour period \
                 for stream {} under account {}.",
                stream.name, stream.account
            )));
        }
        self.scale(at, target)?;
        scaled_ms.push(wall.0);
        self.state.streams[at].scaled_ms = scaled_ms;
        Ok(())
    }

    /// Begins to turn the stream's shards into `target` uniform ones.
    pub(super) fn scale(&mut self, at: usize, target: NonZeroU32) -> Result<(), ControlError> {
        let stream = &self.state.streams[at];
        let open = stream.open_shards();
        let more = target.get().saturating_sub(u32::try_from(open.len()).expect("shards are bounded"));
        let born = births_toward_uniform(&open, target);
        self.check_shard_quotas(&stream.reference(), stream.on_demand, more, born)?;
        self.begin_reshard(at, Reshard { steps: toward_uniform(&open, target), target: Some(target) })
    }

    /// Doubles on-demand streams that take in much; true when one begins to grow.
    pub(super) fn grow_on_demand(
        &mut self,
        now: Monotonic,
        wall: WallMs,
        traffic: Vec<StreamTraffic>,
    ) -> bool {
        let held_until_ms = StreamDelays::held_until_ms(wall, self.state.config.delays.update);
        let mut grew = false;
        for taken in traffic {
            let found = self.state.streams.binary_search_by_key(&taken.stream, |stream| stream.id);
            let Ok(at) = found else { continue };
            let stream = &self.state.streams[at];
            if !stream.on_demand || stream.status != StreamStatus::Active {
                self.traffic.forget(taken.stream);
                continue;
            }
            let open = stream.shards.iter().filter(|known| known.shard.is_open()).count();
            let open = u32::try_from(open).expect("shards are bounded");
            let Some(target) = self.traffic.add(now, taken, open) else { continue };
            match self.scale(at, target) {
                Ok(()) => {
                    self.state.streams[at].begin_update(held_until_ms);
                    grew = true;
                }
                Err(error) => {
                    tracing::info!(stream = %taken.stream, %error, "an on-demand stream does not grow")
                }
            }
        }
        grew
    }

    fn begin_reshard(&mut self, at: usize, reshard: Reshard) -> Result<(), ControlError> {
        let stream = &mut self.state.streams[at];
        stream.must_be_active()?;
        stream.reshard = Some(reshard);
        Ok(())
    }

    /// Moves reshards on as far as the nodes' words allow; true when one moved. A stream that is deleted and still held
    /// serves, so its reshard goes on as well.
    pub(super) fn advance_reshards(&mut self, now: Monotonic, wall: WallMs) -> bool {
        let mut changed = false;
        for at in 0..self.state.streams.len() {
            let stream = &mut self.state.streams[at];
            if stream.is_provided()
                && let Some(reshard) = stream.reshard.take()
            {
                changed |= self.advance(at, reshard, now, wall);
            }
        }
        changed
    }

    fn advance(&mut self, at: usize, mut reshard: Reshard, now: Monotonic, wall: WallMs) -> bool {
        let words = self.words_of(at);
        let stream = &mut self.state.streams[at];
        let mut changed = take_ends(stream, &words);
        let ended = |parent: &ShardIndex| stream.shard(*parent).is_some_and(|parent| !parent.is_open());
        let (ready, waiting): (Vec<_>, Vec<_>) =
            reshard.steps.drain(..).partition(|step| step.parents.iter().all(ended));
        reshard.steps = waiting;
        let children = ready.iter().map(|step| step.children.len()).sum::<usize>();
        let children = u32::try_from(children).expect("shards of a stream are bounded");
        match placement::nodes_for(children, self.load(now)) {
            Some(nodes) => {
                changed |= !ready.is_empty();
                self.bear(at, &ready, &nodes, wall);
            }
            None => reshard.steps.extend(ready), // no node to place them on: they wait
        }
        let stream = &mut self.state.streams[at];
        if reshard.steps.is_empty() && stream.shards.iter().all(|shard| word_of(shard, &words).is_some()) {
            changed = true;
            let open = stream.open_shards();
            reshard.steps = reshard.target.map(|target| toward_uniform(&open, target)).unwrap_or_default();
            if reshard.steps.is_empty() {
                return changed; // it is over: the stream is ACTIVE as soon as nothing else holds it
            }
        }
        stream.reshard = Some(reshard);
        changed
    }

    /// Places the children of parents that have ended, one on each of `nodes`.
    fn bear(&mut self, at: usize, steps: &[ReshardStep], nodes: &[MemberId], wall: WallMs) {
        if steps.is_empty() {
            return;
        }
        let epoch = self.state.next_epoch;
        self.state.next_epoch = Epoch(epoch.0 + 1);
        let stream = &mut self.state.streams[at];
        let last = stream.shards.iter().map(|known| known.shard.key.shard.0).max();
        let mut numbers = last.map_or(0, |last| last + 1)..;
        let mut nodes = nodes.iter();
        for step in steps {
            let born = step.parents.iter().filter_map(|parent| stream.shard(*parent));
            let born = born.map(|parent| parent.created_ms).max().expect("a step has a parent");
            let mut parents = step.parents.iter().copied();
            let parents = [parents.next(), parents.next()];
            for range in &step.children {
                let index = ShardIndex(numbers.next().expect("shards are bounded"));
                let shard = OwnedShard {
                    key: ShardKey { stream: stream.id, shard: index },
                    account: stream.account,
                    region: stream.region,
                    stream_name: stream.name.clone(),
                    range: *range,
                    // A later second than the parents', so that every number of a child is above all of theirs.
                    created_ms: wall.0.max(born + 1_000),
                    epoch,
                    parents,
                    closed: None,
                };
                let node = *nodes.next().expect("one for each child");
                stream.shards.push(AssignedShard { shard, node });
            }
        }
    }

    fn words_of(&self, at: usize) -> Words {
        let id = self.state.streams[at].id;
        let said = self.fragments.iter().flat_map(|(node, fragment)| {
            let of_stream = fragment.shards.iter().filter(|shard| shard.key.stream == id);
            of_stream.map(|shard| ((*node, shard.key.shard), shard.clone()))
        });
        said.collect()
    }

    /// Lets go of closed shards whose records are all too old to be served; true when one went. Parents go before their
    /// children: whoever reads a family finds it without a hole. And none goes before its children are there: a reshard that
    /// waits for the other parent, on a node that was silent for days, still needs it.
    pub(super) fn drop_expired_shards(&mut self, wall: WallMs) -> bool {
        let mut changed = false;
        for stream in &mut self.state.streams {
            let age_min = expires_after_ms(stream);
            let expired = |shard: &OwnedShard| {
                shard.closed.is_some_and(|closed| wall.0.saturating_sub(closed.at_ms) > age_min)
            };
            if !stream.shards.iter().any(|known| expired(&known.shard)) {
                continue;
            }
            let known: Vec<ShardIndex> = stream.shards.iter().map(|known| known.shard.key.shard).collect();
            let before = known.len();
            let parents: BTreeSet<ShardIndex> =
                stream.shards.iter().flat_map(|known| known.shard.parents).flatten().collect();
            let has_parent = |shard: &OwnedShard| {
                shard.parents.iter().flatten().any(|parent| known.binary_search(parent).is_ok())
            };
            let is_needed = |shard: &OwnedShard| has_parent(shard) || !parents.contains(&shard.key.shard);
            stream.shards.retain(|known| !expired(&known.shard) || is_needed(&known.shard));
            changed |= stream.shards.len() != before;
        }
        changed
    }
}

/// The shards of a stream that a node is to close, or has closed.
pub(super) fn closing(stream: &Stream, node: MemberId) -> impl Iterator<Item = ShardKey> {
    let steps = stream.reshard.iter().flat_map(|reshard| &reshard.steps);
    let parents: BTreeSet<ShardIndex> = steps.flat_map(|step| &step.parents).copied().collect();
    let of_node = stream.shards.iter().filter(move |assigned| assigned.node == node);
    let ends = move |shard: &&OwnedShard| !shard.is_open() || parents.contains(&shard.key.shard);
    of_node.map(|assigned| &assigned.shard).filter(ends).map(|shard| shard.key)
}

/// What a node says of a shard that it owns, if it is that shard.
fn word_of<'a>(assigned: &AssignedShard, words: &'a Words) -> Option<&'a OwnedShard> {
    let word = words.get(&(assigned.node, assigned.shard.key.shard))?;
    word.is_same_shard(&assigned.shard).then_some(word)
}

/// Notes where shards have ended, as their nodes say; true when that was not known.
fn take_ends(stream: &mut Stream, words: &Words) -> bool {
    let mut changed = false;
    for assigned in &mut stream.shards {
        let said = word_of(assigned, words).and_then(|word| word.closed);
        if said.is_some() && assigned.shard.closed != said {
            assigned.shard.closed = said;
            changed = true;
        }
    }
    changed
}

fn open_shard(stream: &Stream, shard: ShardIndex) -> Result<OpenShard, ControlError> {
    let known = stream.shard(shard).ok_or(ControlError::ShardNotFound(shard))?;
    if known.is_open() {
        return Ok(OpenShard { shard, range: known.range });
    }
    Err(ControlError::Invalid(format!(
        "Shard {shard} in stream {} under account {} has already been merged or split, and thus is not eligible for \
         merging or splitting.",
        stream.name, stream.account
    )))
}

/// `target` as a count, when a stream with `open` shards may be scaled to it in one call.
fn check_target(open: usize, target: u32) -> Result<NonZeroU32, ControlError> {
    let counts = format!("Current open shard count: {open} Target shard count: {target}");
    let wanted = target as usize;
    if target > SHARDS_PER_STREAM_MAX {
        return Err(ControlError::LimitExceeded(format!(
            "Target shard count or number of open shards cannot be greater than {SHARDS_PER_STREAM_MAX}. {counts}"
        )));
    }
    if wanted > 2 * open {
        return Err(ControlError::LimitExceeded(format!(
            "UpdateShardCount cannot scale up over double your current open shard count. {counts}"
        )));
    }
    if 2 * wanted < open {
        return Err(ControlError::LimitExceeded(format!(
            "UpdateShardCount cannot scale down below half your current open shard count. {counts}"
        )));
    }
    NonZeroU32::new(target)
        .ok_or_else(|| ControlError::Invalid(format!("A stream has a shard at least. {counts}")))
}

fn expires_after_ms(stream: &Stream) -> u64 {
    u64::from(stream.retention_hours) * 3_600_000
}

#[cfg(test)]
mod tests;
