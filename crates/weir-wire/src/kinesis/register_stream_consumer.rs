//! `RegisterStreamConsumer`: what it takes and tells; also the consumer as every operation shows it.

use weir_core::clock::WallMs;

use super::{
    encode::{Encoder, Reply},
    model,
    shape::{Text, TextMap, structure},
};

structure! {
    /// What `RegisterStreamConsumer` takes.
    RegisterStreamConsumerInput {
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN, required;
        /// The new consumer.
        consumer_name: Text<'a> = "ConsumerName", model::CONSUMER_NAME, required;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
        /// The consumer's first tags.
        tags: TextMap<'a> = "Tags", model::TAG_MAP;
    }
}

/// A consumer as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerFacts {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// `CREATING`, `ACTIVE` or `DELETING`.
    pub status: &'static str,
    /// When it was registered.
    pub created: WallMs,
}

impl ConsumerFacts {
    /// Writes the members that all operations show.
    pub(super) fn encode_members(&self, out: &mut impl Encoder) {
        out.member("ConsumerName");
        out.text(&self.name);
        out.member("ConsumerARN");
        out.text(&self.arn);
        out.member("ConsumerStatus");
        out.text(self.status);
        out.member("ConsumerCreationTimestamp");
        out.timestamp(self.created);
    }
}

/// What `RegisterStreamConsumer` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterStreamConsumerReply {
    /// The new consumer.
    pub consumer: ConsumerFacts,
}

impl Reply for RegisterStreamConsumerReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("Consumer");
        out.open_structure();
        self.consumer.encode_members(out);
        out.close_structure();
        out.close_structure();
    }
}
