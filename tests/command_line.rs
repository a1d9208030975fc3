//! The command line as a script sees it: exit codes, stdout for data, one sentence for a mistake.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use weir_tests::{
    leftovers,
    process::{Process, output},
    scratch, weir,
};

fn weir_with(arguments: &[&str]) -> (i32, String, String) {
    let ended = output(Command::new(weir()).args(arguments), Duration::from_secs(60));
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
    for wanted in ["kernel.pid_max", "kernel.threads-max", "vm.max_map_count"] {
        assert!(names.iter().any(|name| name.contains(wanted)), "{wanted} is missing in {names:?}");
    }
    let binding: Vec<u64> = limits.iter().filter_map(|limit| limit["binds_at_n"].as_u64()).collect();
    assert!(!binding.is_empty() && binding.is_sorted(), "{binding:?}");
    let (code, table, _) = weir_with(&["limits"]);
    assert!(code == 0 && table.contains("kernel.pid_max"));
}

#[test]
fn ctrl_c_while_the_kernels_limits_are_tried_puts_them_back_first() {
    // A slow machine may let the last try end before the signal comes: what counts is one that came in time.
    for _ in 0..20 {
        let folder = scratch::shared_folder();
        let mut command = Command::new(weir());
        command.arg("limits").env("TMPDIR", folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut limits = Process::start(&mut command);
        let own = limits.id().as_raw();
        let tries = || leftovers::processes(folder.path()).iter().any(|(pid, _)| *pid != own);
        while !tries() && !limits.has_ended() {
            std::hint::spin_loop();
        }
        limits.signal(Signal::SIGINT);
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
        (&["serve", "--credentials", "/nowhere/credentials"], "/nowhere/credentials"),
    ] {
        let (code, out, errors) = weir_with(arguments);
        assert_eq!(code, 2, "{arguments:?}: {errors}");
        assert!(out.is_empty(), "{arguments:?}: stdout is data");
        assert!(errors.contains(mend), "{arguments:?}: {errors}");
    }
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
