//! S3: the kernel's limit is met at N*, by old and new servers alike, and nothing else looks wrong.

use crate::series::{At, Cohort, Role, ServerHappening, ServerSample, Track, metric};

use super::{
    facts::{Facts, median},
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

/// Resident bytes that one more thread may cost: its touched stack and the allocator's share, with room.
const RSS_PER_THREAD_MAX: u64 = 96 << 10;
/// Processor seconds a second that a front end may use without being called busy, whatever it used before.
const CPU_ORDINARY: f64 = 0.1;

pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let Some(grown) = facts.grown() else {
        return not_applicable(SignatureId::S3, "the arm adds no capacity");
    };
    let largest = facts.largest_counted();
    let due = facts.prediction.n_star.is_some_and(|n| largest >= n);
    if !due && facts.refusals.is_empty() {
        let reason = match facts.prediction.n_star {
            Some(n) => {
                format!("{largest} {} stay below N* = {n}, and nobody was refused", facts.prediction.counts)
            }
            None => "threads do not grow with the fleet, and nobody was refused".to_owned(),
        };
        return not_applicable(SignatureId::S3, reason);
    }
    let mut trial = Trial::of(SignatureId::S3);
    trial.shows_at(facts.refusals.first().map(|r| r.at));
    let (observed, predicted) = (facts.observed_n_star(), facts.prediction.n_star);
    trial.ask(
        "the first refusal comes at N* members, to the integer",
        observed.is_some() && observed == predicted,
        format!("observed {}, predicted {}", or_none(observed), or_none(predicted)),
    );
    witnesses(facts, &mut trial);
    saturation(facts, grown, &mut trial);
    kernels_word(facts, &mut trial);
    nothing_else(facts, grown, &mut trial);
    trial.verdict(format!(
        "refused at N = {} as predicted; {} servers met the limit of {} threads, none exited",
        or_none(observed),
        facts.refusals.len(),
        facts.series.setup.limit
    ))
}

fn or_none(number: Option<u64>) -> String {
    number.map_or("none".to_owned(), |n| n.to_string())
}

fn at_limit(sample: &ServerSample) -> bool {
    let used = sample.pids_current.unwrap_or(u64::from(sample.threads));
    sample.limit.is_some_and(|limit| used >= limit)
}

/// N* is observed from what a refused server counted. Two others must agree: the registry, which had N* members by then,
/// and the members that the server knew of.
fn witnesses(facts: &Facts<'_>, trial: &mut Trial) {
    let Some(n_star) = facts.prediction.n_star.filter(|_| facts.series.setup.law.role == Role::Frontend)
    else {
        return;
    };
    let mut early = Vec::new();
    for refusal in &facts.refusals {
        let Some(track) = facts.front_ends.iter().find(|t| t.info.id == refusal.server) else { continue };
        let cell = facts.cell_of(track);
        let rows = &facts.series.control;
        let next = rows.partition_point(|c| c.at <= refusal.at);
        let around = rows.get(next.saturating_sub(1)..(next + 1).min(rows.len())).unwrap_or_default();
        let registered = around.iter().filter_map(|c| c.registered.get(cell)).max().copied();
        let known = track.between((refusal.at, refusal.at)).find_map(|s| metric(s, |m| m.known_members));
        if registered.is_none_or(|n| n < n_star) || known.is_none_or(|n| n < n_star) {
            let name = &track.info.name;
            early.push(format!("{name} with {} registered, {} known", or_none(registered), or_none(known)));
        }
    }
    trial.ask(
        "nobody is refused before N* members are registered and known to it",
        early.is_empty() && !facts.refusals.is_empty(),
        match early.first() {
            Some(first) => format!("{} of {}: {first}", early.len(), facts.refusals.len()),
            None => format!("{} refusals, none earlier", facts.refusals.len()),
        },
    );
}

/// All of a cell that outgrew the limit meet it: whoever is up, old and new, within D of the member that was one too
/// many (or of its own start, when that is later).
fn saturation(facts: &Facts<'_>, grown: (At, At), trial: &mut Trial) {
    let n_star = facts.prediction.n_star.unwrap_or(u64::MAX);
    let over = |t: &&Track<'_>| facts.largest(facts.cell_of(t)) >= n_star;
    let mut late = Vec::new();
    let (mut met, mut all, mut old, mut new) = (0, 0, 0, 0);
    for track in facts.front_ends.iter().filter(over) {
        if track.between(grown).next().is_none() {
            continue;
        }
        all += 1;
        let Some(sample) = track.between(grown).find(|s| at_limit(s)) else { continue };
        met += 1;
        *if track.info.cohort == Cohort::Original { &mut old } else { &mut new } += 1;
        let due = too_many(facts, track).max(started(facts, track)).unwrap_or(grown.0);
        if facts.look_before(sample.at).0 > due.0 + facts.series.setup.discovery_ms + facts.slack_ms() {
            late.push(format!("{} {:.1} s", track.info.name, sample.at.secs_since(due)));
        }
    }
    trial.ask(
        "the whole fleet meets the limit, old servers and new ones",
        met == all && old > 0 && new > 0,
        format!("{met} of {all} had every thread they may have: {old} old, {new} new"),
    );
    trial.ask(
        "each within the discovery window D of the member that was one too many",
        late.is_empty() && met > 0,
        if late.is_empty() { "none later".to_owned() } else { format!("later: {}", late.join(", ")) },
    );
}

/// When the cell of a server first had N* members registered.
fn too_many(facts: &Facts<'_>, track: &Track<'_>) -> Option<At> {
    let n_star = facts.prediction.n_star?;
    let cell = facts.cell_of(track);
    let over = |c: &&crate::series::ControlSample| c.registered.get(cell).is_some_and(|n| *n >= n_star);
    facts.series.control.iter().find(over).map(|c| c.at)
}

fn started(facts: &Facts<'_>, track: &Track<'_>) -> Option<At> {
    let started = |e: &&crate::series::ServerEvent| {
        e.server == track.info.id && matches!(e.happening, ServerHappening::Started { .. })
    };
    facts.series.events.iter().find(started).map(|e| e.at)
}

/// Every refusal that a server counted at its clone(2) is one that the kernel counted too.
fn kernels_word(facts: &Facts<'_>, trial: &mut Trial) {
    let Some(cliff) = facts.cliff() else { return };
    let (mut ours, mut kernels, mut unheard) = (0.0, 0.0, Vec::new());
    let mut cgroup = false;
    for track in facts.fleet() {
        let told = track.rise(cliff, |s| metric(s, |m| m.refusals.map(|r| r as f64))).unwrap_or(0.0);
        ours += told;
        if let Some(counted) = track.rise(cliff, |s| s.pids_events_max.map(|n| n as f64)) {
            cgroup = true;
            kernels += counted;
            if told > counted {
                unheard.push(track.info.name.as_str());
            }
        }
    }
    trial.ask("threads are refused (EAGAIN at clone)", ours > 0.0, format!("{} refusals", ours as u64));
    let found = match (cgroup, unheard.as_slice()) {
        (false, _) => {
            "the envelope is no cgroup and counts nothing; EAGAIN itself is the kernel's word".to_owned()
        }
        (true, []) => format!("pids.events max rose by {}", kernels as u64),
        (true, names) => format!("the kernel counted fewer on {}", names.join(", ")),
    };
    trial.ask(
        "every refusal is the kernel's: its own counter leaves zero with ours",
        !cgroup || (unheard.is_empty() && kernels > 0.0),
        found,
    );
}

/// No exits, no OOM kills, processor and memory as ordinary: what hid the cause in 2020.
fn nothing_else(facts: &Facts<'_>, grown: (At, At), trial: &mut Trial) {
    let exited: Vec<&str> = facts
        .series
        .events
        .iter()
        .filter(|e| matches!(e.happening, ServerHappening::Exited { .. }))
        .filter_map(|e| facts.fleet().find(|t| t.info.id == e.server))
        .map(|t| t.info.name.as_str())
        .collect();
    let whole = (At(0), facts.series.end());
    let kills: f64 = facts.fleet().filter_map(|t| t.rise(whole, |s| s.oom_kills.map(|n| n as f64))).sum();
    trial.ask(
        "no server exits and none is killed for memory",
        exited.is_empty() && kills == 0.0,
        format!(
            "{} exits{}{}, {} kills",
            exited.len(),
            if exited.is_empty() { "" } else { ": " },
            exited.join(", "),
            kills as u64
        ),
    );
    let Some(baseline) = facts.baseline() else { return };
    let mut heavy = Vec::new();
    let mut busy = Vec::new();
    for track in facts.front_ends.iter().filter(|t| t.info.cohort == Cohort::Original) {
        let before = median(track.between(baseline).map(|s| s.rss_bytes as f64).collect());
        let threads = |span| track.between(span).map(|s| u64::from(s.threads)).max().unwrap_or(0);
        let room = threads(grown).saturating_sub(threads(baseline)) * RSS_PER_THREAD_MAX;
        let after = track.between(grown).map(|s| s.rss_bytes).max().unwrap_or(0) as f64;
        if before.is_some_and(|before| after > before * 1.5 + room as f64) {
            heavy.push(track.info.name.as_str());
        }
        let from = facts.refusals.first().map_or(grown.0, |r| r.at);
        let rates = (track.cpu_rate(baseline), track.cpu_rate((from, grown.1)));
        if let (Some(before), Some(after)) = rates
            && after > (2.0 * before).max(CPU_ORDINARY)
        {
            busy.push(format!("{} {before:.2} to {after:.2}", track.info.name));
        }
    }
    trial.ask(
        "memory stays ordinary (half as much again, and 96 KiB a new thread)",
        heavy.is_empty(),
        if heavy.is_empty() {
            "on all old servers".to_owned()
        } else {
            format!("not on {}", heavy.join(", "))
        },
    );
    trial.ask(
        "processor time stays ordinary (twice the baseline, or a tenth of a core)",
        busy.is_empty(),
        if busy.is_empty() { "on all old servers".to_owned() } else { format!("cores: {}", busy.join(", ")) },
    );
}
