//! Which HTTP does a connection speak? Its first bytes tell, on a plain port and behind TLS alike.
//!
//! A client of HTTP/2 with prior knowledge begins with a preface that is no request of HTTP/1.1. What was read to find out
//! is read again by whoever serves the connection (`connection.rs`), who from then on reads as far as there is room for
//! heads. It waits for no byte more than it needs: the first that differs decides.

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

/// A stream whose first bytes were looked at and are still to be read, and whose heads are counted.
#[derive(Debug)]
pub(super) struct Opened<S> {
    stream: S,
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
    let heads = Heads::new(version, exchanges);
    Ok((version, Opened { stream, seen, unread: 0..end, heads }))
}

impl<S: AsyncRead + Unpin> AsyncRead for Opened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, seen, unread, heads } = &mut *self;
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Opened<S> {
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
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use weir_core::limits::MIB;
    use weir_sync::ByteBudget;

    use super::{super::Bounds, *};

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
}
