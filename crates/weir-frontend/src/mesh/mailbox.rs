//! What the fleet thread leaves for a lane: messages to send, a connection to take over, the word to stop.
//!
//! Bounded: a lane that does not fetch its messages loses the oldest, since each carries the whole truth of its
//! sender. Posting never waits.

use std::{collections::VecDeque, net::TcpStream, time::Duration};

use bytes::Bytes;
use nix::sys::eventfd::{EfdFlags, EventFd};
use parking_lot::Mutex;
use tokio::sync::Notify;
use weir_core::limits::PEER_QUEUE_MAX;

/// One lane's mail.
#[derive(Debug)]
pub(super) struct Mailbox {
    mail: Mutex<Mail>,
    bell: Bell,
}

/// What has come since the last look.
#[derive(Debug, Default)]
pub(super) struct Mail {
    /// End.
    pub(super) stop: bool,
    /// A connection that the peer dialled, and what it sent after its hello.
    pub(super) adopt: Option<(TcpStream, Bytes)>,
    /// Messages to send, oldest first.
    pub(super) messages: VecDeque<Bytes>,
    /// A new gossip interval.
    pub(super) gossip: Option<Duration>,
}

impl Mail {
    fn is_empty(&self) -> bool {
        !self.stop && self.adopt.is_none() && self.messages.is_empty() && self.gossip.is_none()
    }
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

impl Mailbox {
    /// An empty one.
    pub(super) fn new(bell: Bell) -> Self {
        Self { mail: Mutex::new(Mail::default()), bell }
    }

    /// A message to send.
    pub(super) fn send(&self, message: Bytes) {
        self.post(|mail| {
            if mail.messages.len() >= PEER_QUEUE_MAX {
                mail.messages.pop_front();
            }
            mail.messages.push_back(message);
        });
    }

    /// A connection to take over.
    pub(super) fn adopt(&self, stream: TcpStream, rest: Bytes) {
        self.post(|mail| mail.adopt = Some((stream, rest)));
    }

    /// A new gossip interval.
    pub(super) fn set_gossip(&self, gossip: Duration) {
        self.post(|mail| mail.gossip = Some(gossip));
    }

    /// End.
    pub(super) fn stop(&self) {
        self.post(|mail| mail.stop = true);
    }

    /// Takes everything.
    pub(super) fn take(&self) -> Mail {
        std::mem::take(&mut self.mail.lock())
    }

    /// How it is rung.
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    fn post(&self, change: impl FnOnce(&mut Mail)) {
        let mut mail = self.mail.lock();
        let was_empty = mail.is_empty();
        change(&mut mail);
        drop(mail);
        if was_empty {
            match &self.bell {
                // The counter of an eventfd only fails to rise when it is near 2^64.
                Bell::Thread(event) => drop(event.write(1)),
                Bell::Task(notify) => notify.notify_one(),
            }
        }
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
        assert_eq!(mail.messages.len(), PEER_QUEUE_MAX);
        assert_eq!(mail.messages.front().unwrap().as_ref(), b"3");
        assert!(mail.stop, "orders are never lost");
        assert!(mailbox.take().is_empty());
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
