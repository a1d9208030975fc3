//! One `weir serve` that is killed: between acknowledgements, at any step of a reshard, with a log of several segments.

use std::fs;

use nix::sys::signal::Signal;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use weir_tests::{server::Server, witness::Witness};

use crate::load::Load;

const ROUNDS: u64 = 20;
const ROUNDS_OS: u64 = 8;
const SHARDS: u32 = 3;
const SEED: u64 = 0x2545_f491_4f6c_dd1d;

#[test]
fn acknowledged_records_survive_kill_9_at_any_moment() {
    kill_between_acknowledgements("fsync", ROUNDS);
}

#[test]
fn acknowledged_records_survive_kill_9_also_when_the_kernel_alone_has_them() {
    kill_between_acknowledgements("os", ROUNDS_OS);
}

fn kill_between_acknowledgements(durability: &str, rounds: u64) {
    let mut server = Server::start_with(&["--shard-limits", "off", "--durability", durability]);
    let load = Load::new("s", SEED);
    server.stream("s", SHARDS);
    let mut rng = StdRng::seed_from_u64(SEED);
    for round in 0..rounds {
        streams_come_and_go(&server, &load, round);
        // Killed after a random number of acknowledged records, not after a time: as good on a slow machine, and a server
        // that acknowledges nothing fails the test.
        let goal = load.acknowledged() + rng.random_range(1..400);
        load.run(&[server.address()], || {
            load.wait_for(goal);
            server.process().signal(Signal::SIGKILL);
        });
        server.kill_9_and_restart();
        load.go_on_at(&[server.address()]);
        load.check(0);
        let there = load.witness(0).look(&format!("round-{round}")).expect("it answers");
        assert_eq!(there.as_deref(), Some("ACTIVE"), "round {round}");
        if round > 0 {
            load.witness(0).look(&format!("round-{}", round - 1)).expect("it answers");
        }
    }
    load.check_at_the_end();
}

/// Killed at any step of a split or a merge: it goes on with the next life, and what was acknowledged before, between and
/// after is there.
#[test]
fn a_reshard_survives_kill_9_at_any_moment() {
    let mut server = Server::start_with(&["--shard-limits", "off"]);
    let load = Load::new("s", SEED);
    server.stream("s", SHARDS);
    for (round, target) in [4, 3, 6, 5, 4, 8, 4, 3, 2].into_iter().enumerate() {
        load.run(&[server.address()], || {
            load.wait_for(load.acknowledged() + 20);
            assert!(load.witness(0).scale("s", target), "round {round}");
            // From at once to when it is long over, by what is taken meanwhile.
            load.wait_for(load.acknowledged() + round * round * 3);
            server.process().signal(Signal::SIGKILL);
        });
        server.kill_9_and_restart();
        server.await_active("s");
        load.go_on_at(&[server.address()]);
        load.check(0);
        let summary = server.ok("DescribeStreamSummary", &json!({"StreamName": "s"}));
        assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], target, "round {round}");
    }
    load.check_at_the_end();
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
    let segments = fs::read_dir(server.data().join("log")).expect("the log's folder");
    let named = |file: &fs::DirEntry| file.file_name().to_string_lossy().starts_with("segment-");
    assert!(segments.flatten().filter(named).count() >= 2, "{} MiB are more than a segment", 12 * 8 * 3 / 4);
    server.kill_9_and_restart();
    let found = server.read_all("s", "shardId-000000000000");
    assert!(found.iter().all(|(_, _, found)| *found == data), "the bytes are the same");
    assert_eq!(found.into_iter().map(|(_, key, _)| key).collect::<Vec<_>>(), expected);
}

/// A stream of this round, with a record; that of the round before goes.
fn streams_come_and_go(server: &Server, load: &Load, round: u64) {
    let witness = Witness { history: &load.history, address: server.address() };
    let name = format!("round-{round}");
    assert!(witness.create(&name, 1), "round {round}");
    server.await_active(&name);
    server.ok("PutRecord", &json!({"StreamName": name, "PartitionKey": name, "Data": ""}));
    if round > 0 {
        assert!(witness.delete(&format!("round-{}", round - 1)), "round {round}");
    }
}
