//! The criterion benches, at full size by hand and in small as a test.

use crate::cargo::{self, cargo};

/// Full size, in release.
pub(crate) fn run(filter: Option<&str>) -> anyhow::Result<()> {
    let mut command = cargo(&["bench", "--package", "weir-benches"]);
    command.args(filter);
    cargo::run(command)
}
