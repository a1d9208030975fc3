//! The instrumented buffer of a consumer: a bounded queue, its policy, and the file that it spills into.
//!
//! Workers push, one flusher takes. It never grows past its capacity and its file's bound, and every entry that does
//! not reach the flusher is counted or handed back. Under `block` a push may wait for as long as the stream is down:
//! that is what it is for, and nothing in here may soften it.

pub(crate) mod spill;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use weir_core::clock::WallMs;
use weir_sync::{BoundedQueue, PushOutcome};

use self::spill::{Appended, SpillError, SpillFile};
use crate::config::{BufferConfig, BufferPolicy};

/// The spill file's name in the data folder.
const SPILL_FILE: &str = "spill";

/// One record on its way to the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its number in this life of the consumer.
    pub(crate) number: u64,
    /// When it was taken in.
    pub(crate) at: WallMs,
    /// Says which shard.
    pub(crate) partition_key: Arc<str>,
    /// The record.
    pub(crate) data: Bytes,
    /// It came out of the spill file, which still holds it.
    pub(crate) in_file: bool,
}

/// What became of a pushed entry.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an entry may have been lost"]
pub(crate) enum Pushed {
    /// It will be sent, from memory or from the file.
    Kept,
    /// It is lost.
    Dropped,
    /// It will be sent; this older one is lost.
    ReplacedOldest(Entry),
    /// The consumer stops; it is lost.
    Closed,
}

/// What the buffer holds and has done, for `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BufferNumbers {
    /// Entries in memory.
    pub(crate) entries: u64,
    /// Entries that memory holds.
    pub(crate) capacity: u64,
    /// The most that it held.
    pub(crate) high_water: u64,
    /// Entries lost.
    pub(crate) dropped: u64,
    /// Entries written aside.
    pub(crate) spilled: u64,
    /// Entries in the file now.
    pub(crate) spill_entries: u64,
    /// Bytes of the file now.
    pub(crate) spill_bytes: u64,
    /// Pushes that had to wait.
    pub(crate) blocked_pushes: u64,
    /// Pushes that wait now: workers that do nothing else.
    pub(crate) blocked_now: u64,
}

/// A consumer's buffer.
#[derive(Debug)]
pub(crate) struct Buffer {
    queue: BoundedQueue<Entry>,
    spill: Option<Mutex<SpillFile>>,
    /// Nothing new goes past what lies in the file.
    in_order: bool,
    dropped: AtomicU64,
    spilled: AtomicU64,
}

impl Buffer {
    /// An empty buffer; with `spill`, what a spill file of an earlier life holds is still to be sent. `in_order`: once
    /// entries lie in the file, new ones follow them there, so that the oldest are sent first.
    pub(crate) fn open(
        config: &BufferConfig,
        data: Option<&Path>,
        in_order: bool,
    ) -> Result<Self, SpillError> {
        let spill = match (config.policy, data) {
            (BufferPolicy::Spill, Some(folder)) => {
                Some(Mutex::new(SpillFile::open(&folder.join(SPILL_FILE), config.spill_bytes_max)?))
            }
            _ => None,
        };
        Ok(Self {
            queue: BoundedQueue::new(config.capacity, config.policy.overflow()),
            spill,
            in_order,
            dropped: AtomicU64::new(0),
            spilled: AtomicU64::new(0),
        })
    }

    /// Takes an entry in, or does what the policy says. Waits only under `block`.
    pub(crate) fn push(&self, entry: Entry) -> Pushed {
        if self.in_order && !self.queue.is_closed() && self.spill_entries() > 0 {
            return self.spill(&entry);
        }
        match self.queue.push(entry) {
            PushOutcome::Queued => Pushed::Kept,
            PushOutcome::DroppedNewest(_) => Pushed::Dropped,
            PushOutcome::DroppedOldest(oldest) => Pushed::ReplacedOldest(oldest),
            PushOutcome::Spilled(entry) => self.spill(&entry),
            PushOutcome::Closed(_) => Pushed::Closed,
        }
    }

    /// Moves up to `max` entries into `out`: those in memory, then, into the room that is left, those of the file; waits
    /// for the first. Nothing only when the buffer is closed and memory is drained. What came of the file is taken off
    /// it by [`Buffer::sent`] alone.
    pub(crate) fn take(&self, max: usize, out: &mut Vec<Entry>) {
        self.take_now(max, out);
        // A consumer that stops leaves the file to its next life.
        if out.len() < max && !self.queue.is_closed() {
            self.take_spilled(max - out.len(), out);
        }
        if out.is_empty() {
            self.queue.pop_many(max, out);
        }
    }

    /// As [`Buffer::take`], of what is in memory now, up to `max` in `out` altogether.
    pub(crate) fn take_now(&self, max: usize, out: &mut Vec<Entry>) {
        while out.len() < max {
            let Some(entry) = self.queue.try_pop() else { return };
            out.push(entry);
        }
    }

    /// Everything that was taken is in the stream: what came of the file is not needed any more.
    pub(crate) fn sent(&self) {
        if let Some(spill) = &self.spill
            && let Err(error) = spill.lock().forget_taken()
        {
            // The entries will be sent again after a restart: once too often, never lost.
            tracing::warn!(%error, "sent entries stay in the spill file");
        }
    }

    /// The consumer stops and this entry was not sent: into the file with it, or it is lost.
    pub(crate) fn set_aside(&self, entry: &Entry) -> Pushed {
        if entry.in_file { Pushed::Kept } else { self.spill(entry) }
    }

    /// Refuses pushes and wakes whoever waits.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    /// What it holds and has done.
    pub(crate) fn numbers(&self) -> BufferNumbers {
        let counters = self.queue.counters();
        let (spill_entries, spill_bytes) = self.spill.as_ref().map_or((0, 0), |spill| spill.lock().holds());
        BufferNumbers {
            entries: self.queue.len() as u64,
            capacity: self.queue.capacity() as u64,
            high_water: counters.high_water,
            dropped: counters.dropped + self.dropped.load(Ordering::Relaxed),
            spilled: self.spilled.load(Ordering::Relaxed),
            spill_entries,
            spill_bytes,
            blocked_pushes: counters.blocked_pushes,
            blocked_now: counters.blocked_now,
        }
    }

    fn spill_entries(&self) -> u64 {
        self.spill.as_ref().map_or(0, |spill| spill.lock().holds().0)
    }

    fn spill(&self, entry: &Entry) -> Pushed {
        let appended = self.spill.as_ref().map(|spill| spill.lock().append(entry));
        match appended {
            Some(Ok(Appended::Kept)) => {
                self.spilled.fetch_add(1, Ordering::Relaxed);
                return Pushed::Kept;
            }
            Some(Ok(Appended::Full)) | None => {}
            Some(Err(error)) => tracing::warn!(%error, "an entry could not be spilled and is lost"),
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        Pushed::Dropped
    }

    fn take_spilled(&self, max: usize, out: &mut Vec<Entry>) {
        let Some(spill) = &self.spill else { return };
        let mut spill = spill.lock();
        if let Err(error) = spill.take(max, out) {
            let lost = spill.reset();
            tracing::error!(%error, lost, "the spill file is damaged; its other entries are lost");
            self.dropped.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
