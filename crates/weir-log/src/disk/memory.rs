//! Files that live in this process and die with it.
//!
//! `--durability memory` keeps the log here: the same code writes it, nothing survives. It never holds more than its
//! bound: laying out more is refused as a full disk refuses it.

use std::{
    collections::BTreeMap,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Disk, DiskFile, FolderLock};
use crate::facade::{Mutex, RwLock};

/// Bytes of one page; a page that was never written takes no memory.
const PAGE_BYTES: usize = 64 * 1024;

/// A bounded disk in memory. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct MemoryDisk {
    files: Arc<Mutex<Files>>,
}

#[derive(Debug)]
struct Files {
    bytes_max: u64,
    by_path: BTreeMap<PathBuf, Arc<MemoryFile>>,
}

#[derive(Debug)]
struct MemoryFile {
    bytes: u64,
    pages: RwLock<Vec<Option<Box<[u8]>>>>,
}

#[derive(Debug)]
struct MemoryHandle(Arc<MemoryFile>);

#[derive(Debug)]
struct NoLock;

impl FolderLock for NoLock {}

impl MemoryDisk {
    /// An empty disk that holds files of `bytes_max` bytes in all.
    pub fn new(bytes_max: u64) -> Self {
        Self { files: Arc::new(Mutex::new(Files { bytes_max, by_path: BTreeMap::new() })) }
    }
}

impl Files {
    fn laid_out(&self) -> u64 {
        self.by_path.values().map(|file| file.bytes).sum()
    }
}

impl Disk for MemoryDisk {
    fn create_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock_folder(&self, _folder: &Path) -> io::Result<Box<dyn FolderLock>> {
        Ok(Box::new(NoLock)) // nobody else can reach this disk
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let files = self.files.lock();
        let names = files.by_path.keys().filter(|path| path.parent() == Some(folder));
        Ok(names.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.files.lock().by_path.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(MemoryHandle(file)))
    }

    fn lay_out(&self, path: &Path, bytes: u64, _sync: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut files = self.files.lock();
        if files.laid_out() + bytes > files.bytes_max {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let pages_count =
            usize::try_from(bytes.div_ceil(PAGE_BYTES as u64)).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let file = Arc::new(MemoryFile { bytes, pages: RwLock::new(vec![None; pages_count]) });
        files.by_path.insert(path.to_owned(), Arc::clone(&file));
        Ok(Box::new(MemoryHandle(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.by_path.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.by_path.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.lock().by_path.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        let files = self.files.lock();
        Ok(files.bytes_max.saturating_sub(files.laid_out()))
    }
}

impl DiskFile for MemoryHandle {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((page, from, len)) = self.0.place(offset, buffer.len()) else { return Ok(0) };
        match &self.0.pages.read()[page] {
            Some(bytes) => buffer[..len].copy_from_slice(&bytes[from..from + len]),
            None => buffer[..len].fill(0),
        }
        Ok(len)
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut pages = self.0.pages.write();
        let mut written = 0;
        for part in parts {
            let mut rest: &[u8] = part;
            while !rest.is_empty() {
                let at = offset + written as u64;
                let Some((page, from, len)) = self.0.place(at, rest.len()) else { return Ok(written) };
                let page = pages[page].get_or_insert_with(|| vec![0; PAGE_BYTES].into());
                page[from..from + len].copy_from_slice(&rest[..len]);
                rest = &rest[len..];
                written += len;
            }
        }
        Ok(written)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

impl MemoryFile {
    /// The page at `offset`, where in it, and how many of `wanted` bytes it has before it or the file ends.
    fn place(&self, offset: u64, wanted: usize) -> Option<(usize, usize, usize)> {
        let left = self.bytes.checked_sub(offset).filter(|&left| left > 0)?;
        let page = usize::try_from(offset / PAGE_BYTES as u64).ok()?;
        let from = usize::try_from(offset % PAGE_BYTES as u64).ok()?;
        let len = wanted.min(PAGE_BYTES - from).min(usize::try_from(left).unwrap_or(usize::MAX));
        Some((page, from, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{read_exact_at, write_all_at};

    #[test]
    fn what_is_written_over_page_ends_is_read_back_and_the_end_is_an_end() {
        let disk = MemoryDisk::new(1 << 20);
        let path = Path::new("folder/file");
        let file = disk.lay_out(path, 3 * PAGE_BYTES as u64, true).unwrap();
        let data: Vec<u8> = (0..PAGE_BYTES + 100).map(|n| n as u8).collect();
        let mut parts = [IoSlice::new(&data[..50]), IoSlice::new(&data[50..])];
        write_all_at(file.as_ref(), PAGE_BYTES as u64 - 20, &mut parts).unwrap();
        let mut read = vec![1; data.len() + 10];
        read_exact_at(disk.open(path).unwrap().as_ref(), PAGE_BYTES as u64 - 30, &mut read).unwrap();
        assert_eq!((&read[..10], &read[10..]), (&[0; 10][..], &data[..]));
        let mut past = [0; 8];
        assert!(read_exact_at(file.as_ref(), 3 * PAGE_BYTES as u64 - 4, &mut past).is_err());
        assert!(write_all_at(file.as_ref(), 3 * PAGE_BYTES as u64 - 4, &mut [IoSlice::new(&past)]).is_err());
    }

    #[test]
    fn more_than_the_bound_is_refused_as_a_full_disk() {
        let disk = MemoryDisk::new(100_000);
        disk.lay_out(Path::new("f/a"), 60_000, true).unwrap();
        let refused = disk.lay_out(Path::new("f/b"), 60_000, true).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.free_bytes(Path::new("f")).unwrap(), 40_000);
        disk.remove(Path::new("f/a")).unwrap();
        disk.lay_out(Path::new("f/b"), 60_000, true).unwrap();
    }
}
