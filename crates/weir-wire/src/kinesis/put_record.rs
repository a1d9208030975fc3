//! `PutRecord`: what it takes and tells.

use weir_core::{id::ShardIndex, sequence::SequenceNumber};

use super::{
    blob::Blob,
    encode::{Encoder, Reply},
    model,
    shape::{Shape, Text, structure},
};

structure! {
    /// What `PutRecord` takes.
    PutRecordInput {
        /// The new record's number must be above this one.
        sequence_number_for_ordering: Text<'a> = "SequenceNumberForOrdering", model::SEQUENCE_NUMBER;
        /// Says where the record lands.
        partition_key: Text<'a> = "PartitionKey", model::PARTITION_KEY, required;
        /// Says it instead of the partition key's MD5.
        explicit_hash_key: Text<'a> = "ExplicitHashKey", model::HASH_KEY;
        /// The data.
        data: Blob<'a> = "Data", model::DATA, required;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
        /// Only tells whether the call would succeed.
        dry_run: bool = "DryRun", Shape::FREE;
    }
}

/// What `PutRecord` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutRecordReply {
    /// Where the record landed.
    pub shard: ShardIndex,
    /// Its number.
    pub sequence: SequenceNumber,
    /// Is it shown as encrypted?
    pub encrypted: bool,
}

impl Reply for PutRecordReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("ShardId");
        out.plain(&self.shard.printed());
        out.member("SequenceNumber");
        out.plain(&self.sequence.printed());
        encode_encryption(self.encrypted, out);
        out.close_structure();
    }
}

/// Writes how a record is encrypted; nothing where it is not.
#[inline]
pub(super) fn encode_encryption(encrypted: bool, out: &mut impl Encoder) {
    if encrypted {
        out.member("EncryptionType");
        out.text("KMS");
    }
}
