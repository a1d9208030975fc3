//! `DisableEnhancedMonitoring`: what it takes. It tells what `EnableEnhancedMonitoring` tells.

use super::{
    model,
    shape::{Text, Texts, structure},
};

structure! {
    /// What `DisableEnhancedMonitoring` takes.
    DisableEnhancedMonitoringInput {
        /// The metrics to disable; `ALL` is all of them.
        shard_level_metrics: Texts<'a> = "ShardLevelMetrics", model::SHARD_LEVEL_METRICS, required;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
