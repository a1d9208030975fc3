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
}

impl Content {
    /// A new file of zeros; its length is on disk when `synced`.
    pub(super) fn zeros(len: usize, synced: bool) -> Self {
        Self { current: vec![0; len], synced: vec![0; if synced { len } else { 0 }], unsynced: Vec::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.current
    }

    /// Writes as much as fits into the file's length.
    pub(super) fn write(&mut self, offset: usize, mut data: Vec<u8>) -> usize {
        data.truncate(self.current.len().saturating_sub(offset));
        self.current[offset..offset + data.len()].copy_from_slice(&data);
        let written = data.len();
        self.unsynced.push((offset, data));
        written
    }

    /// Brings to the disk what was written since the last sync, and the length. What an earlier, failed one lost is not
    /// among it.
    pub(super) fn sync(&mut self) {
        self.synced.resize(self.current.len(), 0);
        for (offset, data) in std::mem::take(&mut self.unsynced) {
            self.synced[offset..offset + data.len()].copy_from_slice(&data);
        }
    }

    /// The kernel's way: each page may have reached the disk, and no later sync will try it again.
    pub(super) fn fail_sync(&mut self, rng: &mut Rng) {
        let unsynced = std::mem::take(&mut self.unsynced);
        keep_some(&mut self.synced, &unsynced, rng);
    }

    pub(super) fn after_power_loss(&self, rng: &mut Rng) -> Self {
        let mut bytes = self.synced.clone();
        keep_some(&mut bytes, &self.unsynced, rng);
        Self { current: bytes.clone(), synced: bytes, unsynced: Vec::new() }
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
