//! What is left for somebody who sleeps on something of its own: items, the newest of which count, and orders.
//!
//! The fleet leaves the messages of a lane here, and the lane is a thread in poll(2) or a task: neither can sleep on a
//! condition variable. So the mailbox rings a [`Bell`] that its owner sleeps on, once for all that is taken at once. It
//! must never grow past its capacity, never lose an order, and never leave mail beside an owner that nobody rings for.

use std::collections::VecDeque;
use std::fmt;

use crate::facade::{Mutex, lock};

/// Wakes the owner of a mailbox. A ring must be kept until the owner comes to sleep: an eventfd, a stored permit.
pub trait Bell {
    /// Rings. Called without the mailbox's lock, by whoever leaves mail.
    fn ring(&self);
}

/// One owner's mail: at most `capacity` items of type `T`, and one set of orders `O`.
///
/// The owner's loop is: lower the bell, [`Self::take`], work, sleep on the bell. In another order it can sleep beside
/// mail.
pub struct Mailbox<T, O, B> {
    capacity: usize,
    state: Mutex<State<T, O>>,
    bell: B,
}

/// All that had come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail<T, O> {
    /// Oldest first.
    pub items: VecDeque<T>,
    /// What was ordered since the last look; the default where nothing was.
    pub orders: O,
}

struct State<T, O> {
    mail: Mail<T, O>,
    /// Something was left since the owner took last, and whoever left it rings.
    rung: bool,
}

impl<T, O: Default, B: Bell> Mailbox<T, O, B> {
    /// An empty mailbox for at most `capacity` items, whose owner is woken by `bell`.
    ///
    /// # Panics
    /// When `capacity` is 0.
    pub fn new(capacity: usize, bell: B) -> Self {
        assert!(capacity >= 1, "a mailbox without room for one item can never hand one over");
        Self { capacity, state: Mutex::new(State { mail: Mail::default(), rung: false }), bell }
    }

    /// Leaves an item. Never waits; when the mailbox is full the oldest item makes room and is handed back.
    pub fn send(&self, item: T) -> Option<T> {
        self.leave(|mail| {
            let oldest = if mail.items.len() >= self.capacity { mail.items.pop_front() } else { None };
            mail.items.push_back(item);
            oldest
        })
    }

    /// Changes the orders that wait; what `change` gives back is dropped without the lock. Never waits, and no number of
    /// items costs an order.
    pub fn order<R>(&self, change: impl FnOnce(&mut O) -> R) -> R {
        self.leave(|mail| change(&mut mail.orders))
    }

    /// Takes everything. The owner alone calls it, after it has lowered its bell.
    pub fn take(&self) -> Mail<T, O> {
        let mut state = lock(&self.state);
        if cfg!(loom_broken = "mailbox_takes_then_notes") {
            let mail = std::mem::take(&mut state.mail);
            drop(state);
            lock(&self.state).rung = false;
            return mail;
        }
        state.rung = false;
        std::mem::take(&mut state.mail)
    }

    /// What the owner sleeps on.
    pub fn bell(&self) -> &B {
        &self.bell
    }

    /// Changes the mail under the lock and rings without it, unless somebody has done so since the owner took last.
    fn leave<R>(&self, change: impl FnOnce(&mut Mail<T, O>) -> R) -> R {
        let mut state = lock(&self.state);
        if cfg!(loom_broken = "mailbox_asks_too_early") {
            let rung = state.rung;
            drop(state);
            state = lock(&self.state);
            state.rung = rung;
        }
        if cfg!(loom_broken = "mailbox_rings_first") && !state.rung {
            drop(state);
            self.bell.ring();
            state = lock(&self.state);
            state.rung = true;
        }
        let outcome = change(&mut state.mail);
        let was_rung = std::mem::replace(&mut state.rung, true);
        drop(state);
        if !was_rung {
            self.bell.ring();
        }
        outcome
    }
}

impl<T, O: Default> Default for Mail<T, O> {
    fn default() -> Self {
        Self { items: VecDeque::new(), orders: O::default() }
    }
}

impl<T, O, B> fmt::Debug for Mailbox<T, O, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(all(not(loom), test))]
mod tests;
