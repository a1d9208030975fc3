//! `TagResource`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, TextMap, structure},
};

structure! {
    /// What `TagResource` takes.
    TagResourceInput {
        /// The tags: new ones, and new values of old ones.
        tags: TextMap<'a> = "Tags", model::TAG_MAP, required;
        /// A stream or a consumer.
        resource_arn: Text<'a> = "ResourceARN", model::RESOURCE_ARN, required;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
