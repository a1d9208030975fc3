//! Envelopes from control groups version 2: a folder for this run at the nearest place of the tree that lets us.
//!
//! A group that holds processes cannot pass controllers on, so our own group seldom will do; the walk goes up from there
//! and takes the first folder in which pids is on (or can be switched on) and where we may make a folder. It never moves a
//! process that is not ours.

use std::{
    fs,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use super::{
    EnvelopeError, EnvelopeKind, EnvelopeLimits,
    cgroup::{Ground, Group, make_folder, remove_tree, sweep_stale, write},
    hierarchies::{Hierarchies, Version},
    run_name::RunName,
};

/// This run's folder; removed when dropped, with whatever was switched on above it.
#[derive(Debug)]
pub(super) struct Tree {
    run: PathBuf,
    parent: PathBuf,
    /// Controllers that we switched on for the children of `parent`.
    switched_on: Mutex<Vec<&'static str>>,
}

impl Tree {
    /// Makes this run's folder and sweeps what dead runs left beside it.
    pub(super) fn plant(hierarchies: &Hierarchies, run: &RunName) -> Result<Self, EnvelopeError> {
        let refuse = |reason: String| EnvelopeError::NoController {
            kind: EnvelopeKind::CgroupV2,
            controller: "pids",
            reason,
        };
        let own = hierarchies.v2().ok_or_else(|| refuse("the unified hierarchy is not mounted".into()))?;
        let mut reasons = Vec::new();
        for parent in own.upwards() {
            match Self::plant_in(parent, run) {
                Ok(tree) => return Ok(tree),
                Err(EnvelopeError::NoController { reason, .. }) => {
                    reasons.push(format!("{}: {reason}", parent.display()));
                }
                Err(error) => reasons.push(error.to_string()),
            }
        }
        Err(refuse(reasons.join("; ")))
    }

    fn plant_in(parent: &Path, run: &RunName) -> Result<Self, EnvelopeError> {
        sweep_stale(parent);
        let tree = Self {
            run: parent.join(run.to_string()),
            parent: parent.to_path_buf(),
            switched_on: Mutex::default(),
        };
        tree.switch_on_in_parent("pids")?;
        make_folder(&tree.run)?;
        write(&tree.run.join("cgroup.subtree_control"), "+pids")?;
        Ok(tree)
    }

    fn switch_on_in_parent(&self, controller: &'static str) -> Result<(), EnvelopeError> {
        let has = |file: &str| {
            let text = fs::read_to_string(self.parent.join(file)).unwrap_or_default();
            text.split_ascii_whitespace().any(|name| name == controller)
        };
        if !has("cgroup.controllers") {
            return Err(EnvelopeError::NoController {
                kind: EnvelopeKind::CgroupV2,
                controller,
                reason: "not delegated to here".into(),
            });
        }
        if !has("cgroup.subtree_control") {
            write(&self.parent.join("cgroup.subtree_control"), &format!("+{controller}"))?;
            self.switched_on.lock().push(controller);
        }
        Ok(())
    }

    /// Makes the group of one server.
    pub(super) fn make(&self, name: &str, limits: &EnvelopeLimits) -> Result<Group, EnvelopeError> {
        let ground = Ground {
            version: Version::V2,
            pids: self.run.clone(),
            memory: limits.memory_max.map(|_| self.with("memory")).transpose()?,
            cpu: limits.cpu_max.map(|_| self.with("cpu")).transpose()?,
        };
        Group::make(&ground, name, limits)
    }

    fn with(&self, controller: &'static str) -> Result<PathBuf, EnvelopeError> {
        self.switch_on_in_parent(controller)?;
        write(&self.run.join("cgroup.subtree_control"), &format!("+{controller}"))?;
        Ok(self.run.clone())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        remove_tree(&self.run);
        for controller in self.switched_on.get_mut() {
            // Somebody else may have come to need it meanwhile: then the kernel says so, and it stays on.
            let _ = write(&self.parent.join("cgroup.subtree_control"), &format!("-{controller}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as a systemd host shows it: the top passes pids on, the user's slice does not, and we are in a scope.
    fn host(root: &Path, top_controllers: &str) -> Hierarchies {
        let own = root.join("sys/fs/cgroup/user.slice/session-1.scope");
        fs::create_dir_all(&own).unwrap();
        fs::create_dir_all(root.join("proc/self")).unwrap();
        fs::write(root.join("proc/self/mountinfo"), "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
            .unwrap();
        fs::write(root.join("proc/self/cgroup"), "0::/user.slice/session-1.scope\n").unwrap();
        let top = root.join("sys/fs/cgroup");
        fs::write(top.join("cgroup.controllers"), top_controllers).unwrap();
        fs::write(top.join("cgroup.subtree_control"), "memory").unwrap();
        fs::write(top.join("user.slice/cgroup.controllers"), "memory").unwrap();
        fs::write(own.join("cgroup.controllers"), "").unwrap();
        Hierarchies::read(root).unwrap()
    }

    #[test]
    fn the_nearest_group_that_passes_pids_on_is_taken_and_the_limit_written_there() {
        let root = tempfile::tempdir().unwrap();
        let hierarchies = host(root.path(), "cpu memory pids");
        let tree = Tree::plant(&hierarchies, &RunName::own()).unwrap();
        let top = root.path().join("sys/fs/cgroup");
        assert_eq!(tree.parent, top, "neither our scope nor the slice has pids");
        assert_eq!(fs::read_to_string(top.join("cgroup.subtree_control")).unwrap(), "+pids");
        let limits = EnvelopeLimits { threads_max: 43, memory_max: None, cpu_max: None };
        let group = tree.make("fe-01", &limits).unwrap();
        assert_eq!(fs::read_to_string(tree.run.join("fe-01/pids.max")).unwrap(), "43");
        group.files().set_threads_max(48).unwrap();
        assert_eq!(group.files().evidence().threads_max, Some(48));
        drop((group, tree));
        assert_eq!(fs::read_to_string(top.join("cgroup.subtree_control")).unwrap(), "-pids", "put back");
    }

    #[test]
    fn counters_are_read_from_the_names_that_version_two_uses() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::plant(&host(root.path(), "memory pids"), &RunName::own()).unwrap();
        let limits = EnvelopeLimits {
            threads_max: 43,
            memory_max: Some(weir_core::units::Size(1 << 26)),
            cpu_max: None,
        };
        let group = tree.make("fe-01", &limits).unwrap();
        let own = tree.run.join("fe-01");
        assert_eq!(fs::read_to_string(own.join("memory.max")).unwrap(), "67108864");
        fs::write(own.join("pids.events"), "max 7\n").unwrap();
        fs::write(own.join("pids.peak"), "43\n").unwrap();
        fs::write(own.join("memory.events"), "low 0\noom 1\noom_kill 1\n").unwrap();
        let seen = group.files().evidence();
        assert_eq!((seen.refusals, seen.threads_peak, seen.oom_kills), (Some(7), Some(43), Some(1)));
        assert_eq!(seen.threads, None, "a file that is not there is not a zero");
    }

    #[test]
    fn without_the_controller_every_place_on_the_way_says_why() {
        let root = tempfile::tempdir().unwrap();
        let error = Tree::plant(&host(root.path(), "memory"), &RunName::own()).unwrap_err().to_string();
        assert_eq!(error.matches("not delegated to here").count(), 3, "{error}");
        assert!(error.contains("user.slice"), "{error}");
    }
}
