//! What a figure needs to be worth something: a quiet machine, and what the run cost it.
//!
//! Read from `/proc`. A run waits for quiet a few times and then goes ahead: whether it was quiet stands beside its figure.

use std::{collections::BTreeMap, fs, path::Path, process::Command, thread, time::Duration};

use anyhow::Context;

/// Share of the processors that must be idle before a run.
const QUIET: f64 = 0.8;
/// How long the share is taken over, and how often at most.
const LOOK: Duration = Duration::from_millis(500);
const LOOKS_MAX: usize = 4;

/// How long a run of the suite rests for each gigabyte that the one before has written, and how long at most. Measured: after
/// 3.9 GB, five seconds are enough and none is not.
const REST_PER_GB: Duration = Duration::from_millis(1_300);
const REST_MAX: Duration = Duration::from_secs(10);

/// Lets what a run has left to the machine come to its end, so that it is not the next one that pays for it: the kernel frees
/// the blocks of removed files, and a host that keeps an account of what a virtual machine may use lets it go into credit
/// again. Before the run the disks had written `written_before`.
pub(super) fn rest_after(written_before: &Written) -> anyhow::Result<()> {
    let synced = Command::new("sync").status().context("run sync")?;
    anyhow::ensure!(synced.success(), "sync: {synced}");
    thread::sleep(rest(disk_bytes_written()?.since(written_before)));
    Ok(())
}

fn rest(bytes_written: u64) -> Duration {
    REST_PER_GB.mul_f64(bytes_written as f64 / 1e9).min(REST_MAX)
}

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

/// Bytes that each disk has written so far, by name.
#[derive(Debug)]
pub(super) struct Written(BTreeMap<String, u64>);

/// What all disks of this machine have written so far.
pub(super) fn disk_bytes_written() -> anyhow::Result<Written> {
    Ok(Written::read(&fs::read_to_string("/proc/diskstats").context("read /proc/diskstats")?))
}

impl Written {
    fn read(stats: &str) -> Self {
        /// The unit of that file, whatever the disk's own is.
        const SECTOR_BYTES: u64 = 512;
        let of_disk = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some((words.get(2)?.to_string(), words.get(9)?.parse::<u64>().ok()? * SECTOR_BYTES))
        };
        Self(stats.lines().filter_map(of_disk).collect())
    }

    /// Bytes that the disk with the most of them has written since. Not a sum: a partition is counted with its disk, too.
    fn since(&self, before: &Self) -> u64 {
        let of_disk =
            |(name, bytes): (&String, &u64)| bytes.saturating_sub(before.0.get(name).copied().unwrap_or(0));
        self.0.iter().map(of_disk).max().unwrap_or(0)
    }
}

/// The unit of the kernel's figures (USER_HZ), the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor seconds that the processes of a group have used.
pub(super) fn processor_seconds(group: u32) -> anyhow::Result<f64> {
    // Behind the group, the third figure: eight more, then the time in user mode and in the kernel.
    let used = members(group)?.iter().flat_map(|member| member.figures[11..13].to_vec()).sum::<u64>();
    Ok(used as f64 / TICKS_PER_SECOND)
}

/// Processor seconds of this process's children that have ended and were waited for.
pub(super) fn children_seconds() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
    let figures = figures(&stat).context("a process has figures")?;
    Ok(figures[13..15].iter().sum::<u64>() as f64 / TICKS_PER_SECOND)
}

/// Memory that the processes of a group hold, in MiB.
pub(super) fn resident_mib(group: u32) -> anyhow::Result<f64> {
    let mut kib = 0;
    for member in members(group)? {
        let status = fs::read_to_string(format!("/proc/{}/status", member.process)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        kib += line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(kib as f64 / 1024.0)
}

struct Member {
    process: String,
    figures: Vec<u64>,
}

/// The processes of a group that run.
fn members(group: u32) -> anyhow::Result<Vec<Member>> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc").context("list /proc")? {
        let process = entry.context("list /proc")?.file_name().to_string_lossy().into_owned();
        if !process.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default(); // it may have ended
        let Some(figures) = figures(&stat) else { continue };
        if figures[2] == u64::from(group) {
            members.push(Member { process, figures });
        }
    }
    anyhow::ensure!(!members.is_empty(), "the server has ended");
    Ok(members)
}

/// What stands behind a process's name: its state, which is no number and read as 0, its parent, its group and so on.
fn figures(stat: &str) -> Option<Vec<u64>> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let figures: Vec<u64> = behind_name.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect();
    (figures.len() > 15).then_some(figures)
}

/// The memory of the machine.
pub(super) fn memory_bytes() -> anyhow::Result<u64> {
    let memory = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    Ok(kib.context("no MemTotal in /proc/meminfo")?.parse::<u64>()? * 1024)
}

/// The machine in a line, with the disk that the data of the runs is on.
pub(super) fn described(data: &Path) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let gib = memory_bytes().unwrap_or(0) >> 30;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let disk = Command::new("df").arg("--output=fstype,source").arg(data).output();
    let disk = disk.map(|disk| String::from_utf8_lossy(&disk.stdout).into_owned()).unwrap_or_default();
    let disk: Vec<&str> = disk.lines().nth(1).unwrap_or("?").split_whitespace().collect();
    format!(
        "{cores} cores ({}), {gib} GiB, Linux {}, {}",
        model.map_or("?", |(_, model)| model),
        kernel.trim(),
        disk.join(" on ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wrote_much_is_followed_by_a_longer_rest() {
        assert_eq!(rest(0), Duration::ZERO);
        assert_eq!(rest(3_000_000_000), Duration::from_millis(3_900));
        assert_eq!(rest(u64::MAX), REST_MAX);
    }

    #[test]
    fn what_was_written_is_that_of_the_busiest_disk() {
        let stats = |root: u64, data: u64| {
            let line = |name, sectors| format!(" 254 0 {name} 9 0 0 0 7 0 {sectors} 0 0 0 0\n");
            [line("vda", root), line("vda1", root), line("nvme0n1", data)].concat()
        };
        let before = Written::read(&stats(1_000_000, 10));
        assert_eq!(Written::read(&stats(1_000_002, 110)).since(&before), 100 * 512);
        assert_eq!(Written::read(&stats(1_000_200, 110)).since(&before), 200 * 512);
    }

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "17 (a) b (c) S 1 42 42 0 -1 4194560 9 8 7 6 150 50 30 20 20 0 1 0 5";
        let figures = figures(stat).unwrap();
        assert_eq!((figures[2], &figures[11..15]), (42, &[150, 50, 30, 20][..]));
        assert!(super::figures("17 (short) S 1").is_none());
    }

    #[test]
    fn a_process_that_runs_holds_memory_and_belongs_to_its_group() {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let group = u32::try_from(figures(&stat).unwrap()[2]).unwrap();
        assert!(resident_mib(group).unwrap() > 0.0);
    }
}
