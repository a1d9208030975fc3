"""Walks through Weir's operations with boto3, as an application would. Usage: boto3_walk.py URL"""

import datetime
import sys

import boto3
import botocore.exceptions

client = boto3.client(
    "kinesis", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any"
)

client.create_stream(StreamName="walk", ShardCount=3)
client.get_waiter("stream_exists").wait(StreamName="walk", WaiterConfig={"Delay": 1})
description = client.describe_stream(StreamName="walk")["StreamDescription"]
assert description["StreamStatus"] == "ACTIVE", description
assert isinstance(description["StreamCreationTimestamp"], datetime.datetime), description
arn = description["StreamARN"]

put = client.put_records(
    StreamARN=arn,
    Records=[{"PartitionKey": f"key-{n}", "Data": f"record {n}".encode()} for n in range(300)],
)
assert put["FailedRecordCount"] == 0, put

read = {}
for page in client.get_paginator("list_shards").paginate(StreamName="walk"):
    for shard in page["Shards"]:
        iterator = client.get_shard_iterator(
            StreamName="walk", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        last = ""
        while True:
            answer = client.get_records(ShardIterator=iterator, Limit=40)
            for record in answer["Records"]:
                assert record["SequenceNumber"] > last, "out of order"
                last = record["SequenceNumber"]
                assert record["SequenceNumber"] not in read, "twice"
                read[record["SequenceNumber"]] = (record["PartitionKey"], record["Data"])
                age = datetime.datetime.now(datetime.timezone.utc) - record["ApproximateArrivalTimestamp"]
                assert datetime.timedelta(minutes=-1) < age < datetime.timedelta(minutes=10), age
            if not answer["Records"] and answer["MillisBehindLatest"] == 0:
                break
            iterator = answer["NextShardIterator"]

for n, result in enumerate(put["Records"]):
    assert read.pop(result["SequenceNumber"]) == (f"key-{n}", f"record {n}".encode()), n
assert not read, read

now = datetime.datetime.now(datetime.timezone.utc)
iterator = client.get_shard_iterator(
    StreamName="walk",
    ShardId="shardId-000000000000",
    ShardIteratorType="AT_TIMESTAMP",
    Timestamp=now - datetime.timedelta(hours=1),
)["ShardIterator"]
assert client.get_records(ShardIterator=iterator)["Records"], "an hour ago lies before every record"

# A number of this shard, a thousand records behind its end: nothing is there, and nothing fails inside.
last = client.put_record(StreamName="walk", PartitionKey="k", ExplicitHashKey="0", Data=b"last")
iterator = client.get_shard_iterator(
    StreamName="walk",
    ShardId=last["ShardId"],
    ShardIteratorType="AT_SEQUENCE_NUMBER",
    StartingSequenceNumber=str(int(last["SequenceNumber"]) + 1000 * 2**80),
)["ShardIterator"]
try:
    client.get_records(ShardIterator=iterator)
except client.exceptions.InvalidArgumentException as error:
    assert "Invalid ShardIterator" in str(error), error
else:
    raise AssertionError("an iterator behind the end of its shard must be an error")

summary = client.describe_stream_summary(StreamName="walk")["StreamDescriptionSummary"]
assert summary["OpenShardCount"] == 3, summary
assert client.list_streams()["StreamNames"] == ["walk"]

for call in (
    lambda: client.describe_stream(StreamName="missing"),
    lambda: client.put_record(StreamName="missing", PartitionKey="k", Data=b"d"),
):
    try:
        call()
    except client.exceptions.ResourceNotFoundException as error:
        assert "missing under account" in str(error), error
    else:
        raise AssertionError("a stream that is not there must be an error")

try:
    client.create_stream(StreamName="walk", ShardCount=1)
except client.exceptions.ResourceInUseException:
    pass
else:
    raise AssertionError("a second stream of the same name must be an error")

client.delete_stream(StreamName="walk")
client.get_waiter("stream_not_exists").wait(StreamName="walk", WaiterConfig={"Delay": 1})
try:
    client.describe_stream(StreamName="walk")
except botocore.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] == "ResourceNotFoundException", error
else:
    raise AssertionError("the stream is gone")
print("ok")
