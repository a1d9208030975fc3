//! Building the map: start the threads in order, wait for every node, publish, confirm; or fail.
//!
//! Part of [`Fleet`]. What a failure does is the `on_refusal` of the fleet's configuration and nothing else: serving
//! goes on with the old map, and nobody is told but the metrics.

use std::sync::Arc;

use weir_core::clock::Monotonic;
use weir_wire::{control::OnRefusal, mesh::RefusedReason};

use super::{
    Build, FAILED_POLL_RETRY, Fleet,
    event::{FleetAction, LaneId},
};
use crate::shard_map::ShardMap;

impl Fleet {
    /// The next step of the build, if there is one.
    pub(super) fn go_on_building(&mut self, now: Monotonic, out: &mut Vec<FleetAction>) {
        let Some(build_deadline) = self.config().map(|fleet| fleet.build_deadline.0) else { return };
        match self.build {
            Build::Waiting | Build::Wedged => return,
            Build::Refused { retry_at } if now < retry_at => return,
            Build::Refused { .. } => self.build = Build::Running { deadline: now + build_deadline },
            Build::Running { .. } | Build::Complete { .. } => {}
        }
        if let Some((lane, plan)) = self.lanes.next_missing() {
            self.lanes.starting(lane);
            out.push(FleetAction::StartLane { lane, plan });
        }
        match self.build {
            Build::Running { .. } if self.is_complete() => self.publish(now, out),
            Build::Running { deadline } if deadline <= now => {
                self.builds_failed += 1;
                self.build = Build::Running { deadline: now + build_deadline };
                self.be_late(now, out);
            }
            Build::Complete { republish_at } if republish_at <= now || self.book.is_dirty() => {
                self.publish(now, out);
            }
            _ => {}
        }
    }

    fn is_complete(&self) -> bool {
        let (settled, nodes) = self.book.settled();
        self.lanes.all_threaded() && settled == nodes
    }

    /// Publishes the map as it is now; with unchanged routes this only says that they are still true.
    fn publish(&mut self, now: Monotonic, out: &mut Vec<FleetAction>) {
        if self.book.is_dirty() {
            self.routes = Arc::new(self.book.routes());
        }
        let silent = self.book.silent_count();
        let map = ShardMap::new(self.generation(), now, silent, Arc::clone(&self.routes));
        out.push(FleetAction::Publish(Arc::new(map)));
        let interval = self.config().map_or(FAILED_POLL_RETRY, |fleet| fleet.gossip_interval.0);
        self.build = Build::Complete { republish_at: now + interval / 2 };
        self.store.over |= self.book.all_meshed();
        if !self.published {
            self.published = true;
            self.answer_wanting(now, out);
        }
    }

    /// The kernel refused a thread: the build has failed. (A guest is no part of the build: it is only turned away.)
    pub(super) fn lane_refused(&mut self, now: Monotonic, lane: LaneId, out: &mut Vec<FleetAction>) {
        self.refused += 1;
        let wedges = self.config().is_none_or(|fleet| fleet.on_refusal == OnRefusal::Wedge);
        if self.fail_lane(now, lane, wedges, out) && self.refused_at_members.is_none() {
            self.refused_at_members = Some(self.lanes.counts().threaded + 2); // the peer that was being reached, and this server
        }
    }

    /// The kernel refused a file descriptor: the build has failed, too, but this is not the limit that wedges a builder.
    pub(super) fn lane_unequipped(&mut self, now: Monotonic, lane: LaneId, out: &mut Vec<FleetAction>) {
        self.unequipped += 1;
        self.fail_lane(now, lane, false, out);
    }

    /// A lane was not started. False when only a guest is turned away for it.
    fn fail_lane(&mut self, now: Monotonic, lane: LaneId, wedges: bool, out: &mut Vec<FleetAction>) -> bool {
        let waited = self.lanes.refused(lane);
        let reason = RefusedReason::NoPeerThread;
        if self.lanes.peer_mut(lane.peer).is_some_and(|peer| peer.guest_since.is_some()) {
            out.extend(waited.map(|ticket| FleetAction::Refuse { ticket, reason }));
            Self::carry_out(self.lanes.turn_away(lane.peer), out);
            return false;
        }
        self.builds_failed += 1;
        self.be_late(now, out);
        let retry_at = now + self.config().map_or(FAILED_POLL_RETRY, |fleet| fleet.build_deadline.0);
        self.build = match self.build {
            Build::Wedged => Build::Wedged,
            _ if wedges => Build::Wedged,
            _ => Build::Refused { retry_at },
        };
        let given_up = waited.into_iter().chain(self.lanes.stop_waiting());
        out.extend(given_up.map(|ticket| FleetAction::Refuse { ticket, reason }));
        true
    }
}
