//! The fragments that a server holds, and the routes that follow from them.
//!
//! The fleet's state machine asks; nothing here knows of peers or threads. Two rules hold whatever arrives in whatever
//! order: of one node only a later fragment replaces an earlier one, and no shard is routed to an owner whose epoch is
//! below one that was heard before, however long ago: only streams beyond the last [`FLOOR_STREAMS_MAX`] are forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use weir_core::{
    clock::Monotonic,
    id::{Epoch, MemberId, ShardIndex, StreamId},
    limits::{NODES_MAX, STREAMS_MAX},
    shard::OwnedShard,
};
use weir_wire::fragment::Fragment;

use crate::shard_map::{RoutedShard, Routes};

/// Streams whose highest epochs are remembered. Never for a time alone: an owner of the past may come back after any
/// time. Streams are numbered once and at most `STREAMS_MAX` exist at once, so that the surplus is of deleted ones.
const FLOOR_STREAMS_MAX: usize = 2 * STREAMS_MAX;

/// How a fragment became known, which says what it proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The node or a server that it was brought to says so now: its way through the mesh works.
    Mesh,
    /// The control plane's store says so.
    Store,
    /// Somebody who only repeats it.
    Hearsay,
}

/// What became of a fragment that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hearing {
    /// It is later than what was known: pass it on.
    News,
    /// Nothing new.
    Known,
}

/// What a server knows of one node.
#[derive(Debug, Default)]
struct NodeWord {
    held: Option<Held>,
    /// The build in which the mesh (or the store) last confirmed it.
    confirmed_in: Option<u64>,
    /// The same, by the mesh alone.
    meshed_in: Option<u64>,
    /// It has been confirmed in some build, so that an expired fragment means silence.
    was_confirmed: bool,
    /// It was waited for and asked after, and nobody who should know it did.
    absent: bool,
}

impl NodeWord {
    fn is_alive(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.expired)
    }
}

#[derive(Debug)]
struct Held {
    fragment: Fragment,
    expires_at: Monotonic,
    /// Brought here by the node itself.
    direct: bool,
    expired: bool,
}

#[derive(Debug, Default)]
struct StreamFloor {
    epochs: BTreeMap<ShardIndex, Epoch>,
    /// When a fragment that changed anything last named it.
    mentioned_at: Monotonic,
}

/// All fragments that one server holds.
#[derive(Debug, Default)]
pub(super) struct FragmentBook {
    nodes: BTreeMap<MemberId, NodeWord>,
    floors: BTreeMap<StreamId, StreamFloor>,
    /// The build that confirmations count for.
    build: u64,
    /// Routes differ from those of the last [`Self::routes`].
    dirty: bool,
}

impl FragmentBook {
    /// A new build begins, among these nodes: each must be confirmed again. Nodes that left are forgotten.
    pub(super) fn begin_build(&mut self, nodes: impl IntoIterator<Item = MemberId>) {
        self.build += 1;
        let nodes: BTreeSet<MemberId> = nodes.into_iter().collect();
        self.nodes.retain(|node, word| {
            let stays = nodes.contains(node);
            self.dirty |= !stays && word.held.as_ref().is_some_and(|held| !held.expired);
            stays
        });
        for node in nodes {
            self.nodes.entry(node).or_default();
        }
    }

    /// Takes in a fragment. `direct` when the node itself brought it.
    pub(super) fn hear(&mut self, now: Monotonic, fragment: Fragment, proof: Proof, direct: bool) -> Hearing {
        if !self.nodes.contains_key(&fragment.node) && self.nodes.len() >= NODES_MAX {
            return Hearing::Known;
        }
        let word = self.nodes.entry(fragment.node).or_default();
        let order = word.held.as_ref().map(|held| held.fragment.order());
        if order.is_some_and(|order| fragment.order() < order) {
            self.raise_floors(now, &fragment.shards);
            return Hearing::Known;
        }
        match proof {
            Proof::Mesh => {
                word.confirmed_in = Some(self.build);
                word.meshed_in = Some(self.build);
                word.was_confirmed = true;
            }
            Proof::Store => word.confirmed_in = Some(self.build),
            Proof::Hearsay => {}
        }
        if order == Some(fragment.order()) {
            if let Some(held) = &mut word.held {
                held.direct |= direct;
            }
            return Hearing::Known;
        }
        word.absent = false;
        self.replace(now, fragment, direct);
        Hearing::News
    }

    fn replace(&mut self, now: Monotonic, mut fragment: Fragment, direct: bool) {
        let word = self.nodes.entry(fragment.node).or_default();
        let same = word.held.as_ref().filter(|held| {
            !held.expired
                && held.fragment.shards == fragment.shards
                && held.fragment.address == fragment.address
        });
        if let Some(held) = same {
            fragment.shards = Arc::clone(&held.fragment.shards);
        } else {
            self.dirty = true;
        }
        let shards = Arc::clone(&fragment.shards);
        let expires_at = now + fragment.ttl;
        word.held = Some(Held { fragment, expires_at, direct, expired: false });
        if self.dirty {
            self.raise_floors(now, &shards);
        }
    }

    fn raise_floors(&mut self, now: Monotonic, shards: &[OwnedShard]) {
        for shard in shards {
            let stream = self.floors.entry(shard.key.stream).or_default();
            stream.mentioned_at = now;
            let floor = stream.epochs.entry(shard.key.shard).or_insert(shard.epoch);
            if *floor < shard.epoch {
                *floor = shard.epoch;
                self.dirty = true;
            }
        }
        if self.floors.len() > FLOOR_STREAMS_MAX {
            self.forget_floors(FLOOR_STREAMS_MAX / 2);
        }
    }

    /// Keeps the floors of all streams that somebody holds, and of the others those named last, `kept` in all.
    fn forget_floors(&mut self, kept: usize) {
        let held = self.nodes.values().filter_map(|word| word.held.as_ref());
        let held: BTreeSet<StreamId> =
            held.flat_map(|held| held.fragment.shards.iter()).map(|shard| shard.key.stream).collect();
        let others = self.floors.iter().filter(|(stream, _)| !held.contains(stream));
        let mut others: Vec<_> = others.map(|(stream, floor)| (floor.mentioned_at, *stream)).collect();
        others.sort_unstable();
        for (_, stream) in others.iter().take(self.floors.len().saturating_sub(kept)) {
            self.floors.remove(stream);
        }
    }

    /// Lets fragments expire.
    pub(super) fn expire(&mut self, now: Monotonic) {
        for word in self.nodes.values_mut() {
            if let Some(held) = word.held.as_mut().filter(|held| !held.expired && held.expires_at <= now) {
                held.expired = true;
                self.dirty = true;
            }
        }
    }

    /// The next moment at which a fragment expires.
    pub(super) fn next_expiry(&self) -> Option<Monotonic> {
        let held = self.nodes.values().filter_map(|word| word.held.as_ref());
        held.filter(|held| !held.expired).map(|held| held.expires_at).min()
    }

    /// Nodes of which nothing that still counts is held and whose silence proves nothing yet, since the mesh has never
    /// confirmed them: a build waits for them.
    pub(super) fn unheard(&self) -> BTreeSet<MemberId> {
        let unheard = |word: &NodeWord| !word.is_alive() && !word.was_confirmed && !word.absent;
        self.nodes.iter().filter(|(_, word)| unheard(word)).map(|(node, _)| *node).collect()
    }

    /// Counts an unheard node as silent until it speaks, rather than wait for ever.
    pub(super) fn give_up_on(&mut self, node: MemberId) {
        if let Some(word) = self.nodes.get_mut(&node).filter(|word| !word.is_alive()) {
            word.absent = true;
        }
    }

    /// How many nodes of how many are settled in this build: confirmed, or known to be silent.
    pub(super) fn settled(&self) -> (usize, usize) {
        let settled = self.nodes.values().filter(|word| self.is_settled(word)).count();
        (settled, self.nodes.len())
    }

    fn is_settled(&self, word: &NodeWord) -> bool {
        if word.is_alive() {
            word.confirmed_in == Some(self.build)
        } else {
            word.was_confirmed || word.absent
        }
    }

    /// Has the mesh itself (not the store) confirmed every node in this build that is not silent?
    pub(super) fn all_meshed(&self) -> bool {
        self.nodes.values().all(|word| word.meshed_in == Some(self.build) || !word.is_alive())
    }

    /// Nodes that exist but say nothing.
    pub(super) fn silent_count(&self) -> usize {
        self.nodes.values().filter(|word| !word.is_alive()).count()
    }

    /// Do the routes differ from those that were taken last?
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The routes that follow from what is held: each shard to the owner with the highest epoch, and to nobody when
    /// that owner is silent.
    pub(super) fn routes(&mut self) -> Routes {
        self.dirty = false;
        let mut owners: BTreeMap<_, RoutedShard> = BTreeMap::new();
        let held = self.nodes.values().filter_map(|word| word.held.as_ref()).filter(|held| !held.expired);
        for held in held {
            for shard in held.fragment.shards.iter() {
                let floor = self.floors.get(&shard.key.stream).and_then(|f| f.epochs.get(&shard.key.shard));
                let floor = floor.copied().unwrap_or(shard.epoch);
                assert!(shard.epoch <= floor, "{} is owned above its floor {floor}", shard.key);
                if shard.epoch == floor {
                    // Two owners of one epoch: the lower node, so that all servers agree.
                    owners.entry(shard.key).or_insert_with(|| RoutedShard {
                        shard: shard.clone(),
                        node: held.fragment.node,
                        address: held.fragment.address,
                    });
                }
            }
        }
        Routes::new(owners.into_values())
    }

    /// Unexpired fragments, each with only the time to live that it has left: passing one on must not make it younger.
    pub(super) fn fragments(&self, now: Monotonic, only_direct: bool) -> Vec<Fragment> {
        let held = self.nodes.values().filter_map(|word| word.held.as_ref());
        held.filter(|held| held.expires_at > now && (held.direct || !only_direct))
            .map(|held| Fragment { ttl: held.expires_at.since(now), ..held.fragment.clone() })
            .collect()
    }
}

#[cfg(test)]
mod tests;
