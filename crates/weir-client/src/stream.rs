//! A connection's bytes: TCP, with TLS over it where the endpoint says https.
//!
//! The client and the load generator connect through it. Over plain http nothing of TLS runs, and nothing is copied on
//! the way.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{client::TlsStream, rustls::pki_types::ServerName};

use crate::{endpoint::Endpoint, trust::Trust};

/// An open connection. Over TLS, what was written may wait for a flush.
#[derive(Debug)]
pub enum Stream {
    /// http.
    Plain(TcpStream),
    /// https. Boxed: its state takes a kilobyte, which plain connections should not carry.
    Tls(Box<TlsStream<TcpStream>>),
}

/// No connection: nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kernel could not make one.
    #[error(transparent)]
    Tcp(#[from] io::Error),
    /// The two sides did not agree: most often a certificate that is not trusted, or is another server's.
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    /// The endpoint is https, and nobody said whose certificates to believe.
    #[error("only plain http is spoken without certificates to trust")]
    NoTrust,
}

impl Stream {
    /// Connects, and shakes hands when the endpoint is https. The caller bounds the time.
    pub async fn connect(endpoint: &Endpoint, trust: Option<&Trust>) -> Result<Self, ConnectError> {
        let Some(name) = endpoint.tls_name() else { return Ok(Self::Plain(tcp(endpoint).await?)) };
        let connector = trust.ok_or(ConnectError::NoTrust)?.connector();
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| ConnectError::Tls(io::Error::other(error)))?;
        let stream = connector.connect(name, tcp(endpoint).await?).await.map_err(ConnectError::Tls)?;
        Ok(Self::Tls(Box::new(stream)))
    }
}

async fn tcp(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(endpoint.address()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
