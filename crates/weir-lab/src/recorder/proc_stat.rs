//! What the kernel says of one process: threads, memory, processor time, in one file read.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};

/// A process as `/proc/PID/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ProcStat {
    /// Threads that run.
    pub(super) threads: u32,
    /// Bytes of resident memory.
    pub(super) rss_bytes: u64,
    /// Processor seconds, user and system.
    pub(super) cpu_seconds: f64,
}

impl ProcStat {
    /// `None` when there is no such process any more.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&text, page_size() as u64, clock_ticks_per_second())
    }

    fn parse(text: &str, page_bytes: u64, ticks_per_second: u64) -> Option<Self> {
        // The command's name may hold spaces and brackets: fields are counted after its last bracket, from 3.
        let (_, after) = text.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let (user, system) = (number(14)?, number(15)?);
        Some(Self {
            threads: u32::try_from(number(20)?).ok()?,
            rss_bytes: number(24)? * page_bytes,
            cpu_seconds: (user + system) as f64 / ticks_per_second as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_brackets_and_spaces() {
        let text =
            "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 44 0 5000 123456 300 184467 1 1 0";
        let stat = ProcStat::parse(text, 4096, 100).unwrap();
        assert_eq!(stat, ProcStat { threads: 44, rss_bytes: 300 * 4096, cpu_seconds: 2.0 });
        assert_eq!(ProcStat::parse("42 (weir) S 1", 4096, 100), None);
    }

    #[test]
    fn this_process_has_a_thread_and_memory_and_one_that_is_gone_has_nothing() {
        let own = ProcStat::read(std::process::id()).unwrap();
        assert!(own.threads >= 1 && own.rss_bytes > 100_000, "{own:?}");
        assert_eq!(ProcStat::read(u32::MAX), None);
    }
}
