//! Envelopes against the real kernel: each kind that this host gives must hold to the integer.
//!
//! A test without a harness: the same program is the judge and, started again through `__envelop`, the child that spawns
//! threads until it is refused. As root it covers the control groups and the uids, as an ordinary user the namespaces:
//! `cargo xtask test` runs it as both.
#![expect(clippy::unwrap_used, reason = "a test: a panic is its failure")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ExitCode, Stdio},
};

use clap::{Args, FromArgMatches};
use weir_lab::envelope::{
    EnvelopArgs, EnvelopeKind, EnvelopeLimits, Envelopes, RunName, ThreadCount, count_threads_line,
    enter_and_exec, probe_all,
};

const LIMIT: u32 = 17;
const LIMITS: EnvelopeLimits = EnvelopeLimits { threads_max: LIMIT, memory_max: None, cpu_max: None };

#[expect(clippy::print_stdout, reason = "a test without a harness reports for itself, and is its own child")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("__envelop") => {
            let command = EnvelopArgs::augment_args(clap::Command::new("__envelop"));
            let matches = command.get_matches_from(&args[1..]);
            let parsed = EnvelopArgs::from_arg_matches(&matches).expect("clap has checked them");
            // Only a raise comes back without an error.
            return match enter_and_exec(&parsed) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("{error}");
                    ExitCode::from(3)
                }
            };
        }
        Some("__count-threads") => {
            println!("{}", count_threads_line(args[3].parse().expect("--max N")));
            return ExitCode::SUCCESS;
        }
        Some("__count-twice") => {
            // Counts once, tells, waits to be told to go on, counts again.
            println!("{}", count_threads_line(100));
            std::io::stdin().lock().read_line(&mut String::new()).expect("the judge writes a line");
            println!("{}", count_threads_line(100));
            return ExitCode::SUCCESS;
        }
        Some("__lab") => lab_that_waits(&args[2]),
        _ => {}
    }
    let exe = std::env::current_exe().expect("this program has a path");
    let works: Vec<_> = probe_all(&exe).into_iter().inspect(|outcome| println!("{outcome:?}")).collect();
    let works: Vec<_> =
        works.into_iter().filter(|outcome| outcome.works).map(|outcome| outcome.kind).collect();
    let root = nix::unistd::geteuid().is_root();
    assert!(!works.is_empty(), "this host gives no envelope at all: see the reasons above");
    assert!(!root || works != [EnvelopeKind::UserNamespace], "real root is not bound by a user namespace");
    let mut passed = 0;
    for kind in works {
        for (name, test) in TESTS {
            println!("test {kind}: {name} ...");
            test(kind, &exe);
            passed += 1;
        }
    }
    println!("test result: ok. {passed} passed; 0 failed");
    ExitCode::SUCCESS
}

type Test = fn(EnvelopeKind, &Path);

const TESTS: [(&str, Test); 4] = [
    ("two servers have exactly their limit each, at the same time", two_at_once),
    ("a raised limit binds a running server and its next life", raise),
    ("nothing is left when the envelope is dropped", nothing_left),
    ("children die with a killed lab, and the next run sweeps", killed_lab),
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
            (Talker::start(&envelope.command(exe, ["__count-twice"])), envelope)
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
    let mut talker = Talker::start(&envelope.command(exe, ["__count-twice"]));
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
    let mut talker = Talker::start(&command);
    assert_eq!(count(&talker.read()), refused_after(LIMIT));
    talker.end();
    assert!(groups.iter().all(|group| group.is_dir()));
    drop(envelopes);
    drop(envelope);
    assert!(groups.iter().all(|group| !group.exists()), "{groups:?}");
    assert_eq!(folders_of(&RunName::own().to_string()), Vec::<PathBuf>::new());
}

fn killed_lab(kind: EnvelopeKind, exe: &Path) {
    let mut lab = std::process::Command::new(exe);
    let mut lab = Talker::start(lab.arg("__lab").arg(kind.as_str()));
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

/// Becomes a lab with one server that waits, tells its name and that server's process id, and waits to be killed.
#[expect(clippy::print_stdout, reason = "tells the judge what to look for")]
fn lab_that_waits(kind: &str) -> ! {
    let exe = std::env::current_exe().expect("this program has a path");
    let envelopes = Envelopes::plant(kind.parse().unwrap()).unwrap();
    let envelope = envelopes.make("fe-wait", LIMITS).unwrap();
    let mut server = Talker::start(&envelope.command(&exe, ["__count-twice"]));
    server.read();
    println!("{} {}", RunName::own(), server.child.id());
    server.child.wait().expect("our own child");
    panic!("the server was to wait");
}

/// The control groups that a command joins.
fn groups_of(command: &std::process::Command) -> Vec<PathBuf> {
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
    fn start(command: &std::process::Command) -> Self {
        let mut again = std::process::Command::new(command.get_program());
        again.args(command.get_args()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = again.spawn().expect("the child starts");
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
