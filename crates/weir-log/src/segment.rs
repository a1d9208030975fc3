//! Segments: files of one fixed length that hold the journal's frames one after another.
//!
//! Made by the layout thread, filled by the committer, read by readers and by recovery. A segment is used again when
//! its records are no longer kept; its salt makes whatever it held before unreadable as frames.
//!
//! The file, in order: the head block ([`head::HEAD_BLOCK_BYTES`]), a snapshot frame, frames, a footer frame, bytes
//! that mean nothing, and the trailer ([`footer::TRAILER_BYTES`]) that says where the last footer is.
//!
//! A rewritten segment stands for itself and for a number of segments before it: it has their frames that are still
//! kept, is as long as these need, and carries the number of the last one ([`head::Rewritten`]).

pub(crate) mod footer;
pub(crate) mod head;
pub(crate) mod layout;
pub(crate) mod leaving;
pub(crate) mod scan;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use weir_core::checksum::crc32c;

use crate::{
    disk::{DiskFile, read_exact_at},
    error::StorageError,
    facade::Mutex,
    frame::{FRAME_HEADER_BYTES, FrameHeader},
    journal::JournalConfig,
    segment::head::{HEAD_BLOCK_BYTES, ReadHead, SegmentHead},
};

/// A segment's number: rises by one, never used twice in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SegmentSequence(pub(crate) u64);

impl SegmentSequence {
    /// The segment after this one.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// `segment-0000000000000007.log`.
    pub(crate) fn file_name(self) -> String {
        format!("segment-{:016}.log", self.0)
    }

    /// The number in a segment's file name; `None` for any other name.
    pub(crate) fn of_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("segment-")?.strip_suffix(".log")?;
        let sequence = Self(u64::from(digits.parse::<u32>().ok()?)); // no folder has more, and a place has no room for it
        (sequence.file_name() == name).then_some(sequence)
    }
}

impl fmt::Display for SegmentSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A place in the journal: a segment and an offset in it. Later places are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LogPlace {
    /// The segment.
    pub(crate) segment: SegmentSequence,
    /// Bytes from the start of its file.
    pub(crate) offset: u32,
}

impl LogPlace {
    /// As it is persisted: the segment in the upper half, the offset in the lower.
    pub(crate) fn to_bits(self) -> u64 {
        assert!(self.segment.0 <= u64::from(u32::MAX), "a folder has fewer segments");
        self.segment.0 << 32 | u64::from(self.offset)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        let offset = u32::try_from(bits & u64::from(u32::MAX)).expect("the lower half");
        Self { segment: SegmentSequence(bits >> 32), offset }
    }
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) sequence: SegmentSequence,
    /// The first segment that it stands for: itself, unless it was rewritten.
    pub(crate) covers_from: SegmentSequence,
    /// Part of the checksum of every frame in it.
    pub(crate) salt: u32,
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn DiskFile>,
    /// Where its footer ends, once that covers everything in it; else 0.
    sealed: AtomicU32,
    /// Something in its file did not read, or not as it was written.
    distrusted: AtomicBool,
    /// Neither its snapshot nor the footer that its trailer tells of reads.
    mute: AtomicBool,
    /// A sync of it has failed. Held while one runs.
    sync_failed: Mutex<bool>,
}

/// Where the number of a file must be below so that none of `segments`, in order, that is kept from `first` on stands for it.
pub(crate) fn uncovered_before<'a>(
    first: SegmentSequence,
    segments: impl IntoIterator<Item = &'a Arc<Segment>>,
) -> SegmentSequence {
    let oldest = segments.into_iter().find(|segment| segment.sequence >= first);
    oldest.map_or(first, |oldest| oldest.covers_from)
}

/// Before which number `segments`, in order, may go when those from `first` on are kept: `first`, or, where a log cannot begin
/// with the first of these, the newest before it that one can begin with.
pub(crate) fn beginning_before<'a>(
    first: SegmentSequence,
    segments: impl IntoIterator<Item = &'a Arc<Segment>>,
) -> SegmentSequence {
    let mut beginning = None;
    for segment in segments {
        if beginning.is_none() || !segment.is_mute() {
            beginning = Some(segment.sequence);
        }
        if segment.sequence >= first {
            break;
        }
    }
    beginning.map_or(first, |beginning| beginning.min(first))
}

impl Segment {
    /// A segment that stands for itself and has no footer yet.
    pub(crate) fn new(sequence: SegmentSequence, salt: u32, path: PathBuf, file: Box<dyn DiskFile>) -> Self {
        let (sealed, sync_failed) = (AtomicU32::new(0), Mutex::new(false));
        let (distrusted, mute) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { sequence, covers_from: sequence, salt, path, file, sealed, distrusted, mute, sync_failed }
    }

    /// Where its footer ends; `None` as long as there is none that covers everything in it.
    pub(crate) fn sealed(&self) -> Option<u32> {
        Some(self.sealed.load(Ordering::Acquire)).filter(|&end| end > 0)
    }

    /// A footer that ends at `end` covers everything in it, or (`None`) there is no such footer.
    pub(crate) fn seal(&self, end: Option<u32>) {
        self.sealed.store(end.unwrap_or(0), Ordering::Release);
        if end.is_some() {
            self.set_mute(false);
        }
    }

    /// Whether neither its snapshot reads nor the footer that its trailer tells of. What shards there were when it was begun is
    /// told by those before it alone then: they stay until it has a footer, or is gone itself.
    pub(crate) fn set_mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::Relaxed);
    }

    /// Does it need those before it to tell what shards there were?
    pub(crate) fn is_mute(&self) -> bool {
        self.mute.load(Ordering::Relaxed)
    }

    /// Something in its file did not read, or not as it was written: the file is not used again.
    pub(crate) fn distrust(&self) {
        self.distrusted.store(true, Ordering::Relaxed);
    }

    /// Has something gone wrong with its file?
    pub(crate) fn is_distrusted(&self) -> bool {
        self.distrusted.load(Ordering::Relaxed)
    }

    /// The head block.
    pub(crate) fn read_head(&self) -> Result<ReadHead, StorageError> {
        let mut block = vec![0; HEAD_BLOCK_BYTES as usize];
        read_exact_at(self.file.as_ref(), 0, &mut block)
            .map_err(|source| self.error("read the head of", source))?;
        Ok(SegmentHead::read(&block))
    }

    /// The whole frame at `offset` with its body, if there is one that checks and ends at `end` at the latest.
    pub(crate) fn read_frame(
        &self,
        offset: u32,
        end: u64,
    ) -> Result<Option<(FrameHeader, Vec<u8>)>, StorageError> {
        let read = |offset: u64, buffer: &mut [u8]| {
            read_exact_at(self.file.as_ref(), offset, buffer).map_err(|source| self.error("read", source))
        };
        let body_at = u64::from(offset) + FRAME_HEADER_BYTES as u64;
        if body_at > end {
            return Ok(None);
        }
        let mut header = [0; FRAME_HEADER_BYTES];
        read(u64::from(offset), &mut header)?;
        let header = FrameHeader::decode(&header, self.salt, offset);
        let Some(header) = header.filter(|header| body_at + u64::from(header.body_bytes) <= end) else {
            return Ok(None);
        };
        let mut body = vec![0; header.body_bytes as usize];
        read(body_at, &mut body)?;
        Ok((crc32c(&body) == header.body_crc).then_some((header, body)))
    }

    /// An I/O error with this file's name.
    pub(crate) fn error(&self, operation: &'static str, source: io::Error) -> StorageError {
        StorageError { operation, path: self.path.clone(), source }
    }

    /// Brings everything written so far to the disk, unless nothing is ever brought there.
    pub(crate) fn sync(&self, config: &JournalConfig) -> Result<(), StorageError> {
        if config.syncs_segments() { self.sync_data() } else { Ok(()) }
    }

    /// Brings everything written so far to the disk. One thread at a time, and nobody after one has failed: a kernel tells a
    /// failure once, to whoever syncs first, and takes what it lost for clean from then on.
    pub(crate) fn sync_data(&self) -> Result<(), StorageError> {
        let mut failed = self.sync_failed.lock();
        if *failed {
            return Err(self.error("sync", io::Error::other("an earlier sync of it failed")));
        }
        let synced = self.file.sync_data();
        *failed = synced.is_err();
        synced.map_err(|source| self.error("sync", source))
    }

    pub(crate) fn path_in(folder: &Path, sequence: SegmentSequence) -> PathBuf {
        folder.join(sequence.file_name())
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;
    use crate::disk::{
        Disk,
        fault::{FaultDisk, Operation},
    };

    #[test]
    fn a_file_name_gives_its_number_back_and_no_other_name_does() {
        let sequence = SegmentSequence(42);
        assert_eq!(SegmentSequence::of_file_name(&sequence.file_name()), Some(sequence));
        for name in [
            "segment-42.log",
            "segment-000000000000004x.log",
            "spare-0000000000000042.log",
            "segment-",
            "segment-9999999999999999.log",
        ] {
            assert_eq!(SegmentSequence::of_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_file_is_covered_as_long_as_what_stands_for_it_is_kept() {
        let disk = FaultDisk::new(1, 1 << 20);
        let segments = [(1, 1), (2, 2), (5, 3), (6, 6)].map(|(sequence, covers_from)| {
            let path = PathBuf::from(sequence.to_string());
            let file = disk.lay_out(&path, 4_096, true).unwrap();
            let segment = Segment::new(SegmentSequence(sequence), 0, path, file);
            Arc::new(Segment { covers_from: SegmentSequence(covers_from), ..segment })
        });
        let before = |first| uncovered_before(SegmentSequence(first), &segments).0;
        assert_eq!([1, 2, 3, 5, 6, 7].map(before), [1, 2, 3, 3, 6, 7]);
    }

    #[test]
    fn a_file_stays_as_long_as_a_log_cannot_begin_with_the_one_behind_it() {
        let disk = FaultDisk::new(1, 1 << 20);
        let before = |mute: &[u64], first| {
            let segments = [1, 2, 5, 6, 7].map(|sequence| {
                let path = PathBuf::from(sequence.to_string());
                let file = disk.lay_out(&path, 4_096, true).unwrap();
                let segment = Segment::new(SegmentSequence(sequence), 0, path, file);
                segment.set_mute(mute.contains(&sequence));
                Arc::new(segment)
            });
            beginning_before(SegmentSequence(first), &segments).0
        };
        assert_eq!([1, 2, 5, 7].map(|first| before(&[], first)), [1, 2, 5, 7]);
        assert_eq!(
            before(&[], 4),
            4,
            "no file has that number any more: one that was rewritten stands for it"
        );
        assert_eq!([5, 6, 7].map(|first| before(&[6, 7], first)), [5, 5, 5]);
        assert_eq!(before(&[5], 4), 2);
        assert_eq!([1, 2, 5].map(|first| before(&[1, 2], first)), [1, 1, 5], "nothing is before the oldest");
        assert_eq!(beginning_before(SegmentSequence(3), []), SegmentSequence(3));
    }

    #[test]
    fn after_a_sync_that_failed_no_other_says_that_all_is_well() {
        let (disk, path) = (FaultDisk::new(1, 1 << 20), Path::new("file"));
        let segment = |name: &Path| {
            let file = disk.lay_out(name, 4_096, true).unwrap();
            Segment::new(SegmentSequence(1), 0, name.to_owned(), file)
        };
        let (struck, other) = (segment(path), segment(Path::new("other")));
        disk.fail_next(Operation::Sync, Errno::EIO);
        assert!(struck.sync_data().unwrap_err().to_string().contains("Input/output error"));
        assert_eq!(struck.sync_data().unwrap_err().to_string(), "sync file: an earlier sync of it failed");
        other.sync_data().unwrap();
    }
}
