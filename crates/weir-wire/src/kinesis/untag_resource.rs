//! `UntagResource`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, Texts, structure},
};

structure! {
    /// What `UntagResource` takes.
    UntagResourceInput {
        /// The tags' keys; one that the resource does not have is passed over.
        tag_keys: Texts<'a> = "TagKeys", model::TAG_KEYS, required;
        /// A stream or a consumer.
        resource_arn: Text<'a> = "ResourceARN", model::RESOURCE_ARN, required;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
