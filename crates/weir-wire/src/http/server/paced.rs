//! A connection whose other side must keep reading, and which is closed so that the other side hears the last word.
//!
//! Wrapped around every accepted socket. A client that takes nothing of its answer would hold the answer's memory for as
//! long as it likes; here it is cut off when no byte has gone out for a while. Closing waits a moment for the client to
//! end, too: a socket closed over unread bytes is reset, and a reset overtakes the answer. Reading has its own bounds
//! elsewhere.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};
use weir_core::limits::{KIB, MIB};

/// How long a closing connection waits for the other side to end.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes that a closing connection reads and throws away while it waits.
const LINGER_BYTES_MAX: usize = MIB;
/// Bytes that it throws away at once.
const LINGER_READ_BYTES: usize = 4 * KIB;

/// A stream that fails to write once it has been stuck for long.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    patience: Duration,
    /// Runs while a write is stuck.
    stuck: Option<Pin<Box<Sleep>>>,
    closing: Option<Closing>,
}

/// The end was sent; the other side's is awaited.
#[derive(Debug)]
struct Closing {
    until: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl<S> Paced<S> {
    /// `patience` is how long no byte may go out while some want to.
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, stuck: None, closing: None }
    }

    /// Watches the outcome of a write: progress stops the timer, none starts it.
    fn watch<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stuck = None;
            return outcome;
        }
        let patience = self.patience;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match stuck.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client takes nothing of its answer",
            ))),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, room)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.watch(context, outcome))?;
            let until = Box::pin(tokio::time::sleep(LINGER_TIMEOUT));
            self.closing = Some(Closing { until, bytes_left: LINGER_BYTES_MAX });
        }
        self.poll_linger(context).map(Ok)
    }
}

impl<S: AsyncRead + Unpin> Paced<S> {
    /// Reads and throws away until the other side ends, or has had its chance.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(closing) = &mut self.closing else { return Poll::Ready(()) };
        let mut waste = [0; LINGER_READ_BYTES];
        while closing.bytes_left > 0 {
            let mut room = ReadBuf::new(&mut waste);
            match Pin::new(&mut self.stream).poll_read(context, &mut room) {
                Poll::Ready(Ok(())) if !room.filled().is_empty() => {
                    closing.bytes_left = closing.bytes_left.saturating_sub(room.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return closing.until.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_stuck_fails_and_not_before_its_time() {
        let (near, _far) = tokio::io::duplex(16);
        let mut paced = Paced::new(near, PATIENCE);
        let began = tokio::time::Instant::now();
        let error = paced.write_all(&[7; 100]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, PATIENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_waited_for_as_long_as_it_reads() {
        let (near, mut far) = tokio::io::duplex(16);
        let reader = async move {
            let mut read = Vec::new();
            for _ in 0..10 {
                tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
                let mut some = [0; 16];
                let count = far.read(&mut some).await.unwrap();
                read.extend_from_slice(&some[..count]);
            }
            read
        };
        let mut paced = Paced::new(near, PATIENCE);
        let (written, read) = tokio::join!(paced.write_all(&[7; 160]), reader);
        written.unwrap();
        assert_eq!(read, [7; 160]);
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_for_the_other_side_and_not_for_ever() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"unread").await.unwrap();
        let mut paced = Paced::new(near, PATIENCE);
        let began = tokio::time::Instant::now();
        paced.shutdown().await.unwrap();
        assert_eq!(began.elapsed(), LINGER_TIMEOUT);

        let (near, mut far) = tokio::io::duplex(64);
        let mut paced = Paced::new(near, PATIENCE);
        let began = tokio::time::Instant::now();
        let (closed, ended) = tokio::join!(paced.shutdown(), far.shutdown());
        closed.unwrap();
        ended.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO, "a side that ends is not waited for");
    }
}
