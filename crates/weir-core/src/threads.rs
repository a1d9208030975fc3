//! Threads as values that can be refused: the only place of Weir that asks the kernel for one.
//!
//! Every crate spawns here. A refusal is the kernel's own error from clone(2), handed back; nothing in this file, or
//! above it, compares a count of threads with a limit.
//!
//! Under `--cfg shuttle` the threads are shuttle's, which runs them one at a time in an order of its own.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

#[cfg(shuttle)]
pub use shuttle::thread::JoinHandle;
#[cfg(not(shuttle))]
pub use std::thread::JoinHandle;

#[cfg(shuttle)]
use shuttle::thread::Builder;
#[cfg(not(shuttle))]
use std::thread::Builder;

/// Spawns and counts the threads of one server. Clones share the counts.
#[derive(Clone, Default)]
pub struct Threads {
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    running: AtomicUsize,
    spawned: AtomicU64,
    refused: AtomicU64,
}

/// The kernel refused a thread.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refused thread {name:?} with {running} of ours running: {source}")]
pub struct SpawnRefused {
    /// The name that the thread would have had.
    pub name: String,
    /// Threads spawned here that were running at that moment (the main thread is not among them).
    pub running: usize,
    /// What clone(2) said: EAGAIN when a limit on threads was met.
    pub source: io::Error,
}

impl Threads {
    /// A fresh count.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a thread with the default stack.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: impl Into<String>,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, SpawnRefused> {
        self.start(Builder::new(), name.into(), run)
    }

    /// Starts a thread with a stack of `stack_bytes`: for threads that come in thousands.
    pub fn spawn_small<T: Send + 'static>(
        &self,
        name: impl Into<String>,
        stack_bytes: usize,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, SpawnRefused> {
        self.start(Builder::new().stack_size(stack_bytes), name.into(), run)
    }

    #[expect(clippy::disallowed_methods, reason = "the one counted spawn")]
    fn start<T: Send + 'static>(
        &self,
        builder: Builder,
        name: String,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, SpawnRefused> {
        // Counted before the thread exists and given back by its guard, so that `running` never reads too low.
        let running = self.counts.running.fetch_add(1, Ordering::Relaxed);
        let guard = Running(Arc::clone(&self.counts));
        let spawned = builder.name(name.clone()).spawn(move || {
            let _guard = guard;
            run()
        });
        match spawned {
            Ok(handle) => {
                self.counts.spawned.fetch_add(1, Ordering::Relaxed);
                Ok(handle)
            }
            Err(source) => {
                // The closure was dropped with its guard: `running` is already back.
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                Err(SpawnRefused { name, running, source })
            }
        }
    }

    /// Threads spawned here that have not ended.
    pub fn running(&self) -> usize {
        self.counts.running.load(Ordering::Relaxed)
    }

    /// Threads ever spawned here.
    pub fn spawned(&self) -> u64 {
        self.counts.spawned.load(Ordering::Relaxed)
    }

    /// Times that the kernel refused one.
    pub fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("running", &self.running()).field("refused", &self.refused()).finish()
    }
}

struct Running(Arc<Counts>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_counted_until_it_ends() {
        let threads = Threads::new();
        let (release, held) = std::sync::mpsc::sync_channel::<()>(0);
        let handle = threads.spawn("held", move || held.recv().ok()).unwrap();
        assert_eq!((threads.running(), threads.spawned()), (1, 1));
        release.send(()).unwrap();
        handle.join().unwrap();
        assert_eq!((threads.running(), threads.refused()), (0, 0));
    }

    #[test]
    fn a_refusal_is_the_kernels_error_and_leaves_no_count_behind() {
        let threads = Threads::new();
        // No machine maps a stack of 2^60 bytes: clone's mmap fails before any limit of ours could.
        let refused = threads.spawn_small("huge", 1 << 60, || ()).unwrap_err();
        assert!(refused.source.raw_os_error().is_some(), "{refused}");
        assert_eq!((threads.running(), threads.refused()), (0, 1));
    }
}
