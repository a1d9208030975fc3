//! A bounded number of bytes that may be in flight, lent out as permits that return themselves.
//!
//! Servers take a permit before they read a body or queue a response, so that memory is bounded by bytes and not by
//! luck. A permit is returned when it is dropped, on every path. It must never lend more than the whole, and a return
//! must never leave somebody asleep who would fit now.

use std::fmt;
use std::time::Duration;

use crate::facade::{Arc, Condvar, Mutex, lock, wait_while, wait_while_timeout};

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

/// More was asked for than the whole pool has: no wait would help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverBudget {
    /// Bytes asked for.
    pub asked: usize,
    /// Bytes in the whole pool.
    pub total: usize,
}

struct Pool {
    total: usize,
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    available: usize,
    waiting: usize,
}

impl ByteBudget {
    /// Makes a pool of `total` bytes, all of them available.
    pub fn new(total: usize) -> Self {
        let state = Mutex::new(State { available: total, waiting: 0 });
        Self { pool: Arc::new(Pool { total, state, returned: Condvar::new() }) }
    }

    /// Borrows `bytes` if they are available now. Never waits.
    pub fn try_acquire(&self, bytes: usize) -> Option<Permit> {
        let mut state = lock(&self.pool.state);
        let left = state.available.checked_sub(bytes)?;
        if cfg!(loom_broken = "byte_budget_checks_then_takes") {
            drop(state);
            state = lock(&self.pool.state);
        }
        state.available = left;
        drop(state);
        Some(self.permit(bytes))
    }

    /// Borrows `bytes`; waits until they are available. Who waits longest is not served first, and a large wish may
    /// starve among small ones.
    ///
    /// # Errors
    /// [`OverBudget`] when the whole pool is smaller.
    pub fn acquire(&self, bytes: usize) -> Result<Permit, OverBudget> {
        self.check(bytes)?;
        let mut state = lock(&self.pool.state);
        state.waiting += 1;
        state = wait_while(&self.pool.returned, state, |state| state.available < bytes);
        state.waiting -= 1;
        state.available -= bytes;
        drop(state);
        Ok(self.permit(bytes))
    }

    /// Borrows `bytes`; waits until they are available, but not longer than `timeout`; `Ok(None)` when that was too
    /// short.
    ///
    /// # Errors
    /// [`OverBudget`] when the whole pool is smaller.
    pub fn acquire_timeout(&self, bytes: usize, timeout: Duration) -> Result<Option<Permit>, OverBudget> {
        self.check(bytes)?;
        let mut state = lock(&self.pool.state);
        state.waiting += 1;
        state = wait_while_timeout(&self.pool.returned, &self.pool.state, state, timeout, |state| {
            state.available < bytes
        });
        state.waiting -= 1;
        let Some(left) = state.available.checked_sub(bytes) else { return Ok(None) };
        state.available = left;
        drop(state);
        Ok(Some(self.permit(bytes)))
    }

    /// Bytes that could be borrowed now.
    pub fn available(&self) -> usize {
        lock(&self.pool.state).available
    }

    /// Bytes in the whole pool.
    pub fn total(&self) -> usize {
        self.pool.total
    }

    fn check(&self, asked: usize) -> Result<(), OverBudget> {
        let total = self.pool.total;
        if asked <= total { Ok(()) } else { Err(OverBudget { asked, total }) }
    }

    fn permit(&self, bytes: usize) -> Permit {
        Permit { pool: Arc::clone(&self.pool), bytes }
    }
}

impl Permit {
    /// Bytes that this permit holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns what is above `bytes` at once: after a body turned out smaller than it was announced.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        self.pool.give_back(surplus);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pool.give_back(self.bytes);
    }
}

impl Pool {
    fn give_back(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let mut state = lock(&self.state);
        state.available += bytes;
        assert!(state.available <= self.total, "more bytes came back than were lent");
        let waiting = state.waiting;
        drop(state);
        if waiting > 0 {
            // All of them: the first to wake may need more than came back, and the next one less.
            if cfg!(loom_broken = "byte_budget_wakes_one") {
                self.returned.notify_one();
            } else {
                self.returned.notify_all();
            }
        }
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

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes were asked for, and the whole budget is {}", self.asked, self.total)
    }
}

impl std::error::Error for OverBudget {}

#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(all(not(loom), test))]
mod tests;
