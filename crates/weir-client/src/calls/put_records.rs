//! `PutRecords`: a success of the call says nothing of its records, each has a result of its own.

use serde::{Deserialize, Serialize};
use weir_wire::kinesis::operation::Operation;

use super::Call;
use crate::data::Data;

/// Writes up to 500 records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecords {
    /// The stream.
    pub stream_name: String,
    /// The records.
    pub records: Vec<PutRecordsEntry>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecordsEntry {
    /// Its data.
    pub data: Data,
    /// Says which shard.
    pub partition_key: String,
    /// Says it instead of the partition key's MD5, decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explicit_hash_key: Option<String>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecordsAnswer {
    /// Records that were not written.
    #[serde(default)]
    pub failed_record_count: u32,
    /// One result for each record, in the order of the request.
    pub records: Vec<PutRecordsResult>,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecordsResult {
    /// Where it landed.
    pub shard_id: Option<String>,
    /// Its number.
    pub sequence_number: Option<String>,
    /// Why it was not written.
    pub error_code: Option<String>,
    /// The same in words.
    pub error_message: Option<String>,
}

impl Call for PutRecords {
    const OPERATION: Operation = Operation::PutRecords;
    const WRITES: bool = true;
    type Answer = PutRecordsAnswer;
}
