//! The KCL 3 (its MultiLangDaemon), polling and with enhanced fan-out.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::json;
use weir_tests::{client, leftovers, moto::Moto, prepared, process::Process, server::Server};

/// How long a worker may take from its start to the last record, on a loaded machine; ten seconds when it has one.
const PATIENCE: Duration = Duration::from_secs(180);

/// One KCL application: a daemon, its processors, and the file that they write.
struct Worker {
    daemon: Process,
    said: PathBuf,
    seen: PathBuf,
}

impl Worker {
    fn start(folder: &Path, server: &Server, leases: &Moto, stream: &str, mode: &str) -> Self {
        let (said, seen) = (folder.join(format!("{mode}.log")), folder.join(format!("{mode}.seen")));
        fs::write(&seen, "").expect("an empty file");
        let properties = folder.join(format!("{mode}.properties"));
        fs::write(&properties, properties_of(server, leases, stream, mode, &seen)).expect("write");
        let log = fs::File::create(&said).expect("a log");
        let mut command = client::multilang_daemon(&properties);
        command
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a handle"))
            .stdout(log);
        Self { daemon: Process::start(&mut command), said, seen }
    }

    /// Waits until the processors have written every line of `wanted`.
    fn await_lines(&mut self, wanted: &BTreeSet<String>) {
        let (seen, said) = (self.seen.clone(), self.said.clone());
        let all_seen = || {
            let text = fs::read_to_string(&seen).expect("what the processors write");
            let lines: BTreeSet<_> = text.lines().map(str::to_owned).collect();
            assert!(
                !self.daemon.has_ended(),
                "the daemon ended:\n{}",
                fs::read_to_string(&said).unwrap_or_default()
            );
            wanted.is_subset(&lines)
        };
        until(all_seen, || {
            let [seen, said] = [&seen, &said].map(|file| fs::read_to_string(file).unwrap_or_default());
            format!("not every record was processed; seen:\n{seen}\nthe daemon said:\n{said}")
        });
    }
}

/// Waits until it `holds`; panics with what `otherwise` says when that takes too long.
fn until(mut holds: impl FnMut() -> bool, otherwise: impl FnOnce() -> String) {
    for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
        if holds() {
            return;
        }
        std::thread::park_timeout(STEP);
    }
    panic!("{}", otherwise());
}

/// How often something awaited is looked at.
const STEP: Duration = Duration::from_millis(50);

/// What a KCL application is told. Above the empty line is what it needs; below is what makes a test short.
fn properties_of(server: &Server, leases: &Moto, stream: &str, mode: &str, seen: &Path) -> String {
    let python = prepared("WEIR_PYTHON");
    let processor = client::source("python", "kcl_processor.py");
    format!(
        "\
kinesisEndpoint = {}
dynamoDBEndpoint = {}
AwsCredentialsProvider = DefaultCredentialsProvider
retrievalMode = {mode}
metricsLevel = NONE
streamName = {stream}
applicationName = {stream}-{mode}
regionName = us-east-1
initialPositionInStream = TRIM_HORIZON
processingLanguage = python
executableName = {} {} {}

failoverTimeMillis = 1000
leaseAssignmentIntervalMillis = 500
shardSyncIntervalMillis = 1000
parentShardPollIntervalMillis = 500
idleTimeBetweenReadsInMillis = 250
shutdownGraceMillis = 10000
",
        server.url(),
        leases.url(),
        python.display(),
        processor.display(),
        seen.display(),
    )
}

/// Puts records, plain and packed; what a consumer writes that has processed them all.
fn put(server: &Server, prefix: &str) -> BTreeSet<String> {
    let mut producer = client::python("kcl_producer.py");
    let said = client::run(producer.args([&server.url(), "kcl", prefix]));
    said.lines().map(str::to_owned).collect()
}

#[test]
fn the_kcl_works_unmodified_polling_and_with_fan_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (server, leases) = (Server::start_with(&["--call-limits", "on"]), Moto::start());
    server.stream("kcl", 2);
    let mut workers =
        ["POLLING", "FANOUT"].map(|mode| Worker::start(folder.path(), &server, &leases, "kcl", mode));
    let wanted = put(&server, "before");
    for worker in &mut workers {
        worker.await_lines(&wanted);
    }
    // Then a shard is split: its children are read once the parent is.
    let parent = "shardId-000000000000";
    let lower = (u128::MAX / 4).to_string();
    server
        .ok("SplitShard", &json!({"StreamName": "kcl", "ShardToSplit": parent, "NewStartingHashKey": lower}));
    let mut wanted = put(&server, "after");
    wanted.insert(format!("ended {parent}"));
    for worker in &mut workers {
        worker.await_lines(&wanted);
    }
    for worker in &mut workers {
        worker.daemon.signal(Signal::SIGTERM);
    }
    for worker in &mut workers {
        worker.daemon.wait(PATIENCE);
    }
    until(|| leftovers::processes(folder.path()).is_empty(), || "processors outlive their daemon".to_owned());
}
