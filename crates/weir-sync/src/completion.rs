//! The answer to one request, handed from the thread that makes it to the task that waits for it.
//!
//! A node's committer completes it after the sync, the task that answers the front end awaits it. It belongs to no
//! runtime: the waiting half is a plain `Future`. It must never leave its receiver waiting: a sender that goes away
//! without an answer is an answer, too.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::fmt;

use crate::facade::{Arc, Mutex, lock};

/// Makes the two halves of one answer.
pub fn completion<T>() -> (Completer<T>, Completion<T>) {
    let shared = Arc::new(Shared { slot: Mutex::new(Slot::Pending { waiter: None }) });
    (Completer { shared: Arc::clone(&shared), answered: false }, Completion { shared })
}

/// The answering half. Dropped without an answer, it resolves its receiver to [`Dropped`].
pub struct Completer<T> {
    shared: Arc<Shared<T>>,
    answered: bool,
}

/// The waiting half, a future. It must not be polled again after it has given the answer.
#[must_use = "a future does nothing until it is awaited"]
pub struct Completion<T> {
    shared: Arc<Shared<T>>,
}

/// The answering half went away without an answer. Whether the work was done is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped;

struct Shared<T> {
    slot: Mutex<Slot<T>>,
}

enum Slot<T> {
    Pending { waiter: Option<Waker> },
    Ready(T),
    Dropped,
    Taken,
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
                let replaced = slot.set_waiter(context.waker().clone());
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
        if let Some(waker) = waiter {
            waker.wake();
        }
    }
}

impl<T> Slot<T> {
    /// Notes who waits, if the answer is still out, and returns who waited before.
    fn set_waiter(&mut self, next: Waker) -> Option<Waker> {
        match self {
            Self::Pending { waiter } => waiter.replace(next),
            Self::Ready(_) | Self::Dropped | Self::Taken => None,
        }
    }

    /// Takes the outcome out; `None` while it is pending.
    fn take(&mut self) -> Option<Result<T, Dropped>> {
        if matches!(self, Self::Pending { .. }) {
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
        f.debug_struct("Completion").finish_non_exhaustive()
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
