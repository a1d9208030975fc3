//! Where the control plane's state is kept between two lives: a trait, a file, or nowhere.
//!
//! `embedded.rs` saves after each change and before it answers. A store keeps the whole state; it must never keep
//! half of one, and never that of two processes.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::PathBuf,
};

use weir_core::{
    checksum::crc32c,
    durable::{self, FileError},
};

use crate::state::State;

/// Keeps a state.
pub trait Store: Send {
    /// What was saved last; `None` the first time.
    fn load(&self) -> Result<Option<State>, StoreError>;
    /// Keeps `state` in place of the one before. Durable when it returns.
    fn save(&mut self, state: &State, urgency: Urgency) -> Result<(), StoreError>;
}

/// What a full disk means for a state that is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody lets go of something, starts, or goes on with what was begun: kept with the last bytes, too.
    MustBeHeard,
    /// Somebody wishes for something, and can again when there is room: the last bytes are not for more than was kept.
    CanWait,
}

/// The store failed. What was saved before is still there, unless the folder's sync was what failed: then the file has
/// what was to be saved. Nobody has seen that, and the next save takes its place.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the folder open.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is no state.
    #[error("{} is no state of a control plane: {source}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The file is a state that was changed after it was saved.
    #[error(
        "{} is not what was saved, its checksum is another: put back what was there; or, to take it as it is, remove its last line",
        .0.display()
    )]
    Changed(PathBuf),
}

impl StoreError {
    /// Was there no room? Then what was saved before is still what is kept.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::File(error) if durable::is_no_room(&error.source))
    }
}

/// Keeps nothing: for a fleet that dies with its control plane.
#[derive(Debug, Default)]
pub struct NoStore;

impl Store for NoStore {
    fn load(&self) -> Result<Option<State>, StoreError> {
        Ok(None)
    }

    fn save(&mut self, _state: &State, _urgency: Urgency) -> Result<(), StoreError> {
        Ok(())
    }
}

/// One JSON file, replaced whole. Only its owner may read it: the secret that signs shard iterators is in it.
///
/// Beside it lie bytes that mean nothing and are given up on the day when the disk has none left: who deletes a stream
/// because the disk is full must be heard, and a server that is started on it, too. They come back from the file that was
/// replaced, unless that was smaller: a state that grows is kept only where they can be laid by for it first.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    /// Held while the store lives.
    _lock: File,
}

impl FileStore {
    /// The state's file.
    pub const FILE: &'static str = "control.json";
    /// The file whose lock says that a control plane has the folder. Its content means nothing.
    const LOCK: &'static str = "control.lock";
    /// The file that is given up when the disk is full, and its bytes at least; as many as two states have, if that is more.
    const SPARE: &'static str = "control.spare";
    const SPARE_BYTES_MIN: usize = 64 * 1024;
    /// What follows the state: a line of this and its CRC32C in eight hexadecimal digits. Files of versions that wrote none are taken
    /// as they are.
    const SEAL: &'static str = "\ncrc32c ";
    /// Read and write for the owner, nothing for anybody else.
    const MODE: u32 = 0o600;

    /// Keeps the state in `folder`, which is made if it is not there and belongs to this store while it lives.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = folder.into();
        durable::create_folder(&folder)?;
        let lock = folder.join(Self::LOCK);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        let file = file.map_err(FileError::at("open", &lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(folder)),
            Err(TryLockError::Error(source)) => return Err(FileError::at("lock", &lock)(source).into()),
        }
        Ok(Self { folder, _lock: file })
    }

    /// Lays bytes by for a full disk, if they are not there.
    fn keep_spare(&self, bytes: usize) -> Result<(), StoreError> {
        let spare = self.folder.join(Self::SPARE);
        let is_there = fs::metadata(&spare).is_ok_and(|spare| spare.len() >= bytes as u64);
        if is_there { Ok(()) } else { Ok(durable::replace(&spare, &vec![0; bytes], Self::MODE)?) }
    }

    fn seal(state: &[u8]) -> String {
        format!("{}{:08x}", Self::SEAL, crc32c(state))
    }

    /// Bytes of the state in a file: those before the last line, if that is a seal.
    fn state_bytes(file: &[u8]) -> usize {
        let last_line = file.trim_ascii_end().iter().rposition(|byte| *byte == b'\n');
        let seal = last_line.filter(|at| file[*at..].starts_with(Self::SEAL.as_bytes()));
        seal.unwrap_or(file.len())
    }

    /// Bytes of the state that is kept.
    fn kept_bytes(&self) -> u64 {
        fs::metadata(self.folder.join(Self::FILE)).map_or(0, |file| file.len())
    }
}

impl Store for FileStore {
    fn load(&self) -> Result<Option<State>, StoreError> {
        let path = self.folder.join(Self::FILE);
        match fs::read(&path) {
            Ok(bytes) => {
                let (state, seal) = bytes.split_at(Self::state_bytes(&bytes));
                if !seal.is_empty() && seal.trim_ascii_end() != Self::seal(state).as_bytes() {
                    return Err(StoreError::Changed(path));
                }
                match serde_json::from_slice(state) {
                    Ok(state) => Ok(Some(state)),
                    Err(source) => Err(StoreError::Malformed { path, source }),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FileError::at("read", &path)(source).into()),
        }
    }

    fn save(&mut self, state: &State, urgency: Urgency) -> Result<(), StoreError> {
        let mut bytes = serde_json::to_vec(state).expect("a state is plain data");
        bytes.extend_from_slice(Self::seal(&bytes).as_bytes());
        let spare_bytes = Self::SPARE_BYTES_MIN.max(2 * bytes.len());
        let keeps_last = urgency == Urgency::CanWait && bytes.len() as u64 > self.kept_bytes();
        if keeps_last {
            self.keep_spare(spare_bytes)?;
        }
        let replace = || Ok(durable::replace(&self.folder.join(Self::FILE), &bytes, Self::MODE)?);
        let mut replaced: Result<(), StoreError> = replace();
        if !keeps_last
            && replaced.as_ref().is_err_and(StoreError::is_full)
            && fs::remove_file(self.folder.join(Self::SPARE)).is_ok()
        {
            replaced = replace();
        }
        replaced?;
        if let Err(error) = self.keep_spare(spare_bytes) {
            tracing::warn!(%error, "no bytes are kept for a full disk"); // without room for them now there will be none later
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use weir_core::id::{AccountId, ClusterId, TenantName};
    use weir_wire::control::{Credential, SharedConfig};

    use super::*;
    use crate::config::embedded;

    fn state() -> State {
        let shared = SharedConfig::new("00".repeat(32));
        State::new(ClusterId(7), embedded(shared, Vec::new()))
    }

    #[test]
    fn a_folder_is_taken_by_one_store_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut held = FileStore::open(folder.path()).unwrap();
        held.save(&state(), Urgency::CanWait).unwrap();
        assert!(matches!(FileStore::open(folder.path()), Err(StoreError::InUse(_))));
        drop(held);
        assert_eq!(FileStore::open(folder.path()).unwrap().load().unwrap(), Some(state()));
    }

    #[test]
    fn no_file_holds_a_secret_key_and_nobody_else_reads_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        // A leftover from under another mode must not lend it to the new file.
        fs::write(folder.path().join("control.json.new"), b"").unwrap();
        let mut known = state();
        known.config.shared.credentials = vec![Credential {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI".to_owned(),
            session_token: None,
            account: AccountId::DEFAULT,
            tenant: TenantName::new("t"),
        }];
        let mut store = FileStore::open(folder.path()).unwrap();
        store.save(&known, Urgency::CanWait).unwrap();
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
        store.save(&state(), Urgency::CanWait).unwrap();
        // A crash between writing and renaming leaves this behind.
        fs::write(folder.path().join("control.json.new"), b"{\"versi").unwrap();
        assert_eq!(store.load().unwrap(), Some(state()));
    }

    #[test]
    fn bytes_are_laid_by_for_a_full_disk_and_laid_by_again_after_they_were_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(folder.path()).unwrap();
        let spare = folder.path().join(FileStore::SPARE);
        for _ in 0..2 {
            store.save(&state(), Urgency::CanWait).unwrap();
            assert_eq!(fs::metadata(&spare).unwrap().len(), FileStore::SPARE_BYTES_MIN as u64);
            fs::remove_file(&spare).unwrap();
        }
    }

    #[test]
    fn where_nothing_can_be_laid_by_nobody_gets_more_and_everybody_else_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(folder.path()).unwrap();
        let mut grown = state();
        store.save(&state(), Urgency::MustBeHeard).unwrap();
        grown.config.shared.iterator_secret.push_str("longer");
        let spare = folder.path().join(FileStore::SPARE);
        fs::remove_file(&spare).unwrap();
        fs::create_dir(spare.with_added_extension("new")).unwrap(); // it is in the way
        store.save(&grown, Urgency::CanWait).unwrap_err();
        assert_eq!(store.load().unwrap(), Some(state()));
        store.save(&grown, Urgency::MustBeHeard).unwrap();
        assert_eq!(store.load().unwrap(), Some(grown));
        store.save(&state(), Urgency::CanWait).unwrap();
        assert_eq!(store.load().unwrap(), Some(state()), "less than before needs no last bytes");
    }

    #[test]
    fn every_flipped_bit_of_a_state_is_an_error_and_so_is_every_cut_within_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(folder.path()).unwrap();
        store.save(&state(), Urgency::CanWait).unwrap();
        let path = folder.path().join(FileStore::FILE);
        let saved = fs::read(&path).unwrap();
        for bit in 0..saved.len() * 8 {
            let mut flipped = saved.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            let error = store.load().expect_err("it was changed").to_string();
            assert!(error.contains(FileStore::FILE), "bit {bit}: {error}");
        }
        let state_bytes = FileStore::state_bytes(&saved);
        for bytes in (0..saved.len()).filter(|bytes| *bytes != state_bytes) {
            fs::write(&path, &saved[..bytes]).unwrap();
            assert!(store.load().is_err() || bytes == state_bytes + 1, "cut to {bytes}");
        }
    }

    #[test]
    fn a_state_without_a_checksum_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FileStore::FILE);
        fs::write(&path, serde_json::to_vec(&state()).unwrap()).unwrap();
        let mut store = FileStore::open(folder.path()).unwrap();
        assert_eq!(store.load().unwrap(), Some(state()));
        // So is one whose last line an editor has ended.
        store.save(&state(), Urgency::CanWait).unwrap();
        fs::write(&path, [&fs::read(&path).unwrap()[..], b"\n"].concat()).unwrap();
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
