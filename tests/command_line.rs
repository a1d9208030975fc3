//! The command line as a script sees it: exit codes, stdout for data, one sentence for a mistake.

use std::{
    fs,
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_tests::{
    leftovers,
    process::{Process, output},
    scratch,
    server::Server,
    skip, user, weir,
};

fn weir_with(arguments: &[&str]) -> (i32, String, String) {
    said(Command::new(weir()).args(arguments))
}

/// Exit code, stdout, stderr.
fn said(command: &mut Command) -> (i32, String, String) {
    let ended = output(command, Duration::from_secs(60));
    (
        ended.status.code().expect("it was not killed"),
        String::from_utf8_lossy(&ended.stdout).into_owned(),
        String::from_utf8_lossy(&ended.stderr).into_owned(),
    )
}

#[test]
fn limits_lists_every_limit_smallest_first() {
    let (code, out, _) = weir_with(&["limits", "--json"]);
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let limits = report["limits"].as_array().expect("a list");
    let names: Vec<&str> = limits.iter().map(|limit| limit["name"].as_str().expect("a name")).collect();
    for wanted in [
        "pids.max",
        "RLIMIT_NPROC",
        "kernel.pid_max",
        "kernel.threads-max",
        "vm.max_map_count",
        "RLIMIT_NOFILE",
        "net.ipv4.ip_local_port_range",
        "memory.max",
        "memory available",
    ] {
        assert!(names.contains(&wanted), "{wanted} is missing in {names:?}");
    }
    let binding: Vec<u64> = limits.iter().filter_map(|limit| limit["binds_at_n"].as_u64()).collect();
    assert!(!binding.is_empty() && binding.is_sorted(), "{binding:?}");
    let (code, table, _) = weir_with(&["limits"]);
    assert!(code == 0 && table.contains("kernel.pid_max"));
}

#[test]
fn serve_lists_the_limits_that_its_flags_set() {
    let (code, out, _) = weir_with(&["serve", "--list-limits", "--json", "--limit", "CreateStream=7/s"]);
    assert_eq!(code, 0);
    let listed: Value = serde_json::from_str(&out).expect("JSON");
    let value = |name: &str| {
        let limits = listed["limits"].as_array().expect("a list");
        limits.iter().find(|limit| limit["name"] == name).expect("is listed")["value"].clone()
    };
    assert_eq!(value("CreateStream"), "7/s");
    assert_eq!(value("shard-write-bytes"), "1MiB/s");
    let (code, table, _) = weir_with(&["serve", "--list-limits", "--shard-limits", "off"]);
    assert!(
        code == 0 && table.lines().any(|line| line.starts_with("shard-write-bytes") && line.contains("off"))
    );
}

#[test]
fn ctrl_c_while_the_kernels_limits_are_tried_puts_them_back_first() {
    // It is led on step by step and looked at while it stands still, so that the signal comes while a limit is tried. A busy
    // machine may still let all tries pass within one step: then it is led anew. `env`, because tests that a shell runs in the
    // background have it that Ctrl-C is ignored, and so has what they start.
    for _ in 0..20 {
        let folder = scratch::shared_folder();
        let mut command = Command::new("env");
        command.arg("--default-signal=INT").arg(weir()).arg("limits").env("TMPDIR", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut limits = Process::start(&mut command);
        let own = limits.id().as_raw();
        let tries = || {
            !leftovers::control_groups(own).is_empty()
                || leftovers::processes(folder.path()).iter().any(|(pid, _)| *pid != own)
        };
        while limits.stand_still() && !tries() {
            limits.go_on();
        }
        limits.signal(Signal::SIGINT);
        limits.signal(Signal::SIGCONT);
        let ended = limits.wait(Duration::from_secs(30));
        assert_eq!(leftovers::control_groups(own), Vec::<std::path::PathBuf>::new());
        assert_eq!(leftovers::processes(folder.path()), Vec::new());
        if ended.signal() == Some(Signal::SIGINT as i32) {
            return;
        }
        assert!(ended.success(), "nothing else ends it: {ended}");
    }
    panic!("the signal always came too late");
}

#[test]
fn mistakes_are_usage_errors_of_one_sentence_with_the_mend() {
    for (arguments, mend) in [
        (&["run", "kinesis-2021"][..], "kinesis-2020"),
        (&["run", "--arm", "shard"], "shared"),
        (&["load", "--endpoint", "http://127.0.0.1:1", "--stream", "s", "--rate", "5"], "200/s"),
        (&["serve", "--data"], "--data"),
        (&["serve", "--listen", "foo"], "write ADDRESS:PORT"),
        (&["run", "--seed", "x"], "write a whole number"),
        (&["run", "--time-scale", "0"], "above 0"),
        (&["serv"], "did you mean 'serve'?"),
        (&["serve", "--limit", "CreateStrem=5/s"], "did you mean \"CreateStream\"?"),
        (&["serve", "--limit", "shard-write-bytes=1"], "4MiB/s"),
        (&["serve", "--limits-scale", "0"], "between 0.001 and 1000"),
        (&["serve", "--faults", "/nowhere/faults.toml"], "/nowhere/faults.toml"),
        (&["serve", "--credentials", "/nowhere/credentials"], "/nowhere/credentials"),
        (&["serve", "--tls-cert", "/nowhere/cert.pem"], "give both"),
        (&["serve", "--tls-listen", "127.0.0.1:0"], "--tls-self-signed"),
        (&["serve", "--tls-self-signed", "--tls-cert", "c", "--tls-key", "k"], "leave out"),
        (&["serve", "--tls-cert", "/nowhere/cert.pem", "--tls-key", "k"], "/nowhere/cert.pem"),
    ] {
        let (code, out, errors) = weir_with(arguments);
        assert_eq!(code, 2, "{arguments:?}: {errors}");
        assert!(out.is_empty(), "{arguments:?}: stdout is data");
        assert!(errors.contains(mend), "{arguments:?}: {errors}");
        let lines: Vec<&str> = errors.lines().collect();
        assert!(matches!(lines[..], [line] if line.starts_with("weir: ")), "{arguments:?}: {errors}");
    }
}

/// Everything that prints a list and ends.
const LISTS: [&[&str]; 8] = [
    &["serve", "--list-operations"],
    &["serve", "--list-operations", "--json"],
    &["serve", "--list-limits"],
    &["serve", "--list-limits", "--json"],
    &["limits"],
    &["limits", "--json"],
    &["run", "--list"],
    &["schema"],
];

/// Exit code and stderr of a list whose stdout is this.
fn listed(arguments: &[&str], out: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut process = Process::start(Command::new(weir()).args(arguments).stdout(out).stderr(Stdio::piped()));
    let code = process.wait(Duration::from_secs(60)).code();
    let mut errors = String::new();
    process.child().stderr.take().expect("piped").read_to_string(&mut errors).expect("UTF-8");
    (code, errors)
}

#[test]
fn a_list_whose_reader_has_gone_ends_quietly_and_one_that_cannot_be_written_says_so() {
    for arguments in LISTS {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(listed(arguments, writer), (Some(0), String::new()), "{arguments:?}");
        let full = fs::File::options().write(true).open("/dev/full").expect("it is there");
        let (code, errors) = listed(arguments, full);
        assert!(code == Some(3) && errors.starts_with("weir: write to stdout: "), "{arguments:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn a_server_outlives_its_log_and_a_mistake_keeps_its_code_where_stderr_takes_nothing() {
    let server = Server::start_logging_to(Path::new("/dev/full"), &[]);
    server.ok("ListStreams", &json!({}));
    let full = fs::File::options().write(true).open("/dev/full").expect("it is there");
    let mut mistaken = Process::start(Command::new(weir()).args(["limits", "--jsn"]).stderr(full));
    assert_eq!(mistaken.wait(Duration::from_secs(60)).code(), Some(2));
}

#[test]
fn a_port_in_use_ends_with_3_and_says_which_flag_to_change() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("its address");
    let (address, port) = (address.to_string(), address.port().to_string());
    let node = ["node", "frontend", "--name", "n", "--address", "127.0.0.1", "--control", "127.0.0.1:1"];
    let node = [&node[..], &["--port", "0", "--admin-port", &port]].concat();
    for (arguments, flag) in [
        (&["serve", "--listen", &address][..], "--listen"),
        (&["serve", "--listen", "127.0.0.1:0", "--admin", &address], "--admin"),
        (
            &["serve", "--listen", "127.0.0.1:0", "--tls-self-signed", "--tls-listen", &address],
            "--tls-listen",
        ),
        (&node, "--admin-port"),
    ] {
        let (code, _, errors) = weir_with(arguments);
        assert_eq!(code, 3, "{errors}");
        let mend = format!("end who listens there, or give {flag} another port");
        assert!(errors.contains(&address) && errors.contains(&mend), "{errors}");
    }
}

#[test]
fn a_load_that_nobody_serves_ends_with_1_and_says_why() {
    // A port that was free a moment ago, at which nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let load = ["load", "--endpoint", &endpoint, "--stream", "s", "--rate", "50/s", "--duration", "200ms"];
    let (code, out, errors) = weir_with(&load);
    assert_eq!(code, 1, "{errors}");
    assert!(out.contains("x connect"), "the report is told all the same: {out}");
    assert!(errors.contains("no call succeeded: nobody listens"), "{errors}");
}

/// A port that the kernel chooses.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// `weir node ROLE` with this service port and any admin port.
fn node_at(role: &str, service: SocketAddr, more: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(weir());
    command.args([
        "node",
        role,
        "--name",
        "n",
        "--address",
        "127.0.0.1",
        "--port",
        &service.port().to_string(),
    ]);
    said(command.args(["--admin-port", "0"]).args(more))
}

#[test]
fn a_server_whose_port_is_taken_ends_with_3_says_which_and_was_never_a_member() {
    let listen = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (taken, control) = (listen(), listen());
    control.set_nonblocking(true).expect("a plain socket");
    let busy = taken.local_addr().expect("it is bound");
    let plane = control.local_addr().expect("it is bound").to_string();
    let busy_port = busy.port().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("UTF-8");
    for (role, service, more) in [
        ("frontend", busy, &["--control", &plane, "--mesh-port", "0"][..]),
        ("frontend", ANY_PORT, &["--control", &plane, "--mesh-port", &busy_port]),
        ("cache", ANY_PORT, &["--control", &plane, "--mesh-port", &busy_port]),
        ("backend", busy, &["--control", &plane, "--data", data]),
        ("consumer", busy, &["--control", &plane, "--kind", "auth-cache", "--stream", "s"]),
    ] {
        let (code, out, errors) = node_at(role, service, more);
        assert_eq!((code, out.as_str()), (3, ""), "{role}: {errors}");
        assert!(errors.contains(&format!("on {busy}: ")), "{role}: {errors}");
        let asked = control.accept().expect_err("nobody was to ask the control plane");
        assert_eq!(asked.kind(), io::ErrorKind::WouldBlock, "{role}");
    }
}

#[test]
fn a_data_folder_that_can_be_none_is_a_usage_error_of_every_role() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, b"").expect("write a file");
    for data in ["/proc/x", file.to_str().expect("UTF-8")] {
        let served = weir_with(&["serve", "--listen", "127.0.0.1:0", "--data", data]);
        let node = node_at("backend", ANY_PORT, &["--control", "127.0.0.1:1", "--data", data]);
        for (code, out, errors) in [served, node] {
            assert_eq!((code, out.as_str()), (2, ""), "{data}: {errors}");
            assert!(errors.contains(data) && errors.contains("os error"), "{data}: {errors}");
        }
    }
}

/// A shell without root and without control groups, in which `first` holds and `weir` then becomes the process.
/// `None`, and told: this host lets an ordinary user have no namespace to hide them in.
fn weir_without_control_groups(
    test: &str,
    folder: &TempDir,
    first: &str,
    arguments: &[&str],
) -> Option<Command> {
    let shell = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        command.arg(format!("mount -t tmpfs none /sys/fs/cgroup && {script}"));
        user::without_root(command.current_dir(folder.path()).env("TMPDIR", folder.path()));
        command
    };
    let hidden = output(&mut shell("true"), Duration::from_secs(30));
    if !hidden.status.success() {
        skip(test, &format!("unshare: {}", String::from_utf8_lossy(&hidden.stderr).trim()));
        return None;
    }
    let mut command = shell(&format!("{first} && exec \"$0\" \"$@\""));
    command.arg(scratch::binary_for_everybody(folder)).args(arguments);
    Some(command)
}

#[test]
fn where_no_limit_can_be_set_a_run_ends_with_3_and_says_what_to_change() {
    let folder = scratch::shared_folder();
    let out = folder.path().join("result");
    let arguments = ["run", "--out", out.to_str().expect("UTF-8")];
    let first = "echo 0 > /proc/sys/user/max_user_namespaces";
    let test = "where_no_limit_can_be_set_a_run_ends_with_3_and_says_what_to_change";
    let Some(mut command) = weir_without_control_groups(test, &folder, first, &arguments) else { return };
    let (code, data, errors) = said(&mut command);
    assert_eq!(code, 3, "{errors}");
    assert!(data.is_empty(), "{data}");
    for told in ["cgroup-v2", "cgroup-v1", "user-namespace", "uid", "sysctl user.max_user_namespaces"] {
        assert!(errors.contains(told), "{told}: {errors}");
    }
    assert!(!out.exists(), "there is no result");
}

#[test]
fn a_limit_that_this_kind_of_envelope_cannot_hold_ends_with_3_and_names_the_key() {
    let folder = scratch::shared_folder();
    let scenario = folder.path().join("small.toml");
    let small = fs::read_to_string(scratch::scenario("small")).expect("the scenario");
    let limited = small.replace("[envelope]\n", "[envelope]\nmemory_max = \"64MiB\"\n");
    assert_ne!(small, limited);
    fs::write(&scenario, limited).expect("write the scenario");
    let out = folder.path().join("result");
    let arguments = ["run", scenario.to_str().expect("UTF-8"), "--out", out.to_str().expect("UTF-8")];
    let test = "a_limit_that_this_kind_of_envelope_cannot_hold_ends_with_3_and_names_the_key";
    let Some(mut command) = weir_without_control_groups(test, &folder, "true", &arguments) else { return };
    let (code, _, errors) = said(&mut command);
    assert_eq!(code, 3, "{errors}");
    assert!(errors.contains("envelope.memory_max") && errors.contains("leave that key out"), "{errors}");
}

#[test]
fn a_run_that_the_host_has_no_room_for_ends_with_3_before_its_first_server() {
    let folder = scratch::shared_folder();
    let out = folder.path().join("result");
    let mut command = Command::new("prlimit");
    command.arg("--nproc=4000").arg(scratch::binary_for_everybody(&folder));
    command.args(["run", "kinesis-2020", "--out"]).arg(&out);
    user::without_root(command.current_dir(folder.path()).env("TMPDIR", folder.path()));
    let (code, _, errors) = said(&mut command);
    assert_eq!(code, 3, "{errors}");
    assert!(errors.contains("RLIMIT_NPROC") && errors.contains("leaves"), "{errors}");
    assert!(!out.exists(), "there is no result");
}

#[test]
fn the_shipped_scenarios_are_listed_and_the_schema_is_json() {
    let (code, out, _) = weir_with(&["run", "--list"]);
    assert!(code == 0 && out.contains("kinesis-2020") && out.contains("kinesis-2020-large"), "{out}");
    let (code, out, _) = weir_with(&["schema"]);
    assert_eq!(code, 0);
    let schema: Value = serde_json::from_str(&out).expect("JSON");
    assert!(schema["properties"]["phases"].is_object());
}
