//! The only file in Weir that names `std::sync`, `std::thread`, `loom` or `shuttle` for the primitives: they import from
//! here and nowhere else, so that `--cfg loom` or `--cfg shuttle` swaps the ground under all of them at once.
//!
//! It also owns the waits that every primitive is made of and, for tests, the ground to stand on: threads,
//! `check_model`, `block_on`. The waits track their caller, so that loom names the primitive's line and not this file.
//! It must never hold a decision of a primitive: what is waited for stays in the primitive's own file.

use std::time::Duration;

#[cfg(loom)]
pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};

#[cfg(all(test, loom))]
pub(crate) use loom::thread;
#[cfg(all(test, not(loom)))]
pub(crate) use std::thread;

/// A lock is poisoned only when an assertion of the primitive itself failed under it. Going on would mean to trust
/// a state that is known to be broken, so every later user fails as well.
const POISONED: &str = "an assertion failed while this lock was held";

/// Locks, or panics when an earlier holder panicked.
#[track_caller]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect(POISONED)
}

/// Locks if nobody holds it.
#[cfg(all(test, loom))]
#[track_caller]
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    mutex.try_lock().ok()
}

/// Sleeps on `condvar` while `blocked` says so. Wake-ups without cause are tolerated: the condition is asked again.
#[track_caller]
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
#[cfg(not(any(loom, shuttle)))]
#[track_caller]
pub(crate) fn wait_while_timeout<'a, T>(
    condvar: &Condvar,
    _mutex: &'a Mutex<T>,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
    blocked: impl Fn(&T) -> bool,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout_while(guard, timeout, |state| blocked(state)).expect(POISONED).0
}

/// Loom and shuttle have no time. A timed wait is modelled as one that may end at once: the lock is released and taken
/// again, and every order is tried of what the others do in between. So each model with a timeout covers "it came just
/// in time" and "it did not", and never "it slept and was notified", which the untimed wait covers.
#[cfg(any(loom, shuttle))]
#[track_caller]
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

/// Runs `model` once for every order of its threads' steps that the preemption bound allows, and prints how many that
/// were. A model with one single order checks nothing that a unit test would not, so that fails as well.
#[cfg(all(test, loom))]
#[expect(clippy::print_stdout, reason = "`cargo xtask loom` reads the count")]
pub(crate) fn check_model(model: impl Fn() + Send + Sync + 'static) {
    use std::sync::atomic::{AtomicU64, Ordering};

    let executions = std::sync::Arc::new(AtomicU64::new(0));
    let counter = std::sync::Arc::clone(&executions);
    loom::model(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let executions = executions.load(Ordering::Relaxed);
    assert!(executions > 1, "the threads of this model never meet");
    println!("executions: {executions}");
}

/// The smallest executor: polls `future` on this thread and sleeps until its waker is called.
#[cfg(test)]
pub(crate) fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let (alarm, waker) = Alarm::new();
    let mut context = std::task::Context::from_waker(&waker);
    loop {
        if let std::task::Poll::Ready(output) = std::pin::Pin::new(&mut future).poll(&mut context) {
            return output;
        }
        let rung = lock(&alarm.rung);
        *wait_while(&alarm.rings, rung, |rung| !rung) = false;
    }
}

/// A waker that can be slept on and asked. `std::task::Wake` demands std's `Arc`; the lock inside is the facade's.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Alarm {
    rung: Mutex<bool>,
    rings: Condvar,
}

#[cfg(test)]
impl Alarm {
    /// An alarm and the waker that rings it.
    pub(crate) fn new() -> (std::sync::Arc<Self>, std::task::Waker) {
        let alarm = std::sync::Arc::new(Self::default());
        let waker = std::task::Waker::from(std::sync::Arc::clone(&alarm));
        (alarm, waker)
    }

    /// Whether the waker was called.
    pub(crate) fn is_rung(&self) -> bool {
        *lock(&self.rung)
    }
}

#[cfg(test)]
impl std::task::Wake for Alarm {
    fn wake(self: std::sync::Arc<Self>) {
        *lock(&self.rung) = true;
        self.rings.notify_all();
    }
}
