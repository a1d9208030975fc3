//! The file of acknowledged records: what the service has promised to keep, for the integrity checker.
//!
//! A Kinesis workload encodes an [`Ack`] for each record that was acknowledged, the recorder appends them and ends the
//! file, the lab reads it back with [`AckReader`]. A file that was not ended must never read as a whole one: what is
//! missing was acknowledged and would go unchecked. All integers are little-endian.
//!
//! Layout: 8 bytes `WEIRACK2`; u32 length of a JSON array; the array of `{"tenant", "stream"}`, in the order of their
//! numbers; then entries of [`ACK_BYTES`] each:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | target: index into the array |
//! | 4 | 4 | shard number |
//! | 8 | 8 | record id: run |
//! | 16 | 8 | record id: number |
//! | 24 | 4 | CRC32C of the record's data |
//! | 28 | 1 | digits of the sequence number, 1 to 56 |
//! | 29 | 3 | zero |
//! | 32 | 8 | when the request was about to be sent, milliseconds since the start of the run |
//! | 40 | 8 | when the answer was read, likewise |
//! | 48 | 56 | the sequence number in decimal, padded with zero bytes |
//!
//! and at last the end mark, as long as an entry: four bytes `ff`, four of zero, u64 number of entries, zeros.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::payload::RecordId;

/// First bytes of the file; the digit is the layout's version.
pub const ACK_MAGIC: &[u8; 8] = b"WEIRACK2";
/// Bytes of one entry, and of the end mark.
pub const ACK_BYTES: usize = 104;
/// What stands where an entry has its target: no stream has this number.
const END_TARGET: u32 = u32::MAX;
/// Digits of a Kinesis sequence number.
pub const SEQUENCE_DIGITS_MAX: usize = 56;
/// Bytes of the array of targets: 65,536 tenants with names of normal length.
const TARGETS_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// A stream that is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckTarget {
    /// Whose.
    pub tenant: String,
    /// Its name.
    pub stream: String,
}

/// One acknowledged record. The sequence number is borrowed when it is written down in passing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack<N = String> {
    /// Index into the file's targets.
    pub target: u32,
    /// The shard's number.
    pub shard: u32,
    /// The record's own id, part of its data.
    pub id: RecordId,
    /// CRC32C of its data.
    pub checksum: u32,
    /// When the request was about to be sent, milliseconds since the start of the run, rounded down.
    pub sent_ms: u64,
    /// When the answer was read, milliseconds since the start of the run, rounded down.
    pub acked_ms: u64,
    /// Its sequence number, decimal.
    pub sequence_number: N,
}

impl<N: AsRef<str>> Ack<N> {
    /// Appends the entry to `out`. False, and nothing appended, when the sequence number does not fit.
    pub fn encode(&self, out: &mut Vec<u8>) -> bool {
        let digits = self.sequence_number.as_ref().as_bytes();
        if digits.is_empty() || digits.len() > SEQUENCE_DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
            return false;
        }
        assert_ne!(self.target, END_TARGET, "targets are counted from 0 and bounded");
        let start = out.len();
        out.extend(self.target.to_le_bytes());
        out.extend(self.shard.to_le_bytes());
        out.extend(self.id.run.to_le_bytes());
        out.extend(self.id.number.to_le_bytes());
        out.extend(self.checksum.to_le_bytes());
        out.extend([digits.len() as u8, 0, 0, 0]);
        out.extend(self.sent_ms.to_le_bytes());
        out.extend(self.acked_ms.to_le_bytes());
        out.extend(digits);
        out.resize(start + ACK_BYTES, 0);
        true
    }
}

/// The bytes behind the entries.
pub fn end_mark(entries: u64) -> [u8; ACK_BYTES] {
    let mut mark = [0; ACK_BYTES];
    mark[..4].copy_from_slice(&END_TARGET.to_le_bytes());
    mark[8..16].copy_from_slice(&entries.to_le_bytes());
    mark
}

/// The bytes in front of the entries.
pub fn header(targets: &[AckTarget]) -> Vec<u8> {
    let json = serde_json::to_vec(targets).expect("strings are JSON");
    let mut bytes = ACK_MAGIC.to_vec();
    bytes.extend(u32::try_from(json.len()).expect("tenants are bounded").to_le_bytes());
    bytes.extend(json);
    bytes
}

/// A file of acknowledged records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AckReadError {
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
    /// Its content.
    #[error("{}: {detail}", .path.display())]
    Content {
        /// In which file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// Reads a file of acknowledged records from its start.
#[derive(Debug)]
pub struct AckReader {
    path: PathBuf,
    file: BufReader<File>,
    targets: Vec<AckTarget>,
    entries: u64,
    ended: bool,
}

impl AckReader {
    /// Opens the file and reads its targets.
    pub fn open(path: &Path) -> Result<Self, AckReadError> {
        let failed =
            |operation| move |source| AckReadError::File { operation, path: path.to_owned(), source };
        let content = |detail: String| AckReadError::Content { path: path.to_owned(), detail };
        let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed("open"))?);
        let mut start = [0; 12];
        file.read_exact(&mut start).map_err(failed("read"))?;
        let (magic, length) = start.split_at(8);
        if magic != ACK_MAGIC {
            return Err(content("no file of acknowledged records, or of another version".into()));
        }
        let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
        if length > TARGETS_BYTES_MAX {
            return Err(content(format!("{length} bytes of targets")));
        }
        let mut json = vec![0; length as usize];
        file.read_exact(&mut json).map_err(failed("read"))?;
        let targets = serde_json::from_slice(&json).map_err(|error| content(error.to_string()))?;
        Ok(Self { path: path.to_owned(), file, targets, entries: 0, ended: false })
    }

    /// The streams that entries point to.
    pub fn targets(&self) -> &[AckTarget] {
        &self.targets
    }

    /// The next entry; `None` behind the last one. A file that was not ended (its writer was killed, or failed) ends with
    /// an error instead.
    pub fn read(&mut self) -> Result<Option<Ack>, AckReadError> {
        if self.ended {
            return Ok(None);
        }
        let mut block = [0; ACK_BYTES];
        match self.fill(&mut block)? {
            ACK_BYTES => {}
            0 => return Err(self.content("not there, and no end mark either: more was acknowledged")),
            _ => return Err(self.content("cut")),
        }
        if let Some(entries) = end_of(&block) {
            if entries != self.entries {
                return Err(self.content(&format!("the end mark of {entries} entries")));
            }
            if self.fill(&mut [0])? > 0 {
                return Err(self.content("the file goes on behind its end mark"));
            }
            self.ended = true;
            return Ok(None);
        }
        let ack = decode(&block).ok_or_else(|| self.content("malformed"))?;
        if ack.target as usize >= self.targets.len() {
            return Err(self.content("points to no target"));
        }
        self.entries += 1;
        Ok(Some(ack))
    }

    /// Reads until `block` is full or the file is at its end; how many bytes came.
    fn fill(&mut self, block: &mut [u8]) -> Result<usize, AckReadError> {
        let mut filled = 0;
        while filled < block.len() {
            match self.file.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(AckReadError::File { operation: "read", path: self.path.clone(), source });
                }
            }
        }
        Ok(filled)
    }

    fn content(&self, problem: &str) -> AckReadError {
        AckReadError::Content {
            path: self.path.clone(),
            detail: format!("entry {}: {problem}", self.entries),
        }
    }
}

impl Iterator for AckReader {
    type Item = Result<Ack, AckReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The number of entries that an end mark tells; `None` when `block` is none.
fn end_of(block: &[u8; ACK_BYTES]) -> Option<u64> {
    let entries = u64::from_le_bytes(block[8..16].try_into().expect("eight bytes"));
    (*block == end_mark(entries)).then_some(entries)
}

fn decode(entry: &[u8; ACK_BYTES]) -> Option<Ack> {
    let u32_at = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().expect("four bytes"));
    let u64_at = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().expect("eight bytes"));
    let digits = usize::from(entry[28]);
    let number = entry[48..].get(..digits)?;
    let padding = &entry[48 + digits..];
    if digits == 0 || !number.iter().all(u8::is_ascii_digit) || padding.iter().any(|&byte| byte != 0) {
        return None;
    }
    Some(Ack {
        target: u32_at(0),
        shard: u32_at(4),
        id: RecordId { run: u64_at(8), number: u64_at(16) },
        checksum: u32_at(24),
        sent_ms: u64_at(32),
        acked_ms: u64_at(40),
        sequence_number: str::from_utf8(number).expect("digits").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ack() -> Ack {
        Ack {
            target: 0,
            shard: 5,
            id: RecordId { run: 0x0102, number: 7 },
            checksum: 0xdead_beef,
            sent_ms: 1_200,
            acked_ms: 1_234,
            sequence_number: "49543463076548007577105092703039560359975228518395012686".into(),
        }
    }

    fn entries(acks: &[Ack]) -> Vec<u8> {
        let mut bytes = header(&[AckTarget { tenant: "t".into(), stream: "s".into() }]);
        for ack in acks {
            assert!(ack.encode(&mut bytes));
        }
        bytes
    }

    /// All that a reader finds in a file of these bytes.
    fn read(bytes: &[u8]) -> Result<Vec<Ack>, AckReadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks");
        std::fs::write(&path, bytes).unwrap();
        AckReader::open(&path)?.collect()
    }

    #[test]
    fn an_entry_is_these_bytes() {
        let mut bytes = Vec::new();
        assert!(Ack { sequence_number: "42".into(), ..ack() }.encode(&mut bytes));
        let mut golden = vec![0, 0, 0, 0, 5, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
        golden.extend([0xef, 0xbe, 0xad, 0xde, 2, 0, 0, 0, 0xb0, 4, 0, 0, 0, 0, 0, 0]);
        golden.extend([0xd2, 4, 0, 0, 0, 0, 0, 0, b'4', b'2']);
        golden.resize(ACK_BYTES, 0);
        assert_eq!(bytes, golden);
        let mut golden = vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0];
        golden.resize(ACK_BYTES, 0);
        assert_eq!(end_mark(259).as_slice(), golden);
    }

    #[test]
    fn entries_read_back_in_order_and_a_cut_file_says_so() {
        let acks = [ack(), Ack { shard: 6, ..ack() }];
        let mut whole = entries(&acks);
        let first = whole.len() - 2 * ACK_BYTES;
        whole.extend(end_mark(2));
        assert_eq!(read(&whole).unwrap(), acks);
        for length in first..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn an_end_mark_tells_what_should_be_in_front_of_it_and_has_nothing_behind_it() {
        let ended =
            |count: usize, told: u64| [entries(&vec![ack(); count]), end_mark(told).to_vec()].concat();
        assert!(read(&ended(0, 0)).unwrap().is_empty());
        for wrong in [ended(1, 2), ended(2, 1), [ended(1, 1), vec![0]].concat()] {
            assert!(read(&wrong).is_err());
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_not_written() {
        let mut bytes = Vec::new();
        for number in ["", "-1", "x", "1".repeat(57).as_str()] {
            assert!(!Ack { sequence_number: number.into(), ..ack() }.encode(&mut bytes));
        }
        assert!(bytes.is_empty());
    }

    proptest! {
        #[test]
        fn every_entry_reads_back(
            shard: u32, run: u64, number: u64, checksum: u32, sent_ms: u64, acked_ms: u64, digits in "[0-9]{1,56}",
        ) {
            let id = RecordId { run, number };
            let ack = Ack { target: 0, shard, id, checksum, sent_ms, acked_ms, sequence_number: digits };
            let mut bytes = Vec::new();
            prop_assert!(ack.encode(&mut bytes));
            prop_assert_eq!(decode(&bytes.try_into().unwrap()), Some(ack));
        }

        #[test]
        fn arbitrary_entries_never_panic(bytes in prop::collection::vec(any::<u8>(), ACK_BYTES)) {
            let block = bytes.try_into().unwrap();
            let _ = (decode(&block), end_of(&block));
        }
    }
}
