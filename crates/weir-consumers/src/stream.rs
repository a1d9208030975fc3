//! A consumer's way to the stream: a client for the flusher's thread, a client and a reader for the reader's.
//!
//! Connections belong to a runtime, so each thread makes its own. Retries are the caller's: the flusher keeps its
//! entries until they are stored, the reader goes on from where it was.

use std::{path::Path, sync::Arc, time::Duration};

use weir_client::{
    ClientConfig, Endpoints, KinesisClient,
    consumer::{ConsumeError, Consumer, ConsumerConfig, StartAt},
    producer::{Producer, ProducerConfig},
    retry::{RetryPolicy, UnknownWrites},
};
use weir_core::clock::Clock;
use weir_wire::control::RemoteControl;

use crate::config::{EndpointSource, StreamConfig};

/// The checkpoints' name in the data folder.
const CHECKPOINTS_FILE: &str = "checkpoints";
/// Connections that one thread keeps open. It takes the endpoints in turn, so that with fewer than those nearly every call
/// would open one; of more endpoints than this the first keep theirs.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// Records of one read. A backlog is read in a few hundred calls; one answer stays well under a mebibyte.
const READ_RECORDS_MAX: u32 = 1_000;
/// A shard that could not be read is tried again after this.
const ERROR_PAUSE: Duration = Duration::from_millis(250);

/// A client with one attempt a call.
fn client(config: &StreamConfig, clock: Clock) -> Arc<KinesisClient> {
    let endpoints = match &config.endpoints {
        EndpointSource::Fixed(list) => Endpoints::fixed(list.clone()),
        EndpointSource::Control { address, tenant, refresh } => {
            Endpoints::from_control(Arc::new(RemoteControl::new(*address)), tenant.clone(), *refresh)
        }
    };
    let client = ClientConfig {
        identity: config.identity.clone(),
        region: config.region.clone(),
        attempt_timeout: config.attempt_timeout,
        retry: RetryPolicy::NEVER,
        idle_connections_max: IDLE_CONNECTIONS_MAX,
    };
    Arc::new(KinesisClient::new(client, Arc::new(endpoints), clock))
}

/// Puts into the stream, each record once a call.
pub(crate) fn producer(config: &StreamConfig, clock: Clock) -> Producer {
    let once = ProducerConfig {
        attempts_max: 1,
        pause: Duration::ZERO,
        pause_max: Duration::ZERO,
        unknown_writes: UnknownWrites::Report,
    };
    Producer::new(client(config, clock), config.name.clone(), once)
}

/// Reads the stream from its oldest record, or behind the checkpoints in `data`.
pub(crate) fn reader(
    config: &StreamConfig,
    data: Option<&Path>,
    clock: Clock,
) -> Result<Consumer, ConsumeError> {
    let reader = ConsumerConfig {
        stream: config.name.clone(),
        start: StartAt::TrimHorizon,
        limit: READ_RECORDS_MAX,
        idle_pause: config.read_pause,
        error_pause: ERROR_PAUSE,
        checkpoints: data.map(|folder| folder.join(CHECKPOINTS_FILE)),
    };
    Consumer::open(client(config, clock), clock, reader)
}
