//! The connection to one node: sends questions, brings answers, and notices when it breaks.
//!
//! Owned by the forwarder. Whoever waits on a connection that broke is told at once; nothing waits on a connection that
//! is not there.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use weir_core::{clock::Clock, limits::NODE_CALLS_MAX};
use weir_wire::{
    cell::{CellRequest, LocalNode},
    framing::{Frame, FrameLink},
};

use super::{
    Dial, ForwardError,
    backoff::Backoff,
    dial::Connection,
    in_flight::{Begun, InFlight, Sent, Waiting},
};

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
enum Up {
    Link { outgoing: mpsc::Sender<Frame>, waiting: Arc<Waiting> },
    Local(Arc<dyn LocalNode>),
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

    /// Sends a question on the connection, which is made if there is none.
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
        up.ask(request, permit).await.ok_or_else(closed)
    }

    fn live(&self) -> Option<Up> {
        self.up.lock().as_ref().filter(|up| !up.is_closed()).cloned()
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
            Ok(connection) => {
                backoff.succeeded();
                let up = Up::over(connection, self.node);
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
    fn over(connection: Connection, node: SocketAddr) -> Self {
        match connection {
            Connection::Local(node) => Self::Local(node),
            Connection::Link(FrameLink { outgoing, incoming }) => {
                let waiting = Arc::new(Waiting::default());
                tokio::spawn(deliver(incoming, Arc::clone(&waiting), node));
                Self::Link { outgoing, waiting }
            }
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Link { outgoing, waiting } => outgoing.is_closed() || waiting.is_closed(),
            Self::Local(_) => false,
        }
    }

    /// Sends or begins a question; `None` when the connection has ended, and nothing was sent.
    async fn ask(&self, request: CellRequest, permit: OwnedSemaphorePermit) -> Option<InFlight> {
        match self {
            Self::Link { outgoing, waiting } => {
                let sent = Sent::register(waiting, permit)?;
                outgoing.send(request.into_frame(sent.id())).await.ok()?; // what is not queued was not sent
                Some(InFlight::Sent(sent))
            }
            Self::Local(node) => Some(InFlight::Begun(Begun::begin(node.ask(request), permit).await)),
        }
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
