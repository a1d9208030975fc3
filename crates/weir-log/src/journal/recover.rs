//! Recovery: from the files of a folder to the state that was acknowledged.
//!
//! Called once, when the journal opens, before any thread of it runs. Footers are believed, the rest is scanned, and
//! each segment's snapshot is compared with what came before it. It changes nothing on disk: what must be wiped or
//! dropped is in what it returns. It must never pass over a record that was acknowledged without saying so.

pub(super) mod report;
mod shards;

use std::sync::Arc;

use weir_core::clock::WallMs;

use self::{
    report::{DamageFound, DamageKind, RecoveryReport, TornTail},
    shards::{Concluded, Shards},
};
use super::{JournalConfig, config::is_segment_length};
use crate::{
    disk::{PAGE_BYTES, REFUSED_PAGES_MAX, Unreadable, media_error, salvage_at},
    error::{OpenError, StorageError},
    frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind},
    segment::{
        LogPlace, Segment, SegmentSequence, beginning_before,
        footer::{Footer, FooterAt, TRAILER_BYTES, Trailer},
        head::{HEAD_BLOCK_BYTES, Rewritten, SegmentHead, key_of, salt},
        scan::{End, Finding, Scan, Torn, scan},
    },
    shard::Shard,
    snapshot::Snapshot,
};

/// What there is to go on from.
#[derive(Debug)]
pub(super) struct Recovered {
    /// In order; those before `first_segment` are no longer needed, unless to tell what shards there were.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Beside one of [`Self::segments`] that was rewritten to stand for them, too: no longer needed either, nor read.
    pub(super) covered: Vec<Arc<Segment>>,
    pub(super) shards: Vec<Shard>,
    /// The folder's key and the length of its segments; none in a new folder.
    pub(super) folder: Option<FolderFacts>,
    /// Segments before this one are no longer kept.
    pub(super) first_segment: SegmentSequence,
    /// `None`: there is no segment yet.
    pub(super) tail: Option<Tail>,
    /// How each of the segments was read.
    pub(super) read: Vec<SegmentRead>,
    pub(super) report: RecoveryReport,
    /// Why nothing may be written behind this, if that is so; whoever only looks has the rest all the same.
    pub(super) refusal: Option<OpenError>,
}

/// What vouches for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The footer of their segment; where there is none, their own checksums.
    Footers,
    /// Their own checksums alone.
    Frames,
}

/// How a segment was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentRead {
    pub(super) begun: Option<WallMs>,
    /// Where its frames end.
    pub(super) used_bytes: u64,
    pub(super) has_footer: bool,
    pub(super) was_scanned: bool,
    /// How many segments it stands for, if it was rewritten.
    pub(super) stands_for: Option<u32>,
}

/// What all segments of a folder share.
#[derive(Debug, Clone, Copy)]
pub(super) struct FolderFacts {
    pub(super) key: u32,
    pub(super) segment_bytes: u64,
}

/// How writing goes on in the last segment, after what is torn off is wiped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    /// What lies before this was on disk when what is behind it was written; of the rest nobody knows.
    pub(super) synced_to: u32,
    pub(super) end: u32,
    pub(super) footer: Option<FooterAt>,
    pub(super) torn: Option<Torn>,
}

/// A segment file and what its head says.
#[derive(Debug)]
struct Found {
    segment: Arc<Segment>,
    head: Option<SegmentHead>,
    head_intact: bool,
    /// What the disk did not give of the head.
    head_unreadable: Option<Unreadable>,
    rewritten: Option<Rewritten>,
    bytes: u64,
}

impl Found {
    /// Bytes that the file was laid out with.
    fn laid_out_bytes(&self, folder: FolderFacts) -> u64 {
        let rewritten = self.rewritten.map(|it| u64::from(it.frames_end) + TRAILER_BYTES as u64);
        rewritten.unwrap_or(folder.segment_bytes)
    }

    /// Before it there were no shards, and each that came is told of by a frame. A rewriting leaves such frames out.
    fn is_the_first_of_all(&self) -> bool {
        self.segment.sequence == SegmentSequence(1) && self.rewritten.is_none()
    }
}

/// Where a segment stands among the others.
#[derive(Debug, Clone, Copy)]
struct Context {
    first: bool,
    last: bool,
    /// Where its frames end, if the next segment's head says so.
    end: Option<u32>,
}

struct Recovery {
    report: RecoveryReport,
    shards: Shards,
    folder: FolderFacts,
    trust: Trust,
    refusal: Option<OpenError>,
    unreadable: Vec<NotGiven>,
    /// Pages that the disk may still refuse one by one.
    pages_left: u32,
}

/// Bytes of a segment that the disk did not give, and that count as zeros now.
#[derive(Debug)]
struct NotGiven {
    segment: Arc<Segment>,
    file_bytes: u64,
    unreadable: Unreadable,
    is_head: bool,
    /// Frames could be there, and writing would go on behind them.
    is_at_the_end: bool,
}

/// Reads the segments that `names` names in the configured folder.
pub(super) fn recover(
    config: &JournalConfig,
    names: &[String],
    trust: Trust,
) -> Result<Recovered, OpenError> {
    let mut sequences: Vec<_> = names.iter().filter_map(|name| SegmentSequence::of_file_name(name)).collect();
    sequences.sort_unstable();
    let Some((found, folder)) = open_segments(config, &sequences)? else {
        let tail = None;
        let first_segment = SegmentSequence(1);
        let (segments, covered, shards, read) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let report = RecoveryReport::default();
        let (folder, refusal) = (None, None);
        return Ok(Recovered {
            segments,
            covered,
            shards,
            folder,
            first_segment,
            tail,
            read,
            report,
            refusal,
        });
    };
    let (mut found, covered) = without_covered(found);
    let (mut older, mut read_older) = (Vec::new(), Vec::new());
    let mut damage_not_kept = Vec::new();
    let mut folded = fold(config, &found, folder, trust)?;
    while let Some(needed) = needed_behind_damage(&found, &folded) {
        let without = fold(config, &found[needed..], folder, trust)?;
        if trust == Trust::Frames && folded.has_beginning() && !without.has_beginning() {
            break; // it is its footer that tells, which is not believed here
        }
        let Folded { recovery: Recovery { report, .. }, mut read, .. } =
            std::mem::replace(&mut folded, without);
        let is_older = |damage: &DamageFound| found[..needed].iter().any(|it| it.segment.path == damage.path);
        damage_not_kept.extend(report.damage.into_iter().filter(is_older));
        read_older.extend(read.drain(..needed));
        older.extend(found.drain(..needed));
    }
    let Folded { recovery, read, tail } = folded;
    let Recovery { mut report, mut shards, mut refusal, unreadable, .. } = recovery;
    report.damage_not_kept = damage_not_kept;
    let first_segment = shards.first_segment();
    let first_found = found[0].segment.covers_from;
    if first_found > first_segment {
        let place = LogPlace { segment: first_segment, offset: 0 };
        report.damage.push(damage(config, place, DamageKind::Missing));
        shards.front_is_missing(place);
    }
    let Concluded { shards, blamed, stops_more } = shards.finish();
    if let None | Some(OpenError::NoSnapshot(_)) = refusal {
        // It would be cut off with what was torn, or what it held given up: and it may read another time.
        let is_needed = |it: &&NotGiven| it.is_at_the_end || stops_more || refusal.is_some();
        // Which one is to blame cannot always be told; heads seldom are.
        let is_blamed = |segment| blamed.iter().any(|(_, place)| place.segment == segment);
        let rank = |it: &&NotGiven| (it.is_head, !is_blamed(it.segment.sequence));
        let needed = unreadable.iter().filter(is_needed).min_by_key(rank);
        // Zeros are what it counts as already: without a snapshot they are no way on.
        refusal = needed.map(|it| it.refusal(refusal.is_none())).or(refusal);
    }
    for (shard, place) in blamed {
        blame(config, &mut report, shard, place);
    }
    let segments: Vec<_> = older.into_iter().chain(found).map(|found: Found| found.segment).collect();
    let read = read_older.into_iter().chain(read).collect();
    report.segments = segments.len();
    report.shards = shards.len();
    report.records = shards.iter().map(records_of).sum();
    let folder = Some(folder);
    Ok(Recovered { segments, covered, shards, folder, first_segment, tail, read, report, refusal })
}

/// What segments say, one after another.
struct Folded {
    recovery: Recovery,
    read: Vec<SegmentRead>,
    tail: Option<Tail>,
}

impl Folded {
    /// Is it told what shards there were at first?
    fn has_beginning(&self) -> bool {
        !matches!(self.recovery.refusal, Some(OpenError::NoSnapshot(_)))
    }
}

fn fold(
    config: &JournalConfig,
    found: &[Found],
    folder: FolderFacts,
    trust: Trust,
) -> Result<Folded, OpenError> {
    let report = RecoveryReport::default();
    let mut recovery = Recovery {
        report,
        shards: Shards::default(),
        folder,
        trust,
        refusal: None,
        unreadable: Vec::new(),
        pages_left: REFUSED_PAGES_MAX,
    };
    let mut read = Vec::with_capacity(found.len());
    let mut tail = None;
    for (at, this) in found.iter().enumerate() {
        let next = found.get(at + 1);
        recovery.check_file(config, this, at.checked_sub(1).map(|before| &found[before]), next.is_none());
        let follows = |next: &&Found| next.segment.covers_from == this.segment.sequence.next();
        let end = match this.rewritten {
            // What follows was begun when there were other frames here.
            Some(rewritten) => Some(rewritten.frames_end),
            None => next.filter(follows).and_then(|next| next.head).map(|head| head.previous_end),
        };
        let (footers, scans) = (recovery.report.footers_read, recovery.report.segments_scanned);
        let this_tail = recovery.read_segment(this, Context { first: at == 0, last: next.is_none(), end })?;
        read.push(SegmentRead {
            begun: this.head.map(|head| head.begun),
            used_bytes: u64::from(this_tail.end),
            has_footer: recovery.report.footers_read > footers,
            was_scanned: recovery.report.segments_scanned > scans,
            stands_for: this.rewritten.map(|rewritten| rewritten.segments),
        });
        tail = Some(this_tail);
    }
    Ok(Folded { recovery, read, tail })
}

/// Where the segments begin that are needed, if something is wrong with those before them: one is missing there, or does not
/// read. Needed are those that are kept, and where the first of these does not tell what shards there were, those before it
/// back to one that does. Nobody loses anything by the others: of records that are not kept, none can be damaged.
fn needed_behind_damage(found: &[Found], folded: &Folded) -> Option<usize> {
    let Recovery { shards, report, .. } = &folded.recovery;
    let first = shards.first_segment();
    let position = |from| found.iter().position(|found| found.segment.sequence >= from);
    let beginning = beginning_before(first, found.iter().map(|found| &found.segment));
    let (kept, tells) = (position(first)?, position(beginning)?);
    let needed = if has_hole(&found[tells..=kept]) { kept } else { tells };
    let is_damaged = |older: &Found| report.damage.iter().any(|found| found.path == older.segment.path);
    (has_hole(&found[..=needed]) || found[..needed].iter().any(is_damaged)).then_some(needed)
}

/// Is one missing between these?
fn has_hole(found: &[Found]) -> bool {
    let follows = |pair: &[Found]| pair[0].segment.sequence.next() >= pair[1].segment.covers_from;
    !found.windows(2).all(follows)
}

/// Sets those apart that a rewritten one beside them stands for: the power went before their names did.
fn without_covered(found: Vec<Found>) -> (Vec<Found>, Vec<Arc<Segment>>) {
    let (mut kept, mut covered): (Vec<Found>, _) = (Vec::with_capacity(found.len()), Vec::new());
    for this in found.into_iter().rev() {
        match kept.last() {
            Some(later) if this.segment.sequence >= later.segment.covers_from => covered.push(this.segment),
            Some(_) | None => kept.push(this),
        }
    }
    kept.reverse();
    covered.reverse();
    (kept, covered)
}

/// Before which offset everything was on disk when the newest of these frames, or the footer before them, was written.
fn synced_to(findings: &[Finding], footer: Option<FooterAt>) -> u32 {
    let told = findings.iter().map(|finding| match finding {
        Finding::Frame(_, header) => header.synced_to,
        Finding::Damage(_) => HEAD_BLOCK_BYTES,
    });
    told.chain(footer.map(|footer| footer.offset)).max().unwrap_or(HEAD_BLOCK_BYTES)
}

/// Do the frames of a segment begin with its snapshot?
fn begins(findings: &[Finding]) -> bool {
    matches!(findings.first(), Some(Finding::Frame(_, header)) if header.kind == FrameKind::Snapshot)
}

fn records_of(shard: &Shard) -> u64 {
    let state = shard.state.lock();
    state.tip - state.oldest
}

fn damage(config: &JournalConfig, place: LogPlace, kind: DamageKind) -> DamageFound {
    let path = Segment::path_in(&config.folder, place.segment);
    DamageFound { path, offset: u64::from(place.offset), kind, shards: Vec::new() }
}

impl NotGiven {
    fn refusal(&self, zeros_help: bool) -> OpenError {
        let Unreadable { offset, bytes, errno, each_asked } = self.unreadable;
        // A page that was not asked for may read, and one that the file ends in would make it longer.
        let are_whole_pages = (offset + bytes).next_multiple_of(PAGE_BYTES) <= self.file_bytes;
        OpenError::Unreadable {
            path: self.segment.path.clone(),
            offset,
            bytes,
            source: errno.into(),
            can_be_given_up: zeros_help && each_asked && are_whole_pages,
        }
    }
}

/// Notes under the place that is to blame that `shard` stops because of it.
fn blame(
    config: &JournalConfig,
    report: &mut RecoveryReport,
    shard: weir_core::id::ShardKey,
    place: LogPlace,
) {
    let hole = damage(config, place, DamageKind::Hole);
    let stops = |kind| !matches!(kind, DamageKind::Head | DamageKind::Footer | DamageKind::Unreadable);
    let same = |found: &&mut DamageFound| {
        found.path == hole.path && found.offset == hole.offset && stops(found.kind)
    };
    match report.damage.iter_mut().find(same) {
        Some(known) => known.shards.push(shard),
        None => report.damage.push(DamageFound { shards: vec![shard], ..hole }),
    }
}

/// Opens every segment. The folder's key, and with it every salt, follows from any readable head; `None` when there is
/// no segment.
fn open_segments(
    config: &JournalConfig,
    sequences: &[SegmentSequence],
) -> Result<Option<(Vec<Found>, FolderFacts)>, OpenError> {
    let mut found = Vec::with_capacity(sequences.len());
    for &sequence in sequences {
        found.push(open_segment(config, sequence)?);
    }
    if found.is_empty() {
        return Ok(None);
    }
    let folder = found.iter().find_map(|found| {
        let SegmentHead { salt, segment_bytes, .. } =
            found.head.filter(|head| is_segment_length(head.segment_bytes))?;
        Some(FolderFacts { key: key_of(salt, found.segment.sequence), segment_bytes })
    });
    let Some(folder) = folder else { return Err(no_head(found)) };
    for found in &mut found {
        let segment = Arc::get_mut(&mut found.segment).expect("nobody else has it yet");
        segment.salt = salt(folder.key, segment.sequence);
        found.rewritten = match found.head {
            Some(head) => head.rewritten,
            None => rewritten_by_trailer(segment, found.bytes, folder)?,
        };
        if let Some(rewritten) = found.rewritten {
            segment.covers_from = rewritten.covers_from(segment.sequence);
        }
    }
    Ok(Some((found, folder)))
}

/// None of the heads reads. One that the disk does not give may do so another time: that is told then.
fn no_head(mut found: Vec<Found>) -> OpenError {
    let refused = found.iter().position(|found| found.head_unreadable.is_some());
    let Found { segment, head_unreadable, .. } = found.swap_remove(refused.unwrap_or(0));
    match head_unreadable {
        Some(Unreadable { errno, .. }) => segment.error("read the head of", errno.into()).into(),
        None => OpenError::NoHead(segment.path.clone()),
    }
}

/// Is the segment kept where `first` is the oldest that is? No frame lets go of the segment that it is in.
fn keeps(segment: &Segment, first: SegmentSequence) -> bool {
    first <= segment.sequence
}

/// What is read, at the first or the second try; nothing where the disk gives nothing.
fn retry_media_error<T>(
    read: impl Fn() -> Result<Option<T>, StorageError>,
) -> Result<Option<T>, StorageError> {
    let refused =
        |read: &Result<_, StorageError>| matches!(read, Err(error) if media_error(&error.source).is_some());
    let first = read();
    let read = if refused(&first) { read() } else { first };
    if refused(&read) { Ok(None) } else { read }
}

/// What the last bytes of a file without a readable head say: a rewritten segment ends with its trailer.
fn rewritten_by_trailer(
    segment: &Segment,
    bytes: u64,
    folder: FolderFacts,
) -> Result<Option<Rewritten>, StorageError> {
    let shorter = (u64::from(HEAD_BLOCK_BYTES)..folder.segment_bytes).contains(&bytes);
    let Some(frames_end) = bytes.checked_sub(TRAILER_BYTES as u64).filter(|_| shorter) else {
        return Ok(None);
    };
    let trailer =
        retry_media_error(|| Trailer::read(segment, frames_end))?.filter(|trailer| trailer.segments > 0);
    let frames_end = u32::try_from(frames_end).expect("shorter than a segment");
    Ok(trailer.map(|Trailer { segments, .. }| Rewritten { segments, frames_end }))
}

fn open_segment(config: &JournalConfig, sequence: SegmentSequence) -> Result<Found, OpenError> {
    let path = Segment::path_in(&config.folder, sequence);
    let error = |operation, source| StorageError { operation, path: path.clone(), source };
    let file = config.disk.open(&path).map_err(|source| error("open", source))?;
    let bytes = file.bytes().map_err(|source| error("length of", source))?;
    let block_bytes = bytes.min(u64::from(HEAD_BLOCK_BYTES));
    let mut block = vec![0; usize::try_from(block_bytes).expect("one page")];
    let unreadable = salvage_at(file.as_ref(), 0, &mut block, &mut 1)
        .map_err(|source| error("read the head of", source))?;
    let head_unreadable = unreadable.into_iter().next();
    let read = SegmentHead::read(&block);
    let head = read.head.filter(|head| head.sequence == sequence);
    let segment = Arc::new(Segment::new(sequence, 0, path, file));
    let head_intact = read.intact && head.is_some();
    Ok(Found { segment, head, head_intact, head_unreadable, rewritten: None, bytes })
}

impl Recovery {
    /// Is the file what it was laid out as, and is there none missing before it?
    fn check_file(&mut self, config: &JournalConfig, this: &Found, before: Option<&Found>, last: bool) {
        let sequence = this.segment.sequence;
        let mut found = |segment, offset, kind| {
            let place = LogPlace { segment, offset };
            self.report.damage.push(damage(config, place, kind));
            place
        };
        let missing = before.map(|before| before.segment.sequence.next());
        let missing = missing.filter(|next| *next < this.segment.covers_from);
        if let Some(missing) = missing {
            let place = found(missing, 0, DamageKind::Missing);
            self.shards.suspect(place);
        }
        if let Some(unreadable) = this.head_unreadable {
            this.segment.distrust();
            found(sequence, 0, DamageKind::Unreadable);
            // Where the frames before it end is not known without it.
            self.unreadable.push(NotGiven {
                segment: Arc::clone(&this.segment),
                file_bytes: this.bytes,
                unreadable,
                is_head: true,
                is_at_the_end: false,
            });
        } else if !this.head_intact {
            this.segment.distrust();
            found(sequence, 0, DamageKind::Head);
        }
        if last && this.rewritten.is_some() {
            found(sequence.next(), 0, DamageKind::Missing);
            self.refusal.get_or_insert_with(|| OpenError::NoTail(this.segment.path.clone()));
        }
        let laid_out_bytes = this.laid_out_bytes(self.folder);
        if this.bytes < laid_out_bytes {
            // No crash makes a file shorter: it was laid out and synced before it got its name.
            let offset = u32::try_from(this.bytes).expect("shorter than a segment");
            let place = found(sequence, offset, DamageKind::Truncated);
            self.shards.suspect(place);
            if last {
                let (path, expected, found) = (this.segment.path.clone(), laid_out_bytes, this.bytes);
                self.refusal.get_or_insert(OpenError::Truncated { path, expected, found });
            }
        }
    }

    fn read_segment(&mut self, this: &Found, context: Context) -> Result<Tail, OpenError> {
        let mut from = HEAD_BLOCK_BYTES;
        let mut footer = None;
        if let Some((content, at)) = self.read_footer(this)? {
            self.report.footers_read += 1;
            footer = Some(at);
            if self.trust == Trust::Footers {
                self.shards.take_footer(&this.segment, content, context.first);
                from = at.end;
                if !context.last && context.end.is_none_or(|known| known == at.end) {
                    this.segment.seal(Some(at.end));
                    return Ok(Tail { synced_to: at.offset, end: at.end, footer, torn: None });
                }
            }
        } else if !context.last {
            self.note(this, this.bytes.saturating_sub(TRAILER_BYTES as u64), DamageKind::Footer);
        }
        let Scan { findings, end, torn } = self.scan_segment(this, context, from)?;
        let is_told = footer.is_some() || begins(&findings) || this.is_the_first_of_all();
        this.segment.set_mute(!is_told);
        if let Some(torn) = torn
            && context.last
        {
            self.report.torn_tail = Some(TornTail {
                path: this.segment.path.clone(),
                offset: u64::from(torn.offset),
                bytes: u64::from(torn.bytes),
            });
        }
        if !context.last && context.end.is_none() && torn.is_some() {
            let place = self.note(this, u64::from(end), DamageKind::Frame);
            self.shards.suspect(place);
        }
        if context.last && findings.is_empty() && footer.is_none() && self.refusal.is_none() {
            // It was synced with its snapshot before it got its name: what else was in it is gone, too.
            self.refusal = Some(OpenError::NoSnapshot(this.segment.path.clone()));
            self.note(this, u64::from(HEAD_BLOCK_BYTES), DamageKind::Frame);
        }
        let synced_to = synced_to(&findings, footer);
        if let Some(Finding::Frame(offset, header)) = findings.last()
            && header.kind == FrameKind::Footer
        {
            footer = Some(FooterAt { offset: *offset, end });
        }
        Ok(Tail { synced_to, end, footer, torn })
    }

    fn scan_segment(&mut self, this: &Found, context: Context, from: u32) -> Result<Scan, OpenError> {
        self.report.segments_scanned += 1;
        let segment = &this.segment;
        let frames_end = this.laid_out_bytes(self.folder) - TRAILER_BYTES as u64;
        let length = this.bytes.min(context.end.map_or(frames_end, u64::from));
        let mut bytes = vec![0; usize::try_from(length).expect("a segment is below 1 GiB")];
        if let Some(rest) = bytes.get_mut(from as usize..) {
            let unreadable = salvage_at(segment.file.as_ref(), u64::from(from), rest, &mut self.pages_left)
                .map_err(|source| segment.error("scan", source))?;
            for unreadable in unreadable {
                self.note(this, unreadable.offset, DamageKind::Unreadable);
                self.unreadable.push(NotGiven {
                    segment: Arc::clone(&this.segment),
                    file_bytes: this.bytes,
                    unreadable,
                    is_head: false,
                    is_at_the_end: context.last,
                });
            }
        }
        let before = u32::try_from(frames_end).expect("a segment is below 1 GiB");
        let end = context.end.map_or(End::Before(before), End::At);
        let fresh = this.head.is_some_and(|head| !head.recycled);
        let scan = scan(&bytes, segment.salt, from, end, fresh);
        let is_told = from > HEAD_BLOCK_BYTES || begins(&scan.findings);
        if context.first && !is_told && !this.is_the_first_of_all() {
            // Which shards there were is told nowhere else: numbers could be given out a second time.
            self.refusal.get_or_insert_with(|| OpenError::NoSnapshot(segment.path.clone()));
            if !matches!(scan.findings.first(), Some(Finding::Damage(_))) {
                self.note(this, u64::from(from), DamageKind::Frame);
            }
        }
        for finding in &scan.findings {
            match finding {
                Finding::Frame(offset, header) => {
                    let body = *offset as usize + FRAME_HEADER_BYTES..*offset as usize + header.frame_bytes();
                    self.take_frame(this, context, *offset, header, &bytes[body]);
                }
                Finding::Damage(damaged) => {
                    let place = self.note(this, u64::from(damaged.offset), DamageKind::Frame);
                    match damaged.header {
                        Some(header) if header.kind == FrameKind::Append => {
                            self.shards.lose_batch(&header, place);
                        }
                        Some(_) | None => self.shards.lose_something(place),
                    }
                }
            }
        }
        Ok(scan)
    }

    fn take_frame(&mut self, this: &Found, context: Context, offset: u32, header: &FrameHeader, body: &[u8]) {
        let here = LogPlace { segment: this.segment.sequence, offset };
        let understood = match header.kind {
            FrameKind::Append => {
                self.shards.take_append(&this.segment, offset, header);
                true
            }
            FrameKind::ShardOpened => self.shards.take_opened(here, header, body),
            FrameKind::ShardDeleted => {
                self.shards.take_deleted(header);
                true
            }
            FrameKind::Expired => self.shards.take_expired(here, header, body),
            FrameKind::Retained => {
                let first = SegmentSequence(header.first);
                let is_kept = keeps(&this.segment, first);
                if is_kept {
                    self.shards.take_retained(first);
                }
                is_kept
            }
            FrameKind::Snapshot => Snapshot::decode(&mut &body[..])
                .filter(|snapshot| keeps(&this.segment, snapshot.first_segment))
                .map(|snapshot| self.shards.take_snapshot(here, snapshot, context.first))
                .is_some(),
            // It stands in the middle of what it tells: everything in it must have been seen.
            FrameKind::Footer => Footer::decode(body, offset)
                .filter(|footer| keeps(&this.segment, footer.snapshot.first_segment))
                .map(|footer| self.shards.take_snapshot(here, footer.snapshot, false))
                .is_some(),
        };
        if !understood {
            // Its checksum is right and its layout is not ours: as good as unreadable.
            let place = self.note(this, u64::from(offset), DamageKind::Frame);
            self.shards.lose_something(place);
        }
    }

    /// The footer that the trailer points at, if both are readable.
    fn read_footer(&self, this: &Found) -> Result<Option<(Footer, FooterAt)>, OpenError> {
        let laid_out_bytes = this.laid_out_bytes(self.folder);
        if this.bytes < laid_out_bytes {
            return Ok(None);
        }
        let read = retry_media_error(|| Footer::read(&this.segment, laid_out_bytes - TRAILER_BYTES as u64))?;
        Ok(read.filter(|(footer, _)| keeps(&this.segment, footer.snapshot.first_segment)))
    }

    fn note(&mut self, this: &Found, offset: u64, kind: DamageKind) -> LogPlace {
        this.segment.distrust();
        let path = this.segment.path.clone();
        self.report.damage.push(DamageFound { path, offset, kind, shards: Vec::new() });
        let offset = u32::try_from(offset).expect("segments are below 1 GiB");
        LogPlace { segment: this.segment.sequence, offset }
    }
}
