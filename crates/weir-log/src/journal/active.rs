//! The segment that is being filled: how much room it has, and how it begins and ends.
//!
//! Owned by the committer. Room for the footer is kept free at all times, so that a segment can always be closed.

use std::{io::IoSlice, sync::Arc};

use weir_core::clock::WallMs;

use crate::{
    disk::write_all_at,
    error::StorageError,
    frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind},
    journal::JournalConfig,
    segment::{
        LogPlace, Segment, SegmentSequence,
        footer::{ENTRY_BYTES, Footer, RUN_BYTES, TRAILER_BYTES, Trailer, encode_trailer},
        head::{HEAD_BLOCK_BYTES, SegmentHead, salt},
        layout::Spare,
    },
    snapshot::{SNAPSHOT_FIXED_BYTES, Snapshot},
};

/// Zeros written at once into blocks that are only reserved: a millisecond of a common disk, which is what an append that
/// comes meanwhile waits.
const FILL_BYTES: u32 = 1 << 20;

/// The segment that is being filled.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    /// Everything before this offset is as durable as configured.
    pub(super) end: u32,
    /// Everything before this offset is on disk, whatever is configured: what recovery may call damage.
    pub(super) synced_end: u32,
    /// Frames have been written up to this offset.
    pub(super) written_end: u32,
    /// Frames have been laid out up to this offset.
    pub(super) staged_end: u32,
    /// The last footer ends here, if there is one.
    footed_to: Option<u32>,
    runs: usize,
    entries: usize,
    /// Blocks from here on are only reserved; none: all are written.
    reserved_from: Option<u32>,
}

/// What one more frame needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// Bytes of header and body.
    pub(super) frame_bytes: usize,
    /// Runs that it adds to the footer.
    pub(super) runs: usize,
    /// Entries that it adds to the footer.
    pub(super) entries: usize,
    /// Bytes of all shards in a snapshot, this frame's doing included.
    pub(super) shards_bytes: usize,
    /// Bytes that it leaves to those that come behind it.
    pub(super) left: usize,
}

/// What a new segment begins with.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) sequence: SegmentSequence,
    /// The folder's key.
    pub(super) key: u32,
    /// Where the frames of the segment before it end.
    pub(super) previous_end: u32,
    pub(super) now: WallMs,
    pub(super) snapshot: Snapshot,
}

impl Active {
    /// A segment as recovery found and synced it.
    pub(super) fn found(
        segment: Arc<Segment>,
        end: u32,
        footed_to: Option<u32>,
        runs: usize,
        entries: usize,
    ) -> Self {
        // Nobody remembers which blocks are only reserved, and most of them were written.
        segment.seal(footed_to.filter(|footed| *footed == end));
        Self { footed_to, runs, entries, ..Self::filled_to(segment, end) }
    }

    /// Everything before `end` is on disk, and nothing is known of what is behind it.
    fn filled_to(segment: Arc<Segment>, end: u32) -> Self {
        Self {
            segment,
            end,
            synced_end: end,
            written_end: end,
            staged_end: end,
            footed_to: None,
            runs: 0,
            entries: 0,
            reserved_from: None,
        }
    }

    /// Turns a spare into a segment: head and snapshot first, its name last, so that a segment is never without them.
    pub(super) fn begin(
        config: &JournalConfig,
        spare: Spare,
        beginning: Beginning,
    ) -> Result<Self, StorageError> {
        let Beginning { sequence, key, previous_end, now, snapshot } = beginning;
        let salt = salt(key, sequence);
        let head = SegmentHead {
            salt,
            sequence,
            segment_bytes: config.segment_bytes,
            previous_end,
            recycled: spare.recycled,
            begun: now,
            rewritten: None,
        };
        let mut body = Vec::new();
        snapshot.encode(&mut body);
        let at = LogPlace { segment: sequence, offset: HEAD_BLOCK_BYTES };
        let header = FrameHeader::of_journal(FrameKind::Snapshot, &body, 0, at);
        let block = head.encode();
        let frame = header.encode(salt, HEAD_BLOCK_BYTES);
        let path = Segment::path_in(&config.folder, sequence);
        let segment = Segment::new(sequence, salt, path, spare.file);
        let mut parts = [IoSlice::new(&block), IoSlice::new(&frame), IoSlice::new(&body)];
        write_all_at(segment.file.as_ref(), 0, &mut parts)
            .map_err(|source| segment.error("begin", source))?;
        segment.sync(config)?;
        config.disk.rename(&spare.path, &segment.path).map_err(|source| segment.error("name", source))?;
        config.sync_names()?;
        let end = HEAD_BLOCK_BYTES + u32::try_from(header.frame_bytes()).expect("a quarter of a segment");
        let reserved_from = spare.reserved_from.filter(|_| config.zeros_ahead);
        Ok(Self { reserved_from, ..Self::filled_to(Arc::new(segment), end) })
    }

    /// Are there blocks that [`Self::fill`] would write?
    pub(super) fn has_reserved(&self) -> bool {
        self.reserved_from.is_some()
    }

    /// Writes zeros into the next blocks that are only reserved, so that later syncs have less to say on disk. Nothing
    /// may be staged: zeros go behind everything that was written.
    pub(super) fn fill(&mut self, config: &JournalConfig) -> Result<(), StorageError> {
        assert_eq!(self.end, self.staged_end, "zeros must not go over what is being written");
        let Some(from) = self.reserved_from.map(|from| from.max(self.end)) else { return Ok(()) };
        let last =
            u32::try_from(config.segment_bytes - TRAILER_BYTES as u64).expect("segments are below 1 GiB");
        let bytes = FILL_BYTES.min(last.saturating_sub(from));
        let zeros = vec![0; bytes as usize];
        write_all_at(self.segment.file.as_ref(), u64::from(from), &mut [IoSlice::new(&zeros)])
            .map_err(|source| self.segment.error("fill", source))?;
        self.segment.sync(config)?;
        self.reserved_from = Some(from + bytes).filter(|from| *from < last);
        Ok(())
    }

    /// Does the frame fit, with what it leaves and room for the footer after it?
    pub(super) fn fits(&self, config: &JournalConfig, need: Need) -> bool {
        let footer = FRAME_HEADER_BYTES
            + SNAPSHOT_FIXED_BYTES
            + need.shards_bytes
            + size_of::<u32>()
            + (self.runs + need.runs) * RUN_BYTES
            + (self.entries + need.entries) * ENTRY_BYTES;
        let whole = self.staged_end as usize + need.frame_bytes + need.left + footer + TRAILER_BYTES;
        whole as u64 <= config.segment_bytes
    }

    /// Takes room for a frame that fits; returns its offset.
    pub(super) fn place(&mut self, need: Need) -> u32 {
        let offset = self.staged_end;
        self.staged_end += u32::try_from(need.frame_bytes).expect("it fits");
        self.runs += need.runs;
        self.entries += need.entries;
        offset
    }

    /// Is it time to have the next segment laid out?
    pub(super) fn is_half_full(&self, config: &JournalConfig) -> bool {
        u64::from(self.staged_end) > config.segment_bytes / 2
    }

    /// Does a footer cover everything that is in the segment?
    pub(super) fn is_footed(&self) -> bool {
        self.footed_to == Some(self.end)
    }

    /// Writes the footer after the last frame, then the trailer that tells where it is. Without room for it, which only
    /// shards that damage brought to light can have taken, the segment stays without: recovery scans it.
    pub(super) fn foot(&mut self, config: &JournalConfig, footer: &Footer) -> Result<(), StorageError> {
        assert_eq!(self.end, self.staged_end, "a footer covers durable frames only");
        if self.synced_end < self.end {
            // A footer that reaches the disk stands for its frames, so they must be there first.
            self.segment.sync(config)?;
            self.synced_end = self.end;
        }
        let body = footer.encode();
        let at = LogPlace { segment: self.segment.sequence, offset: self.end };
        let header = FrameHeader::of_journal(FrameKind::Footer, &body, self.synced_end, at);
        let frame = header.encode(self.segment.salt, self.end);
        let end = u64::from(self.end) + header.frame_bytes() as u64;
        if end > config.segment_bytes - TRAILER_BYTES as u64 {
            tracing::warn!(segment = %self.segment.path.display(), "no room for the footer");
            self.segment.seal(None);
            return Ok(());
        }
        let end = u32::try_from(end).expect("it fits the segment");
        let mut parts = [IoSlice::new(&frame), IoSlice::new(&body)];
        write_all_at(self.segment.file.as_ref(), u64::from(self.end), &mut parts)
            .map_err(|source| self.segment.error("write the footer of", source))?;
        self.point_at_footer(config, self.end)?;
        self.end = end;
        self.synced_end = end;
        self.written_end = end;
        self.staged_end = end;
        self.footed_to = Some(end);
        self.segment.seal(self.footed_to);
        Ok(())
    }

    /// Writes the trailer and syncs it, with the footer if that is new.
    pub(super) fn point_at_footer(&self, config: &JournalConfig, offset: u32) -> Result<(), StorageError> {
        let trailer = Trailer { footer_offset: offset, segments: 0 };
        let trailer = encode_trailer(self.segment.salt, trailer);
        let trailer_at = config.segment_bytes - TRAILER_BYTES as u64;
        let file = self.segment.file.as_ref();
        write_all_at(file, trailer_at, &mut [IoSlice::new(&trailer)])
            .map_err(|source| self.segment.error("write the trailer of", source))?;
        self.segment.sync(config)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nix::errno::Errno;
    use weir_core::limits::MIB;

    use super::*;
    use crate::{
        disk::{
            MemoryDisk,
            fault::{FaultDisk, Operation},
            read_exact_at,
        },
        journal::Durability,
        segment::layout::Spares,
    };

    fn begun(config: &JournalConfig, reserved_from: Option<u32>) -> Active {
        let spares = Spares::adopt(config.layout_config(), &[]);
        let spare = Spare { reserved_from, ..spares.lay_out().unwrap() };
        let sequence = SegmentSequence(1);
        let snapshot = Snapshot { first_segment: sequence, shards: Vec::new() };
        let beginning = Beginning { sequence, key: 7, previous_end: 0, now: WallMs(1), snapshot };
        Active::begin(config, spare, beginning).unwrap()
    }

    #[test]
    fn zeros_go_behind_what_was_written_and_before_the_trailer() {
        let config = JournalConfig {
            segment_bytes: 3 * MIB as u64,
            disk: Arc::new(MemoryDisk::new(1 << 30)),
            ..JournalConfig::new("data", Durability::Fsync)
        };
        let mut active = begun(&config, Some(0));
        let file = Arc::clone(&active.segment);
        let whole = |what: &str| {
            let mut bytes = vec![0; config.segment_bytes as usize];
            read_exact_at(file.file.as_ref(), 0, &mut bytes).expect(what);
            bytes
        };
        // Something in the way of every zero that would go too far, on both sides.
        let trailer_at = config.segment_bytes - TRAILER_BYTES as u64;
        write_all_at(file.file.as_ref(), trailer_at, &mut [IoSlice::new(&[9; TRAILER_BYTES])]).unwrap();
        let mut fills = 0;
        while active.has_reserved() {
            let frame = [fills + 1; 100];
            let at = u64::from(active.end);
            write_all_at(file.file.as_ref(), at, &mut [IoSlice::new(&frame)]).unwrap();
            active.end += 100;
            active.written_end = active.end;
            active.staged_end = active.end;
            let before = whole("readable");
            active.fill(&config).unwrap();
            assert_eq!(before[..active.end as usize], whole("still readable")[..active.end as usize]);
            fills += 1;
        }
        assert_eq!(fills, 3, "a mebibyte at a time, to the end");
        assert_eq!(whole("readable")[trailer_at as usize..], [9; TRAILER_BYTES]);
        active.fill(&config).unwrap();
    }

    #[test]
    fn no_footer_stands_for_frames_that_somebody_elses_failed_sync_lost() {
        let disk = FaultDisk::new(1, 1 << 30);
        let config = JournalConfig {
            segment_bytes: 64 * 1024,
            disk: Arc::new(disk.clone()),
            ..JournalConfig::new("data", Durability::Os)
        };
        let mut active = begun(&config, None);
        let frame = [1; 100];
        write_all_at(active.segment.file.as_ref(), u64::from(active.end), &mut [IoSlice::new(&frame)])
            .unwrap();
        active.end += 100;
        active.written_end = active.end;
        active.staged_end = active.end;
        disk.fail_next(Operation::Sync, Errno::EIO);
        active.segment.sync(&config).unwrap_err(); // of whoever rewrites
        let snapshot = Snapshot { first_segment: SegmentSequence(1), shards: Vec::new() };
        active.foot(&config, &Footer { snapshot, runs: Vec::new() }).unwrap_err();
        assert_eq!(active.segment.sealed(), None);
    }

    #[test]
    fn written_blocks_are_not_written_again_nor_any_where_writes_are_counted() {
        let disk = Arc::new(MemoryDisk::new(1 << 30));
        let mut config = JournalConfig { disk, ..JournalConfig::new("data", Durability::Fsync) };
        assert!(!begun(&config, None).has_reserved());
        config.zeros_ahead = false;
        assert!(!begun(&config, Some(0)).has_reserved());
    }
}
