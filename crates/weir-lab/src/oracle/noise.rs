//! How far two stretches of a run may differ by chance: intervals by resampling their windows (the bootstrap).
//!
//! Used where a band meets a noisy host (a p99 "within 5 %") and by the comparison of results. Windows are the unit:
//! calls within one share their fate, so resampling single calls would promise too much.

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::series::LoadWindow;

/// Resamplings. The ends of a 95 % interval then rest on ten of them each.
const ROUNDS: usize = 400;
/// Share of the resamplings within an interval that describes a difference.
pub const USUAL: f64 = 0.95;
/// Share within an interval that a verdict rests on: one honest run in two hundred may fall outside, not one in twenty.
pub const NEARLY_ALL: f64 = 0.995;
/// The seed of every resampling: the same data give the same interval.
const SEED: u64 = 2020;

/// Where a number lies in most resamplings; as many lie below as above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The least of them.
    pub low: f64,
    /// The greatest of them.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies within.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The interval that holds the share `within` of a statistic's values over two groups of windows, each resampled with
/// replacement. `statistic` gets indices into the groups; a resampling for which it has no value is left out. `None`
/// when a group is empty or no resampling had a value.
pub fn bootstrap(
    groups: (usize, usize),
    within: f64,
    mut statistic: impl FnMut(&[usize], &[usize]) -> Option<f64>,
) -> Option<Interval> {
    let [interval] = bootstrap_each(groups, within, |first, second| [statistic(first, second)]);
    interval
}

/// The same for several statistics of the same resamplings.
pub fn bootstrap_each<const N: usize>(
    groups: (usize, usize),
    within: f64,
    mut statistics: impl FnMut(&[usize], &[usize]) -> [Option<f64>; N],
) -> [Option<Interval>; N] {
    if groups.0 == 0 || groups.1 == 0 {
        return [None; N];
    }
    let mut random = StdRng::seed_from_u64(SEED);
    let mut draw =
        |count: usize| -> Vec<usize> { (0..count).map(|_| random.random_range(0..count)).collect() };
    let mut values: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        let (first, second) = (draw(groups.0), draw(groups.1));
        for (values, value) in values.iter_mut().zip(statistics(&first, &second)) {
            values.extend(value.filter(|v| v.is_finite()));
        }
    }
    values.map(|values| interval(values, within))
}

fn interval(mut values: Vec<f64>, within: f64) -> Option<Interval> {
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - within) / 2.0;
    let at =
        |share: f64| values.get(((values.len().checked_sub(1)?) as f64 * share).round() as usize).copied();
    Some(Interval { low: at(tail)?, high: at(1.0 - tail)? })
}

/// The latencies of some windows, laid out so that any choice of them gives its percentiles quickly: a resampling
/// merges hundreds of windows hundreds of times, and whole histograms would be added up cell by cell.
#[derive(Debug, Clone, Default)]
pub struct WindowLatencies {
    /// Every value that occurs, microseconds, ascending.
    values: Vec<u64>,
    /// For each window, places in `values` and how often each occurs.
    windows: Vec<Vec<(usize, u64)>>,
}

impl WindowLatencies {
    /// Takes the windows that have calls of the tenants asked for.
    pub fn of<'a>(
        windows: impl IntoIterator<Item = &'a LoadWindow>,
        of_tenant: impl Fn(Option<&str>) -> bool,
    ) -> Self {
        let mut sparse: Vec<Vec<(u64, u64)>> = Vec::new();
        for window in windows {
            let rows = window.latency.iter().filter(|l| of_tenant(l.tenant.as_deref()));
            let buckets: Vec<(u64, u64)> = rows.flat_map(|l| l.buckets().iter().copied()).collect();
            if !buckets.is_empty() {
                sparse.push(buckets);
            }
        }
        let mut values: Vec<u64> = sparse.iter().flatten().map(|(value, _)| *value).collect();
        values.sort_unstable();
        values.dedup();
        let place = |value: u64| values.binary_search(&value).expect("every value was collected");
        let windows =
            sparse.iter().map(|w| w.iter().map(|(value, count)| (place(*value), *count)).collect()).collect();
        Self { values, windows }
    }

    /// Windows with calls.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// A percentile (0 to 100) of the windows picked, milliseconds; `None` when none is.
    pub fn percentile_ms(&self, picked: &[usize], percentile: f64) -> Option<f64> {
        let [value] = self.percentiles_ms(picked, [percentile]);
        value
    }

    /// Several percentiles, ascending, of the windows picked.
    pub fn percentiles_ms<const N: usize>(
        &self,
        picked: &[usize],
        percentiles: [f64; N],
    ) -> [Option<f64>; N] {
        let mut counts = vec![0u64; self.values.len()];
        for pick in picked {
            for (place, count) in &self.windows[*pick] {
                counts[*place] += count;
            }
        }
        let all: u64 = counts.iter().sum();
        let mut seen = 0;
        let mut at = 0;
        percentiles.map(|percentile| {
            let wanted = ((percentile / 100.0) * all as f64).ceil().max(1.0) as u64;
            while seen < wanted {
                seen += counts.get(at)?;
                at += 1;
            }
            self.values.get(at.checked_sub(1)?).map(|value| *value as f64 / 1e3)
        })
    }

    /// A percentile of all windows.
    pub fn overall_ms(&self, percentile: f64) -> Option<f64> {
        let all: Vec<usize> = (0..self.len()).collect();
        self.percentile_ms(&all, percentile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::LatencyOf;

    fn window(micros: u64) -> LoadWindow {
        let mut histogram = LatencyOf::histogram();
        histogram.record_n(micros, 100).unwrap();
        LoadWindow { latency: vec![LatencyOf::new("PutRecord", None, &histogram)], ..LoadWindow::default() }
    }

    #[test]
    fn two_halves_of_the_same_noise_differ_by_an_interval_around_zero() {
        let values: Vec<f64> = (0..40).map(|n| f64::from(n * 7 % 11)).collect();
        let mean = |picked: &[usize]| picked.iter().map(|p| values[*p]).sum::<f64>() / picked.len() as f64;
        let interval = bootstrap((40, 40), USUAL, |a, b| Some(mean(b) - mean(a))).unwrap();
        assert!(interval.contains(0.0), "{interval:?}");
        assert!(interval.high - interval.low < 4.0, "{interval:?}");
    }

    #[test]
    fn a_true_difference_lies_outside_the_interval_of_chance() {
        let slow: Vec<_> = (0..20).map(|n| window(2_000 + n)).collect();
        let fast: Vec<_> = (0..20).map(|n| window(1_000 + n)).collect();
        let (slow, fast) = (WindowLatencies::of(&slow, |_| true), WindowLatencies::of(&fast, |_| true));
        let difference =
            |a: &[usize], b: &[usize]| Some(slow.percentile_ms(b, 99.0)? - fast.percentile_ms(a, 99.0)?);
        let interval = bootstrap((20, 20), USUAL, difference).unwrap();
        assert!(interval.low > 0.9 && interval.high < 1.1, "{interval:?}");
    }

    #[test]
    fn percentiles_of_windows_are_those_of_one_histogram_over_them() {
        let windows: Vec<_> = (1..200).map(|n| window(n * n * 10)).collect();
        let whole = crate::series::ArmSeries::latencies(&windows, |_| true);
        let split = WindowLatencies::of(&windows, |_| true);
        for percentile in [1.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
            let expected = whole.value_at_percentile(percentile) as f64 / 1e3;
            assert_eq!(split.overall_ms(percentile), Some(expected), "p{percentile}");
        }
        let all: Vec<usize> = (0..split.len()).collect();
        let together = split.percentiles_ms(&all, [50.0, 99.0, 99.9]);
        assert_eq!(together, [50.0, 99.0, 99.9].map(|p| split.overall_ms(p)));
        assert_eq!(split.percentile_ms(&[], 50.0), None);
    }

    #[test]
    fn nothing_to_resample_gives_no_interval() {
        assert_eq!(bootstrap((0, 5), USUAL, |_, _| Some(1.0)), None);
        assert_eq!(bootstrap((5, 5), USUAL, |_, _| None), None);
    }
}
