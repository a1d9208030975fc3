//! What is inside a record that the load generator writes: an id that no other record has, and a checksum.
//!
//! Kinesis workloads fill records with it; the integrity checker recognises a record by it, whatever the service says
//! about the record. Layout (24 bytes, so that the base64 of it is 32 characters of its own and can be replaced in a
//! prepared body; integers little-endian): CRC32C of everything behind it (u32), `WLR1`, the run (u64), the record's
//! number (u64); then filler.

use weir_core::checksum::crc32c;

/// Bytes of the head of a record; also the least size of one.
pub const RECORD_HEAD_BYTES: usize = 24;
/// Characters of the head in base64.
pub const RECORD_HEAD_BASE64_CHARS: usize = RECORD_HEAD_BYTES / 3 * 4;
const MAGIC: &[u8; 4] = b"WLR1";

/// A record's id, unique for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId {
    /// Which run wrote it: random.
    pub run: u64,
    /// Its number in that run: the worker in the upper 16 bits, a counter in the lower 48.
    pub number: u64,
}

/// Data that no load generator wrote, or that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Too short, or of somebody else.
    #[error("no record of the load generator")]
    Foreign,
    /// Some byte is another.
    #[error("checksum {found:#010x} in a record whose data has {computed:#010x}")]
    Checksum {
        /// What the record says.
        found: u32,
        /// What its data has.
        computed: u32,
    },
}

/// Writes the head of record `id` into `data`, whose filler is in place. Returns the CRC32C of the whole data, as the
/// file of acknowledged records has it.
///
/// # Panics
/// When `data` is shorter than [`RECORD_HEAD_BYTES`].
pub fn write_head(id: RecordId, data: &mut [u8]) -> u32 {
    data[4..8].copy_from_slice(MAGIC);
    data[8..16].copy_from_slice(&id.run.to_le_bytes());
    data[16..24].copy_from_slice(&id.number.to_le_bytes());
    let checksum = crc32c(&data[4..]);
    data[..4].copy_from_slice(&checksum.to_le_bytes());
    crc32c(data)
}

/// Whose record this is, if every byte of it is as it was written.
pub fn read(data: &[u8]) -> Result<RecordId, PayloadError> {
    if data.len() < RECORD_HEAD_BYTES || &data[4..8] != MAGIC {
        return Err(PayloadError::Foreign);
    }
    let word = |at: usize| u64::from_le_bytes(data[at..at + 8].try_into().expect("eight bytes"));
    let found = u32::from_le_bytes(data[..4].try_into().expect("four bytes"));
    let computed = crc32c(&data[4..]);
    if found != computed {
        return Err(PayloadError::Checksum { found, computed });
    }
    Ok(RecordId { run: word(8), number: word(16) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_recognised_and_any_flipped_bit_is_seen() {
        let id = RecordId { run: 77, number: 1 << 48 | 5 };
        let mut data = vec![0xa5; 100];
        let whole = write_head(id, &mut data);
        assert_eq!(whole, crc32c(&data));
        assert_eq!(read(&data), Ok(id));
        for bit in 0..data.len() * 8 {
            let mut broken = data.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&broken).is_err(), "bit {bit}");
        }
        assert_eq!(read(&data[..23]), Err(PayloadError::Foreign));
    }
}
