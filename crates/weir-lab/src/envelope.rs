//! Envelopes: each server of a fleet lives inside kernel limits of its own, above all a limit on threads.
//!
//! The launcher makes one [`Envelope`] a server and starts the server through it; the recorder reads its [`Evidence`]; the
//! `raise-limit` phase raises it. Which kind this host can give is found by trying ([`Envelopes::find`]), never assumed.
//! Nothing here counts threads: the limit is the kernel's, and so is the refusal.

mod cgroup;
mod cgroup_v1;
mod cgroup_v2;
mod claim;
mod enter;
mod hierarchies;
mod probe;
mod run_name;
mod thread_count;
mod uid;
mod user_namespace;

use std::{
    ffi::OsStr,
    fmt, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use serde::{Deserialize, Serialize};
use weir_core::units::Size;

pub(crate) use self::hierarchies::Hierarchies;
pub use self::{
    claim::Claim,
    enter::{EnterError, EnvelopArgs, enter_and_exec},
    probe::{NoEnvelope, ProbeOutcome, count_threads_line, probe_all},
    run_name::RunName,
    thread_count::{CountThreadsArgs, ThreadCount, count_threads},
};

/// How a limit is put on one server. The order is the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvelopeKind {
    /// A group of the unified hierarchy.
    CgroupV2,
    /// A group of the old pids hierarchy.
    CgroupV1,
    /// RLIMIT_NPROC in a user namespace of its own; needs no root.
    UserNamespace,
    /// RLIMIT_NPROC under a uid of its own; needs root.
    Uid,
}

impl EnvelopeKind {
    /// All kinds, best first.
    pub const ALL: [Self; 4] = [Self::CgroupV2, Self::CgroupV1, Self::UserNamespace, Self::Uid];

    /// The name as flags and results carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CgroupV2 => "cgroup-v2",
            Self::CgroupV1 => "cgroup-v1",
            Self::UserNamespace => "user-namespace",
            Self::Uid => "uid",
        }
    }
}

impl fmt::Display for EnvelopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Text that names no kind of envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of envelope: cgroup-v2, cgroup-v1, user-namespace or uid")]
pub struct EnvelopeKindError(String);

impl FromStr for EnvelopeKind {
    type Err = EnvelopeKindError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| EnvelopeKindError(text.to_owned()))
    }
}

/// The limits of one server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnvelopeLimits {
    /// Threads that it may have at once, its first among them (L).
    pub threads_max: u32,
    /// Memory that it may use. Control groups only.
    pub memory_max: Option<Size>,
    /// Processor time, in cores. Control groups only.
    pub cpu_max: Option<f64>,
}

/// What the kernel counted for one server. `None`: this kind of envelope, or this kernel, does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The limit as the kernel holds it (`pids.max`).
    pub threads_max: Option<u64>,
    /// Threads now (`pids.current`).
    pub threads: Option<u64>,
    /// Most threads at once (`pids.peak`).
    pub threads_peak: Option<u64>,
    /// Threads that the kernel refused (`pids.events`, max).
    pub refusals: Option<u64>,
    /// Bytes of memory charged now.
    pub memory_bytes: Option<u64>,
    /// Most bytes of memory charged at once.
    pub memory_bytes_peak: Option<u64>,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: Option<u64>,
}

/// Why an envelope could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// A file of the kernel's could not be used.
    #[error("{operation} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// This host does not give the kind of envelope asked for.
    #[error("no envelope of kind {kind}: {controller}: {reason}")]
    NoController {
        /// The kind.
        kind: EnvelopeKind,
        /// What it would have needed.
        controller: &'static str,
        /// Why that is not to be had.
        reason: String,
    },
    /// The kind in use cannot hold such a limit.
    #[error(
        "an envelope of kind {kind} cannot limit {what}: leave that key out, or give the lab control groups"
    )]
    Unsupported {
        /// The kind.
        kind: EnvelopeKind,
        /// The scenario's key.
        what: &'static str,
    },
    /// All uids of this lab's block are in use.
    #[error(
        "all {uids} uids of this run are in use: run fewer servers at once, or give the lab control groups"
    )]
    UidsExhausted {
        /// Uids in a block.
        uids: u32,
    },
    /// The limit of a running server could not be raised.
    #[error("raise the thread limit of process {pid} to {threads_max}: {source}")]
    Raise {
        /// The server.
        pid: u32,
        /// The limit asked for.
        threads_max: u32,
        /// What the kernel said.
        source: io::Error,
    },
}

impl EnvelopeError {
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.to_path_buf(), source }
    }

    /// Must this host change, or what is asked of it? A running server's limit that cannot be moved may be the server's doing.
    pub(crate) fn is_environment(&self) -> bool {
        match self {
            Self::Io { .. }
            | Self::NoController { .. }
            | Self::Unsupported { .. }
            | Self::UidsExhausted { .. } => true,
            Self::Raise { .. } => false,
        }
    }
}

/// The ground on which this run's envelopes stand. Clones share it; the last one removes it.
#[derive(Debug, Clone)]
pub struct Envelopes {
    ground: Ground,
}

#[derive(Debug, Clone)]
enum Ground {
    V2(Arc<cgroup_v2::Tree>),
    V1(Arc<cgroup_v1::Tree>),
    UserNamespace,
    Uid(Arc<uid::Block>),
}

impl Envelopes {
    /// Finds the best kind of envelope that works here, by proving each in turn. `weir` is the binary that knows the
    /// hidden commands `__envelop` and `__count-threads`. Also returns how the kinds tried before it failed.
    pub fn find(weir: &Path) -> Result<(Self, Vec<ProbeOutcome>), NoEnvelope> {
        probe::find(weir)
    }

    /// Prepares envelopes of one kind, without proving that they hold.
    pub fn plant(kind: EnvelopeKind) -> Result<Self, EnvelopeError> {
        let root = Path::new("/");
        let hierarchies = || {
            Hierarchies::read(root)
                .map_err(|source| EnvelopeError::io("read", Path::new("/proc/self/mountinfo"), source))
        };
        let ground = match kind {
            EnvelopeKind::CgroupV2 => {
                Ground::V2(Arc::new(cgroup_v2::Tree::plant(&hierarchies()?, &RunName::own())?))
            }
            EnvelopeKind::CgroupV1 => {
                Ground::V1(Arc::new(cgroup_v1::Tree::plant(&hierarchies()?, &RunName::own())?))
            }
            EnvelopeKind::UserNamespace => Ground::UserNamespace,
            EnvelopeKind::Uid => Ground::Uid(Arc::new(uid::Block::claim(root)?)),
        };
        Ok(Self { ground })
    }

    /// The kind of all envelopes made here.
    pub fn kind(&self) -> EnvelopeKind {
        match self.ground {
            Ground::V2(_) => EnvelopeKind::CgroupV2,
            Ground::V1(_) => EnvelopeKind::CgroupV1,
            Ground::UserNamespace => EnvelopeKind::UserNamespace,
            Ground::Uid(_) => EnvelopeKind::Uid,
        }
    }

    /// Makes the envelope of the server `name` (unique within this run; letters, digits, dots and dashes).
    pub fn make(&self, name: &str, limits: EnvelopeLimits) -> Result<Envelope, EnvelopeError> {
        let seat = match &self.ground {
            Ground::V2(tree) => Seat::Group(tree.make(name, &limits)?),
            Ground::V1(tree) => Seat::Group(tree.make(name, &limits)?),
            Ground::UserNamespace => Seat::Namespace,
            Ground::Uid(block) => Seat::Uid(block.take()?),
        };
        let threads_max = Arc::new(AtomicU32::new(limits.threads_max));
        let envelope = Envelope { seat, limits, threads_max, ground: self.ground.clone() };
        let kind = self.kind();
        let in_group = matches!(envelope.seat, Seat::Group(_));
        match (in_group, limits.memory_max, limits.cpu_max) {
            (false, Some(_), _) => Err(EnvelopeError::Unsupported { kind, what: "envelope.memory_max" }),
            (false, _, Some(_)) => Err(EnvelopeError::Unsupported { kind, what: "envelope.cpu_max" }),
            _ => Ok(envelope),
        }
    }
}

/// One server's limits, in force for every life of that server. Removed when dropped: end the server first.
#[derive(Debug)]
pub struct Envelope {
    // The seat goes before the ground that it stands on: fields are dropped in this order.
    seat: Seat,
    limits: EnvelopeLimits,
    threads_max: Arc<AtomicU32>,
    ground: Ground,
}

#[derive(Debug)]
enum Seat {
    Group(cgroup::Group),
    Namespace,
    Uid(u32),
}

impl Envelope {
    /// The command that starts `weir ARGS` inside: the child joins first, binds its life to this process, then
    /// becomes the server. Spawn it from a thread that lives as long as the lab: the kernel ends the child with it.
    pub fn command<A: AsRef<OsStr>>(&self, weir: &Path, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = bind_life(weir);
        command.arg("--kind").arg(self.kind().as_str());
        match &self.seat {
            Seat::Group(group) => {
                for folder in group.files().folders() {
                    command.arg("--path").arg(folder);
                }
            }
            Seat::Namespace => {}
            Seat::Uid(uid) => {
                command.arg("--uid").arg(uid.to_string());
            }
        }
        if !matches!(self.seat, Seat::Group(_)) {
            command.arg("--threads-max").arg(self.limits.threads_max.to_string());
        }
        command.arg("--").arg(weir).args(args);
        command
    }

    /// The kind of this envelope.
    pub fn kind(&self) -> EnvelopeKind {
        Envelopes { ground: self.ground.clone() }.kind()
    }

    /// The limits in force.
    pub fn limits(&self) -> EnvelopeLimits {
        self.limits
    }

    /// The uid that the server runs under, when that is not the lab's own: its data folder must belong to it.
    pub fn uid(&self) -> Option<u32> {
        match self.seat {
            Seat::Uid(uid) => Some(uid),
            Seat::Group(_) | Seat::Namespace => None,
        }
    }

    /// Changes the limit on threads, for the process `running` (when there is one) and for every later life. `weir` is
    /// the binary that knows `__envelop`.
    pub fn set_threads_max(
        &mut self,
        weir: &Path,
        threads_max: u32,
        running: Option<u32>,
    ) -> Result<(), EnvelopeError> {
        match (&self.seat, running) {
            (Seat::Group(group), _) => group.files().set_threads_max(threads_max)?,
            (Seat::Namespace, Some(pid)) => set_nproc(pid, threads_max)?,
            (Seat::Uid(uid), Some(pid)) => {
                // Root without CAP_SYS_RESOURCE may not: then a process of that uid does it.
                set_nproc(pid, threads_max).or_else(|_| set_nproc_as(weir, *uid, pid, threads_max))?;
            }
            (Seat::Namespace | Seat::Uid(_), None) => {}
        }
        self.limits.threads_max = threads_max;
        self.threads_max.store(threads_max, Ordering::Relaxed);
        Ok(())
    }

    /// A reader of what the kernel counts for this server; it may be asked from another thread.
    pub fn witness(&self) -> Witness {
        let threads_max = Arc::clone(&self.threads_max);
        match &self.seat {
            Seat::Group(group) => Witness { group: Some(group.files().clone()), threads_max },
            Seat::Namespace | Seat::Uid(_) => Witness { group: None, threads_max },
        }
    }
}

/// Reads the kernel's evidence on one server.
#[derive(Debug, Clone)]
pub struct Witness {
    group: Option<cgroup::GroupFiles>,
    threads_max: Arc<AtomicU32>,
}

impl Witness {
    /// What the kernel counted for this server so far.
    pub fn evidence(&self) -> Evidence {
        let threads_max = Some(u64::from(self.threads_max.load(Ordering::Relaxed)));
        match &self.group {
            Some(files) => files.evidence(),
            None => Evidence { threads_max, ..Evidence::default() },
        }
    }
}

impl Drop for Envelope {
    fn drop(&mut self) {
        if let (Ground::Uid(block), Seat::Uid(uid)) = (&self.ground, &self.seat) {
            block.give_back(*uid);
        }
    }
}

/// The command that starts `weir ARGS` without limits of its own, but not without its life bound to this process.
pub fn unlimited_command<A: AsRef<OsStr>>(weir: &Path, args: impl IntoIterator<Item = A>) -> Command {
    let mut command = bind_life(weir);
    command.arg("--").arg(weir).args(args);
    command
}

/// In a process group of its own: a Ctrl-C at the terminal is for the lab, which then ends its children in order.
fn bind_life(weir: &Path) -> Command {
    let mut command = Command::new(weir);
    command.arg("__envelop").arg("--parent").arg(std::process::id().to_string()).process_group(0);
    command
}

fn set_nproc(pid: u32, threads_max: u32) -> Result<(), EnvelopeError> {
    let error = |source: io::Error| EnvelopeError::Raise { pid, threads_max, source };
    let target = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let target = target.ok_or_else(|| error(io::ErrorKind::InvalidInput.into()))?;
    // The child kept the hard limit that it inherited from us; only its soft limit moves.
    let hard = getrlimit(Resource::Nproc).maximum;
    let limit = Rlimit { current: Some(threads_max.into()), maximum: hard };
    prlimit(Some(target), Resource::Nproc, limit).map(drop).map_err(|errno| error(errno.into()))
}

/// Moves the limit of a running server through a process of the server's uid.
fn set_nproc_as(weir: &Path, uid: u32, pid: u32, threads_max: u32) -> Result<(), EnvelopeError> {
    let error = |source: io::Error| EnvelopeError::Raise { pid, threads_max, source };
    let [uid, raise, max] = [uid, pid, threads_max].map(|number| number.to_string());
    let args = ["--kind", "uid", "--uid", &uid, "--raise", &raise, "--threads-max", &max];
    let output = bind_life(weir).args(args).output().map_err(error)?;
    if output.status.success() {
        return Ok(());
    }
    Err(error(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_reads_back_what_it_prints() {
        for kind in EnvelopeKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "cgroup".parse::<EnvelopeKind>().unwrap_err().to_string();
        assert!(error.contains("user-namespace"), "{error}");
    }

    #[test]
    fn a_limit_that_the_kind_cannot_hold_is_refused_and_never_dropped_silently() {
        let envelopes = Envelopes::plant(EnvelopeKind::UserNamespace).unwrap();
        let limits = EnvelopeLimits { threads_max: 9, memory_max: Some(Size(1 << 20)), cpu_max: None };
        let error = envelopes.make("fe-01", limits).unwrap_err().to_string();
        assert!(error.contains("envelope.memory_max"), "{error}");
    }

    #[test]
    fn the_command_wraps_the_server_in_the_hidden_one() {
        let envelopes = Envelopes::plant(EnvelopeKind::UserNamespace).unwrap();
        let limits = EnvelopeLimits { threads_max: 9, memory_max: None, cpu_max: None };
        let envelope = envelopes.make("fe-01", limits).unwrap();
        let command = envelope.command(Path::new("/bin/weir"), ["node", "frontend"]);
        let args: Vec<_> = command.get_args().map(|arg| arg.to_str().unwrap()).collect();
        let own = std::process::id().to_string();
        assert_eq!(
            args,
            [
                "__envelop",
                "--parent",
                &own,
                "--kind",
                "user-namespace",
                "--threads-max",
                "9",
                "--",
                "/bin/weir",
                "node",
                "frontend"
            ]
        );
    }
}
