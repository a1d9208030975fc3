"""A producer and a consumer of async-kinesis, plain and with KPL aggregation. Usage: async_kinesis_walk.py URL"""

import asyncio
import sys

from kinesis import Consumer, Producer
from kinesis.processors import JsonProcessor, KPLJsonProcessor

RECORDS = 200


async def round_trip(stream, processor):
    here = {"endpoint_url": sys.argv[1], "region_name": "us-east-1"}
    written = [{"n": n} for n in range(RECORDS)]
    async with Producer(
        stream, **here, create_stream=True, create_stream_shards=2, processor=processor()
    ) as producer:
        for record in written:
            await producer.put(record)
    read = []
    async with Consumer(
        stream, **here, iterator_type="TRIM_HORIZON", processor=processor(), idle_timeout=60
    ) as consumer:
        async for record in consumer:
            read.append(record)
            if len(read) == RECORDS:
                break
    assert sorted(read, key=lambda record: record["n"]) == written, read


async def main():
    await asyncio.gather(round_trip("plain", JsonProcessor), round_trip("aggregated", KPLJsonProcessor))


asyncio.run(asyncio.wait_for(main(), timeout=120))
print("ok")
