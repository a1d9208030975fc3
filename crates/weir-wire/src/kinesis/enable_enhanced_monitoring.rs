//! `EnableEnhancedMonitoring`: what it takes, and what it and its counterpart tell.

use weir_core::monitoring::ShardLevelMetrics;

use super::{
    encode::{Encoder, Reply},
    model,
    shape::{Text, Texts, structure},
};

structure! {
    /// What `EnableEnhancedMonitoring` takes.
    EnableEnhancedMonitoringInput {
        /// The metrics to enable; `ALL` is all of them.
        shard_level_metrics: Texts<'a> = "ShardLevelMetrics", model::SHARD_LEVEL_METRICS, required;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}

/// What `EnableEnhancedMonitoring` and `DisableEnhancedMonitoring` tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnhancedMonitoringReply {
    /// The stream's name.
    pub stream_name: String,
    /// The stream's ARN.
    pub stream_arn: String,
    /// The metrics that were enabled before.
    pub current: ShardLevelMetrics,
    /// Those that are enabled now.
    pub desired: ShardLevelMetrics,
}

impl Reply for EnhancedMonitoringReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("StreamName");
        out.text(&self.stream_name);
        out.member("CurrentShardLevelMetrics");
        encode_metrics(self.current, out);
        out.member("DesiredShardLevelMetrics");
        encode_metrics(self.desired, out);
        out.member("StreamARN");
        out.text(&self.stream_arn);
        out.close_structure();
    }
}

/// Writes the names of metrics.
pub(super) fn encode_metrics(metrics: ShardLevelMetrics, out: &mut impl Encoder) {
    out.open_list();
    for metric in metrics.iter() {
        out.text(metric.name());
    }
    out.close_list();
}
