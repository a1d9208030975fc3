//! What stands in the way of a user namespace of one's own, in the words of the sysctl to change.
//!
//! The namespace itself is made by the child (`enter.rs`): the lab's own process never changes namespace. Asked by the
//! probe when a child could not enter, and by `weir limits`.

use std::{fs, path::Path};

/// A setting of this host that keeps ordinary users from namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// What is set.
    pub(super) what: &'static str,
    /// The command that mends it.
    pub(super) mend: &'static str,
}

/// `(file, value that stands in the way, what it is, mend)`; the first that applies is named.
const OBSTACLES: [(&str, &str, Obstacle); 3] = [
    (
        "proc/sys/user/max_user_namespaces",
        "0",
        Obstacle { what: "user.max_user_namespaces is 0", mend: "sysctl user.max_user_namespaces=16384" },
    ),
    (
        "proc/sys/kernel/unprivileged_userns_clone",
        "0",
        Obstacle {
            what: "kernel.unprivileged_userns_clone is 0",
            mend: "sysctl kernel.unprivileged_userns_clone=1",
        },
    ),
    (
        "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        Obstacle {
            what: "kernel.apparmor_restrict_unprivileged_userns is 1",
            mend: "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        },
    ),
];

/// The first setting below `root` (`/` on a real host) that keeps an ordinary user from namespaces.
pub(super) fn obstacle(root: &Path) -> Option<Obstacle> {
    let applies =
        |file: &str, value: &str| fs::read_to_string(root.join(file)).is_ok_and(|text| text.trim() == value);
    OBSTACLES.iter().find(|(file, value, _)| applies(file, value)).map(|&(_, _, obstacle)| obstacle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sysctl_in_the_way_is_named_with_its_mend() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(obstacle(root.path()), None);
        let kernel = root.path().join("proc/sys/kernel");
        fs::create_dir_all(&kernel).unwrap();
        fs::write(kernel.join("apparmor_restrict_unprivileged_userns"), "1\n").unwrap();
        let found = obstacle(root.path()).unwrap();
        assert_eq!(found.mend, "sysctl kernel.apparmor_restrict_unprivileged_userns=0");
        fs::write(kernel.join("apparmor_restrict_unprivileged_userns"), "0\n").unwrap();
        assert_eq!(obstacle(root.path()), None);
    }
}
