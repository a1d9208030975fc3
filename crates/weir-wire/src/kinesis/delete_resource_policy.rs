//! `DeleteResourcePolicy`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, structure},
};

structure! {
    /// What `DeleteResourcePolicy` takes.
    DeleteResourcePolicyInput {
        /// A stream or a consumer.
        resource_arn: Text<'a> = "ResourceARN", model::RESOURCE_ARN, required;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
