//! Where the control plane's state is kept between two lives: a trait, a file, or nowhere.
//!
//! `embedded.rs` saves after each change and before it answers. A store keeps the whole state; it must never keep
//! half of one.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::state::State;

/// Keeps a state.
pub trait Store: Send {
    /// What was saved last; `None` the first time.
    fn load(&self) -> Result<Option<State>, StoreError>;
    /// Keeps `state` in place of the one before. Durable when it returns.
    fn save(&mut self, state: &State) -> Result<(), StoreError>;
}

/// The store failed; what was saved before is still there.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file.
    #[error("{operation} {}: {source}", .path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is no state.
    #[error("{} is no state of a control plane: {source}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Keeps nothing: for a fleet that dies with its control plane.
#[derive(Debug, Default)]
pub struct NoStore;

impl Store for NoStore {
    fn load(&self) -> Result<Option<State>, StoreError> {
        Ok(None)
    }

    fn save(&mut self, _state: &State) -> Result<(), StoreError> {
        Ok(())
    }
}

/// One JSON file, replaced whole: written beside, synced, renamed, and the folder synced.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
}

impl FileStore {
    /// The state's file.
    pub const FILE: &'static str = "control.json";

    /// Keeps the state in `folder`, which is made if it is not there.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(at("create", &folder))?;
        Ok(Self { folder })
    }
}

impl Store for FileStore {
    fn load(&self) -> Result<Option<State>, StoreError> {
        let path = self.folder.join(Self::FILE);
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(state) => Ok(Some(state)),
                Err(source) => Err(StoreError::Malformed { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File { operation: "read", path, source }),
        }
    }

    fn save(&mut self, state: &State) -> Result<(), StoreError> {
        let path = self.folder.join(Self::FILE);
        let beside = self.folder.join("control.json.new");
        let bytes = serde_json::to_vec(state).expect("a state is plain data");
        let mut file = File::create(&beside).map_err(at("create", &beside))?;
        file.write_all(&bytes).map_err(at("write", &beside))?;
        file.sync_all().map_err(at("sync", &beside))?;
        fs::rename(&beside, &path).map_err(at("rename to", &path))?;
        let folder = File::open(&self.folder).map_err(at("open", &self.folder))?;
        folder.sync_all().map_err(at("sync", &self.folder))
    }
}

fn at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::File { operation, path, source }
}

#[cfg(test)]
mod tests {
    use weir_wire::control::SharedConfig;

    use super::*;
    use crate::config::embedded;

    fn state() -> State {
        let shared = SharedConfig {
            iterator_secret: "00".repeat(32),
            credentials: Vec::new(),
            shard_limits: false,
            region: "us-east-1".to_owned(),
        };
        State::new(embedded(shared, Vec::new()))
    }

    #[test]
    fn a_saved_state_is_loaded_and_a_half_written_one_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(folder.path()).unwrap();
        assert!(store.load().unwrap().is_none());
        store.save(&state()).unwrap();
        // A crash between writing and renaming leaves this behind.
        fs::write(folder.path().join("control.json.new"), b"{\"versi").unwrap();
        assert_eq!(store.load().unwrap(), Some(state()));
    }

    #[test]
    fn a_file_that_is_no_state_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FileStore::FILE), b"{}").unwrap();
        let error = FileStore::open(folder.path()).unwrap().load().unwrap_err().to_string();
        assert!(error.contains(FileStore::FILE), "{error}");
    }
}
