"""boto3's subscribe_to_shard against a running `weir serve`: push, resubscription, takeover and errors, unmodified."""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

SHARD = "shardId-000000000000"


def main(url):
    kinesis = boto3.client(
        "kinesis",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AKID",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    kinesis.create_stream(StreamName="efo", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="efo", WaiterConfig={"Delay": 1})
    arn = kinesis.describe_stream_summary(StreamName="efo")["StreamDescriptionSummary"]["StreamARN"]

    def register(name):
        return kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=name)["Consumer"]["ConsumerARN"]

    def subscribe(consumer, **position):
        return kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=SHARD, StartingPosition=position)["EventStream"]

    def put(data):
        return kinesis.put_record(StreamName="efo", PartitionKey="k", Data=data)["SequenceNumber"]

    numbers = [put(b"%d" % number) for number in range(5)]
    events = subscribe(register("one"), Type="TRIM_HORIZON")
    seen, continuation = [], None
    for event in events:
        event = event["SubscribeToShardEvent"]
        seen += [(record["SequenceNumber"], record["Data"]) for record in event["Records"]]
        continuation = event["ContinuationSequenceNumber"]
        if len(seen) == 5:
            break
    events.close()
    assert seen == [(number, b"%d" % at) for at, number in enumerate(numbers)], seen

    later = put(b"later")
    events = subscribe(register("two"), Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=continuation)
    first = next(event["SubscribeToShardEvent"] for event in events if event["SubscribeToShardEvent"]["Records"])
    assert [record["SequenceNumber"] for record in first["Records"]] == [later], first
    assert first["MillisBehindLatest"] == 0, first
    events.close()

    three = register("three")
    events = subscribe(three, Type="LATEST")
    try:
        subscribe(three, Type="LATEST")
        raise AssertionError("a second subscription at once was not refused")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ResourceInUseException", error.response
    kinesis.deregister_stream_consumer(ConsumerARN=three)
    try:
        for event in events:
            assert event["SubscribeToShardEvent"]["Records"] == [], event
        raise AssertionError("the end of the consumer was not told")
    except EventStreamError as error:
        assert error.response["Error"]["Code"] == "ResourceNotFoundException", error.response
    pages = kinesis.get_paginator("list_stream_consumers").paginate(
        StreamARN=arn, PaginationConfig={"PageSize": 1}
    )
    names = [consumer["ConsumerName"] for page in pages for consumer in page["Consumers"]]
    assert names == ["one", "two"], names


main(sys.argv[1])
