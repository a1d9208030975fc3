//! Envelopes against the real kernel: each kind that this host gives must hold to the integer.
//!
//! A test without a harness: the same program is the judge and, started again through `__envelop`, the child that spawns
//! threads until it is refused. As root it covers the control groups and the uids, and starts itself once more as an
//! ordinary user for the namespaces.
#![expect(clippy::unwrap_used, reason = "a test: a panic is its failure")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
};

use clap::{Args, FromArgMatches};
use nix::unistd::{Pid, getpgid};
use weir_lab::envelope::{
    EnvelopArgs, EnvelopeKind, EnvelopeLimits, Envelopes, RunName, ThreadCount, count_threads_line,
    enter_and_exec, probe_all,
};

const LIMIT: u32 = 17;
const LIMITS: EnvelopeLimits = EnvelopeLimits { threads_max: LIMIT, memory_max: None, cpu_max: None };

/// The user to become for the part that must hold without root; `cargo xtask test` names one.
const ORDINARY_USER: &str = "WEIR_ORDINARY_USER";

#[expect(clippy::print_stdout, reason = "a test without a harness is its own child, which answers in lines")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("__envelop") => return enter(&args[1..]),
        Some("__count-threads") => {
            println!("{}", count_threads_line(args[3].parse().expect("--max N")));
        }
        Some("__count-twice") => {
            // Counts once, tells, waits to be told to go on, counts again.
            println!("{}", count_threads_line(100));
            std::io::stdin().lock().read_line(&mut String::new()).expect("the judge writes a line");
            println!("{}", count_threads_line(100));
        }
        Some("__lab") => lab_that_waits(&args[2]),
        _ => {
            let exe = std::env::current_exe().expect("this program has a path");
            if judge(&exe) == User::Root {
                judge_as_an_ordinary_user(&exe);
            }
        }
    }
    ExitCode::SUCCESS
}

fn enter(args: &[String]) -> ExitCode {
    let command = EnvelopArgs::augment_args(clap::Command::new("__envelop"));
    let parsed = EnvelopArgs::from_arg_matches(&command.get_matches_from(args)).expect("clap checked them");
    // Only a raise comes back without an error.
    match enter_and_exec(&parsed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(3)
        }
    }
}

/// Who judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Root,
    Ordinary,
}

/// Every test on every kind that works for this user. A user who has not got the kind that is his own is counted as
/// ignored: the control groups are root's to prove, the user namespaces everybody else's.
#[expect(clippy::print_stdout, reason = "a test without a harness reports for itself")]
fn judge(exe: &Path) -> User {
    let user = if nix::unistd::geteuid().is_root() { User::Root } else { User::Ordinary };
    let outcomes = probe_all(exe);
    outcomes.iter().for_each(|outcome| println!("{user:?}: {outcome:?}"));
    let works: Vec<_> =
        outcomes.into_iter().filter(|outcome| outcome.works).map(|outcome| outcome.kind).collect();
    let (own, named): (&[EnvelopeKind], _) = match user {
        User::Root => (&[EnvelopeKind::CgroupV2, EnvelopeKind::CgroupV1], "control groups"),
        User::Ordinary => (&[EnvelopeKind::UserNamespace], "user namespaces"),
    };
    let ignored = !works.iter().any(|kind| own.contains(kind));
    if ignored {
        println!("test {user:?}: {named} ... ignored: this host gives none, see the reasons above");
    }
    assert!(!works.is_empty() || user == User::Ordinary, "this host gives root no envelope at all");
    for kind in &works {
        for (name, test) in TESTS {
            println!("test {user:?}: {kind}: {name} ...");
            test(*kind, exe);
        }
    }
    let (passed, ignored) = (works.len() * TESTS.len(), u8::from(ignored));
    println!("test result: ok. {passed} passed; 0 failed; {ignored} ignored");
    user
}

/// The same once more without root, from a copy: a checkout may lie where only its owner may look.
#[expect(clippy::print_stdout, reason = "a test without a harness reports for itself")]
fn judge_as_an_ordinary_user(exe: &Path) {
    let Ok(user) = std::env::var(ORDINARY_USER) else {
        println!("test Ordinary ... ignored: {ORDINARY_USER} is not set; `cargo xtask test` sets it");
        println!("test result: ok. 0 passed; 0 failed; 1 ignored");
        return;
    };
    let user = nix::unistd::User::from_name(&user).unwrap().expect("the ordinary user exists");
    let readable = fs::Permissions::from_mode(0o755);
    let folder = tempfile::Builder::new().permissions(readable.clone()).tempdir().unwrap();
    let copy = folder.path().join("envelope");
    fs::copy(exe, &copy).unwrap();
    fs::set_permissions(&copy, readable).unwrap();
    let mut again = Command::new(copy);
    again.uid(user.uid.as_raw()).gid(user.gid.as_raw()).current_dir(folder.path());
    assert!(again.status().unwrap().success(), "as an ordinary user");
}

type Test = fn(EnvelopeKind, &Path);

const TESTS: [(&str, Test); 5] = [
    ("two servers have exactly their limit each, at the same time", two_at_once),
    ("a raised limit binds a running server and its next life", raise),
    ("nothing is left when the envelope is dropped", nothing_left),
    ("children die with a killed lab, and the next run sweeps", killed_lab),
    ("what a terminal sends to the lab does not reach a server", own_process_group),
];

fn count(line: &str) -> ThreadCount {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("no count in {line:?}: {error}"))
}

fn refused_after(threads: u32) -> ThreadCount {
    ThreadCount { threads, errno: Some(nix::libc::EAGAIN) }
}

fn two_at_once(kind: EnvelopeKind, exe: &Path) {
    let envelopes = Envelopes::plant(kind).unwrap();
    let servers: Vec<_> = (0..2)
        .map(|number| {
            let limits = EnvelopeLimits { threads_max: LIMIT + number, ..LIMITS };
            let envelope = envelopes.make(&format!("fe-{number}"), limits).unwrap();
            (Talker::start(envelope.command(exe, ["__count-twice"])), envelope)
        })
        .collect();
    let mut servers = servers;
    for (number, (talker, _)) in (0..).zip(&mut servers) {
        assert_eq!(count(&talker.read()), refused_after(LIMIT + number));
    }
    for (number, (mut talker, envelope)) in (0..).zip(servers) {
        talker.go_on();
        assert_eq!(count(&talker.read()), refused_after(LIMIT + number), "and again");
        talker.end();
        if let Some(refusals) = envelope.witness().evidence().refusals {
            assert_eq!(refusals, 2, "the kernel counted each refusal");
            assert_eq!(envelope.witness().evidence().threads_max, Some(u64::from(LIMIT + number)));
        }
    }
}

fn raise(kind: EnvelopeKind, exe: &Path) {
    let envelopes = Envelopes::plant(kind).unwrap();
    let mut envelope = envelopes.make("fe-raise", LIMITS).unwrap();
    let mut talker = Talker::start(envelope.command(exe, ["__count-twice"]));
    assert_eq!(count(&talker.read()), refused_after(LIMIT));
    envelope.set_threads_max(exe, LIMIT + 5, Some(talker.child.id())).unwrap();
    talker.go_on();
    assert_eq!(count(&talker.read()), refused_after(LIMIT + 5), "while it runs");
    talker.end();
    let output = envelope.command(exe, ["__count-threads", "--max", "90"]).output().unwrap();
    assert_eq!(count(&String::from_utf8(output.stdout).unwrap()), refused_after(LIMIT + 5), "its next life");
}

fn nothing_left(kind: EnvelopeKind, exe: &Path) {
    let envelopes = Envelopes::plant(kind).unwrap();
    let envelope = envelopes.make("fe-gone", LIMITS).unwrap();
    let command = envelope.command(exe, ["__count-threads", "--max", "90"]);
    let groups = groups_of(&command);
    let mut talker = Talker::start(command);
    assert_eq!(count(&talker.read()), refused_after(LIMIT));
    talker.end();
    assert!(groups.iter().all(|group| group.is_dir()));
    drop(envelopes);
    drop(envelope);
    assert!(groups.iter().all(|group| !group.exists()), "{groups:?}");
    assert_eq!(folders_of(&RunName::own().to_string()), Vec::<PathBuf>::new());
}

fn killed_lab(kind: EnvelopeKind, exe: &Path) {
    let mut lab = Command::new(exe);
    lab.arg("__lab").arg(kind.as_str());
    let mut lab = Talker::start(lab);
    let told = lab.read();
    let (run, server) =
        told.trim().split_once(' ').expect("the lab tells its name and its server's process id");
    lab.child.kill().unwrap();
    lab.child.wait().unwrap();
    // The server dies with its lab; init reaps it, so wait for the process to be gone or a zombie.
    let stat = PathBuf::from(format!("/proc/{server}/stat"));
    let clock = weir_core::clock::Clock::new();
    while fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z")) {
        assert!(clock.now().nanos() < 10_000_000_000, "process {server} outlived its lab by ten seconds");
        std::thread::yield_now();
    }
    drop(Envelopes::plant(kind).unwrap());
    assert_eq!(folders_of(run), Vec::<PathBuf>::new(), "the next run swept what the dead one left");
}

fn own_process_group(kind: EnvelopeKind, exe: &Path) {
    let envelopes = Envelopes::plant(kind).unwrap();
    let envelope = envelopes.make("fe-group", LIMITS).unwrap();
    let talker = Talker::start(envelope.command(exe, ["__count-twice"]));
    let server = Pid::from_raw(talker.child.id().try_into().unwrap());
    assert_eq!(getpgid(Some(server)), Ok(server), "Ctrl-C goes to the process group of the lab");
}

/// Becomes a lab with one server that waits, tells its name and that server's process id, and waits to be killed.
#[expect(clippy::print_stdout, reason = "tells the judge what to look for")]
fn lab_that_waits(kind: &str) -> ! {
    let exe = std::env::current_exe().expect("this program has a path");
    let envelopes = Envelopes::plant(kind.parse().unwrap()).unwrap();
    let envelope = envelopes.make("fe-wait", LIMITS).unwrap();
    let mut server = Talker::start(envelope.command(&exe, ["__count-twice"]));
    server.read();
    println!("{} {}", RunName::own(), server.child.id());
    server.child.wait().expect("our own child");
    panic!("the server was to wait");
}

/// The control groups that a command joins.
fn groups_of(command: &Command) -> Vec<PathBuf> {
    let args: Vec<_> = command.get_args().collect();
    args.windows(2).filter(|pair| pair[0] == "--path").map(|pair| PathBuf::from(pair[1])).collect()
}

/// Every folder that the run of that name has in any control-group hierarchy of this host.
fn folders_of(run: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, run: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name() == run {
                    found.push(entry.path());
                } else {
                    walk(&entry.path(), run, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), run, &mut found);
    found
}

/// A child that speaks in lines.
struct Talker {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Talker {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the child starts");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, lines }
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the child's stdout can be read");
        line
    }

    fn go_on(&mut self) {
        let stdin = self.child.stdin.as_mut().expect("stdin is piped");
        stdin.write_all(b"go\n").expect("the child reads");
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("our own child").success());
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
