//! `SubscribeToShard`: what it takes, and the events of the stream that it answers with.

use weir_core::sequence::SequenceNumber;

use super::{
    encode::{Encoder, Reply},
    error::ErrorCode,
    get_records::{ChildShard, RecordFacts, encode_records},
    model,
    shape::{EpochMs, Shape, Text, structure},
};

structure! {
    /// What `SubscribeToShard` takes.
    SubscribeToShardInput {
        /// The consumer's ARN.
        consumer_arn: Text<'a> = "ConsumerARN", model::CONSUMER_ARN, required;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
        /// The shard.
        shard_id: Text<'a> = "ShardId", model::SHARD_ID, required;
        /// Where to start.
        starting_position: StartingPosition<'a> = "StartingPosition", Shape::FREE, required;
        /// Only tells whether the call would succeed.
        dry_run: bool = "DryRun", Shape::FREE;
    }
}

structure! {
    /// Where a subscription starts.
    StartingPosition {
        /// How the place is told.
        kind: Text<'a> = "Type", model::SHARD_ITERATOR_TYPE, required;
        /// At or after this record.
        sequence_number: Text<'a> = "SequenceNumber", model::SEQUENCE_NUMBER;
        /// At the first record of this time or later.
        timestamp: EpochMs = "Timestamp", Shape::FREE;
    }
}

/// The name of the events that carry records.
pub const EVENT: &str = "SubscribeToShardEvent";

/// One event.
#[derive(Debug)]
pub struct SubscribeToShardEvent<R> {
    /// The records, in order; each is asked for when it is written.
    pub records: R,
    /// After this record another subscription goes on; absent at the end of a closed shard.
    pub continuation: Option<SequenceNumber>,
    /// How far the subscriber is behind the newest record, in time.
    pub millis_behind_latest: u64,
    /// What goes on where a closed shard ends; empty before its end.
    pub children: Vec<ChildShard>,
}

impl<'a, R: Iterator<Item = RecordFacts<'a>> + Clone> Reply for SubscribeToShardEvent<R> {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("Records");
        out.open_list();
        encode_records(self.records.clone(), out);
        out.close_list();
        if let Some(continuation) = &self.continuation {
            out.member("ContinuationSequenceNumber");
            out.shown(continuation);
        }
        out.member("MillisBehindLatest");
        out.integer(i64::try_from(self.millis_behind_latest).unwrap_or(i64::MAX));
        if !self.children.is_empty() {
            out.member("ChildShards");
            out.open_list();
            for child in &self.children {
                child.encode(out);
            }
            out.close_list();
        }
        out.close_structure();
    }
}

/// The errors that may end the stream, and the names that they have there: its members in the model, whatever the code of
/// an ordinary answer is called.
pub const ENDINGS: [(ErrorCode, &str); 9] = [
    (ErrorCode::ResourceNotFound, "ResourceNotFoundException"),
    (ErrorCode::ResourceInUse, "ResourceInUseException"),
    (ErrorCode::KmsDisabled, "KMSDisabledException"),
    (ErrorCode::KmsInvalidState, "KMSInvalidStateException"),
    (ErrorCode::KmsAccessDenied, "KMSAccessDeniedException"),
    (ErrorCode::KmsNotFound, "KMSNotFoundException"),
    (ErrorCode::KmsOptInRequired, "KMSOptInRequired"),
    (ErrorCode::KmsThrottling, "KMSThrottlingException"),
    (ErrorCode::InternalFailure, "InternalFailureException"),
];

/// What an error is called inside the stream; none if the stream has no such member.
pub fn ending_name(code: ErrorCode) -> Option<&'static str> {
    ENDINGS.into_iter().find(|(known, _)| *known == code).map(|(_, name)| name)
}

/// The error that is called so inside the stream.
pub fn ending_code(name: &str) -> Option<ErrorCode> {
    ENDINGS.into_iter().find(|(_, known)| *known == name).map(|(code, _)| code)
}

/// The payload of an error inside the stream: its kind stands in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamErrorReply {
    /// The text.
    pub message: String,
}

impl Reply for StreamErrorReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("message");
        out.text(&self.message);
        out.close_structure();
    }
}
