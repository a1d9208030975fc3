//! Why a run ended without a result, and whether it is the host, the scenario or the fleet that must change.

use std::{io, path::PathBuf, time::Duration};

use crate::{
    envelope::NoEnvelope,
    launcher::{AddressError, LaunchError},
    recorder::RecordError,
    series::store::StoreError,
};

/// Why there is no result. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No kernel limit can be set on this host.
    #[error(transparent)]
    NoEnvelope(#[from] NoEnvelope),
    /// No addresses are left.
    #[error(transparent)]
    Addresses(#[from] AddressError),
    /// A server could not be started or told something.
    #[error("arm {arm}: {source}")]
    Launch {
        /// The arm.
        arm: String,
        /// Why.
        source: LaunchError,
    },
    /// A server ended while the fleet was being put together.
    #[error("arm {arm}: {server} ended while it started ({how}): {last_words}")]
    EndedEarly {
        /// The arm.
        arm: String,
        /// The server.
        server: String,
        /// With which code or by which signal.
        how: String,
        /// The end of its log.
        last_words: String,
    },
    /// Something did not come about in time while the fleet was being put together.
    #[error("arm {arm}: {what} not within {}s: {detail}", .waited.as_secs())]
    TooSlow {
        /// The arm.
        arm: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
        /// What was seen instead.
        detail: String,
    },
    /// The control plane did not do what it was asked.
    #[error("arm {arm}: {what}: {detail}")]
    Control {
        /// The arm.
        arm: String,
        /// What was asked.
        what: &'static str,
        /// What it said.
        detail: String,
    },
    /// The load generator failed.
    #[error("arm {arm}: the load generator {detail}")]
    Load {
        /// The arm.
        arm: String,
        /// How.
        detail: String,
    },
    /// What was acknowledged could not be read back, so nothing can be said of it.
    #[error("arm {arm}: read everything back: {detail}")]
    ReadBack {
        /// The arm.
        arm: String,
        /// Why not.
        detail: String,
    },
    /// The recorder stopped.
    #[error("arm {arm}: {source}")]
    Record {
        /// The arm.
        arm: String,
        /// Why.
        source: RecordError,
    },
    /// The result could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder, a thread or a runtime of the lab itself could not be had.
    #[error("{operation} {}: {source}", .path.display())]
    Lab {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody asked for an end (Ctrl-C).
    #[error("interrupted; what was recorded is in {}", .folder.display())]
    Interrupted {
        /// The folder of the unfinished result.
        folder: PathBuf,
    },
}

impl RunError {
    /// Must this host change before the run can work? (Exit code 3.)
    pub fn is_environment(&self) -> bool {
        matches!(self, Self::NoEnvelope(_) | Self::Addresses(_))
    }
}
