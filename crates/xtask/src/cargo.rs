//! Runs cargo and other programs in the workspace's root, showing what they print.
//!
//! Used by every subcommand. Output goes through as it comes; only the lines that tell results are kept.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("xtask lies two folders deep")
        .to_path_buf()
}

/// Where xtask keeps what it prepares: below `target`, so that `cargo clean` is a fresh start.
pub(crate) fn prepared() -> PathBuf {
    target().join("xtask")
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// `cargo ARGS` in the root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Runs `command` to its end; its output is shown. Fails when it does.
pub(crate) fn run(mut command: Command) -> anyhow::Result<()> {
    let said = said(&command);
    let status = command.status().with_context(|| format!("start {said}"))?;
    if status.success() { Ok(()) } else { bail!("{said}: {status}") }
}

/// Runs `command`, shows its standard output line by line and hands each line to `see`. True when it succeeded.
pub(crate) fn run_seeing(mut command: Command, mut see: impl FnMut(&str)) -> anyhow::Result<bool> {
    let said = said(&command);
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {said}"))?;
    let out = child.stdout.take().expect("piped");
    for line in BufReader::new(out).lines() {
        let line = line.with_context(|| format!("read from {said}"))?;
        println!("{line}");
        see(&line);
    }
    Ok(child.wait().with_context(|| format!("wait for {said}"))?.success())
}

fn said(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
