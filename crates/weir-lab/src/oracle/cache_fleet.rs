//! S19: with a cache fleet the front ends' threads are flat in N, and the cache servers carry the slope.

use crate::series::{At, Mesh, Role, ServerEvent, ServerHappening, ServerSample, metric};

use super::{
    facts::Facts,
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

/// The end of the growth is read from its last two seconds: by then everybody has learned of everybody.
const SETTLED_MS: u64 = 2_000;

pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    if facts.series.setup.mesh != Mesh::CacheFleet {
        return not_applicable(SignatureId::S19, "the arm has no cache fleet");
    }
    let mut trial = Trial::of(SignatureId::S19);
    trial.shows_at(facts.series.trigger());
    let base = facts.series.setup.base_threads;
    let ready = |s: &ServerSample| metric(s, |m| m.ready.then_some(())).is_some();
    let looks = facts.front_ends.iter().flat_map(|t| &t.samples).copied();
    let (steady, restless): (Vec<&ServerSample>, Vec<&ServerSample>) =
        looks.partition(|s| ready(s) && !comes_or_goes(facts, s));
    let threads = |looks: &[&ServerSample]| {
        let counts = || looks.iter().map(|s| u64::from(s.threads));
        counts().min().zip(counts().max())
    };
    trial.ask(
        format!("front ends keep exactly {base} threads, whatever the fleet's size"),
        threads(&steady) == Some((base, base)),
        match threads(&steady) {
            Some((low, high)) => format!("from {low} to {high} threads over {} samples", steady.len()),
            None => "no ready front end was sampled".to_owned(),
        },
    );
    let most = threads(&restless).map(|(_, high)| high);
    trial.ask(
        format!("and never more than {base} while they start or end"),
        most.is_none_or(|most| most <= base),
        most.map_or("nobody was seen starting or ending".to_owned(), |most| {
            format!("{most} at most over {} samples", restless.len())
        }),
    );
    carried(facts, &mut trial);
    let n_star = facts.prediction.n_star;
    trial.ask(
        "the new N* can be told",
        n_star.is_some() && facts.series.setup.law.role == Role::Cache,
        facts.prediction.formula.clone(),
    );
    trial.verdict(format!(
        "front ends stay at {base} threads; the limit moved to the cache servers, where N* is {} {}",
        n_star.map_or("none".to_owned(), |n| n.to_string()),
        facts.prediction.counts
    ))
}

/// Was the server told to stop, and not seen ready again since? It joins its threads one by one then, and starts them one
/// by one, which tells of the end and of the start, not of the mesh. A look takes up to a window and reads the threads
/// first: what it found may be of after the order, and the word `ready` of after the start.
fn comes_or_goes(facts: &Facts<'_>, sample: &ServerSample) -> bool {
    let own = || facts.series.events.iter().filter(|e| e.server == sample.server);
    let until = sample.at.0 + facts.series.setup.window_ms;
    let ends = |e: &&ServerEvent| matches!(e.happening, ServerHappening::Told | ServerHappening::Stopped);
    let told = own().filter(ends).map(|e| e.at).filter(|at| at.0 <= until).max();
    let ready = own().filter(|e| matches!(e.happening, ServerHappening::Ready)).map(|e| e.at);
    told.is_some() && told > ready.filter(|at| *at <= sample.at).max()
}

/// The cache servers follow their law at every settled moment: in the baseline, and at the end of the growth.
fn carried(facts: &Facts<'_>, trial: &mut Trial) {
    let setup = &facts.series.setup;
    let grown = facts.grown().map(|(start, end)| (At(end.0.saturating_sub(SETTLED_MS)).max(start), end));
    let (before, after) = (u64::from(setup.front_ends), u64::from(setup.front_ends + setup.front_ends_added));
    let mut heights = Vec::new();
    let mut wrong = Vec::new();
    let mut samples = 0;
    for (span, front_ends) in [(facts.baseline(), before), (grown, after)] {
        let law = facts.cache_law(front_ends);
        let sums = span.map(|span| facts.cache_threads(span)).unwrap_or_default();
        samples += sums.len();
        wrong.extend(sums.iter().filter(|sum| **sum != law).map(|sum| format!("{sum}, not {law}")));
        heights.extend(sums.last().copied());
    }
    trial.ask(
        "the cache servers have exactly the threads of their law",
        heights.len() == 2 && wrong.is_empty(),
        match wrong.first() {
            Some(first) => format!("{} of {samples} samplings differ: {first} threads", wrong.len()),
            None => format!("{samples} samplings, no difference"),
        },
    );
    let found = heights.iter().map(u64::to_string).collect::<Vec<_>>().join(" to ");
    match setup.law.per_client {
        0 => trial.ask(
            "they carry the slope: k threads for each other cache server",
            setup.law.per_peer > 0 && !heights.is_empty(),
            format!("{found} threads of {} cache servers", facts.caches.len()),
        ),
        slope => trial.ask(
            "they carry the slope: their threads grow with every front end",
            matches!(heights.as_slice(), [first, last] if last.saturating_sub(*first) == slope * (after - before)),
            format!("{found} threads of {} cache servers", facts.caches.len()),
        ),
    }
}
