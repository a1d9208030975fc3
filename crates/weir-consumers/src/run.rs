//! A consumer as a process: its threads, its listeners, its beginning and its end.
//!
//! Called by `weir node consumer` and by tests, on the main thread's current-thread runtime, which serves the admin
//! listener. Every other thread is started here and joined here; their number is [`RunningConsumer::threads`], a constant
//! of the configuration.

use std::{io, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, runtime::Runtime};
use weir_client::consumer::ConsumeError;
use weir_core::{
    clock::Clock,
    entropy::secret_u64,
    threads::{SpawnRefused, Threads},
};
use weir_sync::Shutdown;
use weir_wire::http::{admin::Admin, server};

use crate::{
    auth_cache::AuthCache,
    buffer::{Buffer, spill::SpillError},
    config::{ConfigError, ConsumerConfig, DeliveryOrder, KindConfig},
    event_bus::EventBus,
    flush::{FlushCounts, Flusher},
    metrics::ConsumerMetrics,
    metrics_buffer::MetricsBuffer,
    outbox::Outbox,
    service::{self, Service},
    stream,
};

/// How long admin requests in flight may take at the end.
const ADMIN_GRACE: Duration = Duration::from_millis(200);

/// Why a consumer did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener.
    #[error("listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A runtime of one of its threads.
    #[error("start a runtime: {0}")]
    Runtime(io::Error),
    /// The spill file.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// The checkpoints.
    #[error(transparent)]
    Reader(#[from] ConsumeError),
    /// A thread.
    #[error(transparent)]
    Thread(#[from] SpawnRefused),
}

/// Runs a consumer until `stop` begins. Called on a current-thread runtime, which serves the admin listener
/// meanwhile; returns when every thread has ended, a few seconds after `stop` at most.
pub async fn run_consumer(
    config: ConsumerConfig,
    clock: Clock,
    threads: &Threads,
    stop: Shutdown,
) -> Result<(), StartError> {
    RunningConsumer::start(config, clock, threads)?.run(stop).await;
    Ok(())
}

/// A consumer whose threads serve. Dropping it stops them.
#[derive(Debug)]
pub struct RunningConsumer {
    service: SocketAddr,
    admin: TcpListener,
    admin_address: SocketAddr,
    registry: Registry,
    parts: Parts,
}

/// What must be stopped, whoever asks for it.
#[derive(Debug)]
struct Parts {
    stop: Shutdown,
    buffer: Arc<Buffer>,
    threads: Vec<JoinHandle<()>>,
}

/// The part of a consumer that differs by its kind.
struct Kind {
    service: Arc<dyn Service>,
    /// The loop of the reader's thread, where there is one.
    read: Option<Box<dyn FnOnce(Runtime) + Send>>,
}

impl RunningConsumer {
    /// Binds the listeners and starts the threads. The caller is on a runtime.
    pub fn start(config: ConsumerConfig, clock: Clock, threads: &Threads) -> Result<Self, StartError> {
        config.check()?;
        let failed = |source| StartError::Listen { address: config.admin, source };
        let admin = server::bind(config.admin).map_err(failed)?;
        let admin_address = admin.local_addr().map_err(failed)?;
        let listeners = service::bind(config.service, config.workers)?;
        let failed = |source| StartError::Listen { address: config.service, source };
        let service = listeners[0].local_addr().map_err(failed)?;

        let buffer =
            Arc::new(Buffer::open(&config.buffer, config.data.as_deref(), sends_oldest_first(&config.kind))?);
        let flush = Arc::new(FlushCounts::default());
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ConsumerMetrics {
            kind: config.kind.name(),
            policy: config.buffer.policy.to_string(),
            workers: config.workers,
            buffer: Arc::clone(&buffer),
            flush: Arc::clone(&flush),
        }));
        let stop = Shutdown::new();
        let outbox = Outbox::new(config.name.clone(), secret_u64(), clock, Arc::clone(&buffer));
        let kind = kind(&config, clock, outbox, &mut registry, &stop)?;

        // From here on an early return stops what has been started.
        let mut parts = Parts { stop: stop.clone(), buffer: Arc::clone(&buffer), threads: Vec::new() };
        let flusher = Flusher {
            buffer,
            counts: flush,
            producer: stream::producer(&config.stream, clock),
            interval: config.buffer.flush_interval,
            clock,
            stop: stop.clone(),
            farewell_until: None,
        };
        let of_flusher = runtime()?;
        parts.threads.push(threads.spawn("flusher", move || flusher.run(&of_flusher))?);
        if let Some(read) = kind.read {
            let of_reader = runtime()?;
            parts.threads.push(threads.spawn("reader", move || read(of_reader))?);
        }
        service::start(listeners, &kind.service, threads, &stop, &mut parts.threads)?;
        tracing::info!(name = %config.name, kind = config.kind.name(), %service, "consumer serves");
        Ok(Self { service, admin, admin_address, registry, parts })
    }

    /// Where it serves.
    pub fn service_address(&self) -> SocketAddr {
        self.service
    }

    /// Where its admin listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Its threads beside the caller's: the flusher, the workers, and the reader where it has one.
    pub fn threads(&self) -> usize {
        self.parts.threads.len()
    }

    /// Serves the admin listener until `stop`, then ends every thread.
    pub async fn run(self, stop: Shutdown) {
        let Self { admin, registry, parts, .. } = self;
        // Listeners are bound and threads run: ready means that, whatever the stream does.
        let answers = Admin::new(Arc::new(registry), Arc::new(|| true));
        let admin = server::serve_own(admin, Arc::new(answers), stop.clone(), ADMIN_GRACE);
        let end = async {
            stop.wait_async().await;
            parts.begin_stop();
        };
        tokio::join!(admin, end);
        drop(parts);
    }
}

impl Parts {
    /// Listeners close, whoever waits for the buffer is woken.
    fn begin_stop(&self) {
        self.stop.begin();
        self.buffer.close();
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.begin_stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the consumer panicked");
            }
        }
    }
}

/// A runtime for one thread.
pub(crate) fn runtime() -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)
}

fn sends_oldest_first(kind: &KindConfig) -> bool {
    match kind {
        KindConfig::AuthCache(_) | KindConfig::MetricsBuffer(_) => true,
        KindConfig::EventBus(bus) => bus.order == DeliveryOrder::OldFirst,
    }
}

fn kind(
    config: &ConsumerConfig,
    clock: Clock,
    outbox: Outbox,
    registry: &mut Registry,
    stop: &Shutdown,
) -> Result<Kind, StartError> {
    let stop = stop.clone();
    match &config.kind {
        KindConfig::AuthCache(auth) => {
            let auth = Arc::new(AuthCache::new(*auth, clock, outbox, config.workers));
            registry.register_collector(Box::new(Arc::clone(&auth)));
            Ok(Kind { service: auth, read: None })
        }
        KindConfig::MetricsBuffer(metrics) => {
            // The store is in memory, so it is rebuilt from the oldest record at each start: no checkpoints.
            let reader = stream::reader(&config.stream, None, clock)?;
            let metrics = Arc::new(MetricsBuffer::new(metrics, clock, config.name.clone(), outbox));
            registry.register_collector(Box::new(Arc::clone(&metrics)));
            let service = Arc::clone(&metrics);
            let read = Box::new(move |runtime: Runtime| runtime.block_on(metrics.read(reader, stop)));
            Ok(Kind { service, read: Some(read) })
        }
        KindConfig::EventBus(bus) => {
            let reader = stream::reader(&config.stream, config.data.as_deref(), clock)?;
            let bus = Arc::new(EventBus::new(bus, clock, config.name.clone(), outbox));
            registry.register_collector(Box::new(Arc::clone(&bus)));
            let service = Arc::clone(&bus);
            let read = Box::new(move |runtime: Runtime| runtime.block_on(bus.read(reader, stop)));
            Ok(Kind { service, read: Some(read) })
        }
    }
}
