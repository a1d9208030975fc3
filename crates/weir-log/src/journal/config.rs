//! How a journal is kept: where, how safely, in files of which length.
//!
//! Made by the node from its own configuration; checked when the journal opens.

use std::{path::PathBuf, sync::Arc};

use nix::sys::sysinfo::sysinfo;
use weir_core::limits::{
    COMMIT_OVERLAP_BYTES_MIN, COMMIT_QUEUE_BYTES_MAX, COMMIT_QUEUE_ITEMS_MAX, DISK_RESERVE_BYTES,
    LOG_CACHE_BYTES_MAX, LOG_KERNEL_CACHE_PART, MEMORY_LOG_BYTES_MAX, SEGMENT_BYTES,
};

use crate::{
    disk::{Disk, MemoryDisk, RealDisk},
    error::{OpenError, StorageError},
    frame::FRAME_HEADER_BYTES,
    segment::layout::LayoutConfig,
};

/// The shortest segment: below, heads and footers would be most of it.
const SEGMENT_BYTES_MIN: u64 = 32 * 1024;
/// The longest segment: offsets have 32 bits, and recovery reads one segment as a whole.
const SEGMENT_BYTES_LIMIT: u64 = 1 << 30;
/// This part of a segment takes marks alone. Of the product's segments that is 1 MiB, in which the 10,000 shards of the
/// largest stream can be deleted.
const MARKS_PART: u64 = 64;
/// Bytes of a segment's half that heads, checksums and index entries may take.
const OVERHEAD_BYTES: u64 = 8 * 1024;

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// The record is on disk: it survives kill -9 and power loss.
    Fsync,
    /// The kernel has the record: it survives kill -9, not power loss.
    Os,
    /// This process has the record: it dies with it.
    Memory,
}

/// How a journal is kept. Every field is meant to be set; [`Self::new`] gives the product's values.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    /// The folder that the journal has for itself.
    pub folder: PathBuf,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// Bytes of a segment in a new folder; a folder that has segments keeps theirs.
    pub segment_bytes: u64,
    /// Bytes that stay free on the disk.
    pub reserve_bytes: u64,
    /// Bytes of the newest batches that are kept in memory.
    pub cache_bytes_max: usize,
    /// Bytes of the newest segments that the kernel is left to keep in its memory.
    pub kernel_cache_bytes: u64,
    /// Writes that may wait for the committer.
    pub queue_items_max: usize,
    /// Their bytes.
    pub queue_bytes_max: usize,
    /// Bytes that must wait to be written while the group before them is synced.
    pub overlap_bytes_min: usize,
    /// Write zeros into blocks that are only reserved, when there is time? Whoever counts what reaches the disk does not want
    /// that.
    pub zeros_ahead: bool,
    /// The disk.
    pub disk: Arc<dyn Disk>,
}

/// Can a segment be so long?
pub(crate) fn is_segment_length(bytes: u64) -> bool {
    (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_LIMIT).contains(&bytes)
}

impl JournalConfig {
    /// The product's values for a journal in `folder`: on this machine's disk, or in memory.
    pub fn new(folder: impl Into<PathBuf>, durability: Durability) -> Self {
        let (disk, reserve_bytes): (Arc<dyn Disk>, _) = match durability {
            Durability::Fsync | Durability::Os => (Arc::new(RealDisk), DISK_RESERVE_BYTES),
            Durability::Memory => (Arc::new(MemoryDisk::new(MEMORY_LOG_BYTES_MAX)), 0),
        };
        Self {
            folder: folder.into(),
            durability,
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes,
            cache_bytes_max: LOG_CACHE_BYTES_MAX,
            kernel_cache_bytes: memory_bytes() / LOG_KERNEL_CACHE_PART,
            queue_items_max: COMMIT_QUEUE_ITEMS_MAX,
            queue_bytes_max: COMMIT_QUEUE_BYTES_MAX,
            overlap_bytes_min: COMMIT_OVERLAP_BYTES_MIN,
            zeros_ahead: durability == Durability::Fsync,
            disk,
        }
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if !is_segment_length(self.segment_bytes) {
            return Err(OpenError::Config("a segment has between 32KiB and 1GiB"));
        }
        if self.queue_items_max == 0 || self.queue_bytes_max == 0 {
            return Err(OpenError::Config("a journal whose queue has no room takes no writes"));
        }
        Ok(())
    }

    /// Is every group synced?
    pub(crate) fn syncs(&self) -> bool {
        self.durability == Durability::Fsync
    }

    /// Are whole segments synced: their length, their head, their name? Once a segment, so that `os` never loses the
    /// order of its files in a power loss.
    pub(crate) fn syncs_segments(&self) -> bool {
        self.durability != Durability::Memory
    }

    /// How its segments are laid out.
    pub(crate) fn layout_config(&self) -> LayoutConfig {
        LayoutConfig {
            disk: Arc::clone(&self.disk),
            folder: self.folder.clone(),
            segment_bytes: self.segment_bytes,
            reserve_bytes: self.reserve_bytes,
            sync: self.syncs_segments(),
        }
    }

    /// Makes the names of the folder's files durable.
    pub(crate) fn sync_names(&self) -> Result<(), StorageError> {
        if !self.syncs_segments() {
            return Ok(());
        }
        let error = |source| StorageError { operation: "sync", path: self.folder.clone(), source };
        self.disk.sync_folder(&self.folder).map_err(error)
    }

    /// Bytes of a batch that fit into any segment: half of it, less what heads, checksums and the room for marks take. The
    /// snapshots at its start and end have a quarter each.
    pub(crate) fn body_bytes_max(&self) -> usize {
        let body = self.segment_bytes / 2 - self.segment_bytes / MARKS_PART - OVERHEAD_BYTES;
        usize::try_from(body).expect("segments are below 1 GiB")
    }

    /// Bytes at a segment's end that are left to marks: what lets go of shards and segments must find room where records find
    /// none, or a full disk would stay full.
    pub(crate) fn marks_bytes(&self) -> usize {
        usize::try_from(self.segment_bytes / MARKS_PART).expect("segments are below 1 GiB")
    }

    /// Bytes that the snapshot of all shards may have.
    pub(crate) fn snapshot_bytes_max(&self) -> usize {
        usize::try_from(self.segment_bytes / 4).expect("segments are below 1 GiB")
    }
}

/// Of the machine; without a word from the kernel none, so that little is kept.
fn memory_bytes() -> u64 {
    sysinfo().map_or(0, |machine| machine.ram_total())
}

const _: () = assert!(
    SEGMENT_BYTES / 2 - SEGMENT_BYTES / MARKS_PART - OVERHEAD_BYTES
        > weir_core::limits::FRAME_BYTES_MAX as u64,
    "whatever the wire takes, a segment takes"
);
const _: () = assert!(SEGMENT_BYTES_MIN / 2 > OVERHEAD_BYTES + SEGMENT_BYTES_MIN / MARKS_PART);
const _: () = assert!(SEGMENT_BYTES / MARKS_PART > 10_000 * FRAME_HEADER_BYTES as u64);
