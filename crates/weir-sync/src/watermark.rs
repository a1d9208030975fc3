//! A place that only rises, and the tasks that wait for it to rise.
//!
//! The committer of a journal raises a shard's mark when records are durable; whoever follows the shard awaits it and reads
//! then. It belongs to no runtime: the wait is a plain `Future`. It must never leave a task waiting beside a mark that has
//! risen, or beside one that will not rise any more.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::fmt;

use crate::facade::{Arc, Mutex, lock};
use crate::waker_set::{WakerKey, WakerSet};

/// A mark. Clones are the same mark.
#[derive(Clone)]
pub struct Watermark {
    shared: Arc<Shared>,
}

/// What became of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risen {
    /// The mark is above the place.
    Above,
    /// It is not, and never will be.
    Ended,
}

/// Resolves when the mark is above a place, or has ended. Dropping it takes it off the list of those who wait.
#[must_use = "a future does nothing until it is awaited"]
pub struct Rise {
    shared: Arc<Shared>,
    place: u64,
    key: Option<WakerKey>,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    at: u64,
    ended: bool,
    wakers: WakerSet,
}

impl Watermark {
    /// A mark that stands at `at`.
    pub fn new(at: u64) -> Self {
        let state = State { at, ended: false, wakers: WakerSet::default() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state) }) }
    }

    /// Raises the mark and wakes everybody who waits for it. A mark never falls: a lower place changes nothing. What was
    /// written before is visible to those who see it.
    pub fn raise(&self, to: u64) {
        self.change(|state| state.at = state.at.max(to));
    }

    /// The mark will not rise any more. Harmless twice.
    pub fn end(&self) {
        if cfg!(loom_broken = "watermark_ends_silently") {
            lock(&self.shared.state).ended = true;
            return;
        }
        self.change(|state| state.ended = true);
    }

    /// A future that resolves when the mark is above `place`; free to outlive this handle.
    pub fn above(&self, place: u64) -> Rise {
        Rise { shared: Arc::clone(&self.shared), place, key: None }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.shared.state);
        let mut waiting = state.wakers.take_all();
        if cfg!(loom_broken = "watermark_wakes_first") {
            drop(state);
            waiting.by_ref().for_each(core::task::Waker::wake);
            state = lock(&self.shared.state);
        }
        change(&mut state);
        drop(state);
        waiting.for_each(core::task::Waker::wake);
    }
}

impl Future for Rise {
    type Output = Risen;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Risen> {
        let shared = Arc::clone(&self.shared);
        let mut state = lock(&shared.state);
        let outcome = state.outcome(self.place);
        if cfg!(loom_broken = "watermark_looks_too_early") {
            drop(state);
            state = lock(&shared.state);
        }
        if let Some(outcome) = outcome {
            return Poll::Ready(outcome);
        }
        let (key, replaced) = state.wakers.register(self.key, context.waker());
        drop(state);
        drop(replaced);
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Rise {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let removed = lock(&self.shared.state).wakers.remove(key);
            drop(removed);
        }
    }
}

impl State {
    fn outcome(&self, place: u64) -> Option<Risen> {
        if self.at > place { Some(Risen::Above) } else { self.ended.then_some(Risen::Ended) }
    }
}

impl fmt::Debug for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        f.debug_struct("Watermark")
            .field("at", &state.at)
            .field("ended", &state.ended)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Rise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rise").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(all(not(loom), test))]
mod tests;
