//! Points by metric and period, with a horizon: bounded in names and in points. Pure: time comes from outside.
//!
//! The reader's thread writes it, workers and alarms read it. What is older than the horizon is gone; what lies in a
//! future that no clock of one host can have is turned away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_core::clock::WallMs;

/// Metrics that are kept; the data of one more are turned away.
const NAMES_MAX: usize = 1_024;

/// One value of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Datum {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) at: WallMs,
}

/// Number of a period since 1970.
pub(super) type Period = u64;

/// The data of one period.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Point {
    sum: f64,
    count: u64,
}

/// One period of a metric, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct ShownPoint {
    /// When the period began, milliseconds since 1970.
    time_ms: u64,
    average: f64,
    count: u64,
}

/// The points of all metrics.
#[derive(Debug)]
pub(super) struct MetricStore {
    period_ms: u64,
    points_max: u64,
    metrics: BTreeMap<String, BTreeMap<Period, Point>>,
    turned_away: u64,
}

impl MetricStore {
    /// An empty store with periods of `period_ms`, which keeps the last `points_max` of them.
    pub(super) fn new(period_ms: u64, points_max: u64) -> Self {
        Self { period_ms, points_max, metrics: BTreeMap::new(), turned_away: 0 }
    }

    /// The period that `at` lies in.
    pub(super) fn period(&self, at: WallMs) -> Period {
        at.0 / self.period_ms
    }

    /// Takes a value in, unless it is beyond the horizon, in the future, or of one metric too many.
    pub(super) fn put(&mut self, now: WallMs, datum: Datum) {
        let (current, period) = (self.period(now), self.period(datum.at));
        let known = self.metrics.len() < NAMES_MAX || self.metrics.contains_key(&datum.name);
        // One period ahead: clocks of callers are read a moment before ours, and may be corrected in between.
        if !known || period > current + 1 || period + self.points_max <= current {
            self.turned_away += 1;
            return;
        }
        let point = self.metrics.entry(datum.name).or_default().entry(period).or_default();
        point.sum += datum.value;
        point.count += 1;
    }

    /// Drops what is beyond the horizon.
    pub(super) fn forget(&mut self, now: WallMs) {
        let first = (self.period(now) + 1).saturating_sub(self.points_max);
        self.metrics.retain(|_, points| {
            *points = points.split_off(&first);
            !points.is_empty()
        });
    }

    /// The average of a metric in a period; `None` without data.
    pub(super) fn average(&self, name: &str, period: Period) -> Option<f64> {
        let point = self.metrics.get(name)?.get(&period)?;
        Some(point.sum / point.count as f64)
    }

    /// What is kept of a metric, oldest first.
    pub(super) fn points(&self, name: &str) -> Vec<ShownPoint> {
        let points = self.metrics.get(name).into_iter().flatten();
        let shown = points.map(|(period, point)| ShownPoint {
            time_ms: period * self.period_ms,
            average: point.sum / point.count as f64,
            count: point.count,
        });
        shown.collect()
    }

    /// Metrics that it holds.
    pub(super) fn len(&self) -> usize {
        self.metrics.len()
    }

    /// Values that it did not take.
    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn datum(name: &str, value: f64, at: u64) -> Datum {
        Datum { name: name.into(), value, at: WallMs(at) }
    }

    #[test]
    fn data_of_one_period_are_one_point_until_the_horizon_passes_it() {
        let mut store = MetricStore::new(1_000, 3);
        store.put(WallMs(10_500), datum("m", 1.0, 10_000));
        store.put(WallMs(10_500), datum("m", 4.0, 10_999));
        store.put(WallMs(10_500), datum("m", 7.0, 8_000));
        store.put(WallMs(10_500), datum("m", 7.0, 7_999));
        store.put(WallMs(10_500), datum("m", 7.0, 12_000));
        assert_eq!(store.turned_away(), 2, "before the horizon, and in the future");
        assert_eq!(
            (store.average("m", 10), store.average("m", 9), store.average("m", 8)),
            (Some(2.5), None, Some(7.0))
        );
        store.forget(WallMs(11_000));
        let point = |time_ms, average, count| ShownPoint { time_ms, average, count };
        assert_eq!(store.points("m"), [point(10_000, 2.5, 2)]);
        store.forget(WallMs(13_000));
        assert_eq!((store.len(), store.points("m")), (0, vec![]));
    }

    #[test]
    fn a_metric_too_many_is_turned_away_and_the_others_go_on() {
        let mut store = MetricStore::new(1, 1);
        for number in 0..=NAMES_MAX {
            store.put(WallMs(5), datum(&number.to_string(), 1.0, 5));
        }
        store.put(WallMs(5), datum("0", 1.0, 5));
        assert_eq!((store.len(), store.turned_away()), (NAMES_MAX, 1));
    }

    proptest! {
        #[test]
        fn points_stay_within_the_horizon_and_no_datum_vanishes(
            data in prop::collection::vec((0..3u32, 0..20_000u64, 0..500u64), 0..80)
        ) {
            let mut store = MetricStore::new(1_000, 4);
            let (mut now, mut put) = (10_000, 0);
            for (name, at, later) in data {
                now += later;
                store.put(WallMs(now), datum(&name.to_string(), 1.0, at));
                put += 1;
                for name in 0..3u32 {
                    let points = store.points(&name.to_string());
                    let kept: u64 = points.iter().map(|point| point.count).sum();
                    prop_assert!(kept <= put);
                }
            }
            let kept: u64 = (0..3u32).flat_map(|n| store.points(&n.to_string())).map(|p| p.count).sum();
            prop_assert_eq!(kept + store.turned_away(), put);
            store.forget(WallMs(now));
            for name in 0..3u32 {
                let points = store.points(&name.to_string());
                prop_assert!(points.len() <= 5, "the horizon and one period ahead");
                prop_assert!(points.iter().all(|point| point.time_ms + 4_000 > now / 1_000 * 1_000));
            }
        }
    }
}
