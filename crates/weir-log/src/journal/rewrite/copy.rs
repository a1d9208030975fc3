//! Writes what a plan says into a file of its own, a slice at a time, every frame checked on its way.
//!
//! The file has a spare's name until all of it is on disk: whatever fails or crashes before that leaves nothing but a file
//! that the next start removes. A frame is copied with the checksum that its body came with, never with one made anew.

use std::{io::IoSlice, path::PathBuf, sync::Arc};

use weir_core::checksum::crc32c;

use super::plan::{Move, Plan};
use crate::{
    disk::{DiskFile, read_exact_at, write_all_at},
    error::StorageError,
    frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind},
    journal::JournalConfig,
    segment::{Segment, layout::Spares},
};

/// Bytes of frames that are copied and synced at once, one frame however large: what a sync of records beside them, or a
/// segment that is wanted, waits for. What the file begins and ends with is written at once.
const SLICE_BYTES: usize = 256 * 1024;
/// Places that are read for one slice: a disk that has to seek for each is slow in another way.
const SLICE_READS: usize = 256;

/// A rewriting under way.
#[derive(Debug)]
pub(super) struct Copying {
    pub(super) plan: Plan,
    target: Target,
    /// Moves that are done.
    moved: usize,
    /// Bytes that are written.
    written: u64,
    synced: u64,
}

/// The new file; removed when it is dropped before it was taken.
#[derive(Debug)]
pub(super) struct Target {
    spares: Arc<Spares>,
    pub(super) path: PathBuf,
    file: Option<Box<dyn DiskFile>>,
}

/// Why it ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    /// A frame of the old files does not check, or they do not read.
    #[error("{}", .source)]
    Source { segment: Arc<Segment>, source: StorageError },
    /// The new file could not be written or synced.
    #[error(transparent)]
    Target(StorageError),
}

impl Copying {
    /// Lays the new file out and begins it.
    pub(super) fn begin(plan: Plan, spares: &Arc<Spares>) -> Result<Self, StorageError> {
        let spare = spares.lay_out_rewritten(plan.bytes)?;
        let target = Target { spares: Arc::clone(spares), path: spare.path, file: Some(spare.file) };
        let mut copying = Self { plan, target, moved: 0, written: 0, synced: 0 };
        let opening = std::mem::take(&mut copying.plan.opening);
        copying.write(&opening)?;
        Ok(copying)
    }

    /// Copies a slice; true when all of the file is on disk.
    pub(super) fn step(&mut self, config: &JournalConfig) -> Result<bool, CopyError> {
        let rest = &self.plan.moves[self.moved..];
        if rest.is_empty() {
            let closing = std::mem::take(&mut self.plan.closing);
            self.write(&closing).map_err(CopyError::Target)?;
            assert_eq!(self.written, self.plan.bytes, "the file is as long as was planned");
            self.sync(config).map_err(CopyError::Target)?;
            return Ok(true);
        }
        let slice = &rest[..slice_of(rest)];
        let bytes = self.read(slice)?;
        let moved = slice.len();
        self.write(&bytes).map_err(CopyError::Target)?;
        self.moved += moved;
        self.sync(config).map_err(CopyError::Target)?;
        Ok(false)
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The finished file, and the plan that it follows.
    pub(super) fn finish(self) -> (Plan, Target) {
        assert_eq!(self.synced, self.plan.bytes, "all of it is on disk");
        (self.plan, self.target)
    }

    /// The frames of `moves`, as they are to stand in the new file.
    fn read(&self, moves: &[Move]) -> Result<Vec<u8>, CopyError> {
        let mut bytes = vec![0; moves.iter().map(|it| it.batch.bytes as usize).sum()];
        let mut rest = &mut bytes[..];
        for neighbours in moves.chunk_by(are_neighbours) {
            let segment = &self.plan.sources[neighbours[0].source as usize];
            let failed = |source| CopyError::Source {
                segment: Arc::clone(segment),
                source: segment.error("read", source),
            };
            let (these, others) =
                rest.split_at_mut(neighbours.iter().map(|it| it.batch.bytes as usize).sum());
            read_exact_at(segment.file.as_ref(), u64::from(neighbours[0].offset), these).map_err(failed)?;
            let mut frames = &mut these[..];
            for it in neighbours {
                let (frame, behind) = frames.split_at_mut(it.batch.bytes as usize);
                if !self.carry_over(segment, it, frame) {
                    let what = format!("the frame at byte {} does not check", it.offset);
                    return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidData, what)));
                }
                frames = behind;
            }
            rest = others;
        }
        Ok(bytes)
    }

    /// Turns a frame of `segment` into one of the new file; false when it is not the one that was planned.
    fn carry_over(&self, segment: &Segment, it: &Move, frame: &mut [u8]) -> bool {
        let life = &self.plan.lives[it.life as usize];
        let Some(header) = FrameHeader::decode(frame, segment.salt, it.offset) else { return false };
        let (batch, body) = (&it.batch, &frame[FRAME_HEADER_BYTES..]);
        let is_it = header.kind == FrameKind::Append
            && (header.shard, header.opened) == (life.key, life.opened)
            && (header.first, header.count, header.arrived) == (batch.first, batch.count, batch.arrived)
            && header.frame_bytes() == frame.len()
            && header.body_crc == crc32c(body);
        // All of the file is on disk before it is found: whatever lies before this frame, too.
        let moved = FrameHeader { synced_to: batch.offset, ..header };
        frame[..FRAME_HEADER_BYTES].copy_from_slice(&moved.encode(self.plan.salt, batch.offset));
        is_it
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let file = self.target.file();
        write_all_at(file, self.written, &mut [IoSlice::new(bytes)])
            .map_err(|source| self.error("write", source))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self, config: &JournalConfig) -> Result<(), StorageError> {
        let file = self.target.file();
        if config.syncs_segments() {
            file.sync_data().map_err(|source| self.error("sync", source))?;
        }
        self.synced = self.written;
        Ok(())
    }

    fn error(&self, operation: &'static str, source: std::io::Error) -> StorageError {
        StorageError { operation, path: self.target.path.clone(), source }
    }
}

impl Target {
    fn file(&self) -> &dyn DiskFile {
        self.file.as_deref().expect("taken when all is written")
    }

    /// The file, which has another name now.
    pub(super) fn take(mut self) -> Box<dyn DiskFile> {
        self.file.take().expect("taken once")
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.spares.let_go(&self.path, file);
        }
    }
}

/// Does `right` lie behind `left`, so that one read takes both?
fn are_neighbours(left: &Move, right: &Move) -> bool {
    left.source == right.source && left.offset + left.batch.bytes == right.offset
}

/// How many of `moves` make a slice.
fn slice_of(moves: &[Move]) -> usize {
    let (mut bytes, mut reads) = (0, 0);
    let fits = moves.iter().enumerate().take_while(|(at, it)| {
        bytes += it.batch.bytes as usize;
        reads += usize::from(*at == 0 || !are_neighbours(&moves[at - 1], it));
        bytes <= SLICE_BYTES && reads <= SLICE_READS
    });
    fits.count().max(1)
}

#[cfg(test)]
mod tests {
    use weir_core::clock::WallMs;

    use super::*;
    use crate::shard_index::Indexed;

    /// So many frames of so many bytes, with a gap after each.
    fn moves(count: u32, bytes: u32, gap: u32) -> Vec<Move> {
        let batch = Indexed { offset: 0, bytes, first: 0, count: 1, arrived: WallMs(1) };
        (0..count).map(|n| Move { source: 0, offset: n * (bytes + gap), life: 0, batch }).collect()
    }

    #[test]
    fn a_slice_ends_with_its_bytes_or_its_reads_and_has_a_frame_at_least() {
        assert_eq!(slice_of(&moves(10_000, 1_024, 0)), SLICE_BYTES / 1_024);
        assert_eq!(slice_of(&moves(10_000, 1_024, 1)), SLICE_READS);
        assert_eq!(slice_of(&moves(3, 100, 1)), 3);
        assert_eq!(slice_of(&moves(2, 5 << 20, 0)), 1, "however large");
    }
}
