//! What a server keeps and what it refuses, when its folder is not what it was: nothing acknowledged goes with it.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::{fs, path::Path, process::Command, thread, time::Duration};

use serde_json::json;
use weir_tests::{http, process::output, server::Server, weir};

const SHARD: &str = "shardId-000000000000";

fn keys(server: &Server, stream: &str) -> Vec<String> {
    server.read_all(stream, SHARD).into_iter().map(|(_, key, _)| key).collect()
}

/// `weir serve` on this folder, which must not come up: its exit code and what it says.
fn refused(data: &Path, more: &[&str]) -> (i32, String) {
    let mut command = Command::new(weir());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(more);
    let ended = output(&mut command, Duration::from_secs(60));
    assert!(ended.stdout.is_empty(), "it said that it serves");
    (ended.status.code().unwrap(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn a_stream_that_could_not_be_saved_takes_no_record() {
    let mut server = Server::start();
    let in_the_way = server.data().join("control/control.json.new");
    fs::create_dir(&in_the_way).unwrap();
    let create = json!({"StreamName": "s", "ShardCount": 1});
    assert_eq!(server.call("CreateStream", &create).status, 503);
    let record = json!({"StreamName": "s", "PartitionKey": "k", "Data": ""});
    assert_eq!(server.call("PutRecord", &record).json()["__type"], "ResourceNotFoundException");
    fs::remove_dir(&in_the_way).unwrap();
    server.stream("s", 1);
    server.ok("PutRecord", &record);
    server.kill_9_and_restart();
    assert_eq!(keys(&server, "s"), ["k"]);
}

#[test]
fn a_log_without_its_control_store_is_refused_and_stays_whole() {
    let mut server = Server::start();
    server.stream("s", 1);
    server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": ""}));
    server.process().kill_9();
    let (control, aside) = (server.data().join("control"), server.data().join("aside"));
    fs::rename(&control, &aside).unwrap();
    for _ in 0..2 {
        let (code, errors) = refused(server.data(), &[]);
        assert!(code == 2 && errors.contains("belongs to cluster"), "{code}: {errors}");
    }
    fs::remove_dir_all(&control).unwrap();
    fs::rename(&aside, &control).unwrap();
    server.kill_9_and_restart();
    assert_eq!(keys(&server, "s"), ["k"]);
}

#[test]
fn an_older_control_store_takes_no_record() {
    let mut server = Server::start();
    let kept = fs::read(server.data().join("control/control.json")).unwrap();
    server.stream("s", 1);
    server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": ""}));
    server.process().kill_9();
    let newest = fs::read(server.data().join("control/control.json")).unwrap();
    fs::write(server.data().join("control/control.json"), kept).unwrap();
    server.kill_9_and_restart();
    // The number of the forgotten stream is given out again: its records must not be the new one's, nor go.
    server.ok("CreateStream", &json!({"StreamName": "other", "ShardCount": 1}));
    server.stream("next", 1); // the node has had its turn
    let put = json!({"StreamName": "other", "PartitionKey": "k", "Data": ""});
    assert_eq!(server.call("PutRecord", &put).json()["__type"], "ResourceNotFoundException");
    let other = json!({"StreamName": "other"});
    let described = server.call("DescribeStream", &other).json();
    assert_eq!(described["StreamDescription"]["StreamStatus"], "CREATING");
    // Nor when that stream is gone and a later life asks for none of its shards.
    server.ok("DeleteStream", &other);
    server.kill_9_and_restart();
    server.stream("last", 1);
    server.process().kill_9();
    fs::write(server.data().join("control/control.json"), newest).unwrap();
    server.kill_9_and_restart();
    assert_eq!(keys(&server, "s"), ["k"]);
}

#[test]
fn what_is_in_use_is_said_once_with_3_and_nothing_is_changed() {
    let server = Server::start();
    let store = server.data().join("control/control.json");
    let before = fs::metadata(&store).unwrap().modified().unwrap();
    let (code, errors) = refused(server.data(), &[]);
    assert_eq!((code, errors.matches("in use by another process").count()), (3, 1), "{errors}");
    assert_eq!(fs::metadata(&store).unwrap().modified().unwrap(), before, "the store is the other's");

    let free = tempfile::tempdir().unwrap();
    let busy = server.address().to_string();
    for flag in ["--listen", "--admin"] {
        let arguments = ["serve", "--data", free.path().to_str().unwrap(), flag, &busy];
        let arguments =
            arguments.iter().chain(if flag == "--admin" { &["--listen", "127.0.0.1:0"][..] } else { &[] });
        let ended = output(Command::new(weir()).args(arguments), Duration::from_secs(60));
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(3), "{flag}: {errors}");
        assert_eq!(errors.matches("in use (os error").count(), 1, "{flag}: {errors}");
    }
    let (code, errors) = refused(Path::new("/proc/x"), &[]);
    assert_eq!((code, errors.matches("os error").count()), (2, 1), "{errors}");
}

#[test]
fn records_are_synced_under_fsync_and_not_under_os() {
    for (durability, synced) in [("fsync", true), ("os", false)] {
        let server = Server::start_with(&["--durability", durability, "--admin", "127.0.0.1:0"]);
        server.stream("s", 1);
        server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": ""}));
        let ask = b"GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        let syncs = (0..6_000).find_map(|_| {
            let metrics = String::from_utf8(http::send(server.admin_address(), ask).ok()?.body).unwrap();
            let value = |name: &str| {
                let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
                line.unwrap_or_else(|| panic!("{name} in {metrics}")).parse::<u64>().unwrap()
            };
            let seen = value("weir_node_records") == 1;
            if !seen {
                thread::park_timeout(Duration::from_millis(10));
            }
            seen.then(|| value("weir_node_syncs"))
        });
        assert_eq!(syncs.expect("the record is counted") > 0, synced, "{durability}");
    }
}
