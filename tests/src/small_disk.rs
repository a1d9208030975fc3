//! A file system of a few hundred megabytes, for tests that fill one.
//!
//! It is mounted in namespaces of a process of its own and reached through that process, so that it needs no root, nobody
//! else sees it, and it is gone with the test.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::statvfs::statvfs;

use crate::{
    process::{Process, output, wait_for_line},
    scratch, skip,
};

/// How long mounting may take on a loaded machine.
const MOUNT_TIMEOUT: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;

/// A small disk, mounted as long as this lives.
#[derive(Debug)]
pub struct SmallDisk {
    root: PathBuf,
    _holder: Process,
    _folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts one of `mebibytes`. None where the kernel does not let us: then `test` counts as skipped.
    pub fn mount(test: &str, mebibytes: u64) -> Option<Self> {
        let folder = scratch::shared_folder();
        let shell = |script: String| {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]).arg(script);
            command.current_dir(folder.path());
            command
        };
        let mount = format!("mount -t tmpfs -o size={mebibytes}m none .");
        let tried = output(&mut shell(mount.clone()), MOUNT_TIMEOUT);
        if !tried.status.success() {
            skip(test, &format!("mount a small disk: {}", String::from_utf8_lossy(&tried.stderr).trim()));
            return None;
        }
        // It holds the mount until its input ends, which is when this is dropped.
        let mut holder = shell(format!("{mount} && echo mounted && exec cat"));
        let mut holder = Process::start(holder.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let said = holder.child().stdout.take().expect("piped");
        wait_for_line(said, MOUNT_TIMEOUT, |line| (line == "mounted").then_some(()));
        let root = folder.path().strip_prefix("/").expect("an absolute path");
        let root = Path::new("/proc").join(holder.id().to_string()).join("root").join(root);
        Some(Self { root, _holder: holder, _folder: folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Mebibytes that are free on it.
    pub fn free(&self) -> u64 {
        let disk = statvfs(&self.root).expect("the mounted disk");
        disk.blocks_available() * disk.fragment_size() / MIB
    }

    /// Fills it with a file of somebody else's until `free` mebibytes are left; zero: to the last byte. The file.
    pub fn fill(&self, name: &str, free: u64) -> PathBuf {
        let path = self.root.join(name);
        let mut file = File::create(&path).expect("a file on the small disk");
        let (large, small) = (vec![1; MIB as usize], [1; 512]);
        while self.free() > free {
            file.write_all(&large).expect("there is more than a mebibyte");
        }
        if free == 0 {
            let refused = (0..MIB).find_map(|_| file.write_all(&small).err()).expect("it is full");
            assert_eq!(refused.kind(), ErrorKind::StorageFull, "{}", path.display());
        }
        path
    }

    /// Removes a file of somebody else's.
    pub fn remove(&self, file: &Path) {
        fs::remove_file(file).expect("a file that was made here");
    }
}
