//! The only file in Weir that names `std::sync`, `std::thread` or `loom` for the primitives: they import from here
//! and nowhere else, so that `--cfg loom` swaps the ground under all of them at once.
//!
//! It also owns the three waits that every primitive is made of. It must never hold a decision of a primitive:
//! what is waited for stays in the primitive's own file.

use std::time::Duration;

#[cfg(loom)]
pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};
#[cfg(not(loom))]
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};

/// A lock is poisoned only when an assertion of the primitive itself failed under it. Going on would mean to trust
/// a state that is known to be broken, so every later user fails as well.
const POISONED: &str = "an assertion failed while this lock was held";

/// Locks, or panics when an earlier holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect(POISONED)
}

/// Sleeps on `condvar` while `blocked` says so. Wake-ups without cause are tolerated: the condition is asked again.
pub(crate) fn wait_while<'a, T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'a, T>,
    blocked: impl Fn(&T) -> bool,
) -> MutexGuard<'a, T> {
    while blocked(&guard) {
        guard = condvar.wait(guard).expect(POISONED);
    }
    guard
}

/// Like [`wait_while`], but gives up after `timeout`. The caller asks its condition again to learn which it was.
#[cfg(not(loom))]
pub(crate) fn wait_while_timeout<'a, T>(
    condvar: &Condvar,
    _mutex: &'a Mutex<T>,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
    blocked: impl Fn(&T) -> bool,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout_while(guard, timeout, |state| blocked(state)).expect(POISONED).0
}

/// Loom has no time. A timed wait is modelled as one that may end at once: the lock is released and taken again, and
/// loom tries every order of what the others do in between. So each model with a timeout covers "it came just in
/// time" and "it did not", and never "it slept and was notified", which the untimed wait covers.
#[cfg(loom)]
pub(crate) fn wait_while_timeout<'a, T>(
    _condvar: &Condvar,
    mutex: &'a Mutex<T>,
    guard: MutexGuard<'a, T>,
    _timeout: Duration,
    blocked: impl Fn(&T) -> bool,
) -> MutexGuard<'a, T> {
    if !blocked(&guard) {
        return guard;
    }
    drop(guard);
    lock(mutex)
}
