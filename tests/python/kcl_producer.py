"""Puts plain records and records in the KPL's aggregated format. Usage: kcl_producer.py URL STREAM PREFIX

Prints what a consumer has to make of them, a line for each record of a user: partition key and data.
"""

import sys

import boto3
from aws_kinesis_agg.aggregator import RecordAggregator

url, stream, prefix = sys.argv[1:]
client = boto3.client("kinesis", endpoint_url=url)
plain = [(f"{prefix}-{n}", f"plain-{n}") for n in range(20)]
put = client.put_records(
    StreamName=stream, Records=[{"PartitionKey": key, "Data": data.encode()} for key, data in plain]
)
assert put["FailedRecordCount"] == 0, put
packed = []
for key in (f"{prefix}-packed-{n}" for n in range(4)):
    aggregator = RecordAggregator()
    for n in range(15):
        aggregator.add_user_record(key, f"packed-{n}".encode())
        packed.append((key, f"packed-{n}"))
    key, _, data = aggregator.clear_and_get().get_contents()
    client.put_record(StreamName=stream, PartitionKey=key, Data=data)
for key, data in plain + packed:
    print("record", key, data)
