//! One server's control group, v1 or v2: its limits written, its counters read, itself removed.
//!
//! Made by `cgroup_v1` and `cgroup_v2`, which know where in the host's tree it may stand. Whatever is still in the group
//! when it is removed is killed: only our own children were ever put there.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{EnvelopeError, EnvelopeLimits, Evidence, hierarchies::Version, run_name::RunName};

/// How often an emptied group is tried before it is left to the next sweep, and how long between tries. The kernel
/// takes a moment to let go of the dead; two seconds are far more than it ever took.
const REMOVE_TRIES: u32 = 200;
const REMOVE_PAUSE: Duration = Duration::from_millis(10);
/// The period over which a CPU quota counts (the kernel's default).
const CPU_PERIOD_MICROS: u32 = 100_000;

/// One server's group; removed when dropped.
#[derive(Debug)]
pub(super) struct Group {
    files: GroupFiles,
}

/// The folders of one server's group: one on v2, one for each limited controller on v1. Clones may outlive the group:
/// then they find nothing to read.
#[derive(Debug, Clone)]
pub(super) struct GroupFiles {
    version: Version,
    /// Where `pids.*` are.
    pids: PathBuf,
    /// Where `memory.*` are, when memory is limited.
    memory: Option<PathBuf>,
    /// Where `cpu.*` are, when CPU is limited.
    cpu: Option<PathBuf>,
}

/// The folders in which a group is to stand; they exist, and the controllers are on.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) version: Version,
    pub(super) pids: PathBuf,
    pub(super) memory: Option<PathBuf>,
    pub(super) cpu: Option<PathBuf>,
}

impl Group {
    /// Makes the group `name` and writes its limits. What was made is removed again when a part fails.
    pub(super) fn make(ground: &Ground, name: &str, limits: &EnvelopeLimits) -> Result<Self, EnvelopeError> {
        let below = |folder: &Option<PathBuf>| folder.as_ref().map(|folder| folder.join(name));
        let files = GroupFiles {
            version: ground.version,
            pids: ground.pids.join(name),
            memory: below(&ground.memory),
            cpu: below(&ground.cpu),
        };
        let group = Self { files };
        for folder in group.files.folders() {
            make_folder(folder)?;
        }
        group.files.write_limits(limits)?;
        Ok(group)
    }

    pub(super) fn files(&self) -> &GroupFiles {
        &self.files
    }
}

impl GroupFiles {
    fn write_limits(&self, limits: &EnvelopeLimits) -> Result<(), EnvelopeError> {
        self.set_threads_max(limits.threads_max)?;
        if let (Some(folder), Some(bytes)) = (&self.memory, limits.memory_max) {
            let file = if self.version == Version::V2 { "memory.max" } else { "memory.limit_in_bytes" };
            write(&folder.join(file), &bytes.0.to_string())?;
        }
        if let (Some(folder), Some(cores)) = (&self.cpu, limits.cpu_max) {
            let quota = (cores * f64::from(CPU_PERIOD_MICROS)).round() as u64;
            match self.version {
                Version::V2 => write(&folder.join("cpu.max"), &format!("{quota} {CPU_PERIOD_MICROS}"))?,
                Version::V1 => write(&folder.join("cpu.cfs_quota_us"), &quota.to_string())?,
            }
        }
        Ok(())
    }

    /// Each folder once (on v2 all controllers share one).
    pub(super) fn folders(&self) -> Vec<&Path> {
        let mut folders = vec![self.pids.as_path()];
        for folder in [&self.memory, &self.cpu].into_iter().flatten() {
            if !folders.contains(&folder.as_path()) {
                folders.push(folder);
            }
        }
        folders
    }

    pub(super) fn set_threads_max(&self, threads_max: u32) -> Result<(), EnvelopeError> {
        write(&self.pids.join("pids.max"), &threads_max.to_string())
    }

    /// What the kernel counted here. A file that this kernel does not have is a `None`.
    pub(super) fn evidence(&self) -> Evidence {
        let number = |folder: &Path, file: &str| {
            fs::read_to_string(folder.join(file)).ok().and_then(|text| text.trim().parse::<u64>().ok())
        };
        let event = |folder: &Path, file: &str, name: &str| {
            let text = fs::read_to_string(folder.join(file)).ok()?;
            let mut fields = text.lines().filter_map(|line| line.split_once(' '));
            fields.find(|(key, _)| *key == name).and_then(|(_, value)| value.trim().parse::<u64>().ok())
        };
        let memory = self.memory.as_deref();
        let (usage, peak, events) = match self.version {
            Version::V2 => ("memory.current", "memory.peak", "memory.events"),
            Version::V1 => ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"),
        };
        Evidence {
            threads_max: number(&self.pids, "pids.max"),
            threads: number(&self.pids, "pids.current"),
            threads_peak: number(&self.pids, "pids.peak"),
            refusals: event(&self.pids, "pids.events", "max"),
            memory_bytes: memory.and_then(|folder| number(folder, usage)),
            memory_bytes_peak: memory.and_then(|folder| number(folder, peak)),
            oom_kills: memory.and_then(|folder| event(folder, events, "oom_kill")),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in self.files.folders() {
            remove(folder);
        }
    }
}

pub(super) fn make_folder(folder: &Path) -> Result<(), EnvelopeError> {
    fs::create_dir(folder).map_err(|source| EnvelopeError::io("make control group", folder, source))
}

pub(super) fn write(file: &Path, text: &str) -> Result<(), EnvelopeError> {
    fs::write(file, text).map_err(|source| EnvelopeError::io("write", file, source))
}

/// Kills what is still in the group, waits for it to empty, removes it. What cannot be removed is left to the sweep
/// of a later run: a drop has nobody to tell.
pub(super) fn remove(group: &Path) {
    for _ in 0..REMOVE_TRIES {
        match fs::remove_dir(group) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) if error.raw_os_error() != Some(nix::libc::EBUSY) => {
                tracing::warn!(group = %group.display(), %error, "control group left behind");
                return;
            }
            Err(_) => kill_members(group),
        }
        std::thread::sleep(REMOVE_PAUSE);
    }
    tracing::warn!(group = %group.display(), "control group left behind: still busy");
}

fn kill_members(group: &Path) {
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|&pid| pid > 0) {
        // A member may have ended meanwhile: then there is nothing to kill.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Removes the groups below `folder` that a run left which is no longer alive.
pub(super) fn sweep_stale(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let stale = entry.file_name().to_str().and_then(|name| name.parse::<RunName>().ok());
        if stale.is_some_and(|run| !run.is_alive()) {
            remove_tree(&entry.path());
        }
    }
}

/// Removes a run's folder with the servers' groups in it.
pub(super) fn remove_tree(run: &Path) {
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    remove(run);
}
