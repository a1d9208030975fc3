//! What can go wrong in the log, and for every write: may it have happened?
//!
//! One enum a verb; [`WriteError`] is what all writes share. A disk's refusal always names file and operation.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use weir_core::{
    durable,
    effect::Effect,
    id::{Epoch, ShardKey},
    sequence::RecordIndex,
};

use crate::disk::PAGE_BYTES;

/// The disk refused.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", .path.display())]
pub struct StorageError {
    /// What was tried.
    pub operation: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    /// What the disk said.
    pub source: io::Error,
}

impl StorageError {
    /// Is there no room, on the disk or of what this process may have of it?
    pub(crate) fn is_no_room(&self) -> bool {
        durable::is_no_room(&self.source)
    }
}

/// A shard whose records from `from` on cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{shard} is damaged from record {from} on: {} at byte {offset}", .path.display())]
pub struct ShardDamaged {
    /// The shard.
    pub shard: ShardKey,
    /// The first record that is not served.
    pub from: RecordIndex,
    /// The file.
    pub path: PathBuf,
    /// Bytes from its start.
    pub offset: u64,
}

/// Why nothing could be written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// The queue to the committer is full.
    #[error("the journal's queue is full with {items} writes of {bytes} bytes")]
    Busy {
        /// Writes that wait.
        items: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// It does not fit into a segment.
    #[error("{bytes} bytes are more than the {bytes_max} that a segment takes")]
    TooLarge {
        /// Bytes of the write.
        bytes: usize,
        /// Bytes that would fit.
        bytes_max: usize,
    },
    /// No room for the next segment. Writes go on when there is some again.
    #[error("the disk has no room for the next segment: {0}")]
    NoRoom(Arc<StorageError>),
    /// The next segment could not be laid out for another reason. It is tried again at the next need.
    #[error("there is no next segment: {0}")]
    NoSegment(Arc<StorageError>),
    /// It was written but not safely.
    #[error(transparent)]
    Storage(Arc<StorageError>),
    /// An earlier write or sync failed: nothing more is written to this journal.
    #[error("the journal takes no more writes since: {0}")]
    Stopped(Arc<StorageError>),
    /// The journal is closing.
    #[error("the journal is closed")]
    Closed,
    /// The committer ended without an answer.
    #[error("the journal's committer ended before it answered")]
    OwnerGone,
}

impl WriteError {
    /// Why there is no next segment.
    pub(crate) fn no_segment(error: StorageError) -> Self {
        if error.is_no_room() { Self::NoRoom(Arc::new(error)) } else { Self::NoSegment(Arc::new(error)) }
    }

    /// Could the write be in the log although the caller saw an error?
    pub fn effect(&self) -> Effect {
        match self {
            Self::Busy { .. }
            | Self::TooLarge { .. }
            | Self::NoRoom(_)
            | Self::NoSegment(_)
            | Self::Stopped(_)
            | Self::Closed => Effect::None,
            Self::Storage(_) | Self::OwnerGone => Effect::Unknown,
        }
    }
}

/// Why a batch was not appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The journal does not hold the shard.
    #[error("{shard} is not open here")]
    NoShard {
        /// The shard.
        shard: ShardKey,
    },
    /// The shard takes no more records.
    #[error("{shard} was closed before record {end}")]
    Closed {
        /// The shard.
        shard: ShardKey,
        /// The record after its last.
        end: RecordIndex,
    },
    /// Records after a damaged place would hide the hole.
    #[error(transparent)]
    Damaged(ShardDamaged),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl AppendError {
    /// Could the records be in the log although the caller saw an error?
    pub fn effect(&self) -> Effect {
        match self {
            Self::NoShard { .. } | Self::Closed { .. } | Self::Damaged(_) => Effect::None,
            Self::Write(error) => error.effect(),
        }
    }
}

/// Why a shard was not opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenShardError {
    /// It is open here under a later epoch.
    #[error("{shard} is open under epoch {open}, {asked} is over")]
    StaleEpoch {
        /// The shard.
        shard: ShardKey,
        /// The epoch that was asked for.
        asked: Epoch,
        /// The epoch under which it is open.
        open: Epoch,
    },
    /// What all shards say of themselves must fit into a quarter of a segment.
    #[error("the journal holds {shards} shards and can hold no more")]
    TooMany {
        /// Shards that are open.
        shards: usize,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl OpenShardError {
    /// Could the shard be open although the caller saw an error?
    pub fn effect(&self) -> Effect {
        match self {
            Self::StaleEpoch { .. } | Self::TooMany { .. } => Effect::None,
            Self::Write(error) => error.effect(),
        }
    }
}

/// Why a shard was not closed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CloseShardError {
    /// The journal does not hold the shard.
    #[error("{shard} is not open here")]
    NoShard {
        /// The shard.
        shard: ShardKey,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl CloseShardError {
    /// Could the shard be closed although the caller saw an error?
    pub fn effect(&self) -> Effect {
        match self {
            Self::NoShard { .. } => Effect::None,
            Self::Write(error) => error.effect(),
        }
    }
}

/// Why a shard was not deleted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeleteShardError {
    /// The journal does not hold the shard.
    #[error("{shard} is not open here")]
    NoShard {
        /// The shard.
        shard: ShardKey,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl DeleteShardError {
    /// Could the shard be gone although the caller saw an error?
    pub fn effect(&self) -> Effect {
        match self {
            Self::NoShard { .. } => Effect::None,
            Self::Write(error) => error.effect(),
        }
    }
}

/// Why nothing was read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The journal does not hold the shard.
    #[error("{shard} is not open here")]
    NoShard {
        /// The shard.
        shard: ShardKey,
    },
    /// There is no such record yet.
    #[error("{shard} ends before record {tip}, {from} was asked for")]
    BeyondTip {
        /// The shard.
        shard: ShardKey,
        /// The record asked for.
        from: RecordIndex,
        /// The record that will be next.
        tip: RecordIndex,
        /// There will be none: the shard is closed.
        closed: bool,
    },
    /// The records are there but cannot be trusted.
    #[error(transparent)]
    Damaged(ShardDamaged),
    /// The disk refused.
    #[error(transparent)]
    Storage(Arc<StorageError>),
}

/// Why a journal did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration makes no sense.
    #[error("{0}")]
    Config(&'static str),
    /// Another process has the folder open.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The only segment's head is unreadable in both copies, so that no frame in it can be proven.
    #[error("{} has no readable segment head, and there is no other segment that has: put the file back", .0.display())]
    NoHead(PathBuf),
    /// The newest segment is shorter than it was laid out: whatever was acknowledged behind the cut is gone, and the
    /// numbers of those records would be given out a second time.
    #[error(
        "{path} has {found} bytes, it was laid out with {expected}: put the whole file back; or, to go on without what is \
         gone, make it as long again: fallocate -l {expected} {path}",
        path = for_shell(.path)
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that it had.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The newest segment is one that was rewritten, which is done to older ones only: what came after it is gone, and the
    /// numbers of its records would be given out a second time.
    #[error("{} was rewritten when there were segments after it, and they are gone: put them back", .0.display())]
    NoTail(PathBuf),
    /// The oldest segment kept does not begin with a readable snapshot, and no footer stands in for it: which shards
    /// there were is not known. Or the newest has nothing that reads, not even that.
    #[error(
        "{} does not begin with a readable snapshot of its shards: put back what was there; `weir log verify` tells what \
         reads",
        .0.display()
    )]
    NoSnapshot(PathBuf),
    /// The disk does not give what is written there, and records may be in it: they may read again another day, and would be
    /// given up today.
    #[error("{}", unreadable(.path, *.offset, *.bytes, .source, *.can_be_given_up))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Bytes from its start.
        offset: u64,
        /// How many do not read.
        bytes: u64,
        /// What the disk said.
        source: io::Error,
        /// Zeros in its place would let the journal open, without what it held.
        can_be_given_up: bool,
    },
    /// The disk refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The disk refused the first segment.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The kernel refused a thread.
    #[error(transparent)]
    Thread(#[from] weir_core::threads::SpawnRefused),
}

/// What does not read, and how to go on.
fn unreadable(path: &Path, offset: u64, bytes: u64, source: &io::Error, can_be_given_up: bool) -> String {
    let told = format!(
        "read {} at byte {offset}, {bytes} bytes: {source}: try again, or put back what was there (`weir log verify` lists what else \
         does not read)",
        path.display()
    );
    if !can_be_given_up {
        return told;
    }
    let (path, page) = (for_shell(path), offset / PAGE_BYTES);
    let pages = (offset + bytes).div_ceil(PAGE_BYTES) - page;
    let conv = "notrunc,nocreat,fsync";
    format!(
        "{told}; or go on without it, for good: dd if=/dev/zero of={path} bs={PAGE_BYTES} seek={page} count={pages} conv={conv}"
    )
}

/// A path as a shell takes it.
fn for_shell(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&byte);
    if path.bytes().all(is_plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_write_that_reached_the_file_may_have_happened() {
        let storage = || {
            let source = io::Error::from_raw_os_error(5);
            Arc::new(StorageError { operation: "sync", path: "segment".into(), source })
        };
        assert_eq!(AppendError::Write(WriteError::Storage(storage())).effect(), Effect::Unknown);
        assert_eq!(AppendError::Write(WriteError::OwnerGone).effect(), Effect::Unknown);
        assert_eq!(AppendError::Write(WriteError::Stopped(storage())).effect(), Effect::None);
        assert_eq!(AppendError::Write(WriteError::NoRoom(storage())).effect(), Effect::None);
    }

    #[test]
    fn what_goes_into_a_command_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(for_shell(Path::new("/data/segment-1.log")), "/data/segment-1.log");
        assert_eq!(for_shell(Path::new("/my data/it's")), r"'/my data/it'\''s'");
    }

    #[test]
    fn what_does_not_read_comes_with_a_command_only_where_that_helps() {
        let told = |can_be_given_up| {
            let (path, source) = (PathBuf::from("a b/segment"), io::Error::from_raw_os_error(5));
            OpenError::Unreadable { path, offset: 8_000, bytes: 300, source, can_be_given_up }.to_string()
        };
        assert!(told(false).starts_with("read a b/segment at byte 8000, 300 bytes: Input/output error"));
        assert!(!told(false).contains("dd "));
        let command = "dd if=/dev/zero of='a b/segment' bs=4096 seek=1 count=2 conv=notrunc,nocreat,fsync";
        assert!(told(true).ends_with(command), "{}", told(true));
    }

    #[test]
    fn a_storage_error_names_operation_and_file() {
        let source = io::Error::from_raw_os_error(28);
        let error = StorageError { operation: "lay out", path: "/data/spare-1.log".into(), source };
        let text = error.to_string();
        assert!(text.starts_with("lay out /data/spare-1.log: No space left"), "{text}");
    }
}
