//! A connection whose other side must keep reading, which takes turns, and which is closed so that the other side hears the
//! last word.
//!
//! Wrapped around every accepted socket. A client that takes nothing of its answer, or takes it by the spoonful, would hold
//! the answer's memory for as long as it likes; here it is cut off when no byte has gone out for a while, or when it has
//! fallen behind a least pace. Closing waits a moment for the client to end, too: a socket closed over unread bytes is
//! reset, and a reset overtakes the answer. How much is read altogether is bounded elsewhere (`body.rs`, `heads.rs`); here,
//! how much at a time, for connections share their thread.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};
use weir_core::limits::{KIB, MIB};

use super::{exchanges::Exchanges, pace::Behind};

/// Bytes that a connection reads in one turn, before others have theirs: two frames of a body, but also two thousand of
/// HTTP/2's smallest, whose flood would else take all turns for itself.
const TURN_BYTES: usize = 32 * KIB;
/// How long a closing connection waits for the other side to end.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes that a closing connection reads and throws away while it waits.
const LINGER_BYTES_MAX: usize = MIB;
/// Bytes that it throws away at once.
const LINGER_READ_BYTES: usize = 4 * KIB;

/// A stream that fails to write when the other side does not keep the pace.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    /// What is being answered says at which pace.
    exchanges: Arc<Exchanges>,
    /// From when a write found no room until everything has gone out.
    lag: Option<Lag>,
    /// Bytes that were read since others last had a turn.
    turn_bytes: usize,
    closing: Option<Closing>,
}

/// The other side lets bytes lie; when they are given up.
#[derive(Debug)]
struct Lag {
    behind: Behind,
    wake: Pin<Box<Sleep>>,
}

impl Lag {
    fn new(now: Instant) -> Self {
        Self { behind: Behind::new(now), wake: Box::pin(tokio::time::sleep_until(now)) }
    }
}

/// The end was sent; the other side's is awaited.
#[derive(Debug)]
struct Closing {
    until: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, exchanges: Arc<Exchanges>) -> Self {
        Self { stream, exchanges, lag: None, turn_bytes: 0, closing: None }
    }

    /// Counts what a write got out.
    fn watch_write(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let (Poll::Ready(Ok(written)), Some(lag)) = (&outcome, &mut self.lag) {
            let now = Instant::now();
            if now > lag.behind.deadline(self.exchanges.pace()) {
                return Poll::Ready(Err(too_slow()));
            }
            lag.behind.wrote(*written as u64, now);
        }
        self.watch(context, outcome)
    }

    /// Fails what is pending for longer than the pace allows.
    fn watch<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            return outcome;
        }
        let lag = self.lag.get_or_insert_with(|| Lag::new(Instant::now()));
        let deadline = lag.behind.deadline(self.exchanges.pace());
        if lag.wake.deadline() != deadline {
            lag.wake.as_mut().reset(deadline);
        }
        lag.wake.as_mut().poll(context).map(|()| Err(too_slow()))
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client does not take its answer")
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn_bytes >= TURN_BYTES {
            self.turn_bytes = 0;
            context.waker().wake_by_ref(); // behind all who wait for their turn
            return Poll::Pending;
        }
        let before = room.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, room);
        match outcome {
            Poll::Ready(_) => self.turn_bytes += room.filled().len() - before,
            Poll::Pending => self.turn_bytes = 0, // others have theirs now
        }
        outcome
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch_write(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch_write(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        if outcome.is_ready() {
            self.lag = None; // nothing is left to write
        }
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
    use weir_sync::ByteBudget;

    use super::{
        super::pace::{Pace, Paces},
        *,
    };

    const PATIENCE: Duration = Duration::from_secs(30);
    const PACE: Pace = Pace { patience: PATIENCE, bytes_per_second: 1 };

    fn watched<S>(stream: S) -> Paced<S> {
        let exchanges =
            Exchanges::new(Paces { whole: PACE, endless: PACE }, ByteBudget::new(0), Arc::default());
        Paced::new(stream, Arc::new(exchanges))
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_stuck_fails_and_not_before_its_time() {
        let (near, _far) = tokio::io::duplex(16);
        let mut paced = watched(near);
        let began = Instant::now();
        let error = paced.write_all(&[7; 100]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, PATIENCE));
    }

    /// Reads `bytes` at a time, `pause` apart, until the other side ends; how long that took.
    async fn read_slowly(mut far: tokio::io::DuplexStream, bytes: usize, pause: Duration) -> Duration {
        let began = Instant::now();
        loop {
            tokio::time::sleep(pause).await;
            let mut some = vec![0; bytes];
            if far.read(&mut some).await.unwrap() == 0 {
                return began.elapsed();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_keeps_the_pace_is_waited_for_however_long_the_answer_is() {
        let (near, far) = tokio::io::duplex(16);
        let writer = async move {
            let mut paced = watched(near);
            paced.write_all(&[7; 1_600]).await
        };
        let (written, took) = tokio::join!(writer, read_slowly(far, 16, Duration::from_secs(16)));
        written.unwrap();
        assert!(took >= Duration::from_secs(1_600), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_a_little_now_and_then_is_cut_off_when_it_is_behind() {
        let (near, far) = tokio::io::duplex(16);
        let writer = async move {
            let began = Instant::now();
            let error = watched(near).write_all(&[7; 1_600]).await.unwrap_err();
            (error.kind(), began.elapsed())
        };
        let (cut_off, _) = tokio::join!(writer, read_slowly(far, 4, Duration::from_secs(16)));
        // By 40 s it has taken 8 bytes and earned 8 s.
        assert_eq!(cut_off, (io::ErrorKind::TimedOut, Duration::from_secs(38)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_answer_is_not_held_to_the_pace_of_the_one_before() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut paced = watched(near);
        for _ in 0..4 {
            let slow = async {
                tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
                far.read_exact(&mut [0; 17]).await.unwrap();
            };
            let writing = async {
                paced.write_all(&[7; 17]).await.unwrap();
                paced.flush().await.unwrap();
            };
            tokio::join!(slow, writing);
        }
    }

    #[tokio::test]
    async fn a_client_that_sends_without_a_pause_leaves_turns_to_the_others() {
        let (near, mut far) = tokio::io::duplex(4 * TURN_BYTES);
        far.write_all(&[7; 4 * TURN_BYTES]).await.unwrap();
        let mut paced = watched(near);
        let mut turns = 0;
        let others = async {
            loop {
                turns += 1;
                tokio::task::yield_now().await;
            }
        };
        let mut all = vec![0; 4 * TURN_BYTES];
        let reading = async {
            for part in all.chunks_mut(KIB) {
                paced.read_exact(part).await.unwrap(); // there is always more to read
            }
        };
        tokio::select! {
            biased;
            () = others => {}
            () = reading => {}
        }
        assert_eq!(turns, 4, "one before each of four parts");
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_for_the_other_side_and_not_for_ever() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"unread").await.unwrap();
        let mut paced = watched(near);
        let began = Instant::now();
        paced.shutdown().await.unwrap();
        assert_eq!(began.elapsed(), LINGER_TIMEOUT);

        let (near, mut far) = tokio::io::duplex(64);
        let mut paced = watched(near);
        let began = Instant::now();
        let (closed, ended) = tokio::join!(paced.shutdown(), far.shutdown());
        closed.unwrap();
        ended.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO, "a side that ends is not waited for");
    }
}
