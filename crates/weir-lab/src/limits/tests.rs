//! Limits of hosts that are folders of files.

use std::{fs, path::Path};

use super::*;

/// The measured host of the docs: pid_max 32,768 is what a full mesh meets first.
fn host(root: &Path) {
    let files = [
        ("proc/loadavg", "0.10 0.20 0.30 1/63 4242\n"),
        ("proc/meminfo", "MemTotal:       25165824 kB\nMemAvailable:   23068672 kB\n"),
        ("proc/sys/kernel/pid_max", "32768\n"),
        ("proc/sys/kernel/threads-max", "192730\n"),
        ("proc/sys/vm/max_map_count", "65530\n"),
        ("proc/sys/fs/file-max", "9223372036854775807\n"),
        ("proc/sys/fs/file-nr", "1024\t0\t9223372036854775807\n"),
        ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
        (
            "proc/self/limits",
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max processes             4096                 5000                 processes \n\
             Max open files            1024                 20000                files     \n\
             Max msgqueue size         unlimited            unlimited            bytes     \n",
        ),
        ("proc/self/status", "Name:\tweir\nUid:\t1000\t1000\t1000\t1000\nThreads:\t1\n"),
        ("proc/self/uid_map", "         0          0 4294967295\n"),
        ("proc/7/status", "Name:\tsh\nUid:\t1000\t1000\t1000\t1000\nThreads:\t3\n"),
        ("proc/8/status", "Name:\tinit\nUid:\t0\t0\t0\t0\nThreads:\t90\n"),
        ("proc/self/mountinfo", "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
        ("proc/self/cgroup", "0::/user.slice/lab.scope\n"),
        ("sys/fs/cgroup/user.slice/pids.max", "10000\n"),
        ("sys/fs/cgroup/user.slice/pids.current", "100\n"),
        ("sys/fs/cgroup/user.slice/lab.scope/pids.max", "max\n"),
    ];
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn report(root: &Path) -> LimitsReport {
    LimitsReport::new(&HostFacts::read(root).unwrap(), MeshCosts::new(6, 1), Vec::new())
}

fn n_of(report: &LimitsReport, name: &str) -> Option<u64> {
    report.limits.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row {name}")).binds_at_n
}

#[test]
fn each_limit_binds_at_the_first_fleet_size_that_does_not_fit() {
    let root = tempfile::tempdir().unwrap();
    host(root.path());
    let report = report(root.path());
    // Of RLIMIT_NPROC the hard limit counts: the lab raises itself to it.
    // 6N + N(N-1) > free, counted up by hand, with 9,900, 4,997, 32,405 and 192,667 free.
    assert_eq!(n_of(&report, "pids.max"), Some(98));
    assert_eq!(n_of(&report, "RLIMIT_NPROC"), Some(69));
    assert_eq!(n_of(&report, "kernel.pid_max"), Some(178));
    assert_eq!(n_of(&report, "kernel.threads-max"), Some(437));
    // 32 + 2(N-1) > 20,000 and 1(N-1) > 28,232.
    assert_eq!(n_of(&report, "RLIMIT_NOFILE"), Some(9_986));
    assert_eq!(n_of(&report, "net.ipv4.ip_local_port_range"), Some(28_234));
    assert_eq!(report.limits[0].name, "RLIMIT_NPROC", "the smallest comes first");
}

#[test]
fn n_is_exact_against_counting_up_one_by_one() {
    let costs = MeshCosts::new(7, 3);
    for free in [0, 1, 6, 7, 8, 400, 401, 9_999, 123_456] {
        let by_hand = (1..).find(|&n| costs.threads(n).0 > u128::from(free));
        assert_eq!(first_beyond(free, |n| costs.threads(n).0), by_hand, "free {free}");
    }
}

fn row<'a>(report: &'a LimitsReport, name: &str) -> &'a LimitRow {
    report.limits.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row {name}"))
}

#[test]
fn a_limit_that_does_not_bind_root_is_shown_and_called_that() {
    let root = tempfile::tempdir().unwrap();
    host(root.path());
    fs::write(root.path().join("proc/self/status"), "Uid:\t0\t0\t0\t0\nThreads:\t1\n").unwrap();
    let of_root = report(root.path());
    let nproc = row(&of_root, "RLIMIT_NPROC");
    assert_eq!((nproc.binds_at_n, nproc.limit), (None, Some(5_000)));
    assert_eq!(nproc.formula, "does not bind root");
    // Root of a container whose uids are mapped is somebody else to the kernel, and is bound.
    fs::write(root.path().join("proc/self/uid_map"), "0 100000 65536\n").unwrap();
    assert!(n_of(&report(root.path()), "RLIMIT_NPROC").is_some());
}

#[test]
fn what_is_unlimited_is_shown_as_that_and_what_this_kernel_has_not_is_no_row() {
    let root = tempfile::tempdir().unwrap();
    host(root.path());
    fs::remove_file(root.path().join("proc/sys/kernel/threads-max")).unwrap();
    fs::write(root.path().join("sys/fs/cgroup/user.slice/pids.max"), "max\n").unwrap();
    let limits = "Max processes unlimited unlimited processes\nMax open files 1024 unlimited files\n";
    fs::write(root.path().join("proc/self/limits"), limits).unwrap();
    let report = report(root.path());
    assert!(!report.limits.iter().any(|row| row.name == "kernel.threads-max"));
    for name in ["pids.max", "RLIMIT_NPROC", "RLIMIT_NOFILE", "memory.max"] {
        let row = row(&report, name);
        assert_eq!((row.binds_at_n, row.limit, row.formula.as_str()), (None, None, "unlimited"), "{name}");
    }
    assert_eq!(n_of(&report, "fs.file-max"), None, "no fleet comes near");
    let table = report.to_string();
    assert!(
        table.lines().any(|line| line.contains("never  host    pids.max") && line.contains("none")),
        "{table}"
    );
}

#[test]
fn a_run_finds_room_up_to_the_last_thread_of_the_nearest_limit() {
    let root = tempfile::tempdir().unwrap();
    host(root.path());
    let facts = HostFacts::read(root.path()).unwrap();
    // 5,000 by the user's own limit less the 3 threads that he has; the slice would give 9,900.
    assert_eq!(facts.room_for(4_997, true), Ok(()));
    let refused = facts.room_for(4_998, true).unwrap_err();
    assert_eq!((refused.name, refused.free), ("RLIMIT_NPROC", 4_997));
    let of_root = HostFacts { root: true, ..facts };
    assert_eq!(of_root.room_for(9_901, true).unwrap_err().name, "pids.max");
    // In a group that stands elsewhere only what the kernel keeps for all is left: 32,768 - 63 - 300.
    assert_eq!(of_root.room_for(32_405, false), Ok(()));
    let refused = of_root.room_for(32_406, false).unwrap_err().to_string();
    assert!(refused.contains("kernel.pid_max") && refused.contains("32405"), "{refused}");
}

#[test]
fn a_file_that_makes_no_sense_is_an_error_that_names_it() {
    let root = tempfile::tempdir().unwrap();
    host(root.path());
    fs::write(root.path().join("proc/sys/kernel/pid_max"), "lots\n").unwrap();
    let error = HostFacts::read(root.path()).unwrap_err().to_string();
    assert!(error.contains("pid_max") && error.contains("lots"), "{error}");
}

#[test]
fn this_host_can_be_read_and_its_table_names_every_row() {
    let facts = HostFacts::read(Path::new("/")).unwrap();
    let report = LimitsReport::new(&facts, MeshCosts::new(6, 1), Vec::new());
    let table = report.to_string();
    assert!(report.limits.len() >= 6, "{table}");
    assert!(report.limits.iter().all(|row| table.contains(&row.formula)), "{table}");
    let order: Vec<_> = report.limits.iter().filter_map(|row| row.binds_at_n).collect();
    assert!(order.is_sorted(), "{order:?}");
}
