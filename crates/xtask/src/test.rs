//! `cargo xtask test`: everything, from a clean checkout, with a count at the end.
//!
//! CI calls this and nothing else. A step that fails does not stop the others, so that one run tells all.

use std::path::PathBuf;

use crate::{
    cargo::{self, cargo, target},
    check, loom, prepare,
    tally::{self, Tally},
};

/// What the tests were given.
struct Prepared {
    python: PathBuf,
    browser: PathBuf,
    user: Option<String>,
    skips: PathBuf,
}

/// All steps.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut tally = Tally::new();
    let mut prepared = None;
    tally.step("Prepare", |_| {
        prepared = Some(Prepared {
            python: prepare::python_clients()?,
            browser: prepare::browser()?,
            user: prepare::ordinary_user()?,
            skips: tally::skip_file()?,
        });
        Ok(())
    });
    check::run(&mut tally);
    // Tests from outside look at what users run, and an unoptimised fleet of two hundred processes is another fleet.
    tally.step("Build", |_| cargo::run(cargo(&["build", "--quiet", "--release", "--package", "weir"])));
    if let Some(prepared) = &prepared {
        tally.step("Tests", |tally| tests(tally, prepared));
    }
    tally.step("Loom models", |_| loom::run());
    tally.close()
}

/// Unit, property and outside tests, and the benches in small, in one cargo call: one build.
fn tests(tally: &mut Tally, prepared: &Prepared) -> anyhow::Result<()> {
    let mut command = cargo(&["test", "--workspace", "--all-targets", "--no-fail-fast"]);
    command
        .env("WEIR_BIN", target().join("release/weir"))
        .env("WEIR_PYTHON", &prepared.python)
        .env("WEIR_BROWSER", &prepared.browser)
        .env("WEIR_SKIPS", &prepared.skips)
        .env("RUST_BACKTRACE", "1");
    if let Some(user) = &prepared.user {
        command.env("WEIR_ORDINARY_USER", user);
    }
    let succeeded = cargo::run_seeing(command, |line| tally.see(line))?;
    tally.take_skips(&prepared.skips);
    // Failed tests are counted one by one; what fails without a count (a build, an abort) is counted here.
    tally.fail_unless(succeeded, "cargo test")
}
