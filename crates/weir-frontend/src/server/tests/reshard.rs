//! Reshards as one front end sees them: puts between two sets of shards, and what is shown before a step is whole.

use std::{future::Future, pin::Pin, task::Poll, time::Duration};

use serde_json::json;
use weir_core::{
    hash_key::HashKey,
    hash_key::HashKeyRange,
    id::{ShardIndex, ShardKey},
    limits::RESHARD_WAIT,
    shard::{ClosedShard, OwnedShard},
};
use weir_wire::{cell::CellError, control::StreamStatus};

use crate::fixture::{Fixture, NodeMood};

const HIGH: &str = "340282366920938463463374607431768211455";

/// A shard that was closed a moment ago, with `end` records, and its halves.
fn split(fixture: &Fixture, parent: &OwnedShard, end: u64) -> [OwnedShard; 3] {
    let middle = 1u128 << 127;
    let child = |number: u32, start: u128, last: u128| OwnedShard {
        key: ShardKey { shard: ShardIndex(number), ..parent.key },
        range: HashKeyRange { start: HashKey(start), end: HashKey(last) },
        created_ms: parent.created_ms + 1_000,
        parents: [Some(parent.key.shard), None],
        ..parent.clone()
    };
    let closed = Some(ClosedShard { at_ms: fixture.clock.wall().0, end });
    [OwnedShard { closed, ..parent.clone() }, child(1, 0, middle - 1), child(2, middle, u128::MAX)]
}

async fn is_ready<F: Future>(future: &mut Pin<&mut F>) -> bool {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

#[tokio::test]
async fn a_put_waits_for_the_map_that_has_the_child_and_another_shards_put_does_not() {
    let fixture = Fixture::new();
    let parent = fixture.stream("s", 1).remove(0);
    let [closed, lower, upper] = split(&fixture, &parent, 0);
    fixture.publish(&[closed.clone(), lower.clone()]);
    let entry = |key: &str| json!({"PartitionKey": "k", "ExplicitHashKey": key, "Data": ""});
    let both = json!({"StreamName": "s", "Records": [entry(HIGH), entry("0"), entry(HIGH)]});
    let mut put = std::pin::pin!(fixture.call("PutRecords", both));
    while fixture.node.frames() == 0 {
        assert!(!is_ready(&mut put).await);
        tokio::task::yield_now().await;
    }
    fixture.publish(&[closed.clone(), lower.clone()]);
    for _ in 0..20 {
        assert!(!is_ready(&mut put).await, "a map without the child helps nobody");
        tokio::task::yield_now().await;
    }
    fixture.publish(&[closed, lower.clone(), upper.clone()]);
    let told = put.await.ok();
    let shards: Vec<_> =
        told["Records"].as_array().unwrap().iter().map(|result| result["ShardId"].clone()).collect();
    assert_eq!(
        shards,
        [upper.key.shard, lower.key.shard, upper.key.shard].map(|shard| json!(shard.to_string()))
    );
    assert_eq!(fixture.node.data_of(lower.key).len(), 1, "what was stored is not stored again");
    assert_eq!(fixture.node.data_of(upper.key).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_child_never_comes_is_unavailable_after_its_wait() {
    let fixture = Fixture::new();
    let parent = fixture.stream("s", 1).remove(0);
    let [closed, lower, _] = split(&fixture, &parent, 0);
    fixture.publish(&[closed, lower]);
    let put = json!({"StreamName": "s", "PartitionKey": "k", "ExplicitHashKey": HIGH, "Data": ""});
    let since = tokio::time::Instant::now();
    let told = fixture.call("PutRecord", put).await;
    assert_eq!((told.status, told.code()), (503, "ServiceUnavailable"));
    assert!(since.elapsed().abs_diff(RESHARD_WAIT) < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_put_that_the_node_refuses_as_closed_is_put_to_the_child() {
    let fixture = Fixture::new();
    let parent = fixture.stream("s", 1).remove(0);
    fixture.node.set_mood(NodeMood::Refusing(CellError::Closed));
    let put = json!({"StreamName": "s", "PartitionKey": "k", "ExplicitHashKey": HIGH, "Data": ""});
    let mut put = std::pin::pin!(fixture.call("PutRecord", put));
    while fixture.node.frames() == 0 {
        assert!(!is_ready(&mut put).await);
        tokio::task::yield_now().await;
    }
    fixture.node.set_mood(NodeMood::Willing);
    fixture.publish(&split(&fixture, &parent, 0));
    assert_eq!(put.await.ok()["ShardId"], "shardId-000000000002");
}

#[tokio::test]
async fn a_shard_that_has_no_owner_long_after_its_parent_ended_is_unavailable_at_once() {
    let fixture = Fixture::new();
    let parent = fixture.stream("s", 1).remove(0);
    let [mut closed, ..] = split(&fixture, &parent, 0);
    closed.closed = Some(ClosedShard { at_ms: 1_600_000_002_000, end: 0 });
    fixture.publish(&[closed]);
    let put = json!({"StreamName": "s", "PartitionKey": "k", "Data": ""});
    assert_eq!(fixture.call("PutRecord", put).await.status, 503);
}

#[tokio::test]
async fn a_split_is_shown_and_an_end_told_when_all_children_are_known_here() {
    let fixture = Fixture::new();
    let parent = fixture.stream("s", 1).remove(0);
    let family = split(&fixture, &parent, 0);
    fixture.node.close(parent.key);
    fixture.control.reshard("s", StreamStatus::Active, &family);
    let iterator = json!({"StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "TRIM_HORIZON"});
    for (known, status, shown) in [(&family[..2], "UPDATING", 1), (&family[..], "ACTIVE", 3)] {
        fixture.publish(known);
        let described =
            fixture.call("DescribeStream", json!({"StreamName": "s"})).await.ok()["StreamDescription"]
                .clone();
        assert_eq!(described["StreamStatus"], status);
        let listed = fixture.call("ListShards", json!({"StreamName": "s"})).await.ok()["Shards"].clone();
        assert_eq!((&listed, listed.as_array().unwrap().len()), (&described["Shards"], shown));
        let has_end = listed[0]["SequenceNumberRange"].get("EndingSequenceNumber").is_some();
        assert_eq!(has_end, shown == 3);
        let iterator = fixture.call("GetShardIterator", iterator.clone()).await.ok()["ShardIterator"].clone();
        let read = fixture.call("GetRecords", json!({"ShardIterator": iterator})).await.ok();
        assert_eq!(read.get("NextShardIterator").is_none(), shown == 3, "{read}");
        assert_eq!(read.get("ChildShards").is_some(), shown == 3, "{read}");
    }
}
