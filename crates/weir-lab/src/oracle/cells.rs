//! S18: with cells, only the tenants of a cell that met its limit are hurt; the others notice nothing.

use crate::series::{At, PhaseKind};

use super::{
    facts::{Facts, STEADY_ERRORS_MAX},
    noise::{Interval, NEARLY_ALL, WindowLatencies, bootstrap},
    signature::{SignatureId, Verdict},
    trial::{Trial, not_applicable},
};

/// The p99 of other cells may move by this share, or by what the baseline's own windows move.
const P99_BAND: f64 = 0.05;

pub(super) fn judge(facts: &Facts<'_>, control: Option<&Facts<'_>>) -> Verdict {
    let setup = &facts.series.setup;
    let (Some(_), Some(cliff)) = (facts.baseline(), facts.cliff()) else {
        return not_applicable(SignatureId::S18, "the arm adds no capacity");
    };
    if setup.cells.len() < 2 {
        return not_applicable(SignatureId::S18, "the front ends are one cell");
    }
    let mut trial = Trial::of(SignatureId::S18);
    let over: Vec<&str> = facts.cells_over().into_iter().map(|cell| setup.cells[cell].as_str()).collect();
    trial.shows_at(facts.refusals.first().map(|r| r.at).or(facts.series.trigger()));
    let placed = |on: bool| -> Vec<&str> {
        let here = setup.tenants.iter().filter(|t| over.contains(&t.cell.as_str()) == on);
        here.map(|t| t.name.as_str()).collect()
    };
    let (hurt, others) = (placed(true), placed(false));
    let affected = facts.tenants_affected();
    trial.ask(
        "the tenants of cells that met their limit are affected, and nobody else",
        affected == hurt,
        format!("{} of {} tenants affected, {} expected", affected.len(), setup.tenants.len(), hurt.len()),
    );
    trial.ask(
        "at most one cell in C is hurt",
        facts.cells_over().len() <= 1,
        format!("{} of {} cells met the limit", facts.cells_over().len(), setup.cells.len()),
    );
    let errors = errors_of(facts, cliff, &others);
    trial.ask(
        "the other cells see no errors (below 0.1 %, as in the baseline)",
        errors.is_some_and(|ratio| ratio < STEADY_ERRORS_MAX),
        errors.map_or("no calls".to_owned(), |ratio| format!("{:.3} %", ratio * 100.0)),
    );
    latency(facts, control, &others, &mut trial);
    let largest = facts.largest_counted();
    trial.verdict(if hurt.is_empty() {
        format!(
            "the same growth met no limit: the largest of {} cells has {largest} members",
            setup.cells.len()
        )
    } else {
        format!(
            "{} of {} tenants affected: those of one cell in {}",
            affected.len(),
            setup.tenants.len(),
            setup.cells.len()
        )
    })
}

fn errors_of(facts: &Facts<'_>, span: (At, At), tenants: &[&str]) -> Option<f64> {
    let rows = facts.series.windows(span).flat_map(|w| &w.tenants);
    let (ok, failed) = rows
        .filter(|t| tenants.contains(&t.tenant.as_str()))
        .fold((0, 0), |sum, t| (sum.0 + t.succeeded, sum.1 + t.failed));
    (ok + failed > 0).then(|| failed as f64 / (ok + failed) as f64)
}

/// How the p99 of some tenants changed from the baseline to the settled growth, in milliseconds, and how far two draws
/// from the baseline differ.
struct Change {
    was: f64,
    is: f64,
    noise: Interval,
}

impl Change {
    fn of(facts: &Facts<'_>, theirs: impl Fn(Option<&str>) -> bool) -> Option<Self> {
        let (baseline, cliff) = (facts.baseline()?, facts.cliff()?);
        let before = WindowLatencies::of(facts.series.windows(baseline), &theirs);
        let waits = facts.phases(PhaseKind::Wait).map(|p| (p.start, p.end_or(cliff.1)));
        let settled = waits.filter(|(start, end)| *start >= cliff.0 && *end <= cliff.1);
        let during = WindowLatencies::of(settled.flat_map(|span| facts.series.windows(span)), &theirs);
        let noise = bootstrap((before.len(), before.len()), NEARLY_ALL, |a, b| {
            Some(before.percentile_ms(b, 99.0)? / before.percentile_ms(a, 99.0)?)
        })?;
        Some(Self { was: before.overall_ms(99.0)?, is: during.overall_ms(99.0)?, noise })
    }

    fn ratio(&self) -> f64 {
        self.is / self.was
    }
}

/// The p99 of other cells after the growth. Five per cent is less than what a shared host does by itself, so the band
/// is widened to how far two draws from the baseline differ, and to what the same growth costs the control, where no
/// server met its limit: more processes on the same cores are no fate shared between cells. Faster is no harm.
fn latency(facts: &Facts<'_>, control: Option<&Facts<'_>>, others: &[&str], trial: &mut Trial) {
    let asks = "the p99 of the other cells rises by no more than 5 %, or stays inside the noise";
    let Some(change) = Change::of(facts, |tenant| tenant.is_some_and(|t| others.contains(&t))) else {
        trial.ask(asks, false, "their latencies were not recorded by tenant");
        return;
    };
    let growth = control.and_then(|control| Change::of(control, |_| true));
    let host = growth.as_ref().map_or(1.0, Change::ratio).max(1.0);
    let ratio = change.ratio();
    let word = if ratio <= 1.0 + P99_BAND {
        "within 5 %"
    } else if ratio <= change.noise.high {
        "inside the noise of the baseline"
    } else if ratio <= change.noise.high * host {
        "inside the noise and what the growth costs the control"
    } else {
        "outside the noise"
    };
    let cost = growth.map_or(String::new(), |g| format!(", the control {}", signed(g.ratio())));
    trial.ask(
        asks,
        word != "outside the noise",
        format!(
            "{:.2} to {:.2} ms ({}), {word}; the baseline alone moves {} to {}{cost}",
            change.was,
            change.is,
            signed(ratio),
            signed(change.noise.low),
            signed(change.noise.high)
        ),
    );
}

fn signed(ratio: f64) -> String {
    format!("{:+.0} %", (ratio - 1.0) * 100.0)
}
