//! The house's rules that no compiler checks: arrows between crates, file headers, sizes, names, documents.
//!
//! Run with all other tests. Each failure names the file and the rule. It must never be loosened to get green: move
//! the wall instead.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

#[path = "tidy/arrows.rs"]
mod arrows;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/primitives.rs"]
mod primitives;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_path_buf()
}

/// Every file below the root that is ours: not built, not downloaded, not git's.
fn tracked_files() -> Vec<PathBuf> {
    const LEFT_OUT: [&str; 4] = ["target", ".git", ".venv", "node_modules"];
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("read {}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("a folder entry").path();
            let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
            if path.is_dir() {
                if !LEFT_OUT.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The path as people say it: from the root.
fn said(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}
