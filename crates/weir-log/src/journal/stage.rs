//! One write on its way: as it waits, and as it lies in the group that is being written.
//!
//! Plain data with an answer attached. The committer turns the first form into the second.

use std::sync::Arc;

use bytes::Bytes;
use weir_core::{
    batch::Batch,
    id::ShardKey,
    shard::{ClosedShard, OwnedShard},
};

use super::{AppendOutcome, Shared, done::Done, retain::RetainOutcome};
use crate::{
    error::{AppendError, CloseShardError, DeleteShardError, OpenShardError, WriteError},
    frame::FRAME_HEADER_BYTES,
    segment::{LogPlace, SegmentSequence},
    shard::{Numbered, Shard},
};

/// A batch for a shard, on its way into a journal.
#[derive(Debug)]
pub struct Append {
    shard: ShardKey,
    batch: Batch,
    done: Done<AppendOutcome, AppendError>,
}

impl Append {
    /// Of `batch` to `shard`. `on_done` is called once, when it is durable or refused, by whoever appends it or on the
    /// committer's thread: it must be quick. When it hears `Ok`, the batch is as durable as configured and visible to
    /// readers.
    pub fn new(
        shard: ShardKey,
        batch: Batch,
        on_done: impl FnOnce(Result<AppendOutcome, AppendError>) + Send + 'static,
    ) -> Self {
        Self { shard, batch, done: Done::new(on_done) }
    }

    /// Bytes that it takes in a segment.
    pub(super) fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.batch.body().len()
    }

    /// As the committer takes it; `None` when it is refused already, and its caller told.
    pub(super) fn into_write(self, shared: &Shared) -> Option<Write> {
        let Self { shard, batch, done } = self;
        let (bytes, bytes_max) = (batch.body().len(), shared.body_bytes_max);
        if bytes > bytes_max {
            done.fail(WriteError::TooLarge { bytes, bytes_max }.into());
            return None;
        }
        match shared.shard(shard) {
            Some(shard) => Some(Write::Append { shard, batch, done }),
            None => {
                done.fail(AppendError::NoShard { shard });
                None
            }
        }
    }
}

/// A write that waits for the committer.
#[derive(Debug)]
pub(super) enum Write {
    Append { shard: Arc<Shard>, batch: Batch, done: Done<AppendOutcome, AppendError> },
    Open { owned: OwnedShard, done: Done<(), OpenShardError> },
    Close { key: ShardKey, done: Done<ClosedShard, CloseShardError> },
    Delete { key: ShardKey, done: Done<(), DeleteShardError> },
    Retain { first: SegmentSequence, done: Done<RetainOutcome, WriteError> },
}

/// A frame of the group that is being written.
#[derive(Debug)]
pub(super) struct StagedFrame {
    pub(super) offset: u32,
    pub(super) header: [u8; FRAME_HEADER_BYTES],
    pub(super) body: Bytes,
    pub(super) then: Then,
}

/// What becomes visible when the frame is durable.
#[derive(Debug)]
pub(super) enum Then {
    Appended { shard: Arc<Shard>, batch: Batch, numbered: Numbered, done: Done<AppendOutcome, AppendError> },
    Opened { owned: OwnedShard, opened: LogPlace, done: Done<(), OpenShardError> },
    Closed { key: ShardKey, closed: ClosedShard, done: Done<ClosedShard, CloseShardError> },
    Deleted { key: ShardKey, done: Done<(), DeleteShardError> },
    Retained { first: SegmentSequence, done: Done<RetainOutcome, WriteError> },
}

impl Write {
    /// Answers that it was not written.
    pub(super) fn fail(self, error: WriteError) {
        match self {
            Self::Append { done, .. } => done.fail(error.into()),
            Self::Open { done, .. } => done.fail(error.into()),
            Self::Close { done, .. } => done.fail(error.into()),
            Self::Delete { done, .. } => done.fail(error.into()),
            Self::Retain { done, .. } => done.fail(error),
        }
    }
}

impl Then {
    /// Answers that it is not safely written.
    pub(super) fn fail(self, error: WriteError) {
        match self {
            Self::Appended { done, .. } => done.fail(error.into()),
            Self::Opened { done, .. } => done.fail(error.into()),
            Self::Closed { done, .. } => done.fail(error.into()),
            Self::Deleted { done, .. } => done.fail(error.into()),
            Self::Retained { done, .. } => done.fail(error),
        }
    }
}
