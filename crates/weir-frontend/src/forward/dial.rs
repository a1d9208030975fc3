//! How a connection to a node comes about: over a socket, or to a node in the same process.
//!
//! `weir node frontend` dials sockets; `weir serve` hands in the end of a pair. The forwarder cannot tell which.

use std::{fmt, future::Future, io, net::SocketAddr, pin::Pin, time::Duration};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use weir_wire::framing::FrameLink;

/// How long a dial may take: on loopback a listener answers at once, or its accept queue is full.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The link, when it stands.
pub type DialFuture<'a> = Pin<Box<dyn Future<Output = io::Result<FrameLink>> + Send + 'a>>;

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
            Ok(FrameLink::over(stream))
        })
    }
}

/// Holds ends of pairs whose other ends an embedded node has: one for each thread that serves. Whatever address is asked
/// for, it is this node.
pub struct EmbeddedDial {
    links: Mutex<Vec<FrameLink>>,
}

impl EmbeddedDial {
    /// Gives each link to one who dials. When all are given out, the node has stopped.
    pub fn new(links: impl IntoIterator<Item = FrameLink>) -> Self {
        Self { links: Mutex::new(links.into_iter().collect()) }
    }
}

impl Dial for EmbeddedDial {
    fn dial(&self, _node: SocketAddr) -> DialFuture<'_> {
        let link = self.links.lock().pop();
        Box::pin(std::future::ready(
            link.ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the embedded node has stopped")),
        ))
    }
}

impl fmt::Debug for EmbeddedDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedDial").field("unused", &self.links.lock().len()).finish()
    }
}
