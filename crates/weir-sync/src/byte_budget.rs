//! A bounded number of bytes that may be held at once, lent out as permits that return themselves.
//!
//! Servers take a permit for a request body as it arrives, and for an answer before it is made, so that memory is bounded
//! by bytes and not by luck. Nobody waits for bytes: what is not there is refused. A permit is returned when it is
//! dropped, on every path. It must never lend more than the whole, and no byte that comes back may be lost.

use std::fmt;

use crate::facade::{Arc, Mutex, lock};

/// A pool of bytes. Clones are the same pool.
#[derive(Clone)]
pub struct ByteBudget {
    pool: Arc<Pool>,
}

/// Bytes that were lent. They go back to the pool when this is dropped.
#[must_use = "a permit that is dropped at once permits nothing"]
pub struct Permit {
    pool: Arc<Pool>,
    bytes: usize,
}

struct Pool {
    total: usize,
    available: Mutex<usize>,
}

impl ByteBudget {
    /// Makes a pool of `total` bytes, all of them available.
    pub fn new(total: usize) -> Self {
        Self { pool: Arc::new(Pool { total, available: Mutex::new(total) }) }
    }

    /// Borrows `bytes` if they are available now.
    pub fn try_acquire(&self, bytes: usize) -> Option<Permit> {
        self.pool.take(bytes).then(|| Permit { pool: Arc::clone(&self.pool), bytes })
    }

    /// Bytes that could be borrowed now.
    pub fn available(&self) -> usize {
        *lock(&self.pool.available)
    }
}

impl Permit {
    /// Bytes that this permit holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes the permit one for `bytes`: borrows what is missing, or returns the surplus at once. `false`, and nothing
    /// has changed, when what is missing is not available.
    #[must_use = "a permit that did not grow does not cover what it should"]
    pub fn try_resize(&mut self, bytes: usize) -> bool {
        match bytes.checked_sub(self.bytes) {
            Some(missing) if !self.pool.take(missing) => return false,
            Some(_) => {}
            None => self.pool.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pool.give_back(self.bytes);
    }
}

impl Pool {
    fn take(&self, bytes: usize) -> bool {
        let mut available = lock(&self.available);
        let Some(left) = available.checked_sub(bytes) else { return false };
        if cfg!(loom_broken = "byte_budget_checks_then_takes") {
            drop(available);
            available = lock(&self.available);
        }
        *available = left;
        true
    }

    fn give_back(&self, bytes: usize) {
        let mut available = lock(&self.available);
        let after = *available + bytes;
        if cfg!(loom_broken = "byte_budget_gives_back_by_store") {
            drop(available);
            available = lock(&self.available);
        }
        assert!(after <= self.total, "more bytes came back than were lent");
        *available = after;
    }
}

impl fmt::Debug for ByteBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteBudget").field("total", &self.pool.total).finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(all(not(loom), test))]
mod tests;
