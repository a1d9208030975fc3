//! One worker thread: walks its schedule, hands starts to connections, keeps the books.
//!
//! Everything here is of one thread and one current-thread runtime; workers share nothing but the queue to the
//! recorder and the newest targets. It sleeps until something is due, or a moment longer where very much is, and must never
//! spin: on a small machine a spinning client takes the core of the server that it measures.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::LocalSet,
};
use weir_client::Endpoint;
use weir_core::{
    clock::{Clock, Monotonic},
    entropy::{Rng, seeded},
};
use weir_sync::{BoundedQueue, Shutdown};

use super::{
    EngineConfig, Pace, Part, connection,
    pool::{Handed, Pool, Start},
    route::Route,
    timer::Timer,
};
use crate::{
    arrival::{Arrivals, Schedule, Share},
    meter::{Ended, LATE_AFTER, Meter, WindowPart},
    targets::Targets,
    workload::{Code, TenantIndex, Workload, codes},
};

/// Starts that wait for a connection in one worker; the next is refused, and counted as that. At 100,000 starts a
/// second it is two thirds of a second of a standing server; at lab rates it is never met before the timeout.
const WAITING_STARTS_MAX: usize = 65_536;
/// Starts handed out before the connections get a turn.
const BURST_STARTS_MAX: usize = 64;
/// A closed loop pauses after a call that never reached a server, or it would spin.
const CLOSED_LOOP_PAUSE: Duration = Duration::from_millis(10);
/// How long a stopped run waits for the answers that are on their way.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// How often the end of a run looks whether windows are complete.
const DRAIN_TICK: Duration = Duration::from_millis(50);

/// A worker with more starts a second than this wakes for starts no more often, and begins together all that are due: at 33,000 a
/// second a wake-up for each took 0.3 of a core from the server that is measured. A start waits for half such an interval in the
/// mean; its latency counts that.
const WAKES_PER_SECOND_MAX: f64 = 10_000.0;

/// What all workers of a run share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) start: Monotonic,
    pub(super) config: EngineConfig,
    pub(super) targets: watch::Receiver<Arc<Targets>>,
    pub(super) stop: Shutdown,
    pub(super) parts: Arc<BoundedQueue<Part>>,
}

/// One worker's state.
pub(super) struct Worker<W: Workload> {
    pub(super) clock: Clock,
    pub(super) config: EngineConfig,
    pub(super) workload: RefCell<W>,
    number: usize,
    pub(super) start: Monotonic,
    meter: RefCell<Meter>,
    parts: Arc<BoundedQueue<Part>>,
    pools: RefCell<BTreeMap<Endpoint, Rc<Pool>>>,
    /// Pools of endpoints that are not targets any more, until their last start has ended.
    retired: RefCell<Vec<Rc<Pool>>>,
    routes: RefCell<Vec<Route<Rc<Pool>>>>,
    /// Shuffles the routes.
    order: RefCell<Rng>,
    waiting: Cell<usize>,
    in_flight: Cell<usize>,
    /// The runtime swallows a task's panic; the worker must not.
    pub(super) task_panicked: Cell<bool>,
    /// No further start: a closed loop does not begin the next call.
    ending: Cell<bool>,
    drained: Notify,
}

/// Tells the recorder that the worker has ended, however it did: nobody waits for a worker that panicked.
struct Farewell {
    clock: Clock,
    worker: usize,
    parts: Arc<BoundedQueue<Part>>,
    whole: bool,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // Closed: the recorder has failed and said so.
        let _ = self.parts.push(Part::Done { worker: self.worker, end: self.clock.now(), whole: self.whole });
    }
}

/// Runs worker `number` to the end of the run. Called on a thread of its own.
pub(super) fn run<W: Workload>(number: usize, shared: Shared, workload: W) -> io::Result<()> {
    let mut farewell =
        Farewell { clock: shared.clock, worker: number, parts: shared.parts.clone(), whole: false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let local = LocalSet::new();
    let worker = Rc::new(Worker {
        clock: shared.clock,
        config: shared.config.clone(),
        workload: RefCell::new(workload),
        number,
        start: shared.start,
        meter: RefCell::new(Meter::new(shared.start, shared.config.window)),
        parts: shared.parts.clone(),
        pools: RefCell::default(),
        retired: RefCell::default(),
        routes: RefCell::default(),
        order: RefCell::new(seeded(shared.config.seed, &format!("routes {number}"))),
        waiting: Cell::new(0),
        in_flight: Cell::new(0),
        task_panicked: Cell::new(false),
        ending: Cell::new(false),
        drained: Notify::new(),
    });
    let driven = local.block_on(&runtime, worker.drive(shared.targets, shared.stop));
    // Dropping the tasks ends the calls that are still on their way; what waits was never sent.
    worker.ending.set(true);
    drop(local);
    worker.give_up_waiting();
    worker.finish();
    farewell.whole = !worker.task_panicked.get();
    assert!(!worker.task_panicked.get(), "a connection's task panicked");
    driven
}

/// How long a worker sleeps at least while starts come at this rate.
fn begun_together(starts_per_second: f64) -> Duration {
    if starts_per_second > WAKES_PER_SECOND_MAX {
        Duration::from_secs_f64(1.0 / WAKES_PER_SECOND_MAX)
    } else {
        Duration::ZERO
    }
}

/// When to wake: for the next start, but not before `earliest`; at the end of the run or of a window in any case.
fn wake(next: Monotonic, earliest: Monotonic, end: Monotonic, window_end: Monotonic) -> Monotonic {
    next.max(earliest).min(end).min(window_end)
}

impl<W: Workload> Worker<W> {
    async fn drive(
        self: &Rc<Self>,
        mut targets: watch::Receiver<Arc<Targets>>,
        stop: Shutdown,
    ) -> io::Result<()> {
        self.route(&targets.borrow_and_update());
        if self.config.connect_first {
            self.connect_all();
        }
        let timer = Timer::new()?;
        let end = self.config.duration.map_or(Monotonic(u64::MAX), |duration| self.start + duration);
        // Workers begin together, at the start of the run, which lies a moment ahead.
        tokio::select! {
            biased;
            () = stop.wait_async() => {}
            waited = timer.after(self.start.since(self.clock.now())) => waited?,
        }
        match self.config.pace {
            Pace::Open { per_second, arrivals } => {
                self.open_loop((per_second, arrivals), end, &timer, &mut targets, &stop).await?;
            }
            Pace::Closed => self.closed_loop(end, &timer, &mut targets, &stop).await?,
        }
        self.ending.set(true);
        self.drain(end.min(self.clock.now()), stop).await;
        Ok(())
    }

    async fn open_loop(
        self: &Rc<Self>,
        (per_second, arrivals): (f64, Arrivals),
        end: Monotonic,
        timer: &Timer,
        targets: &mut watch::Receiver<Arc<Targets>>,
        stop: &Shutdown,
    ) -> io::Result<()> {
        let share = Share { worker: self.number, workers: self.config.workers };
        let together = begun_together(per_second / self.config.workers as f64);
        let mut schedule = Schedule::new(arrivals, per_second, share, self.config.seed);
        let mut next = self.start + schedule.advance();
        while !stop.is_begun() {
            let now = self.clock.now();
            let mut burst = 0;
            while next <= now && next < end && burst < BURST_STARTS_MAX {
                self.begin(next, now);
                next = self.start + schedule.advance();
                burst += 1;
            }
            self.hand_out(now.min(next));
            if burst == BURST_STARTS_MAX {
                // More may be due: the connections get their turn, without a look at the timer.
                tokio::task::yield_now().await;
            } else if now >= end {
                return Ok(());
            } else {
                let wake = wake(next, now + together, end, self.meter.borrow().next_end(now));
                self.wait(wake.since(self.clock.now()), timer, targets, stop).await?;
            }
        }
        Ok(())
    }

    async fn closed_loop(
        self: &Rc<Self>,
        end: Monotonic,
        timer: &Timer,
        targets: &mut watch::Receiver<Arc<Targets>>,
        stop: &Shutdown,
    ) -> io::Result<()> {
        if stop.is_begun() {
            return Ok(());
        }
        for _ in 0..self.config.connections_per_worker() {
            let now = self.clock.now();
            self.begin(now, now);
        }
        loop {
            let now = self.clock.now();
            self.hand_out(now);
            if now >= end || stop.is_begun() {
                return Ok(());
            }
            let wake = end.min(self.meter.borrow().next_end(now));
            self.wait(wake.since(now), timer, targets, stop).await?;
        }
    }

    /// Sleeps until `delay` is over, the run is stopped, or there are new targets, which are taken.
    async fn wait(
        self: &Rc<Self>,
        delay: Duration,
        timer: &Timer,
        targets: &mut watch::Receiver<Arc<Targets>>,
        stop: &Shutdown,
    ) -> io::Result<()> {
        if delay.is_zero() {
            // Something is due already: the connections get their turn before it.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let changed = async {
            if targets.changed().await.is_err() {
                std::future::pending::<()>().await; // nobody will publish again: what we have stays
            }
        };
        let has_changed = tokio::select! {
            biased;
            () = stop.wait_async() => false,
            () = changed => true,
            set = timer.after(delay) => { set?; false }
        };
        if has_changed {
            self.route(&targets.borrow_and_update());
        }
        Ok(())
    }

    /// Waits for the calls on their way: for as long as their timeouts allow, or for a moment when stopped.
    async fn drain(self: &Rc<Self>, position: Monotonic, stop: Shutdown) {
        let mut deadline = self.clock.now() + self.config.timeout * 2 + STOP_GRACE;
        while self.in_flight.get() > 0 && self.clock.now() < deadline {
            if stop.is_begun() {
                self.give_up_waiting();
                deadline = deadline.min(self.clock.now() + STOP_GRACE);
            }
            let _ = tokio::time::timeout(DRAIN_TICK, self.drained.notified()).await;
            self.hand_out(position);
        }
    }

    /// Takes the newest targets: new pools, limits shared out anew, pools that nobody uses closed.
    fn route(&self, targets: &Targets) {
        let limit = self.config.connections_per_worker().div_ceil(targets.endpoints.len().max(1));
        let mut pools = self.pools.borrow_mut();
        let mut kept = BTreeMap::new();
        for endpoint in &targets.endpoints {
            let pool = pools.remove(endpoint).unwrap_or_else(|| Rc::new(Pool::new(endpoint.clone(), limit)));
            pool.set_limit(limit);
            kept.insert(endpoint.clone(), pool);
        }
        let mut retired = self.retired.borrow_mut();
        retired.retain(|pool| !pool.is_done());
        for pool in pools.values() {
            pool.set_limit(0);
            retired.push(pool.clone());
        }
        let pool_of = |index: &usize| kept[&targets.endpoints[*index]].clone();
        let mut order = self.order.borrow_mut();
        let routes = targets.routes.iter().map(|route| Route::new(route.iter().map(pool_of), &mut order));
        *self.routes.borrow_mut() = routes.collect();
        *pools = kept;
    }

    /// Opens all connections that there may be.
    fn connect_all(self: &Rc<Self>) {
        for pool in self.pools.borrow().values() {
            for _ in 0..pool.reserve_all() {
                tokio::task::spawn_local(connection::run(self.clone(), pool.clone(), None));
            }
        }
    }

    /// A start is due: chooses what it is and hands it to a connection.
    fn begin(self: &Rc<Self>, intended: Monotonic, now: Monotonic) {
        self.meter.borrow_mut().offered(intended, now.since(intended) > LATE_AFTER);
        self.in_flight.set(self.in_flight.get() + 1);
        let start = Start { intended, choice: self.workload.borrow_mut().choose() };
        let Some(pool) = self.pool_for(start.choice.tenant) else {
            return self.not_sent(start, codes::NO_ENDPOINT);
        };
        if pool.is_busy() {
            if self.waiting.get() >= WAITING_STARTS_MAX {
                return self.not_sent(start, codes::REFUSED);
            }
            self.waiting.set(self.waiting.get() + 1);
        }
        if let Handed::Open(start) = pool.hand_in(start) {
            tokio::task::spawn_local(connection::run(self.clone(), pool, Some(start)));
        }
    }

    fn pool_for(&self, tenant: TenantIndex) -> Option<Rc<Pool>> {
        self.routes.borrow_mut().get_mut(usize::from(tenant.0))?.next().cloned()
    }

    /// The start that waits longest for this endpoint, unless it is overdue.
    pub(super) fn take_waiting(self: &Rc<Self>, pool: &Pool) -> Option<Start> {
        loop {
            let start = pool.take_waiting()?;
            self.waiting.set(self.waiting.get() - 1);
            if self.clock.now().since(start.intended) <= self.config.timeout {
                return Some(start);
            }
            self.not_sent(start, codes::OVERDUE);
        }
    }

    /// Starts that wait will not be sent: the run was stopped.
    fn give_up_waiting(self: &Rc<Self>) {
        let mut pools: Vec<_> = self.pools.borrow().values().cloned().collect();
        pools.extend(self.retired.borrow().iter().cloned());
        for pool in pools {
            while let Some(start) = pool.take_waiting() {
                self.waiting.set(self.waiting.get() - 1);
                self.not_sent(start, codes::STOPPED);
            }
        }
    }

    fn not_sent(self: &Rc<Self>, start: Start, code: &'static str) {
        self.ended(&Ended {
            intended: start.intended,
            sent: None,
            done: self.clock.now(),
            tenant: start.choice.tenant,
            operation: start.choice.operation,
            code: Code::Error(code),
            records: 0,
            bytes: 0,
        });
    }

    /// Books the end of a start. In a closed loop the next one begins.
    pub(super) fn ended(self: &Rc<Self>, ended: &Ended<'_>) {
        self.meter.borrow_mut().ended(ended);
        self.in_flight.set(self.in_flight.get() - 1);
        let acks = self.workload.borrow_mut().take_acks(false);
        self.send_acks(acks);
        if self.in_flight.get() == 0 {
            self.drained.notify_one();
        }
        if matches!(self.config.pace, Pace::Closed) && !self.ending.get() {
            self.begin_next(ended);
        }
    }

    fn begin_next(self: &Rc<Self>, ended: &Ended<'_>) {
        let unreached = matches!(
            ended.code,
            Code::Error(
                codes::CONNECT
                    | codes::TLS
                    | codes::CONNECTION
                    | codes::NO_ENDPOINT
                    | codes::OVERDUE
                    | codes::REFUSED
            )
        );
        if !unreached {
            return self.begin(ended.done, ended.done);
        }
        let worker = self.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(CLOSED_LOOP_PAUSE).await;
            if !worker.ending.get() {
                let now = worker.clock.now();
                worker.begin(now, now);
            }
        });
    }

    /// Sends complete windows to the recorder.
    fn hand_out(&self, now: Monotonic) {
        let windows: Vec<_> = self.meter.borrow_mut().complete(now).collect();
        self.send_windows(windows);
    }

    fn finish(&self) {
        let acks = self.workload.borrow_mut().take_acks(true);
        self.send_acks(acks);
        let windows: Vec<_> = self.meter.borrow_mut().finish().collect();
        self.send_windows(windows);
    }

    fn send_windows(&self, windows: Vec<WindowPart>) {
        for window in windows {
            let _ = self.parts.push(Part::Window { worker: self.number, window: Box::new(window) }); // closed: the recorder has failed and said so
        }
    }

    fn send_acks(&self, acks: Vec<u8>) {
        if !acks.is_empty() {
            let _ = self.parts.push(Part::Acks(acks)); // as above
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_starts_that_come_faster_than_wake_ups_may_begin_together() {
        assert_eq!(begun_together(1.0), Duration::ZERO);
        assert_eq!(begun_together(WAKES_PER_SECOND_MAX), Duration::ZERO);
        assert_eq!(begun_together(33_000.0), Duration::from_micros(100));
    }

    #[test]
    fn a_worker_wakes_for_the_next_start_unless_it_has_just_slept_or_something_ends() {
        let wake = |next, earliest, end, window_end| {
            let at = |micros| Monotonic::ZERO + Duration::from_micros(micros);
            wake(at(next), at(earliest), at(end), at(window_end)).since(Monotonic::ZERO).as_micros()
        };
        assert_eq!(wake(50, 0, 900, 900), 50);
        assert_eq!(wake(50, 100, 900, 900), 100);
        assert_eq!(wake(300, 100, 900, 900), 300);
        assert_eq!(wake(50, 100, 80, 900), 80);
        assert_eq!(wake(50, 100, 900, 70), 70);
    }
}
