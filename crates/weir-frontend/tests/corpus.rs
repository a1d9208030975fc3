//! The corpus of the fuzz targets of this crate, replayed: what once was found stays mended, without cargo-fuzz.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::{fs, path::Path};

/// Drives `target` with each file of its corpus, each cut short at each byte.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(name);
    let mut files = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let input = fs::read(file.unwrap().path()).unwrap();
        for end in 0..=input.len() {
            target(&input[..end]);
        }
        files += 1;
    }
    assert!(files > 3, "{} holds {files} inputs", folder.display());
}

#[test]
fn the_corpus_of_tokens_holds() {
    replay("tokens", weir_frontend::fuzz::tokens);
}
