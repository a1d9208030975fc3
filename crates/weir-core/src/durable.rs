//! Folders and small files that the power does not take: made with their names, or replaced whole.
//!
//! The log's disk, the control plane's store and a node's own notes use it; the records themselves are written by the
//! journal. It must never leave half of a file under its name, and every refusal says which file and what was tried.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", .path.display())]
pub struct FileError {
    /// What was tried.
    pub operation: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    /// What the kernel said.
    pub source: io::Error,
}

impl FileError {
    /// What an I/O error becomes when `operation` was tried on `path`.
    pub fn at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self { operation, path, source }
    }
}

/// Is there no room, on the disk or of what this process may have of it?
pub fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Permission bits of the folders that are made: what is in them is their owner's.
const FOLDER_MODE: u32 = 0o700;

/// Makes `folder` with its parents, for their owner alone. A new folder is a name in its parent, which the power takes as
/// well until the parent is synced.
pub fn create_folder(folder: &Path) -> Result<(), FileError> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder);
    made.map_err(FileError::at("create", folder))?;
    for made in missing {
        sync_folder(parent(made))?;
    }
    Ok(())
}

/// Puts `bytes` in the place of the file at `path`, if there is one, under the permission bits `mode`: written beside,
/// synced, renamed, and the folder synced. After an error the file holds what it held or, when the folder's sync was
/// refused, what was given; nothing in between.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let beside = path.with_added_extension("new");
    // What a crash left behind may have been made under another mode.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(FileError::at("remove", &beside)(error));
        }
        _ => {}
    }
    let renamed = write_new(&beside, bytes, mode)
        .and_then(|()| fs::rename(&beside, path).map_err(FileError::at("rename to", path)));
    if renamed.is_err() {
        let _ = fs::remove_file(&beside); // half of it is of no use, and may be what fills the disk
    }
    renamed?;
    sync_folder(parent(path))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(FileError::at("create", path))?;
    file.write_all(bytes).map_err(FileError::at("write", path))?;
    file.sync_all().map_err(FileError::at("sync", path))
}

/// Makes names durable: what was made, renamed and removed in `folder`.
pub fn sync_folder(folder: &Path) -> Result<(), FileError> {
    let opened = File::open(folder).map_err(FileError::at("open", folder))?;
    opened.sync_all().map_err(FileError::at("sync", folder))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The text of a small file; `None` when there is no such file.
pub fn read(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::at("read", path)(source)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_made_with_its_parents_wherever_the_path_begins() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/log");
        create_folder(&deep).unwrap();
        create_folder(&deep).unwrap();
        assert!(deep.is_dir());
        create_folder(Path::new(".")).unwrap();
        let file = deep.join("file");
        fs::write(&file, b"").unwrap();
        let refused = create_folder(&file.join("x")).unwrap_err();
        assert_eq!((refused.operation, refused.source.kind()), ("create", io::ErrorKind::NotADirectory));
    }

    #[test]
    fn a_file_is_replaced_whole_and_a_leftover_lends_it_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(folder.path().join("state.json.new"), b"half of something longer").unwrap();
        for bytes in [&b"one"[..], b"", b"two"] {
            replace(&path, bytes, 0o600).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_cannot_be_written_beside_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        replace(&path, b"kept", 0o600).unwrap();
        fs::create_dir(folder.path().join("state.new")).unwrap();
        let refused = replace(&path, b"lost", 0o600).unwrap_err().to_string();
        assert!(refused.starts_with("remove ") && refused.contains("state.new: "), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"kept");
    }

    #[test]
    fn a_file_that_cannot_be_replaced_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        fs::create_dir_all(path.join("in the way")).unwrap();
        assert_eq!(replace(&path, b"lost", 0o600).unwrap_err().operation, "rename to");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
