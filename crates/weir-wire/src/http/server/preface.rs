//! Which HTTP does a connection speak, and is its client still there? Bytes that are read early tell, on a plain port and
//! behind TLS alike.
//!
//! A client of HTTP/2 with prior knowledge begins with a preface that is no request of HTTP/1.1. What was read to find out
//! is read again by whoever serves the connection (`connection.rs`), who from then on reads as far as there is room for
//! heads. It waits for no byte more than it needs: the first that differs decides. While a request of HTTP/1.1 is answered
//! nobody reads the connection, and that a client went away would be noticed by its answer at the earliest. Here its end is
//! noticed when it comes, unless it said something more before: what that leads to is seen when it is read.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::{exchanges::Exchanges, heads::Heads};

/// What every connection of HTTP/2 begins with (RFC 9113, 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// And HTTP/1.0, and everything that is neither: its answer is HTTP/1.1's.
    Http1,
    /// By prior knowledge.
    Http2,
}

/// A stream of which some bytes were looked at and are still to be read, and whose heads are counted.
#[derive(Debug)]
pub(super) struct Opened<S> {
    stream: S,
    exchanges: Arc<Exchanges>,
    seen: [u8; PREFACE.len()],
    unread: std::ops::Range<usize>,
    heads: Heads,
}

/// Reads as much as tells the protocol. Fails as the stream does; one that ends at once is HTTP/1.1's to end.
pub(super) async fn open<S: AsyncRead + Unpin>(
    mut stream: S,
    exchanges: Arc<Exchanges>,
) -> io::Result<(Version, Opened<S>)> {
    let mut seen = [0; PREFACE.len()];
    let mut end = 0;
    let version = loop {
        let count = stream.read(&mut seen[end..]).await?;
        end += count;
        if count == 0 || seen[..end] != PREFACE[..end] {
            break Version::Http1;
        }
        if end == PREFACE.len() {
            break Version::Http2;
        }
    };
    let heads = Heads::new(version, Arc::clone(&exchanges));
    Ok((version, Opened { stream, exchanges, seen, unread: 0..end, heads }))
}

impl<S: AsyncRead + Unpin> Opened<S> {
    fn has_unread(&self) -> bool {
        self.unread.start < self.unread.end
    }

    /// Fails when the client has ended while it is answered. To be asked whenever the connection has a turn.
    fn look_ahead(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.has_unread() || !self.exchanges.is_answering() {
            return Ok(());
        }
        let mut room = ReadBuf::new(&mut self.seen);
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, &mut room) {
            read?;
            self.unread = 0..room.filled().len();
            if !self.has_unread() {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the client left before its answer",
                ));
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, seen, unread, heads, .. } = &mut *self;
        ready!(heads.poll_room(context))?;
        let before = room.filled().len();
        let outcome = if unread.start == unread.end {
            Pin::new(stream).poll_read(context, room)
        } else {
            let count = unread.len().min(room.remaining());
            room.put_slice(&seen[unread.start..][..count]);
            unread.start += count;
            Poll::Ready(Ok(()))
        };
        heads.read(&room.filled()[before..]);
        outcome
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Opened<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.look_ahead(context)?; // a connection that has a turn flushes
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream};
    use weir_core::limits::MIB;
    use weir_sync::ByteBudget;

    use super::{
        super::{Bounds, exchanges::Exchange},
        *,
    };

    fn exchanges() -> Arc<Exchanges> {
        Arc::new(Exchanges::new(Bounds::SERVED.paces, ByteBudget::new(MIB), Arc::default()))
    }

    /// What is told of `bytes` that come `piece` at a time, and what is read then.
    async fn opened(bytes: &[u8], piece: usize) -> (Version, Vec<u8>) {
        let (near, mut far) = tokio::io::duplex(piece);
        let sending = async {
            far.write_all(bytes).await.unwrap();
            drop(far);
        };
        let reading = async {
            let (version, mut stream) = open(near, exchanges()).await.unwrap();
            let mut read = Vec::new();
            stream.read_to_end(&mut read).await.unwrap();
            (version, read)
        };
        tokio::join!(sending, reading).1
    }

    #[tokio::test]
    async fn the_preface_tells_in_whatever_pieces_it_comes_and_no_byte_is_lost() {
        let more = [PREFACE.as_slice(), b"and more"].concat();
        for piece in [1, 5, 24, 64] {
            assert_eq!(opened(PREFACE, piece).await, (Version::Http2, PREFACE.to_vec()));
            assert_eq!(opened(&more, piece).await, (Version::Http2, more.clone()));
            for other in
                ["", "P", "PRI * HTTP/2.0\r\n", "POST / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r!"]
            {
                let told = opened(other.as_bytes(), piece).await;
                assert_eq!(told, (Version::Http1, other.as_bytes().to_vec()), "{piece} at a time");
            }
        }
    }

    #[tokio::test]
    async fn the_first_byte_that_differs_decides_without_another() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"PO").await.unwrap();
        let (version, _stream) = open(near, exchanges()).await.unwrap(); // would wait for ever: the other side is open and silent
        assert_eq!(version, Version::Http1);
    }

    /// A connection of HTTP/1.1 whose first request, of one byte, was read.
    async fn asked() -> (Opened<DuplexStream>, DuplexStream) {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"?").await.unwrap();
        let (_, mut stream) = open(near, exchanges()).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'?');
        (stream, far)
    }

    fn begin_answering(stream: &Opened<DuplexStream>) -> Exchange {
        let mut exchange = Arc::clone(&stream.exchanges).begin(None);
        exchange.begin_answering();
        exchange
    }

    #[tokio::test]
    async fn a_client_that_ends_while_it_is_answered_is_noticed_and_one_that_waits_is_not_disturbed() {
        let (mut stream, far) = asked().await;
        let exchange = begin_answering(&stream);
        stream.flush().await.unwrap();
        drop(far);
        assert_eq!(stream.flush().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        drop(exchange);
        stream.flush().await.unwrap(); // who has had its answer may go
    }

    #[tokio::test]
    async fn what_a_client_says_while_it_is_answered_is_read_afterwards_and_whole() {
        let (mut stream, mut far) = asked().await;
        let next = b"the next request, which is longer than what is looked at";
        let exchange = begin_answering(&stream);
        far.write_all(next).await.unwrap();
        for _ in 0..3 {
            stream.flush().await.unwrap();
        }
        drop(exchange);
        drop(far);
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, next);
    }
}
