//! Watches the host while arms run: whether it let a thread that wakes run, and whether it took a small write.
//!
//! Started for the arms that run together; each takes what was seen into its series, so that a reader can tell a fleet that
//! failed from a machine that stood still under it. A hypervisor that runs somebody else and a disk that answers nobody look
//! the same from within as a server that hangs. It must never judge, and never make the load that it looks for.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use parking_lot::Mutex;
use weir_core::threads::Threads;
use weir_sync::Shutdown;

use crate::{
    recorder::ArmClock,
    series::{At, HostPart, HostStall},
};

/// How long the watch sleeps at a time.
const NAP: Duration = Duration::from_millis(20);
/// Every so many naps it writes.
const NAPS_A_WRITE: u32 = 5;
/// What it writes and syncs: a page, in place.
const WRITE_BYTES: usize = 4096;
/// A nap that ends later than this was not the fleet's doing. On two cores that the small fleets fill, the latest of 3,500
/// naps ended 31 to 86 ms late in three runs.
const PROCESSOR_STALL_MIN: Duration = Duration::from_millis(250);
/// A write that takes longer than this was not the fleet's doing, either. Beside the small fleets the slowest of 700 took 69 ms on
/// a slow disk, and 360 ms beside a program that fills its memory with unwritten pages.
const DISK_STALL_MIN: Duration = Duration::from_millis(500);
/// Stalls that are kept. A host that stands still more often is known to.
const STALLS_MAX: usize = 256;

/// A watch that runs, until it is dropped.
#[derive(Debug)]
pub(super) struct HostWatch {
    stop: Shutdown,
    seen: Arc<Mutex<Vec<HostStall>>>,
    thread: Option<JoinHandle<()>>,
}

impl HostWatch {
    /// Starts to watch, with a file of its own in `folder`: on the disk that the fleets write to.
    pub(super) fn start(time: ArmClock, folder: &Path, threads: &Threads) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        write(&file)?;
        let stop = Shutdown::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stopped, into) = (stop.clone(), Arc::clone(&seen));
        let thread = threads.spawn("host-watch", move || watch(time, &file, &stopped, &into));
        Ok(Self { stop, seen, thread: Some(thread.map_err(|refused| refused.source)?) })
    }

    /// What was seen from `start` on.
    pub(super) fn since(&self, start: At) -> Vec<HostStall> {
        self.seen.lock().iter().filter(|stall| stall.at >= start).copied().collect()
    }
}

impl Drop for HostWatch {
    fn drop(&mut self) {
        self.stop.begin();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a panic aborts the process");
        }
    }
}

fn watch(time: ArmClock, file: &File, stop: &Shutdown, seen: &Mutex<Vec<HostStall>>) {
    let note = |part: HostPart, at: At, least: Duration, expected: Duration| {
        let took = Duration::from_millis(time.at().0 - at.0);
        if let Some(stall) = stall(part, at, took.saturating_sub(expected), least) {
            let mut seen = seen.lock();
            if seen.len() < STALLS_MAX {
                seen.push(stall);
            }
        }
    };
    for nap in 1u32.. {
        let at = time.at();
        if stop.wait_timeout(NAP) {
            return;
        }
        note(HostPart::Processor, at, PROCESSOR_STALL_MIN, NAP);
        if nap.is_multiple_of(NAPS_A_WRITE) {
            let at = time.at();
            // A disk that takes nothing is the nodes' to tell; this asks how long it takes to answer.
            let _ = write(file);
            note(HostPart::Disk, at, DISK_STALL_MIN, Duration::ZERO);
        }
    }
}

fn write(file: &File) -> io::Result<()> {
    file.write_all_at(&[0; WRITE_BYTES], 0)?;
    file.sync_data()
}

fn stall(part: HostPart, at: At, late: Duration, least: Duration) -> Option<HostStall> {
    let length_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
    (late >= least).then_some(HostStall { at, length_ms, part })
}

#[cfg(test)]
mod tests {
    use weir_core::clock::Clock;

    use super::*;

    #[test]
    fn only_what_is_far_too_late_is_a_stall() {
        let at = At(7);
        let late = |ms| stall(HostPart::Processor, at, Duration::from_millis(ms), PROCESSOR_STALL_MIN);
        assert_eq!(late(249), None);
        assert_eq!(late(250), Some(HostStall { at, length_ms: 250, part: HostPart::Processor }));
    }

    #[test]
    fn a_watch_ends_when_it_is_dropped_and_its_file_with_it() {
        let (folder, threads) = (tempfile::tempdir().unwrap(), Threads::new());
        let watch = HostWatch::start(ArmClock::start(Clock::new()), folder.path(), &threads).unwrap();
        assert_eq!(threads.running(), 1);
        let seen = HostStall { at: At(20), length_ms: 400, part: HostPart::Disk };
        watch.seen.lock().push(seen);
        assert!(watch.since(At(20)).contains(&seen) && !watch.since(At(21)).contains(&seen));
        drop(watch);
        assert_eq!(threads.running(), 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
