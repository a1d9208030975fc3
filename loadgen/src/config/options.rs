//! Options of a load run, as the command line and files give them: all optional, nothing checked but their form.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};
use weir_core::units::{Rate, Size, Span};

use crate::arrival::Arrivals;

/// What may be asked of a load run. What is absent gets a value when the configuration is made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoadOptions {
    /// Base URLs; every tenant uses all of them.
    pub endpoints: Vec<String>,
    /// The control plane, which says where each tenant's requests go.
    pub control: Option<SocketAddr>,
    /// How often the control plane is asked (1s).
    pub refresh: Option<Span>,
    /// The stream, when there is one tenant.
    pub stream: Option<String>,
    /// Tenants with streams of their own.
    pub tenants: Vec<TenantOptions>,
    /// Calls a second: an open loop.
    pub rate: Option<Rate>,
    /// As fast as the connections allow: a closed loop.
    pub max: bool,
    /// How starts are spread (constant).
    pub arrivals: Option<Arrivals>,
    /// Weights of operations by name (all `PutRecords`, or `PutRecord` when the batch is 1).
    pub mix: BTreeMap<String, f64>,
    /// Records in one `PutRecords` (500).
    pub batch: Option<usize>,
    /// Bytes of one record's data (1024).
    pub record_size: Option<RecordSize>,
    /// Different partition keys (10000), or subjects of a service (10).
    pub keys: Option<u32>,
    /// How keys are drawn (uniform).
    pub skew: Option<Skew>,
    /// Connections of all workers (16).
    pub connections: Option<usize>,
    /// Worker threads (1).
    pub workers: Option<usize>,
    /// How long a call may take, and how long a start waits for a connection (10s).
    pub timeout: Option<Span>,
    /// How long starts are made; absent: until stopped.
    pub duration: Option<Span>,
    /// Length of a window (500ms).
    pub window: Option<Span>,
    /// `json` (the default) or `cbor`.
    pub encoding: Option<String>,
    /// The region in signatures (us-east-1).
    pub region: Option<String>,
    /// The access key of tenants without one.
    pub access_key: Option<String>,
    /// Its secret.
    pub secret_key: Option<String>,
    /// The session token that came with them, when they are temporary.
    pub session_token: Option<String>,
    /// A file of certificates (PEM) to believe at https endpoints, instead of those that the host trusts.
    pub ca: Option<PathBuf>,
    /// Send a made-up signature: saves the hashing of bodies, for services that do not check.
    pub unsigned: bool,
    /// Readers begin at the oldest record.
    pub from_oldest: bool,
    /// Load a service at the endpoints instead of Kinesis.
    pub service: Option<ServiceKind>,
    /// Load several services at once, each at endpoints of its own.
    pub services: Vec<ServiceOptions>,
    /// Makes arrivals, keys and choices repeatable.
    pub seed: Option<u64>,
    /// Where window lines go.
    pub windows: Option<PathBuf>,
    /// Where acknowledged records go.
    pub acks: Option<PathBuf>,
    /// Where the HDR interval log goes.
    pub hdr: Option<PathBuf>,
}

/// One tenant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TenantOptions {
    /// Its name.
    pub name: String,
    /// Its streams.
    pub streams: Vec<String>,
    /// Its share of the calls against the other tenants' (1).
    pub weight: Option<f64>,
    /// Its access key.
    pub access_key: Option<String>,
    /// Its secret.
    pub secret_key: Option<String>,
    /// The session token that came with them, when they are temporary.
    pub session_token: Option<String>,
}

/// A service on the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// `POST /sign-in` of the auth cache.
    SignIn,
    /// `POST /put-metric-data` of the metrics buffer.
    PutMetricData,
    /// `POST /put-events` of the event bus.
    PutEvents,
}

/// One of several services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServiceOptions {
    /// Its name in windows and reports.
    pub name: String,
    /// What it is.
    pub kind: ServiceKind,
    /// Where it is.
    pub endpoints: Vec<String>,
    /// Its share of the calls against the other services' (1).
    #[serde(default)]
    pub weight: Option<f64>,
}

/// Text that is no value of the option asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: write {example}")]
pub struct OptionError {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// Bytes of a record: `1024`, or with a unit, `1KiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSize(pub usize);

impl FromStr for RecordSize {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let error = || OptionError { text: text.into(), what: "record size", example: "1024 or 1KiB" };
        match text.parse() {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => {
                let size: Size = text.parse().map_err(|_| error())?;
                Ok(Self(usize::try_from(size.0).map_err(|_| error())?))
            }
        }
    }
}

/// How keys are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Skew {
    /// Each as often as any other.
    Uniform,
    /// The k-th as often as 1/k^exponent.
    Zipf {
        /// Above 0; 1 is the classic.
        exponent: f64,
    },
}

impl FromStr for Skew {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let error = || OptionError { text: text.into(), what: "key skew", example: "uniform or zipf:1.0" };
        if text == "uniform" {
            return Ok(Self::Uniform);
        }
        let exponent: f64 = text.strip_prefix("zipf:").ok_or_else(error)?.parse().map_err(|_| error())?;
        if exponent > 0.0 && exponent <= 10.0 { Ok(Self::Zipf { exponent }) } else { Err(error()) }
    }
}

impl std::fmt::Display for Skew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf { exponent } => write!(f, "zipf:{exponent}"),
        }
    }
}

impl std::fmt::Display for RecordSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_serde!(RecordSize);
text_serde!(Skew);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_back_from_their_json() {
        let options = LoadOptions {
            control: Some("127.0.0.1:9".parse().unwrap()),
            tenants: vec![TenantOptions {
                name: "t".into(),
                streams: vec!["s".into()],
                ..TenantOptions::default()
            }],
            rate: Some(Rate(20.0)),
            record_size: Some(RecordSize(2_048)),
            skew: Some(Skew::Zipf { exponent: 1.5 }),
            service: Some(ServiceKind::SignIn),
            ..LoadOptions::default()
        };
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<LoadOptions>(&text).unwrap(), options);
        assert!(serde_json::from_str::<LoadOptions>(r#"{"rat": "2/s"}"#).is_err());
    }

    #[test]
    fn a_record_size_may_carry_a_unit_and_a_skew_its_exponent() {
        assert_eq!("1024".parse::<RecordSize>(), Ok(RecordSize(1_024)));
        assert_eq!("1KiB".parse::<RecordSize>(), Ok(RecordSize(1_024)));
        assert!("1K".parse::<RecordSize>().unwrap_err().to_string().contains("1KiB"));
        assert_eq!("zipf:1.2".parse::<Skew>(), Ok(Skew::Zipf { exponent: 1.2 }));
        for text in ["zipf", "zipf:", "zipf:0", "zipf:-1", "pareto"] {
            assert!(text.parse::<Skew>().is_err(), "{text}");
        }
    }
}
