// Walks through Weir with the JavaScript SDK v3, as an application would: HTTP/2 for every call, by its own default.
// Usage: sdk_v3_walk.cjs URL
"use strict";

const assert = require("node:assert");
const kinesis = require("@aws-sdk/client-kinesis");

const client = new kinesis.KinesisClient({
  endpoint: process.argv[2],
  region: "us-east-1",
  credentials: { accessKeyId: "any", secretAccessKey: "any" },
});

const RECORDS = 100;
const StreamName = "walk";
const patience = { client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };

/** One call; the commands' names are the operations'. */
function call(operation, input = {}) {
  return client.send(new kinesis[`${operation}Command`](input));
}

async function fails(operation, input, name) {
  await assert.rejects(call(operation, input), (error) => {
    assert.strictEqual(error.name, name, error);
    assert.ok(error instanceof kinesis[name] && error.$metadata.httpStatusCode === 400, error);
    assert.ok(error.$metadata.requestId, error);
    return true;
  });
}

async function streams() {
  await call("CreateStream", { StreamName, ShardCount: 2 });
  await kinesis.waitUntilStreamExists(patience, { StreamName });
  const { StreamDescription } = await call("DescribeStream", { StreamName });
  assert.strictEqual(StreamDescription.StreamStatus, "ACTIVE");
  assert.ok(StreamDescription.StreamCreationTimestamp instanceof Date);
  await call("AddTagsToStream", { StreamName, Tags: { made: "by v3" } });
  const { Tags } = await call("ListTagsForStream", { StreamName });
  assert.deepStrictEqual(Tags, [{ Key: "made", Value: "by v3" }]);
  const names = [];
  for await (const page of kinesis.paginateListStreams({ client, pageSize: 1 }, {})) names.push(...page.StreamNames);
  assert.deepStrictEqual(names, [StreamName]);
  await fails("DescribeStreamSummary", { StreamName: "missing" }, "ResourceNotFoundException");
  await fails("CreateStream", { StreamName, ShardCount: 1 }, "ResourceInUseException");
  return StreamDescription.StreamARN;
}

async function write(StreamARN) {
  const text = (n) => new TextEncoder().encode(`record ${n}`);
  const Records = Array.from({ length: RECORDS }, (_, n) => ({ PartitionKey: `key-${n}`, Data: text(n) }));
  const put = await call("PutRecords", { StreamARN, Records });
  assert.strictEqual(put.FailedRecordCount, 0);
  return new Map(put.Records.map((record, n) => [record.SequenceNumber, `record ${n}`]));
}

/** Takes a record that must be there, once. */
function take(record, awaited) {
  const data = new TextDecoder().decode(record.Data);
  assert.strictEqual(awaited.get(record.SequenceNumber), data);
  awaited.delete(record.SequenceNumber);
  assert.ok(Math.abs(Date.now() - record.ApproximateArrivalTimestamp) < 600_000, record.ApproximateArrivalTimestamp);
}

async function poll(shards, awaited) {
  for (const { ShardId } of shards) {
    let { ShardIterator } = await call("GetShardIterator", { StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" });
    for (;;) {
      const read = await call("GetRecords", { ShardIterator, Limit: 30 });
      read.Records.forEach((record) => take(record, awaited));
      if (read.Records.length === 0 && read.MillisBehindLatest === 0) break;
      ShardIterator = read.NextShardIterator;
    }
  }
  assert.strictEqual(awaited.size, 0);
}

async function active(ConsumerARN) {
  for (;;) {
    const { ConsumerDescription } = await call("DescribeStreamConsumer", { ConsumerARN });
    if (ConsumerDescription.ConsumerStatus === "ACTIVE") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Both shards at once, each pushed to a stream of its own; ended when every record has come. */
async function subscribe(StreamARN, shards, awaited) {
  const { Consumer } = await call("RegisterStreamConsumer", { StreamARN, ConsumerName: "v3" });
  await active(Consumer.ConsumerARN);
  await Promise.all(shards.map(async ({ ShardId }) => {
    const { EventStream } = await call("SubscribeToShard", {
      ConsumerARN: Consumer.ConsumerARN, ShardId, StartingPosition: { Type: "TRIM_HORIZON" },
    });
    for await (const { SubscribeToShardEvent } of EventStream) {
      assert.ok(SubscribeToShardEvent.ContinuationSequenceNumber);
      SubscribeToShardEvent.Records.forEach((record) => take(record, awaited));
      if (awaited.size === 0) break;
    }
  }));
  await call("DeregisterStreamConsumer", { ConsumerARN: Consumer.ConsumerARN });
}

async function main() {
  const arn = await streams();
  const written = await write(arn);
  const shards = [];
  for await (const page of kinesis.paginateListStreamConsumers({ client }, { StreamARN: arn })) {
    assert.deepStrictEqual(page.Consumers, []);
  }
  shards.push(...(await call("ListShards", { StreamName })).Shards);
  assert.strictEqual(shards.length, 2);
  await poll(shards, new Map(written));
  await subscribe(arn, shards, new Map(written));
  await call("DeleteStream", { StreamName, EnforceConsumerDeletion: true });
  await kinesis.waitUntilStreamNotExists(patience, { StreamName });
  client.destroy();
  console.log("ok");
}

main();
