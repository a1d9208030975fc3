//! `cargo xtask shuttle`: the whole node under thousands of random schedules, by shuttle.
//!
//! Called by people and by `cargo xtask test`. Each property is a test of weir-cell; the tally counts them one by one, and
//! a seed that fails is printed with the command that runs it alone.

use std::env;

use anyhow::ensure;

use crate::{
    cargo::{self, cargo, target},
    tally::Tally,
};

/// Where the tests are.
const MODULE: &str = "shuttle_tests::";

/// Builds weir-cell and all below it for shuttle, in a folder of its own, and runs the properties whose name has `filter`.
pub(crate) fn run(tally: &mut Tally, filter: Option<&str>) -> anyhow::Result<()> {
    let mut rustflags = env::var("RUSTFLAGS").unwrap_or_default();
    rustflags.push_str(" --cfg shuttle");
    let mut command = cargo(&["test", "--quiet", "--package", "weir-cell", "--lib", "--target-dir"]);
    command.arg(target().join("shuttle")).args(["--", "--nocapture"]);
    command.arg(filter.unwrap_or(MODULE));
    command.env("RUSTFLAGS", rustflags).env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.env("CARGO_PROFILE_TEST_DEBUG", "0");
    let mut ran = false;
    let succeeded = cargo::run_seeing(command, |line| {
        ran |= line.starts_with("test result: ") && !line.contains(" 0 passed; 0 failed;");
        tally.see(line);
    })?;
    ensure!(ran, "no property was run");
    tally.fail_unless(succeeded, "shuttle")
}
