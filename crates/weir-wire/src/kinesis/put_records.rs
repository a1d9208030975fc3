//! `PutRecords`: what it takes and tells, record by record.

use weir_core::{
    id::ShardIndex,
    sequence::{SequenceNumber, SequencePrinter},
};

use super::{
    blob::Blob,
    encode::{Encoder, NumberedFront, Reply},
    error::ApiError,
    model,
    put_record::encode_encryption,
    shape::{Shape, Text, structure},
};

structure! {
    /// What `PutRecords` takes.
    PutRecordsInput {
        /// The records.
        records: Vec<PutRecordsRequestEntry<'a>> = "Records", model::PUT_RECORDS_ENTRIES, required;
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

structure! {
    /// One record of a `PutRecords`.
    PutRecordsRequestEntry {
        /// Says where the record lands.
        partition_key: Text<'a> = "PartitionKey", model::PARTITION_KEY, required;
        /// Says it instead of the partition key's MD5.
        explicit_hash_key: Text<'a> = "ExplicitHashKey", model::HASH_KEY;
        /// The data.
        data: Blob<'a> = "Data", model::DATA, required;
    }
}

/// Shards whose numbers are printed one after the other although their records come by turns.
const NUMBERED_SHARDS: usize = 8;

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutRecordsResult {
    /// It is stored.
    Stored {
        /// Where it landed.
        shard: ShardIndex,
        /// Its number.
        sequence: SequenceNumber,
    },
    /// It is not, or nobody knows.
    Failed(ApiError),
}

/// What `PutRecords` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutRecordsReply {
    /// One result for each record, in the order of the request.
    pub results: Vec<PutRecordsResult>,
    /// Are records shown as encrypted?
    pub encrypted: bool,
}

impl Reply for PutRecordsReply {
    fn encode(&self, out: &mut impl Encoder) {
        let failed = |result: &&PutRecordsResult| matches!(result, PutRecordsResult::Failed(_));
        out.open_structure();
        out.member("FailedRecordCount");
        out.integer(self.results.iter().filter(failed).count() as i64);
        out.member("Records");
        out.open_list();
        let mut numbers: [SequencePrinter; NUMBERED_SHARDS] = Default::default();
        let mut front: Option<NumberedFront> = None;
        for result in &self.results {
            match result {
                PutRecordsResult::Stored { shard, sequence } => {
                    let number = numbers[shard.0 as usize % NUMBERED_SHARDS].print(*sequence);
                    match &front {
                        Some(front) => front.again(out, number),
                        None => front = Some(NumberedFront::write(out, number, |out| out.member("ShardId"))),
                    }
                    out.plain(&shard.printed());
                }
                PutRecordsResult::Failed(error) => {
                    out.open_structure();
                    out.member("ErrorCode");
                    out.text(error.code.name());
                    out.member("ErrorMessage");
                    out.text(error.message.as_deref().unwrap_or("Internal service failure."));
                }
            }
            out.close_structure();
        }
        out.close_list();
        encode_encryption(self.encrypted, out);
        out.close_structure();
    }
}
