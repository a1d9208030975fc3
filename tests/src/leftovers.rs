//! What a `weir` may leave on the host: processes and control groups, found by marks that only it has.
//!
//! Other runs on the same host are none of a test's business. A process is known by its temporary folder, which it has
//! from its ancestors' environment, whoever its parent is by now; a group by the process id in the name of its run.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Command lines of all processes whose TMPDIR is `folder`, with their process ids. One that ended and waits to be
/// reaped has no environment any more, and is not among them.
pub fn processes(folder: &Path) -> Vec<(i32, String)> {
    let mark = format!("TMPDIR={}", folder.display());
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
    // A process may end while it is looked at: then it is not left.
    let marked = pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
    });
    let told = marked.map(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (pid, String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned())
    });
    told.collect()
}

/// The control groups that the `weir` with process id `pid` made, in whatever hierarchy.
pub fn control_groups(pid: i32) -> Vec<PathBuf> {
    let own = fs::read_link("/proc/self/ns/pid").expect("our pid namespace");
    let namespace: String = own.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    let of_run = format!("weir-{namespace}-{pid}-");
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().starts_with(&of_run) {
                    found.push(entry.path());
                } else {
                    folders.push(entry.path());
                }
            }
        }
    }
    found
}
