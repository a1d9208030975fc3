//! What the judges have in common, read once from a series: refusals, decaying maps, first errors, stretches of time.
//!
//! Used by every judge, the summary and the report, so that "the first error" is one moment everywhere.

use crate::series::{
    ArmSeries, At, Calls, Cohort, LoadWindow, Mesh, Phase, PhaseKind, Role, ServerId, ServerSample, Stage,
    Track, metric,
};

use super::prediction::Prediction;

/// Errors below this share are the steady state's own (S1).
pub(super) const STEADY_ERRORS_MAX: f64 = 0.001;
/// Two windows in a row with this share of errors are where errors begin.
const ONSET_ERRORS: f64 = 0.01;
/// Two windows in a row with this share of errors are what an operator would be called for.
const ALARM_ERRORS: f64 = 0.05;
/// A tenant with more errors than this in the cliff was affected.
const AFFECTED_ERRORS: f64 = 0.01;

/// The first time a server was refused a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// When it was seen.
    pub at: At,
    /// Who was refused.
    pub server: ServerId,
    /// Members it was building for: itself, those it had threads for, and the refused one.
    pub members: u64,
}

/// A map that grew old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decay {
    /// Whose map.
    pub server: ServerId,
    /// When it was last whole.
    pub since: At,
}

/// Facts derived from a series.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The series.
    pub series: &'a ArmSeries,
    /// Rows of the front ends.
    pub front_ends: Vec<Track<'a>>,
    /// Rows of the cache servers.
    pub caches: Vec<Track<'a>>,
    /// Rows of the back-end nodes.
    pub nodes: Vec<Track<'a>>,
    /// Where the first refusal must come.
    pub prediction: Prediction,
    /// First refusals, in the order of time.
    pub refusals: Vec<Refusal>,
    /// Front ends whose map reached half its time to live before the first restart, by the start of its decay.
    pub decays: Vec<Decay>,
    /// The start of the first of two windows with one error in a hundred, after the trigger.
    pub first_error: Option<At>,
    /// The start of the first of two windows with five errors in a hundred, after the trigger.
    pub alarm: Option<At>,
    looks: Vec<At>,
}

impl<'a> Facts<'a> {
    /// Reads them.
    pub fn of(series: &'a ArmSeries) -> Self {
        let front_ends = series.tracks_of(Role::Frontend);
        let caches = series.tracks_of(Role::Cache);
        let mut facts = Self {
            series,
            prediction: Prediction::of(&series.setup, caches.len() as u64),
            nodes: series.tracks_of(Role::Backend),
            front_ends,
            caches,
            refusals: Vec::new(),
            decays: Vec::new(),
            first_error: None,
            alarm: None,
            looks: series.looks(),
        };
        facts.refusals = facts.find_refusals();
        facts.decays = facts.find_decays();
        facts.first_error = facts.first_pair_above(ONSET_ERRORS);
        facts.alarm = facts.first_pair_above(ALARM_ERRORS);
        facts
    }

    /// The steady stretch before the trigger.
    pub fn baseline(&self) -> Option<(At, At)> {
        self.series.stage(Stage::Baseline)
    }

    /// From the trigger to the first restart.
    pub fn cliff(&self) -> Option<(At, At)> {
        self.series.stage(Stage::Cliff)
    }

    /// From the trigger to the removal of what was added (or to the cliff's end).
    pub(super) fn grown(&self) -> Option<(At, At)> {
        let (start, end) = self.cliff()?;
        let removal = self.series.phase(PhaseKind::Remove).map(|p| p.start);
        Some((start, removal.unwrap_or(end)))
    }

    /// Why what follows from a refusal cannot be asked for.
    pub(super) fn no_refusal(&self) -> String {
        match self.first_error {
            None => "nobody was refused a thread, and callers saw no lasting errors".to_owned(),
            Some(_) => {
                "nobody was refused a thread: the errors that callers saw have another cause".to_owned()
            }
        }
    }

    /// Two sample windows: what looking at all servers and asking the registry may take.
    pub(super) const fn slack_ms(&self) -> u64 {
        2 * self.series.setup.window_ms
    }

    /// The look before the one at `at`: what was first seen at `at` happened after it.
    pub(super) fn look_before(&self, at: At) -> At {
        let before = self.looks.partition_point(|look| *look < at);
        before.checked_sub(1).map_or(At(0), |place| self.looks[place])
    }

    /// Errors as a share of calls over whole windows of a span.
    pub(super) fn error_ratio(&self, span: (At, At)) -> Option<f64> {
        let calls: Calls = self.series.windows(span).map(LoadWindow::calls).collect();
        calls.error_ratio()
    }

    /// The smallest size of what the prediction counts at which a server whose law counts was refused.
    pub fn observed_n_star(&self) -> Option<u64> {
        let law = self.series.setup.law;
        let counted = |r: &&Refusal| self.series.servers[r.server.0 as usize].role == law.role;
        let least = self.refusals.iter().filter(counted).map(|r| r.members).min()?;
        // A cache server reaches its mesh (itself included) and the front ends it serves; only these are counted.
        let mesh = if law.per_client > 0 { self.caches.len() as u64 } else { 0 };
        Some(least.saturating_sub(mesh))
    }

    /// Threads that the kernel refused, over all servers and lives, as counted at the call.
    pub fn refusals_total(&self) -> u64 {
        let whole = (At(0), At(u64::MAX));
        let counted = |t: &Track<'_>| t.rise(whole, |s| metric(s, |m| m.refusals.map(|r| r as f64)));
        self.fleet().filter_map(counted).sum::<f64>() as u64
    }

    /// Front ends and cache servers: those whose threads may grow with the fleet.
    pub(super) fn fleet(&self) -> impl Iterator<Item = &Track<'a>> {
        self.front_ends.iter().chain(&self.caches)
    }

    /// Index of a front end's cell in the setup.
    pub(super) fn cell_of(&self, track: &Track<'_>) -> usize {
        let cell = track.info.cell.as_deref();
        self.series.setup.cells.iter().position(|c| Some(c.as_str()) == cell).unwrap_or(0)
    }

    /// Front ends of a cell that were there from the start.
    pub(super) fn originals_in(&self, cell: usize) -> u64 {
        let there = |t: &&Track<'_>| t.info.cohort == Cohort::Original && self.cell_of(t) == cell;
        self.front_ends.iter().filter(there).count() as u64
    }

    /// The most members that a cell had registered.
    pub(super) fn largest(&self, cell: usize) -> u64 {
        self.series.control.iter().filter_map(|c| c.registered.get(cell)).max().copied().unwrap_or(0)
    }

    /// The most of what N* counts that there was at one time.
    pub fn largest_counted(&self) -> u64 {
        match self.series.setup.law {
            law if law.per_client > 0 => {
                let mesh = law.base + law.per_peer * (self.caches.len() as u64).saturating_sub(1);
                let threads = self.caches.iter().flat_map(|t| &t.samples).map(|s| u64::from(s.threads)).max();
                threads.unwrap_or(0).saturating_sub(mesh) / law.per_client
            }
            law if law.role == Role::Cache => self.caches.len() as u64,
            _ => (0..self.series.setup.cells.len()).map(|cell| self.largest(cell)).max().unwrap_or(0),
        }
    }

    /// Threads of all cache servers together at every sampling of a span that met all of them.
    pub(super) fn cache_threads(&self, (start, end): (At, At)) -> Vec<u64> {
        let mut sums = std::collections::BTreeMap::new();
        for sample in self.caches.iter().flat_map(|t| t.between((start, end))) {
            let sum = sums.entry(sample.at).or_insert((0, 0));
            *sum = (sum.0 + 1, sum.1 + u64::from(sample.threads));
        }
        sums.into_values().filter(|(seen, _)| *seen == self.caches.len()).map(|(_, sum)| sum).collect()
    }

    /// Threads of all cache servers together by the law, with `front_ends` front ends, each served by one of them.
    pub(super) fn cache_law(&self, front_ends: u64) -> u64 {
        let (law, caches) = (self.series.setup.law, self.caches.len() as u64);
        caches * (law.base + law.per_peer * caches.saturating_sub(1)) + law.per_client * front_ends
    }

    /// Cells in which a front end was refused a thread.
    pub(super) fn cells_over(&self) -> Vec<usize> {
        let mut cells: Vec<usize> = self
            .refusals
            .iter()
            .filter_map(|r| self.front_ends.iter().find(|t| t.info.id == r.server))
            .map(|t| self.cell_of(t))
            .collect();
        cells.sort_unstable();
        cells.dedup();
        cells
    }

    /// The calls of a window that met a cell which outgrew its limit: all of them, unless only some cells did.
    pub(super) fn exposed_calls(&self, window: &LoadWindow) -> Calls {
        let over = self.cells_over();
        if over.is_empty() || over.len() == self.series.setup.cells.len() {
            return window.calls();
        }
        let setup = &self.series.setup;
        let exposed = |name: &str| {
            let tenant = setup.tenants.iter().find(|t| t.name == name);
            tenant.is_some_and(|t| over.iter().any(|cell| setup.cells[*cell] == t.cell))
        };
        let rows = window.tenants.iter().filter(|t| exposed(&t.tenant));
        rows.map(|t| Calls { succeeded: t.succeeded, failed: t.failed }).collect()
    }

    /// Threads that a front end of a cell with `members` members has by the law, if nothing limits it.
    pub(super) fn front_end_law(&self, members: u64) -> u64 {
        let setup = &self.series.setup;
        match setup.mesh {
            Mesh::ThreadPerPeer => setup.base_threads + setup.threads_per_peer * members.saturating_sub(1),
            Mesh::Multiplexed | Mesh::CacheFleet => setup.base_threads,
        }
    }

    /// Front ends that can route at each sampling, by time: ready, with a map younger than its time to live.
    pub fn serving(&self) -> Vec<(At, u64)> {
        let ttl = self.series.setup.map_ttl_ms as f64 / 1e3;
        let mut counts = std::collections::BTreeMap::new();
        for sample in self.front_ends.iter().flat_map(|t| &t.samples) {
            let fresh =
                metric(sample, |m| m.map_age_seconds.filter(|_| m.ready)).is_some_and(|age| age <= ttl);
            *counts.entry(sample.at).or_insert(0) += u64::from(fresh);
        }
        counts.into_iter().collect()
    }

    /// Names of the tenants with more than one error in a hundred in the cliff.
    pub fn tenants_affected(&self) -> Vec<&'a str> {
        let Some(cliff) = self.cliff() else { return Vec::new() };
        let mut affected = Vec::new();
        for tenant in &self.series.setup.tenants {
            let rows =
                self.series.windows(cliff).flat_map(|w| &w.tenants).filter(|t| t.tenant == tenant.name);
            let (ok, failed) = rows.fold((0, 0), |sum, t| (sum.0 + t.succeeded, sum.1 + t.failed));
            if failed as f64 > AFFECTED_ERRORS * (ok + failed) as f64 {
                affected.push(tenant.name.as_str());
            }
        }
        affected
    }

    /// From when callers were served as in the steady state until the end; `None` while they are not.
    pub fn recovered(&self) -> Option<At> {
        let first = self.first_error?;
        let bad = |w: &&LoadWindow| w.calls().error_ratio().is_some_and(|ratio| ratio >= ONSET_ERRORS);
        let last_bad = self.series.load.iter().rfind(bad)?.end();
        let after = self.series.load.iter().filter(|w| w.at >= last_bad).count();
        (last_bad > first && after >= 3).then_some(last_bad)
    }

    /// The phases of one kind.
    pub(super) fn phases(&self, kind: PhaseKind) -> impl Iterator<Item = &'a Phase> {
        self.series.phases.iter().filter(move |p| p.action == kind)
    }

    fn find_refusals(&self) -> Vec<Refusal> {
        let k = self.series.setup.law.per_peer.max(1);
        let mut refusals = Vec::new();
        for track in self.fleet() {
            let refused = |s: &&&ServerSample| metric(s, |m| m.refusals).is_some_and(|r| r > 0);
            let Some(first) = track.samples.iter().position(|s| refused(&s)) else { continue };
            // A refusal is counted as it comes; what else the server says of itself, and at how many members that was, it
            // says a moment later: a look may come between.
            let whole = |s: &&&ServerSample| metric(s, |m| m.refused_at_members).is_some();
            let sample = track.samples[first..].iter().take_while(refused).find(whole);
            let sample = sample.unwrap_or(&track.samples[first]);
            let told = metric(sample, |m| m.refused_at_members);
            // Without the server's own word: itself, the peers whose threads run, and the one that was refused.
            let counted = metric(sample, |m| m.peer_threads).unwrap_or(0) / k + 2;
            let members = told.unwrap_or(counted);
            refusals.push(Refusal { at: sample.at, server: track.info.id, members });
        }
        refusals.sort_by_key(|r| (r.at, r.server));
        refusals
    }

    fn find_decays(&self) -> Vec<Decay> {
        let Some(cliff) = self.cliff() else { return Vec::new() };
        let half = self.series.setup.map_ttl_ms as f64 / 2e3;
        let mut decays = Vec::new();
        for track in &self.front_ends {
            let old = |s: &&ServerSample| age(s).is_some_and(|age| age >= half);
            let Some(sample) = track.between(cliff).find(old) else { continue };
            let ms = (age(sample).unwrap_or(0.0) * 1e3).round() as u64;
            decays.push(Decay { server: track.info.id, since: At(sample.at.0.saturating_sub(ms)) });
        }
        decays.sort_by_key(|d| (d.since, d.server));
        decays
    }

    fn first_pair_above(&self, share: f64) -> Option<At> {
        let trigger = self.series.trigger()?;
        let above = |w: &LoadWindow| w.calls().error_ratio().is_some_and(|ratio| ratio >= share);
        let windows: Vec<&LoadWindow> = self.series.load.iter().filter(|w| w.at >= trigger).collect();
        windows.windows(2).find(|pair| above(pair[0]) && above(pair[1])).map(|pair| pair[0].at)
    }
}

/// A server's map age in seconds.
pub(super) fn age(sample: &ServerSample) -> Option<f64> {
    metric(sample, |m| m.map_age_seconds)
}

/// The middle of some numbers.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}
