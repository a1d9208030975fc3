//! The servers of one arm while they run: started, watched until they are ready, stopped, started again.
//!
//! Everything that waits in an arm waits here ([`Crew::tick`]), so that at any moment ended processes are reaped, restarts
//! go on, and a Ctrl-C is heard. It writes what happens to servers into the series; it never decides what should.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use tokio::{runtime::Runtime, task::JoinSet};
use weir_core::{
    clock::{Clock, Monotonic},
    id::MemberId,
};
use weir_sync::Shutdown;
use weir_wire::{
    control::{ControlReply, ControlRequest, ControlService, RemoteControl},
    http::client,
};

use super::{error::RunError, fleet::Fleet};
use crate::{
    launcher::{Exit, LaunchError, Launcher, Order},
    recorder::{ArmClock, Sink},
    series::{Record, ServerEvent, ServerHappening, ServerId},
};

/// How long a server may take to leave before it is killed. A farewell (deregister, finish requests) takes tens of
/// milliseconds; a whole fleet's on two cores a second or two.
const LEAVE_PATIENCE: Duration = Duration::from_secs(8);
/// From the moment a front end is off the endpoint list until it is told to stop: several times the period at which
/// callers ask for the list, since on a busy host an answer takes its time.
const DRAIN_TIME: Duration = Duration::from_millis(2_500);
const _: () = assert!(DRAIN_TIME.as_millis() >= 4 * super::load::ENDPOINTS_REFRESH.as_millis());
/// Between two looks at processes.
const TICK: Duration = Duration::from_millis(10);
/// Between two rounds of `/ready`: a quarter of a window of the main experiment, whose joiners it is not to hold up.
const READY_PERIOD: Duration = Duration::from_millis(250);
/// One answer to `/ready`. A server that cannot say it in this time is asked again.
const READY_TIMEOUT: Duration = Duration::from_millis(500);
/// Servers asked in one round. The next round goes on where this one ended: servers that never get ready must not keep
/// the others from being asked.
const READY_ASKED_MAX: usize = 32;

/// The running servers of an arm.
pub(super) struct Crew {
    pub(super) arm: String,
    pub(super) launcher: Box<dyn Launcher>,
    pub(super) runtime: Runtime,
    pub(super) time: ArmClock,
    pub(super) clock: Clock,
    pub(super) stop: Shutdown,
    control: RemoteControl,
    names: Vec<String>,
    admins: Vec<SocketAddr>,
    /// Running, but not ready yet in this life.
    unready: BTreeSet<ServerId>,
    /// On their way out.
    leaving: BTreeMap<ServerId, Leaving>,
    /// The numbers that the control plane gave, by server.
    members: BTreeMap<ServerId, MemberId>,
    /// Processes that ended without being asked to, with how.
    fallen: BTreeMap<ServerId, Exit>,
    next_ready: Monotonic,
    /// The last server that was asked whether it is ready.
    last_asked: Option<ServerId>,
    sink: Option<Arc<Sink>>,
    /// What happened before there was a sink.
    early: Vec<Record>,
}

/// A server that leaves, as an operator takes one out: off the endpoint list, then told to stop, then gone.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    /// Started again once it is gone; otherwise it is no member any more.
    again: bool,
    step: LeavingStep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeavingStep {
    /// Callers are still learning that it is off the list.
    Draining { until: Monotonic },
    /// It finishes what it has.
    Stopping { until: Monotonic },
    /// It did not end in time and was killed.
    Killed,
}

impl Crew {
    /// A crew of which nobody runs yet; all servers of `fleet` are declared.
    pub(super) fn new(
        arm: &str,
        fleet: &Fleet,
        mut launcher: Box<dyn Launcher>,
        time: ArmClock,
        stop: Shutdown,
    ) -> Result<Self, RunError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| RunError::Lab {
            operation: "start a runtime for arm",
            path: arm.into(),
            source,
        })?;
        let early = fleet.infos.iter().cloned().map(Record::Server).collect();
        for spec in &fleet.specs {
            launcher
                .declare(spec.clone())
                .map_err(|source| RunError::Launch { arm: arm.to_owned(), source })?;
        }
        Ok(Self {
            arm: arm.to_owned(),
            launcher,
            runtime,
            clock: time.machine(),
            time,
            stop,
            control: RemoteControl::new(fleet.control_address),
            names: fleet.specs.iter().map(|spec| spec.name.clone()).collect(),
            admins: fleet.specs.iter().map(|spec| spec.admin).collect(),
            unready: BTreeSet::new(),
            leaving: BTreeMap::new(),
            members: BTreeMap::new(),
            fallen: BTreeMap::new(),
            next_ready: Monotonic::ZERO,
            last_asked: None,
            sink: None,
            early,
        })
    }

    /// From now on everything goes into `sink`, also what happened before.
    pub(super) fn record_into(&mut self, sink: Arc<Sink>) {
        for record in self.early.drain(..) {
            sink.push(record);
        }
        self.sink = Some(sink);
    }

    /// Writes a record of the arm's own.
    pub(super) fn record(&mut self, record: Record) {
        match &self.sink {
            Some(sink) => sink.push(record),
            None => self.early.push(record),
        }
    }

    /// Starts a life of a server.
    pub(super) fn start(&mut self, server: ServerId) -> Result<(), RunError> {
        let life = self.launcher.start(server).map_err(|source| self.launch_error(source))?;
        self.fallen.remove(&server);
        self.unready.insert(server);
        self.note(server, ServerHappening::Started { pid: life.pid, incarnation: life.incarnation });
        Ok(())
    }

    /// Starts a process that is no server of the fleet: nothing is written down of it, and its end is the run's.
    pub(super) fn start_unwatched(&mut self, process: ServerId) -> Result<(), RunError> {
        self.launcher.start(process).map(drop).map_err(|source| self.launch_error(source))
    }

    /// Takes a front end out: off the endpoint list, then told to stop; `again`: and started once it is gone, otherwise
    /// taken off the members. One that does not run (it fell) is only started, or taken off.
    pub(super) fn leave(&mut self, server: ServerId, again: bool) -> Result<(), RunError> {
        if self.launcher.life(server).is_none() {
            return if again { self.start(server) } else { self.deregister(server) };
        }
        let member = self.member(server)?;
        self.ask("take a server off the endpoint list", ControlRequest::Drain { member, on: true })?;
        let step = LeavingStep::Draining { until: self.clock.now() + DRAIN_TIME };
        self.leaving.insert(server, Leaving { again, step });
        Ok(())
    }

    fn deregister(&mut self, server: ServerId) -> Result<(), RunError> {
        let member = self.member(server)?;
        self.ask("take a server off the members", ControlRequest::Deregister { member }).map(drop)
    }

    /// The number that the control plane knows a server by: the same for all its lives.
    fn member(&mut self, server: ServerId) -> Result<MemberId, RunError> {
        if let Some(&member) = self.members.get(&server) {
            return Ok(member);
        }
        let what = "list its servers";
        if let ControlReply::Status(known) = self.ask(what, ControlRequest::Status)? {
            let number_of =
                |name: &str| known.iter().find(|found| found.name.as_str() == name).map(|found| found.id);
            for (index, name) in (0..).zip(&self.names) {
                if let Some(member) = number_of(name) {
                    self.members.insert(ServerId(index), member);
                }
            }
        }
        self.members.get(&server).copied().ok_or_else(|| RunError::Control {
            arm: self.arm.clone(),
            what,
            detail: format!("it does not know {}", self.names[server.0 as usize]),
        })
    }

    /// Moves the servers on their way out one step on, where it is time.
    fn see_out(&mut self) -> Result<(), RunError> {
        let now = self.clock.now();
        for (server, leaving) in self.leaving.clone() {
            let step = match leaving.step {
                LeavingStep::Draining { until } if until <= now => {
                    self.note(server, ServerHappening::Told);
                    self.order(server, Order::Stop)?;
                    LeavingStep::Stopping { until: now + LEAVE_PATIENCE }
                }
                LeavingStep::Stopping { until } if until <= now => {
                    self.order(server, Order::Kill)?;
                    LeavingStep::Killed
                }
                step => step,
            };
            self.leaving.insert(server, Leaving { step, ..leaving });
        }
        Ok(())
    }

    /// Tells a running server something; one that does not run hears nothing.
    pub(super) fn order(&mut self, server: ServerId, order: Order) -> Result<(), RunError> {
        match self.launcher.tell(server, order) {
            Ok(()) | Err(LaunchError::State { .. }) => Ok(()),
            Err(source) => Err(self.launch_error(source)),
        }
    }

    /// Has everybody who was told to leave left, and is everybody who was to come back on the way?
    pub(super) fn is_settled(&self) -> bool {
        self.leaving.is_empty()
    }

    /// One look at everything, then a short rest. Fails when the run is to end.
    pub(super) fn tick(&mut self) -> Result<(), RunError> {
        self.reap()?;
        self.see_out()?;
        let now = self.clock.now();
        if !self.unready.is_empty() && now >= self.next_ready {
            self.ask_ready();
            self.next_ready = self.clock.now() + READY_PERIOD;
        }
        if self.stop.wait_timeout(TICK) { Err(self.interrupted()) } else { Ok(()) }
    }

    /// Notes the ends of all processes that have ended since the last look.
    pub(super) fn reap(&mut self) -> Result<(), RunError> {
        for (server, exit) in self.launcher.reap() {
            self.note_end(server, exit)?;
        }
        Ok(())
    }

    /// Notes what ended while the load generator was waited for, which was told to. Unless that ended in order, records
    /// were acknowledged to it that are not in its file, and would not be looked for.
    pub(super) fn note_last_ends(
        &mut self,
        load: ServerId,
        ended: Vec<(ServerId, Exit)>,
    ) -> Result<(), RunError> {
        for (process, exit) in ended {
            if process != load {
                self.note_end(process, exit)?;
            } else if exit.code != Some(0) {
                let words = self.launcher.last_words(load);
                let detail = format!("did not end in order ({}): {words}", describe(&exit));
                return Err(RunError::Load { arm: self.arm.clone(), detail });
            }
        }
        Ok(())
    }

    /// Ticks until `when`.
    pub(super) fn idle_until(&mut self, when: Monotonic) -> Result<(), RunError> {
        while self.clock.now() < when {
            self.tick()?;
        }
        Ok(())
    }

    /// Ticks until all of `servers` are ready. Fails when one of them ends, or when it takes too long.
    pub(super) fn await_ready(&mut self, servers: &[ServerId], patience: Duration) -> Result<(), RunError> {
        let start = self.clock.now();
        loop {
            if let Some((server, exit)) =
                servers.iter().find_map(|server| Some((server, self.fallen.get(server)?)))
            {
                return Err(RunError::EndedEarly {
                    arm: self.arm.clone(),
                    server: self.names[server.0 as usize].clone(),
                    how: describe(exit),
                    last_words: self.launcher.last_words(*server),
                });
            }
            let waiting: Vec<_> = servers.iter().filter(|server| self.unready.contains(server)).collect();
            let Some(first) = waiting.first() else { return Ok(()) };
            if self.clock.now().since(start) > patience {
                let name = &self.names[first.0 as usize];
                let words = self.launcher.last_words(**first);
                let detail =
                    format!("{} of {} wait, among them {name}: {words}", waiting.len(), servers.len());
                let what = "servers ready";
                return Err(RunError::TooSlow { arm: self.arm.clone(), what, waited: patience, detail });
            }
            self.tick()?;
        }
    }

    /// Asks the control plane; `what` names the question in errors.
    pub(super) fn ask(&self, what: &'static str, request: ControlRequest) -> Result<ControlReply, RunError> {
        self.runtime.block_on(self.control.call(request)).map_err(|error| RunError::Control {
            arm: self.arm.clone(),
            what,
            detail: error.to_string(),
        })
    }

    /// The way to the control plane.
    pub(super) fn control(&self) -> &RemoteControl {
        &self.control
    }

    pub(super) fn launch_error(&self, source: LaunchError) -> RunError {
        RunError::Launch { arm: self.arm.clone(), source }
    }

    pub(super) fn interrupted(&self) -> RunError {
        // The folder is filled in where it is known.
        RunError::Interrupted { folder: std::path::PathBuf::new() }
    }

    fn note(&mut self, server: ServerId, happening: ServerHappening) {
        self.record(Record::Event(ServerEvent { at: self.time.at(), server, happening }));
    }

    fn note_end(&mut self, server: ServerId, exit: Exit) -> Result<(), RunError> {
        if server.0 as usize >= self.names.len() {
            let words = self.launcher.last_words(server);
            let detail = format!("ended ({}): {words}", describe(&exit));
            return Err(RunError::Load { arm: self.arm.clone(), detail });
        }
        self.unready.remove(&server);
        let left = self.leaving.remove(&server);
        if exit.asked {
            self.note(server, ServerHappening::Stopped);
        } else {
            self.note(server, ServerHappening::Exited { code: exit.code, signal: exit.signal });
            tracing::warn!(
                arm = self.arm,
                server = self.names[server.0 as usize],
                how = describe(&exit),
                "a server ended by itself"
            );
            self.fallen.insert(server, exit);
        }
        match left {
            Some(Leaving { again: true, .. }) => self.start(server),
            Some(Leaving { again: false, .. }) => self.deregister(server),
            None => Ok(()),
        }
    }

    /// Asks servers that are not ready yet whether they are.
    fn ask_ready(&mut self) {
        let asked = next_round(&self.unready, self.last_asked);
        self.last_asked = asked.last().copied();
        let addresses: Vec<_> = asked.iter().map(|server| self.admins[server.0 as usize]).collect();
        let answers = self.runtime.block_on(async {
            let mut answers = JoinSet::new();
            for (server, address) in asked.into_iter().zip(addresses) {
                answers.spawn(async move {
                    let answer = client::get(address, "/ready", READY_TIMEOUT).await;
                    (server, answer.is_ok_and(|answer| answer.status.is_success()))
                });
            }
            answers.join_all().await
        });
        for (server, ready) in answers {
            if ready {
                self.unready.remove(&server);
                self.note(server, ServerHappening::Ready);
            }
        }
    }
}

/// Whom to ask now: those after the last one asked, then from the front, nobody twice.
fn next_round(unready: &BTreeSet<ServerId>, last: Option<ServerId>) -> Vec<ServerId> {
    let start = last.map_or(Bound::Unbounded, Bound::Excluded);
    let end = last.map_or(Bound::Excluded(ServerId(0)), Bound::Included);
    let ahead = unready.range((start, Bound::Unbounded));
    let behind = unready.range((Bound::Unbounded, end));
    ahead.chain(behind).copied().take(READY_ASKED_MAX).collect()
}

fn describe(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        launcher::{AddressBlock, Life, ServerSpec},
        run::fleet::lay_out,
        scenario::Scenario,
    };

    /// Servers that do nothing.
    struct Idle;

    impl Launcher for Idle {
        fn declare(&mut self, _: ServerSpec) -> Result<(), LaunchError> {
            Ok(())
        }
        fn start(&mut self, _: ServerId) -> Result<Life, LaunchError> {
            Ok(Life { pid: 1, incarnation: 0 })
        }
        fn tell(&mut self, _: ServerId, _: Order) -> Result<(), LaunchError> {
            Ok(())
        }
        fn reap(&mut self) -> Vec<(ServerId, Exit)> {
            Vec::new()
        }
        fn life(&self, _: ServerId) -> Option<Life> {
            None
        }
        fn set_threads_max(&mut self, _: ServerId, _: u32) -> Result<(), LaunchError> {
            Ok(())
        }
        fn last_words(&self, _: ServerId) -> String {
            "out of room".to_owned()
        }
    }

    fn crew() -> (Crew, ServerId) {
        let plan = Scenario::open("kinesis-2020").unwrap().arms.remove(0).plan;
        let mut addresses = AddressBlock::claim().unwrap().next_arm();
        let fleet = lay_out(&plan, &mut addresses, Path::new("/data"), 7).unwrap();
        let load = ServerId(fleet.specs.len() as u32);
        let time = ArmClock::start(Clock::new());
        (Crew::new("shared", &fleet, Box::new(Idle), time, Shutdown::new()).unwrap(), load)
    }

    #[test]
    fn a_load_generator_that_does_not_end_in_order_ends_the_run() {
        let (mut crew, load) = crew();
        let mut ends =
            |code, signal| crew.note_last_ends(load, vec![(load, Exit { code, signal, asked: true })]);
        assert!(ends(Some(0), None).is_ok());
        let failed = ends(Some(1), None).unwrap_err().to_string();
        assert!(failed.contains("did not end in order (exit code 1): out of room"), "{failed}");
        let killed = ends(None, Some(9)).unwrap_err().to_string();
        assert!(killed.contains("signal 9"), "{killed}");
    }

    #[test]
    fn a_server_that_falls_while_the_load_is_waited_for_is_written_down() {
        let (mut crew, load) = crew();
        let orderly = Exit { code: Some(0), signal: None, asked: true };
        let fell = Exit { code: None, signal: Some(11), asked: false };
        crew.note_last_ends(load, vec![(ServerId(9), fell), (load, orderly)]).unwrap();
        let exited = |record: &Record| {
            matches!(record, Record::Event(e) if e.server == ServerId(9)
                && e.happening == ServerHappening::Exited { code: None, signal: Some(11) })
        };
        assert!(crew.early.iter().any(exited));
    }

    #[test]
    fn every_server_is_asked_in_its_turn_however_many_never_get_ready() {
        let unready: BTreeSet<ServerId> = (0..70).map(ServerId).collect();
        let mut last = None;
        let mut asked = BTreeSet::new();
        for _ in 0..3 {
            let round = next_round(&unready, last);
            assert_eq!(round.len(), READY_ASKED_MAX);
            assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), READY_ASKED_MAX, "nobody twice");
            last = round.last().copied();
            asked.extend(round);
        }
        assert_eq!(asked, unready);
        let few: BTreeSet<ServerId> = [3, 9].map(ServerId).into();
        assert_eq!(next_round(&few, Some(ServerId(5))), [9, 3].map(ServerId));
        assert_eq!(next_round(&few, None), [3, 9].map(ServerId));
        assert_eq!(next_round(&BTreeSet::new(), last), []);
    }
}
