//! `IncreaseStreamRetentionPeriod`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, structure},
};

structure! {
    /// What `IncreaseStreamRetentionPeriod` takes.
    IncreaseStreamRetentionPeriodInput {
        /// How long records are kept from now on: longer than now.
        retention_period_hours: i64 = "RetentionPeriodHours", model::RETENTION_PERIOD_HOURS, required;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
