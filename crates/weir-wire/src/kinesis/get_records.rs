//! `GetRecords`: what it takes and tells.

use weir_core::{
    clock::WallMs,
    hash_key::HashKeyRange,
    id::ShardIndex,
    partition_key::PartitionKey,
    sequence::{SequenceNumber, SequencePrinter},
};

use super::{
    describe_stream::encode_range,
    encode::{Encoder, NumberedFront, Reply},
    model,
    put_record::encode_encryption,
    shape::{Shape, Text, structure},
};

structure! {
    /// What `GetRecords` takes.
    GetRecordsInput {
        /// Records at most.
        limit: i64 = "Limit", model::GET_RECORDS_LIMIT;
        /// Where to read.
        shard_iterator: Text<'a> = "ShardIterator", model::SHARD_ITERATOR, required;
        /// The stream's ARN; the iterator knows better.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
        /// Only tells whether the call would succeed.
        dry_run: bool = "DryRun", Shape::FREE;
    }
}

/// One record as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordFacts<'a> {
    /// Its number.
    pub sequence: SequenceNumber,
    /// When it arrived.
    pub arrived: WallMs,
    /// The data.
    pub data: &'a [u8],
    /// The partition key; empty: it was put without one.
    pub partition_key: PartitionKey<'a>,
    /// Is it shown as encrypted?
    pub encrypted: bool,
}

/// What was written of the records before, for those behind them in the same answer.
#[derive(Debug, Default)]
struct RecordsBefore {
    numbers: SequencePrinter,
    /// Of the last record that did not arrive with the one before it: those of a batch arrived together.
    front: Option<(WallMs, NumberedFront)>,
}

/// Writes the records, one behind another.
pub(super) fn encode_records<'a>(records: impl Iterator<Item = RecordFacts<'a>>, out: &mut impl Encoder) {
    let mut before = RecordsBefore::default();
    // Not `for`: an iterator over several batches has one inner loop a batch here, and would ask for each record which it is in.
    records.for_each(|record| record.encode(&mut before, out));
}

impl RecordFacts<'_> {
    fn encode(&self, before: &mut RecordsBefore, out: &mut impl Encoder) {
        let number = before.numbers.print(self.sequence);
        match &before.front {
            Some((arrived, front)) if *arrived == self.arrived => front.again(out, number),
            _ => {
                let front = NumberedFront::write(out, number, |out| {
                    out.member("ApproximateArrivalTimestamp");
                    out.timestamp(self.arrived);
                    out.member("Data");
                });
                before.front = Some((self.arrived, front));
            }
        }
        out.blob(self.data);
        if !self.partition_key.is_empty() {
            out.member("PartitionKey");
            out.utf8(self.partition_key.as_bytes());
        }
        encode_encryption(self.encrypted, out);
        out.close_structure();
    }
}

/// What `GetRecords` tells.
#[derive(Debug)]
pub struct GetRecordsReply<R> {
    /// The records, in order; each is asked for when it is written.
    pub records: R,
    /// Where to read next; absent at the end of a closed shard.
    pub next_shard_iterator: Option<String>,
    /// How far the reader is behind the newest record, in time.
    pub millis_behind_latest: u64,
    /// What goes on where the shard ends; empty before its end.
    pub children: Vec<ChildShard>,
}

/// A shard that goes on where another ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildShard {
    /// Which.
    pub shard: ShardIndex,
    /// All that it was made of.
    pub parents: Vec<ShardIndex>,
    /// Its range.
    pub range: HashKeyRange,
}

impl ChildShard {
    /// Writes the shard.
    pub(super) fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("ShardId");
        out.shown(&self.shard);
        out.member("ParentShards");
        out.open_list();
        for parent in &self.parents {
            out.shown(parent);
        }
        out.close_list();
        encode_range(self.range, out);
        out.close_structure();
    }
}

impl<'a, R: Iterator<Item = RecordFacts<'a>> + Clone> Reply for GetRecordsReply<R> {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("Records");
        out.open_list();
        encode_records(self.records.clone(), out);
        out.close_list();
        if let Some(iterator) = &self.next_shard_iterator {
            out.member("NextShardIterator");
            out.text(iterator);
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
