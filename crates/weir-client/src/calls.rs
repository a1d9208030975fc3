//! The ten operations as a client sees them: what it sends and what it gets, in JSON.
//!
//! One file an operation, by the API's own names. Shapes are open: a member that this version does not know is
//! ignored, since the service may be newer, and what a service may leave out is optional or empty.

mod create_stream;
mod delete_stream;
mod describe_stream;
mod describe_stream_summary;
mod get_records;
mod get_shard_iterator;
mod list_shards;
mod list_streams;
mod put_record;
mod put_records;

use serde::{Serialize, de::DeserializeOwned};
use weir_core::clock::WallMs;
use weir_wire::kinesis::operation::Operation;

pub use self::{
    create_stream::CreateStream,
    delete_stream::DeleteStream,
    describe_stream::{DescribeStream, DescribeStreamAnswer, StreamDescription},
    describe_stream_summary::{DescribeStreamSummary, DescribeStreamSummaryAnswer, StreamSummary},
    get_records::{GetRecords, GetRecordsAnswer, Record},
    get_shard_iterator::{GetShardIterator, GetShardIteratorAnswer, IteratorType},
    list_shards::{HashKeyRange, ListShards, ListShardsAnswer, SequenceNumberRange, Shard},
    list_streams::{ListStreams, ListStreamsAnswer},
    put_record::{PutRecord, PutRecordAnswer},
    put_records::{PutRecords, PutRecordsAnswer, PutRecordsEntry, PutRecordsResult},
};

/// One operation.
pub trait Call: Serialize {
    /// Which.
    const OPERATION: Operation;
    /// Does it change anything? A read may be repeated whatever became of it.
    const WRITES: bool;
    /// What comes back.
    type Answer: DeserializeOwned;
}

/// Nothing: operations without output answer with an empty body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub struct Empty {}

/// JSON timestamps are seconds with a fraction.
fn wall<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<WallMs, D::Error> {
    let seconds: f64 = serde::Deserialize::deserialize(deserializer)?;
    Ok(WallMs((seconds * 1e3).round() as u64))
}
