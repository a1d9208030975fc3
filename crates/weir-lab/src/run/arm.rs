//! One arm from its first server to its verdict-ready series: put together, loaded, led through its phases, read back,
//! taken down.
//!
//! Runs on a thread of its own, which lives until every process that it started is gone. Whatever goes wrong on the way,
//! dropping the arm's crew ends its processes and removes its envelopes.

use std::{path::Path, sync::Arc, time::Duration};

use weir_core::threads::Threads;
use weir_sync::Shutdown;
use weir_wire::control::{
    ControlError, ControlReply, ControlRequest, ControlService, NewStream, StreamStatus,
};

use super::{
    crew::Crew,
    error::RunError,
    fleet::{Fleet, lay_out},
    host_watch::HostWatch,
    load::{LoadFiles, prepare},
    phases,
    progress::ArmProgress,
    read_back, settle,
    setup::{Turn, setup},
    start_line::StartLine,
};
use crate::{
    envelope::Envelopes,
    launcher::{ArmAddresses, LocalProcesses, Roster, ServerSpec, make_logs, stop_all},
    recorder::{ArmClock, Recorder, Sink, Watched},
    scenario::Arm,
    series::{Record, Role, ServerId, store::ResultFolder},
};

/// How long a control plane, a node or a consumer may take to be ready.
const SERVICE_READY: Duration = Duration::from_secs(20);
/// How long all front ends together may take to be ready.
const FLEET_READY: Duration = Duration::from_secs(60);
/// How long a new stream may take to be active.
const STREAMS_ACTIVE: Duration = Duration::from_secs(20);
/// How long the load runs before the first phase: connections are made, iterators got.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long the load generator may take to finish its calls.
const LOAD_PATIENCE: Duration = Duration::from_secs(15);
/// How long servers may take to leave when all is over.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// What an arm needs from its run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage<'a> {
    pub(super) weir: &'a Path,
    pub(super) envelopes: &'a Envelopes,
    pub(super) result: &'a ResultFolder,
    /// A folder for data that does not outlive the run.
    pub(super) scratch: &'a Path,
    pub(super) time: ArmClock,
    pub(super) stop: &'a Shutdown,
    pub(super) start_line: &'a StartLine,
    pub(super) host: &'a HostWatch,
    pub(super) threads: &'a Threads,
    pub(super) window: Duration,
    pub(super) seed: u64,
}

/// Runs the arm.
pub(super) fn run(
    stage: Stage<'_>,
    arm: &Arm,
    turn: Turn,
    mut addresses: ArmAddresses,
    progress: &ArmProgress,
) -> Result<(), RunError> {
    let folder = format!("{}-{}", arm.name, turn.repeat);
    let data = stage.scratch.join(&folder);
    let files = LoadFiles::in_folder(&data);
    let lab_error = |operation, path: &Path, source| RunError::Lab { operation, path: path.into(), source };
    std::fs::create_dir_all(&data).map_err(|source| lab_error("create folder", &data, source))?;
    let fleet = lay_out(&arm.plan, &mut addresses, &data, stage.seed)?;
    let mut specs_of_load = load_spec(&fleet);
    specs_of_load.args = prepare(&arm.plan.load, &fleet, stage.window, &files, stage.seed)
        .map_err(|source| lab_error("write the load's options in", &data, source))?;
    let logs = stage.result.path().join("logs").join(&folder);
    let launch = |source| RunError::Launch { arm: arm.name.clone(), source };
    make_logs(&logs).map_err(launch)?;
    let roster = Arc::new(Roster::default());
    let launcher =
        LocalProcesses::new(stage.weir, stage.envelopes.clone(), &logs, &folder, Arc::clone(&roster));
    let mut crew = Crew::new(&arm.name, &fleet, Box::new(launcher), stage.time, stage.stop.clone())?;
    let load = specs_of_load.id;
    crew.launcher.declare(specs_of_load).map_err(launch)?;

    progress.step("starting");
    put_together(&mut crew, &fleet)?;
    let base = settle::base_threads(&mut crew, &fleet)?;
    let setup = setup(arm, &fleet, base, turn);
    let sink = Arc::new(Sink::create(stage.result, setup, stage.time)?);
    crew.record_into(Arc::clone(&sink));
    progress.step("settling");
    settle::until_steady(&mut crew, &fleet)?;
    crew.start_unwatched(load)?;
    let warm = crew.clock.now() + WARM_UP;
    crew.idle_until(warm)?;
    stage.start_line.arrive();
    while !stage.start_line.is_open() {
        crew.tick()?;
    }
    let start = crew.clock.now() + stage.start_line.offset(turn.order);
    crew.idle_until(start)?;

    let record = |source| RunError::Record { arm: arm.name.clone(), source };
    let watched = watched(&fleet, &files, stage.window, &roster);
    let recorder = Recorder::start(watched, Arc::clone(&sink), stage.threads).map_err(record)?;
    progress.recorded_by(&sink);
    let start = stage.time.at();
    let outcome = phases::run(&mut crew, &arm.plan, &fleet, progress);
    progress.step("draining");
    // The load ends first, so that its last windows are read; even a cut run keeps what it measured.
    let ended = stop_all(crew.launcher.as_mut(), &[load], LOAD_PATIENCE, crew.clock);
    let outcome = outcome.and_then(|()| crew.note_last_ends(load, ended));
    recorder.finish().map_err(record)?;
    stage.host.since(start).into_iter().for_each(|stall| sink.push(Record::HostStall(stall)));
    outcome?;
    progress.step("reading back");
    read_everything_back(&mut crew, &fleet, &files)?;
    crew.reap()?;
    sink.flush()?;
    let everybody: Vec<ServerId> = fleet.specs.iter().map(|spec| spec.id).collect();
    stop_all(crew.launcher.as_mut(), &everybody, END_PATIENCE, crew.clock);
    progress.step("done");
    Ok(())
}

/// The load generator as a child that is not part of the fleet: no row of the series is about it.
fn load_spec(fleet: &Fleet) -> ServerSpec {
    let id = ServerId(u32::try_from(fleet.specs.len()).expect("addresses run out long before"));
    let admin = fleet.specs[fleet.control.0 as usize].admin;
    let name = "load".to_owned();
    ServerSpec { id, name, role: Role::Consumer, limits: None, args: Vec::new(), admin, watched: false }
}

/// Starts everything that is there before the first phase, each kind when what it needs is ready.
fn put_together(crew: &mut Crew, fleet: &Fleet) -> Result<(), RunError> {
    crew.start(fleet.control)?;
    crew.await_ready(&[fleet.control], SERVICE_READY)?;
    start_all(crew, &fleet.nodes, SERVICE_READY)?;
    create_streams(crew, fleet)?;
    start_all(crew, &fleet.caches, SERVICE_READY)?;
    start_all(crew, &fleet.originals, FLEET_READY)?;
    let consumers: Vec<ServerId> = fleet.consumers.iter().map(|(server, _)| *server).collect();
    start_all(crew, &consumers, SERVICE_READY)
}

fn start_all(crew: &mut Crew, servers: &[ServerId], patience: Duration) -> Result<(), RunError> {
    for &server in servers {
        crew.start(server)?;
    }
    crew.await_ready(servers, patience)
}

/// Creates every tenant's stream and waits until the nodes own their shards.
fn create_streams(crew: &mut Crew, fleet: &Fleet) -> Result<(), RunError> {
    let shards = fleet.shards;
    for tenant in &fleet.tenants {
        let stream = tenant.stream_ref();
        crew.ask("create a stream", ControlRequest::CreateStream(NewStream::provisioned(stream, shards)))?;
    }
    let start = crew.clock.now();
    for tenant in &fleet.tenants {
        let request = ControlRequest::DescribeStream { stream: tenant.stream_ref() };
        loop {
            let reply: Result<ControlReply, ControlError> =
                crew.runtime.block_on(crew.control().call(request.clone()));
            match reply {
                Ok(ControlReply::Stream(stream)) if stream.status == StreamStatus::Active => break,
                other if crew.clock.now().since(start) > STREAMS_ACTIVE => {
                    return Err(RunError::TooSlow {
                        arm: crew.arm.clone(),
                        what: "streams active",
                        waited: STREAMS_ACTIVE,
                        detail: format!("{other:?}"),
                    });
                }
                _ => crew.tick()?,
            }
        }
    }
    Ok(())
}

fn watched(fleet: &Fleet, files: &LoadFiles, window: Duration, roster: &Arc<Roster>) -> Watched {
    let consumers = fleet
        .consumers
        .iter()
        .map(|(server, plan)| (*server, plan.clone(), files.service_windows(&plan.name)));
    Watched {
        window,
        roster: Arc::clone(roster),
        control: fleet.control_address,
        cells: fleet.cells.clone(),
        consumers: consumers.collect(),
        load: Some(files.windows()),
    }
}

fn read_everything_back(crew: &mut Crew, fleet: &Fleet, files: &LoadFiles) -> Result<(), RunError> {
    // Bound to the stop: a Ctrl-C must not wait for thousands of records.
    let stop = crew.stop.clone();
    let (acks, clock) = (files.acks(), crew.clock);
    let checked = crew.runtime.block_on(async {
        tokio::select! {
            checked = read_back::check(fleet, &acks, clock) => Some(checked),
            () = stop.wait_async() => None,
        }
    });
    match checked {
        None => Err(crew.interrupted()),
        Some(Err(detail)) => Err(RunError::ReadBack { arm: crew.arm.clone(), detail }),
        Some(Ok((integrity, way))) => {
            tracing::debug!(arm = crew.arm, way, ?integrity, "everything was read back");
            crew.record(Record::Integrity(integrity));
            Ok(())
        }
    }
}
