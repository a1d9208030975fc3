//! The kernel's file system, to look at: whatever would change a byte or a name is refused.
//!
//! Used by who surveys a journal that may be another process's. It takes no lock and makes no file.

use std::{io, path::Path};

use super::{
    Disk, DiskFile, FolderLock,
    real::{RealDisk, RealFile},
};

/// The file system of this machine, read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOnlyDisk;

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for ReadOnlyDisk {
    fn create_folder(&self, _folder: &Path) -> io::Result<()> {
        refused()
    }

    fn lock_folder(&self, _folder: &Path) -> io::Result<Box<dyn FolderLock>> {
        refused()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(folder)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile::open_to_read(path)?))
    }

    fn lay_out(&self, _: &Path, _: u64, _: bool) -> io::Result<Box<dyn DiskFile>> {
        refused()
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        refused()
    }

    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        refused()
    }
}
