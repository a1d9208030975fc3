//! "We stop now": said once, heard by every thread and every task of a process.
//!
//! The main thread of a server, of the lab and of the load generator begins it when a signal comes; their loops and
//! connections look at it or wait for it. It is not a barrier:
//! it does not know who has stopped. It must never be missed, however late or early somebody starts to wait. It takes a
//! lock, so it must not be begun inside a signal handler, only by the thread that the signal is handed to.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::fmt;
use std::time::Duration;

use crate::facade::atomic::{AtomicBool, Ordering};
use crate::facade::{Arc, Condvar, Mutex, lock, wait_while, wait_while_timeout};
use crate::waker_set::{WakerKey, WakerSet};

/// A flag that rises once. Clones are the same flag.
#[derive(Clone)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

/// Resolves when the shutdown has begun. Dropping it takes it off the list of those who wait.
#[must_use = "a future does nothing until it is awaited"]
pub struct ShutdownBegun {
    shared: Arc<Shared>,
    key: Option<WakerKey>,
}

struct Shared {
    /// Written under the lock, so that whoever found it unset is on a list before it is set.
    begun: AtomicBool,
    wakers: Mutex<WakerSet>,
    begins: Condvar,
}

impl Shutdown {
    /// Makes a flag that has not risen.
    pub fn new() -> Self {
        let shared = Shared {
            begun: AtomicBool::new(false),
            wakers: Mutex::new(WakerSet::default()),
            begins: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Begins the shutdown and wakes everybody who waits for it. Harmless twice.
    pub fn begin(&self) {
        if cfg!(loom_broken = "shutdown_begins_unlocked") {
            self.shared.begun.store(true, Ordering::Release);
            self.shared.begins.notify_all();
            return;
        }
        let mut wakers = lock(&self.shared.wakers);
        self.shared.begun.store(true, Ordering::Release);
        let waiting = wakers.take_all();
        drop(wakers);
        self.shared.begins.notify_all();
        waiting.for_each(core::task::Waker::wake);
    }

    /// Whether it has begun: one load, fit for inner loops. What was written before [`Self::begin`] is visible then.
    pub fn is_begun(&self) -> bool {
        self.shared.is_begun()
    }

    /// Waits on this thread until it has begun.
    pub fn wait(&self) {
        if !self.is_begun() {
            let wakers = lock(&self.shared.wakers);
            drop(wait_while(&self.shared.begins, wakers, |_| !self.is_begun()));
        }
    }

    /// Waits on this thread until it has begun, but not longer than `timeout`. Returns whether it has begun.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        if !self.is_begun() {
            let wakers = lock(&self.shared.wakers);
            drop(wait_while_timeout(&self.shared.begins, &self.shared.wakers, wakers, timeout, |_| {
                !self.is_begun()
            }));
        }
        self.is_begun()
    }

    /// A future that resolves when it has begun; of no runtime, and free to outlive this handle.
    pub fn wait_async(&self) -> ShutdownBegun {
        ShutdownBegun { shared: Arc::clone(&self.shared), key: None }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Future for ShutdownBegun {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.shared.is_begun() {
            return Poll::Ready(());
        }
        let shared = Arc::clone(&self.shared);
        let mut wakers = lock(&shared.wakers);
        if shared.is_begun() && !cfg!(loom_broken = "shutdown_future_looks_once") {
            return Poll::Ready(());
        }
        let (key, replaced) = wakers.register(self.key, context.waker());
        drop(wakers);
        drop(replaced);
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for ShutdownBegun {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let removed = lock(&self.shared.wakers).remove(key);
            drop(removed);
        }
    }
}

impl Shared {
    fn is_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("begun", &self.is_begun()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ShutdownBegun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownBegun").field("begun", &self.shared.is_begun()).finish_non_exhaustive()
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(all(not(loom), test))]
mod tests;
