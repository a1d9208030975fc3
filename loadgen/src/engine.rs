//! The open-loop engine: worker threads that start requests when the plan says so, whatever the server does.
//!
//! [`start`] spawns the workers; each drives its own workload over its own connections on a current-thread runtime
//! and hands whole windows to a bounded queue, which the recorder empties. Generating, driving and reporting share no
//! thread. It must never drop a start in silence: one that could not be sent ends with a code of its own.

mod connection;
mod pool;
mod response;
mod route;
mod timer;
mod worker;

use std::{io, sync::Arc, thread::JoinHandle, time::Duration};

use tokio::sync::watch;
use weir_client::Trust;
use weir_core::{
    clock::{Clock, Monotonic},
    threads::{SpawnRefused, Threads},
};
use weir_sync::{BoundedQueue, Overflow, Shutdown};

use crate::{arrival::Arrivals, meter::WindowPart, targets::Targets, workload::Workload};

/// Parts that wait for the recorder. Workers wait when it is full, which shows as late starts: it takes a disk that
/// stands still for tens of seconds.
const PARTS_MAX: usize = 1_024;
/// The run starts this long after the workers were spawned, so that all of them are ready.
const HEAD_START: Duration = Duration::from_millis(50);
/// And this much later for each connection that comes first. Over loopback one takes 23 to 74 us, both ends included.
const HEAD_START_PER_CONNECTION: Duration = Duration::from_micros(200);

/// How requests are paced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Open loop: starts follow a plan.
    Open {
        /// Starts a second, over all workers.
        per_second: f64,
        /// How they are spread.
        arrivals: Arrivals,
    },
    /// Closed loop: each connection starts its next call when the last one ended. Measures capacity, not latency.
    Closed,
}

/// How the engine runs, whatever the workload.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The pace.
    pub pace: Pace,
    /// Worker threads; at least 1.
    pub workers: usize,
    /// Connections of all workers together. Each worker has an equal share and divides it equally among the endpoints; both are
    /// rounded up.
    pub connections: usize,
    /// Open them all ahead of the first start, so that what is measured is calls and not the making of connections?
    /// Else each is opened when it is needed. A start that comes while they are being made waits for one.
    pub connect_first: bool,
    /// From the moment a request gets its connection to its whole answer; also how long a start waits for one.
    pub timeout: Duration,
    /// How long starts are made; none: until stopped.
    pub duration: Option<Duration>,
    /// Length of a window.
    pub window: Duration,
    /// Whose certificates are believed at https endpoints; none: there are no such endpoints.
    pub trust: Option<Trust>,
    /// Makes arrivals repeatable.
    pub seed: u64,
}

impl EngineConfig {
    fn connections_per_worker(&self) -> usize {
        self.connections.div_ceil(self.workers)
    }

    /// How long after the workers were spawned the run starts.
    pub(crate) fn head_start(&self) -> Duration {
        let connections = if self.connect_first { self.connections as u32 } else { 0 };
        HEAD_START + HEAD_START_PER_CONNECTION * connections
    }
}

/// What workers hand to the recorder.
#[derive(Debug)]
pub enum Part {
    /// A window that is complete, of one worker. Each worker sends its windows in order, without gaps.
    Window {
        /// Whose.
        worker: usize,
        /// The window.
        window: Box<WindowPart>,
    },
    /// Bytes for the file of acknowledged records.
    Acks(Vec<u8>),
    /// A worker has ended.
    Done {
        /// Which.
        worker: usize,
        /// When its last call had ended.
        end: Monotonic,
        /// Everything it knew was handed out. False when it panicked.
        whole: bool,
    },
}

/// The workers of a run could not be started.
#[derive(Debug, thiserror::Error)]
#[error("start worker {worker}: {source}")]
pub struct StartError {
    /// Which.
    pub worker: usize,
    /// What the kernel said.
    pub source: SpawnRefused,
}

/// Workers at work.
#[derive(Debug)]
pub struct Engine {
    /// When the run starts, on the clock that was given.
    pub start: Monotonic,
    /// What the workers hand out. Emptied by one recorder until it has seen [`Part::Done`] from each worker.
    pub parts: Arc<BoundedQueue<Part>>,
    workers: Vec<JoinHandle<io::Result<()>>>,
}

/// Starts the workers. `workload` makes each worker's own.
pub fn start<W: Workload + Send>(
    threads: &Threads,
    clock: Clock,
    config: &EngineConfig,
    targets: &watch::Receiver<Arc<Targets>>,
    stop: &Shutdown,
    mut workload: impl FnMut(usize) -> W,
) -> Result<Engine, StartError> {
    let start = clock.now() + config.head_start();
    let parts = Arc::new(BoundedQueue::new(PARTS_MAX, Overflow::Block));
    let mut workers = Vec::with_capacity(config.workers);
    for number in 0..config.workers {
        let shared = worker::Shared {
            clock,
            start,
            config: config.clone(),
            targets: targets.clone(),
            stop: stop.clone(),
            parts: parts.clone(),
        };
        let workload = workload(number);
        match threads.spawn(format!("load-{number}"), move || worker::run(number, shared, workload)) {
            Ok(handle) => workers.push(handle),
            Err(source) => {
                // Those that run already end at once.
                stop.begin();
                parts.close();
                for handle in workers {
                    let _ = handle.join();
                }
                return Err(StartError { worker: number, source });
            }
        }
    }
    Ok(Engine { start, parts, workers })
}

impl Engine {
    /// Waits for the workers, after the recorder has seen them end.
    ///
    /// # Errors
    /// When a worker could not make its runtime or its timer.
    ///
    /// # Panics
    /// When a worker did: a bug, handed on.
    pub fn join(self) -> io::Result<()> {
        for handle in self.workers {
            handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    }
}
