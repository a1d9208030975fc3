//! Questions from a front end to a node.
//!
//! Encoded by the front end's forwarder, decoded by the node's server. A malformed one closes nothing: the node
//! answers [`super::CellError::Malformed`] to its id.

use bytes::Bytes;
use weir_core::{batch::Batch, clock::WallMs, id::ShardKey, sequence::RecordIndex};

use crate::{
    codec::{DecodeError, Reader, Writer},
    framing::Frame,
};

/// Frame kinds of questions. On the wire, never renumber.
const KIND_APPEND: u16 = 0x0101;
const KIND_READ: u16 = 0x0102;
const KIND_POSITION: u16 = 0x0103;
const KIND_AWAIT: u16 = 0x0104;

/// Records for one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardAppend {
    /// Where they go.
    pub key: ShardKey,
    /// The records, laid out.
    pub batch: Batch,
}

/// A place in a shard that only the node can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The oldest record kept.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// The first record that arrived at or after this time.
    AtTimestamp(WallMs),
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellRequest {
    /// Append to some shards of this node: one frame for all of a `PutRecords` that lands here.
    Append(Vec<ShardAppend>),
    /// Read from one shard.
    Read {
        /// The shard.
        key: ShardKey,
        /// The first record wanted.
        from: RecordIndex,
        /// Records at most.
        records_max: u32,
        /// Bytes at most, but always one batch if there is one.
        bytes_max: u32,
    },
    /// Where is this place?
    Position {
        /// The shard.
        key: ShardKey,
        /// The place.
        at: Position,
    },
    /// Answered as soon as the shard has a durable record at `record` or later, or after `wait_ms`, whichever is first.
    Await {
        /// The shard.
        key: ShardKey,
        /// The first record that is not known yet.
        record: RecordIndex,
        /// Milliseconds to wait at most; a node waits [`weir_core::limits::NODE_AWAIT_MAX`] at most, whatever is asked.
        wait_ms: u32,
    },
}

impl CellRequest {
    /// The question as a frame with `id`.
    pub fn into_frame(self, id: u64) -> Frame {
        let mut meta = Writer::new();
        match self {
            Self::Append(appends) => {
                meta.u32(u32::try_from(appends.len()).expect("at most 500 records"));
                let mut blobs = Vec::with_capacity(appends.len());
                for append in appends {
                    meta.shard_key(append.key).u32(append.batch.count()).u32(append.batch.crc());
                    blobs.push(append.batch.body().clone());
                }
                Frame { kind: KIND_APPEND, id, meta: meta.finish(), blobs }
            }
            Self::Read { key, from, records_max, bytes_max } => {
                meta.shard_key(key).u64(from).u32(records_max).u32(bytes_max);
                Frame::new(KIND_READ, id, meta.finish())
            }
            Self::Position { key, at } => {
                meta.shard_key(key);
                match at {
                    Position::TrimHorizon => meta.u8(0).u64(0),
                    Position::Latest => meta.u8(1).u64(0),
                    Position::AtTimestamp(time) => meta.u8(2).u64(time.0),
                };
                Frame::new(KIND_POSITION, id, meta.finish())
            }
            Self::Await { key, record, wait_ms } => {
                meta.shard_key(key).u64(record).u32(wait_ms);
                Frame::new(KIND_AWAIT, id, meta.finish())
            }
        }
    }

    /// Reads a question; checks every batch.
    pub fn from_frame(frame: Frame) -> Result<Self, DecodeError> {
        let mut input = Reader::new(&frame.meta);
        let request = match frame.kind {
            KIND_APPEND => {
                let count = input.count("appends")?;
                if count != frame.blobs.len() {
                    return Err(DecodeError { what: "number of batches" });
                }
                let appends = frame.blobs.iter().map(|body| read_append(&mut input, body)).collect::<Result<
                    _,
                    DecodeError,
                >>(
                )?;
                Self::Append(appends)
            }
            KIND_READ => Self::Read {
                key: input.shard_key("shard")?,
                from: input.u64("from")?,
                records_max: input.u32("records")?,
                bytes_max: input.u32("bytes")?,
            },
            KIND_POSITION => {
                let key = input.shard_key("shard")?;
                let (tag, time) = (input.u8("position")?, input.u64("time")?);
                let at = match tag {
                    0 => Position::TrimHorizon,
                    1 => Position::Latest,
                    2 => Position::AtTimestamp(WallMs(time)),
                    _ => return Err(DecodeError { what: "position" }),
                };
                Self::Position { key, at }
            }
            KIND_AWAIT => Self::Await {
                key: input.shard_key("shard")?,
                record: input.u64("record")?,
                wait_ms: input.u32("wait")?,
            },
            _ => return Err(DecodeError { what: "kind" }),
        };
        input.finish()?;
        Ok(request)
    }
}

fn read_append(input: &mut Reader<'_>, body: &Bytes) -> Result<ShardAppend, DecodeError> {
    let key = input.shard_key("shard")?;
    let (count, crc) = (input.u32("records")?, input.u32("checksum")?);
    let batch = Batch::from_parts(count, crc, body.clone()).map_err(|_| DecodeError { what: "batch" })?;
    Ok(ShardAppend { key, batch })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_core::{
        batch::{BatchBuilder, Record},
        id::{ShardIndex, StreamId},
    };

    use super::*;

    fn key(n: u32) -> ShardKey {
        ShardKey { stream: StreamId(77), shard: ShardIndex(n) }
    }

    fn append(n: u32) -> ShardAppend {
        let mut builder = BatchBuilder::default();
        builder.push(&Record { partition_key: "k".into(), explicit_hash_key: None, data: b"data" });
        ShardAppend { key: key(n), batch: builder.finish() }
    }

    fn questions() -> Vec<CellRequest> {
        vec![
            CellRequest::Append(vec![append(0), append(5)]),
            CellRequest::Read { key: key(1), from: 9, records_max: 100, bytes_max: 1 << 20 },
            CellRequest::Position { key: key(2), at: Position::TrimHorizon },
            CellRequest::Position { key: key(2), at: Position::Latest },
            CellRequest::Position { key: key(2), at: Position::AtTimestamp(WallMs(12_345)) },
            CellRequest::Await { key: key(3), record: u64::MAX, wait_ms: 5_000 },
        ]
    }

    #[test]
    fn questions_read_back_and_refuse_every_cut() {
        for question in questions() {
            let frame = question.clone().into_frame(4);
            assert_eq!(CellRequest::from_frame(frame.clone()), Ok(question));
            for cut in 0..frame.meta.len() {
                let mut short = frame.clone();
                short.meta.truncate(cut);
                assert!(CellRequest::from_frame(short).is_err());
            }
        }
    }

    #[test]
    fn a_batch_with_a_flipped_bit_is_refused() {
        let mut frame = CellRequest::Append(vec![append(0)]).into_frame(1);
        let mut body = frame.blobs[0].to_vec();
        body[9] ^= 1;
        frame.blobs[0] = Bytes::from(body);
        assert_eq!(CellRequest::from_frame(frame), Err(DecodeError { what: "batch" }));
    }

    proptest! {
        #[test]
        fn arbitrary_frames_never_panic(kind in 0x0100..0x0106u16, meta: Vec<u8>, blobs: Vec<Vec<u8>>) {
            let blobs = blobs.into_iter().map(Bytes::from).collect();
            let _ = CellRequest::from_frame(Frame { kind, id: 0, meta: Bytes::from(meta), blobs });
        }
    }
}
