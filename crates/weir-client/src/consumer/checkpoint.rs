//! How far a consumer got, in a small file that is replaced as a whole.
//!
//! Read once at the start, written at each checkpoint: into a file beside it, synced, then renamed over it, so that a
//! crash leaves the old or the new one. A file of another stream is refused, never overwritten.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Checkpoints could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file.
    #[error("{operation} {}: {source}", .path.display())]
    File {
        /// What was done.
        operation: &'static str,
        /// To which file.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
    /// Its content.
    #[error("{}: {detail}", .path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

/// The last record dealt with, by shard.
#[derive(Debug)]
pub struct Checkpoints {
    path: Option<PathBuf>,
    kept: Kept,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    stream: String,
    shards: BTreeMap<String, String>,
}

impl Checkpoints {
    /// Reads the file if it is there. Without a path, checkpoints are kept in memory.
    pub fn open(path: Option<&Path>, stream: &str) -> Result<Self, CheckpointError> {
        let fresh = Kept { stream: stream.to_owned(), shards: BTreeMap::new() };
        let Some(path) = path else { return Ok(Self { path: None, kept: fresh }) };
        let content = |detail| CheckpointError::Content { path: path.to_owned(), detail };
        let kept = match fs::read(path) {
            Ok(bytes) => {
                let kept: Kept =
                    serde_json::from_slice(&bytes).map_err(|error| content(error.to_string()))?;
                if kept.stream != stream {
                    return Err(content(format!("holds checkpoints of stream {}", kept.stream)));
                }
                kept
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => fresh,
            Err(source) => {
                return Err(CheckpointError::File { operation: "read", path: path.to_owned(), source });
            }
        };
        Ok(Self { path: Some(path.to_owned()), kept })
    }

    /// The last record dealt with.
    pub fn get(&self, shard_id: &str) -> Option<&str> {
        self.kept.shards.get(shard_id).map(String::as_str)
    }

    /// Everything up to this record is dealt with.
    pub fn set(&mut self, shard_id: &str, sequence_number: &str) -> Result<(), CheckpointError> {
        self.kept.shards.insert(shard_id.to_owned(), sequence_number.to_owned());
        let Some(path) = &self.path else { return Ok(()) };
        let bytes = serde_json::to_vec(&self.kept).expect("strings are JSON");
        let beside = path.with_extension("new");
        let failed = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::File { operation, path, source }
        };
        let mut file = File::create(&beside).map_err(failed("create", &beside))?;
        file.write_all(&bytes).map_err(failed("write to", &beside))?;
        file.sync_data().map_err(failed("sync", &beside))?;
        fs::rename(&beside, path).map_err(failed("rename to", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_outlives_its_process_and_belongs_to_one_stream() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints.json");
        let mut checkpoints = Checkpoints::open(Some(&path), "s").unwrap();
        assert_eq!(checkpoints.get("shardId-000000000000"), None);
        checkpoints.set("shardId-000000000000", "41").unwrap();
        checkpoints.set("shardId-000000000000", "42").unwrap();
        drop(checkpoints);
        let again = Checkpoints::open(Some(&path), "s").unwrap();
        assert_eq!(again.get("shardId-000000000000"), Some("42"));
        assert!(Checkpoints::open(Some(&path), "other").is_err());
        fs::write(&path, b"{").unwrap();
        assert!(matches!(Checkpoints::open(Some(&path), "s"), Err(CheckpointError::Content { .. })));
    }
}
