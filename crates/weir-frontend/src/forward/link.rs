//! The connection to one node: pairs answers with questions and notices when it breaks.
//!
//! Owned by the forwarder. Whoever waits on a connection that broke is told at once; nothing waits on a connection that
//! is not there.

use std::{collections::HashMap, fmt, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use weir_core::{clock::Clock, limits::NODE_CALLS_MAX};
use weir_wire::{
    cell::CellRequest,
    framing::{Frame, FrameLink},
};

use super::{Dial, ForwardError, backoff::Backoff};

/// One node.
pub(super) struct NodeLink {
    node: SocketAddr,
    calls: Arc<Semaphore>,
    up: Mutex<Option<Up>>,
    /// Held while dialling, so that a broken connection is dialled once and not by everybody who waits for it.
    dialling: tokio::sync::Mutex<Backoff>,
}

/// A connection that stood when it was last looked at.
#[derive(Clone)]
struct Up {
    outgoing: mpsc::Sender<Frame>,
    waiting: Arc<Waiting>,
}

/// Who waits for which answer.
#[derive(Default)]
struct Waiting {
    state: Mutex<WaitingState>,
}

#[derive(Default)]
struct WaitingState {
    next_id: u64,
    by_id: HashMap<u64, oneshot::Sender<Frame>>,
    closed: bool,
}

impl NodeLink {
    pub(super) fn new(node: SocketAddr) -> Self {
        Self {
            node,
            calls: Arc::new(Semaphore::new(NODE_CALLS_MAX)),
            up: Mutex::new(None),
            dialling: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.live().is_some()
    }

    pub(super) fn calls_in_flight(&self) -> usize {
        NODE_CALLS_MAX - self.calls.available_permits()
    }

    /// Queues a question on the connection, which is made if there is none.
    pub(super) async fn start(
        &self,
        request: CellRequest,
        dial: &dyn Dial,
        clock: Clock,
    ) -> Result<InFlight, ForwardError> {
        let permit = Arc::clone(&self.calls)
            .try_acquire_owned()
            .map_err(|_| ForwardError::Full { node: self.node })?;
        let up = match self.live() {
            Some(up) => up,
            None => self.connect(dial, clock).await?,
        };
        let closed = || ForwardError::Unreachable { node: self.node, detail: "it just closed".to_owned() };
        let (id, answer) = up.waiting.register().ok_or_else(closed)?;
        // From here on the registration is undone by dropping this.
        let in_flight = InFlight { id, answer, waiting: Arc::clone(&up.waiting), _permit: permit };
        // A frame that does not enter the queue was not sent.
        up.outgoing.send(request.into_frame(id)).await.map_err(|_| closed())?;
        Ok(in_flight)
    }

    fn live(&self) -> Option<Up> {
        self.up.lock().as_ref().filter(|up| !up.outgoing.is_closed() && !up.waiting.is_closed()).cloned()
    }

    async fn connect(&self, dial: &dyn Dial, clock: Clock) -> Result<Up, ForwardError> {
        let mut backoff = self.dialling.lock().await;
        if let Some(up) = self.live() {
            return Ok(up); // somebody else connected while this waited
        }
        let unreachable = |detail: String| ForwardError::Unreachable { node: self.node, detail };
        if let Some(wait) = backoff.wait(clock.now()) {
            return Err(unreachable(format!("next dial in {wait:?}")));
        }
        match dial.dial(self.node).await {
            Ok(link) => {
                backoff.succeeded();
                let up = Up::over(link, self.node);
                *self.up.lock() = Some(up.clone());
                Ok(up)
            }
            Err(error) => {
                backoff.failed(clock.now());
                tracing::warn!(node = %self.node, %error, "node dial failed");
                Err(unreachable(error.to_string()))
            }
        }
    }
}

impl Up {
    fn over(link: FrameLink, node: SocketAddr) -> Self {
        let FrameLink { outgoing, incoming } = link;
        let waiting = Arc::new(Waiting::default());
        tokio::spawn(deliver(incoming, Arc::clone(&waiting), node));
        Self { outgoing, waiting }
    }
}

/// Hands each answer to who waits for it, until the connection ends.
async fn deliver(mut incoming: mpsc::Receiver<Frame>, waiting: Arc<Waiting>, node: SocketAddr) {
    while let Some(frame) = incoming.recv().await {
        waiting.answered(frame);
    }
    let left = waiting.close();
    tracing::debug!(%node, unanswered = left, "node link closed");
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

    fn answered(&self, frame: Frame) {
        let waiter = self.state.lock().by_id.remove(&frame.id);
        if let Some(waiter) = waiter {
            let _ = waiter.send(frame); // it may have given up just now
        }
    }

    fn forget(&self, id: u64) {
        self.state.lock().by_id.remove(&id);
    }

    /// Ends every wait; returns how many there were.
    fn close(&self) -> usize {
        let mut state = self.state.lock();
        state.closed = true;
        std::mem::take(&mut state.by_id).len()
    }

    fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

/// A question on its way.
pub(super) struct InFlight {
    id: u64,
    answer: oneshot::Receiver<Frame>,
    waiting: Arc<Waiting>,
    _permit: OwnedSemaphorePermit,
}

impl InFlight {
    /// The answer; `None` when the connection ended before it.
    pub(super) async fn frame(&mut self) -> Option<Frame> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.waiting.forget(self.id);
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_nobody_waits_for_any_more_is_forgotten() {
        let (waiting, calls) = (Arc::new(Waiting::default()), Arc::new(Semaphore::new(1)));
        let (id, answer) = waiting.register().unwrap();
        let permit = Arc::clone(&calls).try_acquire_owned().unwrap();
        let in_flight = InFlight { id, answer, waiting: Arc::clone(&waiting), _permit: permit };
        assert_eq!(waiting.state.lock().by_id.len(), 1);
        drop(in_flight);
        assert!(waiting.state.lock().by_id.is_empty());
        assert_eq!(calls.available_permits(), 1);
        assert_eq!(waiting.close(), 0);
        assert!(waiting.register().is_none(), "a closed link takes no more questions");
    }
}
