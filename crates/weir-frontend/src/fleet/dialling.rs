//! Connections come and go: who may connect, what a new connection is told, who stands in for a lost cache server.
//!
//! Part of [`Fleet`]. A dialler that the poll has not brought yet is refused, whatever else is known of it.

use weir_core::{clock::Monotonic, id::MemberId};
use weir_wire::{
    control::{Bootstrap, FleetConfig, Role},
    mesh::{Dialler, MeshMessage, RefusedReason},
};

use super::{
    Build, Fleet,
    event::{FleetAction, Hello, LaneId, LinkKind, Ticket},
    plan::{self, member_id},
};

enum Verdict {
    Node,
    Now(LaneId),
    WhenStarted(LaneId),
}

impl Fleet {
    /// Somebody said hello.
    pub(super) fn dialled(
        &mut self,
        now: Monotonic,
        ticket: Ticket,
        hello: &Hello,
        out: &mut Vec<FleetAction>,
    ) {
        match self.judge(now, hello) {
            Ok(Verdict::Node) => out.push(FleetAction::AcceptNode { ticket }),
            Ok(Verdict::Now(lane)) => out.push(FleetAction::AcceptPeer { ticket, lane }),
            Ok(Verdict::WhenStarted(lane)) => {
                let displaced = self.lanes.wait(lane, ticket);
                let reason = RefusedReason::NoPeerThread;
                out.extend(displaced.map(|ticket| FleetAction::Refuse { ticket, reason }));
            }
            Err(reason) => out.push(FleetAction::Refuse { ticket, reason }),
        }
    }

    fn judge(&mut self, now: Monotonic, hello: &Hello) -> Result<Verdict, RefusedReason> {
        if hello.cell != self.me.cell {
            return Err(RefusedReason::WrongCell);
        }
        if hello.dialler == Dialler::Node {
            return Ok(Verdict::Node);
        }
        let member = self.member(hello.member).filter(|member| hello.life >= member.life);
        let member = member.ok_or(RefusedReason::UnknownMember)?;
        let lane = LaneId { peer: hello.member, lane: hello.lane };
        if hello.dialler == Dialler::Subscriber && member.role == Role::Frontend && self.has_subscribers() {
            let plan = plan::subscriber(member);
            self.lanes.invite(lane.peer, plan, now);
        }
        let kind = self.lanes.peer_mut(lane.peer).map(|peer| peer.plan.link);
        let fits = match hello.dialler {
            Dialler::Peer => kind == Some(LinkKind::Peer),
            Dialler::Subscriber => kind == Some(LinkKind::Subscriber),
            Dialler::Node => false,
        };
        let builds = matches!(self.build, Build::Running { .. } | Build::Complete { .. });
        match self.lanes.can_adopt(lane).filter(|_| fits) {
            Some(true) => Ok(Verdict::Now(lane)),
            Some(false) if builds => Ok(Verdict::WhenStarted(lane)),
            Some(false) | None => Err(RefusedReason::NoPeerThread),
        }
    }

    /// A connection stands: tell it what it may have missed, ask it what this server misses.
    pub(super) fn lane_open(&mut self, now: Monotonic, lane: LaneId, out: &mut Vec<FleetAction>) {
        if !self.lanes.connected(lane, true) {
            return;
        }
        let peer = self.lanes.peer_mut(lane.peer).expect("connected just now");
        let (link, lanes) = (peer.plan.link, peer.plan.lanes);
        let mut say = |message| out.push(FleetAction::Send { lanes: vec![lane], message });
        match link {
            LinkKind::Peer => {
                let mut fragments = self.book.fragments(now, true);
                fragments.retain(|fragment| fragment.node.0 % lanes == lane.lane);
                if !fragments.is_empty() {
                    say(MeshMessage::Fragments { whole_map: false, fragments });
                }
                let from_peers = self.config().is_some_and(|fleet| fleet.bootstrap == Bootstrap::Peers);
                if from_peers && !self.published && lane.lane == 0 {
                    say(MeshMessage::WantMap);
                }
            }
            LinkKind::Upstream => {
                say(MeshMessage::WantMap);
                self.upstreams.reached(now, u64::from(lane.peer.0));
                self.refresh_upstreams(now, out);
            }
            LinkKind::Subscriber => {}
        }
    }

    /// A connection broke.
    pub(super) fn lane_lost(&mut self, now: Monotonic, lane: LaneId, out: &mut Vec<FleetAction>) {
        if !self.lanes.connected(lane, false) {
            return;
        }
        self.forget_answer(lane.peer);
        let peer = self.lanes.peer_mut(lane.peer).expect("connected just now");
        peer.wants_map = false;
        if let Some(since) = &mut peer.guest_since {
            *since = now;
        }
        if peer.plan.link == LinkKind::Upstream {
            self.upstreams.unreachable(now, u64::from(lane.peer.0));
            self.refresh_upstreams(now, out);
        }
    }

    /// A dial came to nothing. A cache server that has only not learned of this front end yet is waited for.
    pub(super) fn dial_failed(
        &mut self,
        now: Monotonic,
        lane: LaneId,
        refused: Option<RefusedReason>,
        out: &mut Vec<FleetAction>,
    ) {
        let upstream =
            self.lanes.peer_mut(lane.peer).is_some_and(|peer| peer.plan.link == LinkKind::Upstream);
        if upstream && refused != Some(RefusedReason::UnknownMember) {
            self.upstreams.unreachable(now, u64::from(lane.peer.0));
            self.refresh_upstreams(now, out);
        }
    }

    /// Which cache server does this front end ask now?
    pub fn upstream(&self) -> Option<MemberId> {
        self.upstreams.home().map(member_id).filter(|_| self.has_upstream())
    }

    /// Lets the threads of front ends go that have found their own cache server again.
    pub(super) fn end_guests(&mut self, now: Monotonic, out: &mut Vec<FleetAction>) {
        let Some(linger) = self.config().map(FleetConfig::hand_over) else { return };
        Self::carry_out(self.lanes.part_with_guests(now, linger), out);
    }

    /// When the next of them goes.
    pub(super) fn next_guest_end(&self) -> Option<Monotonic> {
        let linger = self.config()?.hand_over();
        self.lanes.idle_guests().map(|(_, since)| since + linger).min()
    }
}
