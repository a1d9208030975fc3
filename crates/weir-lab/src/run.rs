//! `weir run`: an experiment from the scenario to the verdict.
//!
//! Finds the kernel's limits, starts every arm (all at once or one after another), waits for them while it shows where they
//! are, and hands the recorded series to the judge. Whatever happens, Ctrl-C included, it leaves no process, control group,
//! namespace or temporary folder behind.

mod arm;
mod crew;
mod error;
mod fleet;
mod host;
mod host_watch;
mod integrity;
mod load;
mod phases;
mod progress;
mod read_back;
mod room;
mod schedule;
mod screen;
mod settle;
mod setup;
mod signals;
mod start_line;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use weir_core::{clock::Clock, threads::Threads};
use weir_sync::Shutdown;

use self::{
    arm::Stage,
    host_watch::HostWatch,
    progress::{ArmProgress, Board},
    setup::Turn,
    signals::Signals,
    start_line::StartLine,
};
pub use self::{
    error::RunError,
    load::{LoadChildArgs, LoadChildError, run_child as run_load},
    progress::Show,
    screen::Screen,
};
use crate::{
    envelope::{Envelopes, ProbeOutcome, RunName},
    launcher::AddressBlock,
    recorder::ArmClock,
    scenario::{Arm, Scenario},
    series::{RunHeader, store::ResultFolder},
};

/// How often the board is drawn.
const DRAW_PERIOD: Duration = Duration::from_millis(250);

/// What to run.
#[derive(Debug)]
pub struct RunRequest {
    /// The scenario, with the arms that are wanted.
    pub scenario: Scenario,
    /// How often each arm runs. At least 1.
    pub repeat: u32,
    /// The seed of all arms.
    pub seed: u64,
    /// The result's folder.
    pub out: PathBuf,
    /// The binary that knows `node`, `__envelop`, `__count-threads` and `__load`.
    pub weir: PathBuf,
    /// How much is shown on stderr.
    pub show: Show,
    /// stderr, which the log shares.
    pub screen: Screen,
}

/// What a run left.
#[derive(Debug)]
pub struct RunOutcome {
    /// Its folder: `run.json`, `scenario.toml`, series, logs.
    pub folder: ResultFolder,
    /// How the kinds of envelope did that were tried before the one in use, and that one.
    pub envelopes: Vec<ProbeOutcome>,
}

/// Runs all arms. The series are in the folder, ready to be read and judged.
pub fn run(request: &RunRequest) -> Result<RunOutcome, RunError> {
    let (threads, clock, stop) = (Threads::new(), Clock::new(), Shutdown::new());
    let lab_error = |operation, path: &Path, source| RunError::Lab { operation, path: path.into(), source };
    room::raise_thread_limit()
        .map_err(|source| lab_error("raise the thread limit of", &request.weir, source))?;
    let _signals = Signals::listen(stop.clone(), &threads)
        .map_err(|source| lab_error("listen for signals of", &request.weir, source))?;
    let scratch =
        scratch().map_err(|source| lab_error("create a folder in", &std::env::temp_dir(), source))?;
    let (envelopes, tried) = Envelopes::find(&request.weir)?;
    room::ask(&request.scenario, envelopes.kind())?;
    let header = header(request, &tried, clock);
    let folder = ResultFolder::create(&request.out, &header)?;
    folder.write("scenario.toml", &request.scenario.text)?;
    let lab = Lab { request, threads, clock, stop, envelopes, folder, scratch: scratch.path() };
    let outcome = lab.run_all();
    let Lab { folder, envelopes, .. } = lab;
    drop(envelopes);
    match outcome {
        Err(RunError::Interrupted { .. }) => Err(RunError::Interrupted { folder: folder.path().into() }),
        Err(error) => Err(error),
        Ok(()) => Ok(RunOutcome { folder, envelopes: tried }),
    }
}

/// A folder that removes itself; those of dead runs are removed now.
fn scratch() -> std::io::Result<tempfile::TempDir> {
    let parent = std::env::temp_dir();
    for entry in fs::read_dir(&parent)?.flatten() {
        let name = entry.file_name();
        let run = name.to_str().and_then(|name| name.split_once('.')?.0.parse::<RunName>().ok());
        if run.is_some_and(|run| !run.is_alive()) {
            // Another user's, or swept by somebody else this moment: not ours to worry about.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let folder = tempfile::Builder::new().prefix(&format!("{}.", RunName::own())).tempdir_in(parent)?;
    Ok(folder)
}

fn header(request: &RunRequest, tried: &[ProbeOutcome], clock: Clock) -> RunHeader {
    RunHeader {
        scenario: request.scenario.name.clone(),
        description: request.scenario.description.clone(),
        seed: request.seed,
        time_scale: request.scenario.time_scale,
        started_wall_ms: clock.wall().0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: host::host(tried),
    }
}

/// What arms share that run at the same time.
#[derive(Debug, Clone)]
struct Together {
    time: ArmClock,
    start_line: Arc<StartLine>,
    host: Arc<HostWatch>,
}

/// One run under way.
struct Lab<'a> {
    request: &'a RunRequest,
    threads: Threads,
    clock: Clock,
    stop: Shutdown,
    envelopes: Envelopes,
    folder: ResultFolder,
    scratch: &'a Path,
}

impl Lab<'_> {
    fn run_all(&self) -> Result<(), RunError> {
        let mut addresses = AddressBlock::claim()?;
        let arms = &self.request.scenario.arms;
        for repeat in 0..self.request.repeat {
            let turns: Vec<Vec<(u32, &Arm)>> = if self.request.scenario.arms_at_once {
                vec![(0..).zip(arms).collect()]
            } else {
                // The order is turned with each repeat: no arm always runs on the cooler machine.
                let mut alone: Vec<_> = (0..).zip(arms).map(|arm| vec![arm]).collect();
                alone.rotate_left(repeat as usize % arms.len().max(1));
                alone
            };
            for together in turns {
                self.run_together(&together, repeat, &mut addresses)?;
            }
        }
        Ok(())
    }

    /// Runs some arms at the same time, on one clock.
    fn run_together(
        &self,
        arms: &[(u32, &Arm)],
        repeat: u32,
        addresses: &mut AddressBlock,
    ) -> Result<(), RunError> {
        let time = ArmClock::start(self.clock);
        let host = HostWatch::start(time, self.scratch, &self.threads);
        let lab_error =
            |source| RunError::Lab { operation: "watch the host from", path: self.scratch.into(), source };
        let together = Together {
            time,
            start_line: Arc::new(StartLine::new(arms.len(), self.request.scenario.window)),
            host: Arc::new(host.map_err(lab_error)?),
        };
        let mut running = Vec::new();
        let mut shown = Vec::new();
        for &(order, arm) in arms {
            let progress = Arc::new(ArmProgress::new(&arm.name));
            shown.push(Arc::clone(&progress));
            let turn = Turn {
                order,
                repeat,
                kind: self.envelopes.kind(),
                window_ms: self.request.scenario.window.as_millis() as u64,
            };
            let started = self.start_arm(arm, turn, together.clone(), addresses, progress);
            if started.is_err() {
                self.stop.begin();
            }
            running.push(started);
        }
        let Scenario { name, .. } = &self.request.scenario;
        let title = format!("{name}, seed {}, limits by {}", self.request.seed, self.envelopes.kind());
        let mut board = Board::new(self.request.show, self.request.screen.clone(), title, shown);
        let start = self.clock.now();
        while running.iter().flatten().any(|arm| !arm.is_finished()) {
            board.draw(self.clock.now().since(start));
            std::thread::sleep(DRAW_PERIOD);
        }
        board.draw(self.clock.now().since(start));
        worst(running)
    }

    fn start_arm(
        &self,
        arm: &Arm,
        turn: Turn,
        together: Together,
        addresses: &mut AddressBlock,
        progress: Arc<ArmProgress>,
    ) -> Result<JoinHandle<Result<(), RunError>>, RunError> {
        let addresses = addresses.next_arm();
        let (weir, scratch, folder) =
            (self.request.weir.clone(), self.scratch.to_path_buf(), self.folder.clone());
        let (envelopes, threads, stop) = (self.envelopes.clone(), self.threads.clone(), self.stop.clone());
        let arm = arm.clone();
        let (window, seed) = (self.request.scenario.window, self.request.seed);
        let name = format!("arm-{}", arm.name);
        let spawned = self.threads.spawn(name.clone(), move || {
            let stage = Stage {
                weir: &weir,
                envelopes: &envelopes,
                result: &folder,
                scratch: &scratch,
                time: together.time,
                stop: &stop,
                start_line: &together.start_line,
                host: &together.host,
                threads: &threads,
                window,
                seed,
            };
            let outcome = arm::run(stage, &arm, turn, addresses, &progress);
            if let Err(error) = &outcome {
                // The other arms would be compared with nothing: the run is over for all.
                tracing::debug!(arm = arm.name, %error, "the arm ended early");
                progress.step("ended early");
                stop.begin();
            }
            outcome
        });
        spawned.map_err(|refused| RunError::Refused { thread: name, source: refused.source })
    }
}

/// The first error that is not only the echo of another arm's.
fn worst(running: Vec<Result<JoinHandle<Result<(), RunError>>, RunError>>) -> Result<(), RunError> {
    let mut interrupted = None;
    for arm in running {
        let outcome = arm.and_then(|thread| thread.join().expect("a panic aborts the process"));
        match outcome {
            Ok(_) => {}
            Err(error @ RunError::Interrupted { .. }) => interrupted = Some(error),
            Err(error) => return Err(error),
        }
    }
    interrupted.map_or(Ok(()), Err)
}
