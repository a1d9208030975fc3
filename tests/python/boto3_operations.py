"""Every operation that botocore's own model of Kinesis names, each with boto3. Usage: boto3_operations.py URL

The model is the list: an operation that it gains, and that this walk does not call, fails the walk.
"""

import json
import sys
import time

import boto3

client = boto3.client(
    "kinesis", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any"
)
called = set()
client.meta.events.register("before-call.kinesis", lambda model, **_: called.add(model.name))

STREAM = {"StreamName": "all"}
# Queues and channels: Weir refuses each of their operations in the same words.
QUEUES_AND_CHANNELS = {name for name in client.meta.service_model.operation_names if "Queue" in name or "Channel" in name}


def refused(error, call):
    try:
        call()
    except error as refusal:
        return str(refusal)
    raise AssertionError(f"expected {error.__name__}")


def settled():
    """The stream's summary once it is ACTIVE again."""
    for _ in range(600):
        summary = client.describe_stream_summary(**STREAM)["StreamDescriptionSummary"]
        if summary["StreamStatus"] == "ACTIVE":
            return summary
        time.sleep(0.1)
    raise AssertionError(summary)


def consumer_is_active(consumer):
    for _ in range(600):
        described = client.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"]
        if described["ConsumerStatus"] == "ACTIVE":
            return
        time.sleep(0.1)
    raise AssertionError(described)


def open_shards():
    pages = client.get_paginator("list_shards").paginate(**STREAM, ShardFilter={"Type": "AT_LATEST"})
    return [shard for page in pages for shard in page["Shards"]]


def streams():
    client.create_stream(**STREAM, ShardCount=2)
    client.get_waiter("stream_exists").wait(**STREAM, WaiterConfig={"Delay": 1})
    names = [name for page in client.get_paginator("list_streams").paginate() for name in page["StreamNames"]]
    assert names == ["all"], names
    described = client.describe_stream(**STREAM)["StreamDescription"]
    assert len(described["Shards"]) == 2, described
    return described["StreamARN"]


def tags(arn):
    client.add_tags_to_stream(**STREAM, Tags={"added": "1", "born": "tagged"})
    client.remove_tags_from_stream(**STREAM, TagKeys=["born"])
    assert client.list_tags_for_stream(**STREAM)["Tags"] == [{"Key": "added", "Value": "1"}]
    client.tag_resource(ResourceARN=arn, Tags={"another": "2"})
    client.untag_resource(ResourceARN=arn, TagKeys=["added"])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "another", "Value": "2"}]


def settings(arn):
    client.increase_stream_retention_period(**STREAM, RetentionPeriodHours=48)
    assert settled()["RetentionPeriodHours"] == 48
    client.decrease_stream_retention_period(**STREAM, RetentionPeriodHours=24)
    assert settled()["RetentionPeriodHours"] == 24
    watched = client.enable_enhanced_monitoring(**STREAM, ShardLevelMetrics=["IncomingBytes", "OutgoingBytes"])
    assert set(watched["DesiredShardLevelMetrics"]) == {"IncomingBytes", "OutgoingBytes"}, watched
    settled()
    client.disable_enhanced_monitoring(**STREAM, ShardLevelMetrics=["OutgoingBytes"])
    assert settled()["EnhancedMonitoring"] == [{"ShardLevelMetrics": ["IncomingBytes"]}]
    key = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    client.start_stream_encryption(**STREAM, **key)
    assert settled()["EncryptionType"] == "KMS"
    assert client.put_record(**STREAM, PartitionKey="k", Data=b"d")["EncryptionType"] == "KMS"
    client.stop_stream_encryption(**STREAM, **key)
    assert settled().get("EncryptionType", "NONE") == "NONE"
    statement = {
        "Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kinesis:PutRecord", "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_resource_policy(ResourceARN=arn, Policy=policy)
    assert json.loads(client.get_resource_policy(ResourceARN=arn)["Policy"]) == json.loads(policy)
    client.delete_resource_policy(ResourceARN=arn)


def records():
    put = client.put_records(**STREAM, Records=[{"PartitionKey": f"{n}", "Data": f"{n}".encode()} for n in range(50)])
    assert put["FailedRecordCount"] == 0, put
    shard = put["Records"][0]["ShardId"]
    iterator = client.get_shard_iterator(
        **STREAM,
        ShardId=shard,
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=put["Records"][0]["SequenceNumber"],
    )
    read = client.get_records(ShardIterator=iterator["ShardIterator"])
    assert read["Records"][0]["Data"] == b"0", read


def fan_out(arn):
    consumer = client.register_stream_consumer(StreamARN=arn, ConsumerName="walker")["Consumer"]["ConsumerARN"]
    consumer_is_active(consumer)
    pages = client.get_paginator("list_stream_consumers").paginate(StreamARN=arn)
    assert [one["ConsumerName"] for page in pages for one in page["Consumers"]] == ["walker"]
    shard = open_shards()[0]["ShardId"]
    subscribed = client.subscribe_to_shard(
        ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": "LATEST"}
    )
    put = client.put_record(**STREAM, PartitionKey="k", ExplicitHashKey="0", Data=b"pushed")
    assert put["ShardId"] == shard, put
    for event in subscribed["EventStream"]:
        event = event["SubscribeToShardEvent"]
        assert event["ContinuationSequenceNumber"], event
        if event["Records"]:
            assert event["Records"][0]["SequenceNumber"] == put["SequenceNumber"], event
            assert event["Records"][0]["Data"] == b"pushed", event
            break
    subscribed["EventStream"].close()
    client.deregister_stream_consumer(ConsumerARN=consumer)


def reshard():
    first = open_shards()[0]
    middle = (int(first["HashKeyRange"]["StartingHashKey"]) + int(first["HashKeyRange"]["EndingHashKey"])) // 2
    client.split_shard(**STREAM, ShardToSplit=first["ShardId"], NewStartingHashKey=str(middle))
    assert settled()["OpenShardCount"] == 3
    children = [shard for shard in open_shards() if shard.get("ParentShardId") == first["ShardId"]]
    client.merge_shards(**STREAM, ShardToMerge=children[0]["ShardId"], AdjacentShardToMerge=children[1]["ShardId"])
    assert settled()["OpenShardCount"] == 2
    counts = client.update_shard_count(**STREAM, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    assert (counts["CurrentShardCount"], counts["TargetShardCount"]) == (2, 4), counts
    assert settled()["OpenShardCount"] == 4


def account():
    limits = client.describe_limits()
    assert limits["OpenShardCount"] == 4 and limits["ShardLimit"] >= 4, limits
    client.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    commitment = client.describe_account_settings()["MinimumThroughputBillingCommitment"]
    assert commitment["Status"] == "ENABLED", commitment


def record_size(arn):
    client.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=2048)
    assert settled()["MaxRecordSizeInKiB"] == 2048
    client.put_record(**STREAM, PartitionKey="k", ExplicitHashKey="0", Data=bytes(1_500_000))


def on_demand(arn):
    client.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert settled()["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}


def distribution(arn):
    client.update_stream_record_distribution_strategy(StreamARN=arn, RecordDistributionStrategy="AUTO")
    settled()
    where = {client.put_record(**STREAM, PartitionKey="the same", Data=b"d")["ShardId"] for _ in range(40)}
    assert len(where) > 1, where


def warm_throughput(arn):
    client.update_stream_warm_throughput(StreamARN=arn, WarmThroughputMiBps=8)
    assert settled()["WarmThroughput"] == {"TargetMiBps": 8, "CurrentMiBps": 8}


def sample(shape):
    """The least that botocore lets through for a shape."""
    if shape.type_name == "structure":
        return {name: sample(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [sample(shape.member)]
    if shape.type_name in ("integer", "long"):
        return shape.metadata.get("min", 1)
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "x" * max(shape.metadata.get("min", 1), 1)
    raise AssertionError(f"{shape.name}: {shape.type_name}")


def not_supported():
    texts = set()
    for name in sorted(QUEUES_AND_CHANNELS):
        inputs = sample(client.meta.service_model.operation_model(name).input_shape)
        method = next(key for key, value in client.meta.method_to_api_mapping.items() if value == name)
        call = getattr(client, method)
        texts.add(refused(client.exceptions.ClientError, lambda: call(**inputs)).replace(name, "NAME"))
    assert len(texts) == 1, texts


arn = streams()
tags(arn)
settings(arn)
records()
fan_out(arn)
reshard()
account()
record_size(arn)
on_demand(arn)
distribution(arn)
warm_throughput(arn)
client.delete_stream(**STREAM, EnforceConsumerDeletion=True)
client.get_waiter("stream_not_exists").wait(**STREAM, WaiterConfig={"Delay": 1})
assert called == set(client.meta.service_model.operation_names) - QUEUES_AND_CHANNELS, called
assert len(QUEUES_AND_CHANNELS) == 17, QUEUES_AND_CHANNELS
not_supported()
print("ok")
