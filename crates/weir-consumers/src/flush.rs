//! The flusher: one thread that moves entries from the buffer into the stream, and keeps them until they are there.
//!
//! While the stream is down it holds the one batch that failed and tries it again; everything else stays in the buffer,
//! so that the buffer's fill tells the truth. It never gives an entry up before the consumer stops. At least once: a
//! batch whose answer was lost is sent again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::RngExt;
use weir_client::{
    calls::PutRecordsEntry,
    producer::{Producer, PutOutcome},
};
use weir_core::{
    clock::{Clock, Monotonic},
    entropy::{Rng, secret_u64, seeded},
    limits::PUT_RECORDS_COUNT_MAX,
};
use weir_sync::Shutdown;

use crate::buffer::{Buffer, Entry, Pushed};

/// The longest pause before a second attempt; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(100);
/// No pause is longer: a stream that is back is noticed within a second.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a stopping consumer tries to send what it still has, altogether.
const FAREWELL: Duration = Duration::from_secs(2);

/// What became of entries on their way, for `/metrics`.
#[derive(Debug, Default)]
pub(crate) struct FlushCounts {
    /// Entries that are in the stream.
    pub(crate) sent: AtomicU64,
    /// Attempts after which at least one entry was left.
    pub(crate) failed_attempts: AtomicU64,
    /// Entries that the flusher holds.
    pub(crate) in_hand: AtomicU64,
    /// Entries that were lost because the consumer stopped.
    pub(crate) lost_at_stop: AtomicU64,
}

/// The flusher of one consumer.
#[derive(Debug)]
pub(crate) struct Flusher {
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) counts: Arc<FlushCounts>,
    pub(crate) producer: Producer,
    pub(crate) interval: Duration,
    pub(crate) clock: Clock,
    pub(crate) stop: Shutdown,
    /// When to stop trying; known once the consumer stops.
    pub(crate) farewell_until: Option<Monotonic>,
}

impl Flusher {
    /// Runs on its own thread until the buffer is closed and drained.
    pub(crate) fn run(mut self, runtime: &tokio::runtime::Runtime) {
        let mut jitter = seeded(secret_u64(), "flush jitter");
        let mut batch = Vec::new();
        loop {
            batch.clear();
            self.buffer.take(PUT_RECORDS_COUNT_MAX, &mut batch);
            if batch.is_empty() {
                return;
            }
            self.counts.in_hand.store(batch.len() as u64, Ordering::Relaxed);
            let left = runtime.block_on(self.deliver(std::mem::take(&mut batch), &mut jitter));
            self.counts.in_hand.store(0, Ordering::Relaxed);
            if left.is_empty() {
                self.buffer.sent();
            }
            self.give_up(&left);
        }
    }

    /// Sends until everything is stored. What is left is so because the consumer stops.
    async fn deliver(&mut self, mut batch: Vec<Entry>, jitter: &mut Rng) -> Vec<Entry> {
        if batch.len() < PUT_RECORDS_COUNT_MAX {
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = self.stop.wait_async() => {}
            }
            self.buffer.take_now(PUT_RECORDS_COUNT_MAX, &mut batch);
            self.counts.in_hand.store(batch.len() as u64, Ordering::Relaxed);
        }
        for failures in 0u32.. {
            let stopping = self.stop.is_begun();
            let time = if stopping { self.farewell_left() } else { Duration::MAX };
            let attempt = self.producer.put(batch.iter().map(to_record).collect());
            let Ok(outcomes) = tokio::time::timeout(time, attempt).await else { return batch };
            let all = batch.len();
            let trouble = first_trouble(&outcomes).map(str::to_owned);
            batch = left_of(batch, &outcomes);
            self.counts.sent.fetch_add((all - batch.len()) as u64, Ordering::Relaxed);
            self.counts.in_hand.store(batch.len() as u64, Ordering::Relaxed);
            if batch.is_empty() || stopping {
                return batch;
            }
            self.counts.failed_attempts.fetch_add(1, Ordering::Relaxed);
            if failures == 0 {
                tracing::warn!(left = batch.len(), code = trouble, "the stream does not take entries");
            }
            tokio::select! {
                () = tokio::time::sleep(pause_after(failures, jitter.random())) => {}
                () = self.stop.wait_async() => {}
            }
        }
        batch
    }

    fn farewell_left(&mut self) -> Duration {
        let now = self.clock.now();
        self.farewell_until.get_or_insert(now + FAREWELL).since(now)
    }

    fn give_up(&self, left: &[Entry]) {
        let lost = left.iter().filter(|entry| self.buffer.set_aside(entry) != Pushed::Kept).count();
        if lost > 0 {
            self.counts.lost_at_stop.fetch_add(lost as u64, Ordering::Relaxed);
            tracing::warn!(lost, "entries that the stream did not take are lost with this process");
        }
    }
}

fn to_record(entry: &Entry) -> PutRecordsEntry {
    PutRecordsEntry {
        data: entry.data.clone().into(),
        partition_key: entry.partition_key.to_string(),
        explicit_hash_key: None,
    }
}

/// The entries that are not known to be stored, in their order.
fn left_of(batch: Vec<Entry>, outcomes: &[PutOutcome]) -> Vec<Entry> {
    assert_eq!(batch.len(), outcomes.len(), "each entry has an outcome");
    let failed = |(entry, outcome): (Entry, &PutOutcome)| match outcome {
        PutOutcome::Stored { .. } => None,
        PutOutcome::Failed { .. } => Some(entry),
    };
    batch.into_iter().zip(outcomes).filter_map(failed).collect()
}

fn first_trouble(outcomes: &[PutOutcome]) -> Option<&str> {
    outcomes.iter().find_map(|outcome| match outcome {
        PutOutcome::Stored { .. } => None,
        PutOutcome::Failed { code, .. } => Some(code.as_str()),
    })
}

/// How long to wait after the attempt that followed `failures` failed ones. `jitter` is from 0 up to 1: consumers that
/// lost the stream together must not return to it together.
fn pause_after(failures: u32, jitter: f64) -> Duration {
    let longest = PAUSE.saturating_mul(1u32.checked_shl(failures).unwrap_or(u32::MAX)).min(PAUSE_MAX);
    longest.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use weir_core::{clock::WallMs, effect::Effect};

    use super::*;

    #[test]
    fn pauses_double_up_to_a_second_and_are_never_nothing() {
        let most = |failures| pause_after(failures, 1.0).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 5, 40].map(most), [100, 200, 400, 800, 1_000, 1_000, 1_000]);
        assert_eq!(pause_after(0, 0.0), Duration::from_millis(50));
    }

    #[test]
    fn only_what_is_stored_leaves_the_hand() {
        let entry = |number| Entry {
            number,
            at: WallMs(0),
            partition_key: "k".into(),
            data: Bytes::new(),
            in_file: false,
        };
        let stored = PutOutcome::Stored { shard_id: "s".into(), sequence_number: "1".into() };
        let failed = |effect| PutOutcome::Failed { code: "InternalFailure".into(), effect };
        let outcomes = [failed(Effect::Unknown), stored, failed(Effect::None)];
        let left = left_of(vec![entry(1), entry(2), entry(3)], &outcomes);
        assert_eq!(left.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(first_trouble(&outcomes), Some("InternalFailure"));
    }
}
