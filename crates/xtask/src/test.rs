//! `cargo xtask test`: everything, from a clean checkout, with a count at the end.
//!
//! CI calls this and nothing else. A step that fails does not stop the others, so that one run tells all.

use std::{fs, path::PathBuf};

use anyhow::Context;

use crate::{
    cargo::{self, cargo, target},
    check, loom, prepare, shuttle,
    tally::{self, Tally},
};

/// All steps.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut tally = Tally::new();
    let mut settings = Vec::new();
    tally.step("Prepare", |tally| {
        for (name, made) in prepare::settings() {
            match made {
                Ok(value) => settings.push((name, value)),
                Err(error) => tally.fail(format!("{name}: {error:#}")),
            }
        }
        Ok(())
    });
    check::run(&mut tally);
    // Tests from outside look at what users run, and an unoptimised fleet of two hundred processes is another fleet.
    tally.step("Build", |_| cargo::run(cargo(&["build", "--quiet", "--release", "--package", "weir"])));
    tally.step("Tests", |tally| tests(tally, &settings));
    tally.step("Loom models", |_| loom::run());
    tally.step("Shuttle schedules", |tally| shuttle::run(tally, None));
    tally.close()
}

/// Unit, property and outside tests, and the benches in small, in one cargo call: one build.
fn tests(tally: &mut Tally, settings: &[(&str, PathBuf)]) -> anyhow::Result<()> {
    let skips = tally::skip_file()?;
    let mut command = cargo(&["test", "--workspace", "--all-targets", "--no-fail-fast"]);
    command
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .env("WEIR_BIN", target().join("release/weir"))
        .env("WEIR_SKIPS", &skips)
        .env("RUST_BACKTRACE", "1");
    let succeeded = cargo::run_seeing(command, |line| tally.see(line))?;
    let skipped = fs::read_to_string(&skips).with_context(|| format!("read {}", skips.display()))?;
    tally.take_skips(&skipped);
    // Failed tests are counted one by one; what fails without a count (a build, an abort) is counted here.
    tally.fail_unless(succeeded, "cargo test")
}
