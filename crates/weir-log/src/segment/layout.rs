//! The thread that lays segments out ahead of need and uncaches old ones, and the spares that retention leaves behind.
//!
//! The committer asks for the next segment when the current one is half full and takes it when that is full, so that
//! laying out never stands in the way of an append. It says whether there is time to write zeros: under full load they
//! would take half of the disk's speed from the records. No room is an answer, not a state: it is tried again at the
//! next need.
//!
//! While no segment is wanted the thread does [`Chores`], a slice at a time: a segment that is wanted waits for a slice at
//! most.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use weir_core::{
    limits::SPARE_SEGMENTS_MAX,
    threads::{JoinHandle, SpawnRefused, Threads},
};

use super::Segment;
use crate::{
    disk::{Blocks, Disk, DiskFile},
    error::StorageError,
    facade::{Mutex, Receiver, Sender, bounded},
};

/// A file of a segment's length that is nobody's yet.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn DiskFile>,
    /// It held a segment before: what lies in it are not zeros.
    pub(crate) recycled: bool,
    /// How its blocks were given out; those of a segment that was filled once are written.
    pub(crate) blocks: Blocks,
}

/// How segments are laid out.
#[derive(Debug, Clone)]
pub(crate) struct LayoutConfig {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
    pub(crate) segment_bytes: u64,
    /// Bytes that stay free on the disk.
    pub(crate) reserve_bytes: u64,
    /// Put zeros on disk before a segment is used.
    pub(crate) sync: bool,
}

/// What the layout thread does while no segment is wanted.
pub(crate) trait Chores: Send + 'static {
    /// Takes up what somebody wishes.
    fn begin(&mut self);
    /// Does a slice of it, some milliseconds long; false when nothing is left of it.
    fn step(&mut self) -> bool;
}

/// What the thread is told.
#[derive(Debug)]
pub(crate) enum Request {
    /// The committer wants a segment, or will soon. When it is laid out, this one is old enough to be uncached.
    LayOut(Blocks, Option<Arc<Segment>>),
    /// There are chores.
    Begin,
    /// The committer is gone.
    Stop,
}

/// Requests that can wait: one of each kind, since whoever makes one makes no other of its kind before it is taken. Nobody
/// ever waits to make one.
pub(crate) const REQUESTS_MAX: usize = 3;

/// Spare files: made here, left by retention, found at start.
#[derive(Debug)]
pub(crate) struct Spares {
    config: LayoutConfig,
    recycled: Mutex<Vec<Spare>>,
    numbered: AtomicU64,
}

/// The committer's side of the layout thread.
#[derive(Debug)]
pub(crate) struct Layout {
    spares: Arc<Spares>,
    requests: Sender<Request>,
    results: Receiver<Result<Spare, StorageError>>,
    asked: bool,
    thread: Option<JoinHandle<()>>,
}

impl Spares {
    /// Takes over what spares the folder has: a few are kept, the rest and any half-made one removed.
    pub(crate) fn adopt(config: LayoutConfig, names: &[String]) -> Self {
        let spares = Self { config, recycled: Mutex::new(Vec::new()), numbered: AtomicU64::new(0) };
        for name in names {
            let Some(number) = number_of(name) else { continue };
            spares.numbered.fetch_max(number + 1, Ordering::Relaxed);
            let path = spares.config.folder.join(name);
            let file = spares.config.disk.open(&path);
            match file {
                Ok(file) if spares.is_whole(file.as_ref()) => {
                    spares.put(Spare { path, file, recycled: true, blocks: Blocks::Written });
                }
                Ok(_) | Err(_) => {
                    spares.remove(&path);
                }
            }
        }
        spares
    }

    /// Takes segments that are no longer kept, oldest first. The first whose name does not go is handed back with all
    /// behind it: a younger one that went before an older would be missed when the journal opens.
    #[must_use = "what did not go is tried again"]
    pub(crate) fn recycle(&self, segments: impl IntoIterator<Item = Arc<Segment>>) -> Vec<Arc<Segment>> {
        let mut segments = segments.into_iter();
        while let Some(segment) = segments.next() {
            if let Err(segment) = self.recycle_one(segment) {
                return std::iter::once(segment).chain(segments).collect();
            }
        }
        Vec::new()
    }

    /// Whoever still reads the segment keeps its bytes: then the file is removed, not used again.
    fn recycle_one(&self, segment: Arc<Segment>) -> Result<(), Arc<Segment>> {
        let segment = match Arc::try_unwrap(segment) {
            Ok(segment) => segment,
            Err(read) => return if self.remove(&read.path) { Ok(()) } else { Err(read) },
        };
        if !self.is_whole(segment.file.as_ref()) || self.recycled.lock().len() >= SPARE_SEGMENTS_MAX {
            return if self.remove(&segment.path) { Ok(()) } else { Err(Arc::new(segment)) };
        }
        let path = self.next_path();
        if let Err(error) = self.config.disk.rename(&segment.path, &path) {
            tracing::warn!(path = %segment.path.display(), %error, "segment not recycled");
            return Err(Arc::new(segment));
        }
        // Opened anew: what has the name is what will be found by it after a crash.
        match self.config.disk.open(&path) {
            Ok(file) if self.is_whole(file.as_ref()) => {
                self.put(Spare { path, file, recycled: true, blocks: Blocks::Written });
            }
            Ok(_) | Err(_) => {
                self.remove(&path);
            }
        }
        Ok(())
    }

    fn is_whole(&self, file: &dyn DiskFile) -> bool {
        file.bytes().is_ok_and(|bytes| bytes == self.config.segment_bytes)
    }

    /// A fresh file of zeros.
    pub(crate) fn lay_out(&self, blocks: Blocks) -> Result<Spare, StorageError> {
        self.lay_out_bytes(self.config.segment_bytes, blocks, self.config.reserve_bytes)
    }

    /// A fresh file of `bytes` zeros for a rewritten segment, where room for the next segment is left beside it. It is removed
    /// at the next start if it still has its spare's name then.
    pub(crate) fn lay_out_rewritten(&self, bytes: u64) -> Result<Spare, StorageError> {
        self.lay_out_bytes(bytes, Blocks::Reserved, self.config.reserve_bytes + self.config.segment_bytes)
    }

    fn lay_out_bytes(&self, bytes: u64, blocks: Blocks, left_bytes: u64) -> Result<Spare, StorageError> {
        let LayoutConfig { disk, folder, sync, .. } = &self.config;
        let path = self.next_path();
        let error =
            |operation, path: &Path, source| StorageError { operation, path: path.to_owned(), source };
        let free = disk.free_bytes(folder).map_err(|source| error("free space of", folder, source))?;
        if free < bytes + left_bytes {
            return Err(error("lay out", &path, std::io::ErrorKind::StorageFull.into()));
        }
        match disk.lay_out(&path, bytes, blocks, *sync) {
            Ok(file) => Ok(Spare { path, file, recycled: false, blocks }),
            Err(source) => {
                self.remove(&path);
                Err(error("lay out", &path, source))
            }
        }
    }

    /// Spare files that wait for their next use.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.recycled.lock().len()
    }

    fn next(&self, blocks: Blocks) -> Result<Spare, StorageError> {
        let recycled = self.recycled.lock().pop();
        recycled.map_or_else(|| self.lay_out(blocks), Ok)
    }

    fn put(&self, spare: Spare) {
        let mut recycled = self.recycled.lock();
        if recycled.len() < SPARE_SEGMENTS_MAX {
            recycled.push(spare);
        } else {
            drop(recycled);
            self.remove(&spare.path);
        }
    }

    /// Removes a file that is nobody's; true when there is no such file any more.
    pub(crate) fn remove(&self, path: &Path) -> bool {
        let removed = self.config.disk.remove(path);
        if let Err(error) = &removed {
            tracing::debug!(path = %path.display(), %error, "file not removed");
        }
        removed.is_ok()
    }

    fn next_path(&self) -> PathBuf {
        let number = self.numbered.fetch_add(1, Ordering::Relaxed);
        self.config.folder.join(format!("spare-{number:016}.log"))
    }
}

/// Is it the name of a spare?
pub(crate) fn is_spare(name: &str) -> bool {
    number_of(name).is_some()
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("spare-")?.strip_suffix(".log")?.parse().ok()
}

/// The next segment that is wanted, after whatever of the chores could be done until then; `None` when the committer is
/// gone.
fn next_request<C: Chores>(
    wanted: &Receiver<Request>,
    chores: &mut C,
) -> Option<(Blocks, Option<Arc<Segment>>)> {
    loop {
        let request = match wanted.try_recv() {
            Ok(request) => request,
            Err(_) if chores.step() => continue,
            Err(_) => wanted.recv().ok()?,
        };
        match request {
            Request::LayOut(blocks, old) => return Some((blocks, old)),
            Request::Begin => chores.begin(),
            Request::Stop => return None,
        }
    }
}

impl Layout {
    /// Starts the thread, which `chores` are given to as well; `requests` is the other end of `wanted`.
    pub(crate) fn start<C: Chores>(
        spares: Arc<Spares>,
        threads: &Threads,
        (requests, wanted): (Sender<Request>, Receiver<Request>),
        mut chores: C,
    ) -> Result<Self, SpawnRefused> {
        let (laid_out, results) = bounded(1);
        let maker = Arc::clone(&spares);
        let thread = threads.spawn("weir-layout", move || {
            while let Some((blocks, old)) = next_request(&wanted, &mut chores) {
                if laid_out.send(maker.next(blocks)).is_err() {
                    break;
                }
                if let Some(old) = old {
                    old.file.uncache();
                }
            }
            drop(wanted); // before the chores, so that whoever wishes now hears it
        })?;
        Ok(Self { spares, requests, results, asked: false, thread: Some(thread) })
    }

    /// Has the next segment laid out, if that is not under way, and after that `old` uncached.
    pub(crate) fn prepare(&mut self, blocks: Blocks, old: impl FnOnce() -> Option<Arc<Segment>>) {
        if !self.asked {
            let sent = self.requests.send(Request::LayOut(blocks, old()));
            sent.expect("the layout thread lives until it is told to stop");
            self.asked = true;
        }
    }

    /// The next segment's file; waits for it. A failure that lies in the past is not handed out: it is tried again.
    pub(crate) fn take(&mut self) -> Result<Spare, StorageError> {
        let stale = self.asked;
        match self.wait() {
            Err(_) if stale => self.wait(),
            outcome => outcome,
        }
    }

    /// The spares that this lays out from.
    pub(crate) fn spares(&self) -> &Spares {
        &self.spares
    }

    fn wait(&mut self) -> Result<Spare, StorageError> {
        self.prepare(Blocks::Reserved, || None); // somebody waits for it
        self.asked = false;
        self.results.recv().expect("the layout thread answers every request")
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // A file that was laid out and not taken is found at the next start.
        let _ = self.requests.send(Request::Stop); // or it has panicked
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the layout thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;
    use crate::{
        disk::fault::{FaultDisk, Operation},
        segment::SegmentSequence,
    };

    const BYTES: u64 = 1000;

    fn spares(disk: &FaultDisk, names: &[String]) -> Arc<Spares> {
        let config = LayoutConfig {
            disk: Arc::new(disk.clone()),
            folder: "data".into(),
            segment_bytes: BYTES,
            reserve_bytes: 100,
            sync: true,
        };
        Arc::new(Spares::adopt(config, names))
    }

    fn segment_of(spare: Spare) -> Arc<Segment> {
        let Spare { path, file, .. } = spare;
        Arc::new(Segment::new(SegmentSequence(1), 0, path, file))
    }

    /// Slices that are left to do, each told when it is done.
    struct Slices {
        left: usize,
        told: Sender<usize>,
    }

    impl Chores for Slices {
        fn begin(&mut self) {
            self.left = 3;
        }

        fn step(&mut self) -> bool {
            if self.left > 0 {
                self.left -= 1;
                self.told.send(self.left).unwrap();
            }
            self.left > 0
        }
    }

    fn start(spares: &Arc<Spares>) -> Layout {
        let (told, _) = bounded(1);
        let slices = Slices { left: 0, told };
        Layout::start(Arc::clone(spares), &Threads::new(), bounded(REQUESTS_MAX), slices).unwrap()
    }

    #[test]
    fn a_segment_that_is_wanted_waits_for_a_slice_and_not_for_all_chores() {
        let disk = FaultDisk::new(1, 10_000);
        let (told, slices) = bounded(0);
        let chores = Slices { left: 0, told };
        let (requests, wanted) = bounded(REQUESTS_MAX);
        requests.send(Request::Begin).unwrap();
        let mut layout =
            Layout::start(spares(&disk, &[]), &Threads::new(), (requests, wanted), chores).unwrap();
        assert_eq!(slices.recv().unwrap(), 2);
        layout.prepare(Blocks::Written, || None); // there before the slice that is told next has ended
        assert_eq!(slices.recv().unwrap(), 1);
        layout.take().unwrap();
        assert_eq!(slices.recv().unwrap(), 0, "and the rest is done after it");
    }

    #[test]
    fn a_dropped_segment_is_used_again_and_one_that_is_being_read_is_not() {
        let disk = FaultDisk::new(1, 10_000);
        let spares = spares(&disk, &[]);
        let mut layout = start(&spares);
        let first = segment_of(layout.take().unwrap());
        let second = segment_of(layout.take().unwrap());
        let reader = Arc::clone(&second);
        assert!(spares.recycle([first, second]).is_empty());
        assert_eq!((spares.waiting(), disk.paths().len()), (1, 1));
        assert!(reader.file.read_at(0, &mut [0; 8]).is_ok(), "the reader keeps its bytes");
        assert!(layout.take().unwrap().recycled);
        assert!(!layout.take().unwrap().recycled);
    }

    #[test]
    fn a_segment_that_does_not_go_keeps_the_younger_ones_from_going_before_it() {
        let names = |disk: &FaultDisk| disk.paths().len();
        for (operation, is_read) in [(Operation::Rename, false), (Operation::Remove, true)] {
            let disk = FaultDisk::new(1, 10_000);
            let spares = spares(&disk, &[]);
            let segments = [(); 3].map(|()| segment_of(spares.lay_out(Blocks::Written).unwrap()));
            let paths = segments.each_ref().map(|segment| segment.path.clone());
            let _reader = is_read.then(|| segments.clone());
            disk.fail_after(operation, 1, Errno::EIO);
            let left = spares.recycle(segments);
            assert!(left.iter().map(|segment| &segment.path).eq(&paths[1..]), "{left:?}");
            assert!(spares.recycle(left).is_empty(), "they go when they are tried again");
            assert_eq!(names(&disk), if is_read { 0 } else { SPARE_SEGMENTS_MAX.min(3) });
        }
    }

    #[test]
    fn no_more_spares_are_kept_than_the_bound() {
        let disk = FaultDisk::new(1, 100_000);
        let spares = spares(&disk, &[]);
        let made: Vec<_> = (0..SPARE_SEGMENTS_MAX + 2)
            .map(|_| segment_of(spares.lay_out(Blocks::Written).unwrap()))
            .collect();
        assert!(spares.recycle(made).is_empty());
        assert_eq!((spares.waiting(), disk.paths().len()), (SPARE_SEGMENTS_MAX, SPARE_SEGMENTS_MAX));
    }

    #[test]
    fn no_room_is_said_once_and_tried_again() {
        let disk = FaultDisk::new(1, BYTES + 99);
        let mut layout = start(&spares(&disk, &[]));
        layout.prepare(Blocks::Written, || None);
        let refused = layout.take().unwrap_err();
        assert_eq!(refused.source.kind(), std::io::ErrorKind::StorageFull);
        disk.set_free_bytes(BYTES + 100);
        layout.take().unwrap();
    }

    #[test]
    fn a_failure_from_before_the_need_is_tried_again_at_the_need() {
        let disk = FaultDisk::new(1, 10_000);
        let mut layout = start(&spares(&disk, &[]));
        disk.fail_next(Operation::LayOut, Errno::EIO);
        layout.prepare(Blocks::Written, || None);
        layout.take().unwrap();
    }

    #[test]
    fn spares_are_found_again_and_half_made_ones_removed() {
        let disk = FaultDisk::new(1, 10_000);
        let first = spares(&disk, &[]).lay_out(Blocks::Written).unwrap();
        disk.lay_out(Path::new("data/spare-0000000000000007.log"), 10, Blocks::Written, true).unwrap();
        let names = disk.list(Path::new("data")).unwrap();
        let again = spares(&disk, &names);
        assert_eq!((again.waiting(), disk.paths()), (1, vec![first.path]));
        assert_eq!(
            again.lay_out(Blocks::Written).unwrap().path,
            Path::new("data/spare-0000000000000008.log")
        );
    }
}
