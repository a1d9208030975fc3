//! The latencies of one run's plot: each percentile over stretches in which enough calls succeeded to tell it.
//!
//! Used by the page's data only. A window of sixty calls has no 99th percentile, only a slowest call: that one is drawn
//! for each window, under its own name, and a percentile for as many neighbouring windows as it takes. A stretch never
//! reaches over the border of a phase or over a window in which nothing succeeded.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    report::thin::{round, tenths},
    series::{ArmSeries, LatencyOf, LoadWindow, percentile_ms},
};

/// Name in the page and percentile.
const PERCENTILES: [(&str, f64); 3] = [("p50", 50.0), ("p99", 99.0), ("p999", 99.9)];
/// The name of the line of the slowest calls.
const SLOWEST: &str = "slowest";

/// A line that is level over each stretch.
#[derive(Debug, Serialize)]
pub(super) struct LatencyLine {
    name: &'static str,
    from: Vec<u64>,
    until: Vec<u64>,
    ms: Vec<f64>,
}

impl LatencyLine {
    const fn new(name: &'static str) -> Self {
        Self { name, from: Vec::new(), until: Vec::new(), ms: Vec::new() }
    }

    fn push(&mut self, first: &LoadWindow, last: &LoadWindow, ms: f64) {
        self.from.push(tenths(first.at.0));
        self.until.push(tenths(last.end().0));
        self.ms.push(round(ms));
    }
}

/// The slowest call of every `size` windows, and the percentiles that the calls can tell.
pub(super) fn lines(series: &ArmSeries, size: usize) -> Vec<LatencyLine> {
    let mut slowest = LatencyLine::new(SLOWEST);
    for windows in series.load.chunks(size.max(1)) {
        let all = windows.iter().flat_map(|w| &w.latency).flat_map(|l| l.buckets().last());
        if let Some((most, _)) = all.max() {
            slowest.push(&windows[0], &windows[windows.len() - 1], *most as f64 / 1e3);
        }
    }
    let spans = spans(series);
    let percentile = |(name, percentile)| {
        let mut line = LatencyLine::new(name);
        for span in &spans {
            within(span, percentile, size, &mut line);
        }
        line
    };
    let drawn = PERCENTILES.into_iter().map(percentile).filter(|line| !line.ms.is_empty());
    std::iter::once(slowest).filter(|line| !line.ms.is_empty()).chain(drawn).collect()
}

/// Neighbouring windows of one phase in all of which something succeeded.
fn spans(series: &ArmSeries) -> Vec<Vec<&LoadWindow>> {
    let phase = |w: &LoadWindow| series.phases.iter().rposition(|p| p.start <= w.at);
    let mut spans: Vec<Vec<&LoadWindow>> = Vec::new();
    let mut open = None;
    for window in &series.load {
        if window.latency.iter().all(|l| l.buckets().is_empty()) {
            open = None;
            continue;
        }
        let here = Some(phase(window));
        match spans.last_mut() {
            Some(span) if open == here => span.push(window),
            _ => spans.push(vec![window]),
        }
        open = here;
    }
    spans
}

/// The stretches of one span: each as short as it may be, the rest with the last of them.
fn within(span: &[&LoadWindow], percentile: f64, size: usize, line: &mut LatencyLine) {
    let mut stretches: Vec<(usize, Histogram<u64>)> = Vec::new();
    let (mut start, mut sum) = (0, LatencyOf::histogram());
    for (number, window) in span.iter().enumerate() {
        window.latency.iter().for_each(|l| l.add_to(&mut sum));
        if number + 1 - start >= size && percentile_ms(&sum, percentile).is_some() {
            stretches.push((start, std::mem::replace(&mut sum, LatencyOf::histogram())));
            start = number + 1;
        }
    }
    if let Some((_, last)) = stretches.last_mut() {
        last.add(&sum).expect("histograms of one precision");
    }
    for (number, (start, histogram)) in stretches.iter().enumerate() {
        let end = stretches.get(number + 1).map_or(span.len(), |next| next.0) - 1;
        if let Some(ms) = percentile_ms(histogram, percentile) {
            line.push(span[*start], span[end], ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{At, synthetic::Recipe};

    /// A series whose windows of a second have `calls` of one to `calls` milliseconds each.
    fn series(calls: u64) -> ArmSeries {
        let mut series = Recipe::shared().play();
        let window = |second: u64| LoadWindow {
            at: At(second * 1_000),
            length_ms: 1_000,
            latency: vec![LatencyOf::of_values("PutRecord", None, (1..=calls).map(|n| n * 1_000).collect())],
            ..LoadWindow::default()
        };
        series.load = (0..72).map(window).collect();
        series
    }

    fn line<'a>(lines: &'a [LatencyLine], name: &str) -> Option<&'a LatencyLine> {
        lines.iter().find(|line| line.name == name)
    }

    #[test]
    fn a_percentile_is_drawn_over_as_many_windows_as_can_tell_it_and_not_at_all_over_fewer() {
        let drawn = lines(&series(15), 1);
        assert_eq!(line(&drawn, "slowest").unwrap().ms.len(), 72);
        assert_eq!(line(&drawn, "p50").unwrap().ms.len(), 72);
        let p99 = line(&drawn, "p99").unwrap();
        // Seven windows have 105 calls; phases of 2, 3 and 8 seconds have none, none and one stretch.
        assert_eq!((p99.from[0], p99.until[0]), (0, 100), "the rest of a phase goes with its last stretch");
        assert_eq!((p99.from[1], p99.until[1]), (130, 200), "none in the three seconds of the joins");
        assert!(p99.ms.iter().all(|ms| *ms < 15.1), "{:?}", p99.ms);
        assert!(line(&drawn, "p999").is_none(), "a thousand calls there are not in any phase");
        assert!(line(&lines(&series(70), 1), "p999").is_some());
    }

    #[test]
    fn a_stretch_ends_where_nothing_succeeds() {
        let mut cut = series(15);
        cut.load[25].latency.clear();
        let drawn = lines(&cut, 1);
        let p99 = line(&drawn, "p99").unwrap();
        assert_eq!((p99.from[1], p99.until[1]), (130, 250));
        assert_eq!(p99.from[2], 260);
    }
}
