//! Asks nodes: one frame a call, pipelined on one kept connection a node.
//!
//! Operations start calls and await them; several may be in flight to several nodes. Connections are made when they are
//! first needed and again after a pause when they break. A call is never repeated here: whether it may have happened
//! is told with the error, and only the client knows whether to try again.

mod backoff;
mod dial;
mod in_flight;
mod link;

use std::{
    collections::HashMap, fmt, future::Future, net::SocketAddr, sync::Arc, task::Poll, time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use weir_core::{clock::Clock, effect::Effect, limits::NODES_MAX};
use weir_wire::cell::{CellError, CellReply, CellRequest};

pub use self::dial::{Connection, Dial, DialFuture, LocalDial, SocketDial};
use self::{in_flight::InFlight, link::NodeLink};

/// Why a node's answer is missing, or what it answered instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// No connection: nothing was sent.
    #[error("no connection to {node}: {detail}")]
    Unreachable {
        /// Where to.
        node: SocketAddr,
        /// What the kernel said, or how long the pause still is.
        detail: String,
    },
    /// As many calls as may be are in flight to the node; nothing was sent.
    #[error("too many calls in flight to {node}")]
    Full {
        /// Where to.
        node: SocketAddr,
    },
    /// The connection broke after the question was handed to it.
    #[error("the connection to {node} broke before the answer")]
    Broken {
        /// Where to.
        node: SocketAddr,
    },
    /// No answer in time.
    #[error("{node} did not answer within {timeout:?}")]
    Timeout {
        /// Where to.
        node: SocketAddr,
        /// The bound.
        timeout: Duration,
    },
    /// An answer that belongs to another question.
    #[error("{node} answered nonsense")]
    Nonsense {
        /// Where to.
        node: SocketAddr,
    },
    /// The node's own refusal.
    #[error("{node}: {error}")]
    Refused {
        /// Where to.
        node: SocketAddr,
        /// What it said.
        error: CellError,
    },
}

impl ForwardError {
    /// May the write have happened?
    pub fn effect(&self) -> Effect {
        match self {
            Self::Unreachable { .. } | Self::Full { .. } => Effect::None,
            Self::Broken { .. } | Self::Timeout { .. } | Self::Nonsense { .. } => Effect::Unknown,
            Self::Refused { error, .. } => error.effect(),
        }
    }
}

/// The connections of one front end to its nodes. Its tasks run on the runtime that calls it.
pub struct Forwarder {
    dial: Arc<dyn Dial>,
    clock: Clock,
    timeout: Duration,
    links: Mutex<HashMap<SocketAddr, Arc<NodeLink>>>,
}

impl Forwarder {
    /// No connection yet. A call may take `timeout` from start to answer.
    pub fn new(dial: Arc<dyn Dial>, clock: Clock, timeout: Duration) -> Self {
        Self { dial, clock, timeout, links: Mutex::default() }
    }

    /// Sends a question. When this returns, the question is in the connection's queue, or begun by the node in this process:
    /// from here on it may happen.
    pub async fn start(&self, node: SocketAddr, request: CellRequest) -> Result<Call, ForwardError> {
        let deadline = Instant::from_std(self.clock.instant(self.clock.now() + self.timeout));
        let link = self.link(node);
        let started = link.start(request, &*self.dial, self.clock);
        match tokio::time::timeout_at(deadline, started).await {
            Ok(Ok(in_flight)) => Ok(Call { in_flight, node, deadline, timeout: self.timeout }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ForwardError::Unreachable { node, detail: "its queue stayed full".to_owned() }),
        }
    }

    /// Asks and awaits the answer.
    pub async fn call(&self, node: SocketAddr, request: CellRequest) -> Result<CellReply, ForwardError> {
        self.start(node, request).await?.answer().await
    }

    fn link(&self, node: SocketAddr) -> Arc<NodeLink> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(&node) {
            return Arc::clone(link);
        }
        if links.len() >= NODES_MAX {
            links.retain(|_, link| Arc::strong_count(link) > 1 || link.is_up());
        }
        let link = Arc::new(NodeLink::new(node));
        links.insert(node, Arc::clone(&link));
        link
    }

    /// Calls that were sent and not answered yet, over all nodes.
    pub fn calls_in_flight(&self) -> usize {
        self.links.lock().values().map(|link| link.calls_in_flight()).sum()
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").field("nodes", &self.links.lock().len()).finish_non_exhaustive()
    }
}

/// Polls calls at once until each has its outcome; these are in the calls' order.
pub(crate) async fn all<F: Future>(calls: Vec<F>) -> Vec<F::Output> {
    let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
    let mut outcomes: Vec<_> = calls.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (call, outcome) in calls.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let Poll::Ready(done) = call.as_mut().poll(context)
            {
                *outcome = Some(done);
            }
        }
        if outcomes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcomes.into_iter().map(|outcome| outcome.expect("all are here")).collect()
}

/// A question that was sent. Dropping it forgets the answer, not the question.
#[derive(Debug)]
pub struct Call {
    in_flight: InFlight,
    node: SocketAddr,
    deadline: Instant,
    timeout: Duration,
}

impl Call {
    /// Awaits the answer. A refusal of the whole question is an error.
    pub async fn answer(mut self) -> Result<CellReply, ForwardError> {
        let node = self.node;
        match tokio::time::timeout_at(self.deadline, self.in_flight.reply()).await {
            Err(_) => Err(ForwardError::Timeout { node, timeout: self.timeout }),
            Ok(None) => Err(ForwardError::Broken { node }),
            Ok(Some(Ok(CellReply::Failed(error)))) => Err(ForwardError::Refused { node, error }),
            Ok(Some(Ok(reply))) => Ok(reply),
            Ok(Some(Err(error))) => {
                tracing::error!(%node, %error, "node answered what does not read");
                Err(ForwardError::Nonsense { node })
            }
        }
    }
}

#[cfg(test)]
mod tests;
