//! The locks, condition variables and channels of the log: the only file of this crate that names where they come from, so
//! that `--cfg shuttle` swaps the ground under the whole journal.
//!
//! A server has parking_lot's and crossbeam's, by their own names and at no cost. Shuttle's look like std's; the little
//! around them makes them look like the others'. It must never hold a decision of the journal.

#[cfg(not(shuttle))]
pub(crate) use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
#[cfg(not(shuttle))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

#[cfg(shuttle)]
pub(crate) use self::under_shuttle::{
    Condvar, Mutex, MutexGuard, Receiver, RecvTimeoutError, RwLock, Sender, bounded,
};

/// Sleeps on `condvar` until it is notified, or for no reason.
#[cfg(not(shuttle))]
pub(crate) fn wait<'a, T>(condvar: &Condvar, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(&mut guard);
    guard
}

/// Sleeps on `condvar` until it is notified.
#[cfg(shuttle)]
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).expect(under_shuttle::POISONED)
}

#[cfg(shuttle)]
mod under_shuttle {
    use shuttle::sync::{self, RwLockReadGuard, RwLockWriteGuard, TryLockError, mpsc};

    // A wait for a message never times out under shuttle: a schedule must not count on that.
    pub(crate) use shuttle::sync::{
        Condvar, MutexGuard,
        mpsc::{Receiver, RecvTimeoutError, SyncSender as Sender},
    };

    /// Parking_lot's locks are not poisoned; here a schedule in which somebody panicked has failed anyway.
    pub(super) const POISONED: &str = "whoever held it has panicked";

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect(POISONED)
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::WouldBlock) => None,
                Err(TryLockError::Poisoned(_)) => panic!("{POISONED}"),
            }
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct RwLock<T>(sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().expect(POISONED)
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().expect(POISONED)
        }
    }

    pub(crate) fn bounded<T>(items: usize) -> (Sender<T>, Receiver<T>) {
        mpsc::sync_channel(items)
    }
}
