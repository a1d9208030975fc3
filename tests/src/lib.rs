//! What tests from outside stand on: the real binary as a real process, a bare HTTP client, other people's clients.
//!
//! Used by every `[[test]]` of this package and by nothing else. It knows Weir only as a user does: by its command
//! line and its sockets. A test that cannot run here says so through [`skip`], never by passing.
#![forbid(unsafe_code)]

pub mod again;
pub mod client;
pub mod fleet;
pub mod follower;
pub mod history;
pub mod http;
pub mod leftovers;
pub mod moto;
pub mod page;
pub mod process;
pub mod scratch;
pub mod semantics;
pub mod server;
pub mod small_disk;
pub mod subscription;
pub mod user;
pub mod witness;

use std::{env, fs::OpenOptions, io::Write, path::PathBuf};

/// The `weir` binary under test: `WEIR_BIN`, or the one beside the test's own.
pub fn weir() -> PathBuf {
    if let Some(path) = env::var_os("WEIR_BIN") {
        return path.into();
    }
    let own = env::current_exe().expect("a test knows its own path");
    let built = own.ancestors().nth(2).expect("target/debug/deps/test").join("weir");
    assert!(
        built.exists(),
        "{} is missing: run `cargo build -p weir` or `cargo xtask test`",
        built.display()
    );
    built
}

/// A setting that `cargo xtask test` prepares; the message says what to run when it is missing.
pub fn prepared(name: &str) -> PathBuf {
    env::var_os(name)
        .unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask test`, which prepares it"))
        .into()
}

/// Records that `test` did not run, and why. The count at the end of `cargo xtask test` shows it.
pub fn skip(test: &str, reason: &str) {
    let file = prepared("WEIR_SKIPS");
    let mut out = OpenOptions::new().append(true).open(&file).expect("the skip file that xtask made");
    writeln!(out, "{test}: {reason}").expect("write to the skip file");
}
