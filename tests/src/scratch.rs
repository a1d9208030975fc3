//! Folders and files of a test's own, readable by the ordinary user that some tests run as.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A scenario of the tests' own: `tests/scenarios/NAME.toml`.
pub fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.toml"))
}

/// A temporary folder outside the checkout that every user may write to; removed when dropped.
pub fn shared_folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("weir-test-").tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("open the folder to all");
    folder
}

/// A copy of the binary that another user can run: a checkout may lie where only its owner may look.
pub fn binary_for_everybody(folder: &tempfile::TempDir) -> PathBuf {
    let copy = folder.path().join("weir");
    fs::copy(crate::weir(), &copy).expect("copy the binary");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("let all run it");
    copy
}
