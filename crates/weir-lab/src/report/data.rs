//! What the page draws: the result, thinned to what a plot can show, and its verdicts in words.
//!
//! Built for every rendering; read by `page.js` alone, which knows these names. Times are tenths of a second since the
//! arm's start unless a name says otherwise.

mod latency;
mod lines;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    oracle::{Opinion, SignatureId, Verdict},
    series::{ArmRole, ArmSeries, Host, Parameter, PhaseKind, RunHeader},
    summary::{ArmSummary, Summary},
};

use lines::{ConsumerLine, LoadLines, ServerLine};

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    scenario: &'a str,
    description: &'a str,
    seed: u64,
    time_scale: f64,
    started_wall_ms: u64,
    version: &'a str,
    host: BTreeMap<String, String>,
    held: bool,
    headline: String,
    arms: Vec<Arm<'a>>,
    signatures: Vec<Title>,
    cautions: &'a [String],
}

#[derive(Debug, Serialize)]
struct Title {
    id: &'static str,
    title: &'static str,
}

/// One arm: its numbers over all repeats, and what to draw of each run.
#[derive(Debug, Serialize)]
struct Arm<'a> {
    summary: &'a ArmSummary,
    broke: bool,
    description: &'a str,
    parameters: &'a [Parameter],
    runs: Vec<Run<'a>>,
}

#[derive(Debug, Serialize)]
struct Run<'a> {
    repeat: u32,
    end: u64,
    ttl: f64,
    phases: Vec<Phase<'a>>,
    cells: &'a [String],
    members: Vec<i64>,
    serving: Vec<i64>,
    servers: Vec<ServerLine<'a>>,
    memory: Vec<(u64, f64, f64, f64)>,
    back_end: Vec<(u64, f64, u64)>,
    load: LoadLines<'a>,
    consumers: Vec<ConsumerLine<'a>>,
    verdicts: &'a [Verdict],
}

#[derive(Debug, Serialize)]
struct Phase<'a> {
    name: &'a str,
    action: PhaseKind,
    start: u64,
    end: u64,
}

/// The page's data with at most `points` points a line; `drawn` is what each opinion is of, cut to its phases.
pub(super) fn collect<'a>(
    header: &'a RunHeader,
    drawn: &'a [ArmSeries],
    summary: &'a Summary,
    opinions: &'a [Opinion],
    points: usize,
) -> Page<'a> {
    let arms = summary.arms.iter().map(|arm| {
        let of_arm = || drawn.iter().zip(opinions).filter(|(series, _)| series.setup.arm == arm.name);
        let setup = of_arm().next().map(|(series, _)| &series.setup);
        Arm {
            summary: arm,
            broke: Fate::of(arm) == Fate::Broke,
            description: setup.map_or("", |s| s.description.as_str()),
            parameters: setup.map_or(&[], |s| s.parameters.as_slice()),
            runs: of_arm().map(|(series, opinion)| run(series, opinion, points)).collect(),
        }
    });
    Page {
        scenario: &header.scenario,
        description: &header.description,
        seed: header.seed,
        time_scale: header.time_scale,
        started_wall_ms: header.started_wall_ms,
        version: &header.version,
        host: host(&header.host),
        held: summary.held,
        headline: headline(summary),
        arms: arms.collect(),
        signatures: SignatureId::ALL.map(|id| Title { id: id.name(), title: id.title() }).into(),
        cautions: &summary.cautions,
    }
}

fn run<'a>(series: &'a ArmSeries, opinion: &'a Opinion, points: usize) -> Run<'a> {
    let end = series.end();
    let phase = |p: &'a crate::series::Phase| Phase {
        name: &p.name,
        action: p.action,
        start: super::thin::tenths(p.start.0),
        end: super::thin::tenths(p.end_or(end).0),
    };
    Run {
        repeat: series.setup.repeat,
        end: super::thin::tenths(end.0),
        ttl: series.setup.map_ttl_ms as f64 / 1e3,
        phases: series.phases.iter().map(phase).collect(),
        cells: &series.setup.cells,
        members: lines::members(series),
        serving: lines::serving(series),
        servers: lines::servers(series, points),
        memory: lines::memory(series, points),
        back_end: lines::back_end(series, points),
        load: lines::load(series, points),
        consumers: lines::consumers(series, points),
        verdicts: &opinion.verdicts,
    }
}

fn host(host: &Host) -> BTreeMap<String, String> {
    let mut facts = host.facts.clone();
    facts.insert("cores".to_owned(), host.cores.to_string());
    facts.insert("memory".to_owned(), format!("{:.1} GiB", host.memory_bytes as f64 / (1u64 << 30) as f64));
    facts.insert("kernel".to_owned(), host.kernel.clone());
    facts.insert("processor".to_owned(), host.cpu.clone());
    facts.insert("root".to_owned(), if host.root { "yes" } else { "no" }.to_owned());
    facts
}

/// What an arm came to, for a headline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A thread was refused, or callers saw errors that lasted.
    Broke,
    /// Callers were served throughout.
    Calm,
    /// It was not recorded far enough to say.
    Unknown,
}

impl Fate {
    fn of(arm: &ArmSummary) -> Self {
        match arm.success_ratio.cliff {
            _ if arm.refusals > 0 || arm.seconds_to_first_error.is_some() => Self::Broke,
            Some(ratio) if ratio < SERVED => Self::Broke,
            Some(_) => Self::Calm,
            None => Self::Unknown,
        }
    }
}

/// Callers who get through less often than this after the trigger were harmed.
const SERVED: f64 = 0.99;

/// What the run shows, in a few sentences: the arms that broke, those that did not, the control.
fn headline(summary: &Summary) -> String {
    let variants =
        |fate: Fate| summary.arms.iter().filter(move |a| a.role == ArmRole::Variant && Fate::of(a) == fate);
    let mut sentences: Vec<String> = variants(Fate::Broke).map(broken).collect();
    let calm: Vec<&str> = variants(Fate::Calm).map(|arm| arm.name.as_str()).collect();
    if !calm.is_empty() {
        sentences.push(format!("The same growth did no harm in {}.", listed(&calm)));
    }
    let unknown: Vec<&str> = variants(Fate::Unknown).map(|arm| arm.name.as_str()).collect();
    if !unknown.is_empty() {
        sentences.push(format!("Too little was recorded of {}.", listed(&unknown)));
    }
    let control = summary.arms.iter().find(|arm| arm.role == ArmRole::Control);
    sentences.extend(control.map(|arm| match Fate::of(arm) {
        Fate::Calm => "The control stayed clean.".to_owned(),
        Fate::Broke => "The control did not stay clean.".to_owned(),
        Fate::Unknown => "Too little was recorded of the control.".to_owned(),
    }));
    sentences.join(" ")
}

fn broken(arm: &ArmSummary) -> String {
    let server = match arm.observed_n_star {
        Some(n) if Some(n) == arm.predicted_n_star => {
            format!("the kernel refused the next thread at N = {n}, as predicted")
        }
        Some(n) => format!("the kernel refused the next thread at N = {n}, which was not predicted"),
        None => "no thread was refused".to_owned(),
    };
    let success = crate::summary::percent(arm.success_ratio.cliff);
    format!("In {}, {server}; {success} of calls succeeded in the cliff.", arm.name)
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
