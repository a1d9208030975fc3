//! What `weir serve --list-operations` prints: every operation of the API, and whether it is as at AWS.
//!
//! The one description of it; `docs/SEMANTICS.md` shows the same table and a test holds the two together. It decides
//! nothing: what an operation does is the front end's.

use serde_json::json;
use weir_wire::kinesis::operation::{Operation, UNSUPPORTED};

/// Why an operation of queues or channels is refused.
const REFUSED: &str = "Weir has neither queues nor channels";

/// What an operation does otherwise than at AWS; none: it is the same. What is so of all of them is not said here. No `_`
/// arm, on purpose.
fn difference(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::CreateStream => {
            Some("a stream has 10,000 shards at most, and no time of its own to get them")
        }
        Operation::DeleteStream => Some("takes no time unless --delete-delay says so"),
        Operation::DescribeLimits => Some("a quota that is lifted is shown as 2,147,483,647"),
        Operation::GetRecords => Some("a record past its retention is given out for up to 30 seconds more"),
        Operation::ListShards => Some("AT_TIMESTAMP before the trim horizon is corrected to it"),
        Operation::PutRecord => {
            Some("SequenceNumberForOrdering may be up to five minutes ahead of the clock")
        }
        Operation::PutResourcePolicy => Some("no Condition, and principals are whole accounts"),
        Operation::StartStreamEncryption => {
            Some("nothing is encrypted, and a key is judged by its form and its name")
        }
        Operation::StopStreamEncryption => Some("does not compare the key"),
        Operation::SubscribeToShard => {
            Some("not in CBOR, and each front end knows its own subscriptions alone")
        }
        Operation::UpdateShardCount => {
            Some("a range may begin up to a millionth of its width beside the uniform place")
        }
        Operation::UpdateStreamMode => Some("a stream in AUTO that becomes provisioned goes by keys again"),
        Operation::UpdateStreamWarmThroughput => Some("10,000 MiB a second at most"),
        Operation::AddTagsToStream
        | Operation::DecreaseStreamRetentionPeriod
        | Operation::DeleteResourcePolicy
        | Operation::DeregisterStreamConsumer
        | Operation::DescribeAccountSettings
        | Operation::DescribeStream
        | Operation::DescribeStreamConsumer
        | Operation::DescribeStreamSummary
        | Operation::DisableEnhancedMonitoring
        | Operation::EnableEnhancedMonitoring
        | Operation::GetResourcePolicy
        | Operation::GetShardIterator
        | Operation::IncreaseStreamRetentionPeriod
        | Operation::ListStreamConsumers
        | Operation::ListStreams
        | Operation::ListTagsForResource
        | Operation::ListTagsForStream
        | Operation::MergeShards
        | Operation::PutRecords
        | Operation::RegisterStreamConsumer
        | Operation::RemoveTagsFromStream
        | Operation::SplitShard
        | Operation::TagResource
        | Operation::UntagResource
        | Operation::UpdateAccountSettings
        | Operation::UpdateMaxRecordSize
        | Operation::UpdateStreamRecordDistributionStrategy => None,
    }
}

/// One operation: its name; `same`, `different` or `refused`; and how.
type Row = (&'static str, &'static str, &'static str);

fn rows() -> Vec<Row> {
    let served = Operation::ALL.iter().map(|&operation| match difference(operation) {
        Some(how) => (operation.name(), "different", how),
        None => (operation.name(), "same", ""),
    });
    let refused = UNSUPPORTED.into_iter().map(|name| (name, "refused", REFUSED));
    let mut rows: Vec<Row> = served.chain(refused).collect();
    rows.sort_unstable();
    rows
}

/// Every operation for people.
pub(super) fn table() -> String {
    let rows = rows();
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
    let line = |(name, is, how): &Row| format!("{}\n", format!("{name:width$}  {is:9}  {how}").trim_end());
    rows.iter().map(line).collect()
}

/// Every operation for programs.
pub(super) fn json() -> serde_json::Value {
    let row = |(name, is, how): &Row| json!({ "name": name, "semantics": is, "difference": how });
    json!({ "operations": rows().iter().map(row).collect::<Vec<_>>() })
}
