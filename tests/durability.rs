//! What a server keeps and what it refuses, when its folder is not what it was: nothing acknowledged goes with it.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::json;
use weir_tests::{http, process::output, semantics, server::Server, weir};

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

/// The metric `name` of the node as soon as it has counted so many records.
fn once_counted(server: &Server, records: u64, name: &str) -> u64 {
    let ask = b"GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let counted = (0..6_000).find_map(|_| {
        let metrics = String::from_utf8(http::send(server.admin_address(), ask).ok()?.body).unwrap();
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} in {metrics}")).parse::<u64>().unwrap()
        };
        let seen = value("weir_node_records") == records;
        if !seen {
            thread::park_timeout(Duration::from_millis(10));
        }
        seen.then(|| value(name))
    });
    counted.expect("all records are counted")
}

#[test]
fn one_caller_after_another_is_committed_on_the_serve_thread() {
    // Under `os` no sync decides whether the disk was quick.
    let server = Server::start_with(&["--durability", "os", "--admin", "127.0.0.1:0"]);
    server.stream("s", 1);
    for _ in 0..200 {
        server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": ""}));
    }
    let here = once_counted(&server, 200, "weir_node_commit_groups_by_caller");
    assert!(here > 20, "{here} of 200");
    assert_eq!(keys(&server, "s").len(), 200);
}

#[test]
fn callers_who_come_together_share_groups() {
    const ALONE: u64 = 50;
    const TOGETHER: u64 = 16;
    const ROUNDS: u64 = 20;
    let server = Server::start_with(&["--admin", "127.0.0.1:0"]);
    server.stream("s", 1);
    let body = json!({"StreamName": "s", "PartitionKey": "k", "Data": ""}).to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.PutRecord\r\n\
         content-type: application/x-amz-json-1.1\r\nx-amz-date: 20201125T024400Z\r\n\
         authorization: {}\r\ncontent-length: {}\r\n\r\n{body}",
        http::ANY_SIGNATURE,
        body.len()
    );
    let mut sockets: Vec<_> = (0..TOGETHER).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    let ask = |socket: &mut TcpStream| socket.write_all(request.as_bytes()).unwrap();
    let hear = |socket: &mut TcpStream| {
        let mut answer = [0; 1_024]; // in one piece: it is small
        let len = socket.read(&mut answer).unwrap();
        assert!(answer[..len].starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..len]));
    };
    let mut put = 0;
    let mut by_caller_after = |records: u64| {
        put += records;
        once_counted(&server, put, "weir_node_commit_groups_by_caller")
    };
    // First the thread sees one caller only, until the log is laid out and the disk was quick; a slow one may never be.
    let mut before = 0;
    for _ in 0..40 {
        for _ in 0..ALONE {
            ask(&mut sockets[0]);
            hear(&mut sockets[0]);
        }
        before = by_caller_after(ALONE);
        if before > ALONE / 2 {
            break;
        }
    }
    // Then all at once, again and again.
    for _ in 0..ROUNDS {
        sockets.iter_mut().for_each(ask);
        sockets.iter_mut().for_each(hear);
    }
    let by_caller = by_caller_after(TOGETHER * ROUNDS) - before;
    assert!(by_caller < TOGETHER * ROUNDS / 2, "{by_caller} had a sync of their own");
}

#[test]
fn records_are_synced_under_fsync_and_not_under_os() {
    for (durability, synced) in [("fsync", true), ("os", false)] {
        let server = Server::start_with(&["--durability", durability, "--admin", "127.0.0.1:0"]);
        server.stream("s", 1);
        server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": ""}));
        let syncs = once_counted(&server, 1, "weir_node_syncs");
        assert_eq!(syncs > 0, synced, "{durability}");
    }
}

#[test]
fn what_survives_the_process_is_what_its_durability_says() {
    for (durability, kept) in [("fsync", true), ("os", true), ("memory", false)] {
        let promise = semantics::durability(durability);
        assert_eq!(promise.contains("kill -9"), kept, "docs/SEMANTICS.md says of {durability}: {promise}");
        let mut server = Server::start_with(&["--durability", durability]);
        server.stream("s", 1);
        let record = |key: &str| json!({"StreamName": "s", "PartitionKey": key, "Data": ""});
        server.ok("PutRecord", &record("before"));
        assert_eq!(keys(&server, "s"), ["before"]);
        server.kill_9_and_restart();
        server.await_active("s"); // the stream is there in any case, and takes records
        server.ok("PutRecord", &record("after"));
        let expected: &[&str] = if kept { &["before", "after"] } else { &["after"] };
        assert_eq!(keys(&server, "s"), expected, "{durability}");
    }
}

/// `weir log COMMAND` on this folder as JSON, and its exit code.
fn look(command: &str, folder: &Path) -> (i32, serde_json::Value) {
    let ended =
        output(Command::new(weir()).args(["log", command, "--json"]).arg(folder), Duration::from_secs(60));
    let told = serde_json::from_slice(&ended.stdout);
    let told = told.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ended.stderr)));
    (ended.status.code().unwrap(), told)
}

/// Names and contents of a folder's files.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_log_is_looked_at_and_its_damage_named_without_a_byte_changed() {
    let mut server = Server::start();
    server.stream("s", 2);
    let needle = b"a record that is looked for";
    let data = "YSByZWNvcmQgdGhhdCBpcyBsb29rZWQgZm9y";
    for hash in ["0", "1", "340282366920938463463374607431768211455"] {
        let record = json!({"StreamName": "s", "PartitionKey": "k", "ExplicitHashKey": hash, "Data": data});
        server.ok("PutRecord", &record);
    }
    let (code, live) = look("inspect", server.data());
    assert_eq!((code, &live["records"]), (0, &json!(3)), "also while it is written");
    server.process().kill_9();
    let log = server.data().join("log");
    let before = files(&log);
    for (command, folder) in [("inspect", server.data()), ("verify", server.data()), ("verify", &log)] {
        let (code, told) = look(command, folder);
        assert_eq!((code, &told["whole"], &told["records"]), (0, &json!(true), &json!(3)), "{told}");
        let shards = told["shards"].as_array().unwrap();
        let shown: Vec<_> = shards.iter().map(|shard| (&shard["stream"], &shard["next"])).collect();
        assert_eq!(shown, [(&json!("s"), &json!(2)), (&json!("s"), &json!(1))]);
        assert_eq!(told["segments"].as_array().unwrap().len(), 1);
    }
    let table = output(Command::new(weir()).args(["log", "inspect"]).arg(&log), Duration::from_secs(60));
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("shardId-000000000001") && table.ends_with("nothing is damaged\n"), "{table}");
    assert_eq!(files(&log), before, "nothing in it was changed");

    // One bit of the first record, which later ones prove to have been synced.
    let (path, mut bytes) = before.into_iter().find(|(_, bytes)| bytes.len() > 1 << 20).unwrap();
    let at = bytes.windows(needle.len()).position(|seen| seen == needle).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (code, told) = look("verify", &log);
    assert_eq!((code, &told["whole"]), (1, &json!(false)), "{told}");
    let damage = &told["damage"][0];
    assert_eq!((&damage["file"], &damage["what"]), (&json!(path), &json!("a frame does not read")));
    assert!((4_096..at as u64).contains(&damage["offset"].as_u64().unwrap()), "the frame that it lies in");
    assert_eq!(damage["shards"].as_array().unwrap().len(), 1);

    let none = tempfile::tempdir().unwrap();
    let ended =
        output(Command::new(weir()).args(["log", "verify"]).arg(none.path()), Duration::from_secs(60));
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("holds no journal"));
}

#[test]
fn a_newest_segment_that_is_cut_short_is_named_beside_all_that_reads_and_nothing_is_written_behind_it() {
    let mut server = Server::start();
    server.stream("s", 1);
    server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": "bmVlZGxl"}));
    server.process().kill_9();
    let log = server.data().join("log");
    let (path, bytes) = files(&log).into_iter().find(|(_, bytes)| bytes.len() > 1 << 20).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    for (command, code) in [("inspect", 0), ("verify", 1)] {
        let (ended, told) = look(command, &log);
        assert_eq!((ended, &told["whole"], &told["records"]), (code, &json!(false), &json!(1)), "{told}");
        let damage = &told["damage"][0];
        assert_eq!((&damage["file"], &damage["offset"]), (&json!(path), &json!(1 << 20)));
        assert_eq!(damage["what"], "the file is cut short");
    }
    let (code, errors) = refused(server.data(), &[]);
    assert!(code == 3 && errors.contains(&format!("fallocate -l {}", bytes.len())), "{code}: {errors}");
}

#[test]
fn a_log_whose_segments_are_gone_is_not_taken_for_an_empty_one() {
    let mut server = Server::start();
    server.stream("s", 1);
    server.process().kill_9();
    let log = server.data().join("log");
    files(&log)
        .keys()
        .filter(|path| path.extension().is_some())
        .for_each(|path| fs::remove_file(path).unwrap());
    for _ in 0..2 {
        let (code, errors) = refused(server.data(), &[]);
        assert!(code == 3 && errors.contains("none of its segments is there"), "{code}: {errors}");
    }
    fs::remove_file(log.join("cluster")).unwrap(); // as it said
    let begun = Server::start_on(server.data(), &[]);
    begun.await_active("s");
}

#[test]
fn a_damaged_frame_behind_a_good_footer_is_found_by_who_reads_all() {
    let mut server = Server::start();
    server.stream("s", 1);
    server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": "bmVlZGxl"}));
    server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": "bm90IGl0"}));
    server.process().signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.process().wait(Duration::from_secs(30)).success());
    let log = server.data().join("log");
    let (path, mut bytes) = files(&log).into_iter().find(|(_, bytes)| bytes.len() > 1 << 20).unwrap();
    let at = bytes.windows(6).position(|seen| seen == b"needle").unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
    assert_eq!(look("inspect", &log).1["whole"], true, "as a start sees it");
    assert_eq!(look("verify", &log).0, 1);
}
