//! One consumer in the series: what it says of itself, joined with what its callers saw.
//!
//! A window of calls is known only when its last call has ended, some seconds after the consumer was looked at. Samples wait
//! here until the calls up to their moment are known, so that both halves of a row are of the same time.

use std::{collections::VecDeque, path::PathBuf};

use hdrhistogram::Histogram;
use weir_loadgen::windows::{LatencyKind, WindowLine, WindowReader};

use super::{RecordError, metric_names, open_metrics::Metrics};
use crate::{
    scenario::plan::ConsumerPlan,
    series::{At, ConsumerKind, ConsumerSample, LatencyOf},
};

/// A consumer and the calls to it.
#[derive(Debug)]
pub(super) struct ConsumerTrack {
    plan: ConsumerPlan,
    windows: PathBuf,
    reader: Option<WindowReader>,
    waiting: VecDeque<ConsumerSample>,
    calls: Calls,
}

/// Calls up to the last window that was read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Calls {
    succeeded: u64,
    failed: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl ConsumerTrack {
    /// Nothing is known yet.
    pub(super) fn new(plan: ConsumerPlan, windows: PathBuf) -> Self {
        Self { plan, windows, reader: None, waiting: VecDeque::new(), calls: Calls::default() }
    }

    /// Takes what the consumer says of itself.
    pub(super) fn note(&mut self, at: At, metrics: &Metrics<'_>) {
        self.waiting.push_back(metric_names::consumer(at, &self.plan, metrics));
    }

    /// The samples whose calls are known by now; all of them when `all` is set. `wall_zero_ms` is the wall clock at the
    /// arm's zero.
    pub(super) fn take(&mut self, wall_zero_ms: u64, all: bool) -> Result<Vec<ConsumerSample>, RecordError> {
        let mut done = Vec::new();
        if self.reader.is_none() && self.windows.exists() {
            self.reader = Some(WindowReader::open(&self.windows)?);
        }
        while let Some(reader) = &mut self.reader {
            let Some(line) = reader.read()? else { break };
            self.calls.add(&line).map_err(RecordError::Histogram)?;
            let end = At((line.wall_ms + line.length_ms).saturating_sub(wall_zero_ms));
            done.extend(self.hand_out(|sample| sample.at <= end));
        }
        if all {
            done.extend(self.hand_out(|_| true));
        }
        Ok(done)
    }

    fn hand_out(&mut self, known: impl Fn(&ConsumerSample) -> bool) -> Vec<ConsumerSample> {
        let count = self.waiting.iter().take_while(|sample| known(sample)).count();
        let mut samples: Vec<_> = self.waiting.drain(..count).collect();
        if self.plan.service == ConsumerKind::AuthCache {
            for sample in &mut samples {
                sample.sign_ins_ok = Some(self.calls.succeeded);
                sample.sign_ins_failed = Some(self.calls.failed);
                sample.sign_in_p50_ms = self.calls.p50_ms;
                sample.sign_in_p99_ms = self.calls.p99_ms;
            }
        }
        samples
    }
}

impl Calls {
    fn add(&mut self, line: &WindowLine) -> Result<(), String> {
        for ended in &line.outcomes {
            match ended.code {
                None => self.succeeded += ended.count,
                Some(_) => self.failed += ended.count,
            }
        }
        let mut all: Histogram<u64> = LatencyOf::histogram();
        for latency in line.latencies.iter().filter(|latency| latency.kind != LatencyKind::Service) {
            all.add(latency.histogram()?).map_err(|error| error.to_string())?;
        }
        let at = |quantile| (!all.is_empty()).then(|| all.value_at_quantile(quantile) as f64 / 1e3);
        (self.p50_ms, self.p99_ms) = (at(0.5), at(0.99));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use weir_loadgen::windows::OutcomeLine;

    use super::*;

    fn line(window: u64, ok: u64, failed: u64) -> String {
        let ended = |code: Option<&str>, count| OutcomeLine {
            tenant: "default".into(),
            operation: "SignIn".into(),
            code: code.map(str::to_owned),
            count,
        };
        let line = WindowLine {
            window,
            start_ms: window * 500,
            wall_ms: 10_000 + window * 500,
            length_ms: 500,
            offered: ok + failed,
            succeeded: ok,
            late_starts: 0,
            late_dispatches: 0,
            records: 0,
            bytes: 0,
            outcomes: vec![ended(None, ok), ended(Some("timeout"), failed)],
            latencies: Vec::new(),
        };
        format!("{}\n", serde_json::to_string(&line).unwrap())
    }

    #[test]
    fn a_sample_waits_for_the_calls_of_its_moment_and_none_is_lost_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windows.ndjson");
        let plan = ConsumerPlan {
            name: "auth".into(),
            service: ConsumerKind::AuthCache,
            policy: "block".into(),
            buffer: 10,
            rate: 20.0,
            deliveries: 40.0,
        };
        let mut track = ConsumerTrack::new(plan, path.clone());
        for at in [400, 900, 1_400] {
            track.note(At(at), &Metrics::parse(""));
        }
        assert_eq!(track.take(10_000, false).unwrap(), [], "no calls are known yet");
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(line(0, 10, 0).as_bytes()).unwrap();
        file.write_all(line(1, 4, 6).as_bytes()).unwrap();
        let known = track.take(10_000, false).unwrap();
        let seen: Vec<_> = known.iter().map(|row| (row.at.0, row.sign_ins_ok, row.sign_ins_failed)).collect();
        assert_eq!(seen, [(400, Some(10), Some(0)), (900, Some(14), Some(6))]);
        assert_eq!(track.take(10_000, true).unwrap()[0].at, At(1_400));
    }
}
