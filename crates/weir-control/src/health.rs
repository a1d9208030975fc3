//! Which servers are ready and healthy: front ends and cache servers by probes, nodes by what they say of themselves.
//!
//! Part of the machine: `probe.rs` asks and tells the outcomes. Front ends are judged through the listener that serves
//! requests. A slow server is taken for a dead one, as in 2020; the removal cap is the fix for that, and a parameter.

use std::{collections::BTreeMap, time::Duration};

use weir_core::{
    clock::Monotonic,
    id::{Incarnation, MemberId},
};

use crate::{config::HealthConfig, state::Server};

/// Who may be asked in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    /// The server, in the life that is registered.
    pub server: Server,
    /// It has said in this life that it is ready, which is said once.
    pub said_ready: bool,
}

/// What one round of probing saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeOutcome {
    /// Who.
    pub member: MemberId,
    /// Which life was asked.
    pub life: Incarnation,
    /// It has said in this life that it is ready, now or before.
    pub ready: bool,
    /// It answered in time: a front end on its service port, a cache server on its admin listener.
    pub answered: bool,
}

#[derive(Debug, Clone, Copy)]
struct Judged {
    life: Incarnation,
    ready: bool,
    missed: u32,
    healthy: bool,
    answered_at: Monotonic,
}

/// The judgement of all front ends and cache servers. Not kept over a restart: the next round of probes makes it again.
#[derive(Debug, Default)]
pub struct HealthBook {
    judged: BTreeMap<MemberId, Judged>,
}

impl HealthBook {
    /// Takes an outcome in; true when the judgement changed. `cell_size` and `off_list` say how many of its role its
    /// cell has and how many of them are already off the list for their health.
    pub fn observe(
        &mut self,
        now: Monotonic,
        config: &HealthConfig,
        outcome: ProbeOutcome,
        cell_size: usize,
        off_list: usize,
    ) -> bool {
        let fresh = Judged { life: outcome.life, ready: false, missed: 0, healthy: false, answered_at: now };
        let judged = self.judged.entry(outcome.member).or_insert(fresh);
        if judged.life != outcome.life {
            *judged = fresh;
        }
        let before = (judged.ready, judged.healthy);
        // Ready is said once a life: a server whose map expired still calls itself ready, and looks healthy (M6).
        judged.ready |= outcome.ready;
        if outcome.answered {
            judged.missed = 0;
            judged.healthy = true;
            judged.answered_at = now;
        } else {
            judged.missed = judged.missed.saturating_add(1);
            let cap = (config.removal_cap * cell_size as f64).floor() as usize;
            if judged.missed >= config.failures && judged.healthy && off_list < cap {
                judged.healthy = false;
            }
        }
        before != (judged.ready, judged.healthy)
    }

    /// (ready, healthy) of this life.
    pub fn of(&self, member: MemberId, life: Incarnation) -> (bool, bool) {
        match self.judged.get(&member) {
            Some(judged) if judged.life == life => (judged.ready, judged.healthy),
            _ => (false, false),
        }
    }

    /// True when the member has not answered for `forget_after`, in this life since its last answer or since it was
    /// first asked.
    pub fn forgotten(&self, now: Monotonic, config: &HealthConfig, member: MemberId) -> bool {
        self.judged.get(&member).is_some_and(|judged| {
            judged.missed >= config.failures && now.since(judged.answered_at) >= config.forget_after.0
        })
    }

    /// The member is gone.
    pub fn remove(&mut self, member: MemberId) {
        self.judged.remove(&member);
    }
}

#[derive(Debug, Clone, Copy)]
struct Silence {
    since: Monotonic,
    /// Rounds that have begun meanwhile: time that passed while this process did not run is nobody's silence.
    rounds: u32,
}

/// When each node last gave a sign of life. Not kept over a restart: who is unknown has only just been looked for.
#[derive(Debug, Default)]
pub struct NodeBook {
    silences: BTreeMap<MemberId, Silence>,
}

impl NodeBook {
    /// It registered or reported.
    pub fn heard(&mut self, now: Monotonic, node: MemberId) {
        self.silences.insert(node, Silence { since: now, rounds: 0 });
    }

    /// A round of probes begins, and the node exists. True when it has been silent for `forget_after`.
    pub fn round(&mut self, now: Monotonic, config: &HealthConfig, node: MemberId) -> bool {
        let silence = self.silences.entry(node).or_insert(Silence { since: now, rounds: 0 });
        silence.rounds = silence.rounds.saturating_add(1);
        silence.rounds >= config.failures && now.since(silence.since) >= config.forget_after.0
    }

    /// How long it has been silent.
    pub fn silence(&self, now: Monotonic, node: MemberId) -> Duration {
        self.silences.get(&node).map_or(Duration::ZERO, |silence| now.since(silence.since))
    }

    /// It is gone.
    pub fn remove(&mut self, node: MemberId) {
        self.silences.remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(member: u32, life: u64, answered: bool) -> ProbeOutcome {
        ProbeOutcome { member: MemberId(member), life: Incarnation(life), ready: answered, answered }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_server_is_removed_after_so_many_missing_answers_and_back_after_one() {
        let (mut book, config) = (HealthBook::default(), HealthConfig::default());
        assert!(book.observe(at(0), &config, outcome(1, 1, true), 10, 0));
        assert!(!book.observe(at(1), &config, outcome(1, 1, false), 10, 0));
        assert!(!book.observe(at(2), &config, outcome(1, 1, false), 10, 0));
        assert_eq!(book.of(MemberId(1), Incarnation(1)), (true, true));
        assert!(book.observe(at(3), &config, outcome(1, 1, false), 10, 0));
        assert_eq!(book.of(MemberId(1), Incarnation(1)), (true, false));
        assert!(book.observe(at(4), &config, outcome(1, 1, true), 10, 0));
        assert_eq!(book.of(MemberId(1), Incarnation(1)), (true, true));
    }

    #[test]
    fn the_removal_cap_keeps_slow_servers_on_the_list() {
        let config = HealthConfig { removal_cap: 0.2, ..HealthConfig::default() };
        let mut book = HealthBook::default();
        book.observe(at(0), &config, outcome(1, 1, true), 10, 2);
        for second in 1..10 {
            book.observe(at(second), &config, outcome(1, 1, false), 10, 2);
        }
        assert_eq!(book.of(MemberId(1), Incarnation(1)), (true, true), "two of ten are off already");
    }

    #[test]
    fn a_new_life_is_judged_anew() {
        let (mut book, config) = (HealthBook::default(), HealthConfig::default());
        book.observe(at(0), &config, outcome(1, 1, true), 1, 0);
        assert_eq!(book.of(MemberId(1), Incarnation(2)), (false, false));
        book.observe(at(1), &config, outcome(1, 2, false), 1, 0);
        assert_eq!(book.of(MemberId(1), Incarnation(2)), (false, false));
    }
}
