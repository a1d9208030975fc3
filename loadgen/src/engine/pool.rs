//! The connections of one worker to one endpoint, and the starts that wait for one of them.
//!
//! The dispatcher hands starts in, connections take them out. Everything is of one thread. Connections are divided
//! evenly over the endpoints, so that a server that hangs takes its own share of them and no more. It must never hold
//! more connections than its limit, nor lose a start.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, ReadBuf};
use weir_client::{Endpoint, Stream};
use weir_core::clock::Monotonic;

use crate::workload::Choice;

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// When it was meant to start.
    pub(super) intended: Monotonic,
    /// What it is.
    pub(super) choice: Choice,
}

/// One endpoint.
pub(super) struct Pool {
    pub(super) endpoint: Endpoint,
    limit: Cell<usize>,
    open: Cell<usize>,
    tls_failed: Cell<bool>,
    early_failed: Cell<bool>,
    /// The last one in is the first one out: at a low rate few connections are warm, as in a client's pool.
    idle: RefCell<Vec<Rc<Slot>>>,
    waiting: RefCell<VecDeque<Start>>,
}

/// Where an idle connection is given its next start.
#[derive(Default)]
pub(super) struct Slot {
    start: Cell<Option<Start>>,
    close: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// What became of a start that was handed in.
#[derive(Debug)]
pub(super) enum Handed {
    /// An idle connection has it, or it waits for one.
    Taken,
    /// A new connection is to be opened for it.
    Open(Start),
}

impl Pool {
    pub(super) fn new(endpoint: Endpoint, limit: usize) -> Self {
        Self {
            endpoint,
            limit: Cell::new(limit),
            open: Cell::new(0),
            tls_failed: Cell::new(false),
            early_failed: Cell::new(false),
            idle: RefCell::default(),
            waiting: RefCell::default(),
        }
    }

    /// From now on at most `limit` connections; those beyond it close when they are done.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
        let mut idle = self.idle.borrow_mut();
        while self.open.get() > limit {
            let Some(slot) = idle.pop() else { break };
            self.open.set(self.open.get() - 1);
            slot.close.set(true);
            slot.wake();
        }
    }

    /// Gives `start` to an idle connection, to a new one, or to the queue.
    pub(super) fn hand_in(&self, start: Start) -> Handed {
        if let Some(slot) = self.idle.borrow_mut().pop() {
            slot.start.set(Some(start));
            slot.wake();
            Handed::Taken
        } else if self.open.get() < self.limit.get().max(1) {
            self.open.set(self.open.get() + 1);
            Handed::Open(start)
        } else {
            self.waiting.borrow_mut().push_back(start);
            Handed::Taken
        }
    }

    /// Counts as many connections as there may be, and says how many of them its caller is to open.
    pub(super) fn reserve_all(&self) -> usize {
        let missing = self.limit.get().saturating_sub(self.open.get());
        self.open.set(self.open.get() + missing);
        missing
    }

    /// Would [`Self::hand_in`] have to queue?
    pub(super) fn is_busy(&self) -> bool {
        self.idle.borrow().is_empty() && self.open.get() >= self.limit.get().max(1)
    }

    /// Nothing waits and nothing is open: nobody misses it.
    pub(super) fn is_done(&self) -> bool {
        self.open.get() == 0 && self.waiting.borrow().is_empty()
    }

    /// The start that waits longest.
    pub(super) fn take_waiting(&self) -> Option<Start> {
        self.waiting.borrow_mut().pop_front()
    }

    /// A connection that is busy ends.
    pub(super) fn closed(&self) {
        self.open.set(self.open.get() - 1);
    }

    /// A connection that is busy should end rather than go idle: the limit fell.
    pub(super) fn is_over_limit(&self) -> bool {
        self.open.get() > self.limit.get()
    }

    /// A connection was not made for want of trust. True for the first: one line of log says as much as thousands.
    pub(super) fn first_tls_error(&self) -> bool {
        !self.tls_failed.replace(true)
    }

    /// A connection was not made ahead of the first start. True for the first, as above.
    pub(super) fn first_early_error(&self) -> bool {
        !self.early_failed.replace(true)
    }

    /// Waits, as an idle connection, for a start. `None`: the peer closed the connection, or it is not wanted any
    /// more; it is no longer counted. A start that comes together with the peer's close is returned with `stream`
    /// taken away, so that it is sent on a new one.
    pub(super) async fn idle(&self, stream: &mut Option<Stream>) -> Option<Start> {
        let slot = Rc::new(Slot::default());
        self.idle.borrow_mut().push(slot.clone());
        std::future::poll_fn(|cx| {
            let alive = stream.as_mut().is_some_and(|stream| is_quiet(stream, cx));
            if let Some(start) = slot.start.take() {
                if !alive {
                    *stream = None;
                }
                return Poll::Ready(Some(start));
            }
            if slot.close.get() {
                return Poll::Ready(None);
            }
            if !alive {
                self.idle.borrow_mut().retain(|other| !Rc::ptr_eq(other, &slot));
                self.closed();
                return Poll::Ready(None);
            }
            slot.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

impl Slot {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Nothing came and the peer has not closed: what an idle connection should look like. Over TLS this also takes in what
/// the peer sends between answers, such as tickets for sessions to come.
fn is_quiet(stream: &mut Stream, cx: &mut Context<'_>) -> bool {
    Pin::new(stream).poll_read(cx, &mut ReadBuf::new(&mut [0; 1])).is_pending()
}
