//! How many threads the kernel would let this process have, as far as it says: for the headroom metrics alone.
//!
//! Nothing acts on it. The limit is the kernel's, and a refusal is the only way in which this server meets it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    sys::resource::{RLIM_INFINITY, Resource, getrlimit},
    unistd::geteuid,
};

/// The smallest limit that binds this process, `None` when none could be read.
pub(super) fn read() -> Option<u64> {
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_cgroups = cgroups.lines().flat_map(|line| pids_files(line, Path::new("/sys/fs/cgroup")));
    let of_cgroups = of_cgroups.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    of_cgroups.chain(of_user()).min()
}

/// The `pids.max` files of one line of /proc/self/cgroup, from the process's group up to the root.
fn pids_files(line: &str, mount: &Path) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
        return Vec::new();
    };
    let mount = match controllers {
        "" => mount.to_path_buf(),
        _ if controllers.split(',').any(|name| name == "pids") => mount.join("pids"),
        _ => return Vec::new(),
    };
    let group = Path::new(path.trim_start_matches('/'));
    group.ancestors().map(|ancestor| mount.join(ancestor).join("pids.max")).collect()
}

/// `RLIMIT_NPROC`, which does not bind the real root.
fn of_user() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NPROC).ok()?;
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    (soft != RLIM_INFINITY && !(geteuid().is_root() && whole)).then_some(soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_up_the_tree_is_asked() {
        let mount = Path::new("/sys/fs/cgroup");
        let files = |line| -> Vec<String> {
            pids_files(line, mount).iter().map(|file| file.display().to_string()).collect()
        };
        let of_v2 = ["/sys/fs/cgroup/a/b/pids.max", "/sys/fs/cgroup/a/pids.max", "/sys/fs/cgroup/pids.max"];
        assert_eq!(files("0::/a/b"), of_v2);
        assert_eq!(files("7:pids:/a"), ["/sys/fs/cgroup/pids/a/pids.max", "/sys/fs/cgroup/pids/pids.max"]);
        assert!(files("5:memory:/a").is_empty());
        assert!(files("nonsense").is_empty());
    }
}
