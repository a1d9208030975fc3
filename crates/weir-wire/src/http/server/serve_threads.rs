//! The threads that serve connections, and which connection is served by which.
//!
//! A listener has the thread that it runs on, and more if it is given some: `weir serve` is. Every connection begins on
//! the listener's own. One that carries bulk (pages of records, full puts) moves to the thread with the fewest of these,
//! which is what spreads a hot shard's readers and writers over the processors; one that carries little stays or comes
//! home, for small calls that share a thread share its wake-ups and their groups in the journal, too. The listener
//! (`server.rs`) hands every connection in. It must never move one that is serving a request, nor one of HTTP/2, whose
//! requests are tasks that would stay behind.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    runtime::{Handle, Runtime},
    sync::oneshot,
};
use weir_core::{
    limits::KIB,
    threads::{JoinHandle, Threads},
};
use weir_sync::Shutdown;

/// Requests after which a connection is looked at.
const LOOK_EXCHANGES: u64 = 8;
/// Bytes of a request and its answer from which on it is bulk: at the 1.4 GB/s of one thread of
/// readers some 45 us of work, twice what a hand-off between threads costs.
const BULK_BYTES_MIN: u64 = 64 * KIB as u64;
/// Bytes of a request and its answer up to which it is not bulk any more. Between the two, a connection stays what it was.
const LIGHT_BYTES_MAX: u64 = 16 * KIB as u64;

/// Threads that help a listener's own.
#[derive(Debug)]
pub struct ServeThreads {
    helpers: Vec<Handle>,
    running: Vec<JoinHandle<Option<Runtime>>>,
    /// Begins when nothing is to be served any more, not even what is under way.
    stop: Shutdown,
}

/// Why there are not as many threads as were asked for.
#[derive(Debug, thiserror::Error)]
#[error("a thread that serves connections: {0}")]
pub struct ServeThreadsError(io::Error);

impl ServeThreads {
    /// The listener's own thread alone.
    pub fn one() -> Self {
        Self { helpers: Vec::new(), running: Vec::new(), stop: Shutdown::new() }
    }

    /// The listener's own and as many as make it `count`, each with a runtime.
    ///
    /// # Errors
    /// When the kernel refuses a thread or what a runtime needs; those that were started end.
    pub async fn start(count: usize, threads: &Threads) -> Result<Self, ServeThreadsError> {
        let mut started = Self::one();
        for number in 2..=count {
            let (tell, told) = oneshot::channel();
            let stop = started.stop.clone();
            let helper = threads.spawn(format!("serve-{number}"), move || serve_until(&stop, tell));
            started.running.push(helper.map_err(|refused| ServeThreadsError(refused.source))?);
            let runtime = told.await.expect("a thread tells before it ends").map_err(ServeThreadsError)?;
            started.helpers.push(runtime);
        }
        Ok(started)
    }

    /// The places of the threads, the listener's first; called on it.
    pub(super) fn places(&self) -> Places {
        let runtimes = std::iter::once(Handle::current()).chain(self.helpers.iter().cloned());
        let places = runtimes.map(|runtime| Place { runtime, bulk: AtomicUsize::new(0) });
        Places { places: places.collect(), stop: self.stop.clone() }
    }
}

impl Drop for ServeThreads {
    /// Ends the helpers and what they still serve; waits for the poll that each is in.
    fn drop(&mut self) {
        self.stop.begin();
        let join = |helper: JoinHandle<_>| helper.join().expect("a panic aborts the process");
        // None goes before all have stood still: what was made in one runtime may be polled in another, and its timers
        // panic when theirs is gone.
        let runtimes: Vec<Option<Runtime>> = self.running.drain(..).map(join).collect();
        runtimes.into_iter().flatten().for_each(Runtime::shutdown_background); // there is nothing to wait for
    }
}

/// Serves what is handed to the thread's runtime until `stop` begins.
fn serve_until(stop: &Shutdown, tell: oneshot::Sender<io::Result<Handle>>) -> Option<Runtime> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let _ = tell.send(Ok(runtime.handle().clone())); // who asked may be gone: then `stop` has begun
            runtime.block_on(stop.wait_async());
            Some(runtime)
        }
        Err(error) => {
            let _ = tell.send(Err(error));
            None
        }
    }
}

/// Where connections can be served; the first is the listener's own thread. Clones are the same places.
#[derive(Debug, Clone)]
pub(super) struct Places {
    places: Arc<[Place]>,
    /// Nothing may be served any more.
    stop: Shutdown,
}

#[derive(Debug)]
struct Place {
    runtime: Handle,
    /// Connections with bulk that are served here.
    bulk: AtomicUsize,
}

impl Places {
    /// Serves a connection: `serve` makes the work of what it is given, on the listener's own thread.
    pub(super) fn serve<W>(&self, stream: TcpStream, serve: impl FnOnce(Movable, Arc<Load>) -> W)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let load = Arc::new(Load::default());
        let work =
            serve(Movable { stream: Some(stream), place: 0, load: Arc::clone(&load) }, Arc::clone(&load));
        if self.places.len() == 1 {
            self.places[0].runtime.spawn(work);
        } else {
            let resident = Resident { work: Box::pin(work), load, bulk_at: None, places: self.clone() };
            self.places[0].runtime.spawn(Served(Some(resident)));
        }
    }

    /// The place with the least bulk; `at` when no other has less. The listener's own weighs a little more: small calls are
    /// served there.
    fn least(&self, at: usize) -> usize {
        let weight =
            |place: usize| 2 * self.places[place].bulk.load(Ordering::Relaxed) + usize::from(place == 0);
        let lighter = |least, place| if weight(place) < weight(least) { place } else { least };
        (0..self.places.len()).fold(at, lighter)
    }
}

/// What a connection carries. Written and read by whichever thread serves it.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Where it is served: the socket must be known to the runtime there.
    place: AtomicUsize,
    /// Bytes, both ways, since it was last looked at.
    bytes: AtomicU64,
    /// Requests that were served since then.
    served: AtomicU64,
    /// Requests that are being served.
    open: AtomicUsize,
    /// It is never moved.
    stays: AtomicBool,
}

impl Load {
    /// A request has come.
    pub(super) fn begin(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Its answer is gone.
    pub(super) fn end(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// The connection is to stay where it is.
    pub(super) fn stay(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }

    /// So many bytes went through the socket.
    fn carried(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of a request and its answer, when it is time to look and nothing is being served; begins anew then.
    fn look(&self) -> Option<u64> {
        let served = self.served.load(Ordering::Relaxed);
        let is_busy = self.open.load(Ordering::Relaxed) > 0;
        if served < LOOK_EXCHANGES || is_busy || self.stays.load(Ordering::Relaxed) {
            return None;
        }
        self.served.store(0, Ordering::Relaxed);
        Some(self.bytes.swap(0, Ordering::Relaxed) / served)
    }
}

/// A connection and where it is.
struct Resident {
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
    load: Arc<Load>,
    /// Where it is counted as bulk.
    bulk_at: Option<usize>,
    places: Places,
}

impl Resident {
    /// Where it should be, from what it carried since the last look.
    fn destination(&mut self) -> usize {
        let at = self.load.place.load(Ordering::Relaxed);
        match self.load.look() {
            Some(bytes) if bytes >= BULK_BYTES_MIN => {
                // Not counted while the least is sought: it would run from its own weight.
                self.count(None);
                let least = self.places.least(at);
                self.count(Some(least));
                least
            }
            Some(bytes) if bytes <= LIGHT_BYTES_MAX => {
                self.count(None);
                0
            }
            _ => at,
        }
    }

    fn count(&mut self, bulk_at: Option<usize>) {
        if let Some(before) = self.bulk_at {
            self.places.places[before].bulk.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(now) = bulk_at {
            self.places.places[now].bulk.fetch_add(1, Ordering::Relaxed);
        }
        self.bulk_at = bulk_at;
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.count(None);
    }
}

/// A connection's task on one thread. It ends when the connection does or goes to another thread.
struct Served(Option<Resident>);

impl Future for Served {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let resident = self.0.as_mut().expect("polled until it is ready");
        // A runtime that ends wakes whoever waits for its timers, who must not ask for them any more.
        if resident.places.stop.is_begun() || resident.work.as_mut().poll(context).is_ready() {
            self.0 = None;
            return Poll::Ready(());
        }
        let destination = resident.destination();
        if destination == resident.load.place.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        resident.load.place.store(destination, Ordering::Relaxed);
        let moved = self.0.take().expect("it is here");
        // The first look there tells the connection whom to wake from now on.
        moved.places.clone().places[destination].runtime.spawn(Self(Some(moved)));
        Poll::Ready(())
    }
}

/// A socket that is known to the runtime of the thread that serves it, wherever that was last.
#[derive(Debug)]
pub(super) struct Movable {
    /// Always there but while it moves.
    stream: Option<TcpStream>,
    /// Where it is known.
    place: usize,
    load: Arc<Load>,
}

impl Movable {
    /// The socket, to be used on the current thread.
    fn here(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let place = self.load.place.load(Ordering::Relaxed);
        if place != self.place {
            let stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?.into_std()?;
            self.stream = Some(TcpStream::from_std(stream)?);
            self.place = place;
        }
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = outcome {
            self.load.carried(bytes);
        }
        outcome
    }
}

impl AsyncRead for Movable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = self.here()?.poll_read(context, buffer);
        self.load.carried(buffer.filled().len() - before);
        outcome
    }
}

impl AsyncWrite for Movable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.here()?.poll_write(context, bytes);
        self.wrote(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.here()?.poll_write_vectored(context, parts);
        self.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(count: usize) -> Places {
        let places = (0..count).map(|_| Place { runtime: Handle::current(), bulk: AtomicUsize::new(0) });
        Places { places: places.collect(), stop: Shutdown::new() }
    }

    fn resident(places: &Places) -> Resident {
        let work = Box::pin(std::future::pending());
        Resident { work, load: Arc::default(), bulk_at: None, places: places.clone() }
    }

    /// Where it goes after exchanges of so many bytes.
    fn after(resident: &mut Resident, bytes: u64) -> usize {
        resident.load.bytes.store(bytes * LOOK_EXCHANGES, Ordering::Relaxed);
        resident.load.served.store(LOOK_EXCHANGES, Ordering::Relaxed);
        let destination = resident.destination();
        resident.load.place.store(destination, Ordering::Relaxed);
        destination
    }

    fn bulk(places: &Places) -> Vec<usize> {
        places.places.iter().map(|place| place.bulk.load(Ordering::Relaxed)).collect()
    }

    #[tokio::test]
    async fn a_connection_moves_for_a_lighter_place_only_and_weighs_where_it_is() {
        let places = places(2);
        let (mut first, mut second, mut third) = (resident(&places), resident(&places), resident(&places));
        let (much, middling, little) = (BULK_BYTES_MIN, BULK_BYTES_MIN - 1, LIGHT_BYTES_MAX);
        assert_eq!(after(&mut first, middling), 0);
        assert_eq!(bulk(&places), [0, 0]);
        assert_eq!((after(&mut first, much), after(&mut first, much)), (1, 1), "away from the small calls");
        assert_eq!((after(&mut second, much), after(&mut second, much)), (0, 0), "no place is lighter");
        assert_eq!((after(&mut third, much), bulk(&places)), (1, vec![1, 2]));
        assert_eq!(after(&mut first, much), 1, "one more there would weigh as much");
        assert_eq!((after(&mut first, middling), bulk(&places)), (1, vec![1, 2]), "it stays what it was");
        assert_eq!((after(&mut first, little), bulk(&places)), (0, vec![1, 1]));
        drop(third);
        assert_eq!((after(&mut second, much), bulk(&places)), (1, vec![0, 1]));
        drop(second);
        assert_eq!(bulk(&places), [0, 0]);
    }

    #[tokio::test]
    async fn nothing_moves_while_it_is_busy_or_told_to_stay_or_has_hardly_begun() {
        let places = places(2);
        let mut resident = resident(&places);
        let load = Arc::clone(&resident.load);
        let mut carry = |requests: u64| {
            load.bytes.store(1 << 30, Ordering::Relaxed);
            load.served.store(requests, Ordering::Relaxed);
            resident.destination()
        };
        assert_eq!(carry(LOOK_EXCHANGES - 1), 0);
        load.begin();
        assert_eq!(carry(LOOK_EXCHANGES), 0);
        load.end();
        load.stay();
        assert_eq!(carry(LOOK_EXCHANGES), 0);
        load.stays.store(false, Ordering::Relaxed);
        assert_eq!(carry(LOOK_EXCHANGES), 1);
    }
}
