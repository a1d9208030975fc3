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
fn the_corpus_of_json_holds() {
    replay("json", weir_wire::fuzz::json);
}

#[test]
fn the_corpus_of_cbor_holds() {
    replay("cbor", weir_wire::fuzz::cbor);
}

#[test]
fn the_corpus_of_http2_holds() {
    replay("http2", weir_wire::fuzz::http2);
}

#[test]
fn the_corpus_of_sigv4_holds() {
    replay("sigv4", weir_wire::fuzz::sigv4);
}

#[test]
fn the_corpus_of_event_stream_holds() {
    replay("event_stream", weir_wire::fuzz::event_stream);
}
