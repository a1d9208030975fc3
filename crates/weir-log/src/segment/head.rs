//! The head of a segment: two copies of who it is, in sectors of their own.
//!
//! Written by the committer before the segment gets its name, read by recovery. One copy is enough; when both are
//! unreadable the salt follows from any other segment's, because all salts of a folder come from one key.

use weir_core::{checksum::crc32c, clock::WallMs};

use super::SegmentSequence;
use crate::frame::{u32_at, u64_at};

/// Bytes before the first frame: one page, so that frames share none with the head.
pub(crate) const HEAD_BLOCK_BYTES: u32 = 4096;
/// Where the copies are: in different sectors, whichever size the disk's have.
const COPIES_AT: [usize; 2] = [0, 2048];
/// Bytes of one copy.
const HEAD_BYTES: usize = 64;
/// What a segment begins with, behind the checksum. The digit is the layout. Persisted, never change.
const MAGIC: [u8; 8] = *b"WEIRLOG1";

/// Who a segment is. On disk, little endian, twice in a block of zeros (at 0 and at 2048):
///
/// | at | bytes | what |
/// | --- | --- | --- |
/// | 0 | 4 | CRC32C of bytes 4 to 64 |
/// | 4 | 8 | `WEIRLOG1` |
/// | 12 | 4 | salt |
/// | 16 | 8 | number of the segment |
/// | 24 | 8 | bytes of the file |
/// | 32 | 4 | where the frames of the segment before it end; 0: there was none |
/// | 36 | 1 | 1: the file held another segment before |
/// | 37 | 3 | zero |
/// | 40 | 8 | when it was begun, milliseconds since 1970 |
/// | 48 | 4 | how many segments it stands for, itself included; 0: it was not rewritten |
/// | 52 | 4 | where its frames end, if it was rewritten; else 0 |
/// | 56 | 8 | zero |
///
/// The bytes of the file are those that the folder's segments are laid out with; a rewritten one is shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub(crate) salt: u32,
    pub(crate) sequence: SegmentSequence,
    pub(crate) segment_bytes: u64,
    pub(crate) previous_end: u32,
    pub(crate) recycled: bool,
    pub(crate) begun: WallMs,
    pub(crate) rewritten: Option<Rewritten>,
}

/// What a segment is that was rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// How many segments it stands for, one after another, itself the last.
    pub(crate) segments: u32,
    /// Where its frames end; the trailer follows, and is the file's end.
    pub(crate) frames_end: u32,
}

impl Rewritten {
    /// The first segment that `sequence`, which is this, stands for.
    pub(crate) fn covers_from(self, sequence: SegmentSequence) -> SegmentSequence {
        SegmentSequence((sequence.0 + 1).saturating_sub(u64::from(self.segments)))
    }
}

/// What is in a head block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadHead {
    /// The first copy that is readable.
    pub(crate) head: Option<SegmentHead>,
    /// The block is exactly what was written.
    pub(crate) intact: bool,
}

/// The salt of segment `sequence` in a folder with `key`: another one for every segment.
pub(crate) fn salt(key: u32, sequence: SegmentSequence) -> u32 {
    key ^ low_half(sequence)
}

/// The key of the folder whose segment `sequence` has `salt`.
pub(crate) fn key_of(salt: u32, sequence: SegmentSequence) -> u32 {
    salt ^ low_half(sequence)
}

fn low_half(sequence: SegmentSequence) -> u32 {
    u32::try_from(sequence.0 & u64::from(u32::MAX)).expect("the lower half")
}

impl SegmentHead {
    /// The whole head block.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut copy = [0; HEAD_BYTES];
        copy[4..12].copy_from_slice(&MAGIC);
        copy[12..16].copy_from_slice(&self.salt.to_le_bytes());
        copy[16..24].copy_from_slice(&self.sequence.0.to_le_bytes());
        copy[24..32].copy_from_slice(&self.segment_bytes.to_le_bytes());
        copy[32..36].copy_from_slice(&self.previous_end.to_le_bytes());
        copy[36] = u8::from(self.recycled);
        copy[40..48].copy_from_slice(&self.begun.0.to_le_bytes());
        if let Some(Rewritten { segments, frames_end }) = self.rewritten {
            copy[48..52].copy_from_slice(&segments.to_le_bytes());
            copy[52..56].copy_from_slice(&frames_end.to_le_bytes());
        }
        let crc = crc32c(&copy[4..]);
        copy[..4].copy_from_slice(&crc.to_le_bytes());
        let mut block = vec![0; HEAD_BLOCK_BYTES as usize];
        for at in COPIES_AT {
            block[at..at + HEAD_BYTES].copy_from_slice(&copy);
        }
        block
    }

    /// Reads a head block, or what there is of it.
    pub(crate) fn read(block: &[u8]) -> ReadHead {
        let head = COPIES_AT.iter().find_map(|&at| Self::decode(block.get(at..at + HEAD_BYTES)?));
        ReadHead { head, intact: head.is_some_and(|head| head.encode() == block) }
    }

    fn decode(copy: &[u8]) -> Option<Self> {
        if copy[4..12] != MAGIC || u32_at(copy, 0) != crc32c(&copy[4..]) {
            return None;
        }
        Some(Self {
            salt: u32_at(copy, 12),
            sequence: SegmentSequence(u64_at(copy, 16)),
            segment_bytes: u64_at(copy, 24),
            previous_end: u32_at(copy, 32),
            recycled: copy[36] != 0,
            begun: WallMs(u64_at(copy, 40)),
            rewritten: match u32_at(copy, 48) {
                0 => None,
                segments => Some(Rewritten { segments, frames_end: u32_at(copy, 52) }),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head() -> SegmentHead {
        SegmentHead {
            salt: 0x0403_0201,
            sequence: SegmentSequence(5),
            segment_bytes: 65_536,
            previous_end: 6,
            recycled: true,
            begun: WallMs(7),
            rewritten: None,
        }
    }

    #[test]
    fn the_head_is_these_bytes_twice() {
        let mut golden = Vec::new();
        golden.extend(b"WEIRLOG1");
        golden.extend([1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
        golden.extend([6, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        golden.extend([0; 16]);
        let block = head().encode();
        assert_eq!(block.len(), HEAD_BLOCK_BYTES as usize);
        assert_eq!((&block[4..64], &block[2052..2112]), (&golden[..], &golden[..]));
        assert_eq!(u32_at(&block, 0), crc32c(&golden));
    }

    #[test]
    fn a_rewritten_head_tells_what_it_stands_for_in_bytes_that_others_leave_zero() {
        let rewritten = Rewritten { segments: 3, frames_end: 0x0908 };
        let block = SegmentHead { rewritten: Some(rewritten), ..head() }.encode();
        assert_eq!(block[48..64], [3, 0, 0, 0, 8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(SegmentHead::read(&block).head.unwrap().rewritten, Some(rewritten));
        assert_eq!(rewritten.covers_from(SegmentSequence(5)), SegmentSequence(3));
        assert_eq!(
            Rewritten { segments: 1, ..rewritten }.covers_from(SegmentSequence(5)),
            SegmentSequence(5)
        );
    }

    #[test]
    fn the_key_follows_from_any_salt_and_no_two_segments_share_one() {
        let (one, other) = (SegmentSequence(1), SegmentSequence(2));
        assert_eq!(key_of(salt(99, one), one), 99);
        assert_ne!(salt(99, one), salt(99, other));
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_noticed_and_the_head_read_all_the_same(bit in 0..HEAD_BLOCK_BYTES as usize * 8) {
            let mut block = head().encode();
            prop_assert_eq!(SegmentHead::read(&block), ReadHead { head: Some(head()), intact: true });
            block[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(SegmentHead::read(&block), ReadHead { head: Some(head()), intact: false });
        }

        #[test]
        fn a_cut_block_is_never_intact(cut in 0..HEAD_BLOCK_BYTES as usize) {
            prop_assert!(!SegmentHead::read(&head().encode()[..cut]).intact);
        }
    }
}
