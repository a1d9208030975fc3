//! Counts what passed, failed and was skipped over all steps, and says so at the end.
//!
//! Used by `test` and `check`. The closing line stands alone: `N passed, N failed, N skipped`.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::bail;

/// The counts of one run.
#[derive(Debug)]
pub(crate) struct Tally {
    passed: usize,
    failures: Vec<String>,
    skips: Vec<String>,
    steps: Vec<(String, Duration)>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { passed: 0, failures: Vec::new(), skips: Vec::new(), steps: Vec::new() }
    }

    /// One step that passes or fails as a whole; the run goes on after a failure.
    pub(crate) fn step(&mut self, name: &str, act: impl FnOnce(&mut Self) -> anyhow::Result<()>) {
        println!("\n== {name}");
        let failed_before = self.failures.len();
        let started = now();
        let outcome = act(self);
        self.steps.push((name.to_owned(), started.elapsed()));
        match outcome {
            Ok(()) if self.failures.len() == failed_before => self.passed += 1,
            Ok(()) => {}
            Err(error) => self.failures.push(format!("{name}: {error:#}")),
        }
    }

    /// A failure inside a step that goes on.
    pub(crate) fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    /// Takes the counts out of a line that a test runner printed, if it is one.
    pub(crate) fn see(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        let count = |what: &str| -> usize {
            let parts = counts.1.split("; ");
            parts.filter_map(|part| part.strip_suffix(what)).find_map(|n| n.trim().parse().ok()).unwrap_or(0)
        };
        self.passed += count("passed");
        for _ in 0..count("failed") {
            self.failures.push("a test, named above".to_owned());
        }
        for _ in 0..count("ignored") {
            self.skips.push("a test that its runner ignored, named above".to_owned());
        }
    }

    /// Adds what tests wrote to the skip file: one line each, `test: reason`.
    pub(crate) fn take_skips(&mut self, text: &str) {
        for line in text.lines() {
            // The test itself was counted as passed by its runner.
            self.passed = self.passed.saturating_sub(1);
            self.skips.push(line.to_owned());
        }
    }

    /// Fails when the runner did and no counted test explains it.
    pub(crate) fn fail_unless(&self, succeeded: bool, runner: &str) -> anyhow::Result<()> {
        if succeeded || !self.failures.is_empty() {
            Ok(())
        } else {
            bail!("{runner} failed outside any test")
        }
    }

    /// Prints the counts; fails when anything did.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        println!("\n== Result");
        for (name, took) in &self.steps {
            println!("{:>7.1} s  {name}", took.as_secs_f64());
        }
        for skip in &self.skips {
            println!("skipped: {skip}");
        }
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failures.len(), self.skips.len());
        if self.failures.is_empty() { Ok(()) } else { bail!("{} failed", self.failures.len()) }
    }
}

/// An empty file that tests append their skips to, named to them by `WEIR_SKIPS`.
pub(crate) fn skip_file() -> anyhow::Result<PathBuf> {
    let file = crate::cargo::prepared().join("skips");
    std::fs::create_dir_all(crate::cargo::prepared())?;
    std::fs::write(&file, "")?;
    Ok(file)
}

#[expect(clippy::disallowed_methods, reason = "a build tool times its steps; no server depends on it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_from_the_runners_own_lines() {
        let mut tally = Tally::new();
        tally.see(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        );
        tally.see("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s");
        tally.see("a line that tells nothing");
        assert_eq!((tally.passed, tally.failures.len(), tally.skips.len()), (15, 2, 1));
        assert!(tally.close().is_err());
    }
}
