//! The name of one life of the lab, as control groups and folders carry it: who made this, and is he still alive?
//!
//! Made once by [`RunName::own`]; the sweeps of stale leftovers ask [`RunName::is_alive`]. A name from another pid
//! namespace counts as alive: what we cannot see we must not remove.

use std::{fmt, fs, path::Path, str::FromStr};

/// `weir-<pid namespace>-<pid>-<start time>`: unique on this host until it boots again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunName {
    namespace: u64,
    pid: u32,
    start: u64,
}

impl RunName {
    /// The name of this process.
    pub fn own() -> Self {
        let pid = std::process::id();
        Self { namespace: namespace("pid"), pid, start: start_time(pid).unwrap_or(0) }
    }

    /// Does the process that took this name still run (or might it, out of our sight)?
    pub fn is_alive(&self) -> bool {
        self.namespace != namespace("pid") || start_time(self.pid) == Some(self.start)
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weir-{}-{}-{}", self.namespace, self.pid, self.start)
    }
}

/// Text that is no run's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a run")]
pub struct RunNameError;

impl FromStr for RunName {
    type Err = RunNameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.strip_prefix("weir-").ok_or(RunNameError)?.split('-').map(str::parse::<u64>);
        let mut number = || numbers.next().and_then(Result::ok).ok_or(RunNameError);
        let (namespace, pid, start) = (number()?, number()?, number()?);
        let name = Self { namespace, pid: u32::try_from(pid).map_err(|_| RunNameError)?, start };
        // Only the form that we write: no fourth number, no leading zero.
        if name.to_string() == text { Ok(name) } else { Err(RunNameError) }
    }
}

/// The number of this process's namespace of a kind (`pid`, `net`); 0 where the kernel does not tell.
pub(super) fn namespace(kind: &str) -> u64 {
    let link = fs::read_link(Path::new("/proc/self/ns").join(kind)).unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

/// When process `pid` started, in clock ticks since boot; `None` when there is none.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The command's name may hold spaces and brackets: fields are counted after its last bracket.
    let (_, after) = stat.rsplit_once(')')?;
    after.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_what_it_prints() {
        let own = RunName::own();
        assert_eq!(own.to_string().parse(), Ok(own));
        for text in ["weir", "weir-1-2", "weir-1-2-3-4", "other-1-2-3", "weir-1-x-3", "weir-01-2-3"] {
            assert_eq!(text.parse::<RunName>(), Err(RunNameError), "{text}");
        }
    }

    #[test]
    fn only_the_same_life_of_a_process_is_alive() {
        let own = RunName::own();
        assert!(own.is_alive());
        assert!(!RunName { start: own.start + 1, ..own.clone() }.is_alive(), "a pid used again");
        assert!(RunName { namespace: own.namespace + 1, ..own }.is_alive(), "out of sight is not dead");
    }
}
