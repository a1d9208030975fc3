//! What a load run is asked to do: options as people give them, and the configuration that they come to.
//!
//! The command line and scenarios fill [`LoadOptions`]; [`LoadConfig::try_from`] checks them once, so that nothing
//! behind it needs a default or can find a contradiction. It resolves the names of endpoints and reads certificates, so
//! that nobody waits for either during the run. It must never guess: a missing or odd option is an error that says how to
//! mend it.

mod options;

use std::{net::SocketAddr, path::Path, time::Duration};

pub use self::options::{LoadOptions, RecordSize, ServiceKind, ServiceOptions, Skew, TenantOptions};
use weir_client::{Endpoint, Trust};
use weir_core::limits::{PUT_RECORDS_COUNT_MAX, RECORD_BYTES_MAX, TENANTS_MAX};
use weir_wire::{kinesis::encoding::Encoding, sigv4::Identity};

use crate::{
    arrival::Arrivals,
    engine::{EngineConfig, Pace},
    kinesis::Operation,
    payload::RECORD_HEAD_BYTES,
    recorder::Files,
};

/// Worker threads of one run: more never helped on the machines of today, and each costs a core.
const WORKERS_MAX: usize = 64;
/// Connections of one run: open files end near 20,000 on common hosts.
const CONNECTIONS_MAX: usize = 16_384;
/// Partition keys to draw from: the table of a skewed draw takes 8 bytes for each.
const KEYS_MAX: u32 = 1 << 20;

/// What is wrong with the options, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// Pace, workers, connections, times.
    pub engine: EngineConfig,
    /// Where requests go.
    pub endpoints: EndpointSource,
    /// What is sent.
    pub workload: WorkloadConfig,
    /// Which files are written.
    pub files: Files,
}

/// Where endpoints come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointSource {
    /// These, for every tenant.
    Fixed(Vec<Endpoint>),
    /// These, for each tenant its own.
    ByTenant(Vec<Vec<Endpoint>>),
    /// The control plane says it for each tenant, and is asked again.
    Control {
        /// Where it listens.
        address: SocketAddr,
        /// How often it is asked.
        refresh: Duration,
    },
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum WorkloadConfig {
    /// Kinesis calls.
    Kinesis(KinesisLoad),
    /// Calls of a service on the stream.
    Service(ServiceLoad),
}

/// Kinesis calls.
#[derive(Debug, Clone)]
pub struct KinesisLoad {
    /// Who calls, and for which streams. At least one.
    pub tenants: Vec<TenantLoad>,
    /// Which operations, by weight. At least one, weights above zero.
    pub mix: Vec<(Operation, f64)>,
    /// Records in one `PutRecords`.
    pub batch: usize,
    /// Bytes of one record's data.
    pub record_bytes: usize,
    /// What calls and answers are written in.
    pub encoding: Encoding,
    /// Different partition keys.
    pub keys: u32,
    /// How they are drawn.
    pub skew: Skew,
    /// The region in signatures.
    pub region: String,
    /// Sign requests? Else a made-up signature names the access key.
    pub signed: bool,
    /// Give each record an id of its own and write down what was acknowledged?
    pub unique: bool,
    /// Do readers begin at the oldest record, rather than behind the newest?
    pub from_oldest: bool,
    /// Makes keys and choices repeatable.
    pub seed: u64,
}

/// One tenant.
#[derive(Debug, Clone)]
pub struct TenantLoad {
    /// Its name.
    pub name: String,
    /// Its streams. At least one.
    pub streams: Vec<String>,
    /// Its share of the calls, against the other tenants'.
    pub weight: f64,
    /// Its access key.
    pub identity: Identity,
}

/// Calls of services.
#[derive(Debug, Clone)]
pub struct ServiceLoad {
    /// Which services; each is counted as a tenant. At least one.
    pub services: Vec<ServiceTarget>,
    /// Metrics, users or event sources to choose from.
    pub subjects: u32,
    /// Makes choices repeatable.
    pub seed: u64,
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceTarget {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ServiceKind,
    /// Its share of the calls, against the other services'.
    pub weight: f64,
}

impl TryFrom<LoadOptions> for LoadConfig {
    type Error = ConfigError;

    fn try_from(options: LoadOptions) -> Result<Self, ConfigError> {
        let mut engine = engine(&options)?;
        let (endpoints, workload) = match services(&options, engine.seed)? {
            Some(services) => services,
            None => (endpoints(&options)?, WorkloadConfig::Kinesis(kinesis(&options, engine.seed)?)),
        };
        // A benchmark's load. Servers that the control plane names come and go, and a service has few calls for its connections.
        engine.connect_first =
            matches!((&endpoints, &workload), (EndpointSource::Fixed(_), WorkloadConfig::Kinesis(_)));
        engine.trust = trust(&endpoints, options.ca.as_deref())?;
        let files = Files { windows: options.windows, acks: options.acks, hdr: options.hdr };
        Ok(Self { engine, endpoints, workload, files })
    }
}

/// A load on services, if one is asked for.
fn services(
    options: &LoadOptions,
    seed: u64,
) -> Result<Option<(EndpointSource, WorkloadConfig)>, ConfigError> {
    let (endpoints, targets) = match (options.service, options.services.as_slice()) {
        (None, []) => return Ok(None),
        (Some(_), [_, ..]) => return Err(ConfigError("give one service or several, not both".into())),
        (Some(kind), []) => {
            let target = ServiceTarget { name: "default".into(), kind, weight: 1.0 };
            (endpoints(options)?, vec![target])
        }
        (None, several) => {
            let mut routes = Vec::new();
            let mut targets = Vec::new();
            for service in several {
                let weight = service.weight.unwrap_or(1.0);
                if !(weight > 0.0 && weight.is_finite()) {
                    let name = &service.name;
                    return Err(ConfigError(format!("the weight of {name} must be above 0, not {weight}")));
                }
                routes.push(resolve_all(&service.endpoints)?);
                targets.push(ServiceTarget { name: service.name.clone(), kind: service.kind, weight });
            }
            (EndpointSource::ByTenant(routes), targets)
        }
    };
    if options.acks.is_some() {
        return Err(ConfigError("--acks is for Kinesis calls, not for services".into()));
    }
    bounded("the number of services", targets.len(), 1, TENANTS_MAX.min(usize::from(u16::MAX)))?;
    let subjects = bounded("--keys", options.keys.unwrap_or(10), 1, KEYS_MAX)?;
    Ok(Some((endpoints, WorkloadConfig::Service(ServiceLoad { services: targets, subjects, seed }))))
}

fn resolve_all(urls: &[String]) -> Result<Vec<Endpoint>, ConfigError> {
    urls.iter().map(|url| Endpoint::resolve(url).map_err(|error| ConfigError(error.to_string()))).collect()
}

/// Whom to believe, if any endpoint asks for that. What the control plane names is plain http.
fn trust(endpoints: &EndpointSource, ca: Option<&Path>) -> Result<Option<Trust>, ConfigError> {
    let is_https = |endpoint: &Endpoint| endpoint.tls_name().is_some();
    let any = match endpoints {
        EndpointSource::Fixed(list) => list.iter().any(is_https),
        EndpointSource::ByTenant(routes) => routes.iter().flatten().any(is_https),
        EndpointSource::Control { .. } => false,
    };
    match (any, ca) {
        (false, None) => Ok(None),
        (false, Some(_)) => Err(ConfigError("--ca is for endpoints that begin with https://".into())),
        (true, Some(file)) => {
            Trust::of_file(file).map(Some).map_err(|error| ConfigError(format!("--ca: {error}")))
        }
        (true, None) => Trust::of_host().map(Some).map_err(|error| ConfigError(format!("{error} with --ca"))),
    }
}

fn engine(options: &LoadOptions) -> Result<EngineConfig, ConfigError> {
    let pace = match (options.rate, options.max) {
        (Some(_), true) => return Err(ConfigError("give --rate or --max, not both".into())),
        (None, true) => Pace::Closed,
        (None, false) => return Err(ConfigError("give --rate 200/s, or --max for a closed loop".into())),
        (Some(rate), false) if rate.0 > 0.0 && rate.0 <= 1e7 => {
            Pace::Open { per_second: rate.0, arrivals: options.arrivals.unwrap_or(Arrivals::Constant) }
        }
        (Some(rate), false) => {
            return Err(ConfigError(format!("--rate {rate} must be above 0/s, and at most 10000000/s")));
        }
    };
    let positive = |name: &str, span: Duration| {
        if span.is_zero() {
            Err(ConfigError(format!("{name} must be longer than nothing")))
        } else {
            Ok(span)
        }
    };
    let span = |span: Option<weir_core::units::Span>, default| span.map_or(default, |span| span.0);
    let window = span(options.window, Duration::from_millis(500));
    if window.subsec_nanos() % 1_000_000 != 0 {
        return Err(ConfigError("--window must be whole milliseconds".into()));
    }
    Ok(EngineConfig {
        pace,
        workers: bounded("--workers", options.workers.unwrap_or(1), 1, WORKERS_MAX)?,
        connections: bounded("--connections", options.connections.unwrap_or(16), 1, CONNECTIONS_MAX)?,
        connect_first: false,
        timeout: positive("--timeout", span(options.timeout, Duration::from_secs(10)))?,
        duration: options.duration.map(|span| positive("--duration", span.0)).transpose()?,
        window: positive("--window", window)?,
        trust: None,
        seed: options.seed.unwrap_or_else(weir_core::entropy::secret_u64),
    })
}

fn endpoints(options: &LoadOptions) -> Result<EndpointSource, ConfigError> {
    match (options.control, options.endpoints.as_slice()) {
        (Some(address), []) => {
            let refresh = options.refresh.map_or(Duration::from_secs(1), |span| span.0);
            if refresh < Duration::from_millis(10) {
                return Err(ConfigError("--refresh must be at least 10ms".into()));
            }
            Ok(EndpointSource::Control { address, refresh })
        }
        (Some(_), [_, ..]) => Err(ConfigError("give --endpoint or --control, not both".into())),
        (None, []) => Err(ConfigError("give --endpoint http://127.0.0.1:4567, or --control".into())),
        (None, urls) => Ok(EndpointSource::Fixed(resolve_all(urls)?)),
    }
}

fn kinesis(options: &LoadOptions, seed: u64) -> Result<KinesisLoad, ConfigError> {
    let batch = bounded("--batch", options.batch.unwrap_or(PUT_RECORDS_COUNT_MAX), 1, PUT_RECORDS_COUNT_MAX)?;
    let record_bytes = options.record_size.map_or(1_024, |size| size.0);
    let record_bytes = bounded("--record-size", record_bytes, RECORD_HEAD_BYTES, RECORD_BYTES_MAX)?;
    let encoding = match options.encoding.as_deref() {
        None | Some("json") => Encoding::Json,
        Some("cbor") => Encoding::Cbor,
        Some(other) => return Err(ConfigError(format!("--encoding {other} is unknown: use json or cbor"))),
    };
    let mix = mix(options, batch)?;
    Ok(KinesisLoad {
        tenants: tenants(options)?,
        mix,
        batch,
        record_bytes,
        encoding,
        keys: bounded("--keys", options.keys.unwrap_or(10_000), 1, KEYS_MAX)?,
        skew: options.skew.unwrap_or(Skew::Uniform),
        region: options.region.clone().unwrap_or_else(|| "us-east-1".into()),
        signed: !options.unsigned,
        unique: options.acks.is_some(),
        from_oldest: options.from_oldest,
        seed,
    })
}

fn mix(options: &LoadOptions, batch: usize) -> Result<Vec<(Operation, f64)>, ConfigError> {
    if options.mix.is_empty() {
        return Ok(vec![(if batch == 1 { Operation::PutRecord } else { Operation::PutRecords }, 1.0)]);
    }
    let mut mix = Vec::new();
    for (name, &weight) in &options.mix {
        let operation = Operation::of_name(name).ok_or_else(|| {
            let known: Vec<_> = Operation::ALL.iter().map(|operation| operation.name()).collect();
            ConfigError(format!("operation {name:?} is not one of {}", known.join(", ")))
        })?;
        if !(weight >= 0.0 && weight.is_finite()) {
            return Err(ConfigError(format!("the weight of {name} must be 0 or more, not {weight}")));
        }
        if weight > 0.0 {
            mix.push((operation, weight));
        }
    }
    if mix.is_empty() {
        return Err(ConfigError("give at least one operation a weight above 0".into()));
    }
    Ok(mix)
}

fn tenants(options: &LoadOptions) -> Result<Vec<TenantLoad>, ConfigError> {
    let mut tenants = Vec::new();
    let given = match (&options.stream, options.tenants.as_slice()) {
        (Some(_), [_, ..]) => {
            return Err(ConfigError("give --stream, or tenants with streams of their own, not both".into()));
        }
        (Some(stream), []) => {
            vec![TenantOptions {
                name: "default".into(),
                streams: vec![stream.clone()],
                ..TenantOptions::default()
            }]
        }
        (None, given) => given.to_vec(),
    };
    for tenant in given {
        let name = tenant.name;
        if tenant.streams.is_empty() {
            return Err(ConfigError(format!("tenant {name} has no stream")));
        }
        let weight = tenant.weight.unwrap_or(1.0);
        if !(weight > 0.0 && weight.is_finite()) {
            return Err(ConfigError(format!("the weight of tenant {name} must be above 0, not {weight}")));
        }
        if tenants.iter().any(|known: &TenantLoad| known.name == name) {
            return Err(ConfigError(format!("tenant {name} is given twice")));
        }
        // A token is worth nothing with another key than its own.
        let session_token = match tenant.access_key {
            Some(_) => tenant.session_token,
            None => options.session_token.clone(),
        };
        let access_key = tenant.access_key.or_else(|| options.access_key.clone());
        let secret_key = tenant.secret_key.or_else(|| options.secret_key.clone());
        let identity = Identity {
            // A service without credentials takes any key, but wants one.
            access_key: access_key.unwrap_or_else(|| "WEIRLOAD".into()),
            secret_key: secret_key.unwrap_or_else(|| "weirload".into()),
            session_token,
        };
        tenants.push(TenantLoad { name, streams: tenant.streams, weight, identity });
    }
    if tenants.is_empty() {
        return Err(ConfigError("give --stream NAME".into()));
    }
    bounded("the number of tenants", tenants.len(), 1, TENANTS_MAX.min(usize::from(u16::MAX)))?;
    Ok(tenants)
}

fn bounded<T: PartialOrd + std::fmt::Display>(
    name: &str,
    value: T,
    min: T,
    max: T,
) -> Result<T, ConfigError> {
    if value >= min && value <= max {
        Ok(value)
    } else {
        Err(ConfigError(format!("{name} {value} must be between {min} and {max}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> LoadOptions {
        LoadOptions {
            endpoints: vec!["http://127.0.0.1:4567".into()],
            stream: Some("s".into()),
            rate: Some("200/s".parse().unwrap()),
            ..LoadOptions::default()
        }
    }

    fn error(change: impl FnOnce(&mut LoadOptions)) -> String {
        let mut options = options();
        change(&mut options);
        LoadConfig::try_from(options).unwrap_err().to_string()
    }

    #[test]
    fn little_is_needed_and_the_rest_has_a_value() {
        let config = LoadConfig::try_from(options()).unwrap();
        let WorkloadConfig::Kinesis(kinesis) = config.workload else { panic!("not Kinesis") };
        assert_eq!(
            (kinesis.batch, kinesis.record_bytes, kinesis.mix[0].0),
            (500, 1_024, Operation::PutRecords)
        );
        assert!(kinesis.signed && !kinesis.unique);
        let one = LoadConfig::try_from(LoadOptions { batch: Some(1), ..options() }).unwrap();
        let WorkloadConfig::Kinesis(kinesis) = one.workload else { panic!("not Kinesis") };
        assert_eq!(kinesis.mix[0].0, Operation::PutRecord);
    }

    #[test]
    fn only_kinesis_calls_to_endpoints_that_are_given_find_their_connections_made() {
        let first = |change: fn(&mut LoadOptions)| {
            let mut options = options();
            change(&mut options);
            LoadConfig::try_from(options).unwrap().engine.connect_first
        };
        assert!(first(|_| {}));
        assert!(!first(|o| (o.endpoints, o.control) = (Vec::new(), Some("127.0.0.1:1".parse().unwrap()))));
        assert!(!first(|o| o.service = Some(ServiceKind::SignIn)));
    }

    #[test]
    fn a_session_token_goes_with_its_own_key_only() {
        let tenant = |name: &str, key: Option<&str>, token: Option<&str>| TenantOptions {
            name: name.into(),
            streams: vec!["s".into()],
            access_key: key.map(str::to_owned),
            session_token: token.map(str::to_owned),
            ..TenantOptions::default()
        };
        let config = LoadConfig::try_from(LoadOptions {
            stream: None,
            tenants: vec![
                tenant("own", Some("ASIAOWN"), Some("own")),
                tenant("lasting", Some("AKIA"), None),
                tenant("shared", None, None),
            ],
            access_key: Some("ASIASHARED".into()),
            session_token: Some("shared".into()),
            ..options()
        });
        let WorkloadConfig::Kinesis(kinesis) = config.unwrap().workload else { panic!("not Kinesis") };
        let tokens = kinesis.tenants.iter().map(|tenant| tenant.identity.session_token.as_deref());
        assert_eq!(tokens.collect::<Vec<_>>(), [Some("own"), None, Some("shared")]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_mend() {
        assert!(error(|o| o.max = true).contains("not both"));
        assert!(error(|o| o.rate = None).contains("--max"));
        assert!(error(|o| o.endpoints.clear()).contains("--endpoint http://"));
        assert!(error(|o| o.stream = None).contains("--stream"));
        assert!(error(|o| o.batch = Some(501)).contains("between 1 and 500"));
        assert!(error(|o| o.record_size = Some(RecordSize(8))).contains("between 24"));
        assert!(error(|o| o.connections = Some(0)).contains("--connections"));
        assert!(error(|o| o.encoding = Some("xml".into())).contains("json or cbor"));
        assert!(
            error(|o| {
                o.mix.insert("PutRecrods".into(), 1.0);
            })
            .contains("PutRecords")
        );
        assert!(
            error(|o| o.endpoints = vec!["http://127.0.0.1:1/kinesis".into()]).contains("more than a host")
        );
        assert!(error(|o| o.ca = Some("/ca.pem".into())).contains("https://"));
        let service = ServiceOptions {
            name: "auth".into(),
            kind: ServiceKind::SignIn,
            endpoints: vec!["http://127.0.0.1:1".into()],
            weight: Some(0.0),
        };
        assert!(error(|o| o.services = vec![service]).contains("above 0"));
        assert!(error(|o| o.window = Some("1500us".parse().unwrap())).contains("whole milliseconds"));
    }
}
