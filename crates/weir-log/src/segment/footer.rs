//! The footer of a segment: its index and every shard as it was, so that recovery need not read its records.
//!
//! Written when a segment is full and when the journal closes in order; the trailer at the end of the file tells where.
//! A footer is a frame like any other: one in the middle of a segment is skipped by a scan and costs nothing.

use bytes::{Buf, BufMut};
use weir_core::{
    checksum::crc32c,
    clock::WallMs,
    id::{ShardIndex, ShardKey, StreamId},
    sequence::RecordIndex,
};

use super::{LogPlace, Segment};
use crate::{
    disk::read_exact_at,
    error::StorageError,
    frame::{FRAME_HEADER_BYTES, FrameKind, NUMBER_MAX, u32_at},
    shard_index::{Entry, Run},
    snapshot::Snapshot,
};

/// Bytes at the end of a segment that tell where its last footer is.
pub(crate) const TRAILER_BYTES: usize = 16;
/// Bytes of a run in a footer, without its entries.
pub(crate) const RUN_BYTES: usize = 48;
/// Bytes of an entry in a footer.
pub(crate) const ENTRY_BYTES: usize = 16;
/// Behind the trailer's checksum. Persisted, never change.
const TRAILER_MAGIC: [u8; 4] = *b"FOOT";

/// A run as a footer has it. One without entries tells that a rewriting left these records out, because they were no
/// longer kept, and that no record before its end is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FooterRun {
    pub(crate) shard: ShardKey,
    pub(crate) opened: LogPlace,
    pub(crate) first: RecordIndex,
    pub(crate) end: RecordIndex,
    pub(crate) base: WallMs,
    pub(crate) entries: Vec<Entry>,
}

/// Where a footer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FooterAt {
    pub(crate) offset: u32,
    pub(crate) end: u32,
}

/// What a trailer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Where the footer's frame is.
    pub(crate) footer_offset: u32,
    /// How many segments a rewritten one stands for, as its head says; 0: it was not rewritten.
    pub(crate) segments: u32,
}

/// The body of a footer frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) snapshot: Snapshot,
    pub(crate) runs: Vec<FooterRun>,
}

impl FooterRun {
    /// `run` of a shard's life.
    pub(crate) fn new(shard: ShardKey, opened: LogPlace, run: &Run) -> Self {
        Self { shard, opened, first: run.first, end: run.end, base: run.base, entries: run.entries.clone() }
    }

    /// Can frames before `end` be these records? Whoever has a run reckons with its numbers.
    fn makes_sense(&self, end: u32) -> bool {
        let Self { first, end: records_end, base, entries, .. } = self;
        let Some(records) = records_end.checked_sub(*first) else { return false };
        let follows = |pair: &[Entry]| {
            let [one, next] = pair else { return false };
            one.first_delta < next.first_delta
                && one.arrived_delta <= next.arrived_delta
                && one.offset.checked_add(one.bytes).is_some_and(|behind| behind <= next.offset)
        };
        let is_frame = |entry: &Entry| {
            let behind = entry.offset.checked_add(entry.bytes);
            entry.bytes as usize > FRAME_HEADER_BYTES && behind.is_some_and(|behind| behind <= end)
        };
        let last_begins = entries.last().map_or(0, |last| u64::from(last.first_delta) + 1);
        *records_end <= NUMBER_MAX
            && base.0 <= NUMBER_MAX
            && (entries.is_empty() || records <= u64::from(u32::MAX))
            && last_begins <= records
            && entries.iter().all(is_frame)
            && entries.windows(2).all(follows)
    }

    /// Records that are no longer kept, nor any before them.
    pub(crate) fn expired(shard: ShardKey, opened: LogPlace, first: RecordIndex, end: RecordIndex) -> Self {
        Self { shard, opened, first, end, base: WallMs(0), entries: Vec::new() }
    }
}

impl Trailer {
    /// The trailer at `trailer_at` of `segment`, if there is one that checks.
    pub(crate) fn read(segment: &Segment, trailer_at: u64) -> Result<Option<Self>, StorageError> {
        let mut trailer = [0; TRAILER_BYTES];
        read_exact_at(segment.file.as_ref(), trailer_at, &mut trailer)
            .map_err(|source| segment.error("read the trailer of", source))?;
        Ok(decode_trailer(&trailer, segment.salt))
    }
}

impl Footer {
    /// The footer that the trailer at `trailer_at` of `segment` points at, if both check.
    pub(crate) fn read(segment: &Segment, trailer_at: u64) -> Result<Option<(Self, FooterAt)>, StorageError> {
        let Some(Trailer { footer_offset: offset, .. }) = Trailer::read(segment, trailer_at)? else {
            return Ok(None);
        };
        let frame = segment.read_frame(offset, trailer_at)?;
        let Some((header, body)) = frame.filter(|(header, _)| header.kind == FrameKind::Footer) else {
            return Ok(None);
        };
        let end = offset + u32::try_from(header.frame_bytes()).expect("before the trailer");
        Ok(Self::decode(&body, offset).map(|footer| (footer, FooterAt { offset, end })))
    }

    /// The body: the snapshot, the number of runs (4), then for each run stream (8), shard (4), number of entries (4),
    /// opened (8), first record (8), end (8), first arrival (8) and for each entry offset, bytes, record and arrival
    /// as differences from the run's (4 each).
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.snapshot.encode(&mut out);
        out.put_u32_le(u32::try_from(self.runs.len()).expect("bounded by the segment"));
        for run in &self.runs {
            out.put_u64_le(run.shard.stream.0);
            out.put_u32_le(run.shard.shard.0);
            out.put_u32_le(u32::try_from(run.entries.len()).expect("bounded by the segment"));
            out.put_u64_le(run.opened.to_bits());
            out.put_u64_le(run.first);
            out.put_u64_le(run.end);
            out.put_u64_le(run.base.0);
            for entry in &run.entries {
                out.put_u32_le(entry.offset);
                out.put_u32_le(entry.bytes);
                out.put_u32_le(entry.first_delta);
                out.put_u32_le(entry.arrived_delta);
            }
        }
        out
    }

    /// Reads the footer that lies at `offset`; `None` when it is something else, or tells of frames that cannot be there.
    pub(crate) fn decode(mut body: &[u8], offset: u32) -> Option<Self> {
        let input = &mut body;
        let snapshot = Snapshot::decode(input)?;
        let count = input.try_get_u32_le().ok()?;
        let mut runs = Vec::new();
        for _ in 0..count {
            runs.push(decode_run(input).filter(|run| run.makes_sense(offset))?);
        }
        body.is_empty().then_some(Self { snapshot, runs })
    }
}

fn decode_run(input: &mut &[u8]) -> Option<FooterRun> {
    let stream = StreamId(input.try_get_u64_le().ok()?);
    let shard = ShardIndex(input.try_get_u32_le().ok()?);
    let count = input.try_get_u32_le().ok()? as usize;
    let opened = LogPlace::from_bits(input.try_get_u64_le().ok()?);
    let first = input.try_get_u64_le().ok()?;
    let end = input.try_get_u64_le().ok()?;
    let base = WallMs(input.try_get_u64_le().ok()?);
    let (mut bytes, rest) = input.split_at_checked(count.checked_mul(ENTRY_BYTES)?)?;
    *input = rest;
    let mut entries = Vec::with_capacity(count);
    while !bytes.is_empty() {
        entries.push(Entry {
            offset: bytes.get_u32_le(),
            bytes: bytes.get_u32_le(),
            first_delta: bytes.get_u32_le(),
            arrived_delta: bytes.get_u32_le(),
        });
    }
    Some(FooterRun { shard: ShardKey { stream, shard }, opened, first, end, base, entries })
}

/// The last bytes of a segment with `salt`: CRC32C of the salt and of what follows (4), `FOOT`, the offset of the
/// footer's frame (4), the segments that a rewritten one stands for, else zero (4).
pub(crate) fn encode_trailer(salt: u32, trailer: Trailer) -> [u8; TRAILER_BYTES] {
    let mut out = [0; TRAILER_BYTES];
    out[4..8].copy_from_slice(&TRAILER_MAGIC);
    out[8..12].copy_from_slice(&trailer.footer_offset.to_le_bytes());
    out[12..].copy_from_slice(&trailer.segments.to_le_bytes());
    let crc = trailer_crc(salt, &out);
    out[..4].copy_from_slice(&crc.to_le_bytes());
    out
}

/// What the trailer says; `None` when the bytes are no trailer of a segment with `salt`.
pub(crate) fn decode_trailer(bytes: &[u8; TRAILER_BYTES], salt: u32) -> Option<Trailer> {
    let right = bytes[4..8] == TRAILER_MAGIC && u32_at(bytes, 0) == trailer_crc(salt, bytes);
    right.then(|| Trailer { footer_offset: u32_at(bytes, 8), segments: u32_at(bytes, 12) })
}

fn trailer_crc(salt: u32, trailer: &[u8; TRAILER_BYTES]) -> u32 {
    let mut covered = *trailer;
    covered[..4].copy_from_slice(&salt.to_le_bytes());
    crc32c(&covered)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::SegmentSequence;

    fn footer(entries: usize) -> Footer {
        let entry = |at: u32| Entry { offset: 1 + 70 * at, bytes: 70, first_delta: at, arrived_delta: 4 };
        let run = FooterRun {
            shard: ShardKey { stream: StreamId(5), shard: ShardIndex(6) },
            opened: LogPlace { segment: SegmentSequence(7), offset: 8 },
            first: 9,
            end: 109,
            base: WallMs(11),
            entries: (0..entries).map(|at| entry(u32::try_from(at).unwrap())).collect(),
        };
        Footer { snapshot: Snapshot { first_segment: SegmentSequence(12), shards: vec![] }, runs: vec![run] }
    }

    #[test]
    fn the_footer_is_these_bytes() {
        let mut golden = vec![2, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
        golden.extend([5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0]);
        golden.extend([9, 0, 0, 0, 0, 0, 0, 0, 109, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0]);
        golden.extend([1, 0, 0, 0, 70, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(footer(1).encode(), golden);
        assert_eq!(footer(3).encode().len() - footer(2).encode().len(), ENTRY_BYTES);
        assert_eq!(footer(0).encode().len(), 20 + RUN_BYTES);
    }

    #[test]
    fn the_trailer_is_these_bytes_and_no_others() {
        let says = Trailer { footer_offset: 0x0201, segments: 5 };
        let trailer = encode_trailer(3, says);
        assert_eq!(trailer[4..], [b'F', b'O', b'O', b'T', 1, 2, 0, 0, 5, 0, 0, 0]);
        assert_eq!(decode_trailer(&trailer, 3), Some(says));
        assert_eq!(decode_trailer(&trailer, 4), None, "a trailer of the file's earlier life");
        for bit in 0..TRAILER_BYTES * 8 {
            let mut flipped = trailer;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_trailer(&flipped, 3), None);
        }
    }

    proptest! {
        #[test]
        fn a_footer_reads_back_and_no_cut_of_it_does(entries in 0..4usize) {
            let bytes = footer(entries).encode();
            prop_assert_eq!(Footer::decode(&bytes, 4_096), Some(footer(entries)));
            for cut in 0..bytes.len() {
                prop_assert_eq!(Footer::decode(&bytes[..cut], 4_096), None);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Footer::decode(&bytes, 4_096);
        }
    }
}
