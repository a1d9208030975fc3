"""Records in the KPL's aggregated format, in with aws-kinesis-agg and out again. Usage: aggregation_walk.py URL"""

import base64
import sys

import boto3
from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import iter_deaggregate_records

STREAM = {"StreamName": "aggregated"}

client = boto3.client("kinesis", endpoint_url=sys.argv[1])
client.create_stream(**STREAM, ShardCount=1)
client.get_waiter("stream_exists").wait(**STREAM, WaiterConfig={"Delay": 1})

written = [(f"key-{n % 7}", f"record {n}".encode()) for n in range(500)]
aggregator = RecordAggregator(max_size=8_192)
full = [aggregator.add_user_record(key, data) for key, data in written]
aggregates = [aggregate for aggregate in [*full, aggregator.clear_and_get()] if aggregate]
assert 1 < len(aggregates) < 10, len(aggregates)
for aggregate in aggregates:
    key, _, data = aggregate.get_contents()
    client.put_record(**STREAM, PartitionKey=key, Data=data)

iterator = client.get_shard_iterator(
    **STREAM, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
)["ShardIterator"]
records = client.get_records(ShardIterator=iterator)["Records"]
assert len(records) == len(aggregates), len(records)
read = [
    (record["kinesis"]["partitionKey"], base64.b64decode(record["kinesis"]["data"]))
    for record in iter_deaggregate_records(records, data_format="Boto3")
]
assert read == written, read
print("ok")
