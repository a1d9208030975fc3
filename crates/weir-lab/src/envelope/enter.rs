//! The way into an envelope, walked by the child itself: join, bind its life to the lab's, become the server.
//!
//! `weir __envelop ... -- COMMAND` calls [`enter_and_exec`] as the very first thing, with one thread. Joining before
//! exec makes every thread of the server count. `weir __envelop ... --raise PID` moves the limit of a server that runs
//! already. Nothing here runs in the lab's own process, and nothing is unsafe.

use std::{
    convert::Infallible,
    ffi::{CString, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
    sys::{
        prctl::set_pdeathsig,
        resource::{Resource, getrlimit, setrlimit},
        signal::Signal,
    },
    unistd::{Gid, Pid, Uid, execv, fexecve, getegid, geteuid, getppid, setgid, setgroups, setuid},
};

use super::EnvelopeKind;

/// The flags of the hidden `weir __envelop`.
#[derive(Debug, Clone, clap::Args)]
pub struct EnvelopArgs {
    /// What kind of envelope to enter; without one, only the life of the child is bound to the lab's.
    #[arg(long)]
    pub kind: Option<EnvelopeKind>,
    /// A control group to join; may be repeated.
    #[arg(long = "path")]
    pub paths: Vec<PathBuf>,
    /// Threads that this process may have, its first among them (for the kinds that use RLIMIT_NPROC).
    #[arg(long)]
    pub threads_max: Option<u32>,
    /// The uid and gid to become.
    #[arg(long)]
    pub uid: Option<u32>,
    /// The lab's process id: when that process is gone, so shall we be.
    #[arg(long)]
    pub parent: i32,
    /// Set the limit of this running process of the same uid, and become nothing.
    #[arg(long)]
    pub raise: Option<u32>,
    /// The program to become, with its arguments.
    #[arg(last = true, required_unless_present = "raise")]
    pub command: Vec<OsString>,
}

/// Why the envelope could not be entered; nothing of the server has run.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// A flag that this kind of envelope needs is missing.
    #[error("__envelop needs {flag}")]
    Missing {
        /// The flag.
        flag: &'static str,
    },
    /// A file could not be written.
    #[error("{operation} {}: {source}", .path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A system call failed.
    #[error("{call}: {source}")]
    Call {
        /// The call and its argument, as one writes it.
        call: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// The program could not be executed.
    #[error("exec {}: {source}", .path.display())]
    Exec {
        /// The program.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The limit of a running server could not be moved.
    #[error(transparent)]
    Raise {
        /// Why not.
        source: Box<super::EnvelopeError>,
    },
    /// The lab ended before we had bound our life to its.
    #[error("the lab (process {parent}) is gone")]
    Orphaned {
        /// The lab's process id.
        parent: i32,
    },
}

fn call(call: &'static str) -> impl FnOnce(Errno) -> EnterError {
    move |source| EnterError::Call { call, source }
}

/// Enters the envelope and becomes the command: then it does not return. It returns when that failed, or when all
/// that was asked is done (`--raise`).
pub fn enter_and_exec(args: &EnvelopArgs) -> Result<(), EnterError> {
    if let Some(pid) = args.raise {
        return raise(args, pid);
    }
    match enter_then_exec(args) {
        Ok(never) => match never {},
        Err(error) => Err(error),
    }
}

/// A process of the same uid may move a soft limit below the hard one without any capability; root without
/// CAP_SYS_RESOURCE (most containers) may not. While it does so, it counts as one more thread of that uid.
fn raise(args: &EnvelopArgs, pid: u32) -> Result<(), EnterError> {
    let missing = |flag| EnterError::Missing { flag };
    let threads_max = args.threads_max.ok_or_else(|| missing("--threads-max"))?;
    become_uid(args.uid.ok_or_else(|| missing("--uid"))?)?;
    super::set_nproc(pid, threads_max).map_err(|source| EnterError::Raise { source: Box::new(source) })
}

fn enter_then_exec(args: &EnvelopArgs) -> Result<Infallible, EnterError> {
    let missing = |flag| EnterError::Missing { flag };
    let program = args.command.first().ok_or_else(|| missing("a command"))?;
    // Opened while we may still read it: a uid of its own may not search the folders above the program.
    let opened = File::open(program).map_err(|source| EnterError::File {
        operation: "open",
        path: program.into(),
        source,
    })?;
    match args.kind {
        None => {}
        Some(EnvelopeKind::CgroupV1 | EnvelopeKind::CgroupV2) => {
            if args.paths.is_empty() {
                return Err(missing("--path"));
            }
            args.paths.iter().try_for_each(|path| join_cgroup(path))?;
        }
        Some(EnvelopeKind::UserNamespace) => {
            enter_user_namespace()?;
            limit_threads(args.threads_max.ok_or_else(|| missing("--threads-max"))?)?;
        }
        Some(EnvelopeKind::Uid) => {
            limit_threads(args.threads_max.ok_or_else(|| missing("--threads-max"))?)?;
            become_uid(args.uid.ok_or_else(|| missing("--uid"))?)?;
        }
    }
    // After every change of credentials: those clear it.
    set_pdeathsig(Signal::SIGKILL).map_err(call("prctl(PR_SET_PDEATHSIG)"))?;
    if getppid() != Pid::from_raw(args.parent) {
        return Err(EnterError::Orphaned { parent: args.parent });
    }
    exec(program.as_ref(), &opened, &args.command)
}

fn join_cgroup(group: &Path) -> Result<(), EnterError> {
    let path = group.join("cgroup.procs");
    // "0" names the writer itself, in whatever pid namespace it is.
    let joined = OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(b"0"));
    joined.map_err(|source| EnterError::File { operation: "join control group", path, source })
}

/// A namespace of our own counts our threads from one. Our uid is mapped to itself, so that files keep their owner.
fn enter_user_namespace() -> Result<(), EnterError> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(call("unshare(CLONE_NEWUSER)"))?;
    // Some hosts let nobody write these maps (AppArmor's restriction of user namespaces). The kernel counts by its
    // own uids, mapped or not, so the limit holds all the same; only the names of uids look odd from inside.
    let _ = fs::write("/proc/self/setgroups", "deny");
    let _ = fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"));
    let _ = fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"));
    Ok(())
}

/// Sets the soft limit and leaves the hard one, so that the lab can raise it later (`raise-limit`).
fn limit_threads(threads_max: u32) -> Result<(), EnterError> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).map_err(call("getrlimit(RLIMIT_NPROC)"))?;
    setrlimit(Resource::RLIMIT_NPROC, u64::from(threads_max), hard).map_err(call("setrlimit(RLIMIT_NPROC)"))
}

fn become_uid(uid: u32) -> Result<(), EnterError> {
    setgroups(&[Gid::from_raw(uid)]).map_err(call("setgroups"))?;
    setgid(Gid::from_raw(uid)).map_err(call("setgid"))?;
    setuid(Uid::from_raw(uid)).map_err(call("setuid"))
}

fn exec(program: &Path, opened: &File, command: &[OsString]) -> Result<Infallible, EnterError> {
    let failed = |source: io::Error| EnterError::Exec { path: program.to_path_buf(), source };
    let text = |bytes: Vec<u8>| CString::new(bytes).map_err(|error| failed(error.into()));
    let path = text(program.as_os_str().as_bytes().to_vec())?;
    let args = command.iter().map(|arg| text(arg.as_bytes().to_vec())).collect::<Result<Vec<_>, _>>()?;
    match execv(&path, &args) {
        Err(Errno::EACCES) => {
            let env = std::env::vars_os().map(|(name, value)| {
                let mut pair = name.into_vec();
                pair.push(b'=');
                pair.extend(value.into_vec());
                text(pair)
            });
            let env = env.collect::<Result<Vec<_>, _>>()?;
            fexecve(opened, &args, &env).map_err(|errno| failed(errno.into()))
        }
        Err(errno) => Err(failed(errno.into())),
        Ok(never) => match never {},
    }
}
