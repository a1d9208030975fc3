//! What the kernel says of one process: threads and memory in one file read, processor time by the process's own clock.
//!
//! `/proc/PID/stat` counts processor time in ticks of 10 ms; a node that idles uses one or two of them in a window. The
//! clock counts nanoseconds, over all threads of the process, those that ended among them. No root is needed.

use std::fs;

use nix::{time::clock_getcpuclockid, unistd::Pid};
use rustix::param::page_size;

/// A process as the kernel shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ProcStat {
    /// Threads that run.
    pub(super) threads: u32,
    /// Bytes of resident memory.
    pub(super) rss_bytes: u64,
    /// Processor seconds, user and system, of all its threads.
    pub(super) cpu_seconds: f64,
}

/// What one file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    threads: u32,
    rss_bytes: u64,
}

impl ProcStat {
    /// `None` when there is no such process any more.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let Counts { threads, rss_bytes } = Counts::parse(&text, page_size() as u64)?;
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
        let spent = std::time::Duration::from(clock.now().ok()?);
        Some(Self { threads, rss_bytes, cpu_seconds: spent.as_secs_f64() })
    }
}

impl Counts {
    fn parse(text: &str, page_bytes: u64) -> Option<Self> {
        // The command's name may hold spaces and brackets: fields are counted after its last bracket, from 3.
        let (_, after) = text.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self { threads: u32::try_from(number(20)?).ok()?, rss_bytes: number(24)? * page_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_brackets_and_spaces() {
        let text =
            "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 44 0 5000 123456 300 184467 1 1 0";
        let counts = Counts::parse(text, 4096).unwrap();
        assert_eq!(counts, Counts { threads: 44, rss_bytes: 300 * 4096 });
        assert_eq!(Counts::parse("42 (weir) S 1", 4096), None);
    }

    #[test]
    fn this_process_has_a_thread_and_memory_and_one_that_is_gone_has_nothing() {
        let own = ProcStat::read(std::process::id()).unwrap();
        assert!(own.threads >= 1 && own.rss_bytes > 100_000, "{own:?}");
        assert_eq!(ProcStat::read(u32::MAX), None);
    }

    #[test]
    fn processor_time_is_finer_than_a_tick_and_counts_threads_that_ended() {
        let spent = || ProcStat::read(std::process::id()).unwrap().cpu_seconds;
        let before = spent();
        let threads = weir_core::threads::Threads::new();
        let work =
            threads.spawn("work", || (0..200_000u64).fold(1, |n, m| std::hint::black_box(n ^ m))).unwrap();
        work.join().unwrap();
        let used = spent() - before;
        assert!(used > 0.0, "{used}");
        let ticks = (before + used) * 100.0;
        assert!((ticks - ticks.round()).abs() > 1e-6, "a whole number of ticks: {ticks}");
    }
}
