//! `PutRecord`.

use serde::{Deserialize, Serialize};
use weir_wire::kinesis::operation::Operation;

use super::Call;
use crate::data::Data;

/// Writes a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecord {
    /// The stream.
    pub stream_name: String,
    /// Its data.
    pub data: Data,
    /// Says which shard.
    pub partition_key: String,
    /// Says it instead of the partition key's MD5, decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explicit_hash_key: Option<String>,
    /// The new record's number must be above this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_number_for_ordering: Option<String>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecordAnswer {
    /// Where it landed.
    pub shard_id: String,
    /// Its number.
    pub sequence_number: String,
}

impl Call for PutRecord {
    const OPERATION: Operation = Operation::PutRecord;
    const WRITES: bool = true;
    type Answer = PutRecordAnswer;
}
