//! `weir load`: flags to options, and the report to stdout.
//!
//! The load generator is `weir-loadgen`; here its options get their names on the command line. A file of options
//! (`--options`, JSON with the same names) is what the lab uses; flags win over it.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use weir_core::{
    clock::Clock,
    threads::Threads,
    units::{Rate, Span},
};
use weir_loadgen::{
    arrival::Arrivals,
    config::{LoadConfig, LoadOptions, RecordSize, ServiceKind, Skew},
    report::LoadReport,
    run,
    workload::codes,
};
use weir_sync::Shutdown;

use crate::{
    exit::{self, Failure},
    node::control_address,
    say,
};

/// Flags of `weir load`.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// A Kinesis endpoint (`http://127.0.0.1:4567`, `https://kinesis.us-east-1.amazonaws.com`); may be repeated. A name is
    /// resolved once, before the load begins.
    #[arg(long = "endpoint", value_name = "URL")]
    endpoints: Vec<String>,
    /// Ask this control plane where each tenant's requests go.
    #[arg(long, value_name = "URL", value_parser = control_address)]
    control: Option<SocketAddr>,
    /// The stream.
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Calls a second, open loop (`200/s`).
    #[arg(long)]
    rate: Option<Rate>,
    /// As fast as the connections allow, closed loop.
    #[arg(long)]
    max: bool,
    /// How starts are spread [default: constant].
    #[arg(long, value_enum)]
    arrivals: Option<ArrivalsArg>,
    /// Weights of operations (`PutRecord=1,GetRecords=2`) [default: PutRecords, or PutRecord when the batch is 1].
    #[arg(long, value_delimiter = ',', value_name = "OPERATION=WEIGHT", value_parser = weighted)]
    mix: Vec<(String, f64)>,
    /// Records in one PutRecords [default: 500].
    #[arg(long)]
    batch: Option<usize>,
    /// Bytes of one record's data [default: 1024].
    #[arg(long)]
    record_size: Option<RecordSize>,
    /// Different partition keys [default: 10000].
    #[arg(long)]
    keys: Option<u32>,
    /// How keys are drawn: `uniform` or `zipf:1.0` [default: uniform].
    #[arg(long)]
    skew: Option<Skew>,
    /// Connections. Kinesis calls to --endpoint find all of them opened; others open them when needed [default: 16].
    #[arg(long)]
    connections: Option<usize>,
    /// Worker threads [default: 1].
    #[arg(long)]
    workers: Option<usize>,
    /// How long a call may take, and how long a start waits for a connection [default: 10s].
    #[arg(long)]
    timeout: Option<Span>,
    /// How long starts are made; Ctrl-C ends earlier, with the report [default: 10s].
    #[arg(long)]
    duration: Option<Span>,
    /// `json` or `cbor` [default: json].
    #[arg(long)]
    encoding: Option<String>,
    /// The region in signatures [default: us-east-1].
    #[arg(long)]
    region: Option<String>,
    /// Sign with this access key (and `--secret-key`).
    #[arg(long, requires = "secret_key")]
    access_key: Option<String>,
    /// The access key's secret.
    #[arg(long)]
    secret_key: Option<String>,
    /// The session token that came with the access key, when it is a temporary one.
    #[arg(long, value_name = "TOKEN", requires = "access_key")]
    session_token: Option<String>,
    /// Believe the certificates in this file (PEM) at https endpoints, instead of those that this host trusts. One that a
    /// server made for itself must not be an authority's (openssl: `-addext basicConstraints=critical,CA:FALSE`).
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Send a made-up signature: saves hashing bodies, for servers that do not check.
    #[arg(long)]
    unsigned: bool,
    /// Readers begin at the oldest record.
    #[arg(long)]
    from_oldest: bool,
    /// Load a service on the stream instead of the stream.
    #[arg(long, value_enum)]
    service: Option<ServiceArg>,
    /// Makes arrivals, keys and choices repeatable.
    #[arg(long)]
    seed: Option<u64>,
    /// Write an HDR interval log.
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
    /// Write a JSON line for each window.
    #[arg(long, value_name = "FILE")]
    windows: Option<PathBuf>,
    /// Write every acknowledged record, for an integrity check.
    #[arg(long, value_name = "FILE")]
    acks: Option<PathBuf>,
    /// Read options from a JSON file first (`-`: from stdin); flags win.
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ArrivalsArg {
    Constant,
    Poisson,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ServiceArg {
    SignIn,
    PutMetricData,
    PutEvents,
}

fn weighted(text: &str) -> Result<(String, f64), String> {
    let (name, weight) = text.split_once('=').ok_or_else(|| format!("{text:?} is no OPERATION=WEIGHT"))?;
    let weight = weight.parse().map_err(|_| format!("{weight:?} is no weight"))?;
    Ok((name.to_owned(), weight))
}

/// How long a run without a duration, started by hand, goes on.
const DURATION_DEFAULT: Span = Span(std::time::Duration::from_secs(10));

impl LoadArgs {
    fn into_options(self) -> anyhow::Result<LoadOptions> {
        let file = match &self.options {
            None => LoadOptions { duration: Some(DURATION_DEFAULT), ..LoadOptions::default() },
            Some(path) => {
                let text = if path.as_os_str() == "-" {
                    std::io::read_to_string(std::io::stdin()).context("read options from stdin")?
                } else {
                    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?
                };
                serde_json::from_str(&text).with_context(|| format!("options in {}", path.display()))?
            }
        };
        let arrivals = self.arrivals.map(|arrivals| match arrivals {
            ArrivalsArg::Constant => Arrivals::Constant,
            ArrivalsArg::Poisson => Arrivals::Poisson,
        });
        let service = self.service.map(|service| match service {
            ServiceArg::SignIn => ServiceKind::SignIn,
            ServiceArg::PutMetricData => ServiceKind::PutMetricData,
            ServiceArg::PutEvents => ServiceKind::PutEvents,
        });
        let mix: BTreeMap<String, f64> = self.mix.into_iter().collect();
        Ok(LoadOptions {
            endpoints: if self.endpoints.is_empty() { file.endpoints } else { self.endpoints },
            control: self.control.or(file.control),
            refresh: file.refresh,
            stream: self.stream.or(file.stream),
            tenants: file.tenants,
            rate: self.rate.or(file.rate),
            max: self.max || file.max,
            arrivals: arrivals.or(file.arrivals),
            mix: if mix.is_empty() { file.mix } else { mix },
            batch: self.batch.or(file.batch),
            record_size: self.record_size.or(file.record_size),
            keys: self.keys.or(file.keys),
            skew: self.skew.or(file.skew),
            connections: self.connections.or(file.connections),
            workers: self.workers.or(file.workers),
            timeout: self.timeout.or(file.timeout),
            duration: self.duration.or(file.duration),
            window: file.window,
            encoding: self.encoding.or(file.encoding),
            region: self.region.or(file.region),
            access_key: self.access_key.or(file.access_key),
            secret_key: self.secret_key.or(file.secret_key),
            session_token: self.session_token.or(file.session_token),
            ca: self.ca.or(file.ca),
            unsigned: self.unsigned || file.unsigned,
            from_oldest: self.from_oldest || file.from_oldest,
            service: service.or(file.service),
            services: file.services,
            seed: self.seed.or(file.seed),
            windows: self.windows.or(file.windows),
            acks: self.acks.or(file.acks),
            hdr: self.hdr.or(file.hdr),
        })
    }
}

/// Runs to the end of the duration or to Ctrl-C, and prints the report.
pub(crate) fn run(args: LoadArgs) -> Result<u8, Failure> {
    let json = args.json;
    let options = args.into_options().map_err(Failure::usage)?;
    let config = LoadConfig::try_from(options).map_err(Failure::usage)?;
    let report = run::run(&config, &Threads::new(), Clock::new(), &Shutdown::new())?;
    if json {
        say::json(&report)?
    } else {
        say::text(&report)?
    }
    match in_vain(&report) {
        Some(why) => Err(anyhow::anyhow!("no call succeeded: {why}").into()),
        None => Ok(exit::HELD),
    }
}

/// Why a load met nobody who served it, by the commonest error; `None` when some call succeeded, or none was due.
fn in_vain(report: &LoadReport) -> Option<String> {
    if report.succeeded > 0 || report.offered == 0 {
        return None;
    }
    let (code, _) = report.errors.iter().max_by_key(|(_, count)| **count)?;
    Some(match code.as_str() {
        codes::CONNECT => "nobody listens at the endpoint".to_owned(),
        codes::TLS => {
            "the endpoint's certificate is not trusted here; give its authority with --ca".to_owned()
        }
        "ResourceNotFoundException" => {
            "there is no such stream; create it first, as with aws kinesis create-stream".to_owned()
        }
        other => format!("most of them ended with {other}"),
    })
}

/// The load of one arm, as the lab starts it.
pub(crate) fn run_child(args: &weir_lab::run::LoadChildArgs) -> Result<u8, Failure> {
    weir_lab::run::run_load(args)?;
    Ok(exit::HELD)
}
