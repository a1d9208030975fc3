//! What is said over one lane, and when: dial and hello, beats, silence, the wait before the next dial.
//!
//! Each gossip interval one end says that it is there, in turn: an idle pair costs two wake-ups an interval, one to
//! speak and one to hear, and a host carries ten thousand pairs.
//!
//! A pure state machine without a socket: `thread_per_peer` drives it from a thread, `multiplexed` from a task, tests
//! from nothing at all. It must never decide whom to talk to: that is the fleet's.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use rand::RngExt;
use weir_core::{
    clock::Monotonic,
    entropy::{self, Rng},
    id::{CellName, Incarnation, MemberId},
};
use weir_wire::{
    framing::FrameDecoder,
    mesh::{self, BEAT_BYTES, Dialler, MeshMessage},
};

use crate::fleet::{FleetEvent, LaneId, LinkKind, PeerPlan, Source};

/// How long a dial and the answer to a hello may take. Long, because a starting fleet shares two cores.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// A lane that has heard nothing for so many gossip intervals is broken: the other end has missed two turns.
const SILENT_INTERVALS: u32 = 5;
/// Nor is it called silent sooner than this: a machine that starts a thousand threads may be slow.
const SILENCE_MIN: Duration = Duration::from_secs(3);
/// The wait after the first failed dial; it doubles, and each is drawn between half and whole.
const REDIAL_FIRST: Duration = Duration::from_millis(50);
/// The longest wait before the next dial, and the first where a peer has ended a connection that stood: it has most likely
/// left or starts again, and neither is over sooner. A fleet that loses many members would else dial each of them several
/// times, with all of its servers, before its members learn that they are gone.
const REDIAL_LAST: Duration = Duration::from_secs(1);

/// Who this server is, in a hello and in a welcome.
#[derive(Debug, Clone)]
pub(super) struct Greeting {
    pub(super) member: MemberId,
    pub(super) life: Incarnation,
    pub(super) cell: CellName,
}

/// What the lane wants done.
#[derive(Debug)]
pub(super) enum Step {
    /// Connect to the peer.
    Connect,
    /// Send these bytes.
    Write(Bytes),
    /// Send this beat if it goes at once; else the peer has enough to read.
    Beat([u8; BEAT_BYTES]),
    /// Drop the connection.
    Close,
    /// Tell the fleet.
    Report(FleetEvent),
}

/// What it wants done, in order.
pub(super) type Steps = VecDeque<Step>;

/// One lane.
#[derive(Debug)]
pub(super) struct Lane {
    id: LaneId,
    link: LinkKind,
    dials: bool,
    greeting: Greeting,
    gossip: Duration,
    state: State,
    decoder: FrameDecoder,
    beats: u64,
    redial: Duration,
    rng: Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next dial is at `until`.
    Resting { until: Monotonic },
    /// The connection is being made.
    Dialling { deadline: Monotonic },
    /// Hello was said.
    Greeting { deadline: Monotonic },
    /// Waits to be dialled.
    Waiting,
    /// Connected and greeted.
    Open { next_beat: Monotonic, heard: Monotonic },
}

impl Lane {
    /// A lane that begins at once.
    pub(super) fn new(id: LaneId, plan: &PeerPlan, greeting: Greeting, gossip: Duration) -> Self {
        let seed = u64::from(greeting.member.0) << 32 | u64::from(id.peer.0) << 8 | u64::from(id.lane);
        let state = if plan.dials { State::Resting { until: Monotonic::ZERO } } else { State::Waiting };
        Self {
            id,
            link: plan.link,
            dials: plan.dials,
            gossip,
            state,
            decoder: FrameDecoder::new(),
            beats: 0,
            redial: REDIAL_FIRST,
            rng: entropy::seeded(seed ^ greeting.life.0, "lane"),
            greeting,
        }
    }

    /// The gossip interval, which the control plane may change.
    pub(super) fn set_gossip(&mut self, gossip: Duration) {
        self.gossip = gossip;
    }

    /// When [`Self::on_time`] is next of use.
    pub(super) fn next_wake(&self) -> Option<Monotonic> {
        match self.state {
            State::Resting { until } => Some(until),
            State::Dialling { deadline } | State::Greeting { deadline } => Some(deadline),
            State::Waiting => None,
            State::Open { next_beat, heard } => Some(next_beat.min(heard + self.silence())),
        }
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self, now: Monotonic, steps: &mut Steps) {
        match self.state {
            State::Resting { until } if until <= now => {
                self.state = State::Dialling { deadline: now + GREETING_TIMEOUT };
                steps.push_back(Step::Connect);
            }
            State::Dialling { deadline } | State::Greeting { deadline } if deadline <= now => {
                self.fail(now, None, steps);
            }
            State::Open { heard, .. } if heard + self.silence() <= now => self.lose(now, steps),
            State::Open { next_beat, .. } if next_beat <= now => self.beat(now, steps),
            _ => {}
        }
    }

    /// The connection that [`Step::Connect`] asked for stands.
    pub(super) fn on_connected(&mut self, now: Monotonic, steps: &mut Steps) {
        if let State::Dialling { .. } = self.state {
            self.state = State::Greeting { deadline: now + GREETING_TIMEOUT };
            let dialler = match self.link {
                LinkKind::Upstream => Dialler::Subscriber,
                LinkKind::Peer | LinkKind::Subscriber => Dialler::Peer,
            };
            let hello = MeshMessage::Hello {
                member: self.greeting.member,
                life: self.greeting.life,
                cell: self.greeting.cell.clone(),
                dialler,
                lane: self.id.lane,
            };
            steps.push_back(Step::Write(hello.to_frame().encode()));
        }
    }

    /// The peer dialled; its connection is this lane's now. It replaces an older one: the peer knows best whether that
    /// still lives.
    pub(super) fn on_adopted(&mut self, now: Monotonic, steps: &mut Steps) {
        if let State::Open { .. } = self.state {
            steps.push_back(Step::Report(FleetEvent::LaneLost(self.id)));
        }
        self.decoder = FrameDecoder::new();
        let welcome = MeshMessage::Welcome { member: self.greeting.member, life: self.greeting.life };
        steps.push_back(Step::Write(welcome.to_frame().encode()));
        self.open(now, steps);
    }

    /// Bytes arrived.
    pub(super) fn on_bytes(&mut self, now: Monotonic, bytes: &[u8], steps: &mut Steps) {
        if let State::Open { heard, .. } = &mut self.state {
            *heard = now;
        }
        if let Some(sequence) = mesh::read_beat(bytes).filter(|_| self.decoder.pending() == 0) {
            return self.on_message(now, MeshMessage::Beat { sequence }, steps);
        }
        self.decoder.extend(bytes);
        loop {
            match self.decoder.next_frame() {
                Ok(None) => break,
                Ok(Some(frame)) => match MeshMessage::from_frame(&frame) {
                    Ok(message) => self.on_message(now, message, steps),
                    Err(error) => return self.on_nonsense(now, &error, steps),
                },
                Err(error) => return self.on_nonsense(now, &error, steps),
            }
        }
        if self.decoder.pending() == 0 {
            self.decoder = FrameDecoder::new(); // thousands of idle lanes must not each keep a buffer
        }
    }

    /// The connection broke, or could not be made.
    pub(super) fn on_closed(&mut self, now: Monotonic, steps: &mut Steps) {
        if self.is_open() && self.link == LinkKind::Peer {
            self.redial = REDIAL_LAST;
        }
        self.end(now, steps);
    }

    fn end(&mut self, now: Monotonic, steps: &mut Steps) {
        match self.state {
            State::Dialling { .. } | State::Greeting { .. } => self.fail(now, None, steps),
            State::Open { .. } => self.lose(now, steps),
            State::Resting { .. } | State::Waiting => {}
        }
    }

    /// Is there a connection to send the fleet's messages over?
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    fn on_message(&mut self, now: Monotonic, message: MeshMessage, steps: &mut Steps) {
        let from = Source::Peer(self.id.peer);
        match (self.state, message) {
            // Another server may have been given the address since: it is not this lane's peer.
            (State::Greeting { .. }, MeshMessage::Welcome { member, .. }) if member != self.id.peer => {
                tracing::warn!(lane = ?self.id, %member, "another server answers at the peer's address");
                self.fail(now, None, steps);
            }
            (State::Greeting { .. }, MeshMessage::Welcome { .. }) => {
                self.redial = REDIAL_FIRST;
                self.open(now, steps);
            }
            (State::Greeting { .. }, MeshMessage::Refused(reason)) => self.fail(now, Some(reason), steps),
            // The two ends take turns: who hears the other speaks an interval later.
            (State::Open { .. }, MeshMessage::Beat { .. }) => {
                self.state = State::Open { next_beat: now + self.gossip, heard: now };
            }
            (State::Open { .. }, MeshMessage::Fragments { whole_map, fragments }) => {
                steps.push_back(Step::Report(FleetEvent::Heard { from, whole_map, fragments }));
            }
            (State::Open { .. }, MeshMessage::WantMap) => {
                steps.push_back(Step::Report(FleetEvent::MapWanted(self.id)));
            }
            (_, message) => {
                tracing::debug!(lane = ?self.id, ?message, "out of place");
                self.end(now, steps);
            }
        }
    }

    fn on_nonsense(&mut self, now: Monotonic, error: &dyn std::fmt::Display, steps: &mut Steps) {
        tracing::warn!(lane = ?self.id, %error, "a peer sent no message of the mesh");
        self.end(now, steps);
    }

    fn open(&mut self, now: Monotonic, steps: &mut Steps) {
        // The first beat falls anywhere into the interval, so that a fleet that started at once does not beat at once.
        let next_beat = now + self.gossip.mul_f64(self.rng.random_range(0.0..1.0));
        self.state = State::Open { next_beat, heard: now };
        steps.push_back(Step::Report(FleetEvent::LaneOpen(self.id)));
    }

    fn beat(&mut self, now: Monotonic, steps: &mut Steps) {
        if let State::Open { next_beat, .. } = &mut self.state {
            *next_beat = now + 2 * self.gossip; // sooner if the other end speaks in its turn, as it should
        }
        self.beats += 1;
        steps.push_back(Step::Beat(mesh::beat(self.beats)));
    }

    fn fail(&mut self, now: Monotonic, refused: Option<weir_wire::mesh::RefusedReason>, steps: &mut Steps) {
        steps.push_back(Step::Close);
        if self.link == LinkKind::Upstream {
            steps.push_back(Step::Report(FleetEvent::DialFailed { lane: self.id, refused }));
        }
        self.rest(now);
    }

    fn lose(&mut self, now: Monotonic, steps: &mut Steps) {
        steps.push_back(Step::Close);
        steps.push_back(Step::Report(FleetEvent::LaneLost(self.id)));
        self.rest(now);
    }

    fn rest(&mut self, now: Monotonic) {
        self.decoder = FrameDecoder::new();
        self.state = if self.dials {
            let wait = self.redial.mul_f64(self.rng.random_range(0.5..1.0));
            self.redial = (self.redial * 2).min(REDIAL_LAST);
            State::Resting { until: now + wait }
        } else {
            State::Waiting
        };
    }

    fn silence(&self) -> Duration {
        (self.gossip * SILENT_INTERVALS).max(SILENCE_MIN)
    }
}

#[cfg(test)]
mod tests;
