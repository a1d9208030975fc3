//! `UpdateStreamMode`: what it takes. Its answer is empty.

use super::{
    create_stream::StreamModeDetails,
    model,
    shape::{Shape, Text, structure},
};

structure! {
    /// What `UpdateStreamMode` takes.
    UpdateStreamModeInput {
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN, required;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
        /// MiB a second that an on-demand stream is to take in at any moment.
        warm_throughput: i64 = "WarmThroughputMiBps", model::WARM_THROUGHPUT;
        /// The capacity mode.
        stream_mode_details: StreamModeDetails<'a> = "StreamModeDetails", Shape::FREE, required;
    }
}
