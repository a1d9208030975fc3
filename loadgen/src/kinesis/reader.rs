//! Readers of shards: an iterator each, taken on from answer to answer.
//!
//! A reader without an iterator asks for one first. In an open loop the next read may be due before the last one is
//! answered; it then reads from the same iterator again, as a second application would.

use weir_wire::kinesis::encoding::Encoding;

use super::{
    answer::{iterator, records_answer},
    call::Call,
};
use crate::workload::{Code, RequestBuffer, Verdict, codes};

/// Room for the body of a call.
const BODY_BYTES: usize = 384;

/// All readers of a worker: one for each shard of each stream.
#[derive(Debug)]
pub(super) struct Readers {
    readers: Vec<Reader>,
    /// By target: its readers, and whose turn it is.
    turns: Vec<(std::ops::Range<u32>, u32)>,
    from: &'static str,
    encoding: Encoding,
}

#[derive(Debug)]
struct Reader {
    shard_id: String,
    iterator: Option<String>,
}

impl Readers {
    pub(super) fn new(shards: &[Vec<String>], from_oldest: bool, encoding: Encoding) -> Self {
        let mut readers = Vec::new();
        let mut turns = Vec::new();
        for ids in shards {
            let first = readers.len() as u32;
            readers.extend(ids.iter().map(|id| Reader { shard_id: id.clone(), iterator: None }));
            turns.push((first..readers.len() as u32, 0));
        }
        Self { readers, turns, from: if from_oldest { "TRIM_HORIZON" } else { "LATEST" }, encoding }
    }

    /// Writes a `GetRecords` for the reader whose turn it is; `None` when it needs an iterator first.
    pub(super) fn ask_records(&mut self, target: u32, request: &mut RequestBuffer) -> Option<u32> {
        let (range, turn) = &mut self.turns[target as usize];
        let reader = range.start + *turn % range.len() as u32;
        let iterator = self.readers[reader as usize].iterator.as_deref()?;
        *turn = turn.wrapping_add(1);
        own(request, self.encoding.encode(&Call([("ShardIterator", iterator)]), BODY_BYTES).into());
        Some(reader)
    }

    /// Writes a `GetShardIterator` for the reader whose turn it is.
    pub(super) fn ask_iterator(&mut self, target: u32, stream: &str, request: &mut RequestBuffer) -> u32 {
        let (range, turn) = &mut self.turns[target as usize];
        let reader = range.start + *turn % range.len() as u32;
        *turn = turn.wrapping_add(1);
        let shard_id = &self.readers[reader as usize].shard_id;
        let call = Call([("StreamName", stream), ("ShardId", shard_id), ("ShardIteratorType", self.from)]);
        own(request, self.encoding.encode(&call, BODY_BYTES).into());
        reader
    }

    /// Keeps the iterator that came.
    pub(super) fn take_iterator<'a>(&mut self, reader: u32, body: &'a [u8]) -> Verdict<'a> {
        let Some(iterator) = iterator(self.encoding, body) else {
            return Verdict { code: Code::Error(codes::BAD_ANSWER), records: 0, bytes: 0 };
        };
        self.readers[reader as usize].iterator = Some(iterator.to_owned());
        Verdict { code: Code::Success, records: 0, bytes: 0 }
    }

    /// Counts the records that came and keeps the next iterator.
    pub(super) fn take_records<'a>(&mut self, reader: u32, body: &'a [u8]) -> Verdict<'a> {
        let Some(answer) = records_answer(self.encoding, body) else {
            return Verdict { code: Code::Error(codes::BAD_ANSWER), records: 0, bytes: 0 };
        };
        self.readers[reader as usize].iterator = answer.next_shard_iterator.map(str::to_owned);
        Verdict { code: Code::Success, records: answer.records, bytes: answer.bytes }
    }

    /// The service refused a read: an iterator that it does not take is of no further use.
    pub(super) fn refused(&mut self, reader: u32, code: &str) {
        if matches!(code, "ExpiredIteratorException" | "InvalidArgumentException") {
            self.readers[reader as usize].iterator = None;
        }
    }
}

fn own(request: &mut RequestBuffer, body: Vec<u8>) {
    request.shared = None;
    request.own_template = None;
    request.own = body;
}
