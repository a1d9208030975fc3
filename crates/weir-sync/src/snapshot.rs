//! One value that is replaced as a whole and read far more often than it changes: the shard map, the configuration.
//!
//! The fleet thread publishes, a front end's requests read through its [`SnapshotReader`]s; a scrape of the metrics loads. A reader must never see an older value than one that it has seen, and a publisher must never wait
//! for a reader for longer than a pointer swap. It is not a history: a reader may skip values.

use std::fmt;

use crate::facade::atomic::{AtomicU64, Ordering};
use crate::facade::{Arc, Mutex, lock};

/// The current value and the number of times that it was replaced.
///
/// Price: the mutex. It is held for a pointer swap or a reference count, and a [`SnapshotReader`] takes it only after
/// a publish. It stands in place of a lock-free pointer swap, which would need `unsafe` and buys nothing at a few
/// publishes a second.
pub struct Snapshot<T> {
    current: Mutex<Arc<T>>,
    /// Written under the lock of `current`, so that value and version move together for whoever holds it.
    version: AtomicU64,
}

/// One reader's view of a [`Snapshot`]: costs one acquire load while nothing was published.
///
/// It keeps the value that it saw last alive until it looks again. A thread that sleeps for long should drop it.
pub struct SnapshotReader<T> {
    source: Arc<Snapshot<T>>,
    cached: Arc<T>,
    seen: u64,
}

impl<T> Snapshot<T> {
    /// Starts with `initial` at version 0.
    pub fn new(initial: Arc<T>) -> Self {
        Self { current: Mutex::new(initial), version: AtomicU64::new(0) }
    }

    /// Replaces the value and returns its version. Whoever loads after this has returned gets this value or a later
    /// one. The old value, if nobody else holds it, is dropped here, after the lock.
    pub fn publish(&self, value: Arc<T>) -> u64 {
        if cfg!(loom_broken = "snapshot_version_moves_first") {
            let version = self.version.fetch_add(1, Ordering::AcqRel) + 1;
            *lock(&self.current) = value;
            return version;
        }
        let mut current = lock(&self.current);
        let replaced = std::mem::replace(&mut *current, value);
        let version = self.version.fetch_add(1, Ordering::Release) + 1;
        drop(current);
        drop(replaced);
        version
    }

    /// The current value.
    pub fn load(&self) -> Arc<T> {
        self.load_versioned().0
    }

    /// The current value and its version, which belong together.
    pub fn load_versioned(&self) -> (Arc<T>, u64) {
        let current = lock(&self.current);
        let value = Arc::clone(&current);
        if cfg!(loom_broken = "snapshot_version_read_unlocked") {
            drop(current);
            return (value, self.version());
        }
        (value, self.version.load(Ordering::Relaxed))
    }

    /// How many values were published after the first.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

impl<T> SnapshotReader<T> {
    /// A reader with a cache of its own, one for each thread.
    pub fn new(source: Arc<Snapshot<T>>) -> Self {
        let (cached, seen) = source.load_versioned();
        Self { source, cached, seen }
    }

    /// The current value: the cached one if nothing was published since, else the newest.
    pub fn get(&mut self) -> &Arc<T> {
        if self.source.version() != self.seen {
            let (value, version) = self.source.load_versioned();
            assert!(version > self.seen, "the version went back from {} to {version}", self.seen);
            self.cached = value;
            self.seen = version;
        }
        &self.cached
    }

    /// The version of the value that [`Self::get`] returned last.
    #[cfg(test)]
    fn seen_version(&self) -> u64 {
        self.seen
    }
}

impl<T> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("version", &self.version()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SnapshotReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotReader").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(all(not(loom), test))]
mod tests;
