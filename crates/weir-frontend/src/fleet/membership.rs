//! Learning who is in the cell: the jittered poll and what a new view changes.
//!
//! Part of [`Fleet`]. A joiner becomes known here and nowhere else, at a moment that is uniform over the discovery
//! window; nothing may make it quicker.

use std::{collections::BTreeMap, time::Duration};

use rand::RngExt;
use weir_core::{clock::Monotonic, id::MemberId};
use weir_wire::{
    control::{Bootstrap, Member, MembershipView, MeshKind, Role},
    mesh::RefusedReason,
};

use super::{
    Build, FAILED_POLL_RETRY, Fleet,
    event::{FleetAction, PeerPlan},
    lanes::PeerChanges,
    plan::{self, member_id, mesh_members},
};

/// A discovery window shorter than this is taken as this: a poll is a call on the control plane.
const POLL_PERIOD_MIN: Duration = Duration::from_millis(20);

impl Fleet {
    /// Takes in the answer to a poll.
    pub(super) fn learn(&mut self, now: Monotonic, view: Box<MembershipView>, out: &mut Vec<FleetAction>) {
        self.schedule_poll(now, view.fleet.discovery_window.0);
        let older = self.view.as_ref().is_some_and(|held| view.generation < held.generation);
        if older || view.cell != self.me.cell {
            return;
        }
        let held = self.view.as_ref();
        if held.is_none_or(|held| held.fleet != view.fleet || held.shared != view.shared) {
            out.push(FleetAction::Configure {
                fleet: Box::new(view.fleet.clone()),
                shared: Box::new(view.shared.clone()),
            });
        }
        let changed = held.is_none_or(|held| ids(held) != ids(&view));
        self.view = Some(view);
        let changes = self.want_peers(now);
        let changed = changed || changes.any;
        Self::carry_out(changes, out);
        if changed {
            self.begin_build(now);
        }
    }

    /// The control plane did not answer: again soon.
    pub(super) fn view_failed(&mut self, now: Monotonic) {
        let window = self.config().map_or(FAILED_POLL_RETRY, |fleet| fleet.discovery_window.0);
        let jitter = self.rng.random_range(0.5..1.0);
        self.poll.asked = false;
        self.poll.at = now + FAILED_POLL_RETRY.min(window.max(POLL_PERIOD_MIN)).mul_f64(jitter);
    }

    /// The first poll after the own registration falls anywhere into the window, so that the polls of a fleet that
    /// started at once do not fall together; the later ones keep a period just below it.
    fn schedule_poll(&mut self, now: Monotonic, window: Duration) {
        let window = window.max(POLL_PERIOD_MIN);
        let share = if self.view.is_none() {
            self.rng.random_range(0.0..1.0)
        } else {
            self.rng.random_range(0.8..1.0)
        };
        self.poll.asked = false;
        self.poll.at = if self.poll.again { now } else { now + window.mul_f64(share) };
        self.poll.again = false;
    }

    /// Is this server itself in the newest view?
    pub(super) fn is_member(&self) -> bool {
        self.member(self.me.member).is_some()
    }

    /// A member of the cell as the newest view has it.
    pub(super) fn member(&self, id: MemberId) -> Option<&Member> {
        self.view.as_ref()?.members.iter().find(|member| member.id == id)
    }

    /// Must the control plane's store be asked for fragments (again)? While a server boots from it, until the mesh has
    /// brought every node once.
    pub(super) fn wants_store(&self) -> bool {
        let authoritative = self.config().is_some_and(|fleet| fleet.bootstrap == Bootstrap::Authoritative);
        authoritative && !self.store.over && self.is_member()
    }

    /// Does this front end ask a cache server?
    pub(super) fn has_upstream(&self) -> bool {
        self.me.role == Role::Frontend
            && self.config().is_some_and(|fleet| fleet.mesh == MeshKind::CacheFleet)
    }

    /// Does this cache server serve front ends?
    pub(super) fn has_subscribers(&self) -> bool {
        self.me.role == Role::Cache && self.config().is_some_and(|fleet| fleet.mesh == MeshKind::CacheFleet)
    }

    /// After the reachability of a cache server has changed: ask whom?
    pub(super) fn refresh_upstreams(&mut self, now: Monotonic, out: &mut Vec<FleetAction>) {
        if self.has_upstream() {
            let wanted = self.wanted_peers(now);
            Self::carry_out(self.lanes.want(&wanted), out);
        }
    }

    fn want_peers(&mut self, now: Monotonic) -> PeerChanges {
        if self.has_upstream() {
            let view = self.view.as_ref().expect("has_upstream asked it");
            let hand_over = view.fleet.gossip_interval.0 * 2;
            let caches: Vec<u64> = mesh_members(view).map(|member| u64::from(member.id.0)).collect();
            self.upstreams.members(now, caches, hand_over);
        }
        let wanted = self.wanted_peers(now);
        self.lanes.want(&wanted)
    }

    fn wanted_peers(&mut self, now: Monotonic) -> BTreeMap<MemberId, PeerPlan> {
        let Some(view) = self.view.as_ref().filter(|_| self.is_member()) else { return BTreeMap::new() };
        let mut wanted = plan::plan(&self.me, view);
        if self.has_upstream() {
            let targets = self.upstreams.targets(now);
            let caches = targets.into_iter().filter_map(|id| self.member(member_id(id)));
            wanted.extend(caches.map(|cache| (cache.id, plan::upstream(cache))).collect::<Vec<_>>());
        }
        let mut no_guests = Vec::new();
        for (id, peer) in self.lanes.peers().filter(|(_, peer)| peer.guest_since.is_some()) {
            if wanted.get(&id) == Some(&peer.plan) {
                no_guests.push(id); // at home here now
            } else if self.has_subscribers()
                && let Some(member) = self.member(id)
            {
                wanted.insert(id, plan::subscriber(member));
            }
        }
        for id in no_guests {
            self.lanes.peer_mut(id).expect("listed a moment ago").guest_since = None;
        }
        wanted
    }

    /// Turns a change of the wanted peers into actions.
    pub(super) fn carry_out(changes: PeerChanges, out: &mut Vec<FleetAction>) {
        let reason = RefusedReason::NoPeerThread;
        out.extend(changes.stop.into_iter().map(FleetAction::StopLane));
        out.extend(changes.refuse.into_iter().map(|ticket| FleetAction::Refuse { ticket, reason }));
    }

    fn begin_build(&mut self, now: Monotonic) {
        let view = self.view.as_ref().expect("a view was just learned");
        self.book.begin_build(view.nodes.iter().map(|node| node.id));
        self.build = match self.build {
            Build::Wedged => Build::Wedged,
            _ if !self.is_member() => Build::Waiting,
            _ => Build::Running { deadline: now + view.fleet.build_deadline.0 },
        };
    }
}

/// Who is there, apart from their lives: a restart changes neither threads nor homes.
fn ids(view: &MembershipView) -> (Vec<(MemberId, Role)>, Vec<MemberId>) {
    let members = view.members.iter().map(|member| (member.id, member.role)).collect();
    (members, view.nodes.iter().map(|node| node.id).collect())
}
