//! What a rewritten segment will be, to the byte, before any of it is written.
//!
//! Made by the layout thread from the index in memory and from two frames of the group: the snapshot that its first
//! segment begins with and the footer of its last. Where these and the index do not agree to the record, there is no plan:
//! a rewriting must never make a hole look like a trimmed record.

use std::{collections::HashMap, ops::Range, sync::Arc};

use weir_core::{clock::WallMs, id::ShardKey, sequence::RecordIndex};

use super::choose::{Sizes, is_worth_it};
use crate::{
    error::StorageError,
    frame::{FrameHeader, FrameKind},
    journal::Shared,
    segment::{
        LogPlace, Segment, SegmentSequence,
        footer::{Footer, FooterRun, TRAILER_BYTES, Trailer, encode_trailer},
        head::{HEAD_BLOCK_BYTES, Rewritten, SegmentHead, salt},
    },
    shard::Shard,
    shard_index::{Entry, Indexed},
    snapshot::{ShardSnapshot, Snapshot},
};

/// Everything about a rewriting but the frames themselves.
#[derive(Debug)]
pub(super) struct Plan {
    /// The group, in order.
    pub(super) sources: Vec<Arc<Segment>>,
    pub(super) salt: u32,
    /// Head block, snapshot and what is left out.
    pub(super) opening: Vec<u8>,
    /// The frames that are copied, in the order of the log; the first goes behind the opening.
    pub(super) moves: Vec<Move>,
    /// Footer and trailer: the file's end.
    pub(super) closing: Vec<u8>,
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// Where its footer ends.
    pub(super) frames_end: u32,
    /// Bytes in use of the group.
    pub(super) used_bytes: u64,
    /// Every shard's life that has records in the group.
    pub(super) lives: Vec<PlannedLife>,
}

/// A frame that is copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    /// Where in the group it lies.
    pub(super) source: u32,
    /// Bytes from the start of that file.
    pub(super) offset: u32,
    /// Whose it is, of the plan's lives.
    pub(super) life: u32,
    pub(super) batch: Indexed,
}

/// A shard's records in the group.
#[derive(Debug)]
pub(super) struct PlannedLife {
    pub(super) key: ShardKey,
    pub(super) opened: LogPlace,
    /// None: it was deleted since.
    pub(super) shard: Option<Arc<Shard>>,
    first: RecordIndex,
    /// The first record that is kept, at the end when none is.
    kept: RecordIndex,
    /// As the footer will have them, without what was left out.
    pub(super) runs: Vec<FooterRun>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPlan {
    /// Exactly reckoned it is not worth it.
    #[error("it would free too little")]
    NotWorthIt,
    /// Something does not check, or says other than the index.
    #[error("{what} of {} does not check", .segment.path.display())]
    Doubtful { what: &'static str, segment: Arc<Segment> },
    /// A shard that has records in the group was deleted or trimmed meanwhile.
    #[error("a shard was deleted or trimmed")]
    Changed,
    /// A shard that has records in the group is damaged.
    #[error("{0} is damaged")]
    Damaged(ShardKey),
    /// The disk refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What the files of the group say of it.
struct Sides {
    head: SegmentHead,
    begin: HashMap<ShardKey, ShardSnapshot>,
    end: Snapshot,
}

impl Plan {
    /// A plan for `sources`: sealed, neighbours, in order.
    pub(super) fn of(
        shared: &Shared,
        key: u32,
        sources: Vec<Arc<Segment>>,
        sizes: Sizes,
    ) -> Result<Self, NoPlan> {
        let sides = read_sides(&sources)?;
        let (mut lives, mut moves) = find_lives(shared, &sources, &sides)?;
        moves.sort_unstable_by_key(|it| (it.source, it.offset));
        let (first, last) = (&sources[0], &sources[sources.len() - 1]);
        let salt = salt(key, last.sequence);
        let beginning = beginning_of(&lives, &sides, salt, last.sequence);
        let frames_at = u64::from(HEAD_BLOCK_BYTES) + beginning.len() as u64;
        let footer_at = place(&mut lives, &mut moves, frames_at);
        let footer_at = u32::try_from(footer_at).map_err(|_| NoPlan::NotWorthIt)?;
        let body = footer_of(&lives, sides.end).encode();
        let at = LogPlace { segment: last.sequence, offset: footer_at };
        let header = FrameHeader::of_journal(FrameKind::Footer, &body, footer_at, at);
        let bytes = u64::from(footer_at) + (header.frame_bytes() + TRAILER_BYTES) as u64;
        let used_bytes = sources.iter().filter_map(|source| source.sealed()).map(u64::from).sum();
        if !is_worth_it(bytes, used_bytes, sizes) {
            return Err(NoPlan::NotWorthIt);
        }
        let small = "shorter than a segment, of which a folder has fewer";
        let frames_end = u32::try_from(bytes - TRAILER_BYTES as u64).expect(small);
        let segments = u32::try_from(last.sequence.next().0 - first.covers_from.0).expect(small);
        let rewritten = Some(Rewritten { segments, frames_end });
        let head = SegmentHead { salt, sequence: last.sequence, recycled: false, rewritten, ..sides.head };
        let trailer = encode_trailer(salt, Trailer { footer_offset: footer_at, segments });
        let closing = [&header.encode(salt, footer_at)[..], &body, &trailer].concat();
        let opening = [head.encode(), beginning].concat();
        Ok(Self { sources, salt, opening, moves, closing, bytes, frames_end, used_bytes, lives })
    }
}

/// Reads what the group begins with and how it ends.
fn read_sides(sources: &[Arc<Segment>]) -> Result<Sides, NoPlan> {
    let (first, last) = (&sources[0], &sources[sources.len() - 1]);
    let doubtful = |what, segment: &Arc<Segment>| NoPlan::Doubtful { what, segment: Arc::clone(segment) };
    let read = first.read_head()?;
    let head = read.head.filter(|head| read.intact && head.sequence == first.sequence);
    let head = head.ok_or_else(|| doubtful("the head", first))?;
    let first_end = u64::from(first.sealed().unwrap_or(0));
    let begin = first.read_frame(HEAD_BLOCK_BYTES, first_end)?;
    let begin = begin.filter(|(header, _)| header.kind == FrameKind::Snapshot);
    let begin = begin.and_then(|(_, body)| Snapshot::decode(&mut &body[..]));
    let begin = begin.ok_or_else(|| doubtful("the snapshot", first))?;
    let begin = begin.shards.into_iter().map(|shard| (shard.owned.key, shard)).collect();
    let trailer_at = last.file.bytes().map_err(|source| last.error("length of", source))?;
    let trailer_at = trailer_at.saturating_sub(TRAILER_BYTES as u64);
    let footer = Footer::read(last, trailer_at)?.filter(|(_, at)| Some(at.end) == last.sealed());
    let (footer, _) = footer.ok_or_else(|| doubtful("the footer", last))?;
    Ok(Sides { head, begin, end: footer.snapshot })
}

/// The lives that have records in the group, and the frames that they keep.
fn find_lives(
    shared: &Shared,
    sources: &[Arc<Segment>],
    sides: &Sides,
) -> Result<(Vec<PlannedLife>, Vec<Move>), NoPlan> {
    let to = &sources[sources.len() - 1];
    let (mut lives, mut moves) = (Vec::new(), Vec::new());
    for at_end in &sides.end.shards {
        let (key, opened, end) = (at_end.owned.key, at_end.opened, at_end.next);
        let first = sides.at_begin(at_end).map_or(0, |at_begin| at_begin.next);
        if first == end {
            continue;
        }
        let life = u32::try_from(lives.len()).expect("bounded by a snapshot");
        let shard = shared.shard(key).filter(|shard| shard.state.lock().opened == opened);
        let mut kept = end;
        if let Some(shard) = &shard {
            let before = moves.len();
            let oldest = find_moves(shard, life, sources, &mut moves)?;
            let found = &moves[before..];
            if !agrees(found, first..end, oldest) {
                let doubtful = NoPlan::Doubtful { what: "the footer", segment: Arc::clone(to) };
                let has_lost = shard.state.lock().has_lost_since(oldest);
                return Err(if has_lost { NoPlan::Changed } else { doubtful });
            }
            kept = found.first().map_or(end, |it| it.batch.first);
        }
        if at_end.damage.is_some() {
            return Err(NoPlan::Damaged(key));
        }
        lives.push(PlannedLife { key, opened, shard, first, kept, runs: Vec::new() });
    }
    Ok((lives, moves))
}

/// Finds the frames that a shard keeps in the group; its oldest record when they were asked for. One segment at a time: who
/// writes to the shard or reads it waits for no more.
fn find_moves(
    shard: &Shard,
    life: u32,
    sources: &[Arc<Segment>],
    moves: &mut Vec<Move>,
) -> Result<RecordIndex, NoPlan> {
    let oldest = shard.state.lock().oldest;
    for (source, segment) in (0..).zip(sources) {
        let state = shard.state.lock();
        if state.damage.is_some() {
            return Err(NoPlan::Damaged(shard.key));
        }
        let batches = state.runs.batches_in(segment.sequence, oldest);
        moves.extend(batches.map(|batch| Move { source, offset: batch.offset, life, batch }));
    }
    Ok(oldest)
}

/// Are `found` all of the records `of` a life in the group that are not older than `oldest`, without a hole?
fn agrees(found: &[Move], of: Range<RecordIndex>, oldest: RecordIndex) -> bool {
    let (Some(first), Some(last)) = (found.first(), found.last()) else { return oldest >= of.end };
    let kept = first.batch.first;
    let follows = found.windows(2).all(|pair| end_of(&pair[0].batch) == pair[1].batch.first);
    let leaves_out = of.start..kept;
    follows && end_of(&last.batch) == of.end && kept >= of.start && (leaves_out.is_empty() || kept <= oldest)
}

fn end_of(batch: &Indexed) -> RecordIndex {
    batch.first + u64::from(batch.count)
}

impl Sides {
    /// The same life where the group begins; none: it was opened in it.
    fn at_begin(&self, at_end: &ShardSnapshot) -> Option<&ShardSnapshot> {
        let same = self.begin.get(&at_end.owned.key);
        same.filter(|at_begin| at_begin.opened == at_end.opened)
    }
}

/// The frames before the first that is copied: every shard as a scan of the new file has to find it, then what was left
/// out. Lives that were opened in the group have no frame that says so any more: they are there from the beginning, without
/// a record.
fn beginning_of(lives: &[PlannedLife], sides: &Sides, salt: u32, sequence: SegmentSequence) -> Vec<u8> {
    let shards = sides.end.shards.iter().map(|at_end| {
        let (owned, opened) = (at_end.owned.clone(), at_end.opened);
        match sides.at_begin(at_end) {
            Some(at_begin) => ShardSnapshot { owned, ..at_begin.clone() },
            None => {
                let last_arrived = WallMs(0);
                ShardSnapshot { owned, opened, next: 0, oldest: 0, last_arrived, damage: None }
            }
        }
    });
    let snapshot = Snapshot { first_segment: sides.end.first_segment, shards: shards.collect() };
    let mut body = Vec::new();
    snapshot.encode(&mut body);
    let mut out = Vec::new();
    let mut add = |frame: &dyn Fn(u32) -> FrameHeader, body: &[u8]| {
        let offset = HEAD_BLOCK_BYTES + u32::try_from(out.len()).expect("half of a segment at most");
        out.extend(frame(offset).encode(salt, offset));
        out.extend(body);
    };
    add(
        &|offset| {
            let at = LogPlace { segment: sequence, offset };
            FrameHeader::of_journal(FrameKind::Snapshot, &body, offset, at)
        },
        &body,
    );
    for life in lives.iter().filter(|life| life.first < life.kept) {
        let body = life.kept.to_le_bytes();
        let kind = FrameKind::Expired;
        let header = |offset| FrameHeader {
            first: life.first,
            ..FrameHeader::of_shard(kind, life.key, &body, offset, life.opened)
        };
        add(&header, &body);
    }
    out
}

/// Gives every frame that is copied its new place, one behind the other from `offset` on, and its entry; returns where
/// they end.
fn place(lives: &mut [PlannedLife], moves: &mut [Move], mut offset: u64) -> u64 {
    for it in moves {
        // An offset that does not fit belongs to a file that will not be worth it.
        it.batch.offset = u32::try_from(offset).unwrap_or(u32::MAX);
        offset += u64::from(it.batch.bytes);
        lives[it.life as usize].index(it.batch);
    }
    offset
}

impl PlannedLife {
    fn index(&mut self, batch: Indexed) {
        let entry = self.runs.last().and_then(|run| Entry::of(batch, run.first, run.base));
        let entry = entry.unwrap_or_else(|| {
            let (shard, opened, first, base) = (self.key, self.opened, batch.first, batch.arrived);
            self.runs.push(FooterRun { shard, opened, first, end: first, base, entries: Vec::new() });
            Entry::of(batch, first, base).expect("a run takes its first batch")
        });
        let run = self.runs.last_mut().expect("there before or just made");
        run.entries.push(entry);
        run.end = end_of(&batch);
    }
}

fn footer_of(lives: &[PlannedLife], snapshot: Snapshot) -> Footer {
    let runs = lives.iter().flat_map(|life| {
        let left_out = (life.first < life.kept)
            .then(|| FooterRun::expired(life.key, life.opened, life.first, life.kept));
        left_out.into_iter().chain(life.runs.iter().cloned())
    });
    Footer { snapshot, runs: runs.collect() }
}

#[cfg(test)]
mod tests {
    use weir_core::id::{ShardIndex, StreamId};

    use super::*;

    fn found(firsts: &[u64]) -> Vec<Move> {
        let batch = |&first: &u64| {
            let batch = Indexed { offset: 0, bytes: 100, first, count: 10, arrived: WallMs(1) };
            Move { source: 0, offset: 0, life: 0, batch }
        };
        firsts.iter().map(batch).collect()
    }

    #[test]
    fn only_oldest_records_may_be_left_out_and_only_when_they_are_no_longer_served() {
        for (firsts, of, oldest, is_right) in [
            (&[0, 10, 20][..], 0..30, 0, true),
            (&[10, 20], 0..30, 10, true),
            (&[10, 20], 0..30, 15, true),
            (&[10, 20], 0..30, 9, false),
            (&[10, 20], 10..30, 0, true),
            (&[0, 20], 0..30, 20, false),
            (&[0, 10], 0..30, 0, false),
            (&[10, 20], 20..30, 20, false),
            (&[], 0..30, 30, true),
            (&[], 0..30, 29, false),
        ] {
            assert_eq!(
                agrees(&found(firsts), of.clone(), oldest),
                is_right,
                "{firsts:?} of {of:?} from {oldest}"
            );
        }
    }

    #[test]
    fn a_life_that_arrived_over_more_than_49_days_has_runs_whose_times_fit() {
        let opened = LogPlace { segment: SegmentSequence(1), offset: 4_096 };
        let key = ShardKey { stream: StreamId(1), shard: ShardIndex(0) };
        let runs = Vec::new();
        let life = PlannedLife { key, opened, shard: None, first: 0, kept: 0, runs };
        let mut moves = found(&[0, 10, 20]);
        moves[1].batch.arrived = WallMs(1 + u64::from(u32::MAX));
        moves[2].batch.arrived = WallMs(2 + u64::from(u32::MAX));
        let mut lives = [life];
        assert_eq!(place(&mut lives, &mut moves, 5_000), 5_300);
        let runs: Vec<_> =
            lives[0].runs.iter().map(|run| (run.first, run.end, run.base.0, run.entries.len())).collect();
        assert_eq!(runs, [(0, 20, 1, 2), (20, 30, 2 + u64::from(u32::MAX), 1)]);
        assert!(moves.iter().map(|it| it.batch.offset).eq([5_000, 5_100, 5_200]));
    }
}
