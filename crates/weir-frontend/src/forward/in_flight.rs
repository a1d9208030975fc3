//! A question on its way, and who waits for which answer.
//!
//! Made by the link when it has taken a question, awaited by its caller. Dropping one forgets the answer, never the
//! question: what was sent, or was handed to a journal, goes on.

use std::{collections::HashMap, fmt, future, sync::Arc, task::Poll};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use weir_wire::{
    cell::{CellReply, ReplyFuture},
    codec::DecodeError,
    framing::Frame,
};

/// A question on its way.
#[derive(Debug)]
pub(super) enum InFlight {
    /// It went out on a link.
    Sent(Sent),
    /// It is being answered here.
    Begun(Begun),
}

impl InFlight {
    /// The answer; `None` when the connection ended before it, an error when it does not read.
    pub(super) async fn reply(&mut self) -> Option<Result<CellReply, DecodeError>> {
        match self {
            Self::Sent(sent) => (&mut sent.answer).await.ok().map(CellReply::from_frame),
            Self::Begun(begun) => begun.reply().await.map(Ok),
        }
    }
}

/// A question that waits for the link to bring its answer.
pub(super) struct Sent {
    id: u64,
    answer: oneshot::Receiver<Frame>,
    waiting: Arc<Waiting>,
    _permit: OwnedSemaphorePermit,
}

impl Sent {
    /// Waits for the answer to a fresh id; `None` when the link has ended. Undone by dropping it.
    pub(super) fn register(waiting: &Arc<Waiting>, permit: OwnedSemaphorePermit) -> Option<Self> {
        let (id, answer) = waiting.register()?;
        Some(Self { id, answer, waiting: Arc::clone(waiting), _permit: permit })
    }

    /// What the question must be sent under.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.waiting.forget(self.id);
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A question whose answer is being made in the task that asks. Dropping it ends what only waits.
pub(super) struct Begun {
    work: Work,
    _permit: OwnedSemaphorePermit,
}

enum Work {
    UnderWay(ReplyFuture),
    Done(Option<CellReply>),
}

impl Begun {
    /// Begins: when this returns, the question is taken.
    pub(super) async fn begin(mut work: ReplyFuture, permit: OwnedSemaphorePermit) -> Self {
        let first = future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        let work = match first {
            Poll::Ready(answer) => Work::Done(answer),
            Poll::Pending => Work::UnderWay(work),
        };
        Self { work, _permit: permit }
    }

    async fn reply(&mut self) -> Option<CellReply> {
        if let Work::UnderWay(work) = &mut self.work {
            self.work = Work::Done(work.await);
        }
        match &mut self.work {
            Work::Done(answer) => answer.take(),
            Work::UnderWay(_) => unreachable!("it was just done"),
        }
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").field("done", &matches!(self.work, Work::Done(_))).finish_non_exhaustive()
    }
}

/// Who waits for which answer of one link.
#[derive(Default)]
pub(super) struct Waiting {
    state: Mutex<WaitingState>,
}

#[derive(Default)]
struct WaitingState {
    next_id: u64,
    by_id: HashMap<u64, oneshot::Sender<Frame>>,
    closed: bool,
}

impl Waiting {
    /// A fresh id and the answer to it; `None` when the connection has ended.
    fn register(&self) -> Option<(u64, oneshot::Receiver<Frame>)> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        state.next_id += 1;
        let id = state.next_id;
        state.by_id.insert(id, sender);
        Some((id, receiver))
    }

    /// Hands an answer to who waits for it.
    pub(super) fn answered(&self, frame: Frame) {
        let waiter = self.state.lock().by_id.remove(&frame.id);
        if let Some(waiter) = waiter {
            let _ = waiter.send(frame); // it may have given up just now
        }
    }

    fn forget(&self, id: u64) {
        self.state.lock().by_id.remove(&id);
    }

    /// Ends every wait; returns how many there were.
    pub(super) fn close(&self) -> usize {
        let mut state = self.state.lock();
        state.closed = true;
        std::mem::take(&mut state.by_id).len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn a_question_that_nobody_waits_for_any_more_is_forgotten() {
        let (waiting, calls) = (Arc::new(Waiting::default()), Arc::new(Semaphore::new(1)));
        let permit = Arc::clone(&calls).try_acquire_owned().unwrap();
        let sent = Sent::register(&waiting, permit).unwrap();
        assert_eq!(waiting.state.lock().by_id.len(), 1);
        drop(sent);
        assert!(waiting.state.lock().by_id.is_empty());
        assert_eq!(calls.available_permits(), 1);
        assert_eq!(waiting.close(), 0);
        assert!(waiting.register().is_none(), "a closed link takes no more questions");
    }

    #[tokio::test]
    async fn a_wait_ends_with_its_caller_and_makes_room() {
        let calls = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&calls).try_acquire_owned().unwrap();
        let (kept, is_dropped) = oneshot::channel::<()>();
        let work = Box::pin(async move {
            let _kept = kept;
            future::pending().await
        });
        let begun = Begun::begin(work, permit).await;
        assert_eq!(calls.available_permits(), 0);
        drop(begun);
        assert_eq!(calls.available_permits(), 1);
        is_dropped.await.unwrap_err();
    }
}
