//! `DescribeStream`.

use serde::{Deserialize, Serialize};
use weir_core::clock::WallMs;
use weir_wire::kinesis::operation::Operation;

use super::{Call, Shard, wall};

/// Asks what a stream is, with a page of its shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeStream {
    /// Its name.
    pub stream_name: String,
    /// Shards at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only shards after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive_start_shard_id: Option<String>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeStreamAnswer {
    /// The stream.
    pub stream_description: StreamDescription,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamDescription {
    /// Its name.
    pub stream_name: String,
    /// Its ARN.
    #[serde(rename = "StreamARN")]
    pub stream_arn: String,
    /// `CREATING`, `ACTIVE`, `UPDATING` or `DELETING`.
    pub stream_status: String,
    /// When it was created.
    #[serde(deserialize_with = "wall")]
    pub stream_creation_timestamp: WallMs,
    /// How long records are kept.
    pub retention_period_hours: u32,
    /// A page of its shards.
    pub shards: Vec<Shard>,
    /// Are there more?
    pub has_more_shards: bool,
}

impl Call for DescribeStream {
    const OPERATION: Operation = Operation::DescribeStream;
    const WRITES: bool = false;
    type Answer = DescribeStreamAnswer;
}
