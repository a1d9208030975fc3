//! The load of an arm: what the load generator is told, and the one process that carries it.
//!
//! One child process drives the Kinesis load and the calls to the services ([`run_child`], started as `weir __load`): it shares
//! neither process nor thread with the servers or the recorder. Its files are read by the recorder while they grow and by the
//! integrity check afterwards.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::Duration,
};

use weir_core::{
    clock::Clock,
    threads::Threads,
    units::{Rate, Span},
};
use weir_loadgen::{
    arrival::Arrivals,
    config::{self, LoadConfig, LoadOptions, RecordSize, ServiceKind, TenantOptions},
    run::run as run_load,
};
use weir_sync::Shutdown;

use super::fleet::{Fleet, METRICS, REGION, SERVICE_PORT, SUBJECTS};
use crate::{
    scenario::plan::{ConsumerPlan, LoadPlan, Skew},
    series::{ConsumerKind, ServerId},
};

/// How often callers ask the control plane for their endpoints.
pub(super) const ENDPOINTS_REFRESH: Duration = Duration::from_millis(500);
/// Connections for each service; enough for its rate times its timeout.
const SERVICE_CONNECTIONS: usize = 64;
/// Connections for the Kinesis load: its rate times its timeout would fill them when nothing answers.
const KINESIS_CONNECTIONS: usize = 256;

/// The files of one arm's load.
#[derive(Debug, Clone)]
pub(super) struct LoadFiles {
    folder: PathBuf,
}

impl LoadFiles {
    /// In `folder`, which exists.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// Windows of the Kinesis load.
    pub(super) fn windows(&self) -> PathBuf {
        self.folder.join("load.ndjson")
    }

    /// Windows of the calls to a service.
    pub(super) fn service_windows(&self, consumer: &str) -> PathBuf {
        self.folder.join(format!("service-{consumer}.ndjson"))
    }

    /// The records that were acknowledged.
    pub(super) fn acks(&self) -> PathBuf {
        self.folder.join("acknowledged")
    }

    fn options(&self) -> PathBuf {
        self.folder.join("load.json")
    }
}

/// Writes what the load generator shall do, and returns the arguments that start it.
pub(super) fn prepare(
    plan: &LoadPlan,
    fleet: &Fleet,
    window: Duration,
    files: &LoadFiles,
    seed: u64,
) -> std::io::Result<Vec<String>> {
    let mut all = vec![kinesis(plan, fleet, window, files, seed)];
    for (server, consumer) in &fleet.consumers {
        all.push(service(consumer, fleet, *server, plan, window, files, seed));
    }
    let path = files.options();
    fs::write(&path, serde_json::to_vec(&all).expect("options have text keys only"))?;
    Ok(["__load".to_owned(), "--options".to_owned(), path.display().to_string()].to_vec())
}

fn kinesis(plan: &LoadPlan, fleet: &Fleet, window: Duration, files: &LoadFiles, seed: u64) -> LoadOptions {
    let tenants = fleet.tenants.iter().map(|tenant| TenantOptions {
        name: tenant.credential.tenant.as_str().to_owned(),
        streams: vec![tenant.stream.clone()],
        access_key: Some(tenant.credential.access_key.clone()),
        secret_key: Some(tenant.credential.secret_key.clone()),
        ..TenantOptions::default()
    });
    let mix = [
        ("PutRecord", plan.mix.put_record),
        ("PutRecords", plan.mix.put_records),
        ("GetRecords", plan.mix.get_records),
        ("GetShardIterator", plan.mix.get_shard_iterator),
        ("ListShards", plan.mix.list_shards),
    ];
    let mix = mix.into_iter().filter(|(_, weight)| *weight > 0.0);
    LoadOptions {
        control: Some(fleet.control_address),
        refresh: Some(Span(ENDPOINTS_REFRESH)),
        tenants: tenants.collect(),
        rate: Some(Rate(plan.rate)),
        arrivals: Some(if plan.poisson { Arrivals::Poisson } else { Arrivals::Constant }),
        mix: mix.map(|(name, weight)| (name.to_owned(), weight)).collect::<BTreeMap<_, _>>(),
        batch: Some(plan.batch as usize),
        record_size: Some(RecordSize(usize::try_from(plan.record_size.0).expect("at most 1 MiB"))),
        skew: Some(match plan.skew {
            Skew::Uniform => config::Skew::Uniform,
            Skew::Zipf(exponent) => config::Skew::Zipf { exponent },
        }),
        connections: Some(KINESIS_CONNECTIONS),
        timeout: Some(Span(plan.timeout)),
        window: Some(Span(window)),
        region: Some(REGION.to_string()),
        seed: Some(seed),
        windows: Some(files.windows()),
        acks: Some(files.acks()),
        ..LoadOptions::default()
    }
}

fn service(
    consumer: &ConsumerPlan,
    fleet: &Fleet,
    server: ServerId,
    plan: &LoadPlan,
    window: Duration,
    files: &LoadFiles,
    seed: u64,
) -> LoadOptions {
    let address = fleet.specs[server.0 as usize].admin.ip();
    let subjects = if consumer.service == ConsumerKind::MetricsBuffer { METRICS } else { SUBJECTS };
    LoadOptions {
        endpoints: vec![format!("http://{address}:{SERVICE_PORT}")],
        service: Some(match consumer.service {
            ConsumerKind::AuthCache => ServiceKind::SignIn,
            ConsumerKind::MetricsBuffer => ServiceKind::PutMetricData,
            ConsumerKind::EventBus => ServiceKind::PutEvents,
        }),
        rate: Some(Rate(consumer.rate)),
        arrivals: Some(Arrivals::Poisson),
        keys: Some(subjects),
        connections: Some(SERVICE_CONNECTIONS),
        timeout: Some(Span(plan.timeout)),
        window: Some(Span(window)),
        seed: Some(seed),
        windows: Some(files.service_windows(&consumer.name)),
        ..LoadOptions::default()
    }
}

/// The flags of the hidden `weir __load`.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadChildArgs {
    /// A file with a list of load options, as JSON.
    #[arg(long)]
    pub options: PathBuf,
}

/// Why the load generator's process ended early.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {detail}")]
pub struct LoadChildError {
    what: String,
    detail: String,
}

/// Runs every load of the file at the same time until SIGTERM or SIGINT. One that fails ends the others.
pub fn run_child(args: &LoadChildArgs) -> Result<(), LoadChildError> {
    let error = |what: &str, detail: String| LoadChildError { what: what.to_owned(), detail };
    let file = args.options.display().to_string();
    let text = fs::read(&args.options).map_err(|source| error(&file, source.to_string()))?;
    let all: Vec<LoadOptions> =
        serde_json::from_slice(&text).map_err(|source| error(&file, source.to_string()))?;
    let (threads, clock, stop) = (Threads::new(), Clock::new(), Shutdown::new());
    let mut running: Vec<(String, JoinHandle<Result<(), String>>)> = Vec::new();
    for options in all {
        let name = options.service.map_or_else(|| "kinesis".to_owned(), |service| format!("{service:?}"));
        let config = LoadConfig::try_from(options).map_err(|source| error(&name, source.to_string()))?;
        let (own, stopped) = (threads.clone(), stop.clone());
        let handle = threads.spawn(format!("load-{name}"), move || {
            let outcome = run_load(&config, &own, clock, &stopped);
            if outcome.is_err() {
                stopped.begin();
            }
            outcome.map(drop).map_err(|source| source.to_string())
        });
        running.push((name.clone(), handle.map_err(|refused| error(&name, refused.to_string()))?));
    }
    let mut first = Ok(());
    for (name, handle) in running {
        let outcome = handle.join().unwrap_or_else(|_| Err("it panicked".to_owned()));
        if let (Ok(()), Err(detail)) = (&first, outcome) {
            first = Err(error(&name, detail));
        }
    }
    first
}
