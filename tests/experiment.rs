//! `weir run` from outside: the main experiment as root and as an ordinary user, the report in a browser, Ctrl-C.
//!
//! The full experiment takes about a minute; it is run once for each kind of user, and everything that can be asked of
//! its result is asked of that one run.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::geteuid,
};
use serde_json::Value;
use weir_tests::{
    leftovers,
    page::{Page, ROWS},
    process::{Lines, Process, output},
    scratch, user, weir,
};

/// How long the main experiment may take on a loaded machine before the test gives up.
const RUN_TIMEOUT: Duration = Duration::from_secs(300);
/// For how long a run is made to stand still. Far more than a busy host makes a thread wait.
const STANDS_STILL: Duration = Duration::from_secs(1);

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
        for stage in ["baseline", "cliff", "recovery", "throughout"] {
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
    let dark = consumers["metrics"]["alarms_insufficient_data_max"]["cliff"].as_f64();
    assert!(dark == Some(5.0), "all alarms lose their data: {dark:?}");
    let (lag, drained) = (of("bus", "lag_seconds_max"), of("bus", "seconds_to_drain"));
    assert!(lag.is_some_and(|seconds| seconds > 5.0), "events come late: {lag:?}");
    assert!(drained.is_some(), "and their backlog drains: {}", consumers["bus"]);
}

/// Moments in which a run saw its host stand still, in any arm.
fn host_stalls(summary: &Value) -> u64 {
    let arms = summary["arms"].as_array().into_iter().flatten();
    arms.map(|arm| arm["host_stalls"].as_u64().expect("a count")).max().unwrap_or(0)
}

fn run_json(command: &mut Command) -> Value {
    let ended = output(command, RUN_TIMEOUT);
    let errors = String::from_utf8_lossy(&ended.stderr);
    let summary: Value = serde_json::from_slice(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{errors}", String::from_utf8_lossy(&ended.stdout)));
    assert!(ended.status.success(), "{}: {:#?}\n{errors}\n{summary:#}", ended.status, missed(&summary));
    summary
}

/// What the arms were expected to show and did not.
fn missed(summary: &Value) -> Vec<String> {
    let arms = summary["arms"].as_array().into_iter().flatten();
    let all = arms.flat_map(|arm| {
        let expected = arm["expectations"].as_array().into_iter().flatten();
        expected.filter(|one| one["held"] == false).map(move |one| {
            let [arm, expects, found] = [&arm["name"], &one["expects"], &one["found"]].map(Value::to_string);
            format!("{arm}: {expects}: {found}")
        })
    });
    all.collect()
}

#[test]
fn the_main_experiment_is_faithful_and_its_report_opens_in_a_browser() {
    let _turn = ONE_AT_A_TIME.lock();
    let folder = scratch::shared_folder();
    let out = folder.path().join("result");
    let summary = run_json(Command::new(weir()).args(["run", "--json", "--out"]).arg(&out));
    assert_faithful(&summary);
    assert_kind(&summary);
    assert_consumers(&summary);
    let again = output(Command::new(weir()).args(["report", "--json"]).arg(&out), RUN_TIMEOUT);
    let judged_again: Value = serde_json::from_slice(&again.stdout).expect("a summary");
    assert_eq!(judged_again["arms"], summary["arms"], "a stored result is judged as the run was");
    assert_begin_apart(&out, &summary);
    assert_opens(&out.join("report.html"), &summary, folder.path());
}

/// Five arms share a window of a second: the last begins four fifths of it behind the first.
fn assert_begin_apart(result: &Path, summary: &Value) {
    let begun = |arm: &Value| {
        let name = arm["name"].as_str().expect("a name");
        let series = result.join(format!("arms/{name}-0/series.ndjson"));
        let text = fs::read_to_string(&series).expect("the series");
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
        let mut starts = records.filter(|it| it["kind"] == "phase").filter_map(|it| it["start"].as_u64());
        starts.next().expect("a phase")
    };
    let begun: Vec<u64> = summary["arms"].as_array().expect("arms").iter().map(begun).collect();
    let apart = begun.iter().max().zip(begun.iter().min()).map(|(last, first)| last - first);
    assert!(apart >= Some(500), "milliseconds at which the arms begin: {begun:?}");
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
    assert!(arms.len() >= 5 && phases.len() >= 7, "{arms:?}, {phases:?}");
    let [arms, phases] = [&arms, &phases].map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(Page::open(file, scratch).missing(&arms, &phases), Vec::<String>::new());
    let broken = scratch.join("broken.html");
    let throws =
        text.replacen("const arms = data.arms;", "const arms = data.arms; throw new Error('on purpose');", 1);
    assert_ne!(throws, text, "the script can be broken");
    fs::write(&broken, throws).expect("write a broken page");
    let missing = Page::open(&broken, scratch).missing(&arms, &phases);
    assert!(missing[0].contains("on purpose"), "the error is told: {missing:?}");
    let all = 2 + ROWS.len() * arms.len() + phases.len();
    assert_eq!(missing.len(), all, "no verdict and nothing is drawn: {missing:?}");
}

#[test]
fn the_main_experiment_runs_without_root() {
    if !geteuid().is_root() {
        // Then the test above has shown it: it asserts who ran.
        return;
    }
    let _turn = ONE_AT_A_TIME.lock();
    let folder = scratch::shared_folder();
    let out = folder.path().join("result");
    let mut command = Command::new(scratch::binary_for_everybody(&folder));
    command.args(["run", "--json", "--out"]).arg(&out).current_dir(folder.path());
    command.env("HOME", folder.path()).env("TMPDIR", folder.path());
    let summary = run_json(user::without_root(&mut command));
    assert_faithful(&summary);
    assert_eq!(summary["host"]["root"], false);
    for arm in summary["arms"].as_array().expect("arms") {
        let kind = arm["limit_kind"].as_str().expect("a kind");
        assert!(["user-namespace", "cgroup-v2"].contains(&kind), "{}: {kind} needs no root", arm["name"]);
    }
}

#[test]
fn a_run_under_which_the_host_stood_still_says_so() {
    let _turn = ONE_AT_A_TIME.lock();
    let folder = scratch::shared_folder();
    let out = folder.path().join("result");
    let mut command = Command::new(weir());
    command.arg("run").arg(scratch::scenario("small")).arg("--out").arg(&out);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut run = Process::start(&mut command);
    let told = Lines::read(run.child().stderr.take().expect("piped"));
    told.wait_for(RUN_TIMEOUT, |line| line.contains("add-capacity").then_some(()));
    assert!(run.stand_still(), "it has phases to come");
    thread::park_timeout(STANDS_STILL);
    run.go_on();
    run.wait(RUN_TIMEOUT);
    let summary =
        fs::read(out.join("summary.json")).unwrap_or_else(|error| panic!("{error}: {}", told.rest()));
    let summary: Value = serde_json::from_slice(&summary).expect("a summary");
    assert!(host_stalls(&summary) > 0, "{summary:#}");
    for arm in summary["arms"].as_array().expect("arms") {
        let longest = arm["host_stalled_seconds_max"].as_f64().expect("a number");
        assert!(longest >= STANDS_STILL.as_secs_f64() / 2.0, "{}: {longest}", arm["name"]);
    }
    let cautions = summary["cautions"].as_array().expect("a list");
    let told = cautions.iter().filter_map(Value::as_str).filter(|c| c.contains("the host stood still"));
    assert_eq!(told.count(), 1, "{cautions:?}");
}

/// Who ran, and inside what: the best kind of limit that `weir limits` finds for the same user.
fn assert_kind(summary: &Value) {
    assert_eq!(summary["host"]["root"], geteuid().is_root());
    let limits = run_json(Command::new(weir()).args(["limits", "--json"]));
    let kinds = limits["envelopes"].as_array().expect("a list");
    let best = kinds.iter().find(|kind| kind["works"] == true).expect("a kind that works");
    for arm in summary["arms"].as_array().expect("arms") {
        assert_eq!(arm["limit_kind"], best["kind"], "{}", arm["name"]);
    }
}

/// Who runs the experiment that is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    /// Whoever runs the tests.
    Caller,
    /// Somebody without root.
    Ordinary,
}

/// When Ctrl-C comes. Each moment once, in turn as root and without it: control groups and user namespaces.
const MOMENTS: [(&str, Runner); 8] = [
    ("starting", Runner::Ordinary),
    ("baseline", Runner::Ordinary),
    ("add-capacity", Runner::Caller),
    ("silent-window", Runner::Ordinary),
    ("remove-capacity", Runner::Caller),
    ("paced-restart", Runner::Ordinary),
    ("recovery", Runner::Caller),
    (AT_THE_END, Runner::Ordinary),
];
/// The last moment is short: the run may have ended by itself when the signal comes.
const AT_THE_END: &str = "reading back";

#[test]
fn ctrl_c_at_any_moment_leaves_nothing_behind() {
    let _turn = ONE_AT_A_TIME.lock();
    let bin = scratch::shared_folder();
    let binary = scratch::binary_for_everybody(&bin);
    let scenario = bin.path().join("small.toml");
    fs::copy(scratch::scenario("small"), &scenario).expect("copy the scenario");
    for (moment, runner) in MOMENTS {
        interrupt(moment, runner, &binary, &scenario);
    }
}

fn interrupt(moment: &'static str, runner: Runner, binary: &Path, scenario: &Path) {
    let folder = scratch::shared_folder();
    // A soft limit below the hard one, as many hosts have it: the lab raises itself.
    let mut command = Command::new("prlimit");
    command.arg(format!("--nproc={SOFT_LIMIT}:")).arg(binary).arg("run").arg(scenario);
    command.arg("--out").arg(folder.path().join("result")).current_dir(folder.path());
    command.env("TMPDIR", folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    if runner == Runner::Ordinary {
        user::without_root(&mut command);
    }
    // As a terminal starts it, in a process group of its own, and as a terminal interrupts it: all of the group.
    let mut run = Process::start(command.process_group(0));
    let told = Lines::read(run.child().stderr.take().expect("piped"));
    let is_the_moment = |line: &str| line.contains(moment) || line.contains("done  ");
    told.wait_for(Duration::from_secs(120), |line| is_the_moment(line).then_some(()));
    let running = leftovers::processes(folder.path());
    if !["starting", AT_THE_END].contains(&moment) {
        let servers = running.iter().filter(|(_, line)| line.contains(" node ")).count();
        assert!(
            servers > 5 && running.iter().any(|(_, line)| line.contains(" __load ")),
            "{moment}: {running:?}"
        );
        let control = running.iter().find(|(_, line)| line.contains(" node control "));
        assert_eq!(thread_limit(control.expect("a control plane").0), hard_thread_limit(), "{moment}");
    }
    let own = run.id();
    killpg(own, Signal::SIGINT).expect("interrupt the run");
    let ended = run.wait(Duration::from_secs(30));
    let told = told.rest();
    if moment != AT_THE_END {
        assert_eq!(ended.code(), Some(1), "{moment}: {told}");
        assert!(told.contains("interrupted"), "{moment}: {told}");
    }
    assert_eq!(leftovers::processes(folder.path()), Vec::new(), "{moment}: processes are left");
    assert_eq!(leftovers::control_groups(own.as_raw()), Vec::<PathBuf>::new(), "{moment}");
    let left = fs::read_dir(folder.path()).expect("the folder").flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name != "result").collect();
    assert!(left.is_empty(), "{moment}: {left:?} are left");
}

/// Threads that the interrupted runs may have at first: enough for the small fleet, less than any host gives.
const SOFT_LIMIT: u64 = 2_000;

/// The soft limit on threads of a running process, as `/proc` prints it.
fn thread_limit(pid: i32) -> String {
    limit_in(&format!("/proc/{pid}/limits"), 0)
}

/// What a process of this host may raise it to.
fn hard_thread_limit() -> String {
    limit_in("/proc/self/limits", 1)
}

fn limit_in(file: &str, field: usize) -> String {
    let text = fs::read_to_string(file).expect("the limits of a process that runs");
    let line = text.lines().find_map(|line| line.strip_prefix("Max processes")).expect("a limit on threads");
    line.split_whitespace().nth(field).expect("soft and hard").to_owned()
}
