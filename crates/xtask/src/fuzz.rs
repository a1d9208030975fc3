//! `cargo xtask fuzz TARGET`: cargo-fuzz on a target of `tests/fuzz`, for as long as one likes.
//!
//! The only command that needs more than a stable compiler, and it says what. CI replays the corpus without it.

use std::{fs, process::Command};

use anyhow::{Context, bail};

use crate::cargo;

const FOLDER: &str = "tests/fuzz";
const NEEDS: &str = "`cargo xtask fuzz` needs cargo-fuzz and a nightly compiler, which nothing else here does:\n\
                     \x20   rustup toolchain install nightly\n\
                     \x20   cargo install cargo-fuzz";

/// Runs `target` for `seconds`, from its corpus. What it finds on the way stays below `target`; a failing input goes to
/// `tests/fuzz/artifacts`, and once mended by hand into the corpus, under a name that says what it was.
pub(crate) fn run(target: &str, seconds: u64) -> anyhow::Result<()> {
    let targets = targets()?;
    if !targets.iter().any(|known| known == target) {
        bail!("there is no fuzz target {target:?}: one of {}", targets.join(", "));
    }
    let has_fuzz = Command::new("cargo").args(["fuzz", "--version"]).output();
    let has_nightly = Command::new("cargo").args(["+nightly", "--version"]).output();
    if ![has_fuzz, has_nightly].iter().all(|asked| asked.as_ref().is_ok_and(|said| said.status.success())) {
        bail!("{NEEDS}");
    }
    let found = cargo::prepared().join("fuzz").join(target);
    fs::create_dir_all(&found).with_context(|| format!("make {}", found.display()))?;
    let corpus = cargo::root().join(FOLDER).join("corpus").join(target);
    let mut command = Command::new("cargo");
    command.args(["+nightly", "fuzz", "run", "--fuzz-dir", FOLDER, target]).args([found, corpus]);
    command.args(["--".to_owned(), format!("-max_total_time={seconds}")]).current_dir(cargo::root());
    for own in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(own); // they name the stable compiler that runs xtask
    }
    cargo::run(command)
}

fn targets() -> anyhow::Result<Vec<String>> {
    let folder = cargo::root().join(FOLDER).join("targets");
    let mut names = Vec::new();
    for file in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let path = file?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
