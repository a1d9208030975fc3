//! What the fleet thread leaves for a lane: messages to send, a connection to take over, the word to stop.
//!
//! A [`weir_sync::Mailbox`] with the two bells that a lane can sleep on. Posting never waits. Bounded: a lane that does
//! not fetch its messages loses the oldest, of whatever node it spoke ([`PEER_QUEUE_MAX`]). Orders are never lost.

use std::{net::TcpStream, time::Duration};

use bytes::Bytes;
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::Notify;
use weir_core::limits::PEER_QUEUE_MAX;

/// One lane's mail.
#[derive(Debug)]
pub(super) struct Mailbox {
    mail: weir_sync::Mailbox<Bytes, Orders, Bell>,
}

/// What has come since the last look: messages to send, oldest first, and orders.
pub(super) type Mail = weir_sync::mailbox::Mail<Bytes, Orders>;

/// What the fleet wants of a lane; a later order takes the place of an earlier one of its kind.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// End.
    pub(super) stop: bool,
    /// A connection that the peer dialled, and what it sent after its hello.
    pub(super) adopt: Option<(TcpStream, Bytes)>,
    /// A new gossip interval.
    pub(super) gossip: Option<Duration>,
}

/// How a lane is woken.
#[derive(Debug)]
pub(super) enum Bell {
    /// A thread in poll(2).
    Thread(EventFd),
    /// A task.
    Task(Notify),
}

impl Bell {
    /// For a thread. The kernel may refuse the file descriptor.
    pub(super) fn thread() -> nix::Result<Self> {
        EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map(Self::Thread)
    }
}

impl weir_sync::mailbox::Bell for Bell {
    fn ring(&self) {
        match self {
            // The counter of an eventfd only fails to rise when it is near 2^64.
            Self::Thread(event) => drop(event.write(1)),
            Self::Task(notify) => notify.notify_one(),
        }
    }
}

impl Mailbox {
    /// An empty one.
    pub(super) fn new(bell: Bell) -> Self {
        Self { mail: weir_sync::Mailbox::new(PEER_QUEUE_MAX, bell) }
    }

    /// A message to send.
    pub(super) fn send(&self, message: Bytes) {
        if self.mail.send(message).is_some() {
            tracing::debug!("a lane that does not fetch its mail lost the oldest message");
        }
    }

    /// A connection to take over.
    pub(super) fn adopt(&self, stream: TcpStream, rest: Bytes) {
        drop(self.mail.order(|orders| orders.adopt.replace((stream, rest))));
    }

    /// A new gossip interval.
    pub(super) fn set_gossip(&self, gossip: Duration) {
        self.mail.order(|orders| orders.gossip = Some(gossip));
    }

    /// End.
    pub(super) fn stop(&self) {
        self.mail.order(|orders| orders.stop = true);
    }

    /// Takes everything.
    pub(super) fn take(&self) -> Mail {
        self.mail.take()
    }

    /// How it is rung.
    pub(super) fn bell(&self) -> &Bell {
        self.mail.bell()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_does_not_fetch_its_mail_loses_the_oldest() {
        let mailbox = Mailbox::new(Bell::Task(Notify::new()));
        for number in 0..PEER_QUEUE_MAX + 3 {
            mailbox.send(Bytes::from(number.to_string()));
        }
        mailbox.stop();
        let mail = mailbox.take();
        assert_eq!(mail.items.len(), PEER_QUEUE_MAX);
        assert_eq!(mail.items.front().unwrap().as_ref(), b"3");
        assert!(mail.orders.stop, "orders are never lost");
        assert!(mailbox.take().items.is_empty());
    }

    #[test]
    fn the_first_post_rings_and_the_next_do_not() {
        let mailbox = Mailbox::new(Bell::thread().unwrap());
        mailbox.send(Bytes::new());
        mailbox.send(Bytes::new());
        let Bell::Thread(event) = mailbox.bell() else { panic!("a thread's bell") };
        assert_eq!(event.read(), Ok(1));
        mailbox.take();
        mailbox.send(Bytes::new());
        assert_eq!(event.read(), Ok(1));
    }
}
