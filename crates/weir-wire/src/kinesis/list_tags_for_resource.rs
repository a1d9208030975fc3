//! `ListTagsForResource`: what it takes and tells.

use super::{
    encode::{Encoder, Reply},
    list_tags_for_stream::encode_tags,
    model,
    shape::{Text, structure},
};

structure! {
    /// What `ListTagsForResource` takes.
    ListTagsForResourceInput {
        /// A stream or a consumer.
        resource_arn: Text<'a> = "ResourceARN", model::RESOURCE_ARN, required;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}

/// What `ListTagsForResource` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListTagsForResourceReply {
    /// All keys and values, by key.
    pub tags: Vec<(String, String)>,
}

impl Reply for ListTagsForResourceReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        encode_tags(&self.tags, out);
        out.close_structure();
    }
}
