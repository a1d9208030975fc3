//! What a phase does when: a pure list of timed steps, made from the plan and the fleet as it is.
//!
//! The executor (`phases.rs`) walks it. Steps are the same commands that people at a game day would give.

use std::time::Duration;

use weir_wire::control::Bootstrap;

use super::fleet::Fleet;
use crate::{
    scenario::plan::{Act, Fault, PhasePlan},
    series::ServerId,
};

/// One thing to do to the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Start a server.
    Start(ServerId),
    /// Let a server leave.
    Stop(ServerId),
    /// Let a server leave and start it again as soon as it is gone.
    Restart(ServerId),
    /// Kill a server.
    Kill(ServerId),
    /// Make a server stand still.
    Pause(ServerId),
    /// Let it go on.
    Resume(ServerId),
    /// Raise the kernel's limit on a server's threads.
    SetThreadsMax(ServerId, u32),
    /// Tell the control plane where booting servers get their maps.
    SetBootstrap(Bootstrap),
}

/// What is done to one server.
type StepOf = fn(ServerId) -> Step;

/// A phase, spelled out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Schedule {
    /// Steps with their time from the phase's start, in order.
    pub(super) steps: Vec<(Duration, Step)>,
    /// Steps at the phase's end.
    pub(super) at_end: Vec<Step>,
}

/// The front ends that take part right now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Present {
    /// Joiners that have joined and not left, in the order of joining.
    pub(super) joined: Vec<ServerId>,
    /// Joiners that are still to come.
    pub(super) to_join: Vec<ServerId>,
}

impl Present {
    /// Before the first phase.
    pub(super) fn at_start(fleet: &Fleet) -> Self {
        Self { joined: Vec::new(), to_join: fleet.joiners.clone() }
    }

    /// Spells a phase out, and takes its joins and leaves as done.
    pub(super) fn schedule(&mut self, phase: &PhasePlan, fleet: &Fleet) -> Schedule {
        let mut schedule = Schedule::default();
        match phase.act {
            Act::Baseline | Act::Wait | Act::Recovery => {}
            Act::Add { servers, pace, .. } => {
                let joining: Vec<_> = self.to_join.drain(..servers as usize).collect();
                schedule.steps = paced(joining.iter().copied().map(Step::Start), pace);
                self.joined.extend(joining);
            }
            Act::Remove { pace } => {
                let leaving = std::mem::take(&mut self.joined).into_iter().rev();
                schedule.steps = paced(leaving.map(Step::Stop), pace);
            }
            Act::Restart { pace, .. } => {
                let present = fleet.originals.iter().chain(&self.joined).copied();
                schedule.steps = paced(present.map(Step::Restart), pace);
            }
            Act::RaiseLimit { threads_max } => {
                let limited = fleet.caches.iter().copied().chain(fleet.front_ends());
                let steps = limited.map(|server| (Duration::ZERO, Step::SetThreadsMax(server, threads_max)));
                schedule.steps = steps.collect();
            }
            Act::SetBootstrap { bootstrap } => {
                schedule.steps = vec![(Duration::ZERO, Step::SetBootstrap(bootstrap))];
            }
            Act::Fault { fault, servers } => {
                let hit = |from: &[ServerId]| from.iter().copied().take(servers as usize).collect::<Vec<_>>();
                let (hit, first, last): (Vec<ServerId>, StepOf, Option<StepOf>) = match fault {
                    Fault::KillFrontend => (hit(&fleet.originals), Step::Kill, None),
                    Fault::KillNode => (hit(&fleet.nodes), Step::Kill, Some(Step::Start)),
                    Fault::PauseFrontend => (hit(&fleet.originals), Step::Pause, Some(Step::Resume)),
                    Fault::PauseNode => (hit(&fleet.nodes), Step::Pause, Some(Step::Resume)),
                };
                schedule.steps = hit.iter().map(|&server| (Duration::ZERO, first(server))).collect();
                schedule.at_end = last.map_or_else(Vec::new, |last| hit.into_iter().map(last).collect());
            }
        }
        schedule
    }
}

/// Steps one after another at so many a second, the first at once.
fn paced(steps: impl Iterator<Item = Step>, per_second: f64) -> Vec<(Duration, Step)> {
    let at = |number: usize| Duration::from_secs_f64(number as f64 / per_second);
    steps.enumerate().map(|(number, step)| (at(number), step)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{launcher::AddressBlock, run::fleet::lay_out, scenario::Scenario};

    fn fleet() -> (Vec<PhasePlan>, Fleet) {
        let plan = Scenario::open("kinesis-2020").unwrap().arms.remove(0).plan;
        let mut addresses = AddressBlock::claim().unwrap().next_arm();
        let fleet = lay_out(&plan, &mut addresses, Path::new("/data"), 7).unwrap();
        (plan.phases, fleet)
    }

    #[test]
    fn joiners_come_in_order_leave_the_last_first_and_only_those_who_stayed_are_restarted() {
        let (phases, fleet) = fleet();
        let mut present = Present::at_start(&fleet);
        let of = |name: &str| phases.iter().find(|phase| phase.name == name).unwrap();
        assert_eq!(present.schedule(of("baseline"), &fleet), Schedule::default());
        let add = present.schedule(of("add-capacity"), &fleet).steps;
        assert_eq!(add[0], (Duration::ZERO, Step::Start(fleet.joiners[0])));
        assert_eq!(add[7].0, Duration::from_secs(1), "seven a second");
        let remove = present.schedule(of("remove-capacity"), &fleet).steps;
        assert_eq!(remove[0].1, Step::Stop(*fleet.joiners.last().unwrap()));
        assert_eq!(remove.len(), 14);
        let restart = present.schedule(of("paced-restart"), &fleet).steps;
        let restarted: Vec<_> = restart.into_iter().map(|(_, step)| step).collect();
        assert_eq!(restarted, fleet.originals.iter().copied().map(Step::Restart).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_fault_holds_up_goes_on_at_its_end_and_what_it_kills_for_good_does_not() {
        let (_, fleet) = fleet();
        let fault = |fault, servers| {
            let act = Act::Fault { fault, servers };
            let phase = PhasePlan { name: "fault".into(), duration: Duration::from_secs(1), act };
            Present::at_start(&fleet).schedule(&phase, &fleet)
        };
        let node = fleet.nodes[0];
        assert_eq!(fault(Fault::KillNode, 1).at_end, [Step::Start(node)]);
        let pause = fault(Fault::PauseFrontend, 2);
        assert_eq!((pause.steps.len(), pause.at_end.len()), (2, 2));
        assert_eq!(fault(Fault::KillFrontend, 3).at_end, []);
    }
}
