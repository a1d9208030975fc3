//! `ListStreamConsumers`: what it takes and tells.

use super::{
    encode::{Encoder, Reply},
    model,
    register_stream_consumer::ConsumerFacts,
    shape::{EpochMs, Shape, Text, structure},
};

structure! {
    /// What `ListStreamConsumers` takes.
    ListStreamConsumersInput {
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN, required;
        /// Where the last page ended.
        next_token: Text<'a> = "NextToken", model::NEXT_TOKEN;
        /// Consumers at most.
        max_results: i64 = "MaxResults", model::PAGE_LIMIT;
        /// Tells two streams of one name apart.
        stream_creation_timestamp: EpochMs = "StreamCreationTimestamp", Shape::FREE;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}

/// What `ListStreamConsumers` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListStreamConsumersReply {
    /// A page of consumers, by name.
    pub consumers: Vec<ConsumerFacts>,
    /// Where the next page begins; absent on the last.
    pub next_token: Option<String>,
}

impl Reply for ListStreamConsumersReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("Consumers");
        out.open_list();
        for consumer in &self.consumers {
            out.open_structure();
            consumer.encode_members(out);
            out.close_structure();
        }
        out.close_list();
        if let Some(token) = &self.next_token {
            out.member("NextToken");
            out.text(token);
        }
        out.close_structure();
    }
}
