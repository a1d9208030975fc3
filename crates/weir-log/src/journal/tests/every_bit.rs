//! A small log in two segments, and every bit of it that was written, flipped: found, reported with file and offset, and
//! never served. And every length to which a file can be cut.
//!
//! What a segment has to have so that a second one begins are a few large records. Of their data, and of the zeros that
//! nobody wrote, some bits stand for all: one checksum covers them, or nobody looks at them.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    damage::{CLOSED, Written, flip, read_on, scanned, segments, written},
    *,
};
use crate::segment::{footer::TRAILER_BYTES, head::HEAD_BLOCK_BYTES, scan::Finding};

/// Bytes of the records that fill a segment.
const LARGE_BYTES: [usize; 5] = [2_000, 7_500, 7_500, 7_500, 7_500];
/// A frame of more is a large one.
const SMALL_BYTES_MAX: usize = 1_500;
/// In data that is large, and in zeros, one byte in so many is looked at, each with another bit.
const SAMPLED_ONE_IN: usize = 61;

/// Three shards, the last one closed, in two segments.
struct Small {
    disk: FaultDisk,
    shards: Vec<Written>,
    parts: Vec<Part>,
}

/// Bytes of a segment that stand or fall together: the head, a frame, the trailer, or what nobody wrote.
#[derive(Debug, Clone)]
struct Part {
    path: PathBuf,
    is_last_segment: bool,
    what: What,
    bytes: Range<usize>,
    /// Nothing says that it was synced: unreadable, it may be what a crash left of a write.
    may_be_torn: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Head,
    Frame,
    Trailer,
    Unwritten,
}

/// What became of a damaged log.
#[derive(Debug)]
struct Seen {
    /// Records that are not served.
    missing: usize,
    /// Every place that was named, by the report of the opening or by a read.
    named: Vec<(PathBuf, u64)>,
    /// The end of the log was taken for what a crash left.
    torn: bool,
}

impl Small {
    /// A log that was closed in order, or whose process was killed.
    fn new(clean: bool) -> Self {
        let filler = |n: usize| n.checked_sub(2).and_then(|at| LARGE_BYTES.get(at)).copied().unwrap_or(n % 5);
        let (disk, shards) = written((0..16).map(filler), clean);
        let files = segments(&disk);
        assert_eq!(files.len(), 2);
        let parts = files.iter().flat_map(|path| parts_of(&disk, path, *path == files[1])).collect();
        Self { disk, shards, parts }
    }

    /// The places of all bits to flip in the segment.
    fn bits(&self, last_segment: bool) -> impl Iterator<Item = (&Part, usize)> {
        self.parts.iter().filter(move |part| part.is_last_segment == last_segment).flat_map(|part| {
            part.bytes.clone().flat_map(move |byte| {
                let bits = if part.is_sampled(byte) { byte % 8..byte % 8 + 1 } else { 0..8 };
                let skipped = part.is_sampled(byte) && !byte.is_multiple_of(SAMPLED_ONE_IN);
                bits.filter(move |_| !skipped).map(move |bit| (part, byte * 8 + bit))
            })
        })
    }

    /// Opens the damaged log and reads it: every record is either served as it was, or the place that is to blame is
    /// named.
    fn look(&self, disk: &FaultDisk, what: &str) -> Seen {
        let opened = Journal::open(config(disk), &Threads::new(), Clock::new());
        let (journal, report) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                return Seen { missing: usize::MAX, named: vec![(named_by(&error, what), 0)], torn: false };
            }
        };
        let mut seen = Seen { missing: 0, named: places_of(&report), torn: report.torn_tail.is_some() };
        for written in &self.shards {
            self.read(&journal, written, &mut seen, what);
        }
        seen
    }

    fn read(&self, journal: &Journal, written: &Written, seen: &mut Seen, what: &str) {
        let (read, stopped) = read_on(journal, written, what);
        let (key, texts) = (written.0, &written.1);
        seen.missing += texts.len() - read;
        match stopped {
            Some(ReadError::Damaged(damage)) => {
                assert_eq!(damage.from, read as u64, "{what}");
                seen.named.push((damage.path, damage.offset));
                let refused = append(journal, key, &["after damage"]).unwrap_err();
                let closed = key == CLOSED && matches!(refused, AppendError::Closed { .. });
                assert!(closed || matches!(refused, AppendError::Damaged(_)), "{what}: {refused}");
            }
            Some(ReadError::NoShard { .. }) => assert!(!seen.named.is_empty(), "{what}: {key} vanished"),
            Some(other) => panic!("{what}: {other}"),
            None if key == CLOSED && journal.shard(key).unwrap().owned.is_open() => seen.missing += 1,
            None => {}
        }
    }

    /// Flips every bit of a segment.
    fn flip_all(&self, last_segment: bool) {
        let mut harmful = 0;
        for (part, bit) in self.bits(last_segment) {
            let what = format!("bit {bit} of {}, in {:?} {:?}", part.path.display(), part.what, part.bytes);
            let disk = flip(&self.disk, &part.path, bit);
            let verified = part.is_named_by_verify(&disk, &what);
            assert!(verified || part.is_harmless(), "{what}: not found by verify");
            let seen = self.look(&disk, &what);
            assert!(!seen.torn || part.may_be_torn, "{what}: what was acknowledged is called torn");
            if seen.missing > 0 {
                harmful += 1;
                assert!(verified, "{what}: {} records are gone, and verify is content", seen.missing);
                assert!(part.is_among(&seen.named), "{what}: {seen:?}");
            }
        }
        assert!(harmful > 1_500, "most of the bits are records: {harmful}");
    }

    /// Cuts a file to every length.
    fn cut_all(&self) {
        for path in segments(&self.disk) {
            let bytes = self.disk.contents(&path).unwrap().len();
            let disk = self.disk.after_kill(1);
            for cut in (0..bytes).rev() {
                let what = format!("{} cut to {cut}", path.display());
                disk.damage(&path, |bytes| bytes.truncate(cut)).unwrap();
                let named = verify(&disk, Depth::Frames, &what);
                assert!(named.iter().any(|(file, _)| *file == path), "{what}: {named:?}");
                let part = self.parts.iter().find(|part| part.path == path && part.bytes.contains(&cut));
                if part.is_some_and(|part| part.is_sampled(cut)) && !cut.is_multiple_of(SAMPLED_ONE_IN) {
                    continue;
                }
                let seen = self.look(&disk.after_kill(1), &what);
                assert!(seen.named.iter().any(|(file, _)| *file == path), "{what}: {seen:?}");
            }
        }
    }
}

impl Part {
    /// Is the byte one of many that are all alike?
    fn is_sampled(&self, byte: usize) -> bool {
        let start = self.bytes.start;
        match self.what {
            // Two copies of 64 bytes, and zeros around them.
            What::Head => byte % 2048 >= 64,
            What::Frame => self.bytes.len() > SMALL_BYTES_MAX && byte >= start + 128,
            What::Trailer => false,
            What::Unwritten => true,
        }
    }

    /// May a flipped bit go unseen? Only where no record can be lost by it: nobody wrote there, or it is the last
    /// segment's trailer, without which the segment is scanned.
    fn is_harmless(&self) -> bool {
        match self.what {
            What::Head | What::Frame => false,
            What::Trailer => self.is_last_segment,
            What::Unwritten => true,
        }
    }

    /// Is the place of this part, to the byte, among those that were named?
    fn is_among(&self, named: &[(PathBuf, u64)]) -> bool {
        named.iter().any(|(path, offset)| *path == self.path && *offset == self.bytes.start as u64)
    }

    /// Does a look at every frame name the place? A look at the footers may believe them, but names no other.
    fn is_named_by_verify(&self, disk: &FaultDisk, what: &str) -> bool {
        for (path, _) in verify(disk, Depth::Footers, what) {
            assert_eq!(path, self.path, "{what}");
        }
        self.is_among(&verify(disk, Depth::Frames, what))
    }
}

/// The places that a survey names.
fn verify(disk: &FaultDisk, depth: Depth, what: &str) -> Vec<(PathBuf, u64)> {
    match Survey::on(Arc::new(disk.clone()), Path::new("data"), depth) {
        Ok(survey) => places_of(&survey.report),
        Err(error) => vec![(named_by(&error, what), 0)],
    }
}

/// The file that an opening stopped at.
fn named_by(error: &OpenError, what: &str) -> PathBuf {
    match error {
        OpenError::NoHead(path) | OpenError::NoSnapshot(path) | OpenError::Truncated { path, .. } => {
            path.clone()
        }
        other => panic!("{what}: {other}"),
    }
}

fn places_of(report: &RecoveryReport) -> Vec<(PathBuf, u64)> {
    let torn = report.torn_tail.iter().map(|torn| (torn.path.clone(), torn.offset));
    report.damage.iter().map(|found| (found.path.clone(), found.offset)).chain(torn).collect()
}

/// The parts of a segment, in order.
fn parts_of(disk: &FaultDisk, path: &Path, is_last_segment: bool) -> Vec<Part> {
    let bytes = disk.contents(path).unwrap().len();
    let trailer = bytes - TRAILER_BYTES;
    let (_, scanned) = scanned(disk, path);
    assert_eq!(scanned.torn, None);
    let part = |what, bytes: Range<usize>| {
        let may_be_torn = is_last_segment && bytes.end >= scanned.end as usize;
        Part { path: path.to_owned(), is_last_segment, what, bytes, may_be_torn }
    };
    let mut parts = vec![part(What::Head, 0..HEAD_BLOCK_BYTES as usize)];
    for finding in &scanned.findings {
        let Finding::Frame(offset, header) = finding else { panic!("{finding:?}") };
        parts.push(part(What::Frame, *offset as usize..*offset as usize + header.frame_bytes()));
    }
    parts.push(part(What::Unwritten, scanned.end as usize..trailer));
    parts.push(part(What::Trailer, trailer..bytes));
    parts
}

#[test]
fn every_flipped_bit_of_a_full_segment_is_found_named_and_never_served() {
    Small::new(true).flip_all(false);
}

#[test]
fn every_flipped_bit_of_the_last_segment_of_a_closed_log_is_found_named_and_never_served() {
    Small::new(true).flip_all(true);
}

#[test]
fn every_flipped_bit_of_the_last_segment_of_a_killed_log_is_found_named_and_never_served() {
    Small::new(false).flip_all(true);
}

#[test]
fn a_segment_of_a_closed_log_that_is_cut_to_any_length_is_named() {
    Small::new(true).cut_all();
}

#[test]
fn a_segment_of_a_killed_log_that_is_cut_to_any_length_is_named() {
    Small::new(false).cut_all();
}
