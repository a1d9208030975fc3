//! What the log asks of a disk, and nothing more: a folder of files of a fixed length, positioned reads and writes,
//! and a sync that tells the truth.
//!
//! The journal holds one [`Disk`]. [`RealDisk`] is the kernel's, [`ReadOnlyDisk`] looks at it and changes nothing,
//! [`MemoryDisk`] keeps the files in this process, and [`fault::FaultDisk`] loses, tears and refuses what it is told to. No
//! other file of this crate names `std::fs`.

pub mod fault;
mod memory;
mod read_only;
mod real;

use std::{
    fmt,
    io::{self, IoSlice},
    path::Path,
};

use nix::errno::Errno;

pub use self::{memory::MemoryDisk, read_only::ReadOnlyDisk, real::RealDisk};

/// What a kernel reads of a file at a time.
pub(crate) const PAGE_BYTES: u64 = 4096;
/// Pages that a disk may refuse of the frames that a recovery reads, each asked for by itself.
pub(crate) const REFUSED_PAGES_MAX: u32 = 1_024;

/// A place for the files of one journal.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes the folder if there is none.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// Takes the folder for this process until the lock is dropped. `WouldBlock` when another has it.
    fn lock_folder(&self, folder: &Path) -> io::Result<Box<dyn FolderLock>>;
    /// The names of the folder's files, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Opens a file that exists, to read and to write.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Makes a file that reads as `bytes` zeros and whose blocks the disk has reserved, so that there is room for whatever is
    /// written into it later. When `sync` is set it is on disk when this returns. A file of that name is replaced.
    ///
    /// A sync of what is written into a reserved block for the first time has to say that on disk, too, and takes twice as
    /// long: whoever has time writes zeros there first.
    fn lay_out(&self, path: &Path, bytes: u64, sync: bool) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name; durable after [`Self::sync_folder`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; whoever has it open keeps reading it.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes names durable: what was made, renamed and removed in the folder.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Bytes that may still be laid out.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;
}

/// One open file.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// The file's length in bytes.
    fn bytes(&self) -> io::Result<u64>;
    /// Reads at `offset`; may read less than asked for, 0 at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Reads at `offset` into the spare capacity of `buffer`, behind what is there; may read less, 0 at the end or without
    /// room. What can leave it so does not write zeros there first.
    fn read_more_at(&self, offset: u64, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let filled = buffer.len();
        buffer.resize(buffer.capacity(), 0);
        let read = self.read_at(offset, &mut buffer[filled..]);
        buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
        read
    }
    /// Writes at `offset`, the parts one after another; may write less than given.
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Puts on disk what was written. After an error nothing is known about what was written since the last success.
    fn sync_data(&self) -> io::Result<()>;
    /// Lets go of what is kept of the file beside the disk; whoever reads it reads the disk. What is not on disk yet stays.
    /// An advice: what does not keep anything has nothing to do.
    fn uncache(&self) {}
    /// Bytes that go back to the disk when this is closed, if that takes the disk's time; 0 while a name leads to the file.
    fn bytes_to_give_back(&self) -> u64 {
        0
    }
    /// Gives the disk back what lies behind `bytes` of a file that no name leads to any more. An advice, too: it goes back when
    /// the file is closed.
    fn give_back_behind(&self, _bytes: u64) {}
}

/// A folder that is taken; given back when dropped.
pub trait FolderLock: fmt::Debug + Send + Sync {}

/// Fills `buffer` from `offset`; `UnexpectedEof` when the file ends before.
pub(crate) fn read_exact_at(file: &dyn DiskFile, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(offset + done as u64, &mut buffer[done..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Bytes of a file that the disk does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Where they begin.
    pub(crate) offset: u64,
    /// How many.
    pub(crate) bytes: u64,
    /// What the disk said of the first page.
    pub(crate) errno: Errno,
    /// Each page of them was asked for by itself; else there may be some among them that read.
    pub(crate) each_asked: bool,
}

/// Fills `buffer` from `offset`, with zeros where the disk does not give a page, and names what it did not give. One page
/// that does not read costs nobody the others, as long as `pages_left` lets each be asked for by itself: a drive may try a bad
/// sector for seconds. `UnexpectedEof` when the file ends before.
pub(crate) fn salvage_at(
    file: &dyn DiskFile,
    offset: u64,
    buffer: &mut [u8],
    pages_left: &mut u32,
) -> io::Result<Vec<Unreadable>> {
    match read_exact_at(file, offset, buffer) {
        Ok(()) => return Ok(Vec::new()),
        Err(error) if media_error(&error).is_none() => return Err(error),
        Err(_) => {}
    }
    let mut found: Vec<Unreadable> = Vec::new();
    let mut done = 0;
    while done < buffer.len() {
        let (at, rest, each_asked) = (offset + done as u64, buffer.len() - done, *pages_left > 0);
        let to_page_end = usize::try_from(PAGE_BYTES - at % PAGE_BYTES).expect("a page");
        let bytes = if each_asked { to_page_end.min(rest) } else { rest };
        let page = &mut buffer[done..done + bytes];
        if let Err(error) = read_exact_at(file, at, page) {
            let Some(errno) = media_error(&error) else { return Err(error) };
            *pages_left = pages_left.saturating_sub(1);
            page.fill(0);
            let goes_on =
                |last: &&mut Unreadable| last.offset + last.bytes == at && last.each_asked == each_asked;
            match found.last_mut().filter(goes_on) {
                Some(last) => last.bytes += bytes as u64,
                None => found.push(Unreadable { offset: at, bytes: bytes as u64, errno, each_asked }),
            }
        }
        done += bytes;
    }
    Ok(found)
}

/// The error's number, if it tells of what the bytes lie on and not of the file: what a kernel and its file systems make of a sector
/// that does not read, or whose own checksum is wrong.
pub(crate) fn media_error(error: &io::Error) -> Option<Errno> {
    let errno = Errno::from_raw(error.raw_os_error()?);
    let is_media =
        matches!(errno, Errno::EIO | Errno::ENODATA | Errno::EREMOTEIO | Errno::EILSEQ | Errno::EBADMSG);
    is_media.then_some(errno)
}

/// The `bytes` from `offset` on; `UnexpectedEof` when the file ends before.
pub(crate) fn read_bytes_at(file: &dyn DiskFile, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::with_capacity(bytes);
    while buffer.len() < bytes {
        match file.read_more_at(offset + buffer.len() as u64, &mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(bytes); // there may have been room for more
    Ok(buffer)
}

/// Writes all parts one after another from `offset` on, over short writes.
pub(crate) fn write_all_at(
    file: &dyn DiskFile,
    mut offset: u64,
    mut parts: &mut [IoSlice<'_>],
) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0); // drops empty parts in front
    while !parts.is_empty() {
        match file.write_at(offset, parts) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
