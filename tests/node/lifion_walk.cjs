// A producer and a consumer of lifion-kinesis, which keeps its state in DynamoDB.
// Usage: lifion_walk.cjs KINESIS_URL DYNAMODB_URL
"use strict";

const assert = require("node:assert");
const Kinesis = require("lifion-kinesis");

const [endpoint, dynamoDb] = process.argv.slice(2);
const RECORDS = 50;

const kinesis = new Kinesis({
  endpoint,
  region: "us-east-1",
  accessKeyId: "any",
  secretAccessKey: "any",
  streamName: "lifion",
  dynamoDb: { endpoint: dynamoDb, region: "us-east-1" },
  initialPositionInStream: "TRIM_HORIZON",
  consumerGroup: "walk",
  leaseAcquisitionInterval: 1000,
  leaseAcquisitionRecoveryInterval: 500,
  logger: { error: console.error, warn: console.error },
});

async function main() {
  const awaited = new Set();
  const all = new Promise((resolve, reject) => {
    kinesis.on("error", reject);
    kinesis.on("data", ({ records }) => {
      for (const { data } of records) assert.ok(awaited.delete(data.n), `${data.n} came twice or was never put`);
      if (awaited.size === 0) resolve();
    });
  });
  const records = Array.from({ length: RECORDS }, (_, n) => ({ data: { n } }));
  records.forEach(({ data }) => awaited.add(data.n));
  await kinesis.putRecords({ records });
  await kinesis.startConsumer();
  await all;
  kinesis.stopConsumer();
  console.log("ok");
  process.exit(0); // the library leaves timers behind
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
