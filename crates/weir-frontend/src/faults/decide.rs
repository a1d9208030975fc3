//! What happens to a call: the rules' dice, and nothing else.
//!
//! A pure machine: time and facts come in, a decision goes out. Each rule has dice of its own and throws them once for a
//! call that is meant, so that the same seed and the same order of calls give the same decisions, and a rule that is added
//! behind changes none before it.

use std::time::Duration;

use rand::RngExt;
use weir_core::{
    entropy::{Rng, seeded},
    id::{AccountId, StreamRef},
};
use weir_wire::kinesis::{error::ErrorCode, operation::Operation, subscribe_to_shard::ending_code};

use super::{
    plan::{CutRule, FaultPlan, RecordError, Rule, Stall, code_of},
    target::StreamTarget,
};

/// What there is to know of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The operation.
    pub(crate) operation: Operation,
    /// The caller's account.
    pub(crate) account: AccountId,
    /// The stream, where it is known.
    pub(crate) stream: Option<&'a StreamRef>,
    /// The shard, where it is known.
    pub(crate) shard: Option<&'a str>,
}

/// What happens to a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Decision {
    /// It is held up so long.
    pub(crate) latency: Duration,
    /// It ends so; the first rule that says so is taken.
    pub(crate) outcome: Option<Outcome>,
    /// Some of its records fail.
    pub(crate) records: Option<RecordFault>,
    /// What happens to its events.
    pub(crate) events: EventFaults,
    /// Which rules did what, for the log and the metrics.
    pub(crate) marks: Vec<(String, Effect)>,
}

/// What happens to the events of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventFaults {
    /// They stop coming.
    pub(crate) stall: Option<Stall>,
    /// They end with an error.
    pub(crate) ending: Option<Ending>,
}

/// Events that end with an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// So many messages come first.
    pub(crate) after: u64,
    /// The error.
    pub(crate) code: ErrorCode,
    /// Its text, if it is not the usual one.
    pub(crate) message: Option<String>,
}

/// How a call ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With this error.
    Error(ErrorCode, Option<String>),
    /// As one over its rate.
    Throttle,
    /// Its iterator is too old.
    ExpireIterator,
    /// Without an answer.
    Cut(Cut),
}

/// When a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before the call did anything.
    BeforeEffect,
    /// After it.
    AfterEffect,
}

/// Records that fail: each by its own throw.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordFault {
    probability: f64,
    /// How.
    pub(crate) error: RecordError,
    /// Only records of this shard.
    pub(crate) shard: Option<String>,
    seed: u64,
}

impl RecordFault {
    /// For each of so many records: does it fail?
    pub(crate) fn throws(&self, records: usize) -> impl Iterator<Item = bool> {
        let (mut random, probability) = (seeded(self.seed, "records"), self.probability);
        (0..records).map(move |_| random.random::<f64>() < probability)
    }
}

/// Kinds of faults, as metrics name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    Latency,
    Error,
    Throttle,
    Records,
    ExpiredIterator,
    Cut,
    Stall,
    Exception,
}

impl Effect {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Latency,
        Self::Error,
        Self::Throttle,
        Self::Records,
        Self::ExpiredIterator,
        Self::Cut,
        Self::Stall,
        Self::Exception,
    ];

    /// The name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Error => "error",
            Self::Throttle => "throttle",
            Self::Records => "records",
            Self::ExpiredIterator => "expired-iterator",
            Self::Cut => "cut",
            Self::Stall => "stall",
            Self::Exception => "exception",
        }
    }
}

/// How often a rule was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RuleCount {
    /// Calls that were meant, in its window.
    pub(super) meant: u64,
    /// Calls that it happened to.
    pub(super) hits: u64,
}

/// The rules at work.
pub(super) struct Decider {
    rules: Vec<Armed>,
}

struct Armed {
    rule: Rule,
    operations: Vec<Operation>,
    account: Option<AccountId>,
    stream: Option<StreamTarget>,
    random: Rng,
    count: RuleCount,
}

impl Decider {
    pub(super) fn new(plan: &FaultPlan) -> Self {
        let arm = |(at, rule): (usize, &Rule)| Armed {
            operations: rule
                .only_operation()
                .into_iter()
                .chain(rule.operations.iter().map(String::as_str))
                .filter_map(Operation::of_name)
                .collect(),
            account: rule.account.as_ref().and_then(|account| account.parse().ok()),
            stream: rule.stream.as_ref().and_then(|stream| StreamTarget::parse(stream).ok()),
            rule: rule.clone(),
            random: seeded(plan.seed, &format!("fault rule {at}")),
            count: RuleCount { meant: 0, hits: 0 },
        };
        Self { rules: plan.rules.iter().enumerate().map(arm).collect() }
    }

    /// Is there a rule for a stream or a shard?
    pub(super) fn asks_for_targets(&self) -> bool {
        self.rules.iter().any(|armed| armed.rule.stream.is_some() || armed.rule.shard.is_some())
    }

    pub(super) fn counts(&self) -> Vec<RuleCount> {
        self.rules.iter().map(|armed| armed.count).collect()
    }

    /// Throws the dice of every rule that means this call, `since` the rules were set.
    pub(super) fn decide(&mut self, since: Duration, facts: &Facts<'_>) -> Decision {
        let mut decision = Decision::default();
        for armed in &mut self.rules {
            if armed.is_meant(since, facts) && armed.strikes() {
                armed.add_to(&mut decision);
            }
        }
        decision
    }
}

impl Armed {
    fn is_meant(&self, since: Duration, facts: &Facts<'_>) -> bool {
        let rule = &self.rule;
        let is_meant = |target: &StreamTarget| facts.stream.is_some_and(|stream| target.means(stream));
        // A call of PutRecords is for many shards: there each record is asked for its own.
        let shard =
            rule.records.is_some() || rule.shard.as_deref().is_none_or(|wanted| facts.shard == Some(wanted));
        // An effect of one operation has it in its list, although the operation may not be served yet.
        let all = self.operations.is_empty() && rule.only_operation().is_none();
        (all || self.operations.contains(&facts.operation))
            && self.account.is_none_or(|account| account == facts.account)
            && self.stream.as_ref().is_none_or(is_meant)
            && shard
            && rule.from.is_none_or(|from| since >= from.0)
            && rule.until.is_none_or(|until| since < until.0)
    }

    fn strikes(&mut self) -> bool {
        self.count.meant += 1;
        let drawn: f64 = self.random.random();
        let rule = &self.rule;
        let strikes = self.count.meant > rule.skip
            && rule.calls.is_none_or(|calls| self.count.hits < calls)
            && drawn < rule.probability.unwrap_or(1.0);
        self.count.hits += u64::from(strikes);
        strikes
    }

    fn add_to(&mut self, decision: &mut Decision) {
        let rule = &self.rule;
        let mut mark = |effect| decision.marks.push((rule.name.clone(), effect));
        if let Some(latency) = &rule.latency {
            decision.latency += latency.draw(&mut self.random);
            mark(Effect::Latency);
        }
        if let Some(records) = &rule.records {
            let seed = self.random.random();
            if decision.records.is_none() {
                let (probability, error, shard) = (records.probability, records.error, rule.shard.clone());
                decision.records = Some(RecordFault { probability, error, shard, seed });
                mark(Effect::Records);
            }
        }
        let events = &mut decision.events;
        if let Some(stall) = rule.stall
            && events.stall.is_none()
        {
            events.stall = Some(stall);
            mark(Effect::Stall);
        }
        if let Some(exception) = &rule.exception
            && let Some(code) = ending_code(&exception.error)
            && events.ending.is_none()
        {
            let (after, message) = (exception.after, rule.message.clone());
            events.ending = Some(Ending { after, code, message });
            mark(Effect::Exception);
        }
        if let Some((outcome, effect)) = outcome(rule)
            && decision.outcome.is_none()
        {
            decision.outcome = Some(outcome);
            mark(effect);
        }
    }
}

fn outcome(rule: &Rule) -> Option<(Outcome, Effect)> {
    if let Some(code) = rule.error.as_deref().and_then(code_of) {
        return Some((Outcome::Error(code, rule.message.clone()), Effect::Error));
    }
    if rule.throttle {
        return Some((Outcome::Throttle, Effect::Throttle));
    }
    if rule.expire_iterator {
        return Some((Outcome::ExpireIterator, Effect::ExpiredIterator));
    }
    let cut = match rule.cut? {
        CutRule::BeforeEffect => Cut::BeforeEffect,
        CutRule::AfterEffect => Cut::AfterEffect,
    };
    Some((Outcome::Cut(cut), Effect::Cut))
}

#[cfg(test)]
mod tests;
