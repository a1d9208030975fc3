//! Which shards of a node's journal its control plane never gave out: a line each in a file beside the journal.
//!
//! `assignments.rs` writes it when that changes, a start reads it. A control plane that has forgotten a stream gives its
//! number out again, and from then on cannot be told from one that has deleted it: a shard that was foreign once must
//! never look like one of a deleted stream, in any later life of the node.

use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
};

use weir_core::{
    durable::{self, FileError},
    id::{ShardIndex, ShardKey, StreamId},
};

use crate::cluster::MODE;

/// The file. Each line is the number of a stream, a space, and that of a shard; none without a foreign shard.
const FILE: &str = "foreign";

/// Why a node does not know which of its shards are foreign.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// The file says something else.
    #[error("{} does not hold a stream's and a shard's number a line", .0.display())]
    Malformed(PathBuf),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What was noted last in `folder`.
pub(crate) fn read(folder: &Path) -> Result<BTreeSet<ShardKey>, ForeignError> {
    let path = folder.join(FILE);
    let Some(text) = durable::read(&path)? else { return Ok(BTreeSet::new()) };
    text.lines().map(key).collect::<Option<_>>().ok_or(ForeignError::Malformed(path))
}

/// Notes `keys` in the place of those noted before, durably.
pub(crate) fn write(folder: &Path, keys: impl Iterator<Item = ShardKey>) -> Result<(), FileError> {
    let mut text = String::new();
    for ShardKey { stream, shard } in keys {
        writeln!(text, "{stream} {}", shard.0).expect("a string takes everything");
    }
    durable::replace(&folder.join(FILE), text.as_bytes(), MODE)
}

fn key(line: &str) -> Option<ShardKey> {
    let (stream, shard) = line.split_once(' ')?;
    Some(ShardKey { stream: StreamId(stream.parse().ok()?), shard: ShardIndex(shard.parse().ok()?) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_noted_is_read_until_something_else_is() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), BTreeSet::new());
        let keys = [(1, 0), (1, u32::MAX), (u64::MAX, 7)];
        let keys =
            keys.map(|(stream, shard)| ShardKey { stream: StreamId(stream), shard: ShardIndex(shard) });
        for noted in [&keys[..], &keys[1..2], &[]] {
            write(folder.path(), noted.iter().copied()).unwrap();
            assert!(read(folder.path()).unwrap().iter().eq(noted));
        }
    }

    #[test]
    fn a_file_that_holds_something_else_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["1", "1 0\n\n", "1 shard\n", "-1 0\n"] {
            fs::write(folder.path().join(FILE), text).unwrap();
            assert!(matches!(read(folder.path()), Err(ForeignError::Malformed(_))), "{text:?}");
        }
    }
}
