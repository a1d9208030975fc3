//! Where the control plane's state is kept between two lives: a trait, a file, or nowhere.
//!
//! `embedded.rs` saves after each change and before it answers. A store keeps the whole state; it must never keep
//! half of one, and never that of two processes.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
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
    /// Another process has the folder open.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
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

/// One JSON file, replaced whole: written beside, synced, renamed, and the folder synced. Only its owner may read it:
/// the secret that signs shard iterators is in it.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    /// Held while the store lives.
    _lock: File,
}

impl FileStore {
    /// The state's file.
    pub const FILE: &'static str = "control.json";
    /// A state that is being written; left behind only by a crash.
    const BESIDE: &'static str = "control.json.new";
    /// The file whose lock says that a control plane has the folder. Its content means nothing.
    const LOCK: &'static str = "control.lock";
    /// Read and write for the owner, nothing for anybody else.
    const MODE: u32 = 0o600;

    /// Keeps the state in `folder`, which is made if it is not there and belongs to this store while it lives.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = folder.into();
        create_folder(&folder)?;
        let lock = folder.join(Self::LOCK);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        let file = file.map_err(at("open", &lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(folder)),
            Err(TryLockError::Error(source)) => return Err(at("lock", &lock)(source)),
        }
        Ok(Self { folder, _lock: file })
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
        let beside = self.folder.join(Self::BESIDE);
        let bytes = serde_json::to_vec(state).expect("a state is plain data");
        // What a crash left behind may have been made under another mode.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at("remove", &beside)(error));
            }
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(Self::MODE).open(&beside);
        let mut file = file.map_err(at("create", &beside))?;
        file.write_all(&bytes).map_err(at("write", &beside))?;
        file.sync_all().map_err(at("sync", &beside))?;
        fs::rename(&beside, &path).map_err(at("rename to", &path))?;
        sync_folder(&self.folder)
    }
}

/// Makes `folder` with its parents. A new folder is a name in its parent, which the power takes as well until the parent
/// is synced.
fn create_folder(folder: &Path) -> Result<(), StoreError> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(folder).map_err(at("create", folder))?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let opened = File::open(folder).map_err(at("open", folder))?;
    opened.sync_all().map_err(at("sync", folder))
}

fn at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::File { operation, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use weir_core::id::{AccountId, ClusterId, TenantName};
    use weir_wire::control::{Credential, SharedConfig};

    use super::*;
    use crate::config::embedded;

    fn state() -> State {
        let shared = SharedConfig {
            iterator_secret: "00".repeat(32),
            credentials: Vec::new(),
            shard_limits: false,
            region: "us-east-1".to_owned(),
        };
        State::new(ClusterId(7), embedded(shared, Vec::new()))
    }

    #[test]
    fn a_folder_is_taken_by_one_store_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut held = FileStore::open(folder.path()).unwrap();
        held.save(&state()).unwrap();
        assert!(matches!(FileStore::open(folder.path()), Err(StoreError::InUse(_))));
        drop(held);
        assert_eq!(FileStore::open(folder.path()).unwrap().load().unwrap(), Some(state()));
    }

    #[test]
    fn a_folder_is_made_with_its_parents_wherever_the_path_begins() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/control");
        drop(FileStore::open(&deep).unwrap());
        assert!(deep.is_dir());
        create_folder(Path::new(".")).unwrap();
        assert!(FileStore::open(deep.join(FileStore::LOCK).join("x")).is_err(), "a file is no folder");
    }

    #[test]
    fn no_file_holds_a_secret_key_and_nobody_else_reads_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        // A leftover from under another mode must not lend it to the new file.
        fs::write(folder.path().join(FileStore::BESIDE), b"").unwrap();
        let mut known = state();
        known.config.shared.credentials = vec![Credential {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI".to_owned(),
            account: AccountId::DEFAULT,
            tenant: TenantName::new("t"),
        }];
        let mut store = FileStore::open(folder.path()).unwrap();
        store.save(&known).unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let text = String::from_utf8(fs::read(file.unwrap().path()).unwrap()).unwrap();
            assert!(!text.contains("wJalrXUtnFEMI") && !text.contains("AKIDEXAMPLE"), "{text}");
        }
        let mode = fs::metadata(folder.path().join(FileStore::FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(store.load().unwrap(), Some(state()), "everything else is kept");
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
