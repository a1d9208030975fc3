//! The committer: whoever holds it writes what comes.
//!
//! It takes all that waits, numbers it, writes it with one vectored write, syncs once, and only then lets readers and
//! callers see it. The benefit: a sync serves everybody who came while the last one ran, and order in the log is order
//! of numbers. The price: one thread's speed bounds the node. A failed write or sync ends its writing for good.
//!
//! It has a thread ([`run`]), which locks it for each group. A caller who is alone takes it there instead
//! ([`Committer::commit_here`]) and saves the way to that thread and back; the order of the log is that of the lock.

mod publish;

use std::{
    collections::HashMap,
    io::IoSlice,
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

use super::{
    AppendOutcome, Shared,
    active::{Active, Beginning, Need},
    done::Done,
    retain::RetainOutcome,
    stage::{Append, StagedFrame, Then, Write},
    tail_cache::TailCache,
};
use crate::{
    disk::{Blocks, write_all_at},
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

/// When half a segment took longer to fill, there is time to write zeros into the next one. 32 MiB in this time is a
/// quarter of what a slow disk writes, so the zeros are done before the other half is.
const ZEROS_WORTH: Duration = Duration::from_millis(500);

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
    /// Bytes that all shards take in a snapshot, staged ones included.
    shards_bytes: usize,
    /// What was taken in one go, empty between two groups.
    group: Vec<Write>,
    staged: Vec<StagedFrame>,
    /// How long the last write and its sync took.
    pub(super) last_flush: Duration,
    /// What the staged frames open (`Some`) and delete (`None`).
    staged_shards: HashMap<ShardKey, Option<Life>>,
    cache: TailCache,
}

/// A shard as it will be when the staged frames are durable: what decides whether it may be opened.
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
pub(super) fn run(shared: &Shared, writer: &Mutex<Option<Committer>>) {
    const TAKEN_AWAY: &str = "a caller who takes it puts it back, unless it panicked";
    loop {
        let mut held = writer.lock();
        let committer = held.as_mut().expect(TAKEN_AWAY);
        if committer.has_time_to_fill() {
            committer.fill();
            continue;
        }
        drop(held);
        shared.gate.wait();
        let mut held = writer.lock();
        if held.as_mut().expect(TAKEN_AWAY).commit_waiting() {
            let committer = held.take().expect(TAKEN_AWAY);
            drop(held);
            return committer.end();
        }
    }
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
            shards_bytes,
            group: Vec::new(),
            staged: Vec::new(),
            last_flush: Duration::MAX, // nobody knows yet how quick the disk is
            staged_shards: HashMap::new(),
            cache,
        }
    }

    /// Writes the next of what waits. True when nothing will come any more.
    fn commit_waiting(&mut self) -> bool {
        let mut group = std::mem::take(&mut self.group);
        let taken = self.shared.gate.take(COMMIT_GROUP_BYTES_MAX, &mut group);
        if taken.items > 0 {
            self.commit(group.drain(..));
        }
        self.group = group;
        taken.closed
    }

    /// Writes one group.
    fn commit(&mut self, group: impl Iterator<Item = Write>) {
        self.shared.counters.groups.add(1);
        let now = self.shared.clock.wall();
        for write in group {
            self.stage(write, now);
        }
        self.flush();
    }

    /// Writes `appends` on the thread of the caller, who must hold the lock, if that keeps it for a moment only and nobody is
    /// overtaken; else gives them back. Nobody is when the gate is empty: what was taken out of it is committed before the
    /// lock is free again.
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
            && self.shared.gate.is_idle();
        if !is_for_here {
            return Err(appends);
        }
        let shared = Arc::clone(&self.shared);
        shared.counters.groups_by_caller.add(1);
        self.commit(appends.into_iter().filter_map(|append| append.into_write(&shared)));
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

    /// Does nobody wait while there are blocks to be written?
    fn has_time_to_fill(&self) -> bool {
        let gate = &self.shared.gate;
        self.active.has_reserved()
            && self.shared.stopped.get().is_none()
            && gate.waiting().items == 0
            && !gate.is_closed()
    }

    fn fill(&mut self) {
        if let Err(error) = self.active.fill(&self.shared.config) {
            self.shared.stop(error);
        }
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
            return done.succeed(RetainOutcome { segments_dropped: 0 });
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
                    tracing::warn!("there is room for the next segment again: records are taken");
                }
                Ok(spare)
            }
            Err(error) => {
                if !full.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "no room for the next segment: records are refused until there is");
                }
                Err(WriteError::NoRoom(Arc::new(error)))
            }
        }
    }

    /// Writes and syncs what is staged, then answers.
    fn flush(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        match self.write_staged() {
            Ok(took) => {
                self.last_flush = took;
                self.active.end = self.active.staged_end;
                if self.syncs_staged() {
                    self.active.synced_end = self.active.end;
                }
                self.publish();
                self.prepare_next();
            }
            Err(error) => {
                let cause = self.shared.stop(error);
                for frame in self.staged.drain(..) {
                    self.shared.counters.failed.add(1);
                    frame.then.fail(WriteError::Storage(Arc::clone(&cause)));
                }
            }
        }
        self.staged_shards.clear();
    }

    /// Has the next segment laid out in time.
    fn prepare_next(&mut self) {
        if !self.active.is_half_full(&self.shared.config) {
            return;
        }
        let half_took = self.shared.clock.now().since(self.begun);
        let blocks = if half_took > ZEROS_WORTH { Blocks::Written } else { Blocks::Reserved };
        let (shared, here) = (&self.shared, self.active.segment.sequence);
        self.layout.prepare(blocks, || {
            let behind = shared.config.kernel_cache_bytes / shared.config.segment_bytes;
            let old = SegmentSequence(here.0.checked_sub(behind.max(1))?);
            shared.segments.read().get(&old).cloned()
        });
    }

    /// Returns how long it took.
    fn write_staged(&mut self) -> Result<Duration, StorageError> {
        let (shared, segment) = (&self.shared, &self.active.segment);
        let mut parts = Vec::with_capacity(self.staged.len() * 2);
        let mut offset = self.active.end;
        for frame in &self.staged {
            assert_eq!(frame.offset, offset, "frames lie one after another");
            offset += u32::try_from(frame.header.len() + frame.body.len()).expect("it fits the segment");
            parts.push(IoSlice::new(&frame.header));
            parts.push(IoSlice::new(&frame.body));
        }
        assert_eq!(offset, self.active.staged_end, "what was placed is what is written");
        let begun = shared.clock.now();
        write_all_at(segment.file.as_ref(), u64::from(self.active.end), &mut parts)
            .map_err(|source| segment.error("write", source))?;
        let written = shared.clock.now();
        shared.counters.written_bytes.add(u64::from(offset - self.active.end));
        shared.counters.write_nanos.add_time(written.since(begun));
        if !self.syncs_staged() {
            return Ok(written.since(begun));
        }
        segment.file.sync_data().map_err(|source| segment.error("sync", source))?;
        let synced = shared.clock.now();
        shared.counters.syncs.add(1);
        shared.counters.sync_nanos.add_time(synced.since(written));
        Ok(synced.since(begun))
    }

    /// Does this group end with a sync? Under `os` only when it lets go of segments: what is dropped before the word that
    /// it may be missing is on disk would be missed after a power loss.
    fn syncs_staged(&self) -> bool {
        let drops = |frame: &StagedFrame| matches!(frame.then, Then::Retained { .. });
        let config = &self.shared.config;
        config.syncs() || (config.syncs_segments() && self.staged.iter().any(drops))
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
