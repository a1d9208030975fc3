//! Questions that every reader of a series asks: which windows belong to a stage, how many calls failed, how late.
//!
//! Used by the oracle, the summary, the comparison and the report, so that "success ratio" means one thing. Pure
//! reading; no judgement.

use hdrhistogram::Histogram;

use super::{
    ArmSeries, At, LatencyOf, LoadWindow, Phase, PhaseKind, Role, ServerInfo, ServerMetrics, ServerSample,
};

/// The stretches that the summary speaks of: three of the run, and all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Before the trigger.
    Baseline,
    /// From the trigger to the first restart (or to the end, when nothing is restarted).
    Cliff,
    /// After the last restart (or, without one, the recovery phases).
    Recovery,
    /// All phases, the restarts between the cliff and the recovery among them.
    Throughout,
}

impl Stage {
    /// All, in the order of time.
    pub const ALL: [Self; 4] = [Self::Baseline, Self::Cliff, Self::Recovery, Self::Throughout];

    /// When it is, as part of a sentence.
    pub const fn when(self) -> &'static str {
        match self {
            Self::Baseline => "in the baseline",
            Self::Cliff => "in the cliff",
            Self::Recovery => "in the recovery",
            Self::Throughout => "throughout",
        }
    }
}

/// Calls that ended, by success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// Succeeded.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
}

impl Calls {
    /// Succeeded and failed.
    pub const fn total(&self) -> u64 {
        self.succeeded + self.failed
    }

    /// Share that succeeded; `None` when there were none.
    pub fn success_ratio(&self) -> Option<f64> {
        (self.total() > 0).then(|| self.succeeded as f64 / self.total() as f64)
    }

    /// Share that failed; `None` when there were none.
    pub fn error_ratio(&self) -> Option<f64> {
        self.success_ratio().map(|ratio| 1.0 - ratio)
    }

    fn add(&mut self, other: Self) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
    }
}

impl FromIterator<Self> for Calls {
    fn from_iter<I: IntoIterator<Item = Self>>(parts: I) -> Self {
        let mut sum = Self::default();
        for part in parts {
            sum.add(part);
        }
        sum
    }
}

/// One server's rows, in the order of time.
#[derive(Debug, Clone)]
pub struct Track<'a> {
    /// Whose.
    pub info: &'a ServerInfo,
    /// Its samples.
    pub samples: Vec<&'a ServerSample>,
}

impl<'a> Track<'a> {
    /// Samples from `start` up to and including `end`.
    pub fn between(&self, (start, end): (At, At)) -> impl Iterator<Item = &'a ServerSample> + '_ {
        self.samples.iter().copied().filter(move |s| s.at >= start && s.at <= end)
    }

    /// How much a counter rose within a span, over restarts: a value below the one before starts again from zero, and
    /// so does a server that was not seen before the span. `None` when the counter was never seen in it.
    pub fn rise(&self, span: (At, At), counter: impl Fn(&ServerSample) -> Option<f64>) -> Option<f64> {
        let mut last = self.samples.iter().rev().filter(|s| s.at < span.0).find_map(|s| counter(s));
        let mut rise = None;
        for value in self.between(span).filter_map(counter) {
            let step = match last {
                Some(last) if value >= last => value - last,
                Some(_) | None => value,
            };
            rise = Some(rise.unwrap_or(0.0) + step);
            last = Some(value);
        }
        rise
    }

    /// Processor seconds a second within a span; `None` with fewer than two samples.
    pub fn cpu_rate(&self, span: (At, At)) -> Option<f64> {
        let first = self.between(span).next()?.at;
        let last = self.between(span).last()?.at;
        let rise = self.rise((At(first.0 + 1), last), |s| Some(s.cpu_seconds))?;
        (last > first).then(|| rise / last.secs_since(first))
    }
}

/// The value of a metric in a sample, when the server answered and has it.
pub(crate) fn metric<T>(sample: &ServerSample, of: impl Fn(&ServerMetrics) -> Option<T>) -> Option<T> {
    sample.metrics.as_ref().and_then(of)
}

impl LoadWindow {
    /// How the window's calls ended, over all operations.
    pub fn calls(&self) -> Calls {
        let mut calls = Calls::default();
        for outcome in &self.outcomes {
            match outcome.error {
                None => calls.succeeded += outcome.count,
                Some(_) => calls.failed += outcome.count,
            }
        }
        calls
    }

    /// The end of the window.
    pub fn end(&self) -> At {
        At(self.at.0 + self.length_ms)
    }
}

/// Shares of calls that did not start when they were meant to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lateness {
    /// Calls meant to start.
    pub offered: u64,
    /// Of those, the ones that started late.
    pub starts: u64,
    /// Of those, the ones that the load generator itself came to late; `None` where that was not recorded.
    pub dispatches: Option<u64>,
}

impl Lateness {
    /// Share that started late; `None` without calls.
    pub fn starts_ratio(&self) -> Option<f64> {
        (self.offered > 0).then(|| self.starts as f64 / self.offered as f64)
    }

    /// Share that the load generator came to late; `None` without calls, or where it was not recorded.
    pub fn dispatches_ratio(&self) -> Option<f64> {
        self.dispatches.filter(|_| self.offered > 0).map(|late| late as f64 / self.offered as f64)
    }
}

impl<'a> FromIterator<&'a LoadWindow> for Lateness {
    fn from_iter<I: IntoIterator<Item = &'a LoadWindow>>(windows: I) -> Self {
        windows.into_iter().fold(Self { dispatches: Some(0), ..Self::default() }, |sum, w| Self {
            offered: sum.offered + w.offered,
            starts: sum.starts + w.late_starts,
            dispatches: sum.dispatches.zip(w.late_dispatches).map(|(sum, late)| sum + late),
        })
    }
}

/// A percentile (0 to 100) of latencies in milliseconds; `None` unless at least one call in them lies beyond it: the 99th
/// percentile of sixty calls is the slowest of them, and says nothing of one call in a hundred.
pub fn percentile_ms(histogram: &Histogram<u64>, percentile: f64) -> Option<f64> {
    let beyond = histogram.len() as f64 * (1.0 - percentile / 100.0);
    // A hundred calls times 0.01 is a little less than one in binary.
    (beyond + 1e-6 >= 1.0).then(|| histogram.value_at_percentile(percentile) as f64 / 1e3)
}

impl Phase {
    /// The end, or `last` while it is open.
    pub fn end_or(&self, last: At) -> At {
        self.end.unwrap_or(last)
    }
}

impl ArmSeries {
    /// Every server's rows.
    pub fn tracks(&self) -> Vec<Track<'_>> {
        let mut tracks: Vec<Track<'_>> =
            self.servers.iter().map(|info| Track { info, samples: Vec::new() }).collect();
        for sample in &self.samples {
            tracks[sample.server.0 as usize].samples.push(sample);
        }
        tracks
    }

    /// The rows of the servers of one role.
    pub fn tracks_of(&self, role: Role) -> Vec<Track<'_>> {
        self.tracks().into_iter().filter(|t| t.info.role == role).collect()
    }

    /// Latencies of the calls that succeeded in `windows`, microseconds from intended start, over the tenants for
    /// which `of_tenant` says yes (`None` is a row that does not tell tenants apart).
    pub fn latencies<'a>(
        windows: impl IntoIterator<Item = &'a LoadWindow>,
        of_tenant: impl Fn(Option<&str>) -> bool,
    ) -> Histogram<u64> {
        let mut sum = LatencyOf::histogram();
        for latency in windows.into_iter().flat_map(|w| &w.latency) {
            if of_tenant(latency.tenant.as_deref()) {
                latency.add_to(&mut sum);
            }
        }
        sum
    }

    /// The moments at which servers were looked at: all servers of one look share one.
    pub fn looks(&self) -> Vec<At> {
        let mut looks: Vec<At> = self.samples.iter().map(|s| s.at).collect();
        looks.sort_unstable();
        looks.dedup();
        looks
    }

    /// From the first phase's start to the last one's end; `None` when no phase began.
    pub fn phased(&self) -> Option<(At, At)> {
        let start = self.phases.first()?.start;
        let last = self.phases.iter().rev().find_map(|p| p.end);
        Some((start, last.unwrap_or(self.end()).max(start)))
    }

    /// Share of the sample windows of all phases in which the servers were looked at; a recorder that a busy host does
    /// not let run misses some. `None` when no phase lasted a window.
    pub fn recorded_ratio(&self) -> Option<f64> {
        let (start, end) = self.phased()?;
        let due = (end.0 - start.0) / self.setup.window_ms.max(1);
        let seen = self.looks().into_iter().filter(|at| *at >= start && *at <= end).count();
        (due > 0).then(|| (seen as f64 / due as f64).min(1.0))
    }

    /// The last moment that anything was recorded of.
    pub fn end(&self) -> At {
        let phase = self.phases.last().map(|p| p.end.unwrap_or(p.start));
        let sample = self.samples.last().map(|s| s.at);
        let load = self.load.last().map(LoadWindow::end);
        [phase, sample, load].into_iter().flatten().max().unwrap_or_default()
    }

    /// The first phase of a kind.
    pub fn phase(&self, kind: PhaseKind) -> Option<&Phase> {
        self.phases.iter().find(|p| p.action == kind)
    }

    /// When the trigger was pulled.
    pub fn trigger(&self) -> Option<At> {
        self.phase(PhaseKind::Add).map(|p| p.start)
    }

    /// The span of a stage; `None` when the arm has no such stretch.
    pub fn stage(&self, stage: Stage) -> Option<(At, At)> {
        let restarts = |p: &&Phase| matches!(p.action, PhaseKind::Restart | PhaseKind::FastRestart);
        let end = self.end();
        match stage {
            Stage::Baseline => self.phase(PhaseKind::Baseline).map(|p| (p.start, p.end_or(end))),
            Stage::Cliff => {
                let start = self.trigger()?;
                let first_restart = self.phases.iter().find(restarts).map(|p| p.start);
                let recovery = self.phase(PhaseKind::Recovery).map(|p| p.start);
                Some((start, first_restart.or(recovery).unwrap_or(end)))
            }
            Stage::Recovery => {
                let restarted = self.phases.iter().rfind(restarts).and_then(|p| p.end);
                let start = self.phase(PhaseKind::Recovery).map(|p| p.start).or(restarted)?;
                (start < end).then_some((start, end))
            }
            Stage::Throughout => self.phased(),
        }
    }

    /// Load windows that start within a span. Phases follow each other, so that each window belongs to exactly one.
    pub fn windows(&self, (start, end): (At, At)) -> impl Iterator<Item = &LoadWindow> {
        self.load.iter().filter(move |w| w.at >= start && w.at < end)
    }

    /// The load windows of a stage. Throughout the run no call may be left out: the window in which the first phase
    /// starts counts as well.
    pub fn windows_of(&self, stage: Stage) -> impl Iterator<Item = &LoadWindow> {
        let span = self.stage(stage).map(|(start, end)| match stage {
            Stage::Throughout => {
                let overlaps = |w: &&LoadWindow| w.end() > start && w.at < end;
                (self.load.iter().find(overlaps).map_or(start, |w| w.at), end)
            }
            Stage::Baseline | Stage::Cliff | Stage::Recovery => (start, end),
        });
        span.into_iter().flat_map(|span| self.windows(span))
    }
}
