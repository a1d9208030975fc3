//! A timer that is exact to tens of microseconds and never spins.
//!
//! The runtime's own timers tick once a millisecond, which would make every start up to a millisecond late. One
//! timerfd per worker, watched by the same epoll as the sockets, wakes it when the next start is due.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    time::Duration,
};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tokio::io::{Interest, unix::AsyncFd};

/// A one-shot timer of the current runtime.
#[derive(Debug)]
pub(crate) struct Timer {
    fd: AsyncFd<Descriptor>,
}

#[derive(Debug)]
struct Descriptor(TimerFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    /// A timer that is not set. Must be called on a runtime.
    #[expect(deprecated, reason = "its successor is unsafe: a type may lie about its descriptor; not ours")]
    pub(crate) fn new() -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        Ok(Self { fd: AsyncFd::with_interest(Descriptor(timer), Interest::READABLE)? })
    }

    /// Waits for `delay`. May return early, never much later; callers look at the clock.
    pub(crate) async fn after(&self, delay: Duration) -> io::Result<()> {
        if delay.is_zero() {
            return Ok(());
        }
        // Setting the timer takes back an expiry that nobody saw, and each expiry is an edge of its own for epoll: the
        // descriptor need not be read.
        self.fd
            .get_ref()
            .0
            .set(Expiration::OneShot(TimeSpec::from_duration(delay)), TimerSetTimeFlags::empty())?;
        self.fd.readable().await?.clear_ready();
        Ok(())
    }
}
