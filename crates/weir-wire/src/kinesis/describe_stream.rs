//! `DescribeStream`: what it takes and tells; also the shard as every operation shows it.

use weir_core::{
    clock::WallMs, hash_key::HashKeyRange, id::ShardIndex, monitoring::ShardLevelMetrics,
    sequence::SequenceNumber,
};

use super::{
    enable_enhanced_monitoring::encode_metrics,
    encode::{Encoder, Reply},
    model,
    shape::{Text, structure},
};

structure! {
    /// What `DescribeStream` takes.
    DescribeStreamInput {
        /// Shards at most.
        limit: i64 = "Limit", model::PAGE_LIMIT;
        /// Only shards after this one.
        exclusive_start_shard_id: Text<'a> = "ExclusiveStartShardId", model::SHARD_ID;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}

/// What every description of a stream tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFacts {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// `CREATING`, `ACTIVE`, `DELETING` or `UPDATING`.
    pub status: &'static str,
    /// `PROVISIONED` or `ON_DEMAND`.
    pub mode: &'static str,
    /// KiB of one record, at most.
    pub record_kib_max: u32,
    /// `AUTO` or `USER_PARTITION_KEY`; only of an on-demand stream.
    pub distribution: Option<&'static str>,
    /// MiB a second that it is kept ready for, if anybody said so.
    pub warm_mibps: Option<u32>,
    /// How long records are kept.
    pub retention_hours: u32,
    /// When it was created.
    pub created: WallMs,
    /// The shard-level metrics that are enabled.
    pub metrics: ShardLevelMetrics,
    /// The key of the key management service, if records are encrypted.
    pub key_id: Option<String>,
}

impl StreamFacts {
    /// Writes the members that both descriptions begin with.
    pub(super) fn encode_members(&self, out: &mut impl Encoder) {
        out.member("StreamName");
        out.text(&self.name);
        out.member("StreamARN");
        out.text(&self.arn);
        out.member("StreamStatus");
        out.text(self.status);
        out.member("StreamModeDetails");
        encode_mode(self.mode, out);
        out.member("RetentionPeriodHours");
        out.integer(i64::from(self.retention_hours));
        out.member("StreamCreationTimestamp");
        out.timestamp(self.created);
        out.member("EnhancedMonitoring");
        out.open_list();
        out.open_structure();
        out.member("ShardLevelMetrics");
        encode_metrics(self.metrics, out);
        out.close_structure();
        out.close_list();
        out.member("EncryptionType");
        match &self.key_id {
            None => out.text("NONE"),
            Some(key) => {
                out.text("KMS");
                out.member("KeyId");
                out.text(key);
            }
        }
    }
}

/// Writes a capacity mode.
pub(super) fn encode_mode(mode: &str, out: &mut impl Encoder) {
    out.open_structure();
    out.member("StreamMode");
    out.text(mode);
    out.close_structure();
}

/// A shard as descriptions and lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFacts {
    /// Which shard.
    pub shard: ShardIndex,
    /// Its range.
    pub range: HashKeyRange,
    /// What it was split off, or the lower of what it was merged of.
    pub parent: Option<ShardIndex>,
    /// The upper of what it was merged of.
    pub adjacent_parent: Option<ShardIndex>,
    /// The number before its first record.
    pub starting: SequenceNumber,
    /// The number after its last record, if it takes no more.
    pub ending: Option<SequenceNumber>,
}

impl ShardFacts {
    /// Writes the shard.
    pub(super) fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("ShardId");
        out.shown(&self.shard);
        if let Some(parent) = self.parent {
            out.member("ParentShardId");
            out.shown(&parent);
        }
        if let Some(adjacent) = self.adjacent_parent {
            out.member("AdjacentParentShardId");
            out.shown(&adjacent);
        }
        encode_range(self.range, out);
        out.member("SequenceNumberRange");
        out.open_structure();
        out.member("StartingSequenceNumber");
        out.shown(&self.starting);
        if let Some(ending) = self.ending {
            out.member("EndingSequenceNumber");
            out.shown(&ending);
        }
        out.close_structure();
        out.close_structure();
    }
}

/// Writes the range of a shard.
pub(super) fn encode_range(range: HashKeyRange, out: &mut impl Encoder) {
    out.member("HashKeyRange");
    out.open_structure();
    out.member("StartingHashKey");
    out.shown(&range.start);
    out.member("EndingHashKey");
    out.shown(&range.end);
    out.close_structure();
}

/// What `DescribeStream` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeStreamReply {
    /// The stream.
    pub stream: StreamFacts,
    /// A page of its shards.
    pub shards: Vec<ShardFacts>,
    /// Are there more?
    pub more: bool,
}

impl Reply for DescribeStreamReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("StreamDescription");
        out.open_structure();
        self.stream.encode_members(out);
        out.member("Shards");
        out.open_list();
        for shard in &self.shards {
            shard.encode(out);
        }
        out.close_list();
        out.member("HasMoreShards");
        out.boolean(self.more);
        out.close_structure();
        out.close_structure();
    }
}
