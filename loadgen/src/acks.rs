//! The file of acknowledged records: what the service has promised to keep, for the integrity checker.
//!
//! A Kinesis workload encodes an [`Ack`] for each record that was acknowledged, the recorder appends them, the lab
//! reads them back with [`AckReader`]. All integers are little-endian.
//!
//! Layout: 8 bytes `WEIRACK1`; u32 length of a JSON array; the array of `{"tenant", "stream"}`, in the order of their
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
//! | 32 | 8 | when the answer was read, milliseconds since the start of the run |
//! | 40 | 56 | the sequence number in decimal, padded with zero bytes |

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::payload::RecordId;

/// First bytes of the file; the digit is the layout's version.
pub const ACK_MAGIC: &[u8; 8] = b"WEIRACK1";
/// Bytes of one entry.
pub const ACK_BYTES: usize = 96;
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

/// One acknowledged record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Index into the file's targets.
    pub target: u32,
    /// The shard's number.
    pub shard: u32,
    /// The record's own id, part of its data.
    pub id: RecordId,
    /// CRC32C of its data.
    pub checksum: u32,
    /// When the answer was read, milliseconds since the start of the run.
    pub acked_ms: u64,
    /// Its sequence number, decimal.
    pub sequence_number: String,
}

impl Ack {
    /// Appends the entry to `out`. False, and nothing appended, when the sequence number does not fit.
    pub fn encode(&self, out: &mut Vec<u8>) -> bool {
        encode(self.target, self.shard, self.id, self.checksum, self.acked_ms, &self.sequence_number, out)
    }
}

/// As [`Ack::encode`], from borrowed parts: no allocation per record.
pub(crate) fn encode(
    target: u32,
    shard: u32,
    id: RecordId,
    checksum: u32,
    acked_ms: u64,
    sequence_number: &str,
    out: &mut Vec<u8>,
) -> bool {
    let digits = sequence_number.as_bytes();
    if digits.is_empty() || digits.len() > SEQUENCE_DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let start = out.len();
    out.extend(target.to_le_bytes());
    out.extend(shard.to_le_bytes());
    out.extend(id.run.to_le_bytes());
    out.extend(id.number.to_le_bytes());
    out.extend(checksum.to_le_bytes());
    out.extend([digits.len() as u8, 0, 0, 0]);
    out.extend(acked_ms.to_le_bytes());
    out.extend(digits);
    out.resize(start + ACK_BYTES, 0);
    true
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
        Ok(Self { path: path.to_owned(), file, targets, entries: 0 })
    }

    /// The streams that entries point to.
    pub fn targets(&self) -> &[AckTarget] {
        &self.targets
    }

    /// The next entry; `None` at the end. A file that was cut (its writer was killed) ends with an error: what is
    /// missing was acknowledged and would not be checked.
    pub fn read(&mut self) -> Result<Option<Ack>, AckReadError> {
        let mut entry = [0; ACK_BYTES];
        let mut filled = 0;
        while filled < ACK_BYTES {
            match self.file.read(&mut entry[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.content("the last entry is cut")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(AckReadError::File { operation: "read", path: self.path.clone(), source });
                }
            }
        }
        let ack = decode(&entry).ok_or_else(|| self.content("malformed"))?;
        if ack.target as usize >= self.targets.len() {
            return Err(self.content("points to no target"));
        }
        self.entries += 1;
        Ok(Some(ack))
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

fn decode(entry: &[u8; ACK_BYTES]) -> Option<Ack> {
    let u32_at = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().expect("four bytes"));
    let u64_at = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().expect("eight bytes"));
    let digits = usize::from(entry[28]);
    let number = entry[40..].get(..digits)?;
    let padding = &entry[40 + digits..];
    if digits == 0 || !number.iter().all(u8::is_ascii_digit) || padding.iter().any(|&byte| byte != 0) {
        return None;
    }
    Some(Ack {
        target: u32_at(0),
        shard: u32_at(4),
        id: RecordId { run: u64_at(8), number: u64_at(16) },
        checksum: u32_at(24),
        acked_ms: u64_at(32),
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
            acked_ms: 1_234,
            sequence_number: "49543463076548007577105092703039560359975228518395012686".into(),
        }
    }

    fn write(acks: &[Ack], cut: usize) -> (tempfile::TempDir, PathBuf) {
        let mut bytes = header(&[AckTarget { tenant: "t".into(), stream: "s".into() }]);
        for ack in acks {
            assert!(ack.encode(&mut bytes));
        }
        bytes.truncate(bytes.len() - cut);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn an_entry_is_these_bytes() {
        let mut bytes = Vec::new();
        assert!(Ack { sequence_number: "42".into(), ..ack() }.encode(&mut bytes));
        let mut golden = vec![0, 0, 0, 0, 5, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
        golden.extend([0xef, 0xbe, 0xad, 0xde, 2, 0, 0, 0, 0xd2, 4, 0, 0, 0, 0, 0, 0, b'4', b'2']);
        golden.resize(ACK_BYTES, 0);
        assert_eq!(bytes, golden);
    }

    #[test]
    fn entries_read_back_in_order_and_a_cut_file_says_so() {
        let second = Ack { shard: 6, ..ack() };
        let (_folder, path) = write(&[ack(), second.clone()], 0);
        let mut reader = AckReader::open(&path).unwrap();
        assert_eq!(reader.targets()[0].stream, "s");
        assert_eq!(reader.read().unwrap(), Some(ack()));
        assert_eq!(reader.read().unwrap(), Some(second));
        assert_eq!(reader.read().unwrap(), None);

        for cut in 1..ACK_BYTES {
            let (_folder, path) = write(&[ack()], cut);
            assert!(AckReader::open(&path).unwrap().read().is_err(), "cut by {cut}");
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
            shard: u32, run: u64, number: u64, checksum: u32, acked_ms: u64, digits in "[0-9]{1,56}",
        ) {
            let ack = Ack { target: 0, shard, id: RecordId { run, number }, checksum, acked_ms, sequence_number: digits };
            let mut bytes = Vec::new();
            prop_assert!(ack.encode(&mut bytes));
            prop_assert_eq!(decode(&bytes.try_into().unwrap()), Some(ack));
        }

        #[test]
        fn arbitrary_entries_never_panic(bytes in prop::array::uniform32(any::<[u8; 3]>())) {
            let _ = decode(&bytes.concat().try_into().unwrap());
        }
    }
}
