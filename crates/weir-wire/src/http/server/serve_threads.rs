//! The threads that serve connections, and which connection is served by which.
//!
//! A listener has the thread that it runs on, and more if it is given some: `weir serve` is. Every connection begins on
//! the listener's own. One that carries bulk (pages of records, full puts) moves to the thread with the fewest of these,
//! which is what spreads a hot shard's readers and writers over the processors; one that carries little stays or comes
//! home, for small calls that share a thread share its wake-ups and their groups in the journal, too. It must move a
//! connection between two looks at it only, never while it is being worked on.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread::JoinHandle,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    runtime::Handle,
    sync::oneshot,
};
use weir_core::{limits::KIB, threads::Threads};
use weir_sync::Shutdown;

/// Exchanges after which a connection is looked at.
const LOOK_EXCHANGES: u64 = 8;
/// Bytes of an exchange, both ways, from which on it is bulk: work that is longer than waking a thread by a factor of ten.
const BULK_BYTES_MIN: u64 = 64 * KIB as u64;
/// Bytes of an exchange up to which it is not bulk any more. Between the two, a connection stays what it was.
const LIGHT_BYTES_MAX: u64 = 16 * KIB as u64;

/// Threads that help a listener's own.
#[derive(Debug)]
pub struct ServeThreads {
    helpers: Vec<Handle>,
    running: Vec<JoinHandle<()>>,
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
        Places(runtimes.map(|runtime| Place { runtime, bulk: AtomicUsize::new(0) }).collect())
    }
}

impl Drop for ServeThreads {
    /// Ends the helpers and what they still serve.
    fn drop(&mut self) {
        self.stop.begin();
        for helper in self.running.drain(..) {
            helper.join().expect("a panic aborts the process");
        }
    }
}

fn serve_until(stop: &Shutdown, tell: oneshot::Sender<io::Result<Handle>>) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let _ = tell.send(Ok(runtime.handle().clone())); // who asked may be gone: then `stop` has begun
            runtime.block_on(stop.wait_async());
        }
        Err(error) => {
            let _ = tell.send(Err(error));
        }
    }
}

/// Where connections can be served; the first is the listener's own thread. Clones are the same places.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<[Place]>);

#[derive(Debug)]
struct Place {
    runtime: Handle,
    /// Connections with bulk that are served here.
    bulk: AtomicUsize,
}

impl Places {
    /// Serves a connection: `serve` makes the work of what it is given, on the listener's own thread.
    pub(super) fn serve<W>(&self, stream: TcpStream, serve: impl FnOnce(Movable) -> W)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let load = Arc::new(Load::default());
        let work = serve(Movable { stream: Some(stream), place: 0, load: Arc::clone(&load), wrote: false });
        if self.0.len() == 1 {
            self.0[0].runtime.spawn(work);
        } else {
            let resident = Resident { work: Box::pin(work), load, bulk_at: None, places: self.clone() };
            self.0[0].runtime.spawn(Served(Some(resident)));
        }
    }

    /// The place with the least bulk; `at` when no other has less.
    fn least(&self, at: usize) -> usize {
        let bulk = |place: usize| self.0[place].bulk.load(Ordering::Relaxed);
        (0..self.0.len()).fold(at, |least, place| if bulk(place) < bulk(least) { place } else { least })
    }
}

/// What a connection carries. Written and read by whichever thread serves it.
#[derive(Debug, Default)]
struct Load {
    /// Where it is served: the socket must be known to the runtime there.
    place: AtomicUsize,
    /// Bytes, both ways, since it was last looked at.
    bytes: AtomicU64,
    /// Requests or pieces of one that came after something was written, since then.
    exchanges: AtomicU64,
}

impl Load {
    /// Bytes of an exchange, once there were enough to tell; begins anew then.
    fn look(&self) -> Option<u64> {
        let exchanges = self.exchanges.load(Ordering::Relaxed);
        if exchanges < LOOK_EXCHANGES {
            return None;
        }
        self.exchanges.store(0, Ordering::Relaxed);
        Some(self.bytes.swap(0, Ordering::Relaxed) / exchanges)
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
            self.places.0[before].bulk.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(now) = bulk_at {
            self.places.0[now].bulk.fetch_add(1, Ordering::Relaxed);
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
        if resident.work.as_mut().poll(context).is_ready() {
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
        moved.places.clone().0[destination].runtime.spawn(Self(Some(moved)));
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
    /// Was the last thing a write?
    wrote: bool,
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

    fn count(&mut self, bytes: usize, is_write: bool) {
        // One thread at a time has the connection: nothing comes between a load and its store.
        let load = &self.load;
        load.bytes.store(load.bytes.load(Ordering::Relaxed) + bytes as u64, Ordering::Relaxed);
        if self.wrote && !is_write {
            load.exchanges.store(load.exchanges.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        self.wrote = is_write;
    }

    fn wrote(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = outcome {
            self.count(bytes, true);
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
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.count(read, false);
        }
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
        Places((0..count).map(|_| Place { runtime: Handle::current(), bulk: AtomicUsize::new(0) }).collect())
    }

    fn resident(places: &Places) -> Resident {
        let work = Box::pin(std::future::pending());
        Resident { work, load: Arc::default(), bulk_at: None, places: places.clone() }
    }

    /// Where it goes after exchanges of so many bytes.
    fn after(resident: &mut Resident, bytes: u64) -> usize {
        resident.load.bytes.store(bytes * LOOK_EXCHANGES, Ordering::Relaxed);
        resident.load.exchanges.store(LOOK_EXCHANGES, Ordering::Relaxed);
        let destination = resident.destination();
        resident.load.place.store(destination, Ordering::Relaxed);
        destination
    }

    fn bulk(places: &Places) -> Vec<usize> {
        places.0.iter().map(|place| place.bulk.load(Ordering::Relaxed)).collect()
    }

    #[tokio::test]
    async fn a_connection_moves_for_a_lighter_place_only_and_weighs_where_it_is() {
        let places = places(2);
        let (mut first, mut second, mut third) = (resident(&places), resident(&places), resident(&places));
        let (much, middling, little) = (BULK_BYTES_MIN, BULK_BYTES_MIN - 1, LIGHT_BYTES_MAX);
        assert_eq!(after(&mut first, middling), 0);
        assert_eq!(bulk(&places), [0, 0]);
        assert_eq!((after(&mut first, much), after(&mut first, much)), (0, 0), "no place is lighter");
        assert_eq!((after(&mut second, much), after(&mut second, much)), (1, 1));
        assert_eq!((after(&mut third, much), bulk(&places)), (0, vec![2, 1]));
        assert_eq!(after(&mut first, much), 0, "one more there would weigh as much");
        assert_eq!((after(&mut second, middling), bulk(&places)), (1, vec![2, 1]), "it stays what it was");
        assert_eq!((after(&mut second, little), bulk(&places)), (0, vec![2, 0]));
        assert_eq!((after(&mut first, much), bulk(&places)), (1, vec![1, 1]));
        drop(first);
        assert_eq!(bulk(&places), [1, 0]);
    }

    #[tokio::test]
    async fn few_exchanges_tell_nothing() {
        let places = places(2);
        let mut resident = resident(&places);
        resident.load.bytes.store(1 << 30, Ordering::Relaxed);
        resident.load.exchanges.store(LOOK_EXCHANGES - 1, Ordering::Relaxed);
        assert_eq!((resident.destination(), bulk(&places)), (0, vec![0, 0]));
    }
}
