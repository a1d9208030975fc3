//! Walks the phases of an arm: each step at its time, each phase as long as it must last.
//!
//! The only place that acts on a fleet under experiment. What to do when is spelled out by `schedule.rs`; this carries it out
//! and writes down when it began and ended.

use weir_wire::control::{ControlRequest, FleetConfig};

use super::{
    crew::Crew,
    error::RunError,
    fleet::Fleet,
    progress::ArmProgress,
    schedule::{Present, Step},
};
use crate::{
    launcher::Order,
    scenario::plan::{PhasePlan, Plan},
    series::{Phase, Record, ServerId},
};

/// Runs all phases. `fleet_config` is what the control plane was told at the start.
pub(super) fn run(
    crew: &mut Crew,
    plan: &Plan,
    fleet: &Fleet,
    progress: &ArmProgress,
) -> Result<(), RunError> {
    let mut present = Present::at_start(fleet);
    let mut config = plan.fleet.config.clone();
    // Phases follow each other without a gap in what was planned: a late step does not push the rest back by ticks.
    for (number, phase) in (1..).zip(&plan.phases) {
        progress.phase(&phase.name, number, plan.phases.len());
        run_one(crew, phase, fleet, &mut present, &mut config)?;
    }
    Ok(())
}

fn run_one(
    crew: &mut Crew,
    phase: &PhasePlan,
    fleet: &Fleet,
    present: &mut Present,
    config: &mut FleetConfig,
) -> Result<(), RunError> {
    let schedule = present.schedule(phase, fleet);
    let start = crew.clock.now();
    let mut record =
        Phase { name: phase.name.clone(), action: phase.act.kind(), start: crew.time.at(), end: None };
    crew.record(Record::Phase(record.clone()));
    for (offset, step) in schedule.steps {
        crew.idle_until(start + offset)?;
        carry_out(crew, step, config)?;
    }
    crew.idle_until(start + phase.duration)?;
    for step in schedule.at_end {
        carry_out(crew, step, config)?;
    }
    while !crew.is_settled() {
        crew.tick()?;
    }
    record.end = Some(crew.time.at());
    crew.record(Record::Phase(record));
    Ok(())
}

fn carry_out(crew: &mut Crew, step: Step, config: &mut FleetConfig) -> Result<(), RunError> {
    match step {
        Step::Start(server) => start(crew, server),
        Step::Stop(server) => crew.leave(server, false),
        Step::Restart(server) => crew.leave(server, true),
        Step::Kill(server) => crew.order(server, Order::Kill),
        Step::Pause(server) => crew.order(server, Order::Pause),
        Step::Resume(server) => crew.order(server, Order::Resume),
        Step::SetThreadsMax(server, threads_max) => {
            crew.launcher.set_threads_max(server, threads_max).map_err(|source| crew.launch_error(source))
        }
        Step::SetBootstrap(bootstrap) => {
            config.bootstrap = bootstrap;
            crew.ask("switch the bootstrap", ControlRequest::SetFleet { fleet: config.clone() }).map(drop)
        }
    }
}

/// A killed server that is still being reaped has to be gone before it can come back.
fn start(crew: &mut Crew, server: ServerId) -> Result<(), RunError> {
    while crew.launcher.life(server).is_some() {
        crew.tick()?;
    }
    crew.start(server)
}
