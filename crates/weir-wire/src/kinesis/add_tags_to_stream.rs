//! `AddTagsToStream`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, TextMap, structure},
};

structure! {
    /// What `AddTagsToStream` takes.
    AddTagsToStreamInput {
        /// The tags: new ones, and new values of old ones.
        tags: TextMap<'a> = "Tags", model::TAG_MAP, required;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
