//! Why a run ended without a result, and whether it is the host, the scenario or the fleet that must change.

use std::{io, path::PathBuf, time::Duration};

use crate::{
    envelope::NoEnvelope,
    launcher::{AddressError, LaunchError},
    limits::NoRoom,
    recorder::RecordError,
    series::store::StoreError,
};

/// Why there is no result. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No kernel limit can be set on this host.
    #[error(transparent)]
    NoEnvelope(#[from] NoEnvelope),
    /// The limits of this host are below what all servers need.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
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
    /// The kernel refused the lab itself a thread.
    #[error("start the thread {thread} (`weir limits` lists what may refuse it): {source}")]
    Refused {
        /// Its name.
        thread: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A folder or a runtime of the lab itself could not be had.
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
    /// Must this host change, or what is asked of it, before the run can work? (Exit code 3.) No `_` arm, on purpose.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::NoEnvelope(_) | Self::NoRoom(_) | Self::Addresses(_) | Self::Refused { .. } => true,
            Self::Launch { source, .. } => source.is_environment(),
            Self::EndedEarly { .. }
            | Self::TooSlow { .. }
            | Self::Control { .. }
            | Self::Load { .. }
            | Self::ReadBack { .. }
            | Self::Record { .. }
            | Self::Store(_)
            | Self::Lab { .. }
            | Self::Interrupted { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{EnvelopeError, EnvelopeKind};

    #[test]
    fn what_this_host_does_not_give_is_the_environments() {
        let launch = |source| RunError::Launch { arm: "shared".into(), source };
        let kind = EnvelopeKind::UserNamespace;
        let envelope = EnvelopeError::Unsupported { kind, what: "envelope.memory_max" };
        let error = launch(LaunchError::Envelope { name: "fe-01".into(), source: envelope });
        assert!(error.is_environment() && error.to_string().contains("leave that key out"), "{error}");
        let spawn = |errno| LaunchError::spawn("fe-31", io::Error::from_raw_os_error(errno));
        let refused = launch(spawn(nix::libc::EAGAIN));
        assert!(refused.is_environment() && refused.to_string().contains("`weir limits`"), "{refused}");
        assert!(!launch(spawn(nix::libc::ENOENT)).is_environment(), "no limit, but a mistake of ours");
    }
}
