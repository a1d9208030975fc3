//! A shell script stands for the binary: what matters here is signals, lives and what is left.

use std::net::Ipv4Addr;

use weir_core::clock::Clock;

use super::*;
use crate::{envelope::EnvelopeKind, series::Role};

struct Stage {
    folder: tempfile::TempDir,
    roster: Arc<Roster>,
    launcher: LocalProcesses,
}

/// A launcher whose `weir` is a script that runs what it is told as a command.
fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let weir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weir.sh");
    let roster = Arc::new(Roster::default());
    let envelopes = Envelopes::plant(EnvelopeKind::UserNamespace).unwrap();
    let launcher = LocalProcesses::new(&weir, envelopes, folder.path(), "test", Arc::clone(&roster));
    Stage { folder, roster, launcher }
}

fn spec(id: u32, script: &str) -> ServerSpec {
    ServerSpec {
        id: ServerId(id),
        name: format!("server-{id}"),
        role: Role::Frontend,
        limits: None,
        args: ["sh", "-c", script].map(str::to_owned).to_vec(),
        admin: (Ipv4Addr::LOCALHOST, 9).into(),
        watched: true,
    }
}

/// Waits until the server's log holds `words`: it says them when it is there.
fn wait_for(launcher: &LocalProcesses, server: ServerId, words: &str) {
    let clock = Clock::new();
    while !launcher.last_words(server).contains(words) {
        assert!(clock.now().nanos() < 20_000_000_000, "no {words:?} in {:?}", launcher.last_words(server));
        std::thread::yield_now();
    }
}

fn wait_for_exit(launcher: &mut LocalProcesses) -> (ServerId, Exit) {
    let clock = Clock::new();
    loop {
        if let Some(&exit) = launcher.reap().first() {
            return exit;
        }
        assert!(clock.now().nanos() < 20_000_000_000, "nothing ended");
        std::thread::yield_now();
    }
}

#[test]
fn a_server_that_ends_by_itself_is_told_apart_from_one_that_was_asked_to() {
    let mut stage = stage();
    stage.launcher.declare(spec(0, "echo no such flag >&2; exit 2")).unwrap();
    stage.launcher.start(ServerId(0)).unwrap();
    let (_, exit) = wait_for_exit(&mut stage.launcher);
    assert_eq!(exit, Exit { code: Some(2), signal: None, asked: false });
    assert_eq!(stage.launcher.last_words(ServerId(0)), "no such flag");
    assert!(matches!(stage.launcher.tell(ServerId(0), Order::Stop), Err(LaunchError::State { .. })));
}

#[test]
fn lives_are_counted_and_the_roster_follows() {
    let mut stage = stage();
    stage.launcher.declare(spec(0, "echo up >&2; exec sleep 100")).unwrap();
    assert!(stage.roster.running().is_empty());
    let first = stage.launcher.start(ServerId(0)).unwrap();
    assert!(matches!(stage.launcher.start(ServerId(0)), Err(LaunchError::State { .. })), "runs already");
    assert_eq!(stage.roster.running()[0].pid, Some(first.pid));
    stage.launcher.tell(ServerId(0), Order::Kill).unwrap();
    let (_, exit) = wait_for_exit(&mut stage.launcher);
    assert_eq!(exit, Exit { code: None, signal: Some(9), asked: true });
    assert!(stage.roster.running().is_empty());
    let second = stage.launcher.start(ServerId(0)).unwrap();
    assert_eq!((first.incarnation, second.incarnation), (0, 1));
    assert_eq!(stage.roster.get(ServerId(0)).unwrap().incarnation, 1);
}

#[test]
fn one_that_will_not_stop_is_killed_when_patience_ends_and_a_paused_one_is_woken_to_stop() {
    let mut stage = stage();
    stage.launcher.declare(spec(0, "trap '' TERM; echo up >&2; while true; do sleep 0.02; done")).unwrap();
    stage
        .launcher
        .declare(spec(1, "trap 'echo bye >&2; exit 0' TERM; echo up >&2; while true; do sleep 0.02; done"))
        .unwrap();
    let both = [ServerId(0), ServerId(1)];
    for server in both {
        stage.launcher.start(server).unwrap();
        wait_for(&stage.launcher, server, "up");
    }
    stage.launcher.tell(ServerId(1), Order::Pause).unwrap();
    let mut ended = stop_all(&mut stage.launcher, &both, Duration::from_millis(300), Clock::new());
    ended.sort_by_key(|&(server, _)| server);
    assert_eq!(ended[0].1, Exit { code: None, signal: Some(9), asked: true });
    assert_eq!(ended[1].1, Exit { code: Some(0), signal: None, asked: true });
}

#[test]
fn dropping_the_launcher_ends_everything_it_started() {
    let mut stage = stage();
    stage.launcher.declare(spec(0, "trap '' TERM; echo up >&2; exec sleep 100")).unwrap();
    let life = stage.launcher.start(ServerId(0)).unwrap();
    wait_for(&stage.launcher, ServerId(0), "up");
    drop(stage.launcher);
    assert!(!Path::new(&format!("/proc/{}", life.pid)).exists());
    assert!(stage.folder.path().join("server-0.log").exists());
}
