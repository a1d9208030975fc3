//! A queue of many producers and many consumers with a bound in items and a stated policy for when it is full.
//!
//! The consumers' buffers (auth cache, metrics buffer, event bus) are such queues, and the load generator's way to its
//! recorder.
//! The policy is the subject of the 2020 incident: under [`Overflow::Block`] a worker whose queue nobody drains
//! stalls for good, under the three others it never waits. The queue must never grow past its capacity and never
//! lose an item without handing it back to somebody.

use std::collections::VecDeque;
use std::fmt;

use crate::facade::{Condvar, Mutex, MutexGuard, lock, wait_while};

/// Room laid out in advance; a queue with a larger capacity grows to it on demand.
const PREALLOCATED_ITEMS_MAX: usize = 1024;

/// A bounded queue, shared by reference (usually in an `Arc`).
pub struct BoundedQueue<T> {
    capacity: usize,
    overflow: Overflow,
    state: Mutex<State<T>>,
    /// Consumers sleep here for an item.
    arrived: Condvar,
    /// Producers under [`Overflow::Block`] sleep here for room.
    room: Condvar,
}

/// What a push into a full queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The push waits for room. This is the 2020 bug wherever the pusher serves requests.
    Block,
    /// The new item is handed back.
    DropNewest,
    /// The oldest queued item makes room and is handed out.
    DropOldest,
    /// The new item is handed back to be kept elsewhere.
    Spill,
}

/// What became of a pushed item. An item that is not in the queue is always in here.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an item that was not queued is in the outcome"]
pub enum PushOutcome<T> {
    /// The item is in the queue.
    Queued,
    /// The queue was full; the new item is not in it.
    DroppedNewest(T),
    /// The queue was full; the new item is in it and this older one is not any more.
    DroppedOldest(T),
    /// The queue was full; the caller keeps this new item elsewhere.
    Spilled(T),
    /// The queue is closed; the item is not in it.
    Closed(T),
}

/// What a queue has done since it was made, all read at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounters {
    /// Items that were accepted.
    pub queued: u64,
    /// Items that were dropped, newest or oldest.
    pub dropped: u64,
    /// Items that were handed back to be spilled.
    pub spilled: u64,
    /// Pushes that had to wait for room.
    pub blocked_pushes: u64,
    /// Pushes that wait for room now.
    pub blocked_now: u64,
    /// The largest number of items that were queued at once.
    pub high_water: u64,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
    poppers_waiting: usize,
    counters: QueueCounters,
}

impl<T> BoundedQueue<T> {
    /// Makes an empty queue for at most `capacity` items.
    ///
    /// # Panics
    /// When `capacity` is 0.
    pub fn new(capacity: usize, overflow: Overflow) -> Self {
        assert!(capacity >= 1, "a queue without room for one item can never move one");
        let state = State {
            items: VecDeque::with_capacity(capacity.min(PREALLOCATED_ITEMS_MAX)),
            closed: false,
            poppers_waiting: 0,
            counters: QueueCounters::default(),
        };
        Self { capacity, overflow, state: Mutex::new(state), arrived: Condvar::new(), room: Condvar::new() }
    }

    /// Appends `item`, or does what the overflow policy says. Waits only under [`Overflow::Block`].
    pub fn push(&self, item: T) -> PushOutcome<T> {
        let mut state = lock(&self.state);
        if state.items.len() >= self.capacity && !state.closed {
            match self.overflow {
                Overflow::Block => state = self.wait_for_room(state),
                Overflow::DropNewest => {
                    state.counters.dropped += 1;
                    return PushOutcome::DroppedNewest(item);
                }
                Overflow::Spill => {
                    state.counters.spilled += 1;
                    return PushOutcome::Spilled(item);
                }
                Overflow::DropOldest => {
                    let oldest = state.items.pop_front().expect("a full queue holds at least one item");
                    state.counters.dropped += 1;
                    self.append(state, item);
                    return PushOutcome::DroppedOldest(oldest);
                }
            }
        }
        if state.closed {
            return PushOutcome::Closed(item);
        }
        self.append(state, item);
        PushOutcome::Queued
    }

    /// Takes the oldest item; waits for one. `None` when the queue is closed and drained.
    pub fn pop(&self) -> Option<T> {
        let state = self.wait_for_item(lock(&self.state));
        self.take_one(state)
    }

    /// Takes the oldest item if there is one.
    pub fn try_pop(&self) -> Option<T> {
        self.take_one(lock(&self.state))
    }

    /// Moves up to `max` items to the end of `out`; waits for the first. Returns how many; 0 only when the queue is
    /// closed and drained.
    ///
    /// # Panics
    /// When `max` is 0.
    pub fn pop_many(&self, max: usize, out: &mut Vec<T>) -> usize {
        assert!(max >= 1, "a pop of no items would look like a closed queue");
        let mut state = self.wait_for_item(lock(&self.state));
        let taken = state.items.len().min(max);
        out.extend(state.items.drain(..taken));
        let blocked = state.counters.blocked_now;
        drop(state);
        let one = taken == 1 || cfg!(loom_broken = "bounded_queue_pop_many_wakes_one");
        if blocked > 0 && one {
            self.room.notify_one();
        } else if blocked > 0 && taken > 1 {
            self.room.notify_all();
        }
        taken
    }

    /// Refuses pushes from now on and wakes everybody who waits. What is queued can still be popped. Harmless twice.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.arrived.notify_all();
        if !cfg!(loom_broken = "bounded_queue_close_forgets_pushers") {
            self.room.notify_all();
        }
    }

    /// Whether [`Self::close`] was called.
    pub fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Items that are queued now.
    pub fn len(&self) -> usize {
        lock(&self.state).items.len()
    }

    /// Whether no item is queued now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most items that the queue holds.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// What the queue does when it is full.
    pub fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// What the queue has done so far.
    pub fn counters(&self) -> QueueCounters {
        lock(&self.state).counters
    }

    fn wait_for_room<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        state.counters.blocked_pushes += 1;
        state.counters.blocked_now += 1;
        state = wait_while(&self.room, state, |state| state.items.len() >= self.capacity && !state.closed);
        state.counters.blocked_now -= 1;
        state
    }

    fn wait_for_item<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        state.poppers_waiting += 1;
        state = wait_while(&self.arrived, state, |state| state.items.is_empty() && !state.closed);
        state.poppers_waiting -= 1;
        state
    }

    /// Appends under the lock, then wakes one consumer without it. Whoever waits counted itself under the same lock,
    /// so "nobody waits" cannot be stale, and the system call is saved when it is true.
    fn append(&self, mut state: MutexGuard<'_, State<T>>, item: T) {
        if cfg!(loom_broken = "bounded_queue_notifies_before_append") {
            drop(state);
            self.arrived.notify_one();
            lock(&self.state).items.push_back(item);
            return;
        }
        state.items.push_back(item);
        let length = state.items.len();
        assert!(length <= self.capacity, "the queue holds {length} of at most {} items", self.capacity);
        state.counters.queued += 1;
        state.counters.high_water = state.counters.high_water.max(length as u64);
        let waiting = state.poppers_waiting;
        drop(state);
        if waiting > 0 {
            self.arrived.notify_one();
        }
    }

    fn take_one(&self, mut state: MutexGuard<'_, State<T>>) -> Option<T> {
        let item = state.items.pop_front()?;
        let blocked = state.counters.blocked_now;
        drop(state);
        if blocked > 0 {
            self.room.notify_one();
        }
        Some(item)
    }
}

impl<T> fmt::Debug for BoundedQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedQueue")
            .field("capacity", &self.capacity)
            .field("overflow", &self.overflow)
            .finish_non_exhaustive()
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(all(not(loom), test))]
mod tests;
