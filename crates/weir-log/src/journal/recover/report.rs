//! What recovery found and did, for the log and for whoever opened the journal.
//!
//! Nothing that was cut or given up is missing here.

use std::{path::PathBuf, time::Duration};

use weir_core::id::ShardKey;

/// What an opening found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveryReport {
    /// Segments in the folder.
    pub segments: usize,
    /// Segments whose footer vouched for all or part of them.
    pub footers_read: usize,
    /// Segments that were read frame by frame, in whole or in part.
    pub segments_scanned: usize,
    /// Shards that are open.
    pub shards: usize,
    /// Records that are kept, of all shards.
    pub records: u64,
    /// What was cut off the end of the log.
    pub torn_tail: Option<TornTail>,
    /// What does not read.
    pub damage: Vec<DamageFound>,
    /// What does not read in segments that are no longer kept. No record is lost by it.
    pub damage_not_kept: Vec<DamageFound>,
    /// How long it took.
    pub took: Duration,
}

/// The remains of writes that were cut off before they were acknowledged. So does the newest one look, too, if the disk changed
/// it after a process ended without closing: nothing behind it proves that it was whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub path: PathBuf,
    /// Where the log ends now.
    pub offset: u64,
    /// Bytes that were cut.
    pub bytes: u64,
}

/// A place that does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamageFound {
    /// The file.
    pub path: PathBuf,
    /// Bytes from its start.
    pub offset: u64,
    /// What is wrong there.
    pub kind: DamageKind,
    /// The shards that stop because of it.
    pub shards: Vec<ShardKey>,
}

/// What is wrong at a damaged place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// A copy of the segment's head, or a byte beside them, is not what was written. No record is lost.
    Head,
    /// The trailer or the footer is unreadable; the segment was scanned instead. No record is lost by that.
    Footer,
    /// A frame is unreadable.
    Frame,
    /// The disk does not give what is there: a page or more, of a head or where frames are.
    Unreadable,
    /// The file is shorter than it was laid out.
    Truncated,
    /// The segment's file is gone.
    Missing,
    /// Records are missing that no unreadable frame accounts for.
    Hole,
}
