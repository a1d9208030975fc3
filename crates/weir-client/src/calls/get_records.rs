//! `GetRecords`.

use serde::{Deserialize, Serialize};
use weir_core::clock::WallMs;
use weir_wire::kinesis::operation::Operation;

use super::{Call, wall};
use crate::data::Data;

/// Reads on from an iterator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetRecords {
    /// Where to read.
    pub shard_iterator: String,
    /// Records at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetRecordsAnswer {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Where to read next; absent at the end of a closed shard.
    pub next_shard_iterator: Option<String>,
    /// How far the reader is behind the newest record.
    #[serde(default)]
    pub millis_behind_latest: u64,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    /// Its number.
    pub sequence_number: String,
    /// When it arrived.
    #[serde(deserialize_with = "wall")]
    pub approximate_arrival_timestamp: WallMs,
    /// Its data.
    pub data: Data,
    /// Its partition key; empty where none was given, which a stream allows that spreads its records.
    #[serde(default)]
    pub partition_key: String,
}

impl Call for GetRecords {
    const OPERATION: Operation = Operation::GetRecords;
    const WRITES: bool = false;
    type Answer = GetRecordsAnswer;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_without_a_partition_key_is_read_as_one_with_an_empty_one() {
        let record = json!({"SequenceNumber": "1", "ApproximateArrivalTimestamp": 1.5, "Data": "AAAA"});
        let answer: GetRecordsAnswer =
            serde_json::from_value(json!({"Records": [record], "MillisBehindLatest": 0})).unwrap();
        assert_eq!(answer.records[0].partition_key, "");
    }
}
