//! Every limit of Kinesis that Weir keeps, described once: its name, its value at AWS, its unit, of what it is one, and
//! who says so.
//!
//! The front end's buckets and the control plane's quotas take their numbers from here, as the command line has set them
//! ([`ServiceLimits`]); `weir serve --list-limits` and the documents print it. A new operation needs one line in
//! [`calls`]. It counts nothing and must never decide who is over a limit.

mod chosen;

pub use self::chosen::{Assignment, LimitError, ServiceLimits, Value};
use super::operation::Operation;

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// Bytes of data and partition keys that a shard takes in.
    ShardWriteBytes,
    /// Records that a shard takes in.
    ShardWriteRecords,
    /// Bytes of data and partition keys that a shard gives out to `GetRecords`.
    ShardReadBytes,
    /// Bytes of data and partition keys that a shard gives out to one consumer's subscription.
    SubscriptionBytes,
    /// Calls of one operation.
    Calls(Operation),
    /// Open shards of an account in a region.
    AccountShards,
    /// Streams of an account in a region that are being created or deleted at once.
    StreamsInTransition,
    /// Streams of an account in a region in on-demand mode.
    OnDemandStreams,
    /// Consumers of a stream.
    StreamConsumers,
    /// Consumers of an account in a region that are being created at once.
    ConsumersCreating,
    /// Tags of a stream or a consumer.
    Tags,
    /// Times within 24 hours that a stream's shard count is updated.
    ShardCountUpdates,
    /// Times within 24 hours that a stream's encryption is started, and times that it is stopped.
    EncryptionChanges,
    /// Times within 24 hours that a stream's capacity mode is changed.
    ModeChanges,
}

/// Which switch lifts a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// What a shard takes in and gives out: `--shard-limits`.
    Shards,
    /// How often an operation may be called: `--call-limits`.
    Calls,
    /// How many there may be of something: no switch, each by `--limit`.
    Quotas,
}

/// Of what a limit is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// An account in a region.
    Account,
    /// A stream.
    Stream,
    /// A shard.
    Shard,
    /// A registered consumer and a shard.
    ConsumerAndShard,
}

/// In what a limit is counted, and how its [`Value`] holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// Events a second; held in thousandths.
    PerSecond,
    /// Bytes a second.
    BytesPerSecond,
    /// Things.
    Count,
}

/// All that there is to say about a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// As the command line names it: the operation's own name where calls are counted.
    pub name: &'static str,
    /// Which switch lifts it.
    pub family: Family,
    /// Of what it is one.
    pub scope: Scope,
    /// In what it is counted.
    pub unit: Unit,
    /// AWS's default.
    pub default: u64,
    /// The largest value that it can be set to, and what is kept when it is lifted where there must be a bound.
    pub max: u64,
    /// Who says so.
    pub source: &'static str,
}

/// The API reference, as the service model carries it.
const API_REFERENCE: &str = "API reference";
/// The developer guide's page "Quotas and limits".
const QUOTAS_PAGE: &str = "Quotas and limits";

/// Thousandths of one event, the grain of rates: half a call a second is a rate, too.
pub const PER_SECOND_GRAIN: u64 = 1_000;

/// The largest value of any limit: what a bucket can count. More is lifted, not set.
const VALUE_MAX: u64 = 1_000_000_000;
/// Things of one kind that a stream can be allowed to have: the control plane remembers each.
const OF_STREAM_MAX: u64 = 10_000;

impl Limit {
    const NAMED: [Self; 13] = [
        Self::ShardWriteBytes,
        Self::ShardWriteRecords,
        Self::ShardReadBytes,
        Self::AccountShards,
        Self::StreamsInTransition,
        Self::OnDemandStreams,
        Self::StreamConsumers,
        Self::ConsumersCreating,
        Self::SubscriptionBytes,
        Self::Tags,
        Self::ShardCountUpdates,
        Self::EncryptionChanges,
        Self::ModeChanges,
    ];

    /// All of them, by family and name.
    pub fn all() -> Vec<(Self, Description)> {
        let calls = Operation::ALL.iter().map(|&operation| Self::Calls(operation));
        let mut all: Vec<_> = Self::NAMED
            .into_iter()
            .chain(calls)
            .filter_map(|limit| limit.description().map(|described| (limit, described)))
            .collect();
        all.sort_by_key(|(_, described)| (described.family, described.name));
        all
    }

    /// What it is. `None`: calls of this operation are not limited by their number.
    pub fn description(self) -> Option<Description> {
        let shard = |name, unit, default| Description {
            name,
            family: Family::Shards,
            scope: Scope::Shard,
            unit,
            default,
            max: VALUE_MAX,
            source: QUOTAS_PAGE,
        };
        let quota = |name, default, source| Description {
            name,
            family: Family::Quotas,
            scope: Scope::Account,
            unit: Unit::Count,
            default,
            max: VALUE_MAX,
            source,
        };
        let of_stream = |name, default| Description {
            scope: Scope::Stream,
            max: OF_STREAM_MAX,
            ..quota(name, default, API_REFERENCE)
        };
        Some(match self {
            Self::ShardWriteBytes => shard("shard-write-bytes", Unit::BytesPerSecond, 1 << 20),
            Self::ShardWriteRecords => {
                shard("shard-write-records", Unit::PerSecond, 1_000 * PER_SECOND_GRAIN)
            }
            Self::ShardReadBytes => shard("shard-read-bytes", Unit::BytesPerSecond, 2 << 20),
            Self::Calls(operation) => return calls(operation),
            // What AWS gives in its large regions; elsewhere it begins at 1,000 or 6,000.
            Self::AccountShards => quota("account-shards", 20_000, QUOTAS_PAGE),
            Self::StreamsInTransition => quota("streams-in-transition", 5, API_REFERENCE),
            Self::OnDemandStreams => quota("on-demand-streams", 50, QUOTAS_PAGE),
            Self::StreamConsumers => of_stream("stream-consumers", 20),
            Self::ConsumersCreating => quota("consumers-creating", 5, API_REFERENCE),
            Self::SubscriptionBytes => Description {
                scope: Scope::ConsumerAndShard,
                ..shard("subscription-bytes", Unit::BytesPerSecond, 2 << 20)
            },
            Self::Tags => of_stream("tags", 50),
            Self::ShardCountUpdates => of_stream("shard-count-updates", 10),
            Self::EncryptionChanges => of_stream("encryption-changes", 25),
            Self::ModeChanges => Description { source: QUOTAS_PAGE, ..of_stream("mode-changes", 2) },
        })
    }
}

/// How often an operation may be called. Where the API reference and the page of quotas differ in their scope, the reference
/// is taken; where both are silent, five a second a stream (an account, where no stream is named), as for those that are
/// like it. No `_` arm, on purpose.
fn calls(operation: Operation) -> Option<Description> {
    let rate = |per_second: u64, scope, source| {
        Some(Description {
            name: operation.name(),
            family: Family::Calls,
            scope,
            unit: Unit::PerSecond,
            default: per_second * PER_SECOND_GRAIN,
            max: VALUE_MAX,
            source,
        })
    };
    match operation {
        // A record is what counts there: `shard-write-records`.
        Operation::PutRecord | Operation::PutRecords => None,
        Operation::GetRecords => rate(5, Scope::Shard, API_REFERENCE)
            .map(|described| Description { family: Family::Shards, ..described }),
        Operation::GetShardIterator => rate(5, Scope::Shard, API_REFERENCE),
        Operation::CreateStream
        | Operation::DeleteStream
        | Operation::DescribeAccountSettings
        | Operation::ListStreams
        | Operation::MergeShards
        | Operation::RegisterStreamConsumer
        | Operation::SplitShard
        | Operation::UpdateAccountSettings
        | Operation::UpdateStreamWarmThroughput => rate(5, Scope::Account, API_REFERENCE),
        Operation::DescribeLimits => rate(1, Scope::Account, API_REFERENCE),
        Operation::UpdateShardCount => rate(10, Scope::Account, API_REFERENCE),
        Operation::DescribeStreamConsumer => rate(20, Scope::Stream, API_REFERENCE),
        Operation::DeregisterStreamConsumer | Operation::ListStreamConsumers => {
            rate(5, Scope::Stream, API_REFERENCE)
        }
        Operation::SubscribeToShard => rate(1, Scope::ConsumerAndShard, API_REFERENCE),
        Operation::DescribeStream => rate(10, Scope::Account, API_REFERENCE),
        Operation::DescribeStreamSummary => rate(20, Scope::Account, API_REFERENCE),
        Operation::ListShards => rate(1_000, Scope::Stream, API_REFERENCE),
        Operation::AddTagsToStream
        | Operation::RemoveTagsFromStream
        | Operation::ListTagsForStream
        | Operation::TagResource
        | Operation::UntagResource
        | Operation::ListTagsForResource => rate(5, Scope::Account, API_REFERENCE),
        Operation::DecreaseStreamRetentionPeriod
        | Operation::UpdateMaxRecordSize
        | Operation::UpdateStreamMode
        | Operation::UpdateStreamRecordDistributionStrategy
        | Operation::IncreaseStreamRetentionPeriod
        | Operation::StartStreamEncryption
        | Operation::StopStreamEncryption
        | Operation::EnableEnhancedMonitoring
        | Operation::DisableEnhancedMonitoring
        | Operation::PutResourcePolicy
        | Operation::GetResourcePolicy
        | Operation::DeleteResourcePolicy => rate(5, Scope::Stream, QUOTAS_PAGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_name_of_its_own_and_a_value() {
        let all = Limit::all();
        let mut names: Vec<_> = all.iter().map(|(_, described)| described.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().all(|(_, described)| described.default > 0));
        let named = all.iter().filter(|(limit, _)| !matches!(limit, Limit::Calls(_))).count();
        assert_eq!(named, Limit::NAMED.len());
    }
}
