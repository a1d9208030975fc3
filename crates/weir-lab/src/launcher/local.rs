//! The launcher for this host: every server is a child process in its envelope, its stderr in a file of the result.
//!
//! Used on one thread, which must live as long as the servers: the kernel ends a child with the thread that made it.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

use super::{Exit, LaunchError, Launcher, Life, Order, Roster, ServerSpec, Sighting};
use crate::{
    envelope::{Envelope, Envelopes, unlimited_command},
    series::ServerId,
};

/// Environment of every server. One malloc arena: with one for each of its many threads a server would take megabytes
/// that it does not use, and the fleet's memory would say nothing about its threads.
const ENVIRONMENT: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "1"), ("RUST_BACKTRACE", "0")];
/// How much of a server's log is quoted when it ends early.
const LAST_WORDS_BYTES: u64 = 2_000;

/// Runs servers as processes of this host. Dropping it kills and reaps whatever still runs.
#[derive(Debug)]
pub struct LocalProcesses {
    weir: PathBuf,
    prefix: String,
    logs: PathBuf,
    envelopes: Envelopes,
    roster: Arc<Roster>,
    servers: BTreeMap<ServerId, Server>,
}

#[derive(Debug)]
struct Server {
    // Before the envelope: the process must be gone when its control group is removed.
    child: Option<Child>,
    lives: u32,
    asked_to_end: bool,
    spec: ServerSpec,
    log: PathBuf,
    envelope: Option<Envelope>,
}

impl LocalProcesses {
    /// A launcher that starts `weir` inside `envelopes`. Logs go to the folder `logs`, which must exist; `prefix` makes
    /// the envelopes' names unique among arms that run at the same time.
    pub fn new(weir: &Path, envelopes: Envelopes, logs: &Path, prefix: &str, roster: Arc<Roster>) -> Self {
        Self {
            weir: weir.to_path_buf(),
            prefix: prefix.to_owned(),
            logs: logs.to_path_buf(),
            envelopes,
            roster,
            servers: BTreeMap::new(),
        }
    }

    fn server(&mut self, id: ServerId) -> Result<&mut Server, LaunchError> {
        self.servers.get_mut(&id).ok_or(LaunchError::Unknown(id))
    }
}

impl Launcher for LocalProcesses {
    fn declare(&mut self, spec: ServerSpec) -> Result<(), LaunchError> {
        let name = format!("{}-{}", self.prefix, spec.name);
        let made = spec.limits.map(|limits| self.envelopes.make(&name, limits)).transpose();
        let envelope = made.map_err(|source| LaunchError::Envelope { name: spec.name.clone(), source })?;
        if spec.watched {
            self.roster.declare(Sighting {
                id: spec.id,
                name: spec.name.clone(),
                role: spec.role,
                admin: spec.admin,
                pid: None,
                incarnation: 0,
                witness: envelope.as_ref().map(Envelope::witness),
            });
        }
        let log = self.logs.join(format!("{}.log", spec.name));
        let id = spec.id;
        self.servers.insert(id, Server { child: None, lives: 0, asked_to_end: false, spec, log, envelope });
        Ok(())
    }

    fn start(&mut self, id: ServerId) -> Result<Life, LaunchError> {
        let weir = self.weir.clone();
        let server = self.server(id)?;
        let name = server.spec.name.clone();
        if server.child.is_some() {
            return Err(LaunchError::State { name, state: "running already" });
        }
        let mut command = match &server.envelope {
            Some(envelope) => envelope.command(&weir, &server.spec.args),
            None => unlimited_command(&weir, &server.spec.args),
        };
        let log = OpenOptions::new().create(true).append(true).open(&server.log);
        let log =
            log.map_err(|source| LaunchError::File { operation: "open", path: server.log.clone(), source })?;
        prepare(&mut command, log);
        let child = command.spawn().map_err(|source| LaunchError::spawn(&name, source))?;
        let life = Life { pid: child.id(), incarnation: server.lives };
        server.child = Some(child);
        server.lives += 1;
        server.asked_to_end = false;
        self.roster.change(id, Some(life.pid), life.incarnation);
        Ok(life)
    }

    fn tell(&mut self, id: ServerId, order: Order) -> Result<(), LaunchError> {
        let server = self.server(id)?;
        let name = || server.spec.name.clone();
        let child = server.child.as_ref();
        let child = child.ok_or_else(|| LaunchError::State { name: name(), state: "not running" })?;
        server.asked_to_end |= matches!(order, Order::Stop | Order::Kill);
        let signal = match order {
            Order::Stop => Signal::SIGTERM,
            Order::Kill => Signal::SIGKILL,
            Order::Pause => Signal::SIGSTOP,
            Order::Resume => Signal::SIGCONT,
        };
        // Not reaped yet, so the number is still this child's, whether it runs or not.
        kill(pid_of(child), signal).map_err(|errno| LaunchError::spawn(&server.spec.name, errno.into()))
    }

    fn reap(&mut self) -> Vec<(ServerId, Exit)> {
        let mut ended = Vec::new();
        if !any_child_has_ended() {
            return ended;
        }
        for (&id, server) in &mut self.servers {
            let Some(child) = &mut server.child else { continue };
            let Ok(Some(status)) = child.try_wait() else { continue };
            server.child = None;
            self.roster.change(id, None, server.lives.saturating_sub(1));
            let exit = Exit { code: status.code(), signal: status.signal(), asked: server.asked_to_end };
            ended.push((id, exit));
        }
        ended
    }

    fn life(&self, id: ServerId) -> Option<Life> {
        let server = self.servers.get(&id)?;
        let child = server.child.as_ref()?;
        Some(Life { pid: child.id(), incarnation: server.lives.saturating_sub(1) })
    }

    fn set_threads_max(&mut self, id: ServerId, threads_max: u32) -> Result<(), LaunchError> {
        let weir = self.weir.clone();
        let server = self.server(id)?;
        let running = server.child.as_ref().map(Child::id);
        if let Some(envelope) = &mut server.envelope {
            envelope
                .set_threads_max(&weir, threads_max, running)
                .map_err(|source| LaunchError::Envelope { name: server.spec.name.clone(), source })?;
        }
        Ok(())
    }

    fn last_words(&self, id: ServerId) -> String {
        let Some(server) = self.servers.get(&id) else { return String::new() };
        let tail = || -> io::Result<String> {
            let mut log = File::open(&server.log)?;
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS_BYTES)))?;
            let mut bytes = Vec::new();
            log.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        tail().unwrap_or_else(|error| format!("{}: {error}", server.log.display()))
    }
}

impl Drop for LocalProcesses {
    fn drop(&mut self) {
        for server in self.servers.values_mut() {
            if let Some(child) = &server.child {
                // It may have ended already; then there is nothing to kill.
                let _ = kill(pid_of(child), Signal::SIGKILL);
            }
        }
        for server in self.servers.values_mut() {
            if let Some(mut child) = server.child.take() {
                let _ = child.wait();
            }
        }
    }
}

/// What every child gets: its log and its environment.
fn prepare(command: &mut Command, log: File) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).envs(ENVIRONMENT);
}

/// Has any child of this process ended and not been reaped, whoever's it is? One question for a whole fleet, which is
/// looked at many times a second; it takes nothing from whoever reaps that child.
fn any_child_has_ended() -> bool {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::All, peek), Ok(WaitStatus::StillAlive))
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process ids are below 2^22"))
}

/// Tells all of `servers` to stop, waits up to `patience`, kills the rest, and returns once all are reaped.
pub(crate) fn stop_all(
    launcher: &mut dyn Launcher,
    servers: &[ServerId],
    patience: Duration,
    clock: weir_core::clock::Clock,
) -> Vec<(ServerId, Exit)> {
    let running = |launcher: &dyn Launcher| -> Vec<ServerId> {
        servers.iter().copied().filter(|&server| launcher.life(server).is_some()).collect()
    };
    for server in running(launcher) {
        // A server that has just ended by itself cannot be told; it is reaped below.
        let _ = launcher.tell(server, Order::Stop);
        let _ = launcher.tell(server, Order::Resume);
    }
    let start = clock.now();
    let mut ended = launcher.reap();
    let mut killed = false;
    while !running(launcher).is_empty() {
        if !killed && clock.now().since(start) > patience {
            killed = true;
            for server in running(launcher) {
                let _ = launcher.tell(server, Order::Kill);
            }
        }
        std::thread::sleep(REAP_PAUSE);
        ended.extend(launcher.reap());
    }
    ended
}

/// Between two looks at children that are to end: short against a server's own farewell.
const REAP_PAUSE: Duration = Duration::from_millis(5);

/// Makes the folder for logs.
pub(crate) fn make_logs(folder: &Path) -> Result<(), LaunchError> {
    fs::create_dir_all(folder).map_err(|source| LaunchError::File {
        operation: "create folder",
        path: folder.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests;
