//! How a bench runs: at full size by hand, in small as a test.
//!
//! Every bench's `main` is a call to [`run`] or [`run_alone`]. Nothing here knows what is measured.

use std::time::Duration;

use criterion::{
    Criterion,
    measurement::{Measurement, WallTime},
};

use crate::CpuTime;

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
    pub fn of_arguments(arguments: impl Iterator<Item = String>) -> Self {
        let (mut bench, mut test) = (false, false);
        for argument in arguments {
            bench |= argument == "--bench";
            test |= argument == "--test";
        }
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

/// Runs a bench whose threads wait for one another or for the disk: by the wall clock.
pub fn run(bench: impl FnOnce(&mut Criterion, Size)) {
    run_by(WallTime, bench);
}

/// Runs a bench that one thread does alone: by its time on the CPU, so that busy neighbours spoil little.
pub fn run_alone(bench: impl FnOnce(&mut Criterion<CpuTime>, Size)) {
    run_by(CpuTime, bench);
}

/// Two seconds a case are enough for a median: runs differ by more than further samples would take away.
fn run_by<M: Measurement + 'static>(measurement: M, bench: impl FnOnce(&mut Criterion<M>, Size)) {
    let mut criterion = Criterion::default()
        .with_measurement(measurement)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
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
