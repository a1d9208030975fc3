//! The lines of one run's plots, thinned.
//!
//! Used by the page's data only.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    oracle::Facts,
    report::thin::{groups, round, steps, tenths},
    series::{
        ArmSeries, At, Cohort, ConsumerSample, ControlSample, Lateness, LoadWindow, Role, Track, metric,
    },
};

use super::latency::{self, LatencyLine};

/// Kinds of failing calls (operation and code) that are drawn apart; the rest are summed up.
const ERROR_KINDS_MAX: usize = 7;
/// What the rest is called.
const OTHERS: &str = "other kinds";
/// Calls that a tenant should have in one stretch of its strip.
const TENANT_CALLS: u64 = 5;
/// Windows that one stretch of a strip may take in at most: moments must stay visible.
const TENANT_WINDOWS_MAX: usize = 8;
/// Tenants that get a row of their own.
const TENANTS_MAX: usize = 96;

/// One front end or cache server.
#[derive(Debug, Serialize)]
pub(super) struct ServerLine<'a> {
    name: &'a str,
    role: Role,
    joiner: bool,
    cell: &'a str,
    limit: Option<u64>,
    threads: Vec<i64>,
    known: Vec<i64>,
    /// Seconds, at `age_times`.
    age: Vec<Option<f64>>,
    age_times: Vec<u64>,
    /// When it was first refused a thread, and what it had then.
    refused: Option<(u64, u32)>,
}

/// What callers saw.
#[derive(Debug, Default, Serialize)]
pub(super) struct LoadLines<'a> {
    times: Vec<u64>,
    success: Vec<Option<f64>>,
    calls: Vec<f64>,
    /// Share of the calls that started late, and of those that the load generator itself came to late.
    late: Vec<Option<f64>>,
    late_dispatches: Vec<Option<f64>>,
    latencies: Vec<LatencyLine>,
    tenant_times: Vec<u64>,
    tenants: Vec<TenantLine<'a>>,
    errors: Vec<ErrorLine>,
}

#[derive(Debug, Serialize)]
struct TenantLine<'a> {
    name: &'a str,
    cell: &'a str,
    /// Success in hundredths; null without calls.
    success: Vec<Option<u8>>,
}

#[derive(Debug, Serialize)]
struct ErrorLine {
    kind: String,
    /// Errors a second.
    rate: Vec<f64>,
}

/// One consumer.
#[derive(Debug, Serialize)]
pub(super) struct ConsumerLine<'a> {
    name: &'a str,
    policy: &'a str,
    capacity: u64,
    times: Vec<u64>,
    fill: Vec<u64>,
    /// Share of the sign-ins since the last point that failed.
    sign_in_failed: Vec<Option<f64>>,
    /// Share of the alarms without data.
    dark: Vec<Option<f64>>,
    lag: Vec<Option<f64>>,
    dropped: u64,
    spilled: u64,
}

/// Registered members of the largest cell: its front ends and, where there are some, its cache servers, as its members
/// know them.
pub(super) fn members(series: &ArmSeries) -> Vec<i64> {
    let cells = series.setup.cells.len().max(1) as u64;
    let largest = |c: &ControlSample| Some(c.registered.iter().max()? + c.cache_servers / cells);
    steps(series.control.iter().map(|c| (c.at.0, largest(c))), u64::MAX / 2)
}

/// Front ends that can route, in hundredths of those that are up.
pub(super) fn serving(series: &ArmSeries) -> Vec<i64> {
    let mut up: BTreeMap<At, u64> = BTreeMap::new();
    for sample in series.tracks_of(Role::Frontend).iter().flat_map(|t| &t.samples) {
        *up.entry(sample.at).or_default() += 1;
    }
    let rows = Facts::of(series).serving().into_iter();
    let share = |(at, count): (At, u64)| (at.0, up.get(&at).and_then(|all| (count * 100).checked_div(*all)));
    steps(rows.map(share), u64::MAX / 2)
}

pub(super) fn servers(series: &ArmSeries, points: usize) -> Vec<ServerLine<'_>> {
    let gap = gap_ms(series);
    let fleet = |t: &Track<'_>| matches!(t.info.role, Role::Frontend | Role::Cache);
    series.tracks().into_iter().filter(fleet).map(|track| server(&track, gap, points)).collect()
}

/// A server that was missing for longer than this was not there; shorter, the recorder was late.
fn gap_ms(series: &ArmSeries) -> u64 {
    let looks = series.looks();
    let mut between: Vec<u64> = looks.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    between.sort_unstable();
    let slow = between.get(between.len() * 9 / 10).copied().unwrap_or(0);
    (slow * 2).max(3 * series.setup.window_ms)
}

fn server<'a>(track: &Track<'a>, gap: u64, points: usize) -> ServerLine<'a> {
    let samples = &track.samples;
    let known = |s: &&crate::series::ServerSample| (s.at.0, metric(s, |m| m.known_members));
    let ages: Vec<(u64, Option<f64>)> =
        samples.iter().map(|s| (s.at.0, metric(s, |m| m.map_age_seconds))).collect();
    let oldest = |ages: &[Option<f64>]| ages.iter().copied().flatten().reduce(f64::max).map(round);
    let ages = groups(&ages, points, oldest);
    let refused = samples.iter().find(|s| metric(s, |m| m.refusals).is_some_and(|r| r > 0));
    ServerLine {
        name: &track.info.name,
        role: track.info.role,
        joiner: track.info.cohort == Cohort::Joiner,
        cell: track.info.cell.as_deref().unwrap_or(""),
        limit: samples.iter().find_map(|s| s.limit),
        threads: steps(samples.iter().map(|s| (s.at.0, Some(u64::from(s.threads)))), gap),
        known: steps(samples.iter().map(known), gap),
        age: ages.iter().map(|(_, age)| *age).collect(),
        age_times: ages.iter().map(|(ms, _)| tenths(*ms)).collect(),
        refused: refused.map(|s| (tenths(s.at.0), s.threads)),
    }
}

/// Time, smallest, middle and largest resident memory of a front end, MiB.
pub(super) fn memory(series: &ArmSeries, points: usize) -> Vec<(u64, f64, f64, f64)> {
    let mut rows: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for sample in series.tracks_of(Role::Frontend).iter().flat_map(|t| &t.samples) {
        rows.entry(sample.at.0).or_default().push(sample.rss_bytes);
    }
    let rows: Vec<(u64, (u64, u64, u64))> = rows
        .into_iter()
        .map(|(ms, mut sizes)| {
            sizes.sort_unstable();
            (ms, (sizes[0], sizes[sizes.len() / 2], sizes[sizes.len() - 1]))
        })
        .collect();
    let mib = |bytes: u64| round(bytes as f64 / f64::from(1 << 20));
    groups(&rows, points, |chunk| chunk[chunk.len() / 2])
        .into_iter()
        .map(|(ms, (low, middle, high))| (tenths(ms), mib(low), mib(middle), mib(high)))
        .collect()
}

/// Time, cores that all nodes use together, and appends that wait in them.
pub(super) fn back_end(series: &ArmSeries, points: usize) -> Vec<(u64, f64, u64)> {
    let mut rows: BTreeMap<u64, (f64, u64)> = BTreeMap::new();
    for track in series.tracks_of(Role::Backend) {
        for pair in track.samples.windows(2) {
            let span = pair[1].at.secs_since(pair[0].at);
            let spent = pair[1].cpu_seconds - pair[0].cpu_seconds;
            let row = rows.entry(pair[1].at.0).or_default();
            row.0 += if span > 0.0 && spent >= 0.0 { spent / span } else { 0.0 };
            row.1 += metric(pair[1], |m| m.append_queue).unwrap_or(0);
        }
    }
    let rows: Vec<(u64, (f64, u64))> = rows.into_iter().collect();
    let middle = |chunk: &[(f64, u64)]| {
        let cores = chunk.iter().map(|(cores, _)| cores).sum::<f64>() / chunk.len() as f64;
        (cores, chunk.iter().map(|(_, queue)| *queue).max().unwrap_or(0))
    };
    groups(&rows, points, middle)
        .into_iter()
        .map(|(ms, (cores, queue))| (tenths(ms), round(cores), queue))
        .collect()
}

pub(super) fn load(series: &ArmSeries, points: usize) -> LoadLines<'_> {
    let size = series.load.len().div_ceil(points.max(1)).max(1);
    let kinds = error_kinds(series);
    let mut lines = LoadLines {
        tenants: series
            .setup
            .tenants
            .iter()
            .take(TENANTS_MAX)
            .map(|t| TenantLine { name: &t.name, cell: &t.cell, success: Vec::new() })
            .collect(),
        errors: kinds.iter().map(|kind| ErrorLine { kind: kind.clone(), rate: Vec::new() }).collect(),
        latencies: latency::lines(series, size),
        ..LoadLines::default()
    };
    for windows in series.load.chunks(size) {
        point(&mut lines, windows, &kinds);
    }
    for windows in series.load.chunks(size.max(windows_for_tenants(series))) {
        tenant_point(&mut lines, windows);
    }
    lines
}

/// Windows to take together so that a tenant has some calls in them: a share of one call is no share.
fn windows_for_tenants(series: &ArmSeries) -> usize {
    let calls: u64 = series.load.iter().map(|w| w.calls().total()).sum();
    let wanted = TENANT_CALLS * (series.setup.tenants.len() * series.load.len()) as u64;
    usize::try_from(wanted.div_ceil(calls.max(1))).map_or(1, |n| n.clamp(1, TENANT_WINDOWS_MAX))
}

fn tenant_point(lines: &mut LoadLines<'_>, windows: &[LoadWindow]) {
    lines.tenant_times.push(tenths(windows[0].at.0));
    for line in &mut lines.tenants {
        let rows = windows.iter().flat_map(|w| &w.tenants).filter(|t| t.tenant == line.name);
        let (ok, all) = rows.fold((0, 0), |sum, t| (sum.0 + t.succeeded, sum.1 + t.succeeded + t.failed));
        line.success.push((ok * 100).checked_div(all).map(|share| share.min(100) as u8));
    }
}

/// One point of every load line from some neighbouring windows.
fn point(lines: &mut LoadLines<'_>, windows: &[LoadWindow], kinds: &[String]) {
    let seconds = windows.iter().map(|w| w.length_ms).sum::<u64>().max(1) as f64 / 1e3;
    let calls: crate::series::Calls = windows.iter().map(LoadWindow::calls).collect();
    let late: Lateness = windows.iter().collect();
    lines.times.push(tenths(windows[0].at.0));
    lines.success.push(calls.success_ratio().map(|ratio| (ratio * 1e4).floor() / 1e4));
    lines.calls.push(round(calls.total() as f64 / seconds));
    lines.late.push(late.starts_ratio().map(round));
    lines.late_dispatches.push(late.dispatches_ratio().map(round));
    for line in &mut lines.errors {
        let named = |kind: &str| kinds.iter().any(|k| k == kind);
        let of_kind = |kind: &str| if line.kind == OTHERS { !named(kind) } else { kind == line.kind };
        let outcomes = windows.iter().flat_map(|w| &w.outcomes);
        let errors =
            outcomes.filter_map(|o| Some((format!("{} {}", o.operation, o.error.as_ref()?), o.count)));
        let count: u64 = errors.filter(|(kind, _)| of_kind(kind)).map(|(_, count)| count).sum();
        line.rate.push(round(count as f64 / seconds));
    }
}

/// The most frequent kinds of failing calls, and one for the rest when there are more.
fn error_kinds(series: &ArmSeries) -> Vec<String> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for outcome in series.load.iter().flat_map(|w| &w.outcomes) {
        if let Some(error) = &outcome.error {
            *counts.entry(format!("{} {error}", outcome.operation)).or_default() += outcome.count;
        }
    }
    let mut kinds: Vec<(String, u64)> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    kinds.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let more = kinds.len() > ERROR_KINDS_MAX;
    let mut names: Vec<String> = kinds.into_iter().take(ERROR_KINDS_MAX).map(|(kind, _)| kind).collect();
    if more {
        names.push(OTHERS.to_owned());
    }
    names
}

pub(super) fn consumers(series: &ArmSeries, points: usize) -> Vec<ConsumerLine<'_>> {
    let mut names: Vec<&str> = Vec::new();
    for sample in &series.consumers {
        if !names.contains(&sample.consumer.as_str()) {
            names.push(&sample.consumer);
        }
    }
    names.into_iter().map(|name| consumer(series, name, points)).collect()
}

fn consumer<'a>(series: &'a ArmSeries, name: &'a str, points: usize) -> ConsumerLine<'a> {
    let rows: Vec<(u64, &ConsumerSample)> =
        series.consumers.iter().filter(|c| c.consumer == name).map(|c| (c.at.0, c)).collect();
    let last = rows[rows.len() - 1].1;
    let fullest = |chunk: &[&'a ConsumerSample]| {
        let most = chunk.iter().map(|c| c.buffer_fill).max().unwrap_or(0);
        (most, chunk[chunk.len() - 1])
    };
    let thin = groups(&rows, points, fullest);
    let mut line = ConsumerLine {
        name,
        policy: &last.policy,
        capacity: last.buffer_capacity,
        times: thin.iter().map(|(ms, _)| tenths(*ms)).collect(),
        fill: thin.iter().map(|(_, (fill, _))| *fill).collect(),
        sign_in_failed: Vec::new(),
        dark: Vec::new(),
        lag: thin.iter().map(|(_, (_, c))| c.lag_seconds.map(round)).collect(),
        dropped: last.dropped,
        spilled: last.spilled,
    };
    let mut before = (0, 0);
    for (_, (_, sample)) in &thin {
        let now = (sample.sign_ins_ok.unwrap_or(0), sample.sign_ins_failed.unwrap_or(0));
        let (ok, failed) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
        before = now;
        line.sign_in_failed.push((ok + failed > 0).then(|| round(failed as f64 / (ok + failed) as f64)));
        line.dark.push(sample.alarms.and_then(|a| {
            let all = a.ok + a.alarm + a.insufficient_data;
            (all > 0).then(|| round(a.insufficient_data as f64 / all as f64))
        }));
    }
    line
}
