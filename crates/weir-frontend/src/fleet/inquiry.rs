//! Nodes that exist and were never heard: waited for, asked after, and in the end taken for silent.
//!
//! Part of [`Fleet`]. One that never speaks (it died before its first word, or before this server booted) must not stop
//! the map for good. It must never give up on a node whose home cannot be heard: that one may be alive, and a map without
//! its shards would be wrong.

use std::collections::BTreeSet;

use weir_core::{clock::Monotonic, id::MemberId};
use weir_wire::mesh::MeshMessage;

use super::{
    Fleet,
    event::{FleetAction, LaneId, Source},
    plan::home_of,
};

/// One inquiry. It takes a build's deadline, whatever builds begin meanwhile: in the first half the nodes may speak, in
/// the second their homes may answer. A node that is still unheard then, and that its home did not name, is silent.
#[derive(Debug)]
pub(super) struct Inquiry {
    /// Unheard when it began; those that come later have the next.
    nodes: BTreeSet<MemberId>,
    /// Not asked yet.
    asks_at: Option<Monotonic>,
    ends_at: Monotonic,
    /// Who has said all that he knows, over a connection that still stands.
    answered: BTreeSet<MemberId>,
    /// The control plane's store has.
    store_answered: bool,
}

impl Inquiry {
    /// When it goes on.
    pub(super) fn next_wake(&self) -> Monotonic {
        self.asks_at.unwrap_or(self.ends_at)
    }
}

impl Fleet {
    /// Begins an inquiry when it is needed, and goes on with it.
    pub(super) fn inquire(&mut self, now: Monotonic, out: &mut Vec<FleetAction>) {
        let Some(patience) = self.config().map(|fleet| fleet.build_deadline.0) else { return };
        if let Some(inquiry) = self.inquiry.take_if(|inquiry| inquiry.ends_at <= now) {
            self.give_up_on_silent(&inquiry);
        }
        let unheard = self.book.unheard();
        if unheard.is_empty() || !self.is_member() {
            self.inquiry = None;
            return;
        }
        let inquiry = self.inquiry.get_or_insert_with(|| Inquiry {
            nodes: unheard.clone(),
            asks_at: Some(now + patience / 2),
            ends_at: now + patience,
            answered: BTreeSet::new(),
            store_answered: false,
        });
        if inquiry.asks_at.take_if(|at| *at <= now).is_some() {
            let asked: BTreeSet<LaneId> = unheard
                .iter()
                .filter_map(|node| self.source_of(*node))
                .filter(|source| self.lanes.is_connected(*source))
                .map(|peer| LaneId { peer, lane: 0 })
                .collect();
            if !asked.is_empty() {
                let lanes = asked.into_iter().collect();
                out.push(FleetAction::Send { lanes, message: MeshMessage::WantMap });
            }
        }
    }

    /// Somebody has said all that he knows.
    pub(super) fn note_answer(&mut self, from: Source) {
        let Some(inquiry) = &mut self.inquiry else { return };
        match from {
            Source::Peer(peer) => drop(inquiry.answered.insert(peer)),
            Source::Store => inquiry.store_answered = true,
            Source::Node(_) => {}
        }
    }

    /// His connection broke: what he has heard since, this server cannot know.
    pub(super) fn forget_answer(&mut self, peer: MemberId) {
        if let Some(inquiry) = &mut self.inquiry {
            inquiry.answered.remove(&peer);
        }
    }

    fn give_up_on_silent(&mut self, inquiry: &Inquiry) {
        for node in self.book.unheard().intersection(&inquiry.nodes) {
            let source = self.source_of(*node);
            // Its home is this server, and it did not come; or its home does not know it either; or it has not reported.
            let by_home = source == Some(self.me.member)
                || source.is_some_and(|source| inquiry.answered.contains(&source));
            if by_home || inquiry.store_answered {
                self.book.give_up_on(*node);
            }
        }
    }

    /// Who would pass on the word of `node`.
    fn source_of(&self, node: MemberId) -> Option<MemberId> {
        if self.has_upstream() { self.upstream() } else { home_of(node, self.view.as_ref()?) }
    }
}
