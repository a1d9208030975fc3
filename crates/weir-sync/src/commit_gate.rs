//! The hand-off of group commit: many writers leave their items, one committer takes all that wait at once.
//!
//! The journal of `weir-log` uses it, so that one sync serves everybody who came while the last one ran. The gate is
//! bounded in items and in bytes; no writer waits here, a refusal becomes throttling. It must never reorder items, never
//! lose one, and never let a committer sleep beside an item.
//!
//! While the committer is busy with what cannot be hurried it may call a second taker, for the time when enough waits to be
//! worth a wake-up.

use std::fmt;

use crate::facade::{Condvar, Mutex, lock, wait_while};

/// A bounded place where items wait for their committer.
pub struct CommitGate<T> {
    limits: GateLimits,
    state: Mutex<State<T>>,
    /// The committer sleeps here for an item.
    arrived: Condvar,
    /// The second taker sleeps here until it is called.
    called: Condvar,
}

/// How much may wait at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateLimits {
    /// The most items.
    pub items: usize,
    /// The most bytes, summed over the items.
    pub bytes: usize,
}

/// An item that was not taken in, and why. It is certain that it will not be committed.
#[derive(Debug, PartialEq, Eq)]
pub enum EnqueueRefused<T> {
    /// There is no room now.
    Full(T),
    /// It has more bytes than may ever wait.
    TooLarge(T),
    /// The gate is closed.
    Closed(T),
}

/// What one [`CommitGate::take`] took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "`closed` tells the committer to stop"]
pub struct Taken {
    /// Items that were appended to the committer's list.
    pub items: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The gate is closed and nothing waits any more: there will be no further item. Items taken along are valid.
    pub closed: bool,
}

struct State<T> {
    items: Vec<T>,
    /// The bytes of each item, in the same order: apart from `items`, so that all of them can be moved out in one copy.
    sizes: Vec<usize>,
    bytes: usize,
    closed: bool,
    takers_waiting: usize,
    second: Second,
}

/// What the second taker is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Second {
    /// Sleep.
    Dismissed,
    /// Sleep until so many bytes wait.
    From(usize),
    /// Come.
    Called,
}

impl<T> CommitGate<T> {
    /// Makes an open, empty gate.
    ///
    /// # Panics
    /// When a limit is 0.
    pub fn new(limits: GateLimits) -> Self {
        assert!(limits.items >= 1 && limits.bytes >= 1, "nothing can pass a gate with {limits:?}");
        let state = State {
            items: Vec::new(),
            sizes: Vec::new(),
            bytes: 0,
            closed: false,
            takers_waiting: 0,
            second: Second::Dismissed,
        };
        Self { limits, state: Mutex::new(state), arrived: Condvar::new(), called: Condvar::new() }
    }

    /// Leaves `item`, which counts for `bytes`, if there is room now. Never waits.
    ///
    /// # Errors
    /// The item comes back in the reason.
    pub fn try_enqueue(&self, item: T, bytes: usize) -> Result<(), EnqueueRefused<T>> {
        let mut state = lock(&self.state);
        let mut waiting = state.takers_waiting;
        if cfg!(loom_broken = "commit_gate_asks_too_early") {
            drop(state);
            state = lock(&self.state);
        }
        if state.closed {
            return Err(EnqueueRefused::Closed(item));
        }
        if bytes > self.limits.bytes {
            return Err(EnqueueRefused::TooLarge(item));
        }
        if !self.has_room(&state, bytes) {
            return Err(EnqueueRefused::Full(item));
        }
        state.items.push(item);
        state.sizes.push(bytes);
        state.bytes += bytes;
        if !cfg!(loom_broken = "commit_gate_asks_too_early") {
            waiting = state.takers_waiting;
        }
        let calls = state.calls_second();
        drop(state);
        if waiting > 0 {
            self.arrived.notify_one();
        }
        if calls {
            self.called.notify_one();
        }
        Ok(())
    }

    /// Waits until something waits or the gate is closed. What was there may have been taken by another before it is asked
    /// for.
    pub fn wait(&self) {
        let mut state = lock(&self.state);
        state.takers_waiting += 1;
        state = wait_while(&self.arrived, state, |state| state.items.is_empty() && !state.closed);
        state.takers_waiting -= 1;
    }

    /// Moves what waits to the end of `out`, in order of arrival: everything if it has at most `max_bytes`, else as many
    /// of the first as have, but at least one. Never waits.
    pub fn take(&self, max_bytes: usize, out: &mut Vec<T>) -> Taken {
        let mut state = lock(&self.state);
        let (items, bytes) = state.move_out(max_bytes, out);
        let closed = state.closed && state.items.is_empty();
        Taken { items, bytes, closed }
    }

    /// Moves the first of what waits to the end of `out`, as long as `goes` says so of each and its bytes. Never waits.
    pub fn take_while(&self, out: &mut Vec<T>, mut goes: impl FnMut(&T, usize) -> bool) -> usize {
        let mut state = lock(&self.state);
        let count =
            state.items.iter().zip(&state.sizes).take_while(|(item, bytes)| goes(item, **bytes)).count();
        state.move_first(count, out);
        count
    }

    /// Ends the second taker's sleep in [`Self::wait_to_be_called`], once, as soon as `from_bytes` wait.
    pub fn call_second(&self, from_bytes: usize) {
        let mut state = lock(&self.state);
        state.second = Second::From(from_bytes);
        let calls = state.calls_second() && !cfg!(loom_broken = "commit_gate_calls_for_what_comes_only");
        drop(state);
        if calls {
            self.called.notify_one();
        }
    }

    /// Takes back [`Self::call_second`] if it has not been heard.
    pub fn dismiss_second(&self) {
        lock(&self.state).second = Second::Dismissed;
    }

    /// Sleeps until called: true; or until the gate is closed: false. What was to be taken may be gone before it is asked
    /// for.
    pub fn wait_to_be_called(&self) -> bool {
        let sleeps = |state: &State<T>| state.second != Second::Called && !state.closed;
        let mut state = wait_while(&self.called, lock(&self.state), sleeps);
        state.second = Second::Dismissed;
        !state.closed
    }

    /// Refuses items from now on and wakes both takers. What waits can still be taken. Harmless twice.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        if !cfg!(loom_broken = "commit_gate_close_wakes_nobody") {
            self.arrived.notify_all();
        }
        if !cfg!(loom_broken = "commit_gate_close_leaves_the_second") {
            self.called.notify_all();
        }
    }

    /// Whether [`Self::close`] was called.
    pub fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Whether it is open and nothing waits: who alone may take, and finds it so, may go first.
    pub fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        state.items.is_empty() && !state.closed
    }

    /// Items and bytes that wait now.
    pub fn waiting(&self) -> GateLimits {
        let state = lock(&self.state);
        GateLimits { items: state.items.len(), bytes: state.bytes }
    }

    /// How much may wait at once.
    pub fn limits(&self) -> GateLimits {
        self.limits
    }

    fn has_room(&self, state: &State<T>, bytes: usize) -> bool {
        state.items.len() < self.limits.items && bytes <= self.limits.bytes - state.bytes
    }
}

impl<T> State<T> {
    fn move_out(&mut self, max_bytes: usize, out: &mut Vec<T>) -> (usize, usize) {
        if self.bytes <= max_bytes {
            let taken = (self.items.len(), self.bytes);
            out.append(&mut self.items);
            self.sizes.clear();
            self.bytes = 0;
            return taken;
        }
        let mut bytes = 0;
        let mut count = 0;
        for &size in &self.sizes {
            if count > 0 && size > max_bytes - bytes {
                break;
            }
            bytes += size;
            count += 1;
            if bytes >= max_bytes {
                break;
            }
        }
        self.move_first(count, out);
        (count, bytes)
    }

    fn move_first(&mut self, count: usize, out: &mut Vec<T>) {
        out.extend(self.items.drain(..count));
        self.bytes -= self.sizes.drain(..count).sum::<usize>();
    }

    /// Is the second taker to be woken now? Once for each time that it is wanted: a wake-up is a system call.
    fn calls_second(&mut self) -> bool {
        let calls = matches!(self.second, Second::From(bytes) if self.bytes >= bytes);
        if calls {
            self.second = Second::Called;
        }
        calls
    }
}

impl<T> fmt::Debug for CommitGate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitGate").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(all(not(loom), test))]
mod tests;
