//! One file of the fault disk: what is synced, what is written, and what a power loss makes of the difference.
//!
//! Sectors are kept, lost or torn, each for itself: writes between two syncs reach the disk in no order.

use std::ops::Range;

use rand::RngExt;
use weir_core::entropy::Rng;

/// What a disk writes at a time.
pub(super) const SECTOR_BYTES: usize = 512;
/// One sector in so many that are written while the power goes is half old and half new.
const TORN_ONE_IN: usize = 8;

/// A file's bytes, as read and as synced.
#[derive(Debug, Clone)]
pub(super) struct Content {
    current: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Writes so far; the last of them are the unsynced ones.
    writes: u64,
    /// What the medium does not give, until it is written.
    bad_sectors: Vec<Range<usize>>,
}

impl Content {
    /// A new file of zeros; its length is on disk when `synced`.
    pub(super) fn zeros(len: usize, synced: bool) -> Self {
        let synced = vec![0; if synced { len } else { 0 }];
        Self { current: vec![0; len], synced, unsynced: Vec::new(), writes: 0, bad_sectors: Vec::new() }
    }

    /// Writes so far.
    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.current
    }

    /// Writes as much as fits into the file's length.
    pub(super) fn write(&mut self, offset: usize, mut data: Vec<u8>) -> usize {
        data.truncate(self.current.len().saturating_sub(offset));
        self.current[offset..offset + data.len()].copy_from_slice(&data);
        let written = data.len();
        self.bad_sectors.retain(|range| range.start < offset || range.end > offset + written);
        self.unsynced.push((offset, data));
        self.writes += 1;
        written
    }

    /// Brings to the disk the first `writes` writes, and the length. What an earlier, failed sync lost is not among them.
    pub(super) fn sync(&mut self, writes: u64) {
        self.synced.resize(self.current.len(), 0);
        let synced_before = self.writes - self.unsynced.len() as u64;
        let count = usize::try_from(writes.saturating_sub(synced_before)).expect("they are in memory");
        for (offset, data) in self.unsynced.drain(..count) {
            self.synced[offset..offset + data.len()].copy_from_slice(&data);
        }
    }

    /// The kernel's way: each page may have reached the disk, and no later sync will try it again. Not those that were written
    /// meanwhile either: a failure is told to whoever syncs next, whichever page it was.
    pub(super) fn fail_sync(&mut self, rng: &mut Rng) {
        let unsynced = std::mem::take(&mut self.unsynced);
        keep_some(&mut self.synced, &unsynced, rng);
    }

    pub(super) fn after_power_loss(&self, rng: &mut Rng) -> Self {
        let mut bytes = self.synced.clone();
        keep_some(&mut bytes, &self.unsynced, rng);
        let bad_sectors = self.bad_sectors.clone();
        Self { current: bytes.clone(), synced: bytes, unsynced: Vec::new(), writes: 0, bad_sectors }
    }

    /// Loses what lies behind `len`, so many bytes. On disk that is done before anything else is: before the name is gone that
    /// led here, too.
    pub(super) fn cut(&mut self, len: usize) -> usize {
        let cut = self.current.len().saturating_sub(len);
        self.current.truncate(len);
        self.synced.truncate(len);
        self.unsynced.clear();
        cut
    }

    /// The medium gives these bytes no more.
    pub(super) fn add_bad_sectors(&mut self, range: Range<usize>) {
        self.bad_sectors.push(range);
    }

    /// The medium gives everything again.
    pub(super) fn heal(&mut self) {
        self.bad_sectors.clear();
    }

    /// Does the medium give all of these bytes?
    pub(super) fn is_readable(&self, asked: &Range<usize>) -> bool {
        self.bad_sectors.iter().all(|range| range.start >= asked.end || range.end <= asked.start)
    }

    pub(super) fn damage(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.current);
        self.synced.clone_from(&self.current);
        self.unsynced.clear();
    }
}

fn keep_some(bytes: &mut Vec<u8>, writes: &[(usize, Vec<u8>)], rng: &mut Rng) {
    for (offset, data) in writes {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done;
            let len = (SECTOR_BYTES - at % SECTOR_BYTES).min(data.len() - done);
            let kept = kept_of(len, rng);
            if !kept.is_empty() {
                if bytes.len() < at + kept.end {
                    bytes.resize(at + kept.end, 0);
                }
                bytes[at + kept.start..at + kept.end].copy_from_slice(&data[done..][kept]);
            }
            done += len;
        }
    }
}

/// Which of a sector's `len` new bytes reach the disk: all, none, or, when it is torn, the first or the last of them.
fn kept_of(len: usize, rng: &mut Rng) -> Range<usize> {
    if up_to(rng, TORN_ONE_IN - 1) == 0 {
        let cut = up_to(rng, len);
        return if coin(rng) { 0..cut } else { cut..len };
    }
    if coin(rng) { 0..len } else { 0..0 }
}

/// True half of the time.
pub(super) fn coin(rng: &mut Rng) -> bool {
    rng.random_bool(0.5)
}

/// A number from 0 to `most`.
pub(super) fn up_to(rng: &mut Rng, most: usize) -> usize {
    rng.random_range(0..=most)
}
