//! `RemoveTagsFromStream`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, Texts, structure},
};

structure! {
    /// What `RemoveTagsFromStream` takes.
    RemoveTagsFromStreamInput {
        /// The tags' keys; one that the stream does not have is passed over.
        tag_keys: Texts<'a> = "TagKeys", model::TAG_KEYS, required;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
