//! `DescribeStreamSummary`.

use serde::{Deserialize, Serialize};
use weir_wire::kinesis::operation::Operation;

use super::Call;

/// Asks what a stream is, without its shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeStreamSummary {
    /// Its name.
    pub stream_name: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeStreamSummaryAnswer {
    /// The stream.
    pub stream_description_summary: StreamSummary,
}

/// A stream in short.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamSummary {
    /// Its name.
    pub stream_name: String,
    /// `CREATING`, `ACTIVE`, `UPDATING` or `DELETING`.
    pub stream_status: String,
    /// Shards that take records.
    pub open_shard_count: u32,
    /// How long records are kept.
    pub retention_period_hours: u32,
}

impl Call for DescribeStreamSummary {
    const OPERATION: Operation = Operation::DescribeStreamSummary;
    const WRITES: bool = false;
    type Answer = DescribeStreamSummaryAnswer;
}
