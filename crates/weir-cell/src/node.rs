//! The node itself: one journal, and an answer to every question about its shards.
//!
//! Called by the links (`server.rs`) with whole frames, by a front end in the same process (`local.rs`) without, and by
//! `assignments.rs`. Appends are handed to the journal and answered when it calls back (`acknowledgements.rs`); nothing
//! here waits for a disk to write, unless whoever asks says so ([`CommittedBy::Caller`]). It must never answer for a shard
//! that the journal does not hold.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use weir_core::{
    clock::{Clock, WallMs},
    id::{ShardKey, StreamId},
    limits::{NODE_AWAIT_MAX, RETENTION_HOURS_DEFAULT},
    shard::{ClosedShard, OwnedShard},
};
use weir_log::{
    Append, AppendError, AppendOutcome, At, CloseShardError, DeleteShardError, Journal, OpenShardError,
    ReadError, WriteError,
};
use weir_sync::{Completion, completion};
use weir_wire::{
    cell::{
        AppendReply, CellError, CellReply, CellRequest, Position, PositionReply, ReadReply, ShardAppend,
        TipReply,
    },
    control::StreamTraffic,
    framing::Frame,
};

use crate::{acknowledgements::Acknowledgements, metrics::NodeMetrics};

/// A node's shards and their journal.
#[derive(Debug)]
pub struct Node {
    journal: Journal,
    clock: Clock,
    metrics: Arc<NodeMetrics>,
    /// `None` until the control plane has said so: a node that has just started must not trim by a default what a stream
    /// keeps for a week.
    retention: Mutex<Option<Retention>>,
    /// What streams took in and nobody has been told of yet.
    traffic: Mutex<BTreeMap<StreamId, StreamTraffic>>,
}

/// Which thread writes what a question appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommittedBy {
    /// The committer's, in the group that waits.
    Committer,
    /// The one that asks, which waits for the disk, if nothing else is being written: see [`Journal::append_here`]. The answer
    /// comes as any other, so that all who are ready on the thread have a turn before it: of many who come at once to a
    /// thread with one caller, the others see each other, and share a group.
    Caller,
}

/// How long records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Retention {
    /// Only streams that keep longer (or shorter) than the default.
    hours: HashMap<StreamId, u32>,
    /// Shards of which nobody has said how long: for ever.
    foreign: BTreeSet<ShardKey>,
}

impl Node {
    /// A node over an open journal.
    pub fn new(journal: Journal, clock: Clock, metrics: Arc<NodeMetrics>) -> Self {
        metrics.watch(journal.metrics());
        Self { journal, clock, metrics, retention: Mutex::default(), traffic: Mutex::default() }
    }

    /// The journal, to look at.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The shards that the journal holds, whoever assigned them.
    pub fn recovered(&self) -> Vec<OwnedShard> {
        self.journal.shards().into_iter().map(|status| status.owned).collect()
    }

    /// Answers one frame. Never fails: what is wrong is in the answer.
    pub async fn answer(&self, frame: Frame) -> Frame {
        let id = frame.id;
        let reply = match CellRequest::from_frame(frame) {
            Ok(question) => self.reply(question, CommittedBy::Committer).await,
            Err(error) => {
                tracing::warn!(%error, "a question did not decode");
                let malformed = CellReply::Failed(CellError::Malformed);
                self.metrics.answered(&malformed);
                malformed
            }
        };
        reply.into_frame(id)
    }

    /// Answers one question. Never fails: what is wrong is in the answer. `by` is who writes what it appends.
    pub async fn reply(&self, question: CellRequest, by: CommittedBy) -> CellReply {
        let reply = match question {
            CellRequest::Append(appends) => self.append(appends, by).await,
            CellRequest::Read { key, from, records_max, bytes_max } => {
                self.read(key, from, records_max, bytes_max)
            }
            CellRequest::Position { key, at } => self.position(key, at),
            CellRequest::Await { key, record, wait_ms } => {
                self.tip_beyond(key, record, Duration::from_millis(wait_ms.into())).await
            }
        };
        self.metrics.answered(&reply);
        reply
    }

    async fn append(&self, appends: Vec<ShardAppend>, by: CommittedBy) -> CellReply {
        let acknowledgements = Acknowledgements::here();
        let (mut pending, mut here) = (Vec::with_capacity(appends.len()), Vec::new());
        // All are handed over before the first is awaited: they share a group commit.
        for ShardAppend { key, batch } in appends {
            let (bytes, records) = (batch.body().len() as u64, u64::from(batch.count()));
            let (waiter, outcome) = completion();
            let acknowledgements = acknowledgements.clone();
            let append = Append::new(key, batch, move |result| acknowledgements.deliver(waiter, result));
            match by {
                CommittedBy::Committer => self.journal.append(append),
                CommittedBy::Caller => here.push(append),
            }
            pending.push((outcome, StreamTraffic { stream: key.stream, bytes, records }));
        }
        if by == CommittedBy::Caller {
            self.journal.append_here(here);
        }
        let mut results = Vec::with_capacity(pending.len());
        let mut taken = Vec::new();
        for (outcome, traffic) in pending {
            let result = answered(outcome).await.map(append_reply).map_err(|error| append_error(&error));
            taken.extend(result.is_ok().then_some(traffic));
            results.push(result);
        }
        self.give_back_traffic(taken);
        CellReply::Append(results)
    }

    fn read(&self, key: ShardKey, from: u64, records_max: u32, bytes_max: u32) -> CellReply {
        match self.journal.read(key, from, records_max, bytes_max as usize) {
            Ok(read) => CellReply::Read(ReadReply {
                batches: read.batches,
                from: read.from,
                tip: read.tip,
                tip_arrived: read.tip_arrived,
                closed: read.closed,
            }),
            // Not a fault: whoever asks sees that it is ahead, and tells its caller.
            Err(ReadError::BeyondTip { from, tip, closed, .. }) => {
                let (batches, tip_arrived) = (Vec::new(), WallMs(0));
                CellReply::Read(ReadReply { batches, from, tip, tip_arrived, closed })
            }
            Err(error) => CellReply::Failed(read_error(&error)),
        }
    }

    fn position(&self, key: ShardKey, at: Position) -> CellReply {
        let at = match at {
            Position::TrimHorizon => At::TrimHorizon,
            Position::Latest => At::Latest,
            Position::AtTimestamp(time) => At::Timestamp(time),
        };
        match self.journal.position(key, at) {
            Ok(record) => CellReply::Position(PositionReply { record }),
            Err(error) => CellReply::Failed(read_error(&error)),
        }
    }

    /// The shard's end as soon as it is behind `record`, or after a while.
    async fn tip_beyond(&self, key: ShardKey, record: u64, wait: Duration) -> CellReply {
        if let Some(rise) = self.journal.rise(key, record) {
            // How the wait ended does not matter: what is there now is the answer.
            let _ = tokio::time::timeout(wait.min(NODE_AWAIT_MAX), rise).await;
        }
        match self.journal.shard(key) {
            Some(status) => CellReply::Tip(TipReply {
                tip: status.tip,
                tip_arrived: status.last_arrived,
                closed: !status.owned.is_open(),
            }),
            None => CellReply::Failed(CellError::NotOwner),
        }
    }

    /// Queues the opening of a shard at once; it is durable when the answer says so.
    pub fn open_shard(&self, shard: OwnedShard) -> impl Future<Output = Result<(), OpenShardError>> + use<> {
        let (done, outcome) = completion();
        self.journal.open_shard(shard, move |result| done.complete(result));
        answered(outcome)
    }

    /// Queues the closing of a shard at once; it is durable when the answer says so.
    pub fn close_shard(
        &self,
        key: ShardKey,
    ) -> impl Future<Output = Result<ClosedShard, CloseShardError>> + use<> {
        let (done, outcome) = completion();
        self.journal.close_shard(key, move |result| done.complete(result));
        answered(outcome)
    }

    /// How many records a shard serves; none when the journal does not hold it.
    pub fn records_of(&self, key: ShardKey) -> u64 {
        self.journal.shard(key).map_or(0, |status| status.tip - status.oldest)
    }

    /// Queues the deletion of a shard with its records at once.
    pub fn delete_shard(&self, key: ShardKey) -> impl Future<Output = Result<(), DeleteShardError>> + use<> {
        let (done, outcome) = completion();
        self.journal.delete_shard(key, move |result| done.complete(result));
        answered(outcome)
    }

    /// Streams that keep other than [`RETENTION_HOURS_DEFAULT`], and shards that the control plane never gave out, which
    /// keep everything. True when this is other than what was said before: who has shortened a period need not wait for
    /// the next round.
    pub fn retain_hours(&self, hours: Vec<(StreamId, u32)>, foreign: BTreeSet<ShardKey>) -> bool {
        let said = Some(Retention { hours: hours.into_iter().collect(), foreign });
        let mut retention = self.retention.lock();
        let news = *retention != said;
        *retention = said;
        news
    }

    /// Drops what is now older than its stream keeps.
    pub async fn retain(&self) {
        self.retain_at(self.clock.wall()).await;
    }

    /// Drops what is older at `now` than its stream keeps, once the control plane has said how long that is. Segments in
    /// which streams that keep longer hold others' dead records are rewritten after that, which is not waited for.
    pub async fn retain_at(&self, now: WallMs) {
        let Some(Retention { hours, foreign }) = self.retention.lock().clone() else { return };
        let keep = move |shard: ShardKey| {
            if foreign.contains(&shard) {
                return Duration::MAX;
            }
            let hours = hours.get(&shard.stream).copied().unwrap_or(RETENTION_HOURS_DEFAULT);
            Duration::from_secs(u64::from(hours) * 3600)
        };
        let (done, outcome) = completion();
        self.journal.retain(keep, now, move |result| done.complete(result));
        if let Err(error) = answered(outcome).await {
            tracing::warn!(%error, "retention did not run");
        }
        self.journal.rewrite(|outcome| match outcome {
            Ok(done) if done.segments_rewritten > 0 => tracing::info!(?done, "old segments rewritten"),
            Ok(_) | Err(_) => {} // the journal tells its own failures, each once
        });
    }

    /// What streams took in since this was last asked for.
    pub fn take_traffic(&self) -> Vec<StreamTraffic> {
        std::mem::take(&mut *self.traffic.lock()).into_values().collect()
    }

    /// Adds what was taken in, or what could not be told.
    pub fn give_back_traffic(&self, traffic: Vec<StreamTraffic>) {
        let mut known = self.traffic.lock();
        for StreamTraffic { stream, bytes, records } in traffic {
            let sum = known.entry(stream).or_insert(StreamTraffic { stream, bytes: 0, records: 0 });
            sum.bytes += bytes;
            sum.records += records;
        }
    }

    /// Puts the journal's numbers into the metrics.
    pub fn observe(&self) {
        self.metrics.watch(self.journal.metrics());
    }

    /// Writes what waits and leaves the journal ready for a quick start.
    pub fn close(&self) {
        self.journal.close();
    }
}

/// The journal's answer to one write. It gives one always; a committer that is gone may have written.
async fn answered<T, E: From<WriteError>>(outcome: Completion<Result<T, E>>) -> Result<T, E> {
    outcome.await.unwrap_or_else(|_| Err(WriteError::OwnerGone.into()))
}

fn append_reply(done: AppendOutcome) -> AppendReply {
    AppendReply { first: done.first, arrived: done.arrived }
}

fn append_error(error: &AppendError) -> CellError {
    let answer = match error {
        AppendError::NoShard { .. } => CellError::NotOwner,
        AppendError::Closed { .. } => CellError::Closed,
        AppendError::Damaged(_) => CellError::LogUnavailable,
        AppendError::Write(WriteError::Busy { .. }) => CellError::Busy,
        AppendError::Write(WriteError::TooLarge { .. }) => CellError::Malformed,
        AppendError::Write(WriteError::NoRoom(_)) => CellError::Full,
        AppendError::Write(WriteError::NoSegment(_)) => CellError::LogUnavailable,
        AppendError::Write(WriteError::Stopped(_)) => CellError::LogUnavailable,
        AppendError::Write(WriteError::Closed) => CellError::Stopping,
        AppendError::Write(WriteError::Storage(_) | WriteError::OwnerGone) => CellError::Storage,
    };
    assert_eq!(answer.effect(), error.effect(), "what may have happened must not get lost: {error}");
    answer
}

fn read_error(error: &ReadError) -> CellError {
    match error {
        ReadError::NoShard { .. } => CellError::NotOwner,
        ReadError::BeyondTip { .. } => unreachable!("answered as an empty read"),
        ReadError::Damaged(_) | ReadError::Storage(_) => {
            tracing::error!(%error, "read failed");
            CellError::LogUnavailable
        }
    }
}

#[cfg(all(shuttle, test))]
mod shuttle_tests;
