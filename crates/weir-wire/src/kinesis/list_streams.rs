//! `ListStreams`: what it takes and tells.

use super::{
    describe_stream::{StreamFacts, encode_mode},
    encode::{Encoder, Reply},
    model,
    shape::{Text, structure},
};

structure! {
    /// What `ListStreams` takes.
    ListStreamsInput {
        /// Streams at most.
        limit: i64 = "Limit", model::PAGE_LIMIT;
        /// Only names after this one.
        exclusive_start_stream_name: Text<'a> = "ExclusiveStartStreamName", model::STREAM_NAME;
        /// Where the last page ended.
        next_token: Text<'a> = "NextToken", model::NEXT_TOKEN;
    }
}

/// What `ListStreams` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListStreamsReply {
    /// A page of streams, by name.
    pub streams: Vec<StreamFacts>,
    /// Where the next page begins; absent on the last.
    pub next_token: Option<String>,
}

impl Reply for ListStreamsReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("StreamNames");
        out.open_list();
        for stream in &self.streams {
            out.text(&stream.name);
        }
        out.close_list();
        out.member("HasMoreStreams");
        out.boolean(self.next_token.is_some());
        if let Some(token) = &self.next_token {
            out.member("NextToken");
            out.text(token);
        }
        out.member("StreamSummaries");
        out.open_list();
        for stream in &self.streams {
            out.open_structure();
            out.member("StreamName");
            out.text(&stream.name);
            out.member("StreamARN");
            out.text(&stream.arn);
            out.member("StreamStatus");
            out.text(stream.status);
            out.member("StreamModeDetails");
            encode_mode(stream.mode, out);
            out.member("StreamCreationTimestamp");
            out.timestamp(stream.created);
            out.close_structure();
        }
        out.close_list();
        out.close_structure();
    }
}
