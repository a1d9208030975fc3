//! The criterion benches at full size, and a table of what they measured.
//!
//! Called by `cargo xtask bench --micro`; in small they are part of the tests. Each run keeps its samples in a folder of its
//! own, so that the table holds this call's figures and no older ones.

use std::path::PathBuf;

use anyhow::Context;

use super::micro_table;
use crate::cargo::{self, cargo};

/// Full size, in release, `runs` times one after the other; then the table, in Markdown.
pub(crate) fn run(filter: Option<&str>, runs: usize) -> anyhow::Result<()> {
    let folder = cargo::prepared().join("bench");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    let folders: Vec<PathBuf> = (0..runs).map(|run| folder.join(run.to_string())).collect();
    for (run, folder) in folders.iter().enumerate() {
        println!("\n== Run {} of {runs}", run + 1);
        let mut command = cargo(&["bench", "--package", "weir-benches", "--"]);
        command.args(filter).env("CRITERION_HOME", folder);
        cargo::run(command)?;
    }
    let runs = folders.iter().map(|folder| micro_table::read(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    println!("\n{}", micro_table::markdown(&runs));
    Ok(())
}
