//! How a connection to a node comes about: over a socket, or to a node in the same process.
//!
//! `weir node frontend` dials sockets; `weir serve` hands its own node in.

use std::{future::Future, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use tokio::net::TcpStream;
use weir_wire::{cell::LocalNode, framing::FrameLink};

/// How long a dial may take: on loopback a listener answers at once, or its accept queue is full.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// What leads to a node.
#[derive(Debug)]
pub enum Connection {
    /// Frames that go out and come in.
    Link(FrameLink),
    /// The node itself.
    Local(Arc<dyn LocalNode>),
}

/// The connection, when it stands.
pub type DialFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Connection>> + Send + 'a>>;

/// A way to reach nodes.
pub trait Dial: Send + Sync {
    /// Connects to the node at `node`. Bounded in time.
    fn dial(&self, node: SocketAddr) -> DialFuture<'_>;
}

/// Dials TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct SocketDial;

impl Dial for SocketDial {
    fn dial(&self, node: SocketAddr) -> DialFuture<'_> {
        Box::pin(async move {
            let stream = tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(node))
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "connect took too long"))??;
            stream.set_nodelay(true)?; // a question is one write and waits for nothing
            Ok(Connection::Link(FrameLink::over(stream)))
        })
    }
}

/// The node in this process. Whatever address is asked for, it is this one.
#[derive(Debug)]
pub struct LocalDial {
    node: Arc<dyn LocalNode>,
}

impl LocalDial {
    /// Asks `node`.
    pub fn new(node: Arc<dyn LocalNode>) -> Self {
        Self { node }
    }
}

impl Dial for LocalDial {
    fn dial(&self, _node: SocketAddr) -> DialFuture<'_> {
        Box::pin(std::future::ready(Ok(Connection::Local(Arc::clone(&self.node)))))
    }
}
