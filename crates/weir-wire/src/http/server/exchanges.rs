//! What one connection is serving: requests from their heads to the last bytes of their answers.
//!
//! Made for each connection. The socket asks it at which pace it must get rid of bytes (`paced.rs`), the connection whether
//! it is idle and whether a client of HTTP/2 keeps an answer waiting (`connection.rs`). The answers themselves say what
//! becomes of them (`delivered.rs`). It must hold no answer: only what is known of it.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

use parking_lot::Mutex;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Duration, Instant},
};
use weir_sync::ByteBudget;

use super::{
    pace::{Behind, Pace, Paces},
    serve_threads::Load,
    unfinished::Unfinished,
};

/// Exchanges that a thread must have served one at a time, one after another, before it is taken to have one caller only.
/// Among callers who come by the dozen, one is alone for a moment in every group.
const ONE_AT_A_TIME_MIN: usize = 16;

thread_local! {
    static HERE: Arc<Here> = Arc::default();
}

/// What a thread serves.
#[derive(Debug, Default)]
struct Here {
    /// Exchanges that were begun here and have not ended.
    open: AtomicUsize,
    /// Those that were begun since two were last open at once.
    one_at_a_time: AtomicUsize,
}

impl Here {
    fn begin(&self) {
        if self.open.fetch_add(1, Ordering::Relaxed) == 0 {
            self.one_at_a_time.fetch_add(1, Ordering::Relaxed);
        } else {
            self.one_at_a_time.store(0, Ordering::Relaxed);
        }
    }

    fn end(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn has_one_caller(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 1
            && self.one_at_a_time.load(Ordering::Relaxed) >= ONE_AT_A_TIME_MIN
    }
}

/// Whether this thread serves one request, and has served one at a time for a while: then nobody minds if that one waits
/// without letting the thread go. Requests whose heads it has not read yet it does not know of.
pub fn has_one_caller_here() -> bool {
    HERE.with(|here| here.has_one_caller())
}

/// The exchanges of one connection.
#[derive(Debug)]
pub(super) struct Exchanges {
    paces: Paces,
    /// What long heads are counted in.
    heads: ByteBudget,
    /// What it carries, for whoever deals connections out.
    load: Arc<Load>,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    count: usize,
    /// How many of them have come whole, on a connection that is not read again before they are answered.
    answering: usize,
    /// The head of the request that comes next, as far as it has come.
    next: Unfinished,
    /// Who waits for room for it.
    crowded: Option<Waker>,
    /// How many of them are answered without an end.
    endless: usize,
    /// When the last one ended.
    quiet_since: Instant,
    /// Answers that are watched one by one, and some that are gone.
    watched: Vec<Weak<Lying>>,
}

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Serve on.
    Serve,
    /// Nobody has asked for anything in a while.
    Idle,
    /// An answer is not taken at its pace.
    Late,
}

impl Exchanges {
    pub(super) fn new(paces: Paces, heads: ByteBudget, load: Arc<Load>) -> Self {
        let next = Unfinished::default();
        let open = Open {
            count: 0,
            answering: 0,
            next,
            crowded: None,
            endless: 0,
            quiet_since: Instant::now(),
            watched: Vec::new(),
        };
        Self { paces, heads, load, open: Mutex::new(open) }
    }

    /// A request has come; `permit` is its part of what the listener serves at once, if there was one left.
    pub(super) fn begin(self: Arc<Self>, permit: Option<OwnedSemaphorePermit>) -> Exchange {
        self.load.begin();
        let here = HERE.with(Arc::clone);
        here.begin();
        let mut open = self.open.lock();
        open.count += 1;
        open.next = Unfinished::default();
        let crowded = open.crowded.take();
        drop(open);
        crowded.into_iter().for_each(Waker::wake);
        Exchange { exchanges: self, here, answering: false, endless: false, _permit: permit }
    }

    /// Whether the connection may be read on: not when the next head has no end yet and there is no room for more of it. Then
    /// `waker` is woken when what was read has turned out to be something else.
    #[must_use]
    pub(super) fn may_read(&self, waker: &Waker) -> bool {
        let mut open = self.open.lock();
        let may = open.next.is_kept_within(&self.heads);
        open.crowded = (!may).then(|| waker.clone());
        may
    }

    /// So many bytes have come of the next head.
    pub(super) fn read_of_head(&self, bytes: usize) {
        self.open.lock().next.add(bytes);
    }

    /// The same where head and body cannot be told apart, which follow each other: of a head only while none is served.
    pub(super) fn read_in_turn(&self, bytes: usize) {
        let mut open = self.open.lock();
        if open.count == 0 {
            open.next.add(bytes);
        }
    }

    /// The next head is whole.
    pub(super) fn head_ended(&self) {
        self.open.lock().next = Unfinished::default();
    }

    /// Whether nobody reads because a request is answered first.
    pub(super) fn is_answering(&self) -> bool {
        self.open.lock().answering > 0
    }

    /// How fast the socket must get rid of what is written to it.
    pub(super) fn pace(&self) -> Pace {
        if self.open.lock().endless > 0 { self.paces.endless } else { self.paces.whole }
    }

    /// What to do with the connection at `now`, when it may be idle for `idle`.
    pub(super) fn verdict(&self, now: Instant, idle: Duration) -> Verdict {
        let mut open = self.open.lock();
        open.watched.retain(|lying| lying.strong_count() > 0);
        if open.watched.iter().filter_map(Weak::upgrade).any(|lying| lying.is_late(now)) {
            Verdict::Late
        } else if open.count == 0 && open.watched.is_empty() && now >= open.quiet_since + idle {
            Verdict::Idle
        } else {
            Verdict::Serve
        }
    }
}

/// One request that is being served, until its answer is gone.
#[derive(Debug)]
pub(super) struct Exchange {
    exchanges: Arc<Exchanges>,
    /// Of the thread that it was begun on.
    here: Arc<Here>,
    answering: bool,
    endless: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Exchange {
    /// The request has come whole, and its connection is not read again before it is answered.
    pub(super) fn begin_answering(&mut self) {
        if !self.answering {
            self.answering = true;
            self.exchanges.open.lock().answering += 1;
        }
    }

    /// The answer is a stream.
    pub(super) fn is_endless(&mut self) {
        if !self.endless {
            self.endless = true;
            self.exchanges.open.lock().endless += 1;
        }
    }

    /// Has this answer watched for itself, not by the socket alone.
    pub(super) fn watch(&self) -> Arc<Lying> {
        let Paces { whole, endless } = self.exchanges.paces;
        let pace = if self.endless { endless } else { whole };
        let lying = Arc::new(Lying { pace, state: Mutex::new(LyingState { bytes: 0, behind: None }) });
        let mut open = self.exchanges.open.lock();
        if open.watched.len() == open.watched.capacity() {
            open.watched.retain(|lying| lying.strong_count() > 0);
        }
        open.watched.push(Arc::downgrade(&lying));
        lying
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut open = self.exchanges.open.lock();
        open.count -= 1;
        open.answering -= usize::from(self.answering);
        open.endless -= usize::from(self.endless);
        open.quiet_since = Instant::now();
        self.exchanges.load.end();
        self.here.end();
    }
}

/// Bytes of one answer that were handed to the connection and have not left it.
#[derive(Debug)]
pub(super) struct Lying {
    pace: Pace,
    state: Mutex<LyingState>,
}

#[derive(Debug)]
struct LyingState {
    bytes: usize,
    behind: Option<Behind>,
}

impl Lying {
    /// So many bytes were handed over at `now`.
    pub(super) fn add(&self, bytes: usize, now: Instant) {
        let mut state = self.state.lock();
        if state.bytes == 0 && state.behind.is_none() {
            state.behind = Some(Behind::new(now));
        }
        state.bytes += bytes;
    }

    /// So many have left.
    pub(super) fn remove(&self, bytes: usize, now: Instant) {
        let mut state = self.state.lock();
        state.bytes -= bytes;
        if let Some(behind) = &mut state.behind {
            behind.wrote(bytes as u64, now);
        }
    }

    /// There is nothing to hand over at present: what comes next is not late for what came before.
    pub(super) fn pause(&self) {
        let mut state = self.state.lock();
        if state.bytes == 0 {
            state.behind = None;
        }
    }

    fn is_late(&self, now: Instant) -> bool {
        let state = self.state.lock();
        state.bytes > 0 && state.behind.is_some_and(|behind| now > behind.deadline(self.pace))
    }
}

#[cfg(test)]
mod tests {
    use weir_core::limits::{HTTP_HEAD_BYTES_FREE, KIB};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const IDLE: Duration = Duration::from_secs(60);
    const HEADS_BYTES: usize = 10 * KIB;

    fn exchanges() -> Arc<Exchanges> {
        let whole = Pace { patience: 30 * SECOND, bytes_per_second: 10 };
        let endless = Pace { patience: 300 * SECOND, bytes_per_second: 1 };
        Arc::new(Exchanges::new(Paces { whole, endless }, ByteBudget::new(HEADS_BYTES), Arc::default()))
    }

    fn begin(exchanges: &Arc<Exchanges>) -> Exchange {
        Arc::clone(exchanges).begin(None)
    }

    #[test]
    fn a_head_that_goes_on_takes_of_the_budget_until_its_request_begins() {
        let exchanges = exchanges();
        let available = || exchanges.heads.available();
        let may_read = || exchanges.may_read(Waker::noop());
        exchanges.read_in_turn(HTTP_HEAD_BYTES_FREE + 4 * KIB);
        assert_eq!(available(), HEADS_BYTES, "most heads are whole at once, with some of the body");
        assert!(may_read());
        assert_eq!(
            available(),
            HEADS_BYTES - 8 * KIB,
            "this one was not, and lies in a buffer of twice its size"
        );
        exchanges.read_in_turn(2 * KIB);
        assert!(!may_read(), "more than there is");

        let one = begin(&exchanges);
        assert_eq!(available(), HEADS_BYTES);
        exchanges.read_in_turn(1_000 * KIB);
        assert!(may_read(), "a body is counted elsewhere");
        exchanges.read_of_head(1_000 * KIB);
        assert!(!may_read(), "beside a request that is served another may come");
        exchanges.head_ended();
        drop(one);
        exchanges.read_in_turn(HTTP_HEAD_BYTES_FREE);
        assert!(may_read());
        drop(begin(&exchanges));
        exchanges.read_in_turn(HTTP_HEAD_BYTES_FREE);
        assert!(may_read());
        assert_eq!(available(), HEADS_BYTES, "each head begins anew");
    }

    #[test]
    fn a_thread_has_one_caller_when_it_has_served_one_at_a_time_for_a_while() {
        let exchanges = exchanges();
        let serve = || {
            let _open = begin(&exchanges);
            has_one_caller_here()
        };
        assert!(!has_one_caller_here());
        let seen: Vec<_> = (0..ONE_AT_A_TIME_MIN).map(|_| serve()).collect();
        assert_eq!(seen.iter().position(|&alone| alone), Some(ONE_AT_A_TIME_MIN - 1));
        assert!(!has_one_caller_here(), "nothing is served");
        let elsewhere = std::thread::scope(|scope| scope.spawn(has_one_caller_here).join().unwrap());
        assert!(!elsewhere && serve(), "each thread has its own");

        let (one, other) = (begin(&exchanges), begin(&exchanges));
        assert!(!has_one_caller_here());
        std::thread::scope(|scope| scope.spawn(move || drop(other)).join().unwrap());
        assert!(!has_one_caller_here(), "there were two a moment ago");
        drop(one);
        assert!(!serve());
        assert!((0..ONE_AT_A_TIME_MIN).any(|_| serve()), "what ended on another thread has ended here");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_when_nothing_is_served_and_some_time_after() {
        let exchanges = exchanges();
        let verdict = |exchanges: &Exchanges| exchanges.verdict(Instant::now(), IDLE);
        let (one, other) = (begin(&exchanges), begin(&exchanges));
        tokio::time::advance(10 * IDLE).await;
        drop(one);
        assert_eq!(verdict(&exchanges), Verdict::Serve, "one is still served");
        drop(other);
        assert_eq!(verdict(&exchanges), Verdict::Serve, "it ended just now");
        tokio::time::advance(IDLE).await;
        assert_eq!(verdict(&exchanges), Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_lies_is_late_and_one_that_is_taken_at_the_pace_is_not() {
        let exchanges = exchanges();
        let exchange = begin(&exchanges);
        let lying = exchange.watch();
        let verdict = || exchanges.verdict(Instant::now(), IDLE);
        lying.add(1_000, Instant::now());
        for _ in 0..10 {
            tokio::time::advance(10 * SECOND).await;
            lying.add(100, Instant::now());
            lying.remove(100, Instant::now());
            assert_eq!(verdict(), Verdict::Serve);
        }
        tokio::time::advance(31 * SECOND).await;
        assert_eq!(verdict(), Verdict::Late, "nothing went out for longer than the patience");
        lying.remove(1_000, Instant::now());
        assert_eq!(verdict(), Verdict::Serve, "all is gone");
        lying.add(1, Instant::now());
        drop(exchange);
        tokio::time::advance(29 * SECOND).await;
        let idle_at_once = || exchanges.verdict(Instant::now(), Duration::ZERO);
        assert_eq!(idle_at_once(), Verdict::Serve, "its last byte has not gone out");
        drop(lying);
        tokio::time::advance(31 * SECOND).await;
        assert_eq!(idle_at_once(), Verdict::Idle, "an answer that is gone is not waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_has_more_patience_for_its_reader_and_so_has_its_socket() {
        let exchanges = exchanges();
        let mut exchange = begin(&exchanges);
        assert_eq!(exchanges.pace().patience, 30 * SECOND);
        exchange.is_endless();
        assert_eq!(exchanges.pace().patience, 300 * SECOND);
        let lying = exchange.watch();
        tokio::time::advance(1_000 * SECOND).await;
        lying.add(1, Instant::now());
        tokio::time::advance(299 * SECOND).await;
        assert_eq!(exchanges.verdict(Instant::now(), IDLE), Verdict::Serve);
        lying.remove(1, Instant::now());
        lying.pause();
        tokio::time::advance(1_000 * SECOND).await;
        lying.add(1, Instant::now());
        assert_eq!(exchanges.verdict(Instant::now(), IDLE), Verdict::Serve, "it was silent, not late");
        tokio::time::advance(301 * SECOND).await;
        assert_eq!(exchanges.verdict(Instant::now(), IDLE), Verdict::Late);
        drop(exchange);
        assert_eq!(exchanges.pace().patience, 30 * SECOND);
    }
}
