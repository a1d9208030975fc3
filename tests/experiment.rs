//! `weir run` from outside: the main experiment as root and as an ordinary user, the report in a browser, Ctrl-C.
//!
//! The full experiment takes about a minute; it is run once for each kind of user, and everything that can be asked of
//! its result is asked of that one run.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use weir_tests::{
    page::Page,
    process::{Process, output, wait_for_line},
    scratch, weir,
};

/// How long the main experiment may take on a loaded machine before the test gives up.
const RUN_TIMEOUT: Duration = Duration::from_secs(300);

/// Experiments share the machine's cores: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn arm<'a>(summary: &'a Value, name: &str) -> &'a Value {
    let arms = summary["arms"].as_array().expect("arms");
    arms.iter().find(|arm| arm["name"] == name).unwrap_or_else(|| panic!("there is no arm {name}"))
}

/// What bar 1 asks of a run, whoever ran it.
fn assert_faithful(summary: &Value) {
    let shared = arm(summary, "shared");
    assert!(shared["observed_n_star"].is_u64(), "the cliff was met: {shared}");
    assert_eq!(shared["observed_n_star"], shared["predicted_n_star"]);
    assert!(shared["refusals"].as_u64().expect("a count") > 0);
    for name in ["cellular", "cache-fleet", "raised-limit", "control"] {
        let arm = arm(summary, name);
        assert_eq!(arm["refusals"], 0, "{name}");
        for stage in ["baseline", "cliff", "recovery"] {
            let ratio = arm["success_ratio"][stage].as_f64().expect("a ratio");
            assert!(ratio >= 0.999, "{name}: success in {stage} is {ratio}");
        }
    }
    for arm in summary["arms"].as_array().expect("arms") {
        for fault in ["lost", "duplicated", "reordered"] {
            assert_eq!(arm["integrity"][fault], 0, "{}: {fault}", arm["name"]);
        }
        assert!(arm["integrity"]["acknowledged"].as_u64().expect("a count") > 0);
    }
    let signatures = &shared["signatures"];
    for signature in ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S9"] {
        assert_eq!(signatures[signature], "held", "{signature}: {}", shared["reasons"][signature]);
    }
}

/// The consumers' part of the story: sign-in fails under `block` and not under `drop-newest`, alarms lose their data,
/// events come late and catch up.
fn assert_consumers(summary: &Value) {
    let consumers = &arm(summary, "shared")["consumers"];
    let sign_in = |name: &str| consumers[name]["sign_in_success_ratio"]["cliff"].as_f64();
    let (block, drop) = (sign_in("auth-block"), sign_in("auth-drop"));
    assert!(block.is_some_and(|ratio| ratio < 0.9), "a blocking buffer fails sign-ins: {block:?}");
    assert!(drop.is_some_and(|ratio| ratio >= 0.99), "a dropping buffer does not: {drop:?}");
    let of = |name: &str, number: &str| consumers[name][number].as_f64();
    let dark = of("metrics", "alarms_insufficient_data_max");
    assert!(dark.is_some_and(|alarms| alarms > 0.0), "alarms lose their data: {dark:?}");
    let (lag, drained) = (of("bus", "lag_seconds_max"), of("bus", "seconds_to_drain"));
    assert!(lag.is_some_and(|seconds| seconds > 5.0), "events come late: {lag:?}");
    assert!(drained.is_some(), "and their backlog drains: {}", consumers["bus"]);
}

fn run_json(command: &mut Command) -> Value {
    let ended = output(command, RUN_TIMEOUT);
    let errors = String::from_utf8_lossy(&ended.stderr);
    let summary: Value = serde_json::from_slice(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{errors}", String::from_utf8_lossy(&ended.stdout)));
    assert!(ended.status.success(), "{}: {summary:#}\n{errors}", ended.status);
    summary
}

#[test]
fn the_main_experiment_is_faithful_and_its_report_opens_in_a_browser() {
    let _turn = ONE_AT_A_TIME.lock();
    let folder = scratch::shared_folder();
    let out = folder.path().join("result");
    let summary = run_json(Command::new(weir()).args(["run", "--json", "--out"]).arg(&out));
    assert_faithful(&summary);
    assert_consumers(&summary);
    let again = output(Command::new(weir()).args(["report", "--json"]).arg(&out), RUN_TIMEOUT);
    let judged_again: Value = serde_json::from_slice(&again.stdout).expect("a summary");
    assert_eq!(judged_again["arms"], summary["arms"], "a stored result is judged as the run was");
    assert_opens(&out.join("report.html"), &summary, folder.path());
}

/// A browser shows every arm's plots, offline; and it would be seen if it did not.
fn assert_opens(file: &Path, summary: &Value, scratch: &Path) {
    let text = fs::read_to_string(file).expect("the page");
    assert!(
        !text.contains("src=\"http") && !text.contains("href=\"http"),
        "nothing is loaded from elsewhere"
    );
    let names = |list: &Value| -> Vec<String> {
        let list = list.as_array().expect("a list");
        list.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
    };
    let (arms, phases) = (names(&summary["arms"]), names(&summary["arms"][0]["phases"]));
    assert!(arms.len() == 5 && phases.len() == 7, "{arms:?}, {phases:?}");
    let [arms, phases] = [&arms, &phases].map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(Page::open(file, scratch).missing(&arms, &phases), Vec::<String>::new());
    let broken = scratch.join("broken.html");
    let throws =
        text.replacen("const arms = data.arms;", "const arms = data.arms; throw new Error('on purpose');", 1);
    assert_ne!(throws, text, "the script can be broken");
    fs::write(&broken, throws).expect("write a broken page");
    let missing = Page::open(&broken, scratch).missing(&arms, &phases);
    assert!(missing[0].contains("on purpose"), "the error is told: {missing:?}");
    assert_eq!(missing.len(), 2 + 6 * 5 + 7, "and nothing is drawn: {missing:?}");
}

#[test]
fn the_main_experiment_runs_without_root() {
    let _turn = ONE_AT_A_TIME.lock();
    let folder = scratch::shared_folder();
    let out = folder.path().join("result");
    let summary = match std::env::var_os("WEIR_ORDINARY_USER") {
        Some(user) => {
            let binary = scratch::binary_for_everybody(&folder);
            let mut command = Command::new("runuser");
            command.arg("-u").arg(user).arg("--").arg(binary).args(["run", "--json", "--out"]).arg(&out);
            run_json(
                command.current_dir(folder.path()).env("HOME", folder.path()).env("TMPDIR", folder.path()),
            )
        }
        // The tests run without root already.
        None => run_json(Command::new(weir()).args(["run", "--json", "--out"]).arg(&out)),
    };
    assert_faithful(&summary);
}

/// Process ids of everything that descends from this test.
fn descendants() -> BTreeSet<i32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        if let Some(parent) = after_name.split_whitespace().nth(1).and_then(|text| text.parse::<i32>().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut found = BTreeSet::from([nix::unistd::getpid().as_raw()]);
    loop {
        let more: Vec<i32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|p| p.0)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

#[test]
fn ctrl_c_in_any_phase_leaves_nothing_behind() {
    let _turn = ONE_AT_A_TIME.lock();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/small.toml");
    for phase in ["baseline", "add-capacity", "silent-window", "remove-capacity", "paced-restart"] {
        let folder = scratch::shared_folder();
        let mut command = Command::new(weir());
        command.arg("run").arg(&scenario).arg("--out").arg(folder.path().join("result"));
        command
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut run = Process::start(&mut command);
        let progress = run.child().stderr.take().expect("piped");
        wait_for_line(progress, Duration::from_secs(120), move |line| line.contains(phase).then_some(()));
        let started: BTreeSet<i32> = descendants();
        assert!(started.len() > 5, "{phase}: servers are running");
        run.signal(Signal::SIGINT);
        run.wait(Duration::from_secs(30));
        let left: Vec<i32> = started
            .iter()
            .copied()
            .filter(|pid| *pid != nix::unistd::getpid().as_raw() && alive_server(*pid))
            .collect();
        assert!(left.is_empty(), "{phase}: processes {left:?} are left");
        let temporary: Vec<_> = fs::read_dir(folder.path())
            .expect("the folder")
            .flatten()
            .map(|entry| entry.file_name())
            .filter(|name| name != "result")
            .collect();
        assert!(temporary.is_empty(), "{phase}: {temporary:?} are left");
        assert_eq!(groups_left(), Vec::<String>::new(), "{phase}: control groups are left");
    }
}

fn alive_server(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.contains("weir") && line.contains("node"))
}

fn groups_left() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with("weir-") {
                    found.push(entry.path().display().to_string());
                }
                folders.push(entry.path());
            }
        }
    }
    found
}
