//! Where the floor writes: a file that was laid out first, written again and again from its begin.
//!
//! As fast as a log can be on this disk: a sync into a laid-out file needs no commit for a new size.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

use anyhow::Context;

/// Bytes of the file.
const FILE_BYTES: u64 = 512 << 20;
/// Zeros written at once while it is laid out.
const CHUNK_BYTES: usize = 1 << 20;

/// The file.
#[derive(Debug)]
pub(super) struct Store {
    file: File,
    at: u64,
}

impl Store {
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("floor.log");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.with_context(|| format!("make {}", path.display()))?;
        let zeros = vec![0; CHUNK_BYTES];
        for offset in (0..FILE_BYTES).step_by(CHUNK_BYTES) {
            file.write_all_at(&zeros, offset)?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    /// Writes and syncs.
    pub(super) fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.at + bytes.len() as u64 > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at)?;
        self.file.sync_data()?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}
