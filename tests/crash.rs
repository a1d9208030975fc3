//! kill -9 at any moment: what was acknowledged is there, once and in order, and a stream that was created is there.
//!
//! The producers are real HTTP clients; the server is the real process; the moments are drawn from a seed that a
//! failure prints.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::json;
use weir_tests::{http, server::Server};

const ROUNDS: u64 = 20;
const PRODUCERS: u64 = 4;
const SHARDS: u32 = 3;
/// How often the producers' progress is looked at, and for how long in all.
const POLL: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(60);

/// Acknowledged records: (shard, sequence number) -> partition key. Keys are unique over the whole run.
type Acknowledged = Arc<Mutex<BTreeMap<(String, String), String>>>;

/// Puts batches until the server is gone or `stop`.
fn produce(address: SocketAddr, next: &AtomicU64, acknowledged: &Acknowledged, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let keys: Vec<String> =
            (0..7).map(|_| format!("key-{}", next.fetch_add(1, Ordering::Relaxed))).collect();
        let records: Vec<_> =
            keys.iter().map(|key| json!({"PartitionKey": key, "Data": "cGF5bG9hZA=="})).collect();
        let body = json!({"StreamName": "s", "Records": records}).to_string();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.PutRecords\r\n\
             content-type: application/x-amz-json-1.1\r\nauthorization: {}\r\nx-amz-date: 20201125T024400Z\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            http::ANY_SIGNATURE,
            body.len()
        );
        let Ok(answer) = http::send(address, head.as_bytes()) else { return };
        if answer.status != 200 {
            continue;
        }
        let Ok(put) = serde_json::from_slice::<serde_json::Value>(&answer.body) else { return };
        let mut acknowledged = acknowledged.lock().expect("no producer panics");
        for (key, result) in keys.iter().zip(put["Records"].as_array().expect("results")) {
            if let (Some(shard), Some(sequence)) =
                (result["ShardId"].as_str(), result["SequenceNumber"].as_str())
            {
                acknowledged.insert((shard.to_owned(), sequence.to_owned()), key.clone());
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own producers: no thread count rests on them")]
fn producer_round(
    address: SocketAddr,
    next: &Arc<AtomicU64>,
    acknowledged: &Acknowledged,
    during: impl FnOnce(),
) {
    let stop = Arc::new(AtomicBool::new(false));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|_| {
            let (next, acknowledged, stop) = (Arc::clone(next), Arc::clone(acknowledged), Arc::clone(&stop));
            thread::spawn(move || produce(address, &next, &acknowledged, &stop))
        })
        .collect();
    during();
    stop.store(true, Ordering::Relaxed);
    for producer in producers {
        producer.join().expect("a producer does not panic");
    }
}

fn check(server: &Server, acknowledged: &Acknowledged, round: u64) {
    let mut found = BTreeMap::new();
    let listed = server.ok("ListShards", &json!({"StreamName": "s"}));
    let shards = listed["Shards"].as_array().expect("a list").iter();
    for shard in shards.map(|shard| shard["ShardId"].as_str().expect("an id").to_owned()) {
        let mut last = String::new();
        for (sequence, key, _) in server.read_all("s", &shard) {
            assert!(sequence > last, "round {round}: {shard} is out of order at {sequence}");
            last.clone_from(&sequence);
            found.insert((shard.clone(), sequence), key);
        }
    }
    for (place, key) in acknowledged.lock().expect("no producer panics").iter() {
        assert_eq!(found.get(place), Some(key), "round {round}: acknowledged {place:?} is lost or another");
    }
    let mut keys: Vec<_> = found.values().collect();
    keys.sort();
    let all = keys.len();
    keys.dedup();
    assert_eq!(all, keys.len(), "round {round}: a record is there twice");
}

#[test]
fn acknowledged_records_survive_kill_9_at_any_moment() {
    let mut server = Server::start_with(&["--shard-limits", "off"]);
    server.stream("s", SHARDS);
    let acknowledged = Acknowledged::default();
    let next = Arc::new(AtomicU64::new(0));
    let mut moment = 0x2545_f491_4f6c_dd1d_u64; // xorshift64: the moments are the same in every run
    for round in 0..ROUNDS {
        moment ^= moment << 13;
        moment ^= moment >> 7;
        moment ^= moment << 17;
        streams_come_and_go(&server, round);
        let goal = count(&acknowledged) + usize::try_from(moment % 400).expect("small") + 1;
        let address = server.address();
        producer_round(address, &next, &acknowledged, || {
            // Killed after a random number of acknowledged records, not after a time: as good on a slow machine, and
            // a server that acknowledges nothing fails the test.
            let mut patience = PATIENCE;
            while count(&acknowledged) < goal {
                patience =
                    patience.checked_sub(POLL).unwrap_or_else(|| panic!("round {round}: nothing is taken"));
                thread::park_timeout(POLL);
            }
            server.process().signal(Signal::SIGKILL);
        });
        server.kill_9_and_restart();
        check(&server, &acknowledged, round);
        check_streams(&server, round);
    }
}

/// Killed at any step of a split or a merge: it goes on with the next life, and what was acknowledged before, between and
/// after is there.
#[test]
fn a_reshard_survives_kill_9_at_any_moment() {
    let mut server = Server::start_with(&["--shard-limits", "off", "--call-limits", "off"]);
    server.stream("s", SHARDS);
    let acknowledged = Acknowledged::default();
    let next = Arc::new(AtomicU64::new(0));
    for (round, target) in [4, 3, 6, 5, 4, 8, 4, 3, 2].into_iter().enumerate() {
        let address = server.address();
        let await_goal = |goal: usize| {
            let mut patience = PATIENCE;
            while count(&acknowledged) < goal {
                patience =
                    patience.checked_sub(POLL).unwrap_or_else(|| panic!("round {round}: nothing is taken"));
                thread::park_timeout(POLL);
            }
        };
        producer_round(address, &next, &acknowledged, || {
            await_goal(count(&acknowledged) + 20);
            let scale =
                json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
            server.ok("UpdateShardCount", &scale);
            // From at once to when it is long over, by what is taken meanwhile.
            await_goal(count(&acknowledged) + round * round * 3);
            server.process().signal(Signal::SIGKILL);
        });
        server.kill_9_and_restart();
        server.await_active("s");
        check(&server, &acknowledged, round as u64);
        let summary = server.ok("DescribeStreamSummary", &json!({"StreamName": "s"}));
        assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], target, "round {round}");
    }
}

/// More than one segment of the log: it rolls, closes the first with a footer, and is found whole after kill -9.
#[test]
fn a_log_of_several_segments_survives_kill_9() {
    let mut server = Server::start_with(&["--shard-limits", "off"]);
    server.stream("s", 1);
    let data = "YQ==".repeat(1 << 18).replace("==", "FB"); // 768 KiB of base64 that is one text
    let mut expected = Vec::new();
    for batch in 0..12 {
        let keys: Vec<_> = (0..8).map(|n| format!("{batch}-{n}")).collect();
        let records: Vec<_> = keys.iter().map(|key| json!({"PartitionKey": key, "Data": data})).collect();
        let put = server.ok("PutRecords", &json!({"StreamName": "s", "Records": records}));
        assert_eq!(put["FailedRecordCount"], 0);
        expected.extend(keys);
    }
    let segments = std::fs::read_dir(server.data().join("log")).expect("the log's folder");
    let named = |file: &std::fs::DirEntry| file.file_name().to_string_lossy().starts_with("segment-");
    assert!(segments.flatten().filter(named).count() >= 2, "{} MiB are more than a segment", 12 * 8 * 3 / 4);
    server.kill_9_and_restart();
    let found = server.read_all("s", "shardId-000000000000");
    assert!(found.iter().all(|(_, _, found)| *found == data), "the bytes are the same");
    assert_eq!(found.into_iter().map(|(_, key, _)| key).collect::<Vec<_>>(), expected);
}

fn count(acknowledged: &Acknowledged) -> usize {
    acknowledged.lock().expect("no producer panics").len()
}

/// A stream of this round, with a record; that of the round before goes.
fn streams_come_and_go(server: &Server, round: u64) {
    let name = format!("round-{round}");
    server.stream(&name, 1);
    server.ok("PutRecord", &json!({"StreamName": name, "PartitionKey": name, "Data": ""}));
    if round > 0 {
        server.ok("DeleteStream", &json!({"StreamName": format!("round-{}", round - 1)}));
    }
}

fn check_streams(server: &Server, round: u64) {
    let name = format!("round-{round}");
    let keys: Vec<_> =
        server.read_all(&name, "shardId-000000000000").into_iter().map(|(_, key, _)| key).collect();
    assert_eq!(keys, [name], "round {round}: its own stream is there");
    if round > 0 {
        let gone = json!({"StreamName": format!("round-{}", round - 1)});
        let told = server.call("DescribeStreamSummary", &gone);
        let deleting = || told.json()["StreamDescriptionSummary"]["StreamStatus"] == "DELETING";
        assert!(told.status == 400 || deleting(), "round {round}: a deleted stream came back");
    }
}
