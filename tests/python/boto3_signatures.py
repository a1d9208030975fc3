"""Right and wrong signatures against a server with credentials. Usage: boto3_signatures.py URL"""

import sys

import boto3
import botocore.exceptions


def client(key, secret):
    return boto3.client(
        "kinesis", endpoint_url=sys.argv[1], aws_access_key_id=key, aws_secret_access_key=secret
    )


good = client("AKIDEXAMPLE", "secret")
good.create_stream(StreamName="mine", ShardCount=1)
good.get_waiter("stream_exists").wait(StreamName="mine", WaiterConfig={"Delay": 1})
arn = good.describe_stream(StreamName="mine")["StreamDescription"]["StreamARN"]
assert arn == "arn:aws:kinesis:us-east-1:123456789012:stream/mine", arn
good.put_record(StreamName="mine", PartitionKey="ключ", Data="данные".encode())

for key, secret, codes in (
    ("AKIDEXAMPLE", "wrong", {"InvalidSignatureException"}),
    ("AKIDNOBODY", "secret", {"UnrecognizedClientException"}),
):
    try:
        client(key, secret).list_streams()
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] in codes, error
    else:
        raise AssertionError(f"{key} with {secret!r} must be refused")
print("ok")
