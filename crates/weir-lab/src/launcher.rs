//! Starts, stops, pauses and reaps the servers of an arm: the lab's hands.
//!
//! The phases act through the [`Launcher`] trait; local processes are behind it now ([`LocalProcesses`]), other hosts may be
//! later. The recorder sees what runs through the [`Roster`]. A launcher must never decide what happens next, and must
//! leave nothing behind when it is dropped.

mod addresses;
mod local;
mod roster;

use std::{io, net::SocketAddr, path::PathBuf};

pub(crate) use self::local::{make_logs, stop_all};
pub use self::{
    addresses::{AddressBlock, AddressError, ArmAddresses},
    local::LocalProcesses,
    roster::{Roster, Sighting},
};
use crate::{
    envelope::{EnvelopeError, EnvelopeLimits},
    series::{Role, ServerId},
};

/// A server that can be started, again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSpec {
    /// Its number in the arm.
    pub id: ServerId,
    /// Its name, unique in the run: it names the log file and the envelope.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Its kernel limits; `None` for servers that the experiment does not limit.
    pub limits: Option<EnvelopeLimits>,
    /// What to tell the binary (`node frontend --name ...`).
    pub args: Vec<String>,
    /// Where `/ready` and `/metrics` are.
    pub admin: SocketAddr,
    /// Whether the recorder looks at it: the load generator is no part of what is recorded.
    pub watched: bool,
}

/// One life of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its process id.
    pub pid: u32,
    /// Which life it is, from 0.
    pub incarnation: u32,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the lab had told it to end.
    pub asked: bool,
}

/// What can be said to a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Finish and end (SIGTERM).
    Stop,
    /// End at once (SIGKILL).
    Kill,
    /// Stand still (SIGSTOP).
    Pause,
    /// Go on (SIGCONT).
    Resume,
}

/// Why a server could not be started or told something.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Its envelope could not be made or changed.
    #[error("server {name}: {source}")]
    Envelope {
        /// The server.
        name: String,
        /// Why.
        source: EnvelopeError,
    },
    /// A file or folder could not be used.
    #[error("{operation} {}: {source}", .path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The process could not be started.
    #[error("start server {name}: {source}")]
    Spawn {
        /// The server.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A limit of this host refused the process.
    #[error("start server {name} (`weir limits` lists what may refuse it): {source}")]
    Refused {
        /// The server.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// It was to be started although it runs, or told something although it does not.
    #[error("server {name} is {state}")]
    State {
        /// The server.
        name: String,
        /// What it is.
        state: &'static str,
    },
    /// Nobody declared that server.
    #[error("there is no server {0:?}")]
    Unknown(ServerId),
}

impl LaunchError {
    /// Why the process of `name` could not be started.
    pub(crate) fn spawn(name: &str, source: io::Error) -> Self {
        use nix::libc::{EAGAIN, EMFILE, ENFILE, ENOMEM};
        let name = name.to_owned();
        match source.raw_os_error() {
            Some(EAGAIN | EMFILE | ENFILE | ENOMEM) => Self::Refused { name, source },
            _ => Self::Spawn { name, source },
        }
    }

    /// Must this host change, or what is asked of it?
    pub(crate) fn is_environment(&self) -> bool {
        match self {
            Self::Envelope { source, .. } => source.is_environment(),
            Self::Refused { .. } => true,
            Self::File { .. } | Self::Spawn { .. } | Self::State { .. } | Self::Unknown(_) => false,
        }
    }
}

/// Whoever can run servers.
pub trait Launcher {
    /// Makes a server known and prepares its envelope. It does not run yet.
    fn declare(&mut self, spec: ServerSpec) -> Result<(), LaunchError>;

    /// Starts a life of the server.
    fn start(&mut self, server: ServerId) -> Result<Life, LaunchError>;

    /// Tells a running server something. Whether it obeyed shows in [`Launcher::reap`].
    fn tell(&mut self, server: ServerId, order: Order) -> Result<(), LaunchError>;

    /// Collects the processes that have ended since the last call. Never waits.
    fn reap(&mut self) -> Vec<(ServerId, Exit)>;

    /// The life that runs, when one does.
    fn life(&self, server: ServerId) -> Option<Life>;

    /// Changes the thread limit of a server, for its running life and all later ones.
    fn set_threads_max(&mut self, server: ServerId, threads_max: u32) -> Result<(), LaunchError>;

    /// The last lines that a server wrote to stderr: the reason of an early end.
    fn last_words(&self, server: ServerId) -> String;
}
