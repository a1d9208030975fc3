//! How far something has come, as a number that only rises, and a place to wait until it has come further.
//!
//! The journal advances it after each sync; readers and acknowledgers wait on it. When the sync fails it is poisoned,
//! because then it will never rise again and nobody may wait for ever. It must never go back, and what was passed
//! stays passed, poisoned or not.

use std::fmt;
use std::time::Duration;

use crate::facade::atomic::{AtomicU64, Ordering};
use crate::facade::{Condvar, Mutex, lock, wait_while, wait_while_timeout};

/// A number that only rises. Every advance wakes every waiter, so use it for a few waiters (readers of a shard, the
/// committer's followers); for one waiter a write use [`crate::Completion`].
pub struct Watermark {
    /// Written under the lock, so that a waiter that found it too low is asleep before the next advance notifies.
    current: AtomicU64,
    state: Mutex<State>,
    moved: Condvar,
}

/// The watermark will not rise any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poisoned {
    /// Why, in the words of the first [`Watermark::poison`].
    pub reason: String,
}

#[derive(Default)]
struct State {
    poison: Option<Poisoned>,
    waiting: usize,
}

impl Watermark {
    /// Starts at `initial`.
    pub fn new(initial: u64) -> Self {
        Self { current: AtomicU64::new(initial), state: Mutex::new(State::default()), moved: Condvar::new() }
    }

    /// Raises the watermark to `to` and wakes those who wait for less. A poisoned watermark does not move.
    ///
    /// # Errors
    /// [`Poisoned`] when it was poisoned before.
    ///
    /// # Panics
    /// When `to` is lower than the current value.
    pub fn advance(&self, to: u64) -> Result<(), Poisoned> {
        if cfg!(loom_broken = "watermark_advances_unlocked") {
            self.current.store(to, Ordering::Release);
            self.moved.notify_all();
            return Ok(());
        }
        let state = lock(&self.state);
        if let Some(poisoned) = &state.poison {
            return Err(poisoned.clone());
        }
        let publish = if cfg!(loom_broken = "watermark_publishes_relaxed") {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        // One step and not a load and a store: so it cannot go back even while the assertion below fails.
        let from = self.current.fetch_max(to, publish);
        assert!(to >= from, "a watermark went back from {from} to {to}");
        let waiting = state.waiting;
        drop(state);
        if waiting > 0 {
            self.moved.notify_all();
        }
        Ok(())
    }

    /// How far it has come. What was written before the advance is visible to whoever reads this.
    pub fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// Waits until the watermark is higher than `n`; returns how far it has come.
    ///
    /// # Errors
    /// [`Poisoned`] when it was poisoned before it came past `n`.
    pub fn wait_past(&self, n: u64) -> Result<u64, Poisoned> {
        if self.current() > n {
            return Ok(self.current());
        }
        let mut state = lock(&self.state);
        state.waiting += 1;
        state = wait_while(&self.moved, state, |state| self.current() <= n && state.poison.is_none());
        state.waiting -= 1;
        self.outcome(&state, n).expect("the wait ends when it is past or poisoned")
    }

    /// Waits until the watermark is higher than `n`, but not longer than `timeout`; `Ok(None)` when that was too short.
    ///
    /// # Errors
    /// [`Poisoned`] when it was poisoned before it came past `n`.
    pub fn wait_past_timeout(&self, n: u64, timeout: Duration) -> Result<Option<u64>, Poisoned> {
        if self.current() > n {
            return Ok(Some(self.current()));
        }
        let mut state = lock(&self.state);
        state.waiting += 1;
        state = wait_while_timeout(&self.moved, &self.state, state, timeout, |state| {
            self.current() <= n && state.poison.is_none()
        });
        state.waiting -= 1;
        self.outcome(&state, n).transpose()
    }

    /// Ends the rise for good: everybody who waits for more, now or later, gets `reason`. The first reason stays.
    pub fn poison(&self, reason: impl Into<String>) {
        let poisoned = Poisoned { reason: reason.into() };
        lock(&self.state).poison.get_or_insert(poisoned);
        if !cfg!(loom_broken = "watermark_poison_wakes_nobody") {
            self.moved.notify_all();
        }
    }

    /// Why it was poisoned, if it was.
    pub fn poisoned(&self) -> Option<Poisoned> {
        lock(&self.state).poison.clone()
    }

    /// What a waiter for more than `n` is told now: nothing yet, the value, or the poison.
    fn outcome(&self, state: &State, n: u64) -> Option<Result<u64, Poisoned>> {
        let current = self.current();
        if current > n { Some(Ok(current)) } else { state.poison.clone().map(Err) }
    }
}

impl fmt::Debug for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watermark").field("current", &self.current()).finish_non_exhaustive()
    }
}

impl fmt::Display for Poisoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the watermark will not rise any more: {}", self.reason)
    }
}

impl std::error::Error for Poisoned {}

#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(all(not(loom), test))]
mod tests;
