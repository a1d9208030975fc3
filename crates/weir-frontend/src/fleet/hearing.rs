//! Fragments arrive and are passed on.
//!
//! Part of [`Fleet`]. What a node brings goes to every peer and subscriber; what a peer passes on goes to subscribers
//! only, so that nothing travels in circles.

use weir_core::{clock::Monotonic, id::MemberId};
use weir_wire::{fragment::Fragment, mesh::MeshMessage};

use super::{
    FAILED_POLL_RETRY, Fleet, WHOLE_MAP_SHARDS_MAX,
    book::{Hearing, Proof},
    event::{FleetAction, LaneId, LinkKind, Source},
    plan::home_of,
};

impl Fleet {
    /// Takes in fragments and passes on what is new.
    pub(super) fn hear(
        &mut self,
        now: Monotonic,
        from: Source,
        whole_map: bool,
        fragments: Vec<Fragment>,
        out: &mut Vec<FleetAction>,
    ) {
        if whole_map {
            self.note_answer(from);
        }
        let kinds: &[LinkKind] = match from {
            Source::Node(_) => &[LinkKind::Peer, LinkKind::Subscriber],
            Source::Peer(_) | Source::Store => &[LinkKind::Subscriber],
        };
        for fragment in fragments {
            let direct = from == Source::Node(fragment.node);
            if matches!(from, Source::Node(_)) && !direct {
                continue; // a node speaks for itself alone
            }
            let proof = self.proof(from, whole_map, fragment.node);
            if self.book.hear(now, fragment.clone(), proof, direct) == Hearing::News {
                let lanes = self.lanes.open_for(fragment.node, kinds);
                if !lanes.is_empty() {
                    let message = MeshMessage::Fragments { whole_map: false, fragments: vec![fragment] };
                    out.push(FleetAction::Send { lanes, message });
                }
            }
        }
    }

    fn proof(&mut self, from: Source, whole_map: bool, node: MemberId) -> Proof {
        match from {
            Source::Node(_) => Proof::Mesh,
            Source::Store => Proof::Store,
            Source::Peer(_) if !whole_map => Proof::Mesh,
            Source::Peer(peer) => {
                let link = self.lanes.peer_mut(peer).map(|peer| peer.plan.link);
                let home = self.view.as_ref().and_then(|view| home_of(node, view));
                if link == Some(LinkKind::Upstream) || home == Some(peer) {
                    Proof::Mesh
                } else {
                    Proof::Hearsay
                }
            }
        }
    }

    /// The answer of the control plane's store.
    pub(super) fn hear_store(
        &mut self,
        now: Monotonic,
        fragments: Vec<Fragment>,
        out: &mut Vec<FleetAction>,
    ) {
        self.store_answered(now);
        self.hear(now, Source::Store, true, fragments, out);
    }

    /// The store answered, or failed to: it is asked again an interval later if it is still needed.
    pub(super) fn store_answered(&mut self, now: Monotonic) {
        self.store.asked = false;
        self.store.at = now + self.config().map_or(FAILED_POLL_RETRY, |fleet| fleet.gossip_interval.0);
    }

    /// A peer asks for everything. A server that has no map yet answers when it has, or when its build should have been
    /// complete: two servers that each wait for the other's word would else wait for ever.
    pub(super) fn map_wanted(&mut self, now: Monotonic, lane: LaneId, out: &mut Vec<FleetAction>) {
        if self.published || self.late {
            self.send_whole_map(now, lane, out);
        } else if let Some(peer) = self.lanes.peer_mut(lane.peer) {
            peer.wants_map = true;
        }
    }

    /// A build failed: whoever waits for this server's map gets what there is.
    pub(super) fn be_late(&mut self, now: Monotonic, out: &mut Vec<FleetAction>) {
        self.late = true;
        self.answer_wanting(now, out);
    }

    /// Answers whoever asked before there was a map.
    pub(super) fn answer_wanting(&mut self, now: Monotonic, out: &mut Vec<FleetAction>) {
        let wanting: Vec<LaneId> = self
            .lanes
            .peers_mut()
            .filter_map(|(id, peer)| {
                std::mem::take(&mut peer.wants_map).then_some(LaneId { peer: id, lane: 0 })
            })
            .collect();
        for lane in wanting {
            self.send_whole_map(now, lane, out);
        }
    }

    fn send_whole_map(&self, now: Monotonic, lane: LaneId, out: &mut Vec<FleetAction>) {
        let mut parts: Vec<Vec<Fragment>> = vec![Vec::new()];
        let mut shards = 0;
        for fragment in self.book.fragments(now, false) {
            if shards > 0 && shards + fragment.shards.len() > WHOLE_MAP_SHARDS_MAX {
                parts.push(Vec::new());
                shards = 0;
            }
            shards += fragment.shards.len();
            parts.last_mut().expect("starts with one").push(fragment);
        }
        out.extend(parts.into_iter().map(|fragments| FleetAction::Send {
            lanes: vec![lane],
            message: MeshMessage::Fragments { whole_map: true, fragments },
        }));
    }
}
