//! The kernel's file system.
//!
//! Used by every server that keeps records. Segments are reserved and, when there is time, written with zeros before their
//! records come: on ext4 an `fdatasync` into written blocks needs no journal commit, which halves its time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, IoSlice},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise},
    sys::{statvfs::statvfs, uio::pwritev},
};
use rustix::buffer::spare_capacity;
use weir_core::durable;

use super::{Disk, DiskFile, FolderLock};

/// The file whose lock says that a journal is open. Its content means nothing.
const LOCK_FILE: &str = "journal.lock";
/// Zeros written at a time where blocks cannot be reserved, and synced: the dirty pages of a whole file at once would make the
/// committer's own sync wait behind them.
const LAY_OUT_CHUNK_BYTES: usize = 1 << 20;
/// Parts that one pwritev(2) takes at most (IOV_MAX of Linux).
const PARTS_MAX: usize = 1024;

/// Permission bits of segments: records are their owner's.
const FILE_MODE: u32 = 0o600;

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

#[derive(Debug)]
pub(super) struct RealFile {
    file: File,
}

impl RealFile {
    /// A file whose writes the kernel refuses.
    pub(super) fn open_to_read(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)? })
    }
}

#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl FolderLock for RealLock {}

impl Disk for RealDisk {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        durable::create_folder(folder).map_err(|error| error.source)
    }

    fn lock_folder(&self, folder: &Path) -> io::Result<Box<dyn FolderLock>> {
        let path = folder.join(LOCK_FILE);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Box::new(RealFile { file }))
    }

    fn lay_out(&self, path: &Path, bytes: u64, sync: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(FILE_MODE);
        let file = options.open(path)?;
        let length = i64::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        match fallocate(&file, FallocateFlags::empty(), 0, length) {
            Ok(()) => {}
            // Not every file system can: tmpfs of old kernels, network mounts.
            Err(Errno::EOPNOTSUPP) => write_zeros(&file, bytes, sync)?,
            Err(error) => return Err(error.into()),
        }
        if sync {
            file.sync_all()?;
        }
        Ok(Box::new(RealFile { file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        durable::sync_folder(folder).map_err(|error| error.source)
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let stats = statvfs(folder)?;
        // Some file systems have no bound, or tell none: there the attempt must show it.
        let is_told = stats.blocks() > 0;
        Ok(if is_told { stats.blocks_available().saturating_mul(stats.fragment_size()) } else { u64::MAX })
    }
}

impl DiskFile for RealFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn read_more_at(&self, offset: u64, buffer: &mut Vec<u8>) -> io::Result<usize> {
        if buffer.spare_capacity_mut().is_empty() {
            return Ok(0);
        }
        Ok(rustix::io::pread(&self.file, spare_capacity(buffer), offset)?)
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let parts = &parts[..parts.len().min(PARTS_MAX)];
        let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(pwritev(&self.file, parts, offset)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn uncache(&self) {
        let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        if let Err(error) = posix_fadvise(&self.file, 0, 0, advice) {
            tracing::debug!(%error, "the kernel keeps what it has of a segment");
        }
    }

    fn bytes_to_give_back(&self) -> u64 {
        // One that still has a name, whoever gave it one, is not cut.
        self.file.metadata().map_or(0, |file| if file.nlink() == 0 { file.len() } else { 0 })
    }

    fn give_back_behind(&self, bytes: u64) {
        if let Err(error) = self.file.set_len(bytes) {
            tracing::debug!(%error, "a removed file goes back to the disk when it is closed");
        }
    }
}

fn write_zeros(file: &File, bytes: u64, sync: bool) -> io::Result<()> {
    let zeros = vec![0; LAY_OUT_CHUNK_BYTES];
    let mut done = 0;
    while done < bytes {
        let chunk = (bytes - done).min(LAY_OUT_CHUNK_BYTES as u64);
        file.write_all_at(&zeros[..usize::try_from(chunk).expect("at most a chunk")], done)?;
        done += chunk;
        if sync {
            file.sync_data()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::disk::{read_exact_at, write_all_at};

    #[test]
    fn a_laid_out_file_has_its_length_and_takes_more_parts_than_one_call_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(RealDisk.lay_out(&path, 10, true).unwrap().bytes().unwrap(), 10);
        let file = RealDisk.lay_out(&path, 9 << 20, true).unwrap();
        assert_eq!(file.bytes().unwrap(), 9 << 20);
        let letters: Vec<[u8; 3]> = (0..3_000u32).map(|n| [n as u8, (n >> 8) as u8, 7]).collect();
        let mut parts: Vec<IoSlice<'_>> = letters.iter().map(|part| IoSlice::new(part)).collect();
        write_all_at(file.as_ref(), 100, &mut parts).unwrap();
        let mut read = vec![0; 9_000];
        read_exact_at(RealDisk.open(&path).unwrap().as_ref(), 100, &mut read).unwrap();
        assert_eq!(read, letters.concat());
    }

    #[test]
    fn what_is_uncached_is_read_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = RealDisk.lay_out(&folder.path().join("file"), 1 << 20, true).unwrap();
        write_all_at(file.as_ref(), 7, &mut [IoSlice::new(b"on disk")]).unwrap();
        file.sync_data().unwrap();
        write_all_at(file.as_ref(), 100, &mut [IoSlice::new(b"in memory")]).unwrap();
        file.uncache();
        let mut read = [0; 109];
        read_exact_at(file.as_ref(), 0, &mut read).unwrap();
        assert_eq!((&read[7..14], &read[100..]), (&b"on disk"[..], &b"in memory"[..]));
    }

    #[test]
    fn only_the_owner_reads_a_folder_and_a_segment() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("deep/log");
        RealDisk.create_folder(&made).unwrap();
        RealDisk.lay_out(&made.join("file"), 10, false).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&made), mode(made.parent().unwrap())), (0o700, 0o700));
        assert_eq!(mode(&made.join("file")), 0o600);
    }

    #[test]
    fn a_folder_is_taken_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = RealDisk.lock_folder(folder.path()).unwrap();
        let refused = RealDisk.lock_folder(folder.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        RealDisk.lock_folder(folder.path()).unwrap();
    }
}
