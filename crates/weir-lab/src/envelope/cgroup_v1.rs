//! Envelopes from control groups version 1: a folder for this run below our own group, one for each server in it.
//!
//! Used where the pids controller is mounted the old way (older distributions, hybrid hosts). Memory and CPU live in
//! hierarchies of their own and are touched only when a scenario limits them.

use std::path::PathBuf;

use parking_lot::Mutex;

use super::{
    EnvelopeError, EnvelopeKind, EnvelopeLimits,
    cgroup::{Ground, Group, make_folder, remove_tree, sweep_stale},
    hierarchies::{Hierarchies, Version},
    run_name::RunName,
};

/// This run's folders in the v1 hierarchies; removed when dropped.
#[derive(Debug)]
pub(super) struct Tree {
    hierarchies: Hierarchies,
    run: String,
    pids: PathBuf,
    /// Folders of the hierarchies that came later (memory, cpu).
    extra: Mutex<Vec<PathBuf>>,
}

impl Tree {
    /// Makes this run's folder in the pids hierarchy and sweeps what dead runs left there.
    pub(super) fn plant(hierarchies: &Hierarchies, run: &RunName) -> Result<Self, EnvelopeError> {
        let Some(pids) = hierarchies.v1("pids") else {
            return Err(EnvelopeError::NoController {
                kind: EnvelopeKind::CgroupV1,
                controller: "pids",
                reason: "no version 1 hierarchy with it is mounted".into(),
            });
        };
        sweep_stale(&pids.own);
        let folder = pids.own.join(run.to_string());
        make_folder(&folder)?;
        let (hierarchies, run) = (hierarchies.clone(), run.to_string());
        Ok(Self { hierarchies, run, pids: folder, extra: Mutex::default() })
    }

    /// Makes the group of one server.
    pub(super) fn make(&self, name: &str, limits: &EnvelopeLimits) -> Result<Group, EnvelopeError> {
        let ground = Ground {
            version: Version::V1,
            pids: self.pids.clone(),
            memory: limits.memory_max.map(|_| self.folder_in("memory")).transpose()?,
            cpu: limits.cpu_max.map(|_| self.folder_in("cpu")).transpose()?,
        };
        Group::make(&ground, name, limits)
    }

    fn folder_in(&self, controller: &'static str) -> Result<PathBuf, EnvelopeError> {
        let Some(hierarchy) = self.hierarchies.v1(controller) else {
            return Err(EnvelopeError::NoController {
                kind: EnvelopeKind::CgroupV1,
                controller,
                reason: "no version 1 hierarchy with it is mounted".into(),
            });
        };
        let folder = hierarchy.own.join(&self.run);
        let mut extra = self.extra.lock();
        if !extra.contains(&folder) {
            sweep_stale(&hierarchy.own);
            make_folder(&folder)?;
            extra.push(folder.clone());
        }
        Ok(folder)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        remove_tree(&self.pids);
        for folder in self.extra.get_mut() {
            remove_tree(folder);
        }
    }
}
