//! Files of segments that are no longer kept, on their way back to the disk.
//!
//! A file system gives the blocks of a file back when its last name is gone and nobody has it open any more. For a whole
//! segment at once that keeps every sync beside it waiting, for tens of milliseconds where freed blocks are discarded, too; so
//! a file comes here when it is on disk that its name is gone, and is cut shorter from its end, a slice at a time, as soon as
//! nobody reads it any more. The layout thread does that among its chores. It must never cut a file that has a name.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use weir_core::limits::{LEAVING_FILES_MAX, LEAVING_FILES_UNHURRIED_MAX};

use super::Segment;
use crate::{disk::DiskFile, facade::Mutex};

/// Bytes that go back to the disk at once: what a sync of records beside it waits for.
const SLICE_BYTES: u64 = 2 << 20;

/// The files, oldest first. Dropping it closes them.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    files: Mutex<VecDeque<Remains>>,
    /// What they still take, with the one that is being cut.
    bytes: AtomicU64,
}

/// What is left of a file.
#[derive(Debug)]
struct Remains {
    file: Nameless,
    bytes: u64,
}

/// A file that no name leads to.
#[derive(Debug)]
pub(crate) enum Nameless {
    /// A segment that readers may still have.
    Segment(Arc<Segment>),
    /// A file that nobody else has.
    File(Box<dyn DiskFile>),
}

impl Nameless {
    fn bytes_to_give_back(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.file.bytes_to_give_back(),
            Self::File(file) => file.bytes_to_give_back(),
        }
    }

    /// The file, once nobody else has it.
    fn as_sole_owner(&mut self) -> Option<&dyn DiskFile> {
        match self {
            Self::Segment(segment) => Arc::get_mut(segment).map(|segment| segment.file.as_ref()),
            Self::File(file) => Some(&**file),
        }
    }
}

impl Leaving {
    /// Takes files. What takes no time to close is closed here, and what comes beyond [`LEAVING_FILES_MAX`].
    pub(crate) fn take(&self, gone: impl IntoIterator<Item = Nameless>) {
        for file in gone {
            let bytes = file.bytes_to_give_back();
            let mut files = self.files.lock();
            if bytes > 0 && files.len() < LEAVING_FILES_MAX {
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                files.push_back(Remains { file, bytes });
            }
        }
    }

    /// Gives a slice of the oldest file back that nobody reads; false when there is none.
    pub(crate) fn give_back_slice(&self) -> bool {
        let mut files = self.files.lock();
        let unread = files.iter_mut().position(|remains| remains.file.as_sole_owner().is_some());
        let Some(mut remains) = unread.and_then(|at| files.remove(at)) else { return false };
        drop(files);
        let slice = remains.bytes.min(SLICE_BYTES);
        remains.bytes -= slice;
        if let Some(file) = remains.file.as_sole_owner() {
            file.give_back_behind(remains.bytes);
        }
        self.bytes.fetch_sub(slice, Ordering::Relaxed);
        if remains.bytes > 0 {
            self.files.lock().push_front(remains);
        }
        true
    }

    /// Gives the oldest file back, however long that takes: somebody waits for the room. False when there is none.
    pub(crate) fn give_back_file(&self) -> bool {
        let Some(oldest) = self.files.lock().pop_front() else { return false };
        self.bytes.fetch_sub(oldest.bytes, Ordering::Relaxed);
        true // and it is closed without the lock
    }

    /// Bytes that they still take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Are there so many that the disk should get them back faster than they come?
    pub(crate) fn are_many(&self) -> bool {
        self.files.lock().len() > LEAVING_FILES_UNHURRIED_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        disk::{Disk, MemoryDisk, RealDisk, fault::FaultDisk},
        segment::SegmentSequence,
    };

    /// A file without a name, and whoever looks at it still.
    fn nameless(disk: &dyn Disk, path: &Path, bytes: u64) -> (Box<dyn DiskFile>, Box<dyn DiskFile>) {
        let file = disk.lay_out(path, bytes, true).unwrap();
        let look = disk.open(path).unwrap();
        disk.remove(path).unwrap();
        (file, look)
    }

    #[test]
    fn a_file_goes_back_a_slice_at_a_time_and_what_takes_no_time_is_closed_at_once() {
        let (leaving, disk, path) = (Leaving::default(), FaultDisk::new(1, 1 << 30), Path::new("file"));
        let (file, look) = nameless(&disk, path, 2 * SLICE_BYTES + 1);
        leaving.take([Nameless::File(file)]);
        assert_eq!(leaving.bytes(), 2 * SLICE_BYTES + 1);
        let slices = [(); 3].map(|()| (leaving.give_back_slice(), look.bytes().unwrap(), leaving.bytes()));
        assert_eq!(slices, [(true, SLICE_BYTES + 1, SLICE_BYTES + 1), (true, 1, 1), (true, 0, 0)]);
        assert!(!leaving.give_back_slice());
        let (memory, _) = nameless(&MemoryDisk::new(1 << 30), path, SLICE_BYTES);
        leaving.take([Nameless::File(memory)]);
        assert!(!leaving.give_back_slice());
    }

    #[test]
    fn a_segment_keeps_its_bytes_as_long_as_it_is_read_and_keeps_no_other_file_waiting() {
        let (leaving, disk, path) = (Leaving::default(), FaultDisk::new(1, 1 << 30), Path::new("file"));
        let (file, _) = nameless(&disk, path, SLICE_BYTES);
        let segment = Arc::new(Segment::new(SegmentSequence(1), 0, path.to_owned(), file));
        let reader = Arc::clone(&segment);
        leaving.take([Nameless::Segment(segment)]);
        assert!(!leaving.give_back_slice());
        let (other, look) = nameless(&disk, path, SLICE_BYTES);
        leaving.take([Nameless::File(other)]);
        assert!(leaving.give_back_slice() && !leaving.give_back_slice());
        assert_eq!((look.bytes().unwrap(), reader.file.bytes().unwrap()), (0, SLICE_BYTES));
        drop(reader);
        assert!(leaving.give_back_slice() && !leaving.give_back_slice());
    }

    #[test]
    fn the_kernels_file_is_shorter_unless_it_has_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let (leaving, path) = (Leaving::default(), folder.path().join("file"));
        let (file, look) = nameless(&RealDisk, &path, 2 * SLICE_BYTES);
        leaving.take([Nameless::File(file)]);
        assert!(leaving.give_back_slice());
        assert_eq!(look.bytes().unwrap(), SLICE_BYTES);
        assert!(leaving.give_back_file() && !leaving.give_back_file());
        leaving.take([Nameless::File(RealDisk.lay_out(&path, SLICE_BYTES, true).unwrap())]);
        assert!(!leaving.give_back_slice(), "somebody gave it another name");
    }

    #[test]
    fn many_files_are_to_go_without_a_rest_and_too_many_at_once() {
        let (leaving, disk, path) = (Leaving::default(), FaultDisk::new(1, 1 << 30), Path::new("file"));
        for _ in 0..=LEAVING_FILES_UNHURRIED_MAX {
            assert!(!leaving.are_many());
            leaving.take([Nameless::File(nameless(&disk, path, 1).0)]);
        }
        assert!(leaving.are_many());
        for _ in 0..LEAVING_FILES_MAX {
            leaving.take([Nameless::File(nameless(&disk, path, 1).0)]);
        }
        let mut left = 0;
        while leaving.give_back_slice() {
            left += 1;
        }
        assert_eq!(left, LEAVING_FILES_MAX);
    }
}
