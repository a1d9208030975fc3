//! Faults on purpose: what a client may be made to meet, by rules that somebody has written.
//!
//! `weir serve --faults FILE` and the admin listener's `/faults` set the rules (`plan.rs`); the request path asks here once a
//! call what is to happen to it (`decide.rs`) and does it. Off by default, and then one load of a flag. An answer never says
//! that it was made up; the log and the metrics do.

mod decide;
mod events;
mod inject;
mod latency;
mod page;
mod plan;
mod target;

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use weir_core::clock::{Clock, Monotonic};

use self::decide::{Decider, Facts, RuleCount};
pub use self::plan::{FaultPlan, PlanError};
pub(crate) use self::{
    decide::{Decision, Effect, EventFaults, RecordFault},
    events::spoil,
    inject::{conclude, decide, suffer},
    plan::RecordError,
};

/// The rules of this server; none at first.
pub struct Faults {
    clock: Clock,
    /// Are there any? Read without the lock by calls when there are none.
    any: AtomicBool,
    set: Mutex<Option<Set>>,
}

struct Set {
    decider: Decider,
    plan: FaultPlan,
    since: Monotonic,
}

impl Faults {
    /// Without rules.
    pub fn new(clock: Clock) -> Self {
        Self { clock, any: AtomicBool::new(false), set: Mutex::new(None) }
    }

    /// Puts these rules in the place of those before; their time and counts begin now.
    pub fn replace(&self, plan: FaultPlan) {
        let decider = Decider::new(&plan);
        let mut set = self.set.lock();
        self.any.store(!plan.rules.is_empty(), Ordering::Relaxed);
        tracing::warn!(rules = plan.rules.len(), seed = plan.seed, "faults are injected on purpose");
        *set = Some(Set { decider, plan, since: self.clock.now() });
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        let mut set = self.set.lock();
        self.any.store(false, Ordering::Relaxed);
        if set.take().is_some() {
            tracing::warn!("no more faults are injected");
        }
    }

    /// What is to happen to a call. `facts` is asked for only when there are rules; its argument says whether a rule wants
    /// to know the stream or the shard.
    pub(crate) fn decide<'a>(&self, facts: impl FnOnce(bool) -> Facts<'a>) -> Decision {
        if !self.any.load(Ordering::Relaxed) {
            return Decision::default();
        }
        let mut set = self.set.lock();
        let Some(set) = set.as_mut() else { return Decision::default() };
        let facts = facts(set.decider.asks_for_targets());
        set.decider.decide(self.clock.now().since(set.since), &facts)
    }

    /// The rules, how often each was met, and the seed.
    fn counts(&self) -> Option<(FaultPlan, Vec<RuleCount>)> {
        self.set.lock().as_ref().map(|set| (set.plan.clone(), set.decider.counts()))
    }
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults").field("any", &self.any).finish_non_exhaustive()
    }
}
