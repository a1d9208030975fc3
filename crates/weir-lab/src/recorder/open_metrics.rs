//! Reads OpenMetrics text: names, labels, values; no types, no exemplars, no timestamps.
//!
//! The recorder parses every `/metrics` answer with it, thousands in a run: one pass, borrowed names. It must never
//! fail on a line that it does not understand: a server may say more than we know.

use std::collections::HashMap;

/// The samples of one scrape.
#[derive(Debug, Default)]
pub(super) struct Metrics<'a> {
    samples: HashMap<&'a str, Vec<Sample<'a>>>,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample<'a> {
    /// What stands between the braces.
    labels: &'a str,
    value: f64,
}

impl<'a> Metrics<'a> {
    /// Reads the text of an answer.
    pub(super) fn parse(text: &'a str) -> Self {
        let mut samples: HashMap<&str, Vec<Sample<'_>>> = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, sample)) = parse_line(line) {
                samples.entry(name).or_default().push(sample);
            }
        }
        Self { samples }
    }

    /// The value of a metric, summed over its labels. `None` when there is no such metric.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        let samples = self.samples.get(name)?;
        Some(samples.iter().map(|sample| sample.value).sum())
    }

    /// The value of a metric that counts: never below zero, rounded.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.get(name).map(|value| value.max(0.0).round() as u64)
    }

    /// As [`Metrics::count`], over the samples whose label `label` passes `wanted`.
    pub(super) fn count_where(&self, name: &str, label: &str, wanted: impl Fn(&str) -> bool) -> Option<u64> {
        let samples = self.samples.get(name)?;
        let chosen = samples.iter().filter(|sample| label_of(sample.labels, label).is_some_and(&wanted));
        Some(chosen.map(|sample| sample.value).sum::<f64>().max(0.0).round() as u64)
    }
}

fn parse_line(line: &str) -> Option<(&str, Sample<'_>)> {
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let end = closing_brace(rest)?;
            (name, &rest[..end], &rest[end + 1..])
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, "", rest)
        }
    };
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some((name, Sample { labels, value }))
}

/// Where the labels end: at the first brace outside quotes.
fn closing_brace(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    text.bytes().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return true,
            _ => {}
        }
        false
    })
}

/// The value of one label, as it is written (escapes stay).
fn label_of<'a>(labels: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = labels;
    while let Some((name, after)) = rest.split_once("=\"") {
        let bytes = after.as_bytes();
        let end = (0..bytes.len()).find(|&at| bytes[at] == b'"' && (at == 0 || bytes[at - 1] != b'\\'))?;
        if name.trim_start_matches(',') == wanted {
            return Some(&after[..end]);
        }
        rest = &after[end + 1..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP weir_frontend_requests Requests.
# TYPE weir_frontend_requests counter
weir_frontend_requests_total{operation=\"PutRecord\",code=\"ok\"} 17
weir_frontend_requests_total{operation=\"PutRecord\",code=\"Service}\\\"x\"} 3 1700000000
weir_frontend_shard_map_age_seconds 1.25
weir_bad_line
weir_bad_value nothing
# EOF
";

    #[test]
    fn values_are_summed_over_labels_and_chosen_by_them() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.count("weir_frontend_requests_total"), Some(20));
        assert_eq!(
            metrics.count_where("weir_frontend_requests_total", "code", |code| code == "ok"),
            Some(17)
        );
        assert_eq!(metrics.count_where("weir_frontend_requests_total", "code", |code| code != "ok"), Some(3));
        assert_eq!(metrics.get("weir_frontend_shard_map_age_seconds"), Some(1.25));
    }

    #[test]
    fn what_is_not_there_or_not_understood_is_nothing_and_never_zero() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.get("weir_bad_value"), None);
        assert_eq!(metrics.get("weir_bad_line"), None);
        assert_eq!(metrics.count_where("weir_frontend_requests_total", "cell", |_| true), Some(0));
    }

    #[test]
    fn no_text_makes_it_panic() {
        for text in ["{", "a{", "a{b=\"", "a{b=\"c\\\"} 1", "a} 1", "a{} ", "é{ü=\"x\"} 5"] {
            let _ = Metrics::parse(text).get("a");
        }
    }
}
