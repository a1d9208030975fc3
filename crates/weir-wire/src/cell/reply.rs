//! Answers from a node to a front end.
//!
//! Encoded by the node's server, decoded by the front end's forwarder. Every failed append says whether it may have
//! happened.

use bytes::Bytes;
use weir_core::{
    batch::{Batch, StoredBatch},
    clock::WallMs,
    effect::Effect,
    sequence::RecordIndex,
};

use crate::{
    codec::{DecodeError, Reader, Writer},
    framing::Frame,
};

/// Frame kinds of answers. On the wire, never renumber.
const KIND_APPENDED: u16 = 0x0181;
const KIND_READ: u16 = 0x0182;
const KIND_POSITION: u16 = 0x0183;
const KIND_FAILED: u16 = 0x0184;
const KIND_TIP: u16 = 0x0185;

/// Why a node did not do what it was asked. The numbers are on the wire, never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CellError {
    /// The node does not own the shard (any more, or yet).
    #[error("the node does not own the shard")]
    NotOwner,
    /// The queue to the log is full.
    #[error("the node is busy")]
    Busy,
    /// The write or its sync failed: it may be in the log.
    #[error("the node's storage failed")]
    Storage,
    /// The log is no longer safe to write to, or the shard is damaged.
    #[error("the node's log is unavailable")]
    LogUnavailable,
    /// The question did not decode.
    #[error("the node could not read the question")]
    Malformed,
    /// The node is shutting down.
    #[error("the node is stopping")]
    Stopping,
    /// The shard takes no more records: it was split or merged, and its children take them.
    #[error("the shard is closed")]
    Closed,
    /// The disk has no room. Nothing was written, and writes go on when there is some again.
    #[error("the node's disk is full")]
    Full,
}

impl CellError {
    /// May the write have happened?
    pub fn effect(self) -> Effect {
        match self {
            Self::Storage => Effect::Unknown,
            Self::NotOwner
            | Self::Busy
            | Self::LogUnavailable
            | Self::Malformed
            | Self::Stopping
            | Self::Closed
            | Self::Full => Effect::None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::NotOwner => 1,
            Self::Busy => 2,
            Self::Storage => 3,
            Self::LogUnavailable => 4,
            Self::Malformed => 5,
            Self::Stopping => 6,
            Self::Closed => 7,
            Self::Full => 8,
        }
    }

    fn from_code(code: u8) -> Result<Self, DecodeError> {
        Ok(match code {
            1 => Self::NotOwner,
            2 => Self::Busy,
            3 => Self::Storage,
            4 => Self::LogUnavailable,
            5 => Self::Malformed,
            6 => Self::Stopping,
            7 => Self::Closed,
            8 => Self::Full,
            _ => return Err(DecodeError { what: "error code" }),
        })
    }
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendReply {
    /// The index of its first record.
    pub first: RecordIndex,
    /// Its arrival time.
    pub arrived: WallMs,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadReply {
    /// Whole batches, in order. The first may begin before the record asked for: the front end skips.
    pub batches: Vec<StoredBatch>,
    /// Where to read next if nothing of `batches` is used: the question's `from`, or later where records were trimmed.
    pub from: RecordIndex,
    /// The index after the newest durable record.
    pub tip: RecordIndex,
    /// When the newest durable record arrived; zero when the shard is empty.
    pub tip_arrived: WallMs,
    /// The shard is closed: there will never be a record at [`Self::tip`].
    pub closed: bool,
}

/// Where a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionReply {
    /// The first record at or after it.
    pub record: RecordIndex,
}

/// Where a shard ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TipReply {
    /// The index after the newest durable record.
    pub tip: RecordIndex,
    /// When the newest durable record arrived; zero when the shard is empty.
    pub tip_arrived: WallMs,
    /// The shard is closed: there will never be a record at [`Self::tip`].
    pub closed: bool,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellReply {
    /// One result for each batch of the question, in its order.
    Append(Vec<Result<AppendReply, CellError>>),
    /// What was read.
    Read(ReadReply),
    /// Where it is.
    Position(PositionReply),
    /// Where the shard ends, to `Await`.
    Tip(TipReply),
    /// The question as a whole failed.
    Failed(CellError),
}

impl CellReply {
    /// The answer to the question with `id`, as a frame.
    pub fn into_frame(self, id: u64) -> Frame {
        let mut meta = Writer::new();
        match self {
            Self::Append(results) => {
                meta.u32(u32::try_from(results.len()).expect("at most 500 records"));
                for result in results {
                    match result {
                        Ok(done) => meta.u8(0).u64(done.first).u64(done.arrived.0),
                        Err(error) => meta.u8(error.code()),
                    };
                }
                Frame::new(KIND_APPENDED, id, meta.finish())
            }
            Self::Read(read) => {
                meta.u64(read.from).u64(read.tip).u64(read.tip_arrived.0).u8(u8::from(read.closed));
                meta.u32(u32::try_from(read.batches.len()).expect("reads are bounded"));
                let mut blobs = Vec::with_capacity(read.batches.len());
                for stored in read.batches {
                    meta.u64(stored.first).u64(stored.arrived.0);
                    meta.u32(stored.batch.count()).u32(stored.batch.crc());
                    blobs.push(stored.batch.body().clone());
                }
                Frame { kind: KIND_READ, id, meta: meta.finish(), blobs }
            }
            Self::Position(position) => {
                meta.u64(position.record);
                Frame::new(KIND_POSITION, id, meta.finish())
            }
            Self::Tip(end) => {
                meta.u64(end.tip).u64(end.tip_arrived.0).u8(end.closed.into());
                Frame::new(KIND_TIP, id, meta.finish())
            }
            Self::Failed(error) => {
                meta.u8(error.code());
                Frame::new(KIND_FAILED, id, meta.finish())
            }
        }
    }

    /// Reads an answer; checks every batch.
    pub fn from_frame(frame: Frame) -> Result<Self, DecodeError> {
        let mut input = Reader::new(&frame.meta);
        let reply = match frame.kind {
            KIND_APPENDED => {
                let count = input.count("results")?;
                Self::Append((0..count).map(|_| read_result(&mut input)).collect::<Result<_, _>>()?)
            }
            KIND_READ => {
                let (from, tip) = (input.u64("from")?, input.u64("tip")?);
                let tip_arrived = WallMs(input.u64("tip time")?);
                let closed = read_closed(&mut input)?;
                let count = input.count("batches")?;
                if count != frame.blobs.len() {
                    return Err(DecodeError { what: "number of batches" });
                }
                let batches = frame.blobs.iter().map(|body| read_batch(&mut input, body)).collect::<Result<
                    _,
                    DecodeError,
                >>(
                )?;
                Self::Read(ReadReply { batches, from, tip, tip_arrived, closed })
            }
            KIND_POSITION => Self::Position(PositionReply { record: input.u64("record")? }),
            KIND_TIP => {
                let (tip, tip_arrived) = (input.u64("tip")?, WallMs(input.u64("tip time")?));
                Self::Tip(TipReply { tip, tip_arrived, closed: read_closed(&mut input)? })
            }
            KIND_FAILED => Self::Failed(CellError::from_code(input.u8("error")?)?),
            _ => return Err(DecodeError { what: "kind" }),
        };
        input.finish()?;
        Ok(reply)
    }
}

fn read_closed(input: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match input.u8("closed")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError { what: "closed" }),
    }
}

fn read_result(input: &mut Reader<'_>) -> Result<Result<AppendReply, CellError>, DecodeError> {
    Ok(match input.u8("result")? {
        0 => Ok(AppendReply { first: input.u64("first")?, arrived: WallMs(input.u64("arrived")?) }),
        code => Err(CellError::from_code(code)?),
    })
}

fn read_batch(input: &mut Reader<'_>, body: &Bytes) -> Result<StoredBatch, DecodeError> {
    let (first, arrived) = (input.u64("first")?, WallMs(input.u64("arrived")?));
    let (count, crc) = (input.u32("records")?, input.u32("checksum")?);
    let batch = Batch::from_parts(count, crc, body.clone()).map_err(|_| DecodeError { what: "batch" })?;
    Ok(StoredBatch { first, arrived, batch })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_core::batch::{BatchBuilder, Record};

    use super::*;

    fn answers() -> Vec<CellReply> {
        let mut builder = BatchBuilder::default();
        builder.push(&Record { partition_key: "k".into(), explicit_hash_key: None, data: b"data" });
        let stored = StoredBatch { first: 3, arrived: WallMs(1_000), batch: builder.finish() };
        let done = AppendReply { first: 9, arrived: WallMs(77) };
        vec![
            CellReply::Append(vec![Ok(done), Err(CellError::Busy), Err(CellError::Storage)]),
            CellReply::Read(ReadReply {
                batches: vec![stored],
                from: 3,
                tip: 4,
                tip_arrived: WallMs(1_000),
                closed: true,
            }),
            CellReply::Position(PositionReply { record: 12 }),
            CellReply::Tip(TipReply { tip: 12, tip_arrived: WallMs(1_000), closed: true }),
            CellReply::Failed(CellError::NotOwner),
        ]
    }

    #[test]
    fn answers_read_back_and_refuse_every_cut() {
        for answer in answers() {
            let frame = answer.clone().into_frame(4);
            assert_eq!(CellReply::from_frame(frame.clone()), Ok(answer));
            for cut in 0..frame.meta.len() {
                let mut short = frame.clone();
                short.meta.truncate(cut);
                assert!(CellReply::from_frame(short).is_err());
            }
        }
    }

    #[test]
    fn every_error_code_reads_back_as_itself() {
        for code in 1..=8 {
            assert_eq!(CellError::from_code(code).unwrap().code(), code);
        }
        assert!(CellError::from_code(9).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_frames_never_panic(kind in 0x0180..0x0187u16, meta: Vec<u8>, blobs: Vec<Vec<u8>>) {
            let blobs = blobs.into_iter().map(Bytes::from).collect();
            let _ = CellReply::from_frame(Frame { kind, id: 0, meta: Bytes::from(meta), blobs });
        }
    }
}
