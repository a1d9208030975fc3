//! How a bench runs: at full size by hand, in small as a test.
//!
//! Every bench's `main` is a call to [`run`]. Nothing here knows what is measured.

use std::time::Duration;

use criterion::Criterion;

/// The name that a plain way of doing the same work begins with. `cargo xtask bench` sets the others beside it.
pub const BASELINE: &str = "baseline";

/// How much work a bench takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As a test: each routine runs once, so that only set-up costs time.
    Small,
    /// As a measurement.
    Full,
}

impl Size {
    /// As criterion decides it: `cargo bench` passes `--bench`, `cargo test` does not, and `--test` overrides.
    pub fn of_arguments(mut arguments: impl Iterator<Item = String>) -> Self {
        let (mut bench, mut test) = (false, false);
        arguments.by_ref().for_each(|argument| {
            bench |= argument == "--bench";
            test |= argument == "--test";
        });
        if bench && !test { Self::Full } else { Self::Small }
    }

    /// One of two values.
    pub fn pick<T>(self, small: T, full: T) -> T {
        match self {
            Self::Small => small,
            Self::Full => full,
        }
    }
}

/// Runs a bench. Three seconds a case are enough for a median; the spread between runs is larger than what more samples
/// would take away.
pub fn run(bench: impl FnOnce(&mut Criterion, Size)) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(40)
        .nresamples(10_000)
        .configure_from_args();
    bench(&mut criterion, Size::of_arguments(std::env::args()));
    criterion.final_summary();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cargo_bench_runs_at_full_size() {
        let size = |arguments: &[&str]| Size::of_arguments(arguments.iter().map(|&text| text.to_owned()));
        assert_eq!(size(&["routing", "--bench"]), Size::Full);
        assert_eq!(size(&["routing"]), Size::Small);
        assert_eq!(size(&["routing", "--bench", "--test"]), Size::Small);
    }
}
