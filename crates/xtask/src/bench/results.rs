//! What was measured: sections of rows of rounds, kept as JSON, so that the document can be written again without measuring.
//!
//! A part of the suite that runs again replaces its sections and no others. Ratios are taken within a round, where both
//! sides met the same neighbours. Nothing here measures and nothing here knows a workload.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Figures of one run by their names.
pub(super) type Figures = BTreeMap<String, f64>;

/// The names of figures that more than one file speaks of.
pub(super) mod figure {
    pub(in super::super) const SPEED: &str = "MB/s";
    pub(in super::super) const CALLS: &str = "calls/s";
    pub(in super::super) const P50: &str = "p50 ms";
    pub(in super::super) const P99: &str = "p99 ms";
    pub(in super::super) const P999: &str = "p99.9 ms";
    pub(in super::super) const FLUSHES: &str = "flushes a call";
    pub(in super::super) const SERVER: &str = "server cores";
    pub(in super::super) const CLIENT: &str = "client cores";
    pub(in super::super) const MEMORY: &str = "resident MiB";
    /// 1 when the machine did not become quiet before the run.
    pub(in super::super) const BESIDE_OTHERS: &str = "beside other work";
    pub(in super::super) const FAILED: &str = "failed calls";
}

/// All that the suite knows.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Results {
    /// What stood beside what, by name.
    pub(super) versions: BTreeMap<String, String>,
    pub(super) sections: Vec<Section>,
}

/// One workload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Section {
    pub(super) name: String,
    /// The command that measured it, the day, the commit of Weir that was measured, and where.
    pub(super) command: String,
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) machine: String,
    /// Figures in the order in which a table shows them.
    pub(super) columns: Vec<String>,
    /// What the column of ratios is of, and in which figure.
    pub(super) ratio: Option<Ratio>,
    pub(super) rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ratio {
    pub(super) of: String,
    pub(super) figure: String,
}

/// One subject of a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) subject: String,
    /// What stands beside the figures.
    pub(super) remark: String,
    /// Why there are no figures.
    pub(super) absent: Option<String>,
    pub(super) rounds: Vec<Figures>,
}

impl Results {
    /// Those kept at `path`; none when there is no such file.
    pub(super) fn load(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("results in {}", path.display()))
    }

    pub(super) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    /// Puts a section in the place of the one with its name, or behind all.
    pub(super) fn replace(&mut self, section: Section) {
        match self.sections.iter_mut().find(|known| known.name == section.name) {
            Some(known) => *known = section,
            None => self.sections.push(section),
        }
    }

    /// Puts the sections into this order; one of a name that is no longer known goes.
    pub(super) fn order(&mut self, names: &[&str]) {
        let place = |section: &Section| names.iter().position(|name| *name == section.name);
        self.sections.retain(|section| place(section).is_some());
        self.sections.sort_by_key(place);
    }

    pub(super) fn row(&self, section: &str, subject: &str) -> Option<&Row> {
        let section = self.sections.iter().find(|known| known.name == section)?;
        section.row(subject)
    }
}

impl Section {
    pub(super) fn row(&self, subject: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.subject == subject)
    }
}

impl Row {
    /// A figure of each round that has it.
    pub(super) fn values(&self, figure: &str) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| round.get(figure).copied()).collect()
    }

    /// What two rows' figures come to in each round that has both.
    pub(super) fn against(&self, other: &Self, figure: &str, what: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let rounds = self.rounds.iter().zip(&other.rounds);
        rounds.filter_map(|(own, other)| Some(what(*own.get(figure)?, *other.get(figure)?))).collect()
    }
}

/// Measures each subject once a round, one after another, again and again. One that fails keeps the reason and is left
/// alone from then on.
pub(super) fn interleaved(
    subjects: &[String],
    rounds: usize,
    mut measure: impl FnMut(usize) -> anyhow::Result<Figures>,
) -> Vec<Row> {
    let row = |subject: &String| Row {
        subject: subject.clone(),
        remark: String::new(),
        absent: None,
        rounds: Vec::new(),
    };
    let mut rows: Vec<Row> = subjects.iter().map(row).collect();
    for round in 1..=rounds {
        for (number, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.absent.is_none()) {
            eprintln!("  round {round} of {rounds}: {}", row.subject);
            match measure(number) {
                Ok(figures) => row.rounds.push(figures),
                Err(error) => {
                    row.absent = Some(format!("{error:#}").replace(['\n', '|'], " "));
                    row.rounds.clear();
                }
            }
        }
    }
    rows
}

/// The middle value, or half way between the two in the middle; none of none.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let above = *values.get(values.len() / 2)?;
    let below = values[(values.len() - 1) / 2];
    Some(f64::midpoint(below, above))
}

/// The median, and the least and the most where there are several.
pub(super) fn spread(values: Vec<f64>) -> String {
    let least = values.iter().copied().min_by(f64::total_cmp);
    let most = values.iter().copied().max_by(f64::total_cmp);
    let count = values.len();
    match (median(values), least, most) {
        (Some(only), ..) if count == 1 => shown(only),
        (Some(median), Some(least), Some(most)) => {
            format!("{} [{}..{}]", shown(median), shown(least), shown(most))
        }
        _ => "–".to_owned(),
    }
}

/// A figure with three digits that matter.
pub(super) fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        0.0..1.0 => format!("{value:.3}"),
        1.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Row {
        /// A row with one figure, by rounds.
        pub(in super::super) fn of(subject: &str, figure: &str, values: &[f64]) -> Self {
            let rounds = values.iter().map(|value| Figures::from([(figure.to_owned(), *value)])).collect();
            Self { subject: subject.to_owned(), remark: String::new(), absent: None, rounds }
        }
    }

    fn row(subject: &str, speeds: &[f64]) -> Row {
        Row::of(subject, figure::SPEED, speeds)
    }

    fn section(name: &str, rows: Vec<Row>) -> Section {
        Section { name: name.to_owned(), rows, ..Section::default() }
    }

    #[test]
    fn a_spread_is_the_median_between_the_least_and_the_most() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), "2.00 [1.00..3.00]");
        assert_eq!(spread(vec![4.0, 1.0]), "2.50 [1.00..4.00]");
        assert_eq!((spread(vec![0.5]), spread(vec![])), ("0.500".to_owned(), "–".to_owned()));
    }

    #[test]
    fn ratios_are_of_the_same_round_and_not_of_medians() {
        let (fast, slow) = (row("fast", &[10.0, 40.0]), row("slow", &[10.0, 10.0, 1.0]));
        assert_eq!(fast.against(&slow, figure::SPEED, |own, other| own / other), [1.0, 4.0]);
    }

    #[test]
    fn a_section_that_is_measured_again_replaces_its_own_figures_alone() {
        let mut results = Results::default();
        results.replace(section("a", vec![row("x", &[1.0])]));
        results.replace(section("b", vec![row("x", &[2.0])]));
        results.replace(section("a", vec![row("x", &[3.0])]));
        results.replace(section("gone", Vec::new()));
        results.order(&["b", "a"]);
        assert_eq!(results.sections.iter().map(|section| &section.name).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(results.row("a", "x").unwrap().values(figure::SPEED), [3.0]);
        assert_eq!(results.row("b", "x").unwrap().values(figure::SPEED), [2.0]);
        let text = serde_json::to_string(&results).unwrap();
        assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
    }

    #[test]
    fn a_subject_that_fails_once_is_left_alone_and_says_why() {
        let mut calls = Vec::new();
        let rows = interleaved(&["good".to_owned(), "bad".to_owned()], 3, |number| {
            calls.push(number);
            if number == 1 { Err(anyhow::anyhow!("not to be had")) } else { Ok(Figures::new()) }
        });
        assert_eq!(calls, [0, 1, 0, 0]);
        assert_eq!((rows[0].rounds.len(), rows[1].absent.as_deref()), (3, Some("not to be had")));
    }
}
