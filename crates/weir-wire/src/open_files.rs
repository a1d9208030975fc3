//! The file descriptors of this process: how many connections fit beside the files that it needs for its work.
//!
//! Every listener takes a place here for each connection that it accepts, so that clients who open many and are silent
//! never take the descriptor that the next segment of a log needs. The one count of a process, as its limit is one.

use std::sync::{Arc, LazyLock};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_core::limits::OPEN_FILES_RESERVE;

static CONNECTIONS: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(connections_max(allowed().unwrap_or(0)))));

/// Why a process cannot be a server.
#[derive(Debug, thiserror::Error)]
pub enum OpenFilesError {
    /// The kernel did not say or did not raise the limit.
    #[error("ask for the limit of open files: {0}")]
    Limit(#[from] nix::errno::Errno),
    /// Nothing is left for clients.
    #[error(
        "this process may open {allowed} files and keeps {reserve} of them for its own work: raise its limit of \
         open files (ulimit -n)", reserve = OPEN_FILES_RESERVE
    )]
    TooFew {
        /// What it may open.
        allowed: u64,
    },
}

/// Raises this process's limit of open files as far as it may. Called once, before anything listens.
///
/// # Errors
/// [`OpenFilesError`] when no client could be served.
pub fn raise() -> Result<(), OpenFilesError> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    let allowed = allowed()?;
    match connections_max(allowed) {
        0 => Err(OpenFilesError::TooFew { allowed }),
        connections => {
            tracing::debug!(allowed, connections, "limit of open files");
            Ok(())
        }
    }
}

/// A place for one more connection, as soon as there is one.
pub async fn place() -> OwnedSemaphorePermit {
    Arc::clone(&CONNECTIONS).acquire_owned().await.expect("never closed")
}

fn allowed() -> Result<u64, nix::errno::Errno> {
    getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, _)| soft)
}

/// A quarter is kept back, too: a log has a file open for each of its segments.
fn connections_max(allowed: u64) -> usize {
    let left = allowed.saturating_sub(OPEN_FILES_RESERVE.max(allowed / 4));
    usize::try_from(left).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_back_is_never_given_to_connections() {
        assert_eq!(connections_max(1_024), 768);
        assert_eq!((connections_max(20_000), connections_max(300)), (15_000, 44));
        assert_eq!((connections_max(256), connections_max(0)), (0, 0));
        assert_eq!(connections_max(u64::MAX), Semaphore::MAX_PERMITS);
    }
}
