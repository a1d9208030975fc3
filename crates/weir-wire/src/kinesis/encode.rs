//! What an answer is made of, whatever it is written in.
//!
//! Each operation's reply implements [`Reply`] once; an encoding implements [`Encoder`] once. Structures and lists are
//! opened and closed, so that no encoding needs to know a count beforehand. There is no null: what is absent is not
//! written.

use std::{fmt::Display, ops::Range};

use weir_core::{clock::WallMs, sequence::SEQUENCE_BYTES};

use super::error::ApiError;

/// An encoding of answers.
pub trait Encoder {
    /// Bytes written so far.
    fn written(&self) -> usize;
    /// Begins a structure.
    fn open_structure(&mut self);
    /// Ends it.
    fn close_structure(&mut self);
    /// Begins a list.
    fn open_list(&mut self);
    /// Ends it.
    fn close_list(&mut self);
    /// The name of a structure's next member.
    fn member(&mut self, name: &'static str);
    /// A text.
    fn text(&mut self, text: &str) {
        self.utf8(text.as_bytes());
    }
    /// A text, given as bytes that are known to be UTF-8.
    fn utf8(&mut self, text: &[u8]);
    /// A text that is printed: an id or a number that needs no escapes.
    fn shown(&mut self, value: &dyn Display);
    /// A text of ASCII without escapes: what stands in every record. Gives the offset of its first byte in what is written.
    fn plain(&mut self, text: &[u8]) -> usize;
    /// A number.
    fn integer(&mut self, number: i64);
    /// True or false.
    fn boolean(&mut self, value: bool);
    /// Bytes.
    fn blob(&mut self, bytes: &[u8]);
    /// A time.
    fn timestamp(&mut self, time: WallMs);
    /// Writes what separates the next value from the one before, and gives the offset at which that value begins. It must be
    /// written next.
    fn begin_value(&mut self) -> usize;
    /// Writes a copy of `front` as the next value, and gives the copy; its length stays. `front` runs from a
    /// [`Self::begin_value`] to what was [`Self::written`] right behind the name of a member, whose value must be written next.
    /// Panics if it is not within what is written.
    fn again(&mut self, front: Range<usize>) -> &mut [u8];
}

/// The front of a structure in what is written: from its opening over a sequence number to the name of the first member
/// whose value is each structure's own. It holds for the encoder that wrote it.
///
/// Lists have hundreds of structures whose fronts differ in the number alone.
#[derive(Debug)]
pub(super) struct NumberedFront {
    /// Offsets in what is written.
    bytes: Range<usize>,
    /// The offset of the number's first digit within them.
    number_at: usize,
}

impl NumberedFront {
    /// Writes it; `others` writes the members behind the number, and ends with the name of the one whose value the caller
    /// writes next.
    #[inline]
    pub(super) fn write<E: Encoder>(
        out: &mut E,
        number: &[u8; SEQUENCE_BYTES],
        others: impl FnOnce(&mut E),
    ) -> Self {
        let start = out.begin_value();
        out.open_structure();
        out.member("SequenceNumber");
        let number_at = out.plain(number) - start;
        others(out);
        Self { bytes: start..out.written(), number_at }
    }

    /// Writes it once more, with another number; the caller goes on as behind [`Self::write`].
    #[inline]
    pub(super) fn again(&self, out: &mut impl Encoder, number: &[u8; SEQUENCE_BYTES]) {
        out.again(self.bytes.clone())[self.number_at..][..SEQUENCE_BYTES].copy_from_slice(number);
    }
}

/// An answer.
pub trait Reply {
    /// Writes the whole answer, a structure.
    fn encode(&self, out: &mut impl Encoder);
}

impl Reply for ApiError {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("__type");
        out.text(self.code.name());
        if let Some(message) = &self.message {
            out.member(self.code.message_member());
            out.text(message);
        }
        out.close_structure();
    }
}

#[cfg(test)]
mod tests {
    use ciborium::Value;
    use weir_core::{id::ShardIndex, sequence::SequenceNumber};

    use crate::kinesis::{
        encoding::Encoding,
        error::ErrorCode,
        get_records::{GetRecordsReply, RecordFacts},
        put_records::{PutRecordsReply, PutRecordsResult},
    };

    use super::*;

    /// The structures of the list `Records` as another parser reads them.
    fn records(encoding: Encoding, reply: &impl Reply) -> Vec<Value> {
        let body = encoding.encode(reply, 0);
        let read: Value = match encoding {
            Encoding::Json => serde_json::from_slice(&body).unwrap(),
            Encoding::Cbor => ciborium::from_reader(&body[..]).unwrap(),
        };
        let members = read.into_map().unwrap();
        let found = members.into_iter().find(|(name, _)| name.as_text() == Some("Records"));
        found.unwrap().1.into_array().unwrap()
    }

    fn number(index: u64) -> SequenceNumber {
        SequenceNumber::of_record(ShardIndex(3), 1_606_300_000, index, 1_606_300_007)
    }

    #[test]
    fn records_of_one_time_and_of_others_are_each_what_they_are_alone() {
        let times = [1_606_300_000_007, 1_606_300_000_007, 42, 42, 10_000_000_000_000, 42];
        let facts: Vec<_> = (0..)
            .zip(times)
            .map(|(index, time)| RecordFacts {
                sequence: number(index),
                arrived: WallMs(time),
                data: &b"data"[..index as usize % 5],
                partition_key: ["", "key"][index as usize % 2].into(),
                encrypted: index > 2,
            })
            .collect();
        let reply = |records: Vec<_>| GetRecordsReply {
            records: records.into_iter(),
            next_shard_iterator: None,
            millis_behind_latest: 0,
            children: Vec::new(),
        };
        for encoding in Encoding::ALL {
            let alone: Vec<_> =
                facts.iter().flat_map(|fact| records(encoding, &reply(vec![*fact]))).collect();
            assert_eq!(records(encoding, &reply(facts.clone())), alone, "{encoding:?}");
        }
    }

    #[test]
    fn results_of_all_shards_and_failed_ones_are_each_what_they_are_alone() {
        let stored = |index: u32| PutRecordsResult::Stored {
            shard: ShardIndex(index % 3),
            sequence: number(u64::from(index)),
        };
        let failed = || PutRecordsResult::Failed(ApiError::new(ErrorCode::InternalFailure, "no"));
        let results = vec![failed(), stored(0), stored(1), failed(), failed(), stored(2), stored(3)];
        let reply = |results| PutRecordsReply { results, encrypted: false };
        for encoding in Encoding::ALL {
            let alone: Vec<_> =
                results.iter().flat_map(|result| records(encoding, &reply(vec![result.clone()]))).collect();
            assert_eq!(records(encoding, &reply(results.clone())), alone, "{encoding:?}");
        }
    }
}
