//! Reads a stream shard by shard, remembers how far the caller got, and goes on from there after a restart.
//!
//! A service holds one [`Consumer`] and asks it for one batch after another; it says what it has dealt with, and only
//! that is written down. At least once: after a crash the records behind the last checkpoint come again. It must never
//! skip a record: a lost iterator is asked for again behind the last record that was handed out, and where a shard ends its
//! children begin, so that records of one key come in their order over a reshard.

pub mod checkpoint;
mod cursor;
mod lineage;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use weir_core::clock::{Clock, Monotonic};

pub use self::cursor::StartAt;
use self::{
    checkpoint::{CheckpointError, Checkpoints},
    cursor::Cursor,
    lineage::Lineage,
};
use crate::{
    calls::{GetRecords, GetShardIterator, Record},
    client::KinesisClient,
    error::CallError,
};

/// How a consumer behaves.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// The stream.
    pub stream: String,
    /// Where to begin in a shard without a checkpoint.
    pub start: StartAt,
    /// Records of one batch, at most.
    pub limit: u32,
    /// A shard that had nothing new is asked again after this; AWS allows five reads a second.
    pub idle_pause: Duration,
    /// A shard that could not be read is asked again after this.
    pub error_pause: Duration,
    /// Where checkpoints are kept; none: a restart begins at `start`.
    pub checkpoints: Option<PathBuf>,
}

/// Why there is no batch.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// The stream's shards could not be listed.
    #[error("list the stream's shards: {0}")]
    Shards(#[source] CallError),
    /// A shard could not be read; it is tried again after a pause.
    #[error("read {shard_id}: {source}")]
    Read {
        /// Which shard.
        shard_id: String,
        /// Why.
        source: CallError,
    },
    /// Checkpoints could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Records of one shard.
#[derive(Debug, Clone)]
pub struct ShardBatch {
    /// Which shard.
    pub shard_id: String,
    /// Its records, in order; may be none.
    pub records: Vec<Record>,
    /// How far behind the newest record this is.
    pub behind: Duration,
}

/// A reader of one stream.
#[derive(Debug)]
pub struct Consumer {
    client: Arc<KinesisClient>,
    clock: Clock,
    config: ConsumerConfig,
    checkpoints: Checkpoints,
    lineage: Lineage,
    /// The shards that are being read.
    cursors: BTreeMap<String, Cursor>,
}

impl Consumer {
    /// Reads the checkpoints. The stream is not touched yet.
    pub fn open(
        client: Arc<KinesisClient>,
        clock: Clock,
        config: ConsumerConfig,
    ) -> Result<Self, ConsumeError> {
        let checkpoints = Checkpoints::open(config.checkpoints.as_deref(), &config.stream)?;
        Ok(Self { client, clock, config, checkpoints, lineage: Lineage::default(), cursors: BTreeMap::new() })
    }

    /// The next batch, of the shard whose turn it is. Waits for that turn, then makes at most two calls.
    pub async fn poll(&mut self) -> Result<ShardBatch, ConsumeError> {
        if self.cursors.is_empty() {
            self.find_shards().await?;
        }
        let (shard_id, due) = self.next_due();
        let wait = due.since(self.clock.now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if self.cursors[&shard_id].is_at_end() {
            return self.go_on_behind(shard_id).await;
        }
        let read = self.read(&shard_id).await;
        let now = self.clock.now();
        let cursor = self.cursors.get_mut(&shard_id).expect("only one at its end is taken away");
        match read {
            Ok((records, next, behind)) => {
                let caught_up = records.is_empty() || behind.is_zero();
                cursor.read(records.last().map(|record| record.sequence_number.as_str()), next);
                cursor.due = if caught_up { now + self.config.idle_pause } else { now };
                Ok(ShardBatch { shard_id, records, behind })
            }
            Err(source) => {
                cursor.failed(source.code());
                cursor.due = now + self.config.error_pause;
                Err(ConsumeError::Read { shard_id, source })
            }
        }
    }

    /// Everything up to this record of the shard is dealt with. Written down before it returns.
    pub fn checkpoint(&mut self, shard_id: &str, sequence_number: &str) -> Result<(), ConsumeError> {
        Ok(self.checkpoints.set(shard_id, sequence_number)?)
    }

    async fn find_shards(&mut self) -> Result<(), ConsumeError> {
        let shards = self.client.shards(&self.config.stream).await.map_err(ConsumeError::Shards)?;
        let begin = self.lineage.first(&shards, self.config.start, |id| self.checkpoints.get(id).is_some());
        let start = self.config.start;
        begin.into_iter().for_each(|shard| self.begin(&shard.shard_id, start));
        if self.cursors.is_empty() {
            tokio::time::sleep(self.config.error_pause).await;
            let source = CallError::Service {
                status: 400,
                code: "ResourceNotFoundException".into(),
                message: Some("the stream has no shard".into()),
            };
            return Err(ConsumeError::Shards(source));
        }
        Ok(())
    }

    /// A shard is read to its end: its children begin, each when all of its parents are. While the service shows none,
    /// it is asked again.
    async fn go_on_behind(&mut self, shard_id: String) -> Result<ShardBatch, ConsumeError> {
        let listed = self.client.shards(&self.config.stream).await;
        let now = self.clock.now();
        let cursor = self.cursors.get_mut(&shard_id).expect("only one at its end is taken away");
        let shards = match listed {
            Ok(shards) => shards,
            Err(error) => {
                cursor.due = now + self.config.error_pause;
                return Err(ConsumeError::Shards(error));
            }
        };
        match self.lineage.behind(&shard_id, &shards) {
            Some(begin) => {
                self.cursors.remove(&shard_id);
                begin.into_iter().for_each(|shard| self.begin(&shard.shard_id, StartAt::TrimHorizon));
            }
            None => cursor.due = now + self.config.idle_pause,
        }
        Ok(ShardBatch { shard_id, records: Vec::new(), behind: Duration::ZERO })
    }

    fn begin(&mut self, shard_id: &str, start: StartAt) {
        let after = self.checkpoints.get(shard_id).map(str::to_owned);
        self.cursors.insert(shard_id.to_owned(), Cursor::new(start, after, self.clock.now()));
    }

    fn next_due(&self) -> (String, Monotonic) {
        let (shard_id, cursor) =
            self.cursors.iter().min_by_key(|(_, cursor)| cursor.due).expect("there is at least one shard");
        (shard_id.clone(), cursor.due)
    }

    async fn read(&mut self, shard_id: &str) -> Result<(Vec<Record>, Option<String>, Duration), CallError> {
        let cursor = self.cursors.get_mut(shard_id).expect("only one at its end is taken away");
        let iterator = match cursor.iterator() {
            Some(iterator) => iterator.to_owned(),
            None => {
                let call = GetShardIterator {
                    stream_name: self.config.stream.clone(),
                    shard_id: shard_id.to_owned(),
                    from: cursor.place(),
                };
                let asked = self.clock.wall();
                let answer = self.client.call(&call).await?;
                cursor.begin(answer.shard_iterator.clone(), asked);
                answer.shard_iterator
            }
        };
        let call = GetRecords { shard_iterator: iterator, limit: Some(self.config.limit) };
        let answer = self.client.call(&call).await?;
        let behind = Duration::from_millis(answer.millis_behind_latest);
        Ok((answer.records, answer.next_shard_iterator, behind))
    }
}
