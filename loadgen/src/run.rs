//! A whole load run: learn the targets, start recorder and workers, wait for the end or a signal, sum up.
//!
//! Called by `weir load` on its main thread, which becomes the conductor: it follows the control plane and listens for
//! signals on a runtime of its own, and does nothing else. Threads: the conductor, one recorder, the workers.

use std::{io, sync::Arc, time::Duration};

use nix::sys::resource::{UsageWho, getrusage};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};
use weir_client::{ClientConfig, Endpoints, KinesisClient, retry::RetryPolicy};
use weir_core::{
    clock::Clock,
    entropy::secret_u64,
    id::TenantName,
    threads::{SpawnRefused, Threads},
};
use weir_sync::Shutdown;
use weir_wire::control::{Control, RemoteControl};

use crate::{
    acks,
    config::{EndpointSource, KinesisLoad, LoadConfig, WorkloadConfig},
    engine,
    kinesis::{KinesisWorkload, Operation, ack_targets},
    recorder::{RecordError, Recorder},
    report::{LoadReport, Run},
    service::{self, ServiceWorkload},
    targets::{self, Targets, TargetsError},
    windows::Naming,
    workload::Workload,
};

/// A run that did not come to its report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The conductor's runtime or its signals.
    #[error("{operation}: {source}")]
    Runtime {
        /// What was done.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Where to send requests.
    #[error(transparent)]
    Targets(#[from] TargetsError),
    /// What there is to read.
    #[error("list the shards of {stream} for tenant {tenant}: {source}")]
    Shards {
        /// Whose.
        tenant: String,
        /// Which stream.
        stream: String,
        /// Why.
        source: Box<weir_client::CallError>,
    },
    /// A file.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A worker.
    #[error(transparent)]
    Start(#[from] engine::StartError),
    /// The recorder's thread.
    #[error(transparent)]
    Thread(#[from] SpawnRefused),
}

/// Runs `config` to its end, or until SIGTERM, SIGINT or `stop`, which end it cleanly: what was measured is reported.
pub fn run(
    config: &LoadConfig,
    threads: &Threads,
    clock: Clock,
    stop: &Shutdown,
) -> Result<LoadReport, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| LoadError::Runtime { operation: "start the conductor's runtime", source })?;
    runtime.block_on(async {
        let signals = Signals::listen()?;
        let conductor = Conductor { config, threads, clock, stop, signals };
        match &config.workload {
            WorkloadConfig::Kinesis(load) => conductor.kinesis(load).await,
            WorkloadConfig::Service(load) => {
                let names = load.services.iter().map(|service| service.name.clone()).collect();
                let workload = |worker| ServiceWorkload::new(load.clone(), worker);
                conductor.drive(names, service::OPERATIONS, b"", workload).await
            }
        }
    })
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, LoadError> {
        let listen = |kind| {
            signal(kind).map_err(|source| LoadError::Runtime { operation: "listen for signals", source })
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

struct Conductor<'a> {
    config: &'a LoadConfig,
    threads: &'a Threads,
    clock: Clock,
    stop: &'a Shutdown,
    signals: Signals,
}

impl Conductor<'_> {
    async fn kinesis(self, load: &KinesisLoad) -> Result<LoadReport, LoadError> {
        let reads = |(operation, _): &(Operation, f64)| {
            matches!(operation, Operation::GetRecords | Operation::GetShardIterator)
        };
        let shards = if load.mix.iter().any(reads) { self.shards(load).await? } else { Vec::new() };
        let tenants = load.tenants.iter().map(|tenant| tenant.name.clone()).collect();
        let header = acks::header(&ack_targets(&load.tenants));
        let run = secret_u64();
        let load = Arc::new(load.clone());
        self.drive(tenants, Operation::NAMES, &header, |worker| {
            KinesisWorkload::new(load.clone(), run, worker, &shards)
        })
        .await
    }

    /// The shard ids of each target, in the order of their numbers.
    async fn shards(&self, load: &KinesisLoad) -> Result<Vec<Vec<String>>, LoadError> {
        let mut all = Vec::new();
        for (index, tenant) in load.tenants.iter().enumerate() {
            let endpoints = match (&self.config.endpoints, self.control()) {
                (EndpointSource::Control { .. }, Some((control, every))) => {
                    let name = TenantName::new(tenant.name.as_str());
                    Endpoints::from_control(control, Some(name), every)
                }
                (EndpointSource::Fixed(list), _) => Endpoints::fixed(list.clone()),
                (EndpointSource::ByTenant(routes), _) => Endpoints::fixed(routes[index].clone()),
                (EndpointSource::Control { .. }, None) => unreachable!("a control source has a control"),
            };
            let config = ClientConfig {
                identity: tenant.identity.clone(),
                region: load.region.clone(),
                attempt_timeout: self.config.engine.timeout,
                retry: RetryPolicy::SDK,
                idle_connections_max: 1,
            };
            let mut client = KinesisClient::new(config, Arc::new(endpoints), self.clock);
            if let Some(trust) = &self.config.engine.trust {
                client = client.trusting(trust.clone());
            }
            for stream in &tenant.streams {
                let shards = client.shards(stream).await.map_err(|source| LoadError::Shards {
                    tenant: tenant.name.clone(),
                    stream: stream.clone(),
                    source: Box::new(source),
                })?;
                all.push(shards.into_iter().map(|shard| shard.shard_id).collect());
            }
        }
        Ok(all)
    }

    fn control(&self) -> Option<(Control, Duration)> {
        match &self.config.endpoints {
            EndpointSource::Fixed(_) | EndpointSource::ByTenant(_) => None,
            EndpointSource::Control { address, refresh } => {
                Some((Arc::new(RemoteControl::new(*address)) as Control, *refresh))
            }
        }
    }

    async fn drive<W: Workload + Send>(
        mut self,
        tenants: Vec<String>,
        operations: &'static [&'static str],
        ack_header: &[u8],
        workload: impl FnMut(usize) -> W,
    ) -> Result<LoadReport, LoadError> {
        let engine_config = &self.config.engine;
        let targets = match &self.config.endpoints {
            EndpointSource::Fixed(list) => Targets::shared(list.clone(), tenants.len()),
            EndpointSource::ByTenant(routes) => Targets::by_tenant(routes.clone()),
            EndpointSource::Control { .. } => {
                let (control, _) = self.control().expect("a control source has a control");
                targets::ask(&control, &tenants).await?
            }
        };
        let (publish, targets) = watch::channel(Arc::new(targets));
        let naming = Naming {
            tenants: tenants.clone(),
            operations,
            window_ms: engine_config.window.as_millis() as u64,
            wall_start_ms: (self.clock.wall().0) + engine_config.head_start().as_millis() as u64,
        };
        let recorder = Recorder::create(naming, engine_config.workers, &self.config.files, ack_header)?;
        let cpu_before = cpu_used();
        let engine = engine::start(self.threads, self.clock, engine_config, &targets, self.stop, workload)?;
        let (tell, recorded) = oneshot::channel();
        let (parts, stop) = (engine.parts.clone(), self.stop.clone());
        let recording = self.threads.spawn("load-recorder", move || {
            let _ = tell.send(recorder.run(&parts, &stop)); // the conductor waits until it has it
        });
        if let Err(refused) = recording {
            // Nobody empties the queue: the workers end at once.
            self.stop.begin();
            engine.parts.close();
            let _ = engine.join();
            return Err(refused.into());
        }
        let totals = self.wait(recorded, publish, &tenants).await?;
        let start = engine.start;
        engine.join().map_err(|source| LoadError::Runtime { operation: "drive a worker", source })?;
        let cpu = cpu_used().saturating_sub(cpu_before);
        let run = Run { config: engine_config, start, tenants: &tenants, operations, cpu };
        Ok(LoadReport::new(&totals, &run))
    }

    /// Waits for the recorder; meanwhile follows the control plane, and passes a signal on.
    async fn wait(
        &mut self,
        mut recorded: oneshot::Receiver<Result<crate::recorder::Totals, RecordError>>,
        publish: watch::Sender<Arc<Targets>>,
        tenants: &[String],
    ) -> Result<crate::recorder::Totals, LoadError> {
        let follow = match self.control() {
            Some((control, refresh)) => {
                tokio::spawn(targets::follow(control, tenants.to_vec(), refresh, publish))
            }
            None => tokio::spawn(async move {
                // Kept open until the run ends, or workers would see it closed.
                std::future::pending::<()>().await;
                drop(publish);
            }),
        };
        let totals = loop {
            tokio::select! {
                totals = &mut recorded => break totals,
                () = self.signals.any() => self.stop.begin(),
            }
        };
        follow.abort();
        Ok(totals.expect("the recorder always answers")?)
    }
}

/// Processor time of this process, user and system.
fn cpu_used() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("RUSAGE_SELF is always answered");
    let seconds = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
    };
    seconds(usage.user_time()) + seconds(usage.system_time())
}
