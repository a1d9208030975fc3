//! A disk that fills up under a real `weir serve`: refused with the reason before it is full, readable all the time, and
//! as before when there is room again.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::{thread, time::Duration};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use weir_tests::{
    again,
    follower::Follower,
    history::{History, Outcome, Put},
    http,
    server::Server,
    small_disk::SmallDisk,
    witness::Witness,
};

/// Two segments fit beside the reserve, and a third does not.
const DISK_MIB: u64 = 300;
const RESERVE_MIB: u64 = 128;
const ARGUMENTS: [&str; 4] = ["--shard-limits", "off", "--admin", "127.0.0.1:0"];
/// How often something that comes by itself is looked for.
const LOOKS_MAX: u32 = 3_000;
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Puts records of ever fewer bytes until not even the smallest is taken.
fn fill(witness: Witness<'_>, stream: &str) {
    let mut number = 0;
    for quads in [1 << 16, 1 << 10, 1] {
        for puts in 0.. {
            assert!(puts < 10_000, "it is never full");
            number += 1;
            let data = format!("{number:016}{}", "weir".repeat(quads));
            let put = Put { stream: stream.to_owned(), key: number.to_string(), data, after: None };
            if witness.put_record(&put) == Outcome::Refused {
                break;
            }
        }
    }
}

fn put(server: &Server, stream: &str) -> http::Answer {
    server.call("PutRecord", &json!({"StreamName": stream, "PartitionKey": "k", "Data": "YQ=="}))
}

/// Puts to a stream until it is taken again.
fn put_until_taken(server: &Server, stream: &str) {
    for _ in 0..LOOKS_MAX {
        if put(server, stream).status == 200 {
            return;
        }
        thread::park_timeout(LOOK_PAUSE);
    }
    panic!("{stream} takes nothing: {:?}", put(server, stream));
}

/// Waits until the node's metric has this value; it is put there a few times a second.
fn await_metric(server: &Server, name: &str, value: &str) {
    let ask = b"GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    again::seen_until(value, || {
        let metrics = String::from_utf8(http::send(server.admin_address(), ask).unwrap().body).unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {metrics}")).to_owned()
    });
}

fn status(server: &Server, stream: &str) -> String {
    let told = server.ok("DescribeStreamSummary", &json!({"StreamName": stream}));
    told["StreamDescriptionSummary"]["StreamStatus"].as_str().unwrap().to_owned()
}

fn assert_says_that_it_is_full(answer: &http::Answer) {
    let told = answer.json();
    assert_eq!((answer.status, &told["__type"]), (503, &json!("ServiceUnavailable")), "{told}");
    assert!(told["message"].as_str().unwrap().contains("the disk is full"), "{told}");
}

/// Everything that was acknowledged is read, and nothing that was refused.
fn check(history: &History, witness: Witness<'_>, reader: u64, streams: &[&str]) {
    let settled = history.now();
    for stream in streams {
        let mut follower = Follower::new(reader, stream, 10_000);
        assert!((0..LOOKS_MAX).any(|_| follower.step(witness)), "{stream} is not read to its tip");
    }
    assert_eq!(history.faults(settled), Vec::<String>::new());
}

#[test]
fn a_full_disk_refuses_with_the_reason_serves_reads_and_goes_on_when_a_stream_is_deleted() {
    let test = "a_full_disk_refuses_with_the_reason_serves_reads_and_goes_on_when_a_stream_is_deleted";
    let Some(disk) = SmallDisk::mount(test, DISK_MIB) else { return };
    let mut server = Server::start_on(&disk.path().join("data"), &ARGUMENTS);
    let history = History::default();
    let witness = |server: &Server| Witness { history: &history, address: server.address() };
    server.stream("large", 4);
    server.stream("small", 1);
    fill(witness(&server), "large");
    assert_says_that_it_is_full(&put(&server, "small"));
    let record = json!({"StreamName": "small", "Records": [{"PartitionKey": "k", "Data": "YQ=="}]});
    let result: Value = server.ok("PutRecords", &record)["Records"][0].clone();
    assert_eq!(result["ErrorCode"], "InternalFailure");
    assert!(result["ErrorMessage"].as_str().unwrap().contains("the disk is full"), "{result}");
    assert!(disk.free() >= RESERVE_MIB, "{} MiB are left", disk.free());
    await_metric(&server, "weir_node_log_full", "1");
    check(&history, witness(&server), 1, &["large"]);

    // A stream can be created, and has its shard when there is room.
    server.ok("CreateStream", &json!({"StreamName": "new", "ShardCount": 1}));
    // Somebody else takes the rest. Even now it can be started, read and freed.
    disk.fill("ballast", 0);
    server.kill_9_and_restart();
    assert_eq!(disk.free(), 0);
    assert_says_that_it_is_full(&put(&server, "small"));
    // The last bytes are not for wishes, or they would be gone when they are needed.
    for wish in 0..20 {
        let wish = json!({"StreamName": format!("wish-{wish}"), "ShardCount": 20});
        assert_says_that_it_is_full(&server.call("CreateStream", &wish));
    }
    server.kill_9_and_restart();
    check(&history, witness(&server), 2, &["large"]);
    assert_eq!(status(&server, "new"), "CREATING");
    assert!(witness(&server).delete("large"));
    put_until_taken(&server, "small");
    server.await_active("new");
    put_until_taken(&server, "new");
    await_metric(&server, "weir_node_log_full", "0");
    server.process().signal(Signal::SIGTERM);
    assert!(server.process().wait(Duration::from_secs(30)).success());
}

#[test]
fn records_are_taken_again_when_somebody_else_makes_room() {
    let Some(disk) = SmallDisk::mount("records_are_taken_again_when_somebody_else_makes_room", DISK_MIB)
    else {
        return;
    };
    let ballast = disk.fill("ballast", RESERVE_MIB + 100); // one segment fits, and the next does not
    let server = Server::start_on(&disk.path().join("data"), &ARGUMENTS);
    let history = History::default();
    let witness = Witness { history: &history, address: server.address() };
    server.stream("s", 2);
    server.stream("other", 1);
    fill(witness, "s");
    assert_says_that_it_is_full(&put(&server, "other"));
    disk.remove(&ballast);
    put_until_taken(&server, "other");
    let after = Put { stream: "s".into(), key: "k".into(), data: "again".repeat(4), after: None };
    assert!(matches!(witness.put_record(&after), Outcome::Stored { .. }));
    check(&history, witness, 1, &["s"]);
}
