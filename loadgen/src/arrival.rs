//! When requests are meant to start: the plan that an open loop keeps to, whatever the server does.
//!
//! Each worker of the engine walks one [`Schedule`]; together they make up the whole rate. It is pure arithmetic over
//! a seed: it must never look at a clock or wait, or the plan would bend to the server it measures.

use std::time::Duration;

use rand::RngExt;
use weir_core::entropy::{Rng, seeded};

/// How starts are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// One every 1/rate.
    Constant,
    /// Independent of each other: exponential gaps with a mean of 1/rate.
    Poisson,
}

/// One worker's part of a plan of starts.
#[derive(Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    /// Nanoseconds between two starts of this worker, on average.
    gap: f64,
    /// Nanoseconds of the first constant start: workers take turns.
    offset: f64,
    index: u64,
    /// Nanoseconds up to the last Poisson start.
    reached: f64,
    rng: Rng,
}

/// Which part of a plan: worker `worker` of `workers`.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// From 0.
    pub worker: usize,
    /// At least 1.
    pub workers: usize,
}

impl Schedule {
    /// The part `share` of `per_second` starts a second.
    ///
    /// # Panics
    /// When the rate is not above zero or the share is none: both are checked when the configuration is read.
    pub fn new(arrivals: Arrivals, per_second: f64, share: Share, seed: u64) -> Self {
        assert!(per_second > 0.0 && per_second.is_finite(), "a rate of {per_second} has no schedule");
        assert!(share.worker < share.workers, "worker {} of {}", share.worker, share.workers);
        let whole_gap = 1e9 / per_second;
        Self {
            arrivals,
            gap: whole_gap * share.workers as f64,
            offset: whole_gap * share.worker as f64,
            index: 0,
            reached: 0.0,
            rng: seeded(seed, &format!("arrivals {}", share.worker)),
        }
    }

    /// The next start, as time since the start of the run. Never earlier than the one before.
    pub fn advance(&mut self) -> Duration {
        let nanos = match self.arrivals {
            // A product, not a running sum: the millionth start is as exact as the first.
            Arrivals::Constant => self.offset + self.index as f64 * self.gap,
            Arrivals::Poisson => {
                let uniform: f64 = self.rng.random();
                self.reached -= (1.0 - uniform).ln() * self.gap;
                self.reached
            }
        };
        self.index += 1;
        Duration::from_nanos(nanos as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arrivals: Arrivals, per_second: f64, share: Share, count: usize) -> Vec<Duration> {
        let mut schedule = Schedule::new(arrivals, per_second, share, 7);
        (0..count).map(|_| schedule.advance()).collect()
    }

    #[test]
    fn constant_starts_of_all_workers_interleave_to_the_whole_rate() {
        let mut all = plan(Arrivals::Constant, 1000.0, Share { worker: 0, workers: 2 }, 500);
        all.extend(plan(Arrivals::Constant, 1000.0, Share { worker: 1, workers: 2 }, 500));
        all.sort();
        for (index, start) in all.iter().enumerate() {
            assert_eq!(*start, Duration::from_millis(index as u64));
        }
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_spread_of_an_exponential() {
        let starts = plan(Arrivals::Poisson, 500.0, Share { worker: 0, workers: 1 }, 100_000);
        let gaps: Vec<f64> = starts.windows(2).map(|w| (w[1] - w[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Five standard errors of an exponential with mean 2 ms over 10^5 draws are 1.6 % (mean), 4.5 % (variance).
        assert!((mean / 0.002 - 1.0).abs() < 0.016, "mean {mean}");
        assert!((variance / 0.002f64.powi(2) - 1.0).abs() < 0.045, "variance {variance}");
    }

    #[test]
    fn a_seed_repeats_a_poisson_plan_and_workers_differ() {
        let one = Share { worker: 0, workers: 2 };
        let other = Share { worker: 1, workers: 2 };
        assert_eq!(plan(Arrivals::Poisson, 10.0, one, 50), plan(Arrivals::Poisson, 10.0, one, 50));
        assert_ne!(plan(Arrivals::Poisson, 10.0, one, 50), plan(Arrivals::Poisson, 10.0, other, 50));
    }
}
