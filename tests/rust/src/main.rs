//! Walks through Weir with the Rust SDK, as an application would: HTTP/1.1, JSON, and a shard's event stream.
//!
//! Usage: `rust-sdk-walk URL`. It ends with 0 when everything was as Kinesis does it, and panics at what was not.

use std::{collections::BTreeSet, env, time::Duration};

use aws_sdk_kinesis::{
    Client,
    client::Waiters,
    config::{BehaviorVersion, Credentials, Region},
    primitives::Blob,
    types::{
        ConsumerStatus, PutRecordsRequestEntry, ShardIteratorType, StartingPosition,
        SubscribeToShardEventStream,
    },
};

/// How long one status or one event may be awaited, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
const RECORDS: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let endpoint = env::args().nth(1).expect("usage: rust-sdk-walk URL");
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("any", "any", None, None, "weir"))
        .region(Region::new("us-east-1"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let client = Client::from_conf(config);

    let arn = create(&client).await;
    let written = write(&client, &arn).await;
    assert_eq!(poll(&client).await, written, "read by GetRecords");
    assert_eq!(subscribe(&client, &arn).await, written, "read by SubscribeToShard");
    let missing = client.describe_stream_summary().stream_name("missing").send().await;
    let error = missing.expect_err("a stream that is not there").into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
    client.delete_stream().stream_name("walk").enforce_consumer_deletion(true).send().await.expect("delete");
    println!("ok");
}

/// A stream of one shard that is ACTIVE; its ARN.
async fn create(client: &Client) -> String {
    client.create_stream().stream_name("walk").shard_count(1).send().await.expect("create");
    client.wait_until_stream_exists().stream_name("walk").wait(PATIENCE).await.expect("an ACTIVE stream");
    let described = client.describe_stream_summary().stream_name("walk").send().await.expect("describe");
    described.stream_description_summary.expect("a summary").stream_arn
}

/// Puts records; the sequence numbers that they were given.
async fn write(client: &Client, arn: &str) -> BTreeSet<String> {
    let entries = (0..RECORDS).map(|n| {
        let entry = PutRecordsRequestEntry::builder().partition_key(format!("key-{n}"));
        entry.data(Blob::new(format!("record {n}"))).build().expect("whole")
    });
    let put =
        client.put_records().stream_arn(arn).set_records(Some(entries.collect())).send().await.expect("put");
    assert_eq!(put.failed_record_count, Some(0));
    put.records.into_iter().map(|result| result.sequence_number.expect("a number")).collect()
}

async fn poll(client: &Client) -> BTreeSet<String> {
    let shards =
        client.list_shards().stream_name("walk").send().await.expect("list shards").shards.expect("shards");
    let from = client.get_shard_iterator().stream_name("walk").shard_id(&shards[0].shard_id);
    let from = from.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.expect("an iterator");
    let read = client.get_records().set_shard_iterator(from.shard_iterator).send().await.expect("read");
    assert_eq!(read.records[0].data, Blob::new("record 0"));
    read.records.into_iter().map(|record| record.sequence_number).collect()
}

async fn subscribe(client: &Client, arn: &str) -> BTreeSet<String> {
    let registered = client.register_stream_consumer().stream_arn(arn).consumer_name("rust").send().await;
    let consumer = registered.expect("register").consumer.expect("a consumer").consumer_arn;
    let described = client.describe_stream_consumer().consumer_arn(&consumer).send().await.expect("describe");
    let status = described.consumer_description.expect("one").consumer_status;
    assert_eq!(status, ConsumerStatus::Active, "without `--create-delay` it is so at once");
    let start = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().expect("whole");
    let call = client.subscribe_to_shard().consumer_arn(consumer).shard_id("shardId-000000000000");
    let mut events = call.starting_position(start).send().await.expect("subscribe").event_stream;
    let mut read = BTreeSet::new();
    while read.len() < RECORDS {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.expect("an event in time");
        let event = event.expect("no error in the stream").expect("a stream that goes on");
        let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else {
            panic!("an event that the SDK does not know: {event:?}");
        };
        assert!(!event.continuation_sequence_number.is_empty());
        read.extend(event.records.into_iter().map(|record| record.sequence_number));
    }
    read
}
