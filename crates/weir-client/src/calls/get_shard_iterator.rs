//! `GetShardIterator`.

use serde::{Deserialize, Serialize, Serializer};
use weir_core::clock::WallMs;
use weir_wire::kinesis::operation::Operation;

use super::Call;

/// Asks for a place to read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetShardIterator {
    /// The stream.
    pub stream_name: String,
    /// The shard.
    pub shard_id: String,
    /// Where in the shard.
    #[serde(flatten)]
    pub from: IteratorType,
}

/// A place in a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "ShardIteratorType", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IteratorType {
    /// The oldest record that is kept.
    TrimHorizon,
    /// Behind the newest record, as of now.
    Latest,
    /// This record.
    AtSequenceNumber {
        /// Its number.
        #[serde(rename = "StartingSequenceNumber")]
        number: String,
    },
    /// The record behind this one.
    AfterSequenceNumber {
        /// Its number.
        #[serde(rename = "StartingSequenceNumber")]
        number: String,
    },
    /// The first record that arrived at this time or later.
    AtTimestamp {
        /// The time.
        #[serde(rename = "Timestamp", serialize_with = "seconds")]
        time: WallMs,
    },
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetShardIteratorAnswer {
    /// The place; good for five minutes.
    pub shard_iterator: String,
}

impl Call for GetShardIterator {
    const OPERATION: Operation = Operation::GetShardIterator;
    const WRITES: bool = false;
    type Answer = GetShardIteratorAnswer;
}

fn seconds<S: Serializer>(time: &WallMs, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.0 as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_spelled_as_the_api_does() {
        let call = |from| {
            let call =
                GetShardIterator { stream_name: "s".into(), shard_id: "shardId-000000000000".into(), from };
            serde_json::to_string(&call).unwrap()
        };
        let start = r#"{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"#;
        assert_eq!(call(IteratorType::TrimHorizon), format!(r#"{start}"TRIM_HORIZON"}}"#));
        assert_eq!(
            call(IteratorType::AfterSequenceNumber { number: "42".into() }),
            format!(r#"{start}"AFTER_SEQUENCE_NUMBER","StartingSequenceNumber":"42"}}"#)
        );
        assert_eq!(
            call(IteratorType::AtTimestamp { time: WallMs(1_606_300_000_250) }),
            format!(r#"{start}"AT_TIMESTAMP","Timestamp":1606300000.25}}"#)
        );
    }
}
