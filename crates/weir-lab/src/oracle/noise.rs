//! How far two stretches of a run may differ by chance: intervals by resampling their windows (the bootstrap).
//!
//! Used where a band meets a noisy host (a p99 "within 5 %") and by the comparison of results. Windows are the unit:
//! calls within one share their fate, so resampling single calls would promise too much.

use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::series::{LatencyOf, LoadWindow};

/// Resamplings. The ends of a 95 % interval then rest on ten of them each.
const ROUNDS: usize = 400;
/// The seed of every resampling: the same data give the same interval.
const SEED: u64 = 2020;

/// Where a number lies in 95 of 100 resamplings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies within.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The interval of a statistic of two groups of windows, each resampled with replacement. `statistic` gets indices
/// into the groups; a resampling for which it has no value is left out. `None` when a group is empty or no resampling
/// had a value.
pub fn bootstrap(
    groups: (usize, usize),
    mut statistic: impl FnMut(&[usize], &[usize]) -> Option<f64>,
) -> Option<Interval> {
    if groups.0 == 0 || groups.1 == 0 {
        return None;
    }
    let mut random = StdRng::seed_from_u64(SEED);
    let mut draw =
        |count: usize| -> Vec<usize> { (0..count).map(|_| random.random_range(0..count)).collect() };
    let mut values: Vec<f64> = (0..ROUNDS)
        .filter_map(|_| {
            let (first, second) = (draw(groups.0), draw(groups.1));
            statistic(&first, &second)
        })
        .filter(|v| v.is_finite())
        .collect();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get(((values.len() - 1) as f64 * share).round() as usize).copied();
    if values.is_empty() {
        return None;
    }
    Some(Interval { low: at(0.025)?, high: at(0.975)? })
}

/// The latencies of one window, over the tenants asked for: the unit that is resampled.
pub fn by_window<'a>(
    windows: impl IntoIterator<Item = &'a LoadWindow>,
    of_tenant: impl Fn(Option<&str>) -> bool,
) -> Vec<Histogram<u64>> {
    let of_tenant = &of_tenant;
    windows
        .into_iter()
        .map(|window| {
            let mut sum = LatencyOf::histogram();
            for latency in window.latency.iter().filter(|l| of_tenant(l.tenant.as_deref())) {
                latency.add_to(&mut sum);
            }
            sum
        })
        .filter(|h| !h.is_empty())
        .collect()
}

/// A percentile (0 to 100) of some windows together, milliseconds; `None` when they hold no calls.
pub fn percentile_ms(windows: &[Histogram<u64>], picked: &[usize], percentile: f64) -> Option<f64> {
    let mut sum = LatencyOf::histogram();
    for &pick in picked {
        sum.add(&windows[pick]).expect("a histogram of LatencyOf::histogram() resizes itself");
    }
    (!sum.is_empty()).then(|| sum.value_at_percentile(percentile) as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(micros: u64) -> Histogram<u64> {
        let mut histogram = LatencyOf::histogram();
        histogram.record_n(micros, 100).unwrap();
        histogram
    }

    #[test]
    fn two_halves_of_the_same_noise_differ_by_an_interval_around_zero() {
        let values: Vec<f64> = (0..40).map(|n| f64::from(n * 7 % 11)).collect();
        let mean = |picked: &[usize]| picked.iter().map(|p| values[*p]).sum::<f64>() / picked.len() as f64;
        let interval = bootstrap((40, 40), |a, b| Some(mean(b) - mean(a))).unwrap();
        assert!(interval.contains(0.0), "{interval:?}");
        assert!(interval.high - interval.low < 4.0, "{interval:?}");
    }

    #[test]
    fn a_true_difference_lies_outside_the_interval_of_chance() {
        let slow: Vec<_> = (0..20).map(|n| window(2_000 + n)).collect();
        let fast: Vec<_> = (0..20).map(|n| window(1_000 + n)).collect();
        let interval =
            bootstrap((20, 20), |a, b| Some(percentile_ms(&slow, b, 99.0)? - percentile_ms(&fast, a, 99.0)?))
                .unwrap();
        assert!(interval.low > 0.9 && interval.high < 1.1, "{interval:?}");
    }

    #[test]
    fn nothing_to_resample_gives_no_interval() {
        assert_eq!(bootstrap((0, 5), |_, _| Some(1.0)), None);
        assert_eq!(bootstrap((5, 5), |_, _| None), None);
    }
}
