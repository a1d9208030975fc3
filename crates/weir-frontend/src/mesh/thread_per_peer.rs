//! A lane on an operating-system thread of its own, as in 2020: the thread serves one peer and nothing else.
//!
//! It sleeps in poll(2) on its socket and its mailbox; an idle one wakes a few times each gossip interval. Its stack is
//! small and it keeps no buffer while idle: a host carries tens of thousands of these.

use std::{net::TcpStream, os::fd::AsFd, sync::Arc, time::Duration};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use tokio::sync::mpsc;
use weir_core::clock::{Clock, Monotonic};

use super::{
    driver::Driver,
    mailbox::{Bell, Mailbox},
};
use crate::fleet::FleetEvent;

/// The wait after a poll(2) that the kernel could not do.
const POLL_FAILED_PAUSE: Duration = Duration::from_millis(100);

/// Serves the lane until it is told to stop or the fleet is gone.
pub(super) fn run(
    mut driver: Driver<TcpStream>,
    mailbox: &Arc<Mailbox>,
    clock: Clock,
    events: &mpsc::Sender<FleetEvent>,
) {
    let Bell::Thread(bell) = mailbox.bell() else { unreachable!("made for a thread") };
    loop {
        let mail = mailbox.take();
        if mail.orders.stop {
            return;
        }
        driver.turn(mail);
        while let Some(report) = driver.next_report() {
            if events.blocking_send(report).is_err() {
                return;
            }
        }
        let socket = driver.socket();
        let interest = match socket {
            Some((_, true)) => PollFlags::POLLIN | PollFlags::POLLOUT,
            Some((_, false)) | None => PollFlags::POLLIN,
        };
        let watched = socket.map_or(bell.as_fd(), |(socket, _)| socket.as_fd());
        let mut fds = [PollFd::new(bell.as_fd(), PollFlags::POLLIN), PollFd::new(watched, interest)];
        let waited = if socket.is_some() { 2 } else { 1 };
        match poll(&mut fds[..waited], timeout(clock.now(), driver.next_wake())) {
            Ok(_) | Err(Errno::EINTR) => {}
            // No memory for a moment: not a reason to lose the peer.
            Err(errno) => {
                tracing::error!(%errno, "poll failed");
                std::thread::sleep(POLL_FAILED_PAUSE);
            }
        }
        let ready = |fd: &PollFd<'_>| fd.revents().unwrap_or(PollFlags::empty());
        let (rung, socket) = (ready(&fds[0]), if waited == 2 { ready(&fds[1]) } else { PollFlags::empty() });
        if rung.contains(PollFlags::POLLIN) {
            let _ = bell.read(); // only lowers the counter
        }
        if socket.contains(PollFlags::POLLOUT) || socket.contains(PollFlags::POLLERR) {
            driver.on_writable();
        }
        if socket.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            driver.on_readable();
        }
    }
}

/// Until `wake`, rounded up to the millisecond that poll(2) counts in: to wake early would be to wake twice.
fn timeout(now: Monotonic, wake: Option<Monotonic>) -> PollTimeout {
    let Some(wake) = wake else { return PollTimeout::NONE };
    let millis = wake.since(now).as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_rounded_up_and_bounded() {
        let now = Monotonic::ZERO + Duration::from_secs(1);
        let in_micros = |micros| timeout(now, Some(now + Duration::from_micros(micros))).as_millis();
        assert_eq!(in_micros(0), Some(0));
        assert_eq!(in_micros(1), Some(1));
        assert_eq!(in_micros(2_000), Some(2));
        assert_eq!(timeout(now, Some(Monotonic::ZERO)).as_millis(), Some(0));
        assert_eq!(timeout(now, None), PollTimeout::NONE);
        assert_eq!(timeout(now, Some(Monotonic(u64::MAX))), PollTimeout::MAX);
    }
}
