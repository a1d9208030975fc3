//! The journal: one log for all shards of a node, with one fsync for all that waits.
//!
//! A node opens it, appends, reads and trims through [`Journal`]; nothing else of this crate is needed. Writers never
//! wait here, unless they ask for it: they leave a batch and are called back. Three threads belong to it: the committer,
//! which writes and syncs what comes, one that writes ahead while it syncs, and the layout thread, which lays segments out,
//! uncaches and rewrites old ones.

mod active;
mod commit;
mod config;
mod done;
mod open;
mod read;
mod recover;
mod rests;
mod retain;
mod rewrite;
mod stage;
mod survey;
mod tail_cache;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use weir_core::{
    clock::{Clock, WallMs},
    id::ShardKey,
    sequence::RecordIndex,
    shard::{ClosedShard, OwnedShard},
    threads::{JoinHandle, Threads},
};
use weir_sync::{CommitGate, commit_gate::EnqueueRefused};

use self::{commit::Writer, done::Done, rests::Rests, stage::Write};
pub use self::{
    config::{Durability, JournalConfig},
    read::{At, ReadBatch},
    recover::report::{DamageFound, DamageKind, RecoveryReport, TornTail},
    retain::RetainOutcome,
    rewrite::RewriteOutcome,
    stage::Append,
    survey::{Depth, KeptFor, SegmentSurvey, Survey},
};
use crate::{
    disk::{Disk, FolderLock, RealDisk},
    error::{
        CloseShardError, DeleteShardError, OpenError, OpenShardError, ShardDamaged, StorageError, WriteError,
    },
    facade::{Mutex, RwLock},
    frame::FRAME_HEADER_BYTES,
    metrics::{Counters, JournalMetrics},
    segment::{Segment, SegmentSequence, layout::Spares},
    shard::{Shard, ShardState},
    snapshot::{DamageMark, owned_bytes},
};

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendOutcome {
    /// The index of its first record; the others follow one by one.
    pub first: RecordIndex,
    /// Its records.
    pub count: u32,
    /// Its arrival time: never before that of the batch before it.
    pub arrived: WallMs,
}

/// An open shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardStatus {
    /// Who it is.
    pub owned: OwnedShard,
    /// The first record that is served.
    pub oldest: RecordIndex,
    /// The record after the newest durable one.
    pub tip: RecordIndex,
    /// When the newest durable record arrived; zero when there never was one.
    pub last_arrived: WallMs,
    /// What stops it, if anything does.
    pub damage: Option<ShardDamaged>,
}

impl ShardStatus {
    /// Of a shard in the journal of `folder`.
    fn of(folder: &Path, state: &ShardState) -> Self {
        Self {
            owned: state.owned.clone(),
            oldest: state.oldest,
            tip: state.tip,
            last_arrived: state.last_arrived,
            damage: state.damage.map(|mark| damaged(folder, state.owned.key, mark)),
        }
    }
}

fn damaged(folder: &Path, shard: ShardKey, mark: DamageMark) -> ShardDamaged {
    ShardDamaged {
        shard,
        from: mark.from,
        path: Segment::path_in(folder, mark.place.segment),
        offset: u64::from(mark.place.offset),
    }
}

/// An open journal. Dropping it closes it.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    /// Who holds it writes. Taken away when the journal closes.
    writer: Arc<Writer>,
    /// The threads of the committer, until they are waited for.
    workers: Mutex<Option<[JoinHandle<()>; 2]>>,
}

/// What the committer, the readers and the handle share.
#[derive(Debug)]
struct Shared {
    config: JournalConfig,
    gate: CommitGate<Write>,
    /// Bytes of a batch that every segment takes.
    body_bytes_max: usize,
    shards: RwLock<HashMap<ShardKey, Arc<Shard>>>,
    segments: RwLock<BTreeMap<SegmentSequence, Arc<Segment>>>,
    spares: Arc<Spares>,
    /// Files that a rewritten segment stands for, too, left because the log was damaged when it was opened. Oldest first; they go
    /// with what stands for them.
    covered: Mutex<Vec<Arc<Segment>>>,
    /// What pages left of batches.
    rests: Rests,
    /// Held by whoever takes segments out of the folder, so that their names go in the order of the log.
    names: Mutex<()>,
    /// Those for the layout thread: one waits at most.
    rewrites: Mutex<rewrite::Wishes>,
    /// Set once, by the first write or sync that fails.
    stopped: OnceLock<Arc<StorageError>>,
    /// There was no room for the next segment when it was last asked for.
    full: AtomicBool,
    /// A group is on its way to the disk.
    flushing: AtomicBool,
    counters: Counters,
    clock: Clock,
    _lock: Box<dyn FolderLock>,
}

impl Journal {
    /// Opens the journal in the configured folder, or begins one there. Recovers whatever a crash left.
    pub fn open(
        config: JournalConfig,
        threads: &Threads,
        clock: Clock,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        open::open(config, threads, clock)
    }

    /// Is there a segment in `folder`, whatever is in it? Not when there is no such folder.
    pub fn is_in(folder: &Path) -> Result<bool, StorageError> {
        match RealDisk.list(folder) {
            Ok(names) => Ok(names.iter().any(|name| SegmentSequence::of_file_name(name).is_some())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StorageError { operation: "list", path: folder.to_owned(), source }),
        }
    }

    /// Opens a shard, or takes a later epoch of one that is there; one that is closed stays closed. `on_done` is called
    /// once, when it is durable or refused, here or on the committer's thread: it must be quick.
    pub fn open_shard(
        &self,
        owned: OwnedShard,
        on_done: impl FnOnce(Result<(), OpenShardError>) + Send + 'static,
    ) {
        let bytes = FRAME_HEADER_BYTES + owned_bytes(&owned);
        self.enqueue(Write::Open { owned, done: Done::new(on_done) }, bytes);
    }

    /// Closes a shard: its records stay, and none is added. One that is closed already hears where. `on_done` as in
    /// [`Self::open_shard`].
    pub fn close_shard(
        &self,
        shard: ShardKey,
        on_done: impl FnOnce(Result<ClosedShard, CloseShardError>) + Send + 'static,
    ) {
        let bytes = FRAME_HEADER_BYTES
            + self.shared.shard(shard).map_or(0, |shard| owned_bytes(&shard.state.lock().owned));
        self.enqueue(Write::Close { key: shard, done: Done::new(on_done) }, bytes);
    }

    /// Deletes a shard with its records. `on_done` as in [`Self::open_shard`].
    pub fn delete_shard(
        &self,
        shard: ShardKey,
        on_done: impl FnOnce(Result<(), DeleteShardError>) + Send + 'static,
    ) {
        self.enqueue(Write::Delete { key: shard, done: Done::new(on_done) }, FRAME_HEADER_BYTES);
    }

    /// Appends a batch. Never waits: a full queue is [`WriteError::Busy`].
    pub fn append(&self, append: Append) {
        let bytes = append.frame_bytes();
        if let Some(write) = append.into_write(&self.shared) {
            self.enqueue(write, bytes);
        }
    }

    /// Appends batches on this thread, in the committer's place, if nothing else is being written and the disk was quick the
    /// last time; else as [`Self::append`] does. This thread then waits for one write and one sync, and so does all else
    /// that it has to do: for callers who have nothing else, to whom it saves the way to the committer and back.
    pub fn append_here(&self, mut appends: Vec<Append>) {
        if let Some(mut held) = self.writer.try_lock()
            && let Some(mut committer) = held.take()
        {
            // It is back when this went well: nobody goes on with what a panic left half done.
            let done = committer.commit_here(appends);
            *held = Some(committer);
            match done {
                Ok(()) => return,
                Err(refused) => appends = refused,
            }
        }
        appends.into_iter().for_each(|append| self.append(append));
    }

    /// Every open shard, by its key.
    pub fn shards(&self) -> Vec<ShardStatus> {
        let shards: Vec<Arc<Shard>> = self.shared.shards.read().values().cloned().collect();
        let mut statuses: Vec<_> =
            shards.iter().map(|shard| self.shared.status(&shard.state.lock())).collect();
        statuses.sort_by_key(|status| status.owned.key);
        statuses
    }

    /// One shard, if the journal holds it.
    pub fn shard(&self, key: ShardKey) -> Option<ShardStatus> {
        let shard = self.shared.shard(key)?;
        let state = shard.state.lock();
        Some(self.shared.status(&state))
    }

    /// The journal's numbers now.
    pub fn metrics(&self) -> JournalMetrics {
        self.shared.metrics()
    }

    /// Why nothing more is written, if that is so.
    pub fn stopped(&self) -> Option<Arc<StorageError>> {
        self.shared.stopped.get().cloned()
    }

    /// Takes nothing more, writes what waits, leaves a footer so that the next opening need not scan, and returns when
    /// all callers have their answers. Harmless twice. Must not be called from an `on_done`.
    pub fn close(&self) {
        self.shared.gate.close();
        let workers = self.workers.lock().take();
        for worker in workers.into_iter().flatten() {
            if worker.join().is_err() {
                tracing::error!("a thread of the committer panicked");
            }
        }
    }

    fn enqueue(&self, write: Write, bytes: usize) {
        if let Some(cause) = self.shared.stopped.get() {
            return write.fail(WriteError::Stopped(Arc::clone(cause)));
        }
        match self.shared.gate.try_enqueue(write, bytes) {
            Ok(()) => {}
            Err(EnqueueRefused::Full(write)) => {
                self.shared.counters.refused_busy.add(1);
                let waiting = self.shared.gate.waiting();
                write.fail(WriteError::Busy { items: waiting.items, bytes: waiting.bytes });
            }
            Err(EnqueueRefused::TooLarge(write)) => {
                write.fail(WriteError::TooLarge { bytes, bytes_max: self.shared.gate.limits().bytes });
            }
            Err(EnqueueRefused::Closed(write)) => write.fail(WriteError::Closed),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Does somebody wait for what it appended?
    fn is_waited_for(&self) -> bool {
        self.flushing.load(Ordering::Relaxed) || self.gate.waiting().items > 0
    }

    fn shard(&self, key: ShardKey) -> Option<Arc<Shard>> {
        self.shards.read().get(&key).cloned()
    }

    fn damaged(&self, shard: ShardKey, mark: DamageMark) -> ShardDamaged {
        damaged(&self.config.folder, shard, mark)
    }

    fn status(&self, state: &ShardState) -> ShardStatus {
        ShardStatus::of(&self.config.folder, state)
    }

    /// Nothing more is written from here on: what the disk has after a failure is not known. Gives the error back, for those
    /// whom it hit itself; all later ones hear of the first.
    fn stop(&self, error: StorageError) -> Arc<StorageError> {
        tracing::error!(%error, "the journal stops writing");
        let error = Arc::new(error);
        self.stopped.get_or_init(|| Arc::clone(&error));
        error
    }

    fn metrics(&self) -> JournalMetrics {
        let counters = &self.counters;
        let waiting = self.gate.waiting();
        JournalMetrics {
            groups: counters.groups.get(),
            groups_by_caller: counters.groups_by_caller.get(),
            groups_overlapped: counters.groups_overlapped.get(),
            appends: counters.appends.get(),
            records: counters.records.get(),
            append_bytes: counters.append_bytes.get(),
            written_bytes: counters.written_bytes.get(),
            write_time: std::time::Duration::from_nanos(counters.write_nanos.get()),
            syncs: counters.syncs.get(),
            sync_time: std::time::Duration::from_nanos(counters.sync_nanos.get()),
            refused_busy: counters.refused_busy.get(),
            failed: counters.failed.get(),
            rolls: counters.rolls.get(),
            reads: counters.reads.get(),
            reads_cached: counters.reads_cached.get(),
            read_bytes: counters.read_bytes.get(),
            rewritten_bytes: counters.rewritten_bytes.get(),
            rewritten_segments: counters.rewritten_segments.get(),
            queue_items: waiting.items as u64,
            queue_bytes: waiting.bytes as u64,
            segments: self.segments.read().len() as u64,
            leaving_bytes: self.spares.leaving.bytes(),
            shards: self.shards.read().len() as u64,
            stopped: self.stopped.get().is_some(),
            full: self.full.load(Ordering::Relaxed) && !self.spares.have_room(),
        }
    }
}

#[cfg(test)]
mod tests;
