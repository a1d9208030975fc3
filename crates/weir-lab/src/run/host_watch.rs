//! Watches the host while arms run: whether it let a thread that wakes run, and whether it took a small write.
//!
//! Started for the arms that run together; each takes what was seen into its series, so that a reader can tell a fleet that
//! failed from a machine that stood still under it. A hypervisor that runs somebody else and a disk that answers nobody look
//! the same from within as a server that hangs. It must never judge. It costs the host fifty wake-ups a second and ten syncs of a page.

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
/// A nap that ends later than this is seldom the fleet's doing. On two cores of which `kinesis-2020` used seven tenths, the latest of
/// 3,500 naps ended 31 to 86 ms late in three runs.
const PROCESSOR_STALL_MIN: Duration = Duration::from_millis(250);
/// A write that takes longer than this is seldom the fleet's doing, either. Beside the same fleets the slowest of 700 took 69 ms on a
/// slow disk, and 360 ms while another program filled the memory with pages to be written.
const DISK_STALL_MIN: Duration = Duration::from_millis(500);
/// Stalls that are kept; later ones are not counted.
const STALLS_MAX: usize = 256;

/// A watch that runs, until it is dropped.
#[derive(Debug)]
pub(super) struct HostWatch {
    time: ArmClock,
    stop: Shutdown,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    stalls: Vec<HostStall>,
    /// What has begun and not ended: a nap or a write, and when.
    under_way: Option<(HostPart, At)>,
}

impl HostWatch {
    /// Starts to watch, with a file of its own in `folder`: on the disk that the fleets write to.
    pub(super) fn start(time: ArmClock, folder: &Path, threads: &Threads) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        write(&file)?;
        let stop = Shutdown::new();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (stopped, into) = (stop.clone(), Arc::clone(&seen));
        let thread = threads.spawn("host-watch", move || watch(time, &file, &stopped, &into));
        Ok(Self { time, stop, seen, thread: Some(thread.map_err(|refused| refused.source)?) })
    }

    /// What was seen from `start` on, and what has not ended.
    pub(super) fn since(&self, start: At) -> Vec<HostStall> {
        self.seen.lock().since(start, self.time.at())
    }
}

impl Seen {
    /// What was under way has ended, and something else begins.
    fn begin(&mut self, part: HostPart, now: At) {
        let ended = self.under_way.replace((part, now)).and_then(|(part, at)| stall(part, at, now));
        if self.stalls.len() < STALLS_MAX {
            self.stalls.extend(ended);
        }
    }

    fn since(&self, start: At, now: At) -> Vec<HostStall> {
        let goes_on = self.under_way.and_then(|(part, at)| stall(part, at, now));
        let stalls = self.stalls.iter().copied().chain(goes_on);
        stalls.filter(|stall| stall.at.0 + stall.length_ms >= start.0).collect()
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

fn watch(time: ArmClock, file: &File, stop: &Shutdown, seen: &Mutex<Seen>) {
    for nap in 1u32.. {
        seen.lock().begin(HostPart::Processor, time.at());
        if stop.wait_timeout(NAP) {
            return;
        }
        if nap.is_multiple_of(NAPS_A_WRITE) {
            seen.lock().begin(HostPart::Disk, time.at());
            // A disk that takes nothing is the nodes' to tell; this asks how long it takes to answer.
            let _ = write(file);
        }
    }
}

fn write(file: &File) -> io::Result<()> {
    file.write_all_at(&[0; WRITE_BYTES], 0)?;
    file.sync_data()
}

/// A stall, if what began at `at` and has ended `now`, or has not, took too long.
fn stall(part: HostPart, at: At, now: At) -> Option<HostStall> {
    let (expected, least) = match part {
        HostPart::Processor => (NAP, PROCESSOR_STALL_MIN),
        HostPart::Disk => (Duration::ZERO, DISK_STALL_MIN),
    };
    let late = Duration::from_millis(now.0.saturating_sub(at.0)).saturating_sub(expected);
    let length_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
    (late >= least).then_some(HostStall { at, length_ms, part })
}

#[cfg(test)]
mod tests {
    use weir_core::clock::Clock;

    use super::*;

    #[test]
    fn only_what_is_far_too_late_is_a_stall() {
        let stall_at = |part, ms| stall(part, At(7), At(7 + ms)).map(|stall| stall.length_ms);
        assert_eq!(
            [269, 270, 1_020].map(|ms: u64| stall_at(HostPart::Processor, ms)),
            [None, Some(250), Some(1_000)]
        );
        assert_eq!([499, 500].map(|ms| stall_at(HostPart::Disk, ms)), [None, Some(500)]);
    }

    #[test]
    fn a_stall_counts_that_reaches_into_the_time_asked_for() {
        let stall = HostStall { at: At(20), length_ms: 400, part: HostPart::Processor };
        let seen = Seen { stalls: vec![stall], under_way: None };
        assert_eq!([0, 420].map(|start: u64| seen.since(At(start), At(900))), [[stall], [stall]]);
        assert_eq!(seen.since(At(421), At(900)), []);
    }

    #[test]
    fn what_has_not_ended_is_a_stall_once_it_took_too_long_and_one_stall_when_it_ends() {
        let mut seen = Seen::default();
        seen.begin(HostPart::Disk, At(100));
        assert_eq!(seen.since(At(0), At(599)), []);
        let stalled = |length_ms| HostStall { at: At(100), length_ms, part: HostPart::Disk };
        assert_eq!(seen.since(At(0), At(600)), [stalled(500)]);
        seen.begin(HostPart::Processor, At(700));
        assert_eq!(seen.since(At(0), At(719)), [stalled(600)]);
        seen.begin(HostPart::Processor, At(720));
        assert_eq!(seen.since(At(0), At(720)), [stalled(600)]);
    }

    #[test]
    fn a_watch_ends_when_it_is_dropped_and_its_file_with_it() {
        let (folder, threads) = (tempfile::tempdir().unwrap(), Threads::new());
        let watch = HostWatch::start(ArmClock::start(Clock::new()), folder.path(), &threads).unwrap();
        assert_eq!(threads.running(), 1);
        drop(watch);
        assert_eq!(threads.running(), 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
