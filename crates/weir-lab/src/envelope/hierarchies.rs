//! Where the kernel keeps this process's control groups: which hierarchy holds which controller, and our place in it.
//!
//! Read by the envelopes and by `weir limits`. It parses `/proc/self/mountinfo` and `/proc/self/cgroup` below a root
//! path, so that a test can hand in a tree of its own. It must never write.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The control-group version that manages a controller here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// One hierarchy for each controller.
    V1,
    /// The unified hierarchy.
    V2,
}

/// One mounted hierarchy and our place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Which kind of hierarchy it is.
    pub(crate) version: Version,
    /// Controllers of a v1 hierarchy (`pids`, `cpu`, ...); empty for v2, where each group says what it has.
    pub(crate) controllers: Vec<String>,
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// Our own control group: `mount` or a folder below it.
    pub(crate) own: PathBuf,
}

impl Hierarchy {
    /// Our own control group and those above it, nearest first, `mount` last.
    pub(crate) fn upwards(&self) -> impl Iterator<Item = &Path> {
        self.own.ancestors().take_while(|dir| dir.starts_with(&self.mount))
    }
}

/// Every hierarchy that is mounted and that this process is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hierarchies {
    found: Vec<Hierarchy>,
}

impl Hierarchies {
    /// Reads `proc/self/mountinfo` and `proc/self/cgroup` below `root` (`/` on a real host). All paths come back
    /// below `root` as well. A host without control groups gives an empty list.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let text = |path: &str| match fs::read_to_string(root.join(path)) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        };
        Ok(Self::parse(root, &text("proc/self/mountinfo")?, &text("proc/self/cgroup")?))
    }

    fn parse(root: &Path, mountinfo: &str, cgroup: &str) -> Self {
        let found = mountinfo.lines().filter_map(|line| {
            let mount = Mount::parse(line)?;
            let place = cgroup.lines().find_map(|line| mount.place_of(line))?;
            // The mount may show only a part of the hierarchy; a place outside it is seen as its top.
            let below = Path::new(place).strip_prefix(mount.root).unwrap_or(Path::new(""));
            let below = below.strip_prefix("/").unwrap_or(below);
            let at = root.join(mount.point.trim_start_matches('/'));
            let own = if below.as_os_str().is_empty() { at.clone() } else { at.join(below) };
            let controllers = mount.controllers.iter().map(|&name| name.to_owned()).collect();
            Some(Hierarchy { version: mount.version, controllers, mount: at, own })
        });
        Self { found: found.collect() }
    }

    /// The unified hierarchy, when one is mounted.
    pub(crate) fn v2(&self) -> Option<&Hierarchy> {
        self.found.iter().find(|hierarchy| hierarchy.version == Version::V2)
    }

    /// The v1 hierarchy that manages `controller`, when there is one.
    pub(crate) fn v1(&self, controller: &str) -> Option<&Hierarchy> {
        self.found.iter().find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
    }
}

/// One line of mountinfo that mounts control groups.
struct Mount<'a> {
    version: Version,
    controllers: Vec<&'a str>,
    root: &'a str,
    point: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        // 36 35 98:0 /root /mount/point options... - type source super,options
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        match right.next()? {
            "cgroup2" => Some(Self { version: Version::V2, controllers: Vec::new(), root, point }),
            "cgroup" => {
                let controllers = right.nth(1)?.split(',').filter(|option| !matches!(*option, "rw" | "ro"));
                Some(Self { version: Version::V1, controllers: controllers.collect(), root, point })
            }
            _ => None,
        }
    }

    /// The path in a line of `/proc/self/cgroup` (`8:pids:/a/b`), when the line speaks of this mount.
    fn place_of<'b>(&self, line: &'b str) -> Option<&'b str> {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, place) = (fields.next()?, fields.next()?);
        let ours = match self.version {
            Version::V2 => names.is_empty(),
            Version::V1 => !names.is_empty() && names.split(',').all(|name| self.controllers.contains(&name)),
        };
        ours.then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID_MOUNTS: &str = "\
25 20 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
34 25 0:31 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
36 25 0:33 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const HYBRID_PLACES: &str = "8:pids:/job/7\n1:cpu,cpuacct:/\n0::/\n";

    #[test]
    fn a_hybrid_host_shows_each_controller_in_its_own_hierarchy() {
        let found = Hierarchies::parse(Path::new("/"), HYBRID_MOUNTS, HYBRID_PLACES);
        assert_eq!(found.v1("pids").unwrap().own, Path::new("/sys/fs/cgroup/pids/job/7"));
        assert_eq!(found.v1("cpuacct").unwrap().mount, Path::new("/sys/fs/cgroup/cpu"));
        assert_eq!(found.v2().unwrap().own, Path::new("/sys/fs/cgroup/unified"));
        assert!(found.v1("memory").is_none());
    }

    #[test]
    fn a_container_that_sees_a_part_of_the_hierarchy_finds_itself_below_its_mount() {
        let mounts = "40 30 0:30 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let found = Hierarchies::parse(Path::new("/"), mounts, "0::/docker/abc/lab\n");
        assert_eq!(found.v2().unwrap().own, Path::new("/sys/fs/cgroup/lab"));
        let outside = Hierarchies::parse(Path::new("/"), mounts, "0::/elsewhere\n");
        assert_eq!(outside.v2().unwrap().own, Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn the_way_up_ends_at_the_mount() {
        let found = Hierarchies::parse(Path::new("/fixture"), HYBRID_MOUNTS, HYBRID_PLACES);
        let up: Vec<_> = found.v1("pids").unwrap().upwards().collect();
        let top = Path::new("/fixture/sys/fs/cgroup/pids");
        assert_eq!(up, [top.join("job/7").as_path(), top.join("job").as_path(), top]);
    }

    #[test]
    fn a_host_without_control_groups_has_none() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(Hierarchies::read(empty.path()).unwrap(), Hierarchies::default());
    }
}
