//! What the journal counts. Plain numbers: the node exports them under its own names.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The counters, shared by the committer and by readers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) groups: Counter,
    pub(crate) groups_by_caller: Counter,
    pub(crate) groups_overlapped: Counter,
    pub(crate) appends: Counter,
    pub(crate) records: Counter,
    pub(crate) append_bytes: Counter,
    pub(crate) written_bytes: Counter,
    pub(crate) write_nanos: Counter,
    pub(crate) syncs: Counter,
    pub(crate) sync_nanos: Counter,
    pub(crate) refused_busy: Counter,
    pub(crate) failed: Counter,
    pub(crate) rolls: Counter,
    pub(crate) reads: Counter,
    pub(crate) reads_cached: Counter,
    pub(crate) read_bytes: Counter,
    pub(crate) rewritten_bytes: Counter,
    pub(crate) rewritten_segments: Counter,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    pub(crate) fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The journal's numbers at one moment. Totals count from the journal's opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalMetrics {
    /// Groups committed.
    pub groups: u64,
    /// Those among them that whoever appended committed itself.
    pub groups_by_caller: u64,
    /// Those among them that were written while the one before them was synced.
    pub groups_overlapped: u64,
    /// Batches appended.
    pub appends: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of the batches appended.
    pub append_bytes: u64,
    /// Bytes written to segments, everything included.
    pub written_bytes: u64,
    /// Time spent in writes.
    pub write_time: Duration,
    /// Syncs of segments.
    pub syncs: u64,
    /// Time spent in them.
    pub sync_time: Duration,
    /// Writes refused because the queue was full.
    pub refused_busy: u64,
    /// Writes that failed for any other reason.
    pub failed: u64,
    /// Segments begun.
    pub rolls: u64,
    /// Reads.
    pub reads: u64,
    /// Reads that needed no file.
    pub reads_cached: u64,
    /// Bytes of batches handed to readers.
    pub read_bytes: u64,
    /// Bytes written by rewriting.
    pub rewritten_bytes: u64,
    /// Segments that rewritten ones took the place of.
    pub rewritten_segments: u64,
    /// Writes that wait for the committer now.
    pub queue_items: u64,
    /// Their bytes.
    pub queue_bytes: u64,
    /// Segments that hold records or may.
    pub segments: u64,
    /// Bytes of removed segments that are not given back to the disk yet.
    pub leaving_bytes: u64,
    /// Shards that are open.
    pub shards: u64,
    /// A write or sync failed: nothing more is written.
    pub stopped: bool,
    /// There is no room for the next segment: what does not fit into this one is refused.
    pub full: bool,
}
