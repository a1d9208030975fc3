//! The engine against a server that stalls, hangs, closes and refuses: are its figures true?
//!
//! The stall test is the load generator's own proof: what it reports is compared with the closed-form answer.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::server::{OK, Reply, Server};
use tokio::sync::watch;
use weir_client::Endpoint;
use weir_core::{
    clock::{Clock, WallMs},
    threads::Threads,
};
use weir_loadgen::{
    acks::{self, AckReader},
    arrival::Arrivals,
    engine::{self, EngineConfig, Pace},
    recorder::{Files, Recorder},
    report::{LoadReport, Run},
    targets::Targets,
    windows::Naming,
    workload::{
        Answer, Choice, Code, OperationIndex, Prepared, RequestBuffer, TenantIndex, Verdict, Workload,
    },
};
use weir_sync::Shutdown;

const OPERATIONS: &[&str] = &["Ping"];

struct Ping {
    tenants: Vec<String>,
    /// Panics at this answer, from 1.
    panic_at: u64,
    answers: u64,
    /// A start was begun and none has been sent since.
    has_begun: bool,
    /// Starts that were begun behind another one before any was sent.
    together: Arc<AtomicU64>,
}

impl Ping {
    fn new() -> Self {
        let tenants = vec!["t".to_owned()];
        Self { tenants, panic_at: 0, answers: 0, has_begun: false, together: Arc::default() }
    }
}

impl Workload for Ping {
    type Ticket = ();

    fn operations(&self) -> &'static [&'static str] {
        OPERATIONS
    }

    fn tenants(&self) -> &[String] {
        &self.tenants
    }

    fn choose(&mut self) -> Choice {
        self.together.fetch_add(u64::from(self.has_begun), Ordering::Relaxed);
        self.has_begun = true;
        Choice { tenant: TenantIndex(0), operation: OperationIndex(0), detail: 0 }
    }

    fn prepare(
        &mut self,
        _: Choice,
        endpoint: &Endpoint,
        _: WallMs,
        request: &mut RequestBuffer,
    ) -> Prepared<()> {
        self.has_begun = false;
        request.head =
            format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 4\r\n\r\n", endpoint.host()).into_bytes();
        request.own = b"ping".to_vec();
        Prepared { operation: OperationIndex(0), ticket: () }
    }

    fn judge<'a>(&mut self, (): (), answer: Answer<'a>) -> Verdict<'a> {
        self.answers += 1;
        assert_ne!(self.answers, self.panic_at, "as the test wants it");
        let code = if answer.status == 200 { Code::Success } else { Code::Error("refused-by-server") };
        Verdict { code, records: 1, bytes: 4 }
    }
}

fn open(per_second: f64, seconds: f64) -> EngineConfig {
    EngineConfig {
        pace: Pace::Open { per_second, arrivals: Arrivals::Constant },
        workers: 1,
        connections: 16,
        connect_first: false,
        timeout: Duration::from_secs(10),
        duration: Some(Duration::from_secs_f64(seconds)),
        window: Duration::from_millis(500),
        trust: None,
        seed: 1,
    }
}

fn run(config: &EngineConfig, endpoints: Vec<SocketAddr>, stop: &Shutdown) -> LoadReport {
    let (_publish, targets) = watch::channel(targets(endpoints));
    run_at(config, &targets, stop)
}

fn targets(endpoints: Vec<SocketAddr>) -> Arc<Targets> {
    Arc::new(Targets::shared(endpoints.into_iter().map(Endpoint::at).collect(), 1))
}

fn run_at(config: &EngineConfig, targets: &watch::Receiver<Arc<Targets>>, stop: &Shutdown) -> LoadReport {
    run_with(config, targets, stop, Ping::new)
}

fn run_with(
    config: &EngineConfig,
    targets: &watch::Receiver<Arc<Targets>>,
    stop: &Shutdown,
    ping: impl Fn() -> Ping,
) -> LoadReport {
    let threads = Threads::new();
    let clock = Clock::new();
    let tenants = vec!["t".to_owned()];
    let naming = Naming {
        tenants: tenants.clone(),
        operations: OPERATIONS,
        window_ms: config.window.as_millis() as u64,
        wall_start_ms: 0,
    };
    let recorder = Recorder::create(naming, config.workers, &Files::default(), b"").unwrap();
    let engine = engine::start(&threads, clock, config, targets, stop, |_| ping()).unwrap();
    let start = engine.start;
    let totals = recorder.run(&engine.parts, stop).unwrap();
    engine.join().unwrap();
    let run = Run { config, start, tenants: &tenants, operations: OPERATIONS, cpu: Duration::ZERO };
    let report = LoadReport::new(&totals, &run);
    assert_eq!(
        report.offered,
        report.succeeded + report.errors.values().sum::<u64>(),
        "every start has an end"
    );
    report
}

/// The server stands still for a known time while starts go on at a constant rate R. The start that meets the stall
/// waits for all of it (S), the next for S - 1/R, and so on: the latencies of R x S starts fall in a straight line.
/// With N starts in all, the value at rank ceil(0.99 N) is S - (N - ceil(0.99 N)) / R.
#[test]
fn a_stall_is_reported_as_long_as_it_was() {
    const RATE: f64 = 500.0;
    const SECONDS: f64 = 6.0;
    const STALL: Duration = Duration::from_secs(2);
    let stalled = Arc::new(Mutex::new(Duration::ZERO));
    let (clock, took) = (Clock::new(), stalled.clone());
    let server = Server::start(Box::new(move |request| {
        if request.number == 1_000 {
            let before = clock.now();
            while clock.now() - before < STALL {
                std::thread::park_timeout(STALL - (clock.now() - before));
            }
            *took.lock().unwrap() = clock.now() - before;
        }
        Reply::Answer(OK)
    }));
    let report = run(&open(RATE, SECONDS), vec![server.address], &Shutdown::new());

    assert_eq!((report.offered, report.succeeded), (3_000, 3_000));
    let stall_ms = stalled.lock().unwrap().as_secs_f64() * 1e3;
    let above = report.offered - (0.99 * report.offered as f64).ceil() as u64;
    let p99_ms = stall_ms - above as f64 * 1e3 / RATE;
    for (name, reported, truth) in
        [("max", report.latency_ms.max, stall_ms), ("p99", report.latency_ms.p99, p99_ms)]
    {
        let reported = reported.unwrap();
        let error = (reported / truth - 1.0).abs();
        assert!(error < 0.02, "{name} is {truth:.1} ms, reported {reported:.1} ms ({:.2} %)", error * 100.0);
    }
    // What a client that waits for its answers would have seen: one slow call for each connection, and no more.
    assert!(report.service_ms.p50.unwrap() < 100.0 && report.late_starts >= 900, "{report}");
}

#[test]
fn a_start_that_finds_no_room_is_counted_as_an_error_and_not_dropped() {
    let server = Server::start(Box::new(|_| Reply::Hang));
    let config = EngineConfig { connections: 2, timeout: Duration::from_millis(300), ..open(200.0, 1.0) };
    let report = run(&config, vec![server.address], &Shutdown::new());
    assert_eq!((report.offered, report.succeeded), (200, 0));
    let (timeouts, overdue) = (report.errors["timeout"], report.errors["overdue"]);
    assert_eq!(timeouts + overdue, 200);
    assert!(timeouts >= 4 && overdue > timeouts, "{:?}", report.errors);
}

#[test]
fn a_refused_connection_and_a_closed_one_are_told_apart() {
    let closing = Server::start(Box::new(|_| Reply::Close));
    let report = run(&open(100.0, 0.5), vec![closing.address], &Shutdown::new());
    assert_eq!(report.errors, [("connection".to_owned(), 50)].into());

    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let report = run(&open(100.0, 0.5), vec![nobody], &Shutdown::new());
    assert_eq!(report.errors, [("connect".to_owned(), 50)].into());
    let report = run(&open(100.0, 0.5), vec![], &Shutdown::new());
    assert_eq!(report.errors, [("no-endpoint".to_owned(), 50)].into());
}

/// Two are due at each wake-up, and more on a host that is late.
#[test]
fn starts_that_come_faster_than_wake_ups_begin_together() {
    let server = Server::start(Box::new(|_| Reply::Answer(OK)));
    let (_publish, targets) = watch::channel(targets(vec![server.address]));
    let together = Arc::<AtomicU64>::default();
    let ping = || Ping { together: together.clone(), ..Ping::new() };
    let report = run_with(&open(20_000.0, 0.3), &targets, &Shutdown::new(), ping);
    assert_eq!(report.offered, 6_000, "{report}");
    let together = together.load(Ordering::Relaxed);
    assert!(together > report.offered / 4, "{together} of {}", report.offered);
}

#[test]
fn connections_that_come_first_are_made_without_a_need_for_them() {
    let server = Server::start(Box::new(|_| Reply::Answer(OK)));
    let needed = EngineConfig { connections: 8, ..open(20.0, 0.2) };
    let report = run(&needed, vec![server.address], &Shutdown::new());
    let when_needed = server.connections.load(Ordering::Relaxed);
    assert!(report.succeeded == 4 && when_needed < 8, "{when_needed} connections: {report}");

    let first = EngineConfig { connect_first: true, workers: 2, ..needed };
    let report = run(&first, vec![server.address], &Shutdown::new());
    assert_eq!((report.offered, report.succeeded), (4, 4));
    assert_eq!(server.connections.load(Ordering::Relaxed), when_needed + 8);
}

/// The connections that come first fail before there is a start: each start tries for itself, and says why it failed.
#[test]
fn connections_that_come_first_and_fail_lose_no_start() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for pace in [Pace::Open { per_second: 2_000.0, arrivals: Arrivals::Constant }, Pace::Closed] {
        let config = EngineConfig { pace, connections: 2, connect_first: true, ..open(1.0, 0.3) };
        let report = run(&config, vec![nobody], &Shutdown::new());
        assert_eq!(report.errors, [("connect".to_owned(), report.offered)].into());
        let all = if matches!(pace, Pace::Closed) { 2..=62 } else { 600..=600 };
        assert!(all.contains(&report.offered), "{pace:?}: {report}");
    }
}

#[test]
fn a_server_that_hangs_takes_its_own_share_of_the_connections_only() {
    let hanging = Server::start(Box::new(|_| Reply::Hang));
    let healthy = Server::start(Box::new(|_| Reply::Answer(OK)));
    let config = EngineConfig { connections: 8, timeout: Duration::from_millis(500), ..open(400.0, 1.0) };
    let report = run(&config, vec![hanging.address, healthy.address], &Shutdown::new());
    assert_eq!(report.succeeded, 200, "every second start goes to the healthy server: {:?}", report.errors);
}

#[test]
fn an_error_answer_keeps_its_connection_and_a_close_header_ends_it() {
    const CLOSE: &[u8] = b"HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    const KEEP: &[u8] = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
    let config = EngineConfig { connections: 1, ..open(100.0, 0.5) };
    let keeping = Server::start(Box::new(|_| Reply::Answer(KEEP)));
    assert_eq!(run(&config, vec![keeping.address], &Shutdown::new()).errors["refused-by-server"], 50);
    assert_eq!(keeping.connections.load(Ordering::Relaxed), 1);
    let closing = Server::start(Box::new(|_| Reply::Answer(CLOSE)));
    run(&config, vec![closing.address], &Shutdown::new());
    assert_eq!(closing.connections.load(Ordering::Relaxed), 50);
}

#[test]
fn a_closed_loop_keeps_every_connection_busy_and_survives_a_server_that_is_not_there() {
    let server = Server::start(Box::new(|_| Reply::Answer(OK)));
    let config = EngineConfig { pace: Pace::Closed, connections: 4, workers: 2, ..open(1.0, 0.5) };
    let report = run(&config, vec![server.address], &Shutdown::new());
    assert_eq!(report.succeeded, server.requests.load(Ordering::Relaxed));
    assert!(report.succeeded > 100, "{report}");
    assert_eq!(server.connections.load(Ordering::Relaxed), 4);

    let report = run(&config, vec![], &Shutdown::new());
    // One call for each connection and pause: 4 x 50 at most, not a spinning loop.
    assert!((4..=204).contains(&report.errors["no-endpoint"]), "{:?}", report.errors);
}

#[test]
fn a_run_that_is_stopped_before_its_start_makes_none() {
    let server = Server::start(Box::new(|_| Reply::Answer(OK)));
    let stop = Shutdown::new();
    stop.begin();
    for pace in [Pace::Open { per_second: 1_000.0, arrivals: Arrivals::Constant }, Pace::Closed] {
        let config = EngineConfig { pace, connect_first: true, duration: None, ..open(1.0, 0.0) };
        assert_eq!(run(&config, vec![server.address], &stop).offered, 0, "{pace:?}");
    }
}

#[test]
fn a_stopped_run_ends_at_once_and_its_books_still_balance() {
    let server = Server::start(Box::new(|_| Reply::Hang));
    let stop = Shutdown::new();
    let config = EngineConfig { connections: 2, duration: None, ..open(100.0, 0.0) };
    let stopper = stop.clone();
    let requests = server.requests.clone();
    let thread = Threads::new()
        .spawn("stopper", move || {
            while requests.load(Ordering::Relaxed) < 2 {
                std::thread::yield_now();
            }
            stopper.begin();
        })
        .unwrap();
    let report = run(&config, vec![server.address], &stop);
    thread.join().unwrap();
    assert_eq!(report.errors["stopped"], report.offered);
    assert!(report.seconds < 9.0, "did not wait for the timeout: {} s", report.seconds);
}

#[test]
fn targets_may_change_while_starts_wait_and_none_is_lost() {
    let hanging = Server::start(Box::new(|_| Reply::Hang));
    let healthy = Server::start(Box::new(|_| Reply::Answer(OK)));
    let (publish, receiver) = watch::channel(targets(vec![hanging.address]));
    let stop = Shutdown::new();
    let (stopper, stuck, answered) = (stop.clone(), hanging.requests.clone(), healthy.requests.clone());
    let next = targets(vec![healthy.address]);
    let conduct = move || {
        while stuck.load(Ordering::Relaxed) < 1 {
            std::thread::yield_now();
        }
        publish.send(next).unwrap();
        while answered.load(Ordering::Relaxed) < 20 {
            std::thread::yield_now();
        }
        stopper.begin();
    };
    let conductor = Threads::new().spawn("conductor", conduct).unwrap();
    let config = EngineConfig { connections: 1, duration: None, ..open(1_000.0, 0.0) };
    let report = run_at(&config, &receiver, &stop);
    conductor.join().unwrap();
    assert!(report.succeeded >= 20 && report.errors["stopped"] >= 1, "{report}");
}

#[test]
#[should_panic(expected = "a connection's task panicked")]
fn a_worker_that_panics_ends_the_run_and_is_heard() {
    let server = Server::start(Box::new(|_| Reply::Answer(OK)));
    let (_publish, receiver) = watch::channel(targets(vec![server.address]));
    let config = EngineConfig { workers: 2, ..open(1_000.0, 0.3) };
    let naming =
        Naming { tenants: vec!["t".into()], operations: OPERATIONS, window_ms: 500, wall_start_ms: 0 };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acks");
    let files = Files { acks: Some(path.clone()), ..Files::default() };
    let recorder = Recorder::create(naming, 2, &files, &acks::header(&[])).unwrap();
    let ping = |worker| Ping { panic_at: if worker == 0 { 10 } else { 0 }, ..Ping::new() };
    let stop = Shutdown::new();
    let engine = engine::start(&Threads::new(), Clock::new(), &config, &receiver, &stop, ping).unwrap();
    recorder.run(&engine.parts, &stop).unwrap();
    let unended = AckReader::open(&path).unwrap().read().is_err();
    assert!(unended, "what the worker knew was not written down");
    engine.join().unwrap();
}
