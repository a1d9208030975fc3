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

use super::{AppendOutcome, done::Done, retain::RetainOutcome};
use crate::{
    error::{AppendError, CloseShardError, DeleteShardError, OpenShardError, WriteError},
    frame::FRAME_HEADER_BYTES,
    segment::{LogPlace, SegmentSequence},
    shard::{Numbered, Shard},
};

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
