//! `PutResourcePolicy`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Shape, Text, structure},
};

structure! {
    /// What `PutResourcePolicy` takes.
    PutResourcePolicyInput {
        /// A stream or a consumer.
        resource_arn: Text<'a> = "ResourceARN", model::RESOURCE_ARN, required;
        /// The policy, a JSON document.
        policy: Text<'a> = "Policy", Shape::FREE, required;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
