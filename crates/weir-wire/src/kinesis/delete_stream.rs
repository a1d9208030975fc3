//! `DeleteStream`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Shape, Text, structure},
};

structure! {
    /// What `DeleteStream` takes.
    DeleteStreamInput {
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// Delete its consumers with it.
        enforce_consumer_deletion: bool = "EnforceConsumerDeletion", Shape::FREE;
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
