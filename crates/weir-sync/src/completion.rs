//! The answer to one request, handed from the thread that makes it to the thread or task that waits for it.
//!
//! The owner of a shard completes it after the sync, a front-end task awaits it. It belongs to no runtime: the waiting
//! half is a plain `Future` and can as well be waited for by a thread. It must never leave its receiver waiting:
//! a sender that goes away without an answer is an answer, too.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::fmt;
use std::time::Duration;

use crate::facade::{Arc, Condvar, Mutex, lock, wait_while, wait_while_timeout};

/// Makes the two halves of one answer.
pub fn completion<T>() -> (Completer<T>, Completion<T>) {
    let shared =
        Arc::new(Shared { slot: Mutex::new(Slot::Pending { waiter: Waiter::None }), ready: Condvar::new() });
    (Completer { shared: Arc::clone(&shared), answered: false }, Completion { shared })
}

/// The answering half. Dropped without an answer, it resolves its receiver to [`Dropped`].
pub struct Completer<T> {
    shared: Arc<Shared<T>>,
    answered: bool,
}

/// The waiting half: a future, or a thing to wait for on a thread. Its answer can be taken once.
pub struct Completion<T> {
    shared: Arc<Shared<T>>,
}

/// The answering half went away without an answer. Whether the work was done is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped;

struct Shared<T> {
    slot: Mutex<Slot<T>>,
    ready: Condvar,
}

enum Slot<T> {
    Pending { waiter: Waiter },
    Ready(T),
    Dropped,
    Taken,
}

enum Waiter {
    None,
    Thread,
    Task(Waker),
}

impl<T> Completer<T> {
    /// Gives the answer and wakes who waits for it. An answer that nobody waits for any more is dropped with the slot.
    pub fn complete(mut self, answer: T) {
        self.answered = true;
        self.shared.resolve(Slot::Ready(answer));
    }
}

impl<T> Drop for Completer<T> {
    fn drop(&mut self) {
        if !self.answered && !cfg!(loom_broken = "completion_drop_is_silent") {
            self.shared.resolve(Slot::Dropped);
        }
    }
}

impl<T> Completion<T> {
    /// Waits for the answer on this thread.
    ///
    /// # Errors
    /// [`Dropped`] when there will be none.
    ///
    /// # Panics
    /// When the answer was taken before.
    pub fn wait(self) -> Result<T, Dropped> {
        let mut slot = lock(&self.shared.slot);
        let replaced = slot.set_waiter(Waiter::Thread);
        slot = wait_while(&self.shared.ready, slot, Slot::is_pending);
        let outcome = slot.take().expect("the wait ends when the slot is resolved");
        drop(slot);
        drop(replaced);
        outcome
    }

    /// Waits for the answer on this thread, but not longer than `timeout`; `None` when that was too short.
    ///
    /// # Panics
    /// When the answer was taken before.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Result<T, Dropped>> {
        let mut slot = lock(&self.shared.slot);
        let replaced = slot.set_waiter(Waiter::Thread);
        slot = wait_while_timeout(&self.shared.ready, &self.shared.slot, slot, timeout, Slot::is_pending);
        let outcome = slot.take();
        drop(slot);
        drop(replaced);
        outcome
    }

    /// Whether there is an answer, or will be none: then no wait waits.
    pub fn is_resolved(&self) -> bool {
        !lock(&self.shared.slot).is_pending()
    }
}

impl<T> Future for Completion<T> {
    type Output = Result<T, Dropped>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(&self.shared.slot);
        let outcome = slot.take();
        if cfg!(loom_broken = "completion_registers_late") {
            drop(slot);
            slot = lock(&self.shared.slot);
        }
        match outcome {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                let replaced = slot.set_waiter(Waiter::Task(context.waker().clone()));
                drop(slot);
                drop(replaced);
                Poll::Pending
            }
        }
    }
}

impl<T> Shared<T> {
    fn resolve(&self, outcome: Slot<T>) {
        let mut slot = lock(&self.slot);
        let before = std::mem::replace(&mut *slot, outcome);
        drop(slot);
        let Slot::Pending { waiter } = before else {
            unreachable!("a completer resolves once, and only it leaves `Pending`");
        };
        match waiter {
            Waiter::None => {}
            Waiter::Thread => self.ready.notify_one(),
            Waiter::Task(waker) => waker.wake(),
        }
    }
}

impl<T> Slot<T> {
    fn is_pending(&self) -> bool {
        matches!(self, Self::Pending { .. })
    }

    /// Notes who waits, if the answer is still out, and returns who waited before.
    fn set_waiter(&mut self, next: Waiter) -> Option<Waiter> {
        match self {
            Self::Pending { waiter } => Some(std::mem::replace(waiter, next)),
            Self::Ready(_) | Self::Dropped | Self::Taken => None,
        }
    }

    /// Takes the outcome out; `None` while it is pending.
    fn take(&mut self) -> Option<Result<T, Dropped>> {
        if self.is_pending() {
            return None;
        }
        match std::mem::replace(self, Self::Taken) {
            Self::Ready(answer) => Some(Ok(answer)),
            Self::Dropped => Some(Err(Dropped)),
            Self::Pending { .. } | Self::Taken => panic!("the answer of a completion was taken twice"),
        }
    }
}

impl<T> fmt::Debug for Completer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completer").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Completion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").field("resolved", &self.is_resolved()).finish_non_exhaustive()
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answering side went away without an answer")
    }
}

impl std::error::Error for Dropped {}

#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(all(not(loom), test))]
mod tests;
