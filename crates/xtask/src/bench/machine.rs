//! What a figure needs to be worth something: a quiet machine, and what the run cost it.
//!
//! Read from `/proc`. A run waits for quiet a few times and then goes ahead: whether it was quiet stands beside its figure.

use std::{fs, thread, time::Duration};

use anyhow::Context;

/// Share of the processors that must be idle before a run.
const QUIET: f64 = 0.8;
/// How long the share is taken over, and how often at most.
const LOOK: Duration = Duration::from_millis(500);
const LOOKS_MAX: usize = 4;

/// Waits until the machine is quiet; false when it did not become so.
pub(super) fn await_quiet() -> anyhow::Result<bool> {
    for _ in 0..LOOKS_MAX {
        let (idle_before, all_before) = processor_ticks()?;
        thread::sleep(LOOK);
        let (idle, all) = processor_ticks()?;
        if (idle - idle_before) as f64 >= QUIET * (all - all_before) as f64 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Ticks since the start of the machine: idle ones, and all.
fn processor_ticks() -> anyhow::Result<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    let idle = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
    Ok((idle, ticks.iter().take(8).sum()))
}

/// Flushes that all disks of this machine have done so far.
pub(super) fn disk_flushes() -> anyhow::Result<u64> {
    let stats = fs::read_to_string("/proc/diskstats").context("read /proc/diskstats")?;
    // Behind the device's three words: 15 figures, then flushes and their time, since Linux 5.5.
    let flushes = stats.lines().filter_map(|line| line.split_whitespace().nth(18)?.parse::<u64>().ok());
    Ok(flushes.sum())
}

/// Processor seconds that a process has used.
pub(super) fn processor_seconds(process: u32) -> anyhow::Result<f64> {
    /// The unit of the kernel's figures (USER_HZ), the same on every Linux.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the server has ended")?;
    let (_, behind_name) = stat.rsplit_once(')').context("a process has a name")?;
    let ticks: u64 =
        behind_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// The machine in a line.
pub(super) fn described() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores ({}), Linux {}", model.map_or("?", |(_, model)| model), kernel.trim())
}
