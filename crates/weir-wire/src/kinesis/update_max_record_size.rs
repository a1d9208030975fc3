//! `UpdateMaxRecordSize`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, structure},
};

structure! {
    /// What `UpdateMaxRecordSize` takes.
    UpdateMaxRecordSizeInput {
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
        /// KiB of one record, at most.
        max_record_size: i64 = "MaxRecordSizeInKiB", model::MAX_RECORD_SIZE, required;
    }
}
