//! `weir node consumer`: a service on the stream.
//!
//! Threads: main (signals), consumer (admin), and those that the service counts in its own documentation.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use tokio::sync::watch;
use weir_client::Endpoint;
use weir_consumers::{
    config::{
        AlarmRule, AuthCacheConfig, BufferConfig, BufferPolicy, ConsumerConfig, DeliveryOrder,
        EndpointSource, EventBusConfig, KindConfig, MetricsBufferConfig, Rule, StreamConfig,
    },
    run::{StartError, run_consumer},
};
use weir_core::{
    clock::Clock,
    id::TenantName,
    threads::Threads,
    units::{Rate, Size, Span},
};
use weir_sync::Shutdown;
use weir_wire::sigv4::Identity;

use super::{PlaceArgs, control_address};
use crate::{exit::Failure, process};

/// How long a temporary credential is good for.
const CREDENTIAL_LIFETIME: Duration = Duration::from_secs(3_600);
/// How often the control plane is asked for endpoints.
const ENDPOINTS_REFRESH: Duration = Duration::from_millis(500);

/// Flags of `weir node consumer`.
#[derive(Debug, Args)]
pub(crate) struct ConsumerArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// What it is.
    #[arg(long, value_enum)]
    kind: Kind,
    /// Ask this control plane where the stream's endpoints are.
    #[arg(long, value_name = "URL", value_parser = control_address, required_unless_present = "endpoint")]
    control: Option<SocketAddr>,
    /// An endpoint of the stream; may be repeated.
    #[arg(long, value_name = "URL", conflicts_with = "control")]
    endpoint: Vec<Endpoint>,
    /// Whose endpoints to ask for.
    #[arg(long)]
    tenant: Option<String>,
    /// The stream that it depends on.
    #[arg(long)]
    stream: String,
    /// Signs its calls.
    #[arg(long, default_value = "WEIRCONSUMER")]
    access_key: String,
    /// The access key's secret.
    #[arg(long, default_value = "weirconsumer")]
    secret_key: String,
    /// The region in signatures.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Entries that its buffer holds.
    #[arg(long, default_value_t = 1_000)]
    buffer: usize,
    /// What a full buffer does: block, drop-newest, drop-oldest or spill.
    #[arg(long, default_value = "drop-newest")]
    policy: BufferPolicy,
    /// Bytes of the spill file.
    #[arg(long, default_value = "64MiB")]
    spill_max: Size,
    /// How long entries gather before they are sent.
    #[arg(long, default_value = "100ms")]
    flush_interval: Span,
    /// How long one attempt of one call to the stream may take.
    #[arg(long, default_value = "2s")]
    attempt_timeout: Span,
    /// A shard without news is read again after this.
    #[arg(long, default_value = "250ms")]
    read_pause: Span,
    /// Threads that serve.
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Its data folder: spilled entries and checkpoints.
    #[arg(long)]
    data: Option<PathBuf>,
    /// auth-cache: a sign-in that takes longer has failed.
    #[arg(long, default_value = "2s")]
    sign_in_timeout: Span,
    /// metrics-buffer: an alarm (`metric-0>1000`); may be repeated.
    #[arg(long, value_name = "METRIC>VALUE")]
    alarm: Vec<AlarmRule>,
    /// metrics-buffer: the length of a period.
    #[arg(long, default_value = "1s")]
    period: Span,
    /// metrics-buffer: periods that an alarm looks at.
    #[arg(long, default_value_t = 3)]
    evaluation_periods: u32,
    /// metrics-buffer: how long points are kept.
    #[arg(long, default_value = "10m")]
    horizon: Span,
    /// event-bus: a rule (`NAME:kind=…`); may be repeated.
    #[arg(long, value_name = "NAME:PATTERN")]
    rule: Vec<Rule>,
    /// event-bus: what of a backlog is delivered first (`new-first` or `old-first`).
    #[arg(long, default_value = "new-first")]
    order: DeliveryOrder,
    /// event-bus: events that the targets take in a second.
    #[arg(long, default_value = "1000/s")]
    deliveries: Rate,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    AuthCache,
    MetricsBuffer,
    EventBus,
}

impl ConsumerArgs {
    fn into_config(self) -> ConsumerConfig {
        let kind = match self.kind {
            Kind::AuthCache => KindConfig::AuthCache(AuthCacheConfig {
                sign_in_timeout: self.sign_in_timeout.0,
                credential_lifetime: CREDENTIAL_LIFETIME,
            }),
            Kind::MetricsBuffer => KindConfig::MetricsBuffer(MetricsBufferConfig {
                alarms: self.alarm,
                period: self.period.0,
                evaluation_periods: self.evaluation_periods,
                horizon: self.horizon.0,
            }),
            Kind::EventBus => KindConfig::EventBus(EventBusConfig {
                rules: self.rule,
                order: self.order,
                deliveries_per_second: self.deliveries.0,
            }),
        };
        let endpoints = match self.control {
            Some(address) => EndpointSource::Control {
                address,
                tenant: self.tenant.map(TenantName::new),
                refresh: ENDPOINTS_REFRESH,
            },
            None => EndpointSource::Fixed(self.endpoint),
        };
        ConsumerConfig {
            name: self.place.name(),
            service: self.place.service(),
            admin: self.place.admin(),
            data: self.data,
            stream: StreamConfig {
                endpoints,
                name: self.stream,
                identity: Identity {
                    access_key: self.access_key,
                    secret_key: self.secret_key,
                    session_token: None,
                },
                region: self.region,
                attempt_timeout: self.attempt_timeout.0,
                read_pause: self.read_pause.0,
            },
            buffer: BufferConfig {
                capacity: self.buffer,
                policy: self.policy,
                spill_bytes_max: self.spill_max.0,
                flush_interval: self.flush_interval.0,
            },
            workers: self.workers,
            kind,
        }
    }
}

pub(super) fn run(args: ConsumerArgs) -> Result<u8, Failure> {
    let config = args.into_config();
    config.check().map_err(Failure::usage)?;
    let stop = Shutdown::new();
    // The service has its own admin listener; nothing is registered here.
    let (_registered, registry) = watch::channel(None);
    let threads = Threads::new();
    let role = {
        let (threads_of_role, stop) = (threads.clone(), stop.clone());
        threads.spawn("consumer", move || -> Result<(), Failure> {
            let serving = run_consumer(config, Clock::new(), &threads_of_role, stop.clone());
            let outcome = process::runtime()?.block_on(serving);
            stop.begin(); // a role that ended by itself ends the process
            outcome.map_err(|error| match error {
                StartError::Listen { .. } => Failure::environment(error),
                _ => error.into(),
            })
        })?
    };
    process::until_stopped(None, registry, None, stop, [role])?;
    Ok(crate::exit::HELD)
}
