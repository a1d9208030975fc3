//! One file of the fault disk: what is synced, what is written, and what a power loss makes of the difference.
//!
//! Sectors are kept or lost whole, each for itself: writes between two syncs reach the disk in no order.

use weir_core::entropy::Rng;

use rand::RngExt;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

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

    pub(super) fn sync(&mut self) {
        self.synced.clone_from(&self.current);
        self.unsynced.clear();
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

    pub(super) fn after_kill(&self) -> Self {
        Self { current: self.current.clone(), synced: self.current.clone(), unsynced: Vec::new() }
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
            if coin(rng) {
                if bytes.len() < at + len {
                    bytes.resize(at + len, 0);
                }
                bytes[at..at + len].copy_from_slice(&data[done..done + len]);
            }
            done += len;
        }
    }
}

/// True half of the time.
pub(super) fn coin(rng: &mut Rng) -> bool {
    rng.random_bool(0.5)
}

/// A number from 0 to `most`.
pub(super) fn up_to(rng: &mut Rng, most: usize) -> usize {
    rng.random_range(0..=most)
}
