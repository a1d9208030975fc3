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

# A body that arrives in many parts: right, and with one byte changed on its way.
bulk = [{"PartitionKey": str(at), "Data": bytes([at % 256]) * 1024} for at in range(500)]
assert good.put_records(StreamName="mine", Records=bulk)["FailedRecordCount"] == 0


def change_a_byte(request, **_):
    assert len(request.body) > 500_000
    request.body = request.body.replace(b'"499"', b'"498"')


changing = client("AKIDEXAMPLE", "secret")
changing.meta.events.register("before-send.kinesis.PutRecords", change_a_byte)
try:
    changing.put_records(StreamName="mine", Records=bulk)
except botocore.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] == "InvalidSignatureException", error
else:
    raise AssertionError("a body that was changed must be refused")

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
