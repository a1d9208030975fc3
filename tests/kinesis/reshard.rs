//! SplitShard, MergeShards, UpdateShardCount; what ListShards, DescribeStream, GetShardIterator and GetRecords tell of shards
//! that have ended; and records that are put while shards end.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use weir_tests::{
    http,
    semantics::{says, says_same},
    server::Server,
};

const MIDDLE: &str = "170141183460469231731687303715884105728";
const LAST: &str = "340282366920938463463374607431768211455";

/// No limits: these tests are about what reshards refuse, and that is nothing.
fn unlimited() -> Server {
    Server::start_with(&["--shard-limits", "off", "--call-limits", "off"])
}

fn shard_id(number: u32) -> String {
    format!("shardId-{number:012}")
}

fn split(server: &Server, shard: u32, at: &str) {
    let id = shard_id(shard);
    server.ok("SplitShard", &json!({"StreamName": "s", "ShardToSplit": id, "NewStartingHashKey": at}));
    server.await_active("s");
}

fn merge(server: &Server, shard: u32, adjacent: u32) {
    let (shard, adjacent) = (shard_id(shard), shard_id(adjacent));
    server.ok(
        "MergeShards",
        &json!({"StreamName": "s", "ShardToMerge": shard, "AdjacentShardToMerge": adjacent}),
    );
    server.await_active("s");
}

fn put(server: &Server, key: &str, hash_key: &str) -> (String, String) {
    let body = json!({"StreamName": "s", "PartitionKey": key, "ExplicitHashKey": hash_key, "Data": "AAAA"});
    let told = server.ok("PutRecord", &body);
    (told["ShardId"].as_str().unwrap().to_owned(), told["SequenceNumber"].as_str().unwrap().to_owned())
}

fn shards(server: &Server) -> Vec<Value> {
    server.ok("ListShards", &json!({"StreamName": "s"}))["Shards"].as_array().unwrap().clone()
}

fn ids(told: &Value) -> Vec<u64> {
    let number = |shard: &Value| shard["ShardId"].as_str().unwrap()[8..].parse().unwrap();
    told["Shards"].as_array().unwrap().iter().map(number).collect()
}

fn iterator(server: &Server, shard: u32, mut from: Value) -> String {
    from["StreamName"] = json!("s");
    from["ShardId"] = json!(shard_id(shard));
    server.ok("GetShardIterator", &from)["ShardIterator"].as_str().unwrap().to_owned()
}

fn get(server: &Server, iterator: &str) -> Value {
    server.ok("GetRecords", &json!({"ShardIterator": iterator}))
}

#[test]
fn a_split_and_a_merge_leave_a_family_that_descriptions_tell_and_readers_follow() {
    says_same(
        "Closed shards tell their parents and their ending number, are read to their end, where `ChildShards` takes",
    );
    let mut server = unlimited();
    server.stream("s", 1);
    let first = put(&server, "low", "0");
    let open = iterator(&server, 0, json!({"ShardIteratorType": "TRIM_HORIZON"}));
    split(&server, 0, MIDDLE);
    let low = put(&server, "low", "0");
    let high = put(&server, "high", LAST);
    assert_eq!((low.0, high.0), (shard_id(1), shard_id(2)));
    assert!(first.1 < low.1, "children's numbers are above their parent's");
    merge(&server, 1, 2);
    let merged = put(&server, "low", "0");
    assert_eq!(merged.0, shard_id(3));

    server.kill_9_and_restart();
    let described = server.ok("DescribeStream", &json!({"StreamName": "s"}))["StreamDescription"].clone();
    assert_eq!(described["Shards"], json!(shards(&server)));
    let family = shards(&server);
    assert_eq!(family.len(), 4);
    assert_eq!(
        (&family[0]["ParentShardId"], &family[1]["ParentShardId"]),
        (&Value::Null, &json!(shard_id(0)))
    );
    assert_eq!(family[1]["AdjacentParentShardId"], Value::Null);
    assert_eq!(family[1]["HashKeyRange"]["EndingHashKey"], "170141183460469231731687303715884105727");
    assert_eq!(family[2]["HashKeyRange"]["StartingHashKey"], MIDDLE);
    assert_eq!(
        (&family[3]["ParentShardId"], &family[3]["AdjacentParentShardId"]),
        (&json!(shard_id(1)), &json!(shard_id(2)))
    );
    let range = |at: usize, which: &str| family[at]["SequenceNumberRange"][which].as_str().map(str::to_owned);
    let ending = range(0, "EndingSequenceNumber").unwrap();
    assert!(ending > first.1 && ending < range(1, "StartingSequenceNumber").unwrap());
    assert!(range(1, "EndingSequenceNumber").is_some() && range(3, "EndingSequenceNumber").is_none());
    let summary = server.ok("DescribeStreamSummary", &json!({"StreamName": "s"}));
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 1);

    // An iterator from before the end reads the record and learns what comes after it.
    let end = get(&server, &open);
    assert_eq!(end["Records"].as_array().unwrap().len(), 1);
    assert!(end.get("NextShardIterator").is_none());
    assert_eq!(end["MillisBehindLatest"], 0);
    let halves = json!([
        {"ShardId": shard_id(1), "ParentShards": [shard_id(0)], "HashKeyRange": family[1]["HashKeyRange"]},
        {"ShardId": shard_id(2), "ParentShards": [shard_id(0)], "HashKeyRange": family[2]["HashKeyRange"]},
    ]);
    assert_eq!(end["ChildShards"], halves);
    for (from, records) in [
        (json!({"ShardIteratorType": "LATEST"}), 0),
        (json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1}), 1),
        (json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": first.1}), 1),
        (json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": first.1}), 0),
        (json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": ending}), 0),
        (json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": ending}), 0),
    ] {
        let end = get(&server, &iterator(&server, 0, from.clone()));
        assert_eq!(end["Records"].as_array().unwrap().len(), records, "{from}");
        assert_eq!((end.get("NextShardIterator"), &end["ChildShards"]), (None, &halves), "{from}");
    }
    let end = get(&server, &iterator(&server, 2, json!({"ShardIteratorType": "TRIM_HORIZON"})));
    assert_eq!(end["ChildShards"][0]["ParentShards"], json!([shard_id(1), shard_id(2)]));
    let open = get(&server, &iterator(&server, 3, json!({"ShardIteratorType": "TRIM_HORIZON"})));
    assert!(open.get("NextShardIterator").is_some() && open.get("ChildShards").is_none());
}

#[test]
fn every_filter_lists_the_shards_that_were_open_then_and_a_token_goes_on_with_it() {
    says_same("ListShards has all six filters");
    let server = unlimited();
    server.stream("s", 2);
    split(&server, 0, "9");
    let created = server.ok("DescribeStreamSummary", &json!({"StreamName": "s"}));
    let created = created["StreamDescriptionSummary"]["StreamCreationTimestamp"].as_f64().unwrap();
    let list =
        |filter: Value| ids(&server.ok("ListShards", &json!({"StreamName": "s", "ShardFilter": filter})));
    for (filter, expected) in [
        (json!({"Type": "FROM_TRIM_HORIZON"}), vec![0, 1, 2, 3]),
        (json!({"Type": "AT_TRIM_HORIZON"}), vec![0, 1]),
        (json!({"Type": "AT_LATEST"}), vec![1, 2, 3]),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": created}), vec![0, 1]),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": created + 9e6}), vec![1, 2, 3]),
        (json!({"Type": "FROM_TIMESTAMP", "Timestamp": created}), vec![0, 1, 2, 3]),
        (json!({"Type": "FROM_TIMESTAMP", "Timestamp": created + 9e6}), vec![1, 2, 3]),
        (json!({"Type": "AFTER_SHARD_ID", "ShardId": shard_id(1)}), vec![2, 3]),
    ] {
        assert_eq!(list(filter.clone()), expected, "{filter}");
    }
    let mut page = server
        .ok("ListShards", &json!({"StreamName": "s", "MaxResults": 1, "ShardFilter": {"Type": "AT_LATEST"}}));
    let mut paged = ids(&page);
    while let Some(token) = page["NextToken"].as_str() {
        page = server.ok("ListShards", &json!({"NextToken": token, "MaxResults": 1}));
        paged.extend(ids(&page));
    }
    assert_eq!(paged, [1, 2, 3]);
}

#[test]
fn a_shard_count_goes_to_uniform_ranges_and_says_where_it_is() {
    says("the ranges after UpdateShardCount", "a range may begin up to a millionth of its width beside");
    let server = unlimited();
    server.stream("s", 4);
    let told = server.ok(
        "UpdateShardCount",
        &json!({"StreamName": "s", "TargetShardCount": 3, "ScalingType": "UNIFORM_SCALING"}),
    );
    assert_eq!((&told["CurrentShardCount"], &told["TargetShardCount"]), (&json!(4), &json!(3)));
    assert_eq!(told["StreamARN"], "arn:aws:kinesis:us-east-1:000000000000:stream/s");
    server.await_active("s");
    let open: Vec<_> = shards(&server)
        .into_iter()
        .filter(|shard| shard["SequenceNumberRange"].get("EndingSequenceNumber").is_none())
        .collect();
    let starts: BTreeSet<u128> = open
        .iter()
        .map(|shard| shard["HashKeyRange"]["StartingHashKey"].as_str().unwrap().parse().unwrap())
        .collect();
    let third = u128::MAX / 3;
    assert_eq!(starts, BTreeSet::from([0, third, 2 * third]));
    assert_eq!(
        shards(&server).len(),
        4 + 4 + 3,
        "the middle two are split, and all are merged in pairs, as AWS does"
    );

    // A boundary that is near enough stays where it is.
    server.stream("near", 1);
    let beside = (u128::MAX / 2 + 1 + 12_345).to_string();
    let split = json!({"StreamName": "near", "ShardToSplit": shard_id(0), "NewStartingHashKey": beside});
    server.ok("SplitShard", &split);
    server.await_active("near");
    server.ok(
        "UpdateShardCount",
        &json!({"StreamName": "near", "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"}),
    );
    server.await_active("near");
    let latest = json!({"StreamName": "near", "ShardFilter": {"Type": "AT_LATEST"}});
    let open = server.ok("ListShards", &latest)["Shards"].as_array().unwrap().clone();
    let starts =
        open.iter().map(|shard| shard["HashKeyRange"]["StartingHashKey"].as_str().unwrap().to_owned());
    assert_eq!((starts.clone().count(), starts.clone().any(|start| start == beside)), (4, true));
}

/// Holds the refusals of calls against their code and text.
fn refused<const N: usize>(server: &Server, calls: [(&str, Value, &str, &str); N]) {
    for (operation, asked, code, text) in calls {
        let refused = server.call(operation, &asked);
        let told = refused.json();
        assert_eq!((refused.status, &told["__type"]), (400, &json!(code)), "{operation} {asked}: {told}");
        assert_eq!(told["message"], text, "{operation} {asked}");
    }
}

#[test]
fn what_cannot_be_split_or_merged_is_refused_in_kinesis_words() {
    let server = unlimited();
    server.stream("s", 2);
    split(&server, 0, "9");
    let calls = [
        (
            "SplitShard",
            json!({"StreamName": "s", "ShardToSplit": "shardId-000000000009", "NewStartingHashKey": "9"}),
            "ResourceNotFoundException",
            "Could not find shard shardId-000000000009 in stream s under account 000000000000.",
        ),
        (
            "SplitShard",
            json!({"StreamName": "s", "ShardToSplit": "shard-1", "NewStartingHashKey": LAST}),
            "InvalidArgumentException",
            "NewStartingHashKey 340282366920938463463374607431768211455 used in SplitShard() on shard \
             shardId-000000000001 in stream s under account 000000000000 is not both greater than one plus the shard's \
             StartingHashKey 170141183460469231731687303715884105728 and less than the shard's EndingHashKey \
             340282366920938463463374607431768211455.",
        ),
        (
            "SplitShard",
            json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "5"}),
            "InvalidArgumentException",
            "Shard shardId-000000000000 in stream s under account 000000000000 has already been merged or split, and \
             thus is not eligible for merging or splitting.",
        ),
        (
            "MergeShards",
            json!({"StreamName": "s", "ShardToMerge": "shardId-3", "AdjacentShardToMerge": "shardId-2"}),
            "InvalidArgumentException",
            "Shards shardId-000000000003 and shardId-000000000002 in stream s under account 000000000000 are not an \
             adjacent pair of shards eligible for merging",
        ),
        (
            "MergeShards",
            json!({"StreamName": "nobody", "ShardToMerge": "shardId-0", "AdjacentShardToMerge": "shardId-1"}),
            "ResourceNotFoundException",
            "Stream nobody under account 000000000000 not found.",
        ),
    ];
    refused(&server, calls);
}

#[test]
fn a_shard_count_that_cannot_be_is_refused_in_kinesis_words() {
    let server = unlimited();
    server.stream("s", 3);
    server.ok("CreateStream", &json!({"StreamName": "d", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}));
    server.await_active("d");
    let calls = [
        (
            "UpdateShardCount",
            json!({"StreamName": "s", "TargetShardCount": 7, "ScalingType": "UNIFORM_SCALING"}),
            "LimitExceededException",
            "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 3 \
             Target shard count: 7",
        ),
        (
            "UpdateShardCount",
            json!({"StreamName": "s", "TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"}),
            "LimitExceededException",
            "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: 3 \
             Target shard count: 1",
        ),
        (
            "UpdateShardCount",
            json!({"StreamName": "d", "TargetShardCount": 5, "ScalingType": "UNIFORM_SCALING"}),
            "ValidationException",
            "Request is invalid. Stream d under account 000000000000 is in On-Demand mode.",
        ),
        (
            "UpdateShardCount",
            json!({"StreamName": "s", "TargetShardCount": 0, "ScalingType": "EVEN"}),
            "ValidationException",
            "2 validation errors detected: Value '0' at 'targetShardCount' failed to satisfy constraint: Member must have \
             value greater than or equal to 1; Value 'EVEN' at 'scalingType' failed to satisfy constraint: Member must \
             satisfy enum value set: [UNIFORM_SCALING]",
        ),
    ];
    refused(&server, calls);
}

/// Records that were acknowledged: for each key, in the order of its producer.
type Acknowledged = BTreeMap<String, Vec<(String, String)>>;

/// Puts record after record, each after the last was acknowledged: with PutRecord of one key, or with PutRecords of many.
/// Every put must be taken.
fn produce(address: SocketAddr, producer: u64, next: &AtomicU64, stop: &AtomicBool) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let keys: Vec<String> = match producer % 2 {
        0 => vec![format!("producer-{producer}")],
        _ => (0..20).map(|key| format!("producer-{producer}-{key}")).collect(),
    };
    for time in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let data = base64_of(time);
        let entry = |key: &String| json!({"PartitionKey": key, "Data": data});
        let results = if let [key] = &keys[..] {
            let mut body = entry(key);
            body["StreamName"] = json!("s");
            let told = http::kinesis(address, "PutRecord", &body);
            assert_eq!(told.status, 200, "{}", String::from_utf8_lossy(&told.body));
            vec![told.json()]
        } else {
            let records: Vec<_> = keys.iter().map(entry).collect();
            let told = http::kinesis(address, "PutRecords", &json!({"StreamName": "s", "Records": records}));
            assert_eq!((told.status, &told.json()["FailedRecordCount"]), (200, &json!(0)), "{}", told.json());
            told.json()["Records"].as_array().unwrap().clone()
        };
        for (key, result) in keys.iter().zip(results) {
            let text = |name: &str| result[name].as_str().unwrap().to_owned();
            acknowledged.entry(key.clone()).or_default().push((text("ShardId"), text("SequenceNumber")));
        }
        next.fetch_add(keys.len() as u64, Ordering::Relaxed);
    }
    acknowledged
}

fn base64_of(time: u64) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";
    // Four digits of base64 are three bytes; which bytes does not matter, that they differ does.
    (0..4).rev().map(|at| char::from(DIGITS[(time >> (5 * at)) as usize % 32])).collect()
}

/// Reads every shard, parents before children, and holds it against what was acknowledged.
fn check(server: &Server, acknowledged: &Acknowledged) {
    let mut found: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut read = BTreeSet::new();
    for shard in shards(server) {
        let id = shard["ShardId"].as_str().unwrap().to_owned();
        for parent in ["ParentShardId", "AdjacentParentShardId"] {
            assert!(
                shard[parent].as_str().is_none_or(|parent| read.contains(parent)),
                "parents have lower numbers"
            );
        }
        for (sequence, key, _) in server.read_all("s", &id) {
            found.entry(key).or_default().push((id.clone(), sequence));
        }
        read.insert(id);
    }
    for (key, acknowledged) in acknowledged {
        let found = &found[key];
        assert_eq!(found, acknowledged, "{key}: each once, in the order of its producer");
        assert!(found.is_sorted_by(|one, next| one.1 < next.1), "{key}: and of its numbers");
    }
    let count: usize = acknowledged.values().map(Vec::len).sum();
    assert_eq!(found.values().map(Vec::len).sum::<usize>(), count, "and nothing else");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own producers: no thread count rests on them")]
fn reshards_refuse_no_put_lose_no_record_and_keep_the_order_of_each_key() {
    says("a put during a reshard", "waits for the children");
    says_same(
        "no put is refused or lost by it, and whoever reads parents before children finds each key's records in",
    );
    let server = unlimited();
    server.stream("s", 2);
    let (next, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let producers: Vec<_> = (0..4)
        .map(|producer| {
            let (address, next, stop) = (server.address(), Arc::clone(&next), Arc::clone(&stop));
            thread::spawn(move || produce(address, producer, &next, &stop))
        })
        .collect();
    // A reshard each time that so many more records were taken, so that some come before, between and after.
    let some_more = || {
        let goal = next.load(Ordering::Relaxed) + 200;
        let mut patience = 60_000;
        while next.load(Ordering::Relaxed) < goal {
            patience -= 1;
            assert!(
                patience > 0 && producers.iter().all(|producer| !producer.is_finished()),
                "nothing is taken"
            );
            thread::park_timeout(Duration::from_millis(1));
        }
    };
    some_more();
    split(&server, 0, "9000000000000000000000000000000000000");
    some_more();
    merge(&server, 3, 1);
    for target in [4, 5, 3, 6, 3, 2] {
        some_more();
        server.ok(
            "UpdateShardCount",
            &json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"}),
        );
        server.await_active("s");
    }
    some_more();
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Acknowledged::new();
    for producer in producers {
        acknowledged.extend(producer.join().expect("every put is taken"));
    }
    check(&server, &acknowledged);
}

#[test]
fn an_on_demand_stream_grows_with_its_traffic() {
    says("growth of an on-demand stream", "doubles them");
    let server = unlimited();
    server.ok("CreateStream", &json!({"StreamName": "s", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}));
    server.await_active("s");
    let data = "A".repeat(4 * 512);
    let records: Vec<_> =
        (0..500).map(|key| json!({"PartitionKey": key.to_string(), "Data": data})).collect();
    let open = || {
        let summary = server.ok("DescribeStreamSummary", &json!({"StreamName": "s"}));
        summary["StreamDescriptionSummary"]["OpenShardCount"].as_u64().unwrap()
    };
    assert_eq!(open(), 4);
    // About 750 KiB each: as fast as they are taken, until the stream has grown.
    let mut puts = 0;
    while open() != 8 {
        let told = server.ok("PutRecords", &json!({"StreamName": "s", "Records": records}));
        assert_eq!(told["FailedRecordCount"], 0);
        puts += 1;
        assert!(puts < 20_000, "it does not grow");
    }
    server.await_active("s");
}
