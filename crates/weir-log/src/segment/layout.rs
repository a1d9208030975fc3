//! The thread that lays segments out ahead of need and uncaches old ones, and the spares that retention leaves behind.
//!
//! The committer asks for the next segment when the current one is half full and takes it when that is full, so that
//! laying out never stands in the way of an append. It says how much time there is to write zeros: none under full load, when
//! they would take half of the disk's speed from the records. A slice of zeros is as much as a sync beside it waits for, and
//! slices are spread over that time. No room is an answer, not a state: it is tried again at the next need.
//!
//! While no segment is wanted the thread does [`Chores`], a slice at a time, with a rest between two: a segment that is wanted
//! waits for a slice at most.

use std::{
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use weir_core::{
    clock::Clock,
    limits::SPARE_SEGMENTS_MAX,
    threads::{JoinHandle, SpawnRefused, Threads},
};

use super::{
    Segment,
    leaving::{Leaving, Nameless},
};
use crate::{
    disk::{Disk, DiskFile, write_all_at},
    error::StorageError,
    facade::{Mutex, Receiver, RecvTimeoutError, Sender, bounded},
};

/// Zeros that are written and synced at once: what a sync of records beside them waits for.
const ZEROS_SLICE_BYTES: u32 = 256 * 1024;
/// With room for fewer segments than these, the disk is nearly full: one of them is laid out ahead of need, and a rewriting may
/// take another.
const SHORT_SEGMENTS: u64 = 4;

/// A file of a segment's length that is nobody's yet.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn DiskFile>,
    /// It held a segment before: what lies in it are not zeros.
    pub(crate) recycled: bool,
    /// Blocks from here on are only reserved; none: all are written, as those of a segment that was filled once.
    pub(crate) reserved_from: Option<u32>,
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
    /// Does a slice of it, some milliseconds long; how long to leave the disk to others before the next. `None`: nothing is
    /// left of it.
    fn step(&mut self) -> Option<Duration>;
}

/// What the thread is told.
#[derive(Debug)]
pub(crate) enum Request {
    /// The committer wants a segment, or will soon.
    LayOut(Order),
    /// It wants the one that is being laid out now, as it is.
    Now,
    /// There are chores.
    Begin,
    /// The committer is gone.
    Stop,
}

/// A segment that is wanted.
#[derive(Debug)]
pub(crate) struct Order {
    /// Zeros come into it over this time, if at all.
    zeros_over: Option<Duration>,
    /// When it is laid out, this one is old enough to be uncached.
    old: Option<Arc<Segment>>,
}

/// Requests that can wait: one of each kind, since whoever makes one makes no other of its kind before it is taken, and one
/// [`Request::Now`] that came when the segment was on its way. Nobody ever waits to make one.
pub(crate) const REQUESTS_MAX: usize = 5;

/// Spare files: made here, left by retention, found at start.
#[derive(Debug)]
pub(crate) struct Spares {
    config: LayoutConfig,
    recycled: Mutex<Vec<Spare>>,
    numbered: AtomicU64,
    /// The last one that there was no room for was not tried: the disk said that there is none.
    disk_said_so: AtomicBool,
    /// Files that are no spares, nor anything else any more.
    pub(crate) leaving: Leaving,
}

/// What became of segments that are no longer kept.
#[derive(Debug, Default)]
#[must_use = "what did not go is tried again"]
pub(crate) struct Recycled {
    /// Those whose names did not go, to be tried again.
    pub(crate) left: Vec<Arc<Segment>>,
    /// Files whose names went, to be given back to the disk when that is on disk.
    pub(crate) gone: Vec<Nameless>,
}

/// The committer's side of the layout thread.
#[derive(Debug)]
pub(crate) struct Layout {
    requests: Sender<Request>,
    results: Receiver<Result<Spare, StorageError>>,
    asked: bool,
    thread: Option<JoinHandle<()>>,
}

impl Spares {
    /// Takes over what spares the folder has: a few are kept, the rest and any half-made one removed.
    pub(crate) fn adopt(config: LayoutConfig, names: &[String]) -> Self {
        let (recycled, numbered) = (Mutex::new(Vec::new()), AtomicU64::new(0));
        let disk_said_so = AtomicBool::new(false);
        let spares = Self { config, recycled, numbered, disk_said_so, leaving: Leaving::default() };
        for name in names {
            let Some(number) = number_of(name) else { continue };
            spares.numbered.fetch_max(u64::from(number) + 1, Ordering::Relaxed);
            let path = spares.config.folder.join(name);
            let file = spares.config.disk.open(&path);
            match file {
                Ok(file) if spares.is_whole(file.as_ref()) => {
                    spares.put(Spare { path, file, recycled: true, reserved_from: None });
                }
                Ok(_) | Err(_) => {
                    spares.remove(&path);
                }
            }
        }
        spares
    }

    /// Takes segments that are no longer kept, oldest first. The first whose name does not go is left, with all behind it: a
    /// younger one that went before an older would be missed when the journal opens.
    pub(crate) fn recycle(&self, segments: impl IntoIterator<Item = Arc<Segment>>) -> Recycled {
        let mut recycled = Recycled::default();
        let mut segments = segments.into_iter();
        while let Some(segment) = segments.next() {
            match self.recycle_one(segment) {
                Ok(gone) => recycled.gone.extend(gone),
                Err(segment) => {
                    recycled.left.push(segment);
                    recycled.left.extend(segments);
                    break;
                }
            }
        }
        recycled
    }

    /// Whoever still reads the segment keeps its bytes: then the file is removed, not used again. `Ok`: the file, if it is to
    /// be given back.
    fn recycle_one(&self, segment: Arc<Segment>) -> Result<Option<Nameless>, Arc<Segment>> {
        let remove = |segment: Arc<Segment>| {
            if self.remove(&segment.path) { Ok(Some(Nameless::Segment(segment))) } else { Err(segment) }
        };
        let segment = match Arc::try_unwrap(segment) {
            Ok(segment) => segment,
            Err(read) => return remove(read),
        };
        let may_be_used = self.is_whole(segment.file.as_ref()) && !segment.is_distrusted();
        if !may_be_used || self.recycled.lock().len() >= SPARE_SEGMENTS_MAX {
            return remove(Arc::new(segment));
        }
        let path = self.next_path();
        if let Err(error) = self.config.disk.rename(&segment.path, &path) {
            tracing::warn!(path = %segment.path.display(), %error, "segment not recycled");
            return Err(Arc::new(segment));
        }
        // Opened anew: what has the name is what will be found by it after a crash.
        match self.config.disk.open(&path) {
            Ok(file) if self.is_whole(file.as_ref()) => {
                self.put(Spare { path, file, recycled: true, reserved_from: None });
            }
            Ok(_) | Err(_) => {
                self.remove(&path);
            }
        }
        Ok(None)
    }

    fn is_whole(&self, file: &dyn DiskFile) -> bool {
        file.bytes().is_ok_and(|bytes| bytes == self.config.segment_bytes)
    }

    /// A fresh file of zeros.
    pub(crate) fn lay_out(&self) -> Result<Spare, StorageError> {
        self.lay_out_bytes(self.config.segment_bytes, self.config.reserve_bytes)
    }

    /// A fresh file of `bytes` zeros for a rewritten segment, where room for the next segment is left beside it. It is removed
    /// at the next start if it still has its spare's name then.
    pub(crate) fn lay_out_rewritten(&self, bytes: u64) -> Result<Spare, StorageError> {
        self.lay_out_bytes(bytes, self.config.reserve_bytes + self.config.segment_bytes)
    }

    fn lay_out_bytes(&self, bytes: u64, left_bytes: u64) -> Result<Spare, StorageError> {
        let path = self.next_path();
        loop {
            match self.try_to_lay_out(&path, bytes, left_bytes) {
                Err(error) if error.is_no_room() && self.leaving.give_back_file() => {} // its room may do
                outcome => return outcome,
            }
        }
    }

    fn try_to_lay_out(&self, path: &Path, bytes: u64, left_bytes: u64) -> Result<Spare, StorageError> {
        let LayoutConfig { disk, folder, sync, .. } = &self.config;
        let error =
            |operation, path: &Path, source| StorageError { operation, path: path.to_owned(), source };
        let free = disk.free_bytes(folder).map_err(|source| error("free space of", folder, source))?;
        self.disk_said_so.store(free < bytes + left_bytes, Ordering::Relaxed);
        if free < bytes + left_bytes {
            return Err(error("lay out", path, io::ErrorKind::StorageFull.into()));
        }
        match disk.lay_out(path, bytes, *sync) {
            Ok(file) => Ok(Spare { path: path.to_owned(), file, recycled: false, reserved_from: Some(0) }),
            Err(source) => {
                self.remove(path);
                Err(error("lay out", path, source))
            }
        }
    }

    /// Is there so little room that it matters more to get some back than how long who appends waits?
    pub(crate) fn are_short(&self) -> bool {
        let LayoutConfig { disk, folder, segment_bytes, reserve_bytes, .. } = &self.config;
        disk.free_bytes(folder).is_ok_and(|free| free < reserve_bytes + SHORT_SEGMENTS * segment_bytes)
    }

    /// After a refusal: could the next segment be had now, as far as can be told without trying?
    pub(crate) fn have_room(&self) -> bool {
        let LayoutConfig { disk, folder, segment_bytes, reserve_bytes, .. } = &self.config;
        let is_enough = |free| free >= reserve_bytes + segment_bytes;
        let has_spare = !self.recycled.lock().is_empty();
        has_spare
            || (self.disk_said_so.load(Ordering::Relaxed) && disk.free_bytes(folder).is_ok_and(is_enough))
    }

    /// Spare files that wait for their next use.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.recycled.lock().len()
    }

    fn next(&self) -> Result<Spare, StorageError> {
        let recycled = self.recycled.lock().pop();
        recycled.map_or_else(|| self.lay_out(), Ok)
    }

    /// Writes the next of `zeros` into blocks that are only reserved.
    fn write_zeros(&self, spare: &mut Spare, zeros: &[u8]) -> Result<(), StorageError> {
        let Some(from) = spare.reserved_from else { return Ok(()) };
        let end = u32::try_from(self.config.segment_bytes).expect("segments are at most 1 GiB");
        let zeros = &zeros[..zeros.len().min((end - from) as usize)];
        let written = write_all_at(spare.file.as_ref(), u64::from(from), &mut [IoSlice::new(zeros)])
            .and_then(|()| if self.config.sync { spare.file.sync_data() } else { Ok(()) });
        written.map_err(|source| StorageError {
            operation: "write zeros into",
            path: spare.path.clone(),
            source,
        })?;
        let to = from + u32::try_from(zeros.len()).expect("a slice");
        spare.reserved_from = Some(to).filter(|to| *to < end);
        Ok(())
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

    /// Removes a file that never had another name than a spare's, and gives it back: found by that name after a crash, it is
    /// removed, however short it is.
    pub(crate) fn let_go(&self, path: &Path, file: Box<dyn DiskFile>) {
        if self.remove(path) {
            self.leaving.take([Nameless::File(file)]);
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

fn number_of(name: &str) -> Option<u32> {
    name.strip_prefix("spare-")?.strip_suffix(".log")?.parse().ok()
}

/// The thread's side.
struct Thread<C> {
    spares: Arc<Spares>,
    wanted: Receiver<Request>,
    laid_out: Sender<Result<Spare, StorageError>>,
    clock: Clock,
    chores: C,
    /// The committer is gone.
    ends: bool,
}

impl<C: Chores> Thread<C> {
    fn run(mut self) {
        while let Some(Order { zeros_over, old }) = self.next_order() {
            let spare = self.lay_out(zeros_over);
            if self.ends || self.laid_out.send(spare).is_err() {
                break;
            }
            if let Some(old) = old {
                old.file.uncache();
            }
        }
        drop(self.wanted); // before the chores, so that whoever wishes now hears it
    }

    /// The next segment that is wanted, after whatever of the chores could be done until then; `None` when the committer is
    /// gone.
    fn next_order(&mut self) -> Option<Order> {
        loop {
            let request = match self.wanted.try_recv() {
                Ok(request) => request,
                Err(_) => match self.chores.step() {
                    Some(Duration::ZERO) => continue,
                    Some(rest) => match self.wanted.recv_timeout(rest) {
                        Ok(request) => request,
                        Err(_) => continue,
                    },
                    None => self.wanted.recv().ok()?,
                },
            };
            match request {
                Request::LayOut(order) => return Some(order),
                Request::Begin => self.chores.begin(),
                Request::Now => {} // it was on its way already
                Request::Stop => return None,
            }
        }
    }

    fn lay_out(&mut self, zeros_over: Option<Duration>) -> Result<Spare, StorageError> {
        let mut spare = self.spares.next()?;
        if let Some(time) = zeros_over
            && let Err(error) = self.fill(&mut spare, time)
        {
            self.spares.remove(&spare.path);
            return Err(error);
        }
        Ok(spare)
    }

    /// Writes zeros into `spare`, in slices that are spread over `time`, until it is wanted.
    fn fill(&mut self, spare: &mut Spare, time: Duration) -> Result<(), StorageError> {
        let slices = self.spares.config.segment_bytes.div_ceil(u64::from(ZEROS_SLICE_BYTES));
        let of_each = time.div_f64(slices as f64);
        let zeros = vec![0; ZEROS_SLICE_BYTES as usize];
        while spare.reserved_from.is_some() {
            let next = self.clock.now() + of_each;
            self.spares.write_zeros(spare, &zeros)?;
            match self.wanted.recv_timeout(next.since(self.clock.now())) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Request::Begin) => self.chores.begin(),
                Ok(Request::Now) => break,
                Ok(Request::LayOut(_)) => unreachable!("the one before is not taken yet"),
                Ok(Request::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.ends = true;
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Layout {
    /// Starts the thread, which `chores` are given to as well; `requests` is the other end of `wanted`.
    pub(crate) fn start<C: Chores>(
        spares: Arc<Spares>,
        threads: &Threads,
        clock: Clock,
        (requests, wanted): (Sender<Request>, Receiver<Request>),
        chores: C,
    ) -> Result<Self, SpawnRefused> {
        let (laid_out, results) = bounded(1);
        let thread = Thread { spares, wanted, laid_out, clock, chores, ends: false };
        let thread = threads.spawn("weir-layout", move || thread.run())?;
        Ok(Self { requests, results, asked: false, thread: Some(thread) })
    }

    /// Has the next segment laid out, if that is not under way, with zeros that are written over `zeros_over`; and after that
    /// `old` uncached.
    pub(crate) fn prepare(
        &mut self,
        zeros_over: Option<Duration>,
        old: impl FnOnce() -> Option<Arc<Segment>>,
    ) {
        if !self.asked {
            self.ask(Request::LayOut(Order { zeros_over, old: old() }));
            self.asked = true;
        }
    }

    fn ask(&self, request: Request) {
        self.requests.send(request).expect("the layout thread lives until it is told to stop");
    }

    /// The next segment's file; waits for it. A failure that lies in the past is not handed out: it is tried again.
    pub(crate) fn take(&mut self) -> Result<Spare, StorageError> {
        let stale = self.asked;
        match self.wait() {
            Err(_) if stale => self.wait(),
            outcome => outcome,
        }
    }

    fn wait(&mut self) -> Result<Spare, StorageError> {
        self.prepare(None, || None);
        self.asked = false;
        self.results.try_recv().unwrap_or_else(|_| {
            self.ask(Request::Now);
            self.results.recv().expect("the layout thread answers every order")
        })
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
        spares_of(disk, names, BYTES)
    }

    fn spares_of(disk: &FaultDisk, names: &[String], segment_bytes: u64) -> Arc<Spares> {
        let config = LayoutConfig {
            disk: Arc::new(disk.clone()),
            folder: "data".into(),
            segment_bytes,
            reserve_bytes: 100,
            sync: true,
        };
        Arc::new(Spares::adopt(config, names))
    }

    fn segment_of(spare: Spare) -> Arc<Segment> {
        let Spare { path, file, .. } = spare;
        Arc::new(Segment::new(SegmentSequence(1), 0, path, file))
    }

    /// Slices that are left to do, each told when it is done, with a rest after each.
    struct Slices {
        left: usize,
        told: Sender<usize>,
        rest: Duration,
    }

    impl Chores for Slices {
        fn begin(&mut self) {
            self.left = 3;
        }

        fn step(&mut self) -> Option<Duration> {
            if self.left > 0 {
                self.left -= 1;
                self.told.send(self.left).unwrap();
            }
            (self.left > 0).then_some(self.rest)
        }
    }

    fn start(spares: &Arc<Spares>) -> Layout {
        let (told, _) = bounded(1);
        let slices = Slices { left: 0, told, rest: Duration::ZERO };
        let requests = bounded(REQUESTS_MAX);
        Layout::start(Arc::clone(spares), &Threads::new(), Clock::new(), requests, slices).unwrap()
    }

    /// A layout thread with slices to do, and where it tells them; so many of them may be done before they are heard of.
    fn start_with_slices(rest: Duration, unheard: usize) -> (Layout, Receiver<usize>) {
        let spares = spares(&FaultDisk::new(1, 10_000), &[]);
        let (told, slices) = bounded(unheard);
        let chores = Slices { left: 0, told, rest };
        let (requests, wanted) = bounded(REQUESTS_MAX);
        requests.send(Request::Begin).unwrap();
        let requests = (requests, wanted);
        (Layout::start(spares, &Threads::new(), Clock::new(), requests, chores).unwrap(), slices)
    }

    #[test]
    fn a_segment_that_is_wanted_waits_for_a_slice_and_not_for_all_chores() {
        let (mut layout, slices) = start_with_slices(Duration::ZERO, 0);
        assert_eq!(slices.recv().unwrap(), 2);
        layout.prepare(None, || None); // there before the slice that is told next has ended
        assert_eq!(slices.recv().unwrap(), 1);
        layout.take().unwrap();
        assert_eq!(slices.recv().unwrap(), 0, "and the rest is done after it");
    }

    #[test]
    fn between_two_slices_there_is_a_rest_and_nobody_waits_for_its_end() {
        let (layout, slices) = start_with_slices(Duration::from_millis(1), 3);
        assert_eq!([(); 3].map(|()| slices.recv().unwrap()), [2, 1, 0], "a rest has an end");
        drop(layout);
        let (mut layout, slices) = start_with_slices(HOUR, 3);
        assert_eq!(slices.recv().unwrap(), 2);
        layout.prepare(None, || None);
        assert_eq!(slices.recv().unwrap(), 1, "after a segment that was wanted it goes on");
        layout.take().unwrap(); // it is there: who takes it asks for nothing more
        drop(layout); // and whoever stops waits for nothing either
        assert_eq!(slices.try_iter().next(), None, "the last slice was not due for an hour");
    }

    #[test]
    fn there_is_room_where_a_segment_fits_beside_the_reserve_or_a_spare_waits() {
        let disk = FaultDisk::new(1, 100 + BYTES);
        let spares = spares(&disk, &[]);
        let segment = segment_of(spares.lay_out().unwrap());
        spares.lay_out().unwrap_err();
        assert!(!spares.have_room());
        disk.set_free_bytes(100 + BYTES);
        assert!(spares.have_room());
        disk.fail_next(Operation::LayOut, Errno::EDQUOT);
        spares.lay_out().unwrap_err();
        assert!(!spares.have_room(), "it looked enough");
        assert!(spares.recycle([segment]).left.is_empty());
        assert!(spares.have_room());
    }

    #[test]
    fn room_is_short_before_there_is_none_left_for_the_next_segments() {
        let disk = FaultDisk::new(1, 100 + 4 * BYTES);
        let spares = spares(&disk, &[]);
        assert!(!spares.are_short());
        disk.set_free_bytes(100 + 4 * BYTES - 1);
        assert!(spares.are_short());
    }

    /// Two slices and a bit.
    const LONG_BYTES: u64 = 2 * ZEROS_SLICE_BYTES as u64 + 1_000;
    const HOUR: Duration = Duration::from_secs(3_600);

    fn until(mut happened: impl FnMut() -> bool) {
        while !happened() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn zeros_are_on_disk_before_a_segment_is_handed_out_that_nobody_waits_for() {
        let disk = FaultDisk::new(1, 10 << 20);
        let mut layout = start(&spares_of(&disk, &[], LONG_BYTES));
        layout.prepare(Some(Duration::ZERO), || None);
        until(|| disk.written_bytes() == LONG_BYTES);
        until(|| !layout.results.is_empty());
        let spare = layout.take().unwrap();
        assert_eq!((spare.reserved_from, spare.recycled), (None, false));
        assert_eq!(disk.after_power_loss(1).contents(&spare.path).unwrap(), vec![0; LONG_BYTES as usize]);
        layout.take().unwrap();
        assert_eq!(disk.written_bytes(), LONG_BYTES, "one that is waited for is handed out without");
    }

    #[test]
    fn a_segment_that_is_wanted_before_its_zeros_are_written_is_handed_out_as_it_is() {
        let disk = FaultDisk::new(1, 10 << 20);
        let mut layout = start(&spares_of(&disk, &[], LONG_BYTES));
        layout.prepare(Some(HOUR), || None);
        until(|| disk.written_bytes() == u64::from(ZEROS_SLICE_BYTES));
        assert_eq!(layout.take().unwrap().reserved_from, Some(ZEROS_SLICE_BYTES));
        // And whoever stops waits for nothing either.
        layout.prepare(Some(HOUR), || None);
        until(|| disk.written_bytes() == 2 * u64::from(ZEROS_SLICE_BYTES));
        drop(layout);
    }

    #[test]
    fn zeros_that_cannot_be_written_take_their_file_along_and_another_is_laid_out() {
        let disk = FaultDisk::new(1, 10 << 20);
        let mut layout = start(&spares_of(&disk, &[], LONG_BYTES));
        disk.fail_next(Operation::Write, Errno::EIO);
        layout.prepare(Some(HOUR), || None);
        until(|| !layout.results.is_empty());
        let spare = layout.take().unwrap();
        assert_eq!((spare.reserved_from, disk.paths()), (Some(0), vec![spare.path.clone()]));
    }

    #[test]
    fn a_dropped_segment_is_used_again_and_one_that_is_being_read_is_not() {
        let disk = FaultDisk::new(1, 10_000);
        let spares = spares(&disk, &[]);
        let mut layout = start(&spares);
        let first = segment_of(layout.take().unwrap());
        let second = segment_of(layout.take().unwrap());
        let reader = Arc::clone(&second);
        assert!(spares.recycle([first, second]).left.is_empty());
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
            let segments = [(); 3].map(|()| segment_of(spares.lay_out().unwrap()));
            let paths = segments.each_ref().map(|segment| segment.path.clone());
            let _reader = is_read.then(|| segments.clone());
            disk.fail_after(operation, 1, Errno::EIO);
            let left = spares.recycle(segments).left;
            assert!(left.iter().map(|segment| &segment.path).eq(&paths[1..]), "{left:?}");
            assert!(spares.recycle(left).left.is_empty(), "they go when they are tried again");
            assert_eq!(names(&disk), if is_read { 0 } else { SPARE_SEGMENTS_MAX.min(3) });
        }
    }

    #[test]
    fn no_more_spares_are_kept_than_the_bound() {
        let disk = FaultDisk::new(1, 100_000);
        let spares = spares(&disk, &[]);
        let made: Vec<_> =
            (0..SPARE_SEGMENTS_MAX + 2).map(|_| segment_of(spares.lay_out().unwrap())).collect();
        let Recycled { left, gone } = spares.recycle(made);
        assert_eq!((left.len(), gone.len()), (0, 2), "what is no spare goes back to the disk");
        assert_eq!((spares.waiting(), disk.paths().len()), (SPARE_SEGMENTS_MAX, SPARE_SEGMENTS_MAX));
    }

    #[test]
    fn no_room_is_said_once_and_tried_again() {
        let disk = FaultDisk::new(1, BYTES + 99);
        let mut layout = start(&spares(&disk, &[]));
        layout.prepare(None, || None);
        let refused = layout.take().unwrap_err();
        assert_eq!(refused.source.kind(), io::ErrorKind::StorageFull);
        disk.set_free_bytes(BYTES + 100);
        layout.take().unwrap();
    }

    #[test]
    fn files_that_wait_to_be_given_back_keep_nobody_from_having_their_room() {
        let disk = FaultDisk::new(1, 3 * BYTES + 100);
        let spares = spares(&disk, &[]);
        for Spare { path, file, .. } in [(); 3].map(|()| spares.lay_out().unwrap()) {
            spares.let_go(&path, file);
        }
        disk.set_free_bytes(100); // the room is still theirs
        spares.lay_out().unwrap();
        spares.lay_out().unwrap();
        assert!(spares.leaving.give_back_slice() && !spares.leaving.give_back_slice(), "one was not needed");
    }

    #[test]
    fn what_waits_to_be_given_back_goes_also_where_only_the_attempt_finds_no_room() {
        for errno in [Errno::ENOSPC, Errno::EDQUOT] {
            let disk = FaultDisk::new(1, 10 * BYTES); // as it looks: others, or a quota, leave less
            let spares = spares(&disk, &[]);
            let Spare { path, file, .. } = spares.lay_out().unwrap();
            spares.let_go(&path, file);
            assert_eq!(spares.leaving.bytes(), BYTES);
            disk.fail_next(Operation::LayOut, errno);
            spares.lay_out().unwrap();
            assert_eq!(spares.leaving.bytes(), 0);
            disk.fail_next(Operation::LayOut, errno);
            assert!(spares.lay_out().unwrap_err().is_no_room(), "nothing is left that could go");
        }
    }

    #[test]
    fn a_failure_from_before_the_need_is_tried_again_at_the_need() {
        let disk = FaultDisk::new(1, 10_000);
        let mut layout = start(&spares(&disk, &[]));
        disk.fail_next(Operation::LayOut, Errno::EIO);
        layout.prepare(None, || None);
        layout.take().unwrap();
    }

    #[test]
    fn spares_are_found_again_and_half_made_ones_removed() {
        let disk = FaultDisk::new(1, 10_000);
        let first = spares(&disk, &[]).lay_out().unwrap();
        disk.lay_out(Path::new("data/spare-0000000000000007.log"), 10, true).unwrap();
        let names = disk.list(Path::new("data")).unwrap();
        let again = spares(&disk, &names);
        assert_eq!((again.waiting(), disk.paths()), (1, vec![first.path]));
        assert_eq!(again.lay_out().unwrap().path, Path::new("data/spare-0000000000000008.log"));
    }
}
