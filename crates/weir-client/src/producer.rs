//! Puts many records: batches within Kinesis's limits, and retries of the records that were not taken.
//!
//! Services hold one [`Producer`] per stream and hand it what has gathered; batching over time is theirs. Records of
//! one call may be stored out of their order when some were retried, as with AWS's own producer library.

pub mod aggregate;
mod batch;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::RngExt;
use weir_core::{
    effect::Effect,
    entropy::{Rng, secret_u64, seeded},
};

use crate::{
    calls::{PutRecords, PutRecordsEntry, PutRecordsResult},
    client::KinesisClient,
    retry::{UnknownWrites, is_passing},
};

/// How a producer behaves.
#[derive(Debug, Clone, Copy)]
pub struct ProducerConfig {
    /// Times that one record is sent, the first included, beside what the client retries whole calls.
    pub attempts_max: u32,
    /// The mean pause before a second attempt is half of this; it doubles with each further one.
    pub pause: Duration,
    /// No pause is longer.
    pub pause_max: Duration,
    /// What to do with a record that may be stored although its result is an error.
    pub unknown_writes: UnknownWrites,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is stored.
    Stored {
        /// In this shard.
        shard_id: String,
        /// Under this number.
        sequence_number: String,
    },
    /// It is not, or nobody knows.
    Failed {
        /// The last error's code.
        code: String,
        /// May it be stored all the same?
        effect: Effect,
    },
}

/// Puts records into one stream.
#[derive(Debug)]
pub struct Producer {
    client: Arc<KinesisClient>,
    stream: String,
    config: ProducerConfig,
    jitter: Mutex<Rng>,
}

impl Producer {
    /// A producer into `stream`.
    pub fn new(client: Arc<KinesisClient>, stream: impl Into<String>, config: ProducerConfig) -> Self {
        let jitter = Mutex::new(seeded(secret_u64(), "producer jitter"));
        Self { client, stream: stream.into(), config, jitter }
    }

    /// Puts all records; one outcome for each, in their order. Returns when each is stored or given up.
    pub async fn put(&self, records: Vec<PutRecordsEntry>) -> Vec<PutOutcome> {
        let mut outcomes: Vec<Option<PutOutcome>> = vec![None; records.len()];
        let mut left: Vec<(usize, PutRecordsEntry)> = records.into_iter().enumerate().collect();
        for attempt in 1..=self.config.attempts_max.max(1) {
            let last = attempt == self.config.attempts_max.max(1);
            let mut again = Vec::new();
            for batch in batch::split(left) {
                self.put_batch(batch, last, &mut outcomes, &mut again).await;
            }
            left = again;
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(self.pause_after(attempt)).await;
        }
        outcomes.into_iter().map(|outcome| outcome.expect("each record was stored or given up")).collect()
    }

    async fn put_batch(
        &self,
        batch: Vec<(usize, PutRecordsEntry)>,
        last: bool,
        outcomes: &mut [Option<PutOutcome>],
        again: &mut Vec<(usize, PutRecordsEntry)>,
    ) {
        let (places, records): (Vec<usize>, Vec<PutRecordsEntry>) = batch.into_iter().unzip();
        let call = PutRecords { stream_name: self.stream.clone(), records };
        match self.client.call(&call).await {
            Ok(answer) if answer.records.len() == places.len() => {
                for ((place, record), result) in places.into_iter().zip(call.records).zip(answer.records) {
                    let outcome = outcome_of(result);
                    if !last && self.may_repeat(&outcome) {
                        again.push((place, record));
                    } else {
                        outcomes[place] = Some(outcome);
                    }
                }
            }
            Ok(_) => give_up(&places, &failed("bad-answer", Effect::Unknown), outcomes),
            // The client has tried the whole call again already, as far as that may help.
            Err(error) => give_up(&places, &failed(error.code(), error.effect()), outcomes),
        }
    }

    fn may_repeat(&self, outcome: &PutOutcome) -> bool {
        match outcome {
            PutOutcome::Stored { .. } => false,
            PutOutcome::Failed { code, effect } => {
                is_passing(code)
                    && (*effect == Effect::None || self.config.unknown_writes == UnknownWrites::Repeat)
            }
        }
    }

    fn pause_after(&self, attempt: u32) -> Duration {
        let doubled = self.config.pause.saturating_mul(1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        doubled.min(self.config.pause_max).mul_f64(self.jitter.lock().random())
    }
}

fn outcome_of(result: PutRecordsResult) -> PutOutcome {
    match (result.shard_id, result.sequence_number, result.error_code) {
        (Some(shard_id), Some(sequence_number), None) => PutOutcome::Stored { shard_id, sequence_number },
        // A throttled record was not stored; after any other trouble nobody knows.
        (_, _, Some(code)) if code == "ProvisionedThroughputExceededException" => failed(&code, Effect::None),
        (_, _, Some(code)) => failed(&code, Effect::Unknown),
        (_, _, None) => failed("bad-answer", Effect::Unknown),
    }
}

fn failed(code: &str, effect: Effect) -> PutOutcome {
    PutOutcome::Failed { code: code.to_owned(), effect }
}

fn give_up(places: &[usize], outcome: &PutOutcome, outcomes: &mut [Option<PutOutcome>]) {
    for &place in places {
        outcomes[place] = Some(outcome.clone());
    }
}
