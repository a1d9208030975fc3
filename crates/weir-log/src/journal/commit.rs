//! The committer: whoever holds it writes what comes.
//!
//! It takes all that waits, numbers it, writes it with one vectored write, syncs once, and only then lets readers and
//! callers see it. The benefit: a sync serves everybody who came while the last one ran, and order in the log is order
//! of numbers. The price: one thread's speed bounds the node. A failed write or sync ends its writing for good.
//!
//! It has a thread ([`run`]), which locks it for each group, but not for the sync. A second thread ([`run_ahead`]) writes then
//! what has come meanwhile, if that is much; the next sync has it. A caller who is alone takes the committer there instead
//! ([`Committer::commit_here`]) and saves the way to its thread and back; the order of the log is that of the lock.

mod flush;
mod publish;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use weir_core::{
    batch::Batch,
    clock::{Monotonic, WallMs},
    id::ShardKey,
    limits::{COMMIT_GROUP_BYTES_MAX, COMMIT_HERE_BYTES_MAX, COMMIT_HERE_FLUSH_MAX},
    shard::{ClosedShard, OwnedShard},
};

use self::flush::Group;
use super::{
    AppendOutcome, Shared,
    active::{Active, Beginning, Need},
    done::Done,
    retain::RetainOutcome,
    stage::{Append, StagedFrame, Then, Write},
    tail_cache::TailCache,
};
use crate::{
    error::{AppendError, CloseShardError, DeleteShardError, OpenShardError, StorageError, WriteError},
    facade::Mutex,
    frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind},
    segment::{
        LogPlace, SegmentSequence,
        footer::{Footer, FooterRun},
        layout::{Layout, Spare},
    },
    shard::Shard,
    snapshot::{Snapshot, opened_body, shard_bytes_max},
};

/// Where the committer is when nobody has it; `None`: the journal is closed, or somebody panicked with it.
pub(super) type Writer = Mutex<Option<Committer>>;

/// Writes the journal.
#[derive(Debug)]
pub(super) struct Committer {
    shared: Arc<Shared>,
    layout: Layout,
    active: Active,
    /// When this segment was begun, or found.
    begun: Monotonic,
    /// Makes the salts of this folder's segments.
    key: u32,
    /// Segments before this one are no longer kept.
    first_segment: SegmentSequence,
    /// Nor are those before this one, and that is on disk.
    durable_first_segment: SegmentSequence,
    /// Bytes that all shards take in a snapshot, staged ones included.
    shards_bytes: usize,
    /// What was taken in one go, empty between two groups.
    group: Vec<Write>,
    /// Frames that have their place and are not handed out yet.
    staged: Vec<StagedFrame>,
    /// So many of them are in the file.
    written: usize,
    /// Frames up to this offset are being synced; nothing is published meanwhile.
    handed_out_to: Option<u32>,
    /// How long the last write and its sync took.
    pub(super) last_flush: Duration,
    /// What frames that are not published yet open (`Some`) and delete (`None`).
    staged_shards: HashMap<ShardKey, Option<Life>>,
    cache: TailCache,
}

/// A shard as it will be when those frames are durable: what decides whether it may be opened.
#[derive(Debug, Clone)]
struct Life {
    owned: OwnedShard,
    opened: LogPlace,
}

/// What the committer starts from.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) shared: Arc<Shared>,
    pub(super) layout: Layout,
    pub(super) active: Active,
    pub(super) key: u32,
    pub(super) first_segment: SegmentSequence,
}

/// Writes, holding `writer`, until the gate is closed and empty, then takes the committer away and ends it. What the
/// committer's thread does.
pub(super) fn run(shared: &Shared, writer: &Writer) {
    const TAKEN_AWAY: &str = "whoever takes it puts it back, unless it panicked";
    let mut has_written_ahead = false;
    loop {
        if !has_written_ahead {
            if with(writer, Committer::fill_if_nobody_waits).expect(TAKEN_AWAY) {
                continue;
            }
            shared.gate.wait();
        }
        let (group, closed) = with(writer, Committer::next_group).expect(TAKEN_AWAY);
        has_written_ahead = false;
        let Some(group) = group else {
            if closed {
                let committer = writer.lock().take();
                return committer.expect(TAKEN_AWAY).end();
            }
            continue;
        };
        if shared.config.syncs() {
            shared.gate.call_second(shared.config.overlap_bytes_min);
        }
        let synced = group.sync(shared);
        let finish = |committer: &mut Committer| {
            shared.gate.dismiss_second(); // under the lock: nobody calls it again for this sync
            committer.finish(group, synced);
            !committer.staged.is_empty()
        };
        has_written_ahead = with(writer, finish).expect(TAKEN_AWAY);
    }
}

/// Writes, holding `writer`, what waits while the other thread syncs, whenever it is called for that. What the second thread
/// of the committer does.
pub(super) fn run_ahead(shared: &Shared, writer: &Writer) {
    while shared.gate.wait_to_be_called() && with(writer, Committer::write_ahead).is_some() {}
}

/// Does `work` with the committer, if it is there. It is back when that went well: nobody goes on with what a panic left half
/// done.
fn with<T>(writer: &Writer, work: impl FnOnce(&mut Committer) -> T) -> Option<T> {
    let mut held = writer.lock();
    let mut committer = held.take()?;
    let done = work(&mut committer);
    *held = Some(committer);
    Some(done)
}

impl Committer {
    pub(super) fn new(start: Start) -> Self {
        let Start { shared, layout, active, key, first_segment } = start;
        let shards = shared.shards.read();
        let shards_bytes = shards.values().map(|shard| shard_bytes_max(&shard.state.lock().owned)).sum();
        drop(shards);
        let cache = TailCache::new(shared.config.cache_bytes_max);
        Self {
            begun: shared.clock.now(),
            shared,
            layout,
            active,
            key,
            first_segment,
            durable_first_segment: first_segment,
            shards_bytes,
            group: Vec::new(),
            staged: Vec::new(),
            written: 0,
            handed_out_to: None,
            last_flush: Duration::MAX, // nobody knows yet how quick the disk is
            staged_shards: HashMap::new(),
            cache,
        }
    }

    /// Writes the next of what waits and hands it out, with what is in the file already; and whether nothing will come any
    /// more.
    fn next_group(&mut self) -> (Option<Group>, bool) {
        // After a failure there are bytes in the file that nobody waits for any more.
        let ahead = if self.written == 0 { 0 } else { (self.active.written_end - self.active.end) as usize };
        let mut group = std::mem::take(&mut self.group);
        let taken = self.shared.gate.take(COMMIT_GROUP_BYTES_MAX.saturating_sub(ahead), &mut group);
        if taken.items > 0 {
            self.stage_group(group.drain(..));
        }
        self.group = group;
        (self.hand_out(), taken.closed)
    }

    /// Stages what was taken in one go.
    fn stage_group(&mut self, group: impl Iterator<Item = Write>) {
        self.shared.counters.groups.add(1);
        let now = self.shared.clock.wall();
        for write in group {
            self.stage(write, now);
        }
    }

    /// Writes `appends` on the thread of the caller, who must hold the lock, if that keeps it for a moment only and nobody is
    /// overtaken; else gives them back. Nobody is when the gate is empty and nothing that came out of it is on its way to the
    /// disk.
    pub(super) fn commit_here(&mut self, appends: Vec<Append>) -> Result<(), Vec<Append>> {
        let frame_bytes = appends.iter().map(Append::frame_bytes).sum();
        let need = Need {
            frame_bytes,
            runs: appends.len(),
            entries: appends.len(),
            shards_bytes: self.shards_bytes,
            left: self.shared.config.marks_bytes(),
        };
        let is_for_here = frame_bytes <= COMMIT_HERE_BYTES_MAX
            && self.last_flush <= COMMIT_HERE_FLUSH_MAX
            && self.active.fits(&self.shared.config, need)
            && self.handed_out_to.is_none()
            && self.staged.is_empty()
            && self.shared.gate.is_idle();
        if !is_for_here {
            return Err(appends);
        }
        let shared = Arc::clone(&self.shared);
        shared.counters.groups_by_caller.add(1);
        self.stage_group(appends.into_iter().filter_map(|append| append.into_write(&shared)));
        self.flush();
        Ok(())
    }

    /// Leaves a footer, unless something failed.
    fn end(mut self) {
        if self.shared.stopped.get().is_none()
            && !self.active.is_footed()
            && let Err(error) = self.foot()
        {
            // Everything acknowledged is durable; the next opening scans instead.
            tracing::warn!(%error, "closed without a footer");
        }
    }

    /// Writes zeros into the next blocks, if there are some that are only reserved and nobody waits.
    fn fill_if_nobody_waits(&mut self) -> bool {
        let has_time =
            self.active.has_reserved() && self.shared.stopped.get().is_none() && self.shared.gate.is_idle();
        if has_time && let Err(error) = self.active.fill(&self.shared.config) {
            self.shared.stop(error);
        }
        has_time
    }

    fn stage(&mut self, write: Write, now: WallMs) {
        if let Some(cause) = self.shared.stopped.get() {
            return write.fail(WriteError::Stopped(Arc::clone(cause)));
        }
        match write {
            Write::Append { shard, batch, done } => self.stage_append(shard, batch, done, now),
            Write::Open { owned, done } => self.stage_open(owned, done),
            Write::Close { key, done } => self.stage_close(key, done, now),
            Write::Delete { key, done } => self.stage_delete(key, done),
            Write::Retain { first, done } => self.stage_retain(first, done),
        }
    }

    fn stage_append(
        &mut self,
        shard: Arc<Shard>,
        batch: Batch,
        done: Done<AppendOutcome, AppendError>,
        now: WallMs,
    ) {
        let key = shard.key;
        let mut need = Need {
            frame_bytes: FRAME_HEADER_BYTES + batch.body().len(),
            runs: 1,
            entries: 1,
            shards_bytes: self.shards_bytes,
            left: self.shared.config.marks_bytes(),
        };
        if let Err(error) = self.make_room(need) {
            return done.fail(error.into());
        }
        let mut state = shard.state.lock();
        if state.staged.deleted {
            drop(state);
            return done.fail(AppendError::NoShard { shard: key });
        }
        if let Some(ClosedShard { end, .. }) = state.staged.closed {
            drop(state);
            return done.fail(AppendError::Closed { shard: key, end });
        }
        if let Some(mark) = state.damage {
            drop(state);
            return done.fail(AppendError::Damaged(self.shared.damaged(key, mark)));
        }
        let segment = self.active.segment.sequence;
        let numbered = state.number(segment, now);
        state.stage(segment, numbered, batch.count());
        let opened = state.opened;
        drop(state);
        need.runs = usize::from(numbered.begins_run);
        let header = FrameHeader {
            kind: FrameKind::Append,
            body_bytes: u32::try_from(batch.body().len()).expect("checked against the segment"),
            body_crc: batch.crc(),
            count: batch.count(),
            shard: key,
            synced_to: self.active.synced_end,
            first: numbered.first,
            arrived: numbered.arrived,
            opened,
        };
        let body = batch.body().clone();
        self.stage_frame(header, body, need, Then::Appended { shard, batch, numbered, done });
    }

    fn stage_open(&mut self, mut owned: OwnedShard, done: Done<(), OpenShardError>) {
        let key = owned.key;
        let known = self.life_of(key);
        if let Some(life) = &known
            && owned.epoch < life.owned.epoch
        {
            return done.fail(OpenShardError::StaleEpoch {
                shard: key,
                asked: owned.epoch,
                open: life.owned.epoch,
            });
        }
        // Whether a shard has ended, and where, its own journal alone says.
        owned.closed = known.as_ref().and_then(|life| life.owned.closed);
        let bytes = shard_bytes_max(&owned);
        let added = bytes.saturating_sub(known.as_ref().map_or(0, |life| shard_bytes_max(&life.owned)));
        if self.shards_bytes + added > self.shared.config.snapshot_bytes_max() {
            return done.fail(OpenShardError::TooMany { shards: self.shared.shards.read().len() });
        }
        let body = Bytes::from(opened_body(&owned));
        let need = Need {
            frame_bytes: FRAME_HEADER_BYTES + body.len(),
            runs: 0,
            entries: 0,
            shards_bytes: self.shards_bytes + added,
            left: self.shared.config.marks_bytes(),
        };
        if let Err(error) = self.make_room(need) {
            return done.fail(error.into());
        }
        let here = LogPlace { segment: self.active.segment.sequence, offset: self.active.staged_end };
        let opened = known.map_or(here, |life| life.opened);
        self.shards_bytes += added;
        self.staged_shards.insert(key, Some(Life { owned: owned.clone(), opened }));
        let mut header =
            FrameHeader::of_journal(FrameKind::ShardOpened, &body, self.active.synced_end, opened);
        header.shard = key;
        self.stage_frame(header, body, need, Then::Opened { owned, opened, done });
    }

    /// Written as an opening that tells the end. One that is closed already is written again: its caller may hear so only
    /// when that is durable, too.
    fn stage_close(&mut self, key: ShardKey, done: Done<ClosedShard, CloseShardError>, now: WallMs) {
        let Some(life) = self.life_of(key) else {
            return done.fail(CloseShardError::NoShard { shard: key });
        };
        let body_bytes = opened_body(&life.owned).len(); // the same, open or closed
        let left = self.shared.config.marks_bytes();
        let need = Need { frame_bytes: FRAME_HEADER_BYTES + body_bytes, left, ..self.need_of_mark() };
        if let Err(error) = self.make_room(need) {
            return done.fail(error.into());
        }
        let Life { mut owned, opened } = life;
        let published = self.shared.shard(key).filter(|shard| shard.state.lock().opened == opened);
        let closed = match published {
            Some(shard) => shard.state.lock().stage_close(now),
            None => ClosedShard { at_ms: now.0, end: 0 }, // this life was opened by this same group
        };
        owned.closed = Some(closed);
        let body = Bytes::from(opened_body(&owned));
        self.staged_shards.insert(key, Some(Life { owned, opened }));
        let mut header =
            FrameHeader::of_journal(FrameKind::ShardOpened, &body, self.active.synced_end, opened);
        header.shard = key;
        self.stage_frame(header, body, need, Then::Closed { key, closed, done });
    }

    fn stage_delete(&mut self, key: ShardKey, done: Done<(), DeleteShardError>) {
        let Some(life) = self.life_of(key) else {
            return done.fail(DeleteShardError::NoShard { shard: key });
        };
        let need = self.need_of_mark();
        if let Err(error) = self.make_room(need) {
            return done.fail(error.into());
        }
        self.staged_shards.insert(key, None);
        if let Some(shard) = self.shared.shard(key) {
            shard.state.lock().staged.deleted = true;
        }
        let mut header =
            FrameHeader::of_journal(FrameKind::ShardDeleted, &[], self.active.synced_end, life.opened);
        header.shard = key;
        self.stage_frame(header, Bytes::new(), need, Then::Deleted { key, done });
    }

    fn stage_retain(&mut self, first: SegmentSequence, done: Done<RetainOutcome, WriteError>) {
        if first <= self.first_segment {
            return match self.drop_segments() {
                Ok(segments_dropped) => done.succeed(RetainOutcome { segments_dropped }),
                Err(error) => done.fail(error),
            };
        }
        let need = self.need_of_mark();
        if let Err(error) = self.make_room(need) {
            return done.fail(error);
        }
        assert!(first <= self.active.segment.sequence, "the segment that is being filled is kept");
        let here = LogPlace { segment: self.active.segment.sequence, offset: self.active.staged_end };
        let mut header = FrameHeader::of_journal(FrameKind::Retained, &[], self.active.synced_end, here);
        header.first = first.0;
        self.first_segment = first;
        self.stage_frame(header, Bytes::new(), need, Then::Retained { first, done });
    }

    fn need_of_mark(&self) -> Need {
        let shards_bytes = self.shards_bytes;
        Need { frame_bytes: FRAME_HEADER_BYTES, runs: 0, entries: 0, shards_bytes, left: 0 }
    }

    fn stage_frame(&mut self, header: FrameHeader, body: Bytes, need: Need, then: Then) {
        let offset = self.active.place(need);
        let header = header.encode(self.active.segment.salt, offset);
        self.staged.push(StagedFrame { offset, header, body, then });
    }

    /// The shard as it will be when the staged frames are durable.
    fn life_of(&self, key: ShardKey) -> Option<Life> {
        if let Some(staged) = self.staged_shards.get(&key) {
            return staged.clone();
        }
        let shard = self.shared.shard(key)?;
        let state = shard.state.lock();
        Some(Life { owned: state.owned.clone(), opened: state.opened })
    }

    /// Rolls to the next segment when the frame does not fit into this one. On an error nothing of the frame is written.
    fn make_room(&mut self, need: Need) -> Result<(), WriteError> {
        if self.active.fits(&self.shared.config, need) {
            return Ok(());
        }
        self.flush();
        if let Some(cause) = self.shared.stopped.get() {
            return Err(WriteError::Stopped(Arc::clone(cause)));
        }
        let spare = self.take_spare()?;
        if let Some(cause) = self.shared.stopped.get() {
            return Err(WriteError::Stopped(Arc::clone(cause))); // while the spare was waited for
        }
        let rolled = if self.active.is_footed() { Ok(()) } else { self.foot() };
        let rolled = rolled.and_then(|()| {
            let beginning = Beginning {
                sequence: self.active.segment.sequence.next(),
                key: self.key,
                previous_end: self.active.end,
                now: self.shared.clock.wall(),
                snapshot: self.snapshot(),
            };
            Active::begin(&self.shared.config, spare, beginning)
        });
        match rolled {
            Ok(next) => {
                self.shared.counters.rolls.add(1);
                self.shared.segments.write().insert(next.segment.sequence, Arc::clone(&next.segment));
                self.active = next;
                self.begun = self.shared.clock.now();
                let fits = self.active.fits(&self.shared.config, need);
                assert!(fits, "what a queue takes, an empty segment takes");
                Ok(())
            }
            Err(error) => Err(WriteError::Stopped(self.shared.stop(error))),
        }
    }

    /// The next segment's file. That there is none is said once, and once that there is one again.
    fn take_spare(&mut self) -> Result<Spare, WriteError> {
        let full = &self.shared.full;
        match self.layout.take() {
            Ok(spare) => {
                if full.swap(false, Ordering::Relaxed) {
                    tracing::warn!("there is a next segment again: records are taken");
                }
                Ok(spare)
            }
            Err(error) => {
                if !full.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "no next segment: records that need it are refused until there is one");
                }
                Err(WriteError::no_segment(error))
            }
        }
    }

    /// Closes the segment with its index.
    fn foot(&mut self) -> Result<(), StorageError> {
        assert!(self.staged.is_empty(), "a footer covers durable frames only");
        let snapshot = self.snapshot();
        let sequence = self.active.segment.sequence;
        let mut runs = Vec::new();
        for shard in self.shards_in_order() {
            let mut state = shard.state.lock();
            state.runs.shrink(sequence);
            let opened = state.opened;
            runs.extend(state.runs.in_segment(sequence).map(|run| FooterRun::new(shard.key, opened, run)));
        }
        self.active.foot(&self.shared.config, &Footer { snapshot, runs })
    }

    fn snapshot(&self) -> Snapshot {
        let shards = self.shards_in_order();
        let shards = shards.iter().map(|shard| shard.state.lock().snapshot()).collect();
        Snapshot { first_segment: self.first_segment, shards }
    }

    fn shards_in_order(&self) -> Vec<Arc<Shard>> {
        let mut shards: Vec<_> = self.shared.shards.read().values().cloned().collect();
        shards.sort_by_key(|shard| shard.key);
        shards
    }
}
