//! Frames: the unit of the journal. A fixed header with a checksum of its own, then a body with another.
//!
//! The committer encodes them, readers and recovery decode them. A header that does not prove itself is no header:
//! nothing in it may be believed before its checksum is right.

use weir_core::{
    checksum::crc32c,
    clock::WallMs,
    id::{ShardIndex, ShardKey, StreamId},
    sequence::RecordIndex,
};

use crate::segment::LogPlace;

/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 64;
/// The greatest record number and time that mean anything: a snapshot has a flag in the bit above, and sums stay sums.
pub(crate) const NUMBER_MAX: u64 = u64::MAX / 2;
/// The first thing behind a header's checksum: "WEIR" in a file. Persisted, never change.
pub(crate) const MAGIC: [u8; 4] = *b"WEIR";

/// What a frame's body is. Persisted, never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// A batch of records of one shard.
    Append = 1,
    /// A shard was opened, or its owner's facts changed: [`crate::snapshot`] says how they are laid out.
    ShardOpened = 2,
    /// A shard was deleted with its records. No body.
    ShardDeleted = 3,
    /// Every shard as it was here; the first frame of a segment.
    Snapshot = 4,
    /// The index of the segment up to here, and every shard as it was here.
    Footer = 5,
    /// Segments before the one numbered `first` are no longer kept. No body.
    Retained = 6,
    /// Only in a rewritten segment: the records of a shard from `first` on were left out up to the one that the body
    /// tells (8 bytes), because neither they nor any before them are kept.
    Expired = 7,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Append,
            2 => Self::ShardOpened,
            3 => Self::ShardDeleted,
            4 => Self::Snapshot,
            5 => Self::Footer,
            6 => Self::Retained,
            7 => Self::Expired,
            _ => return None,
        })
    }
}

/// The header of a frame. On disk, little endian:
///
/// | at | bytes | what |
/// | --- | --- | --- |
/// | 0 | 4 | CRC32C of: the segment's salt (4), the frame's offset in the file (4), bytes 4 to 64 of this header |
/// | 4 | 4 | `WEIR` |
/// | 8 | 1 | kind |
/// | 9 | 3 | zero |
/// | 12 | 4 | bytes of the body |
/// | 16 | 4 | CRC32C of the body |
/// | 20 | 4 | records in the body |
/// | 24 | 8 | stream |
/// | 32 | 4 | shard |
/// | 36 | 4 | the offset in this file before which everything was on disk when this frame was written |
/// | 40 | 8 | index of the first record; the segment's number in a `Retained` |
/// | 48 | 8 | arrival time, milliseconds since 1970 |
/// | 56 | 8 | where the shard was opened: segment (upper 32 bits) and offset (lower 32) |
///
/// The salt differs from segment to segment in one 32-bit word and a CRC tells any two messages apart that differ in
/// one such word: a frame of a segment's earlier life, still in its place, never passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    pub(crate) body_bytes: u32,
    pub(crate) body_crc: u32,
    pub(crate) count: u32,
    pub(crate) shard: ShardKey,
    /// Everything before this offset was on disk when the frame was written: damage before it is no torn write.
    pub(crate) synced_to: u32,
    pub(crate) first: RecordIndex,
    pub(crate) arrived: WallMs,
    pub(crate) opened: LogPlace,
}

impl FrameHeader {
    /// A header for a frame that is about the journal and not about one shard.
    pub(crate) fn of_journal(kind: FrameKind, body: &[u8], synced_to: u32, at: LogPlace) -> Self {
        Self {
            kind,
            body_bytes: u32::try_from(body.len()).expect("a body fits into a segment"),
            body_crc: crc32c(body),
            count: 0,
            shard: ShardKey { stream: StreamId(0), shard: ShardIndex(0) },
            synced_to,
            first: 0,
            arrived: WallMs(0),
            opened: at,
        }
    }

    /// A header for a frame that tells of one life of a shard.
    pub(crate) fn of_shard(
        kind: FrameKind,
        shard: ShardKey,
        body: &[u8],
        synced_to: u32,
        opened: LogPlace,
    ) -> Self {
        Self { shard, ..Self::of_journal(kind, body, synced_to, opened) }
    }

    /// Bytes of header and body.
    pub(crate) fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.body_bytes as usize
    }

    /// The header as it stands at `offset` of a segment with `salt`.
    pub(crate) fn encode(&self, salt: u32, offset: u32) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[4..8].copy_from_slice(&MAGIC);
        out[8] = self.kind as u8;
        out[12..16].copy_from_slice(&self.body_bytes.to_le_bytes());
        out[16..20].copy_from_slice(&self.body_crc.to_le_bytes());
        out[20..24].copy_from_slice(&self.count.to_le_bytes());
        out[24..32].copy_from_slice(&self.shard.stream.0.to_le_bytes());
        out[32..36].copy_from_slice(&self.shard.shard.0.to_le_bytes());
        out[36..40].copy_from_slice(&self.synced_to.to_le_bytes());
        out[40..48].copy_from_slice(&self.first.to_le_bytes());
        out[48..56].copy_from_slice(&self.arrived.0.to_le_bytes());
        out[56..64].copy_from_slice(&self.opened.to_bits().to_le_bytes());
        let crc = header_crc(salt, offset, &out);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header at `offset` of a segment with `salt`; `None` when there is none.
    pub(crate) fn decode(bytes: &[u8], salt: u32, offset: u32) -> Option<Self> {
        let header = bytes.first_chunk::<FRAME_HEADER_BYTES>()?;
        if header[4..8] != MAGIC || u32_at(header, 0) != header_crc(salt, offset, header) {
            return None;
        }
        let decoded = Self {
            kind: FrameKind::from_byte(header[8])?,
            body_bytes: u32_at(header, 12),
            body_crc: u32_at(header, 16),
            count: u32_at(header, 20),
            shard: ShardKey { stream: StreamId(u64_at(header, 24)), shard: ShardIndex(u32_at(header, 32)) },
            synced_to: u32_at(header, 36),
            first: u64_at(header, 40),
            arrived: WallMs(u64_at(header, 48)),
            opened: LogPlace::from_bits(u64_at(header, 56)),
        };
        decoded.makes_sense().then_some(decoded)
    }

    /// Can a writer have meant it? A checksum tells that these bytes were written, not that they mean anything, and whoever has a
    /// header reckons with it.
    fn makes_sense(&self) -> bool {
        let end = self.first.checked_add(u64::from(self.count));
        let has_records = self.kind != FrameKind::Append || (1..=self.body_bytes).contains(&self.count);
        has_records && self.arrived.0 <= NUMBER_MAX && end.is_some_and(|end| end <= NUMBER_MAX)
    }

    /// Where a header could be in `bytes`, by its magic alone: candidates for [`Self::decode`].
    pub(crate) fn next_candidate(bytes: &[u8], from: usize) -> Option<usize> {
        let behind_crc = bytes.get(from.checked_add(4)?..)?;
        Some(from + memchr::memmem::find(behind_crc, &MAGIC)?)
    }
}

pub(crate) fn header_crc(salt: u32, offset: u32, header: &[u8; FRAME_HEADER_BYTES]) -> u32 {
    let mut covered = [0; FRAME_HEADER_BYTES + 4];
    covered[..4].copy_from_slice(&salt.to_le_bytes());
    covered[4..8].copy_from_slice(&offset.to_le_bytes());
    covered[8..].copy_from_slice(&header[4..]);
    crc32c(&covered)
}

/// The little-endian number at `at` of bytes that are known to be long enough.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The little-endian number at `at` of bytes that are known to be long enough.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::SegmentSequence;

    fn header() -> FrameHeader {
        FrameHeader {
            kind: FrameKind::Append,
            body_bytes: 0x0102,
            body_crc: 0xdead_beef,
            count: 3,
            shard: ShardKey { stream: StreamId(7), shard: ShardIndex(2) },
            synced_to: 4096,
            first: 41,
            arrived: WallMs(1_606_300_000_000),
            opened: LogPlace { segment: SegmentSequence(5), offset: 6 },
        }
    }

    #[test]
    fn the_header_is_these_bytes() {
        let mut golden = Vec::new();
        golden.extend(b"WEIR");
        golden.extend([1, 0, 0, 0, 0x02, 0x01, 0, 0, 0xef, 0xbe, 0xad, 0xde, 3, 0, 0, 0]);
        golden.extend([7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0x10, 0, 0, 41, 0, 0, 0, 0, 0, 0, 0]);
        golden.extend([0x00, 0xdf, 0xf0, 0xfe, 0x75, 1, 0, 0, 6, 0, 0, 0, 5, 0, 0, 0]);
        let encoded = header().encode(0x1122_3344, 4096);
        assert_eq!(&encoded[4..], golden);
        assert_eq!(u32_at(&encoded, 0), 0x1df3_780a);
    }

    #[test]
    fn a_header_is_none_under_another_salt_or_at_another_offset() {
        let encoded = header().encode(9, 4096);
        assert_eq!(FrameHeader::decode(&encoded, 9, 4096), Some(header()));
        assert_eq!(FrameHeader::decode(&encoded, 8, 4096), None);
        assert_eq!(FrameHeader::decode(&encoded, 9, 4097), None);
    }

    #[test]
    fn candidates_are_found_wherever_they_start() {
        let encoded = header().encode(0, 0);
        for before in 0..10 {
            let mut bytes = vec![b'W'; before];
            bytes.extend(encoded);
            assert_eq!(FrameHeader::next_candidate(&bytes, 0), Some(before));
            assert_eq!(FrameHeader::next_candidate(&bytes, before + 1), None);
        }
    }

    proptest! {
        #[test]
        fn every_flipped_bit_and_every_cut_is_refused(bit in 0..FRAME_HEADER_BYTES * 8, cut in 0..FRAME_HEADER_BYTES) {
            let mut encoded = header().encode(77, 123);
            prop_assert_eq!(FrameHeader::decode(&encoded[..cut], 77, 123), None);
            encoded[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(FrameHeader::decode(&encoded, 77, 123), None);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, salt: u32, offset: u32) {
            let _ = FrameHeader::decode(&bytes, salt, offset);
            let _ = FrameHeader::next_candidate(&bytes, 0);
        }
    }
}
