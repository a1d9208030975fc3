//! S8 and S9: restarted too fast, the fleet eats itself; at a pace, it comes back along a slope.

use crate::series::{At, Calls, Cohort, LoadWindow, Phase, PhaseKind, ServerEvent, ServerHappening};

use super::{
    decay::slope,
    facts::Facts,
    noise::{USUAL, WindowLatencies, bootstrap},
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

/// Calls of so many milliseconds are judged together against the members that served.
const STRETCH_MS: u64 = 2_000;

/// S8: needs a phase that restarts faster than the rest can bear.
pub(super) fn judge_fast(facts: &Facts<'_>) -> Verdict {
    let Some(phase) = facts.phases(PhaseKind::FastRestart).next() else {
        return not_applicable(SignatureId::S8, "the arm has no fast-restart phase");
    };
    let span = (phase.start, phase.end_or(facts.series.end()));
    let mut trial = Trial::of(SignatureId::S8);
    trial.shows_at(Some(phase.start));
    let boots = boots(facts, span);
    let points: Vec<(f64, f64)> = boots.iter().map(|b| (b.1 as f64, b.0)).collect();
    // A boot ends with an answer to /ready, which is asked ten times a second: one straight line through a few of them
    // slopes upward half the time.
    let rise = bootstrap((points.len(), 1), USUAL, |picked, _| {
        slope(&picked.iter().map(|boot| points[*boot]).collect::<Vec<_>>())
    });
    trial.ask(
        "boots take longer the more of them run at once, beyond the noise",
        rise.is_some_and(|interval| interval.low > 0.0),
        rise.map_or(format!("only {} boots", boots.len()), |i| {
            let (low, high) = (i.low * 1e3, i.high * 1e3);
            format!("{low:.0} to {high:.0} ms more for each other boot, over {} boots", boots.len())
        }),
    );
    slower(facts, span, &mut trial);
    let row = |at: At| facts.series.control.iter().rfind(|c| c.at <= at).and_then(|c| c.health_removals);
    let removed = row(span.1).unwrap_or(0).saturating_sub(row(span.0).unwrap_or(0));
    trial.ask("health checks take slow servers out", removed > 0, format!("{removed} removals"));
    let counts: Vec<u64> =
        facts.serving().into_iter().filter(|(at, _)| *at >= span.0 && *at <= span.1).map(|c| c.1).collect();
    let teeth = teeth(&counts);
    trial.ask(
        "the number of serving members saws",
        teeth >= 2,
        format!("{teeth} falls of two or more after a rise"),
    );
    trial.verdict(format!("{} boots hinder each other; {removed} healthy servers were removed", boots.len()))
}

/// Boot time in seconds and other boots under way at its start.
fn boots(facts: &Facts<'_>, span: (At, At)) -> Vec<(f64, usize)> {
    let mut open: Vec<(crate::series::ServerId, At, usize)> = Vec::new();
    let mut boots = Vec::new();
    for event in facts.series.events.iter().filter(|e| e.at >= span.0 && e.at <= span.1) {
        match event.happening {
            ServerHappening::Started { .. } => open.push((event.server, event.at, open.len())),
            ServerHappening::Ready => {
                if let Some(found) = open.iter().position(|b| b.0 == event.server) {
                    let (_, start, others) = open.swap_remove(found);
                    boots.push((event.at.secs_since(start), others));
                }
            }
            ServerHappening::Told => {}
            ServerHappening::Stopped | ServerHappening::Exited { .. } => {
                open.retain(|b| b.0 != event.server);
            }
        }
    }
    boots
}

fn slower(facts: &Facts<'_>, span: (At, At), trial: &mut Trial) {
    let steady = facts.baseline().into_iter().flat_map(|b| facts.series.windows(b));
    let before = WindowLatencies::of(steady, |_| true);
    let during = WindowLatencies::of(facts.series.windows(span), |_| true);
    let change = bootstrap((before.len(), during.len()), USUAL, |b, d| {
        Some(during.percentile_ms(d, 99.0)? - before.percentile_ms(b, 99.0)?)
    });
    trial.ask(
        "members that serve get slow: p99 rises beyond the noise",
        change.is_some_and(|interval| interval.low > 0.0),
        change.map_or("no calls succeeded".to_owned(), |i| format!("by {:.2} to {:.2} ms", i.low, i.high)),
    );
}

/// Falls of at least two members that follow a rise of at least two. The fall with which every restart begins is none.
fn teeth(counts: &[u64]) -> usize {
    let (mut teeth, mut low, mut high) = (0, u64::MAX, 0);
    for &count in counts {
        if high < low.saturating_add(2) {
            // Not risen yet: the rise is counted from the lowest point of the fall.
            low = low.min(count);
            high = if low == count { count } else { high.max(count) };
        } else if count + 2 <= high {
            teeth += 1;
            (low, high) = (count, count);
        } else {
            high = high.max(count);
        }
    }
    teeth
}

/// S9: needs a paced restart of a fleet that was down.
pub(super) fn judge_paced(facts: &Facts<'_>) -> Verdict {
    let Some(phase) = facts.phases(PhaseKind::Restart).next() else {
        return not_applicable(SignatureId::S9, "the arm has no paced restart");
    };
    if facts.refusals.is_empty() {
        return not_applicable(SignatureId::S9, facts.no_refusal());
    }
    let mut trial = Trial::of(SignatureId::S9);
    trial.shows_at(Some(phase.start));
    let span = (phase.start, phase.end_or(facts.series.end()));
    let points: Vec<(f64, f64)> = facts
        .serving()
        .into_iter()
        .filter(|(at, _)| *at >= span.0 && *at <= span.1)
        .map(|(at, count)| (at.secs(), count as f64))
        .collect();
    let pace = growth(facts, span, &points, &mut trial);
    capacity_first(facts, span, &mut trial);
    let knee = knee(facts, phase, span, &mut trial);
    let recovery = facts.series.stage(crate::series::Stage::Recovery);
    let errors = recovery.and_then(|span| facts.error_ratio(span));
    trial.ask(
        "afterwards the fleet is well (success of 99 % or more)",
        errors.is_some_and(|ratio| ratio <= 0.01),
        errors.map_or("no calls".to_owned(), |ratio| format!("{:.2} % success", (1.0 - ratio) * 100.0)),
    );
    trial.verdict(format!("serving members came back {pace}; callers were halfway back {knee}"))
}

/// Serving members grow in proportion to time: a straight line at the pace of the restarts.
fn growth(facts: &Facts<'_>, span: (At, At), points: &[(f64, f64)], trial: &mut Trial) -> String {
    let fitted = slope(points).unwrap_or(0.0);
    let fit = straightness(points);
    trial.ask(
        "serving members grow along a straight line (R² of 0.85 or more)",
        fitted > 0.0 && fit >= 0.85,
        format!("{fitted:.2} a second, R² {fit:.2}"),
    );
    let (served, restarted) = (pace(points), pace(&restarted(facts, span, points)));
    let tell = |pace: Option<f64>| pace.map_or("never".to_owned(), |pace| format!("{pace:.2} a second"));
    let asked = facts.series.setup.restart_per_second;
    trial.ask(
        "at the pace at which servers that were down are restarted (within 30 %)",
        served.zip(restarted).is_some_and(|(served, restarted)| (served / restarted - 1.0).abs() <= 0.3),
        format!("serving {}, restarted {}, asked for {}", tell(served), tell(restarted), tell(asked)),
    );
    tell(served)
}

/// How many of the servers that were down had been restarted at the time of each point. A restart of a healthy server
/// brings nobody back, and a busy host restarts more slowly than it was asked to.
fn restarted(facts: &Facts<'_>, span: (At, At), points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let down = |id| {
        let track = facts.front_ends.iter().find(|t| t.info.id == id);
        let original = track.is_some_and(|t| t.info.cohort == Cohort::Original);
        original && facts.refusals.iter().any(|r| r.server == id)
    };
    let started = |e: &&ServerEvent| matches!(e.happening, ServerHappening::Started { .. }) && down(e.server);
    let within = facts.series.events.iter().filter(|e| e.at >= span.0 && e.at <= span.1);
    let times: Vec<f64> = within.filter(started).map(|e| e.at.secs()).collect();
    points.iter().map(|(at, _)| (*at, times.iter().filter(|t| *t <= at).count() as f64)).collect()
}

/// How much a count rises a second between a tenth and nine tenths of its rise, so that neither a late start nor an idle
/// end counts; `None` when it rises by fewer than four.
fn pace(points: &[(f64, f64)]) -> Option<f64> {
    let low = points.first()?.1;
    let rise = points.iter().map(|p| p.1).fold(low, f64::max) - low;
    let reached = |share: f64| points.iter().find(|p| p.1 >= low + share * rise).map(|p| p.0);
    let length = reached(0.9)? - reached(0.1)?;
    (rise >= 4.0 && length > 0.0).then(|| 0.8 * rise / length)
}

/// The share of the variance that a straight line explains.
fn straightness(points: &[(f64, f64)]) -> f64 {
    let Some(b) = slope(points) else { return 0.0 };
    let n = points.len() as f64;
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let whole: f64 = points.iter().map(|p| (p.1 - y).powi(2)).sum();
    let rest: f64 = points.iter().map(|p| (p.1 - y - b * (p.0 - x)).powi(2)).sum();
    if whole > 0.0 { 1.0 - rest / whole } else { 0.0 }
}

/// Success never runs ahead of the members that serve. A call goes to one endpoint of the list, drawn evenly, and is not
/// tried again, so that s serving of n listed members answer s/n of the calls. Judged over two seconds at a time, with
/// the most that served and the fewest that were listed in and around them; give or take three standard errors.
fn capacity_first(facts: &Facts<'_>, span: (At, At), trial: &mut Trial) {
    // Also of the looks after the phase: its last window may end behind it.
    let serving = facts.serving();
    let windows: Vec<&LoadWindow> = facts.series.windows(span).collect();
    let together = windows.first().map_or(1, |w| (STRETCH_MS / w.length_ms.max(1)).max(1));
    let mut worst: f64 = 0.0;
    for stretch in windows.chunks(together as usize) {
        let (from, to) = (stretch[0].at.secs() - 1.0, stretch[stretch.len() - 1].end().secs() + 1.0);
        let around = |at: f64| at >= from && at <= to;
        let serving =
            serving.iter().filter(|look| around(look.0.secs())).map(|look| look.1).max().unwrap_or(0);
        let rows = facts.series.control.iter().filter(|c| around(c.at.secs()));
        let listed =
            rows.filter_map(|c| c.in_rotation).min().unwrap_or(u64::from(facts.series.setup.front_ends));
        let reachable = (serving as f64 / (listed as f64).max(1.0)).min(1.0);
        let calls: Calls = stretch.iter().map(|w| w.calls()).collect();
        let count = (calls.succeeded + calls.failed).max(1) as f64;
        // A share of n calls is at most 1 / (2 sqrt n) off its mean, standard deviation.
        let chance = 3.0 * 0.5 / count.sqrt();
        worst = worst.max(calls.success_ratio().unwrap_or(0.0) - reachable - chance);
    }
    trial.ask(
        "errors fall only as capacity comes back (give or take three standard errors)",
        worst <= 0.0,
        match worst {
            ..=0.0 => "success never ahead of the serving members".to_owned(),
            _ => format!("success {worst:.2} further ahead of the serving members than chance explains"),
        },
    );
}

/// Where callers are halfway back, as a share of the restart.
fn knee(facts: &Facts<'_>, phase: &Phase, span: (At, At), trial: &mut Trial) -> String {
    let windows: Vec<&LoadWindow> = facts.series.windows((span.0, facts.series.end())).collect();
    let success = |w: &LoadWindow| w.calls().success_ratio().unwrap_or(0.0);
    let first = windows.first().map_or(0.0, |w| success(w));
    let last = windows.last().map_or(0.0, |w| success(w));
    let middle = (first + last) / 2.0;
    let crossed =
        windows.windows(2).find(|pair| pair.iter().all(|w| success(w) >= middle)).map(|pair| pair[0].at);
    let length = span.1.secs_since(phase.start);
    let share = crossed.map(|at| at.secs_since(phase.start) / length);
    let found = share.map_or("never".to_owned(), |s| format!("{:.0} % into the restart", s * 100.0));
    trial.ask(
        "callers are halfway back near the middle of the restart (15 % to 85 %)",
        last > first && share.is_some_and(|s| (0.15..=0.85).contains(&s)),
        found.clone(),
    );
    found
}

#[cfg(test)]
mod tests {
    use super::teeth;

    #[test]
    fn a_tooth_is_a_fall_after_a_rise_and_never_the_first_fall() {
        assert_eq!(teeth(&[30, 28, 26, 24]), 0, "it only falls");
        assert_eq!(teeth(&[30, 10, 12, 20, 30]), 0, "it falls once and comes back");
        assert_eq!(teeth(&[30, 30, 20, 21, 20, 21, 19]), 0, "a wobble of one is none");
        assert_eq!(teeth(&[30, 20, 24, 18, 22, 22, 16, 30]), 2);
        assert_eq!(teeth(&[10, 12, 11, 10, 12, 10]), 2);
        assert_eq!(teeth(&[]), 0);
    }
}
