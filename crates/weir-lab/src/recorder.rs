//! The recorder: each window it looks at every server from outside and writes down what it saw, on one clock.
//!
//! A thread of the lab's own process; it shares nothing with the broker but the kernel. It reads `/proc`, the control
//! groups, every `/metrics`, the control plane's status and the load generator's file, and must never touch the fleet:
//! what it cannot read in time is missing from the series, not waited for.

mod consumer_track;
mod control_view;
mod metric_names;
mod open_metrics;
mod proc_stat;
mod scrape;
mod sink;

use std::{
    collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, thread::JoinHandle, time::Duration,
};

use weir_core::threads::{SpawnRefused, Threads};
use weir_loadgen::windows::{LatencyKind, WindowLine, WindowReadError, WindowReader};
use weir_sync::shutdown::Shutdown;
use weir_wire::control::{ControlReply, ControlRequest, ControlService, RemoteControl};

pub use self::sink::{ArmClock, Sink};
use self::{
    consumer_track::ConsumerTrack, control_view::ControlView, open_metrics::Metrics, proc_stat::ProcStat,
    scrape::Scraper,
};
use crate::{
    launcher::{Roster, Sighting},
    scenario::plan::ConsumerPlan,
    series::{
        At, LatencyOf, LoadWindow, Outcome, Record, Role, ServerId, ServerMetrics, ServerSample,
        TenantWindow, store::StoreError,
    },
};

/// What to look at.
#[derive(Debug)]
pub struct Watched {
    /// Length of a window.
    pub window: Duration,
    /// The servers.
    pub roster: Arc<Roster>,
    /// The control plane.
    pub control: SocketAddr,
    /// The front-end cells, in order.
    pub cells: Vec<String>,
    /// The consumers among the servers, with the windows of the calls to them; the files may appear later.
    pub consumers: Vec<(ServerId, ConsumerPlan, PathBuf)>,
    /// The load generator's windows; the file may appear later.
    pub load: Option<PathBuf>,
}

/// Why recording stopped early.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The series could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The load generator's file could not be read.
    #[error(transparent)]
    Load(#[from] WindowReadError),
    /// A latency of the load generator could not be read.
    #[error("the load generator's windows: {0}")]
    Histogram(String),
    /// No thread or runtime for the recorder.
    #[error("start the recorder: {0}")]
    Start(String),
}

impl From<SpawnRefused> for RecordError {
    fn from(refused: SpawnRefused) -> Self {
        Self::Start(refused.to_string())
    }
}

/// A recorder that runs.
#[derive(Debug)]
pub struct Recorder {
    stop: Shutdown,
    thread: JoinHandle<Result<(), RecordError>>,
}

impl Recorder {
    /// Starts to record into `sink`.
    pub fn start(watched: Watched, sink: Arc<Sink>, threads: &Threads) -> Result<Self, RecordError> {
        let stop = Shutdown::new();
        let stopped = stop.clone();
        let thread = threads.spawn("recorder", move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| RecordError::Start(error.to_string()))?;
            runtime.block_on(Watch::new(watched, sink).run(stopped))
        })?;
        Ok(Self { stop, thread })
    }

    /// Has it stopped by itself? Then [`Recorder::finish`] says why.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Takes a last look and ends.
    pub fn finish(self) -> Result<(), RecordError> {
        self.stop.begin();
        self.thread.join().unwrap_or_else(|_| Err(RecordError::Start("it panicked".into())))
    }
}

/// The recorder's own state.
struct Watch {
    watched: Watched,
    sink: Arc<Sink>,
    control: RemoteControl,
    view: ControlView,
    consumers: BTreeMap<ServerId, ConsumerTrack>,
    load: Option<WindowReader>,
    scraper: Scraper,
}

impl Watch {
    fn new(mut watched: Watched, sink: Arc<Sink>) -> Self {
        let control = RemoteControl::new(watched.control);
        let view = ControlView::new(watched.cells.clone());
        let consumers = watched.consumers.drain(..);
        let consumers = consumers.map(|(server, plan, windows)| (server, ConsumerTrack::new(plan, windows)));
        let consumers = consumers.collect();
        Self { watched, sink, control, view, consumers, load: None, scraper: Scraper::default() }
    }

    async fn run(mut self, stop: Shutdown) -> Result<(), RecordError> {
        let mut ticks = tokio::time::interval(self.watched.window);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.wait_async() => break,
            }
            self.look().await?;
        }
        self.look().await?;
        self.emit_consumers(true)?;
        Ok(self.sink.flush()?)
    }

    async fn look(&mut self) -> Result<(), RecordError> {
        let at = self.sink.clock().at();
        let servers = self.watched.roster.running();
        self.look_at_control(at).await;
        // The kernel first: the answers of slow servers must not age these numbers.
        let kernel: Vec<_> = servers.iter().map(kernel_view).collect();
        let admins: Vec<_> = servers.iter().map(|server| server.admin).collect();
        let texts = self.scraper.scrape_all(&admins, self.watched.window).await;
        for ((server, kernel), text) in servers.iter().zip(kernel).zip(&texts) {
            let metrics = text.as_deref().map(Metrics::parse);
            if let (Some(track), Some(metrics)) = (self.consumers.get_mut(&server.id), &metrics) {
                track.note(at, metrics);
            }
            // A process that is gone by now was seen to go by the launcher.
            if let Some(mut sample) = kernel {
                sample.at = at;
                sample.metrics = metrics.map(|metrics| metric_names::server(server.role, &metrics));
                self.sink.push(Record::Sample(sample));
            }
        }
        self.read_load()?;
        self.emit_consumers(false)?;
        self.sink.flush()?;
        Ok(())
    }

    async fn look_at_control(&mut self, at: At) {
        let asked = self.control.call(ControlRequest::Status);
        if let Ok(Ok(ControlReply::Status(servers))) = tokio::time::timeout(self.watched.window, asked).await
        {
            self.sink.push(Record::Control(self.view.sample(at, &servers)));
        }
    }

    /// Hands on the consumers' samples whose calls are known by now; at the end, all.
    fn emit_consumers(&mut self, all: bool) -> Result<(), RecordError> {
        let zero = self.sink.clock().wall_zero_ms();
        for track in self.consumers.values_mut() {
            for sample in track.take(zero, all)? {
                self.sink.push(Record::Consumer(sample));
            }
        }
        Ok(())
    }

    /// Takes over what the load generator has written since the last look.
    fn read_load(&mut self) -> Result<(), RecordError> {
        if self.load.is_none() {
            self.load = match &self.watched.load {
                Some(path) if path.exists() => Some(WindowReader::open(path)?),
                _ => return Ok(()),
            };
        }
        let Some(reader) = &mut self.load else { return Ok(()) };
        while let Some(line) = reader.read()? {
            let window =
                load_window(&line, self.sink.clock().wall_zero_ms()).map_err(RecordError::Histogram)?;
            self.sink.push(Record::Load(window));
        }
        Ok(())
    }
}

/// What a server says of itself, asked outside a recording.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServerView {
    /// What the series would keep.
    pub(crate) metrics: ServerMetrics,
    /// B, for servers that have one.
    pub(crate) base_threads: Option<u64>,
}

/// Asks some servers; `None` for those that did not answer in time.
pub(crate) async fn view_servers(
    servers: &[(Role, SocketAddr)],
    timeout: Duration,
) -> Vec<Option<ServerView>> {
    let addresses: Vec<_> = servers.iter().map(|&(_, address)| address).collect();
    let texts = scrape::scrape_once(&addresses, timeout).await;
    let views = servers.iter().zip(&texts).map(|(&(role, _), text)| {
        let metrics = Metrics::parse(text.as_deref()?);
        let base_threads = metric_names::base_threads(&metrics);
        Some(ServerView { metrics: metric_names::server(role, &metrics), base_threads })
    });
    views.collect()
}

/// What `/proc` and the control group say of a server; its time and its own words are filled in later.
fn kernel_view(server: &Sighting) -> Option<ServerSample> {
    let stat = ProcStat::read(server.pid?)?;
    let evidence = server.witness.as_ref().map(crate::envelope::Witness::evidence).unwrap_or_default();
    Some(ServerSample {
        at: At(0),
        server: server.id,
        threads: stat.threads,
        limit: evidence.threads_max,
        pids_current: evidence.threads,
        pids_events_max: evidence.refusals,
        oom_kills: evidence.oom_kills,
        rss_bytes: stat.rss_bytes,
        cpu_seconds: stat.cpu_seconds,
        metrics: None,
    })
}

/// A window of the load generator on the arm's clock.
fn load_window(line: &WindowLine, wall_zero_ms: u64) -> Result<LoadWindow, String> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut tenants: Vec<TenantWindow> = Vec::new();
    for ended in &line.outcomes {
        let same =
            |outcome: &&mut Outcome| outcome.operation == ended.operation && outcome.error == ended.code;
        match outcomes.iter_mut().find(same) {
            Some(outcome) => outcome.count += ended.count,
            None => outcomes.push(Outcome {
                operation: ended.operation.clone(),
                error: ended.code.clone(),
                count: ended.count,
            }),
        }
        let index = tenants.iter().position(|tenant| tenant.tenant == ended.tenant).unwrap_or_else(|| {
            tenants.push(TenantWindow { tenant: ended.tenant.clone(), succeeded: 0, failed: 0 });
            tenants.len() - 1
        });
        match ended.code {
            None => tenants[index].succeeded += ended.count,
            Some(_) => tenants[index].failed += ended.count,
        }
    }
    let measured = line.latencies.iter().filter(|latency| latency.kind == LatencyKind::Latency);
    let latency = measured.map(|latency| {
        let histogram = latency.histogram()?;
        Ok(LatencyOf::new(latency.operation.clone(), Some(latency.tenant.clone()), &histogram))
    });
    Ok(LoadWindow {
        at: At(line.wall_ms.saturating_sub(wall_zero_ms)),
        length_ms: line.length_ms,
        offered: line.offered,
        late_starts: line.late_starts,
        late_dispatches: Some(line.late_dispatches),
        outcomes,
        tenants,
        latency: latency.collect::<Result<_, String>>()?,
    })
}

#[cfg(test)]
mod tests;
