//! What this host allows, read from its files: nothing computed, nothing guessed.
//!
//! Read below a root path, so that a test can hand in a host of its own. A file that is not there is a limit that this
//! kernel does not have; a file that cannot be understood is an error, never a zero.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::envelope::Hierarchies;

/// Files below `/proc` and `/sys` that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The file could not be read.
    #[error("read {}: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file does not say what it should.
    #[error("{} does not tell {what}: {text:?}", .path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What stood there.
        text: String,
    },
}

/// A limit with the part of it that is taken already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Where it was read.
    pub source: PathBuf,
    /// The limit.
    pub limit: u64,
    /// What is taken now.
    pub used: u64,
}

impl Budget {
    /// What is left.
    pub fn free(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// A limit on each process, as `/proc/self/limits` has it; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimit {
    /// What holds now.
    pub soft: Option<u64>,
    /// What a process may raise it to by itself.
    pub hard: Option<u64>,
}

/// Everything on this host that a fleet could run into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// `pids.max` of our control group and those above it that set one, nearest first.
    pub pids_max: Vec<Budget>,
    /// Memory limits (bytes) of our control group and those above it that set one, nearest first.
    pub memory_max: Vec<Budget>,
    /// RLIMIT_NPROC, and the threads of our user now.
    pub processes: ProcessLimit,
    /// Threads that run under our uid.
    pub user_threads: u64,
    /// Whether we are the kernel's root, whom RLIMIT_NPROC does not bind.
    pub root: bool,
    /// RLIMIT_NOFILE.
    pub open_files: ProcessLimit,
    /// kernel.pid_max, and the tasks of the whole host now.
    pub pid_max: Option<Budget>,
    /// kernel.threads-max, and the tasks of the whole host now.
    pub threads_max: Option<Budget>,
    /// fs.file-max, and the open files of the whole host now.
    pub file_max: Option<Budget>,
    /// vm.max_map_count: mappings of one process.
    pub max_map_count: Option<u64>,
    /// user.max_user_namespaces.
    pub max_user_namespaces: Option<u64>,
    /// First and last ephemeral port.
    pub ephemeral_ports: Option<(u64, u64)>,
    /// Bytes of memory that can be had without swapping (MemAvailable).
    pub memory_available: Option<u64>,
}

impl HostFacts {
    /// Reads them below `root` (`/` on a real host).
    pub fn read(root: &Path) -> Result<Self, FactsError> {
        let files = Files { root };
        let tasks = files.tasks()?;
        let budget = |path: &str, used: u64| -> Result<Option<Budget>, FactsError> {
            let limit = files.number(path)?;
            Ok(limit.map(|limit| Budget { source: root.join(path), limit, used }))
        };
        let hierarchies = Hierarchies::read(root)
            .map_err(|source| FactsError::Read { path: root.join("proc/self/mountinfo"), source })?;
        let open = files.numbers("proc/sys/fs/file-nr")?.and_then(|numbers| numbers.first().copied());
        let ports = files.numbers("proc/sys/net/ipv4/ip_local_port_range")?;
        let (uid, root_user) = files.user()?;
        Ok(Self {
            pids_max: group_budgets(&hierarchies, "pids", &["pids.max", "pids.current"]),
            memory_max: group_budgets(&hierarchies, "memory", &["memory.max", "memory.current"])
                .into_iter()
                .chain(group_budgets(
                    &hierarchies,
                    "memory",
                    &["memory.limit_in_bytes", "memory.usage_in_bytes"],
                ))
                .collect(),
            processes: files.process_limit("Max processes")?,
            user_threads: files.threads_of(uid),
            root: root_user,
            open_files: files.process_limit("Max open files")?,
            pid_max: budget("proc/sys/kernel/pid_max", tasks)?,
            threads_max: budget("proc/sys/kernel/threads-max", tasks)?,
            file_max: budget("proc/sys/fs/file-max", open.unwrap_or(0))?,
            max_map_count: files.number("proc/sys/vm/max_map_count")?,
            max_user_namespaces: files.number("proc/sys/user/max_user_namespaces")?,
            ephemeral_ports: ports.and_then(|ports| Some((*ports.first()?, *ports.get(1)?))),
            memory_available: files.memory_available()?,
        })
    }
}

/// A v1 hierarchy says "no limit" with the largest number of whole pages.
const V1_UNLIMITED_FROM: u64 = 1 << 62;

fn group_budgets(hierarchies: &Hierarchies, controller: &str, files: &[&str; 2]) -> Vec<Budget> {
    let own = [hierarchies.v2(), hierarchies.v1(controller)].into_iter().flatten();
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    own.flat_map(|hierarchy| hierarchy.upwards().map(Path::to_path_buf).collect::<Vec<_>>())
        .filter_map(|group| {
            // "max" is no number, and so no limit.
            let limit = number(group.join(files[0])).filter(|&limit| limit < V1_UNLIMITED_FROM)?;
            let used = number(group.join(files[1])).unwrap_or(0);
            Some(Budget { source: group.join(files[0]), limit, used })
        })
        .collect()
}

/// The files of one host.
struct Files<'a> {
    root: &'a Path,
}

impl Files<'_> {
    fn text(&self, path: &str) -> Result<Option<String>, FactsError> {
        let path = self.root.join(path);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FactsError::Read { path, source }),
        }
    }

    fn form(&self, path: &str, what: &'static str, text: &str) -> FactsError {
        FactsError::Form { path: self.root.join(path), what, text: text.chars().take(80).collect() }
    }

    fn numbers(&self, path: &str) -> Result<Option<Vec<u64>>, FactsError> {
        let Some(text) = self.text(path)? else { return Ok(None) };
        let numbers = text.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>();
        numbers.map(Some).map_err(|_| self.form(path, "numbers", &text))
    }

    fn number(&self, path: &str) -> Result<Option<u64>, FactsError> {
        match self.numbers(path)? {
            None => Ok(None),
            Some(numbers) => match numbers[..] {
                [number] => Ok(Some(number)),
                _ => Err(self.form(path, "one number", &format!("{numbers:?}"))),
            },
        }
    }

    /// Tasks of the whole host: the second number of `1/234` in loadavg.
    fn tasks(&self) -> Result<u64, FactsError> {
        let path = "proc/loadavg";
        let Some(text) = self.text(path)? else { return Ok(0) };
        let tasks = text.split_ascii_whitespace().nth(3).and_then(|field| field.split_once('/'));
        let tasks = tasks.and_then(|(_, tasks)| tasks.parse().ok());
        tasks.ok_or_else(|| self.form(path, "how many tasks there are", &text))
    }

    fn memory_available(&self) -> Result<Option<u64>, FactsError> {
        let path = "proc/meminfo";
        let Some(text) = self.text(path)? else { return Ok(None) };
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")) else {
            return Ok(None);
        };
        let kib: Option<u64> = line.trim().strip_suffix(" kB").and_then(|number| number.trim().parse().ok());
        kib.map(|kib| Some(kib * 1024)).ok_or_else(|| self.form(path, "MemAvailable in kB", line))
    }

    fn process_limit(&self, name: &str) -> Result<ProcessLimit, FactsError> {
        let path = "proc/self/limits";
        let text = self.text(path)?.unwrap_or_default();
        let Some(line) = text.lines().find_map(|line| line.strip_prefix(name)) else {
            return Ok(ProcessLimit { soft: None, hard: None });
        };
        let mut fields = line.split_ascii_whitespace().map(|field| match field {
            "unlimited" => Ok(None),
            number => number.parse().map(Some).map_err(|_| self.form(path, "a limit", line)),
        });
        let mut next = || fields.next().unwrap_or_else(|| Err(self.form(path, "two limits", line)));
        Ok(ProcessLimit { soft: next()?, hard: next()? })
    }

    /// Our uid, and whether it is the kernel's root: 0 in a namespace that maps 0 to 0.
    fn user(&self) -> Result<(u64, bool), FactsError> {
        let path = "proc/self/status";
        let text = self.text(path)?.unwrap_or_default();
        let uid = uid_in(&text).unwrap_or(0);
        let map = self.numbers("proc/self/uid_map")?.unwrap_or_default();
        Ok((uid, uid == 0 && map.get(..2).is_none_or(|first| first == [0, 0])))
    }

    /// Threads of all processes of one user. A process that ends while we look is not counted.
    fn threads_of(&self, uid: u64) -> u64 {
        let entries = fs::read_dir(self.root.join("proc")).into_iter().flatten().flatten();
        let processes = entries.filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let threads = processes.filter_map(|entry| {
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"))?;
            (uid_in(&status)? == uid).then(|| threads.trim().parse::<u64>().ok())?
        });
        threads.sum()
    }
}

fn uid_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
