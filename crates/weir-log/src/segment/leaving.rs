//! Files of segments that are no longer kept, on their way back to the disk.
//!
//! A file system gives the blocks of a file back when its last name is gone and nobody has it open any more. For a whole
//! segment at once that keeps every sync beside it waiting, for tens of milliseconds where freed blocks are discarded, too; so
//! a file that lost its name comes here and is cut shorter from its end, a slice at a time. The layout thread does that among
//! its chores. A file must come here after its name: it is never read again.

use crate::{disk::DiskFile, facade::Mutex};

/// Bytes that go back to the disk at once: what a sync of records beside it waits for.
const SLICE_BYTES: u64 = 2 << 20;

/// The files, no more than were segments. Dropping it closes them.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    files: Mutex<Vec<Remains>>,
}

/// What is left of a file.
#[derive(Debug)]
struct Remains {
    file: Box<dyn DiskFile>,
    bytes: u64,
}

impl Leaving {
    /// Takes a file that no name leads to and nobody else has open.
    pub(crate) fn take(&self, file: Box<dyn DiskFile>) {
        let bytes = file.bytes_to_give_back();
        if bytes > 0 {
            self.files.lock().push(Remains { file, bytes });
        }
    }

    /// Gives a slice back; false when nothing is left.
    pub(crate) fn give_back_slice(&self) -> bool {
        let Some(mut remains) = self.files.lock().pop() else { return false };
        remains.bytes = remains.bytes.saturating_sub(SLICE_BYTES);
        remains.file.give_back_behind(remains.bytes);
        if remains.bytes > 0 {
            self.files.lock().push(remains);
        }
        true
    }

    /// Gives everything back, however long it takes: somebody waits for the room.
    pub(crate) fn give_back_all(&self) {
        let all = std::mem::take(&mut *self.files.lock());
        drop(all); // closed without the lock
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::{Disk, MemoryDisk, fault::FaultDisk};

    #[test]
    fn a_file_goes_back_a_slice_at_a_time_and_what_takes_no_time_is_closed_at_once() {
        let (leaving, disk, path) = (Leaving::default(), FaultDisk::new(1, 1 << 30), Path::new("file"));
        let file = disk.lay_out(path, 2 * SLICE_BYTES + 1, true).unwrap();
        let look = disk.open(path).unwrap();
        disk.remove(path).unwrap();
        leaving.take(file);
        let slices = [(); 3].map(|()| (leaving.give_back_slice(), look.bytes().unwrap()));
        assert_eq!(slices, [(true, SLICE_BYTES + 1), (true, 1), (true, 0)]);
        assert!(!leaving.give_back_slice());
        leaving.take(MemoryDisk::new(1 << 30).lay_out(path, SLICE_BYTES, true).unwrap());
        assert!(!leaving.give_back_slice());
    }

    #[test]
    fn everything_is_closed_for_whoever_waits_for_the_room() {
        let folder = tempfile::tempdir().unwrap();
        let (leaving, disk, path) = (Leaving::default(), crate::disk::RealDisk, folder.path().join("file"));
        let file = disk.lay_out(&path, 2 * SLICE_BYTES, true).unwrap();
        let look = disk.open(&path).unwrap();
        disk.remove(&path).unwrap();
        leaving.take(file);
        assert!(leaving.give_back_slice());
        assert_eq!(look.bytes().unwrap(), SLICE_BYTES, "the kernel's file is shorter, too");
        leaving.give_back_all();
        assert!(!leaving.give_back_slice());
    }
}
