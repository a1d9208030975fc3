//! `ListTagsForStream`: what it takes and tells; also tags as both lists of them show them.

use super::{
    encode::{Encoder, Reply},
    model,
    shape::{Text, structure},
};

structure! {
    /// What `ListTagsForStream` takes.
    ListTagsForStreamInput {
        /// Tags at most.
        limit: i64 = "Limit", model::LIST_TAGS_LIMIT;
        /// Only keys after this one.
        exclusive_start_tag_key: Text<'a> = "ExclusiveStartTagKey", model::TAG_KEY;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}

/// What `ListTagsForStream` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListTagsForStreamReply {
    /// A page of keys and values, by key.
    pub tags: Vec<(String, String)>,
    /// Are there more?
    pub more: bool,
}

impl Reply for ListTagsForStreamReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        encode_tags(&self.tags, out);
        out.member("HasMoreTags");
        out.boolean(self.more);
        out.close_structure();
    }
}

/// Writes the member of a list of tags.
pub(super) fn encode_tags(tags: &[(String, String)], out: &mut impl Encoder) {
    out.member("Tags");
    out.open_list();
    for (key, value) in tags {
        out.open_structure();
        out.member("Key");
        out.text(key);
        out.member("Value");
        out.text(value);
        out.close_structure();
    }
    out.close_list();
}
