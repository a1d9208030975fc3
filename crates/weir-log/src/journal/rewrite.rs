//! Rewriting: what is still kept of old segments goes into fewer and shorter files, so that a stream that keeps for long
//! does not hold its neighbours' dead records on disk.
//!
//! The layout thread does it, in slices, when the node asks; `choose.rs` says which segments are worth it and what that
//! costs at most, [`plan`] what the new file is, [`copy`] writes it, and [`pace`] gives the rests between the slices. Slices by
//! which removed files go back to the disk come before those. The new file is written and synced under a spare's name, then
//! takes the name of the last segment of its group, and when that name is on disk the index moves over and the others of the
//! group go. At every moment the folder holds all kept records: before the name changes in the old files, after it in both,
//! and recovery lets go of what a rewritten segment beside it stands for.
//!
//! It never touches the segment that is being filled nor the one before it, never a segment in which something does not
//! check, and never one in which a damaged shard has records. Whoever reads an old file keeps it open until done.

mod choose;
mod copy;
mod pace;
mod plan;

use std::{collections::BTreeSet, io, path::Path, sync::Arc, time::Duration};

use self::{
    choose::{Candidate, Sizes, choose},
    copy::{CopyError, Copying},
    pace::Pace,
    plan::{NoPlan, Plan},
};
use super::{Journal, Shared, done::Done};
use crate::{
    error::{StorageError, WriteError},
    facade::Sender,
    frame::FRAME_HEADER_BYTES,
    segment::{
        Segment, SegmentSequence,
        footer::{ENTRY_BYTES, FooterRun, RUN_BYTES, TRAILER_BYTES},
        head::HEAD_BLOCK_BYTES,
        layout::{Chores, Recycled, Request},
        leaving::Nameless,
    },
    shard::Shard,
    shard_index::Run,
    snapshot::{SNAPSHOT_FIXED_BYTES, shard_bytes_max},
};

/// Segments that are never rewritten: the one that is being filled and the one before it.
const NEWEST_LEFT_ALONE: usize = 2;
/// Bytes that a shard takes for what is left out of its records: a frame with its end, and a run without entries.
const LEFT_OUT_BYTES: usize = FRAME_HEADER_BYTES + size_of::<u64>() + RUN_BYTES;

/// What rewriting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RewriteOutcome {
    /// Segments that new files took the place of.
    pub segments_rewritten: usize,
    /// Bytes of the new files.
    pub bytes_written: u64,
    /// Bytes in use that the old ones had more than these.
    pub bytes_freed: u64,
    /// Groups of segments that were worth it and were left as they are, because something in them does not check.
    pub groups_left_alone: usize,
}

/// One wish for rewriting, to be answered when nothing more is worth it.
pub(super) type Wish = Done<RewriteOutcome, WriteError>;

impl Journal {
    /// Rewrites old segments of which half or more is no longer kept, until none is worth it; to be called after
    /// [`Self::retain`]. `on_done` is called once, here or on the layout thread: it must be quick. While another call
    /// waits that will see all that this one would, the outcome is that nothing was done. After an error every kept record
    /// is where it was or in the new file, and it may be tried again; but when names could not be changed, nothing is done
    /// before the next opening, and when they could not be synced, the journal has stopped.
    pub fn rewrite(&self, on_done: impl FnOnce(Result<RewriteOutcome, WriteError>) + Send + 'static) {
        let done = Done::new(on_done);
        let mut wishes = self.shared.rewrites.lock();
        if wishes.waiting.is_some() {
            drop(wishes);
            return done.succeed(RewriteOutcome::default());
        }
        wishes.waiting = Some(done);
        let unheard = match wishes.requests.send(Request::Begin) {
            Ok(()) => None,
            Err(_) => wishes.waiting.take(),
        };
        drop(wishes);
        if let Some(done) = unheard {
            done.fail(WriteError::Closed);
        }
    }
}

/// How the layout thread is told that somebody wishes for a rewriting.
#[derive(Debug)]
pub(super) struct Wishes {
    pub(super) waiting: Option<Wish>,
    pub(super) requests: Sender<Request>,
}

/// Rewrites segments, and gives removed ones back to the disk, a slice at a time.
#[derive(Debug)]
pub(super) struct Rewriter {
    shared: Arc<Shared>,
    /// Makes the salts of this folder's segments.
    key: u32,
    pace: Pace,
    pass: Option<Pass>,
    /// Segments that something is wrong with: not tried again before the next opening.
    barred: BTreeSet<SegmentSequence>,
    /// The failure that was told last, and none has ended since.
    told: Option<(&'static str, io::ErrorKind)>,
    /// A name could not be changed: which the folder has is not known, so none is changed any more.
    given_up: bool,
}

/// One wish under way.
#[derive(Debug)]
struct Pass {
    wish: Wish,
    outcome: RewriteOutcome,
    copying: Option<Copying>,
    /// Segments that begin groups which, reckoned exactly, are not worth it.
    not_worth_it: BTreeSet<SegmentSequence>,
}

impl Chores for Rewriter {
    /// A wish that comes while another is worked on waits for its end: what was copied is not thrown away.
    fn begin(&mut self) {
        if self.pass.is_some() {
            return;
        }
        let Some(wish) = self.shared.rewrites.lock().waiting.take() else { return };
        let (outcome, not_worth_it) = (RewriteOutcome::default(), BTreeSet::new());
        self.pass = Some(Pass { wish, outcome, copying: None, not_worth_it });
    }

    fn step(&mut self) -> Option<Duration> {
        let begun = self.shared.clock.now();
        if !self.shared.spares.leaving.give_back_slice() {
            let mut pass = self.pass.take()?;
            match self.advance(&mut pass) {
                Ok(true) => self.pass = Some(pass),
                Ok(false) => pass.wish.succeed(pass.outcome),
                Err(error) => pass.wish.fail(error),
            }
            self.begin();
        }
        let took = self.shared.clock.now().since(begun);
        let hurry = self.shared.spares.are_short() || self.shared.spares.leaving.are_many();
        let groups = self.shared.counters.groups.get();
        Some(self.pace.rest_after(took, groups, self.shared.is_waited_for(), hurry))
    }
}

impl Drop for Rewriter {
    fn drop(&mut self) {
        let unheard = self.shared.rewrites.lock().waiting.take();
        if let Some(wish) = unheard {
            wish.fail(WriteError::Closed);
        }
    }
}

impl Rewriter {
    pub(super) fn new(shared: Arc<Shared>, key: u32) -> Self {
        let (pace, barred) = (Pace::default(), BTreeSet::new());
        Self { shared, key, pace, pass: None, barred, told: None, given_up: false }
    }

    /// Does a slice; false when nothing is left that is worth it.
    fn advance(&mut self, pass: &mut Pass) -> Result<bool, WriteError> {
        if let Some(cause) = self.shared.stopped.get() {
            return Err(WriteError::Stopped(Arc::clone(cause)));
        }
        if self.given_up {
            return Ok(false);
        }
        let Some(mut copying) = pass.copying.take() else { return self.begin_group(pass) };
        let before = copying.written();
        let stepped = copying.step(&self.shared.config);
        self.shared.counters.rewritten_bytes.add(copying.written() - before);
        match stepped {
            Ok(false) => pass.copying = Some(copying),
            Ok(true) => self.put_in_place(pass, copying)?,
            Err(CopyError::Source { segment, source }) => {
                segment.distrust();
                self.bar(pass, &[segment], &source);
            }
            Err(CopyError::Target(error)) => return Err(WriteError::Storage(self.tell(error))),
        }
        Ok(true)
    }

    /// Chooses the next group and lays its new file out.
    fn begin_group(&mut self, pass: &mut Pass) -> Result<bool, WriteError> {
        let (candidates, sizes) = self.weigh(pass);
        let Some(group) = choose(&candidates, sizes) else { return Ok(false) };
        let segments = self.shared.segments.read();
        let sources = candidates[group].iter().map(|it| segments.get(&it.sequence).cloned());
        let sources: Option<Vec<_>> = sources.collect();
        drop(segments);
        let Some(sources) = sources else { return Ok(true) }; // dropped since they were weighed
        match Plan::of(&self.shared, self.key, sources.clone(), sizes) {
            Ok(plan) => {
                let copying =
                    Copying::begin(plan, &self.shared.spares).map_err(|error| self.not_begun(error))?;
                self.shared.counters.rewritten_bytes.add(copying.written());
                pass.copying = Some(copying);
            }
            Err(NoPlan::NotWorthIt) => {
                pass.not_worth_it.insert(sources[0].sequence);
            }
            Err(NoPlan::Changed) => {} // and is weighed anew
            Err(NoPlan::Doubtful { ref segment, .. }) => {
                let segment = Arc::clone(segment);
                segment.distrust();
                self.bar(pass, &[segment], &"its index, a snapshot or its head does not check");
            }
            Err(NoPlan::Storage(error)) => {
                sources.iter().filter(|it| it.path == error.path).for_each(|it| it.distrust());
                self.bar(pass, &sources, &error);
            }
            Err(error @ NoPlan::Damaged(_)) => self.bar(pass, &sources, &error),
        }
        Ok(true)
    }

    /// What the sealed segments hold and keep.
    fn weigh(&self, pass: &Pass) -> (Vec<Candidate>, Sizes) {
        let segments = self.shared.segments.read();
        let old = segments.len().saturating_sub(NEWEST_LEFT_ALONE);
        let candidates = segments.values().take(old).filter_map(|segment| {
            let Segment { sequence, covers_from, .. } = **segment;
            let is_out = self.barred.contains(&sequence) || pass.not_worth_it.contains(&sequence);
            let used_bytes = segment.sealed().filter(|_| !is_out).map(u64::from)?;
            Some(Candidate { sequence, covers_from, used_bytes, kept_bytes: 0 })
        });
        let mut candidates: Vec<_> = candidates.collect();
        drop(segments);
        let shards: Vec<_> = self.shared.shards.read().values().cloned().collect();
        let mut empty = HEAD_BLOCK_BYTES as usize
            + 2 * (FRAME_HEADER_BYTES + SNAPSHOT_FIXED_BYTES)
            + size_of::<u32>()
            + TRAILER_BYTES;
        for shard in shards {
            let state = shard.state.lock();
            empty += 2 * shard_bytes_max(&state.owned) + LEFT_OUT_BYTES;
            for (sequence, kept) in state.runs.kept(state.oldest) {
                if let Ok(at) = candidates.binary_search_by_key(&sequence, |it| it.sequence) {
                    let index = kept.entries * ENTRY_BYTES as u64 + kept.runs * RUN_BYTES as u64;
                    candidates[at].kept_bytes += kept.bytes + index;
                }
            }
        }
        let segment_bytes = self.shared.config.segment_bytes;
        (candidates, Sizes { empty_bytes: empty as u64, segment_bytes })
    }

    /// Gives the finished file its name, moves the index over and lets go of the old files.
    fn put_in_place(&mut self, pass: &mut Pass, copying: Copying) -> Result<(), WriteError> {
        let shared = Arc::clone(&self.shared);
        let (plan, target) = copying.finish();
        let _names = shared.names.lock();
        if !still_stands(&shared, &plan) {
            return Ok(());
        }
        self.sync_what_it_counts_on()?;
        let (from, to) = (plan.sources[0].sequence, plan.sources[plan.sources.len() - 1].sequence);
        let path = Segment::path_in(&shared.config.folder, to);
        if let Err(source) = shared.config.disk.rename(&target.path, &path) {
            // Both the old files and the new one hold what is kept: whichever has the name now, nothing is lost.
            self.give_up(&path);
            return Err(WriteError::Storage(self.tell(StorageError { operation: "name", path, source })));
        }
        shared.config.sync_names().map_err(|error| WriteError::Storage(shared.stop(error)))?;
        let mut segment = Segment::new(to, plan.salt, path, target.take());
        segment.covers_from = plan.sources[0].covers_from;
        segment.seal(Some(plan.frames_end));
        pass.outcome.bytes_written += plan.bytes;
        pass.outcome.bytes_freed += plan.used_bytes - plan.bytes;
        let old = move_over(&shared, &Arc::new(segment), from, plan);
        let replaced = old.len();
        pass.outcome.segments_rewritten += replaced;
        let (unnamed, named): (Vec<_>, _) = old.into_iter().partition(|old| old.sequence == to);
        let Recycled { left, mut gone } = self.shared.spares.recycle(named);
        gone.extend(unnamed.into_iter().map(Nameless::Segment));
        // What does not go now goes before the new file does, as the oldest of all.
        if let Some(first) = left.first() {
            self.give_up(&first.path);
        }
        shared.segments.write().extend(left.into_iter().map(|old| (old.sequence, old)));
        shared.counters.rewritten_segments.add(replaced as u64);
        self.told = None;
        // Before any of them is used again: a new segment's bytes must never be found under an old one's name.
        shared.config.sync_names().map_err(|error| WriteError::Storage(shared.stop(error)))?;
        self.shared.spares.leaving.take(gone);
        Ok(())
    }

    /// Leaves segments as they are from here on, and says so.
    fn bar(&mut self, pass: &mut Pass, segments: &[Arc<Segment>], why: &dyn std::fmt::Display) {
        for segment in segments {
            tracing::error!(path = %segment.path.display(), %why, "a segment is not rewritten");
            self.barred.insert(segment.sequence);
        }
        pass.outcome.groups_left_alone += 1;
    }

    /// Where groups are not synced, word that a shard was deleted may be in the kernel alone: lost, the shard would be back
    /// without the records that the new file leaves out.
    fn sync_what_it_counts_on(&self) -> Result<(), WriteError> {
        let shared = &self.shared;
        if shared.config.syncs() {
            return Ok(());
        }
        let newest = shared.segments.read().values().next_back().cloned().expect("there is always one");
        newest.sync(&shared.config).map_err(|error| WriteError::Storage(shared.stop(error)))
    }

    fn not_begun(&mut self, error: StorageError) -> WriteError {
        let is_no_room = error.is_no_room();
        let told = self.tell(error);
        if is_no_room { WriteError::NoRoom(told) } else { WriteError::Storage(told) }
    }

    /// Does nothing more before the next opening, and says so.
    fn give_up(&mut self, path: &Path) {
        tracing::error!(path = %path.display(), "no segment is rewritten before the next start: a name does not change");
        self.given_up = true;
    }

    /// Says that it cannot be done now, unless that is what it said last.
    fn tell(&mut self, error: StorageError) -> Arc<StorageError> {
        let what = (error.operation, error.source.kind());
        if self.told.replace(what) != Some(what) {
            tracing::warn!(%error, "old segments are not rewritten, which takes disk space and nothing else");
        }
        Arc::new(error)
    }
}

/// Are the segments of the plan still kept, and its shards still whole?
fn still_stands(shared: &Shared, plan: &Plan) -> bool {
    let segments = shared.segments.read();
    let is_kept = |source: &Arc<Segment>| segments.contains_key(&source.sequence);
    let is_whole = |shard: &Arc<Shard>| shard.state.lock().damage.is_none();
    plan.sources.iter().all(is_kept) && plan.lives.iter().filter_map(|life| life.shard.as_ref()).all(is_whole)
}

/// Has everybody look into `segment` from here on; returns the segments that it takes the place of.
fn move_over(
    shared: &Shared,
    segment: &Arc<Segment>,
    from: SegmentSequence,
    plan: Plan,
) -> Vec<Arc<Segment>> {
    let to = segment.sequence;
    for life in plan.lives {
        let Some(shard) = life.shard else { continue };
        let runs = life.runs.into_iter().map(|run| {
            let FooterRun { first, end, base, entries, .. } = run;
            Run::new(Arc::clone(segment), first, end, base, entries)
        });
        let runs = runs.collect();
        shard.state.lock().runs.replace(from, to, runs);
    }
    let mut segments = shared.segments.write();
    let old = plan.sources.iter().filter_map(|source| segments.remove(&source.sequence)).collect();
    segments.insert(to, Arc::clone(segment));
    old
}
