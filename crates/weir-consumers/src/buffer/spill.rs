//! Entries beyond the buffer's room, in one bounded file of the data folder.
//!
//! Used by the buffer, under its lock. The file outlives the process: at least once, an entry that was taken but not
//! yet known to be sent comes again after a restart. A torn tail is cut and reported. It must never be larger than its
//! bound, and it is not synced: it guards against a stream that is down, not against a power failure.
//!
//! Layout, little-endian, one after the other: length of the payload (4 bytes); CRC32C of the payload (4); the
//! payload: number (8), time in milliseconds since 1970 (8), length of the partition key (4), the partition key, the
//! data.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use weir_core::{checksum::crc32c, clock::WallMs, limits::MIB};

use super::Entry;

const HEAD_BYTES: usize = 8;
const FIXED_BYTES: usize = 8 + 8 + 4;
/// Bytes of one payload. Records of a consumer are a few hundred bytes; a length beyond this is damage.
const PAYLOAD_BYTES_MAX: usize = 2 * MIB;

/// The spill file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// The file.
    #[error("{operation} {}: {source}", .path.display())]
    File {
        /// What was done.
        operation: &'static str,
        /// To which file.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
    /// What was written does not read.
    #[error("{} is damaged at byte {offset}", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is in the file.
    Kept,
    /// There is no room for it.
    Full,
}

/// The file.
#[derive(Debug)]
pub(crate) struct SpillFile {
    file: File,
    path: PathBuf,
    bytes_max: u64,
    end: u64,
    /// Where the next entry is taken; what lies before was taken.
    next: u64,
    /// Entries between `next` and `end`.
    entries: u64,
}

impl SpillFile {
    /// Opens or creates it. What an earlier life left is to be taken again.
    pub(crate) fn open(path: &Path, bytes_max: u64) -> Result<Self, SpillError> {
        let failed = |operation| {
            let path = path.to_owned();
            move |source| SpillError::File { operation, path, source }
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed("create the folder of"))?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed("open"))?;
        let bytes = fs::read(path).map_err(failed("read"))?;
        let (mut end, mut entries) = (0, 0);
        while let Some((_, length)) = decode(&bytes[end..]) {
            end += length;
            entries += 1;
        }
        if end < bytes.len() {
            tracing::warn!(path = %path.display(), cut = bytes.len() - end, "torn tail of the spill file cut");
            file.set_len(end as u64).map_err(failed("cut"))?;
        }
        if entries > 0 {
            tracing::info!(path = %path.display(), entries, "entries of an earlier life are still to be sent");
        }
        Ok(Self { file, path: path.to_owned(), bytes_max, end: end as u64, next: 0, entries })
    }

    /// Adds an entry at the end.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<Appended, SpillError> {
        let frame = encode(entry);
        if frame.len() > HEAD_BYTES + PAYLOAD_BYTES_MAX || self.end + frame.len() as u64 > self.bytes_max {
            return Ok(Appended::Full);
        }
        // A write that failed half-way lies behind `end` and is written over by the next one.
        self.file.write_all_at(&frame, self.end).map_err(|source| self.failed("write to", source))?;
        self.end += frame.len() as u64;
        self.entries += 1;
        Ok(Appended::Kept)
    }

    /// Reads the next entries, at most `max`.
    pub(crate) fn take(&mut self, max: usize, out: &mut Vec<Entry>) -> Result<(), SpillError> {
        for _ in 0..max {
            if self.entries == 0 {
                return Ok(());
            }
            let mut head = [0; HEAD_BYTES];
            self.file.read_exact_at(&mut head, self.next).map_err(|source| self.failed("read", source))?;
            let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let damaged = || SpillError::Damaged { path: self.path.clone(), offset: self.next };
            if length > PAYLOAD_BYTES_MAX {
                return Err(damaged());
            }
            let mut frame = vec![0; HEAD_BYTES + length];
            self.file.read_exact_at(&mut frame, self.next).map_err(|source| self.failed("read", source))?;
            let (entry, length) = decode(&frame).ok_or_else(damaged)?;
            out.push(entry);
            self.next += length as u64;
            self.entries -= 1;
        }
        Ok(())
    }

    /// What was taken is dealt with: once everything is, the file is emptied.
    pub(crate) fn forget_taken(&mut self) -> Result<(), SpillError> {
        if self.entries == 0 && self.end > 0 {
            self.file.set_len(0).map_err(|source| self.failed("empty", source))?;
            (self.end, self.next) = (0, 0);
        }
        Ok(())
    }

    /// Gives up what is left; returns how many entries that were.
    pub(crate) fn reset(&mut self) -> u64 {
        let lost = std::mem::take(&mut self.entries);
        if let Err(error) = self.forget_taken() {
            tracing::warn!(%error, "the damaged spill file stays");
            // It is written over from the start; its rest would only be cut as a torn tail.
            (self.end, self.next) = (0, 0);
        }
        lost
    }

    /// Entries still to be taken, and bytes of the file.
    pub(crate) fn holds(&self) -> (u64, u64) {
        (self.entries, self.end)
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> SpillError {
        SpillError::File { operation, path: self.path.clone(), source }
    }
}

fn encode(entry: &Entry) -> Vec<u8> {
    let key = entry.partition_key.as_bytes();
    let mut payload = Vec::with_capacity(FIXED_BYTES + key.len() + entry.data.len());
    payload.extend(entry.number.to_le_bytes());
    payload.extend(entry.at.0.to_le_bytes());
    payload.extend(u32::try_from(key.len()).expect("partition keys are bounded").to_le_bytes());
    payload.extend(key);
    payload.extend(&entry.data);
    let mut frame = Vec::with_capacity(HEAD_BYTES + payload.len());
    frame.extend(u32::try_from(payload.len()).expect("records are bounded").to_le_bytes());
    frame.extend(crc32c(&payload).to_le_bytes());
    frame.extend(payload);
    frame
}

/// The first entry of `bytes` and the length of its frame; `None` when it is torn or damaged.
fn decode(bytes: &[u8]) -> Option<(Entry, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let payload = rest.get(..length)?;
    if crc32c(payload) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let (number, rest) = payload.split_first_chunk::<8>()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (key_length, rest) = rest.split_first_chunk::<4>()?;
    let (key, data) = rest.split_at_checked(u32::from_le_bytes(*key_length) as usize)?;
    let entry = Entry {
        number: u64::from_le_bytes(*number),
        at: WallMs(u64::from_le_bytes(*at)),
        partition_key: str::from_utf8(key).ok()?.into(),
        data: Bytes::copy_from_slice(data),
        in_file: true,
    };
    Some((entry, HEAD_BYTES + length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(number: u64, key: &str, data: &'static [u8]) -> Entry {
        Entry {
            number,
            at: WallMs(9),
            partition_key: key.into(),
            data: Bytes::from_static(data),
            in_file: true,
        }
    }

    fn all(spill: &mut SpillFile) -> Vec<u64> {
        let mut taken = Vec::new();
        spill.take(100, &mut taken).unwrap();
        taken.into_iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn an_entry_is_these_bytes() {
        let golden = [
            &[24, 0, 0, 0, 0x72, 0xb4, 0x48, 0x12][..],
            &[5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0],
            b"kyhi",
        ]
        .concat();
        assert_eq!(encode(&entry(5, "ky", b"hi")), golden);
        assert_eq!(decode(&golden), Some((entry(5, "ky", b"hi"), golden.len())));
    }

    #[test]
    fn a_frame_that_is_cut_or_flipped_anywhere_is_no_entry() {
        let frame = encode(&entry(5, "ky", b"hi"));
        for end in 0..frame.len() {
            assert_eq!(decode(&frame[..end]), None, "cut at {end}");
        }
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn entries_come_back_in_order_and_the_file_shrinks_only_when_they_are_dealt_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/spill");
        let mut spill = SpillFile::open(&path, 1_000).unwrap();
        for number in 0..3 {
            assert_eq!(spill.append(&entry(number, "k", b"d")).unwrap(), Appended::Kept);
        }
        let mut taken = Vec::new();
        spill.take(2, &mut taken).unwrap();
        spill.forget_taken().unwrap();
        assert_eq!((taken.len(), spill.holds().0), (2, 1));
        assert_eq!(all(&mut SpillFile::open(&path, 1_000).unwrap()), [0, 1, 2], "nothing is forgotten early");
        assert_eq!(all(&mut spill), [2]);
        spill.forget_taken().unwrap();
        assert_eq!(spill.holds(), (0, 0));
        assert_eq!(all(&mut SpillFile::open(&path, 1_000).unwrap()), Vec::<u64>::new());
    }

    #[test]
    fn a_full_file_takes_no_more_and_never_passes_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spill");
        let mut spill = SpillFile::open(&path, 70).unwrap();
        let outcomes: Vec<_> = (0..3).map(|n| spill.append(&entry(n, "k", b"d")).unwrap()).collect();
        assert_eq!(outcomes, [Appended::Kept, Appended::Kept, Appended::Full]);
        assert!(fs::metadata(&path).unwrap().len() <= 70);
    }

    #[test]
    fn a_torn_tail_is_cut_and_damage_in_the_middle_is_an_error_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spill");
        let mut spill = SpillFile::open(&path, 1_000).unwrap();
        for number in 0..3 {
            let _ = spill.append(&entry(number, "k", b"d")).unwrap();
        }
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(all(&mut SpillFile::open(&path, 1_000).unwrap()), [0, 1]);

        fs::write(&path, &whole).unwrap();
        let mut spill = SpillFile::open(&path, 1_000).unwrap();
        let offset = (whole.len() / 3) as u64;
        spill.file.write_all_at(b"?", offset + 12).unwrap();
        let mut taken = Vec::new();
        let error = spill.take(10, &mut taken).unwrap_err();
        assert!(matches!(error, SpillError::Damaged { offset: at, .. } if at == offset), "{error}");
        assert_eq!((taken.len(), spill.reset(), spill.holds()), (1, 2, (0, 0)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn what_was_encoded_is_decoded(number: u64, at: u64, key in ".{0,20}", data: Vec<u8>) {
            let entry = Entry { number, at: WallMs(at), partition_key: key.into(), data: data.into(), in_file: true };
            let frame = encode(&entry);
            prop_assert_eq!(decode(&frame), Some((entry, frame.len())));
        }
    }
}
