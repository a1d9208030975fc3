//! The summary as plain text for a terminal, at most 100 columns wide.
//!
//! Called by `weir run` and `weir report`. One table of numbers (`late` is the share of calls that started late, in the
//! stage with most of them), one sentence an arm, one grid of signatures, and what did not hold.

use super::{ArmSummary, Summary, percent};
use crate::{
    oracle::{Judgement, SignatureId},
    series::Stage,
};

/// Columns that a line may have.
const COLUMNS: usize = 100;
/// Columns that an arm's name may have; a longer one is cut.
const NAME_COLUMNS_MAX: usize = 14;

/// The text, with a line feed at its end.
pub fn render(summary: &Summary) -> String {
    let mut text = heading(summary);
    let name = summary.arms.iter().map(|arm| width(&arm.name)).max().unwrap_or(0).clamp(8, NAME_COLUMNS_MAX);
    numbers(summary, name, &mut text);
    text.push('\n');
    for arm in &summary.arms {
        let sentence = format!("{}.", arm.in_words);
        paragraph(&arm.name, name, &sentence, &mut text);
    }
    for caution in &summary.cautions {
        paragraph("caution", name, &format!("{caution}."), &mut text);
    }
    text.push('\n');
    signatures(summary, name, &mut text);
    verdict(summary, name, &mut text);
    text
}

fn heading(summary: &Summary) -> String {
    let host = &summary.host;
    let kinds: std::collections::BTreeSet<&str> =
        summary.arms.iter().map(|arm| arm.limit_kind.as_str()).collect();
    let kinds: Vec<&str> = kinds.into_iter().collect();
    format!(
        "{}, seed {}, on {} cores, limits by {}\n\n",
        summary.scenario,
        summary.seed,
        host.cores,
        kinds.join(" and ")
    )
}

/// Title and width of each column; a line above names what neighbouring columns have in common.
const NUMBERS: [(&str, usize); 12] = [
    ("limit", 6),
    ("N*", 5),
    ("seen", 6),
    ("peers", 7),
    ("refused", 8),
    ("before", 9),
    ("cliff", 8),
    ("after", 8),
    ("before", 8),
    ("cliff", 6),
    ("late", 7),
    ("lost", 8),
];
const GROUPS: [(&str, usize); 5] =
    [("threads", 32), ("success", 25), ("p99 ms", 14), ("calls", 7), ("records", 8)];
const _: () =
    assert!(columns(&NUMBERS) + NAME_COLUMNS_MAX <= COLUMNS && columns(&GROUPS) <= columns(&NUMBERS));

/// Columns that some titles take together.
const fn columns(titles: &[(&str, usize)]) -> usize {
    let (mut sum, mut number) = (0, 0);
    while number < titles.len() {
        sum += titles[number].1;
        number += 1;
    }
    sum
}

fn numbers(summary: &Summary, name: usize, text: &mut String) {
    for titles in [GROUPS.as_slice(), NUMBERS.as_slice()] {
        let mut line = format!("{:name$}", "");
        for (title, wide) in titles {
            line.push_str(&format!("{title:>wide$}"));
        }
        push_line(text, &line);
    }
    for arm in &summary.arms {
        let or_dash = |n: Option<u64>| n.map_or("–".to_owned(), |n| n.to_string());
        let ms = |stage: Stage| arm.p99_ms.at(stage).map_or("–".to_owned(), milliseconds);
        let cells = [
            arm.limit.to_string(),
            or_dash(arm.predicted_n_star),
            or_dash(arm.observed_n_star),
            arm.peer_threads_peak.to_string(),
            arm.refusals.to_string(),
            percent(arm.success_ratio.baseline),
            percent(arm.success_ratio.cliff),
            percent(arm.success_ratio.recovery),
            ms(Stage::Baseline),
            ms(Stage::Cliff),
            percent(arm.late_starts_ratio.greatest().map(|(_, late)| late)),
            arm.integrity.map_or("?".to_owned(), |i| i.lost.to_string()),
        ];
        let mut line = format!("{:name$}", cut(&arm.name));
        for ((_, wide), cell) in NUMBERS.into_iter().zip(cells) {
            line.push_str(&format!("{cell:>wide$}"));
        }
        push_line(text, &line);
    }
}

fn signatures(summary: &Summary, name: usize, text: &mut String) {
    let mut line = format!("{:name$}", "");
    for id in SignatureId::ALL {
        line.push_str(&format!("{:>5}", short(id)));
    }
    push_line(text, &line);
    for arm in &summary.arms {
        let mut line = format!("{:name$}", cut(&arm.name));
        for id in SignatureId::ALL {
            let mark = match arm.signatures.get(id.name()) {
                Some(Judgement::Held) => "held",
                Some(Judgement::Failed) => "NOT",
                Some(Judgement::NotApplicable) | None => "·",
            };
            line.push_str(&format!("{mark:>5}"));
        }
        push_line(text, &line);
    }
    push_line(
        text,
        &format!("{:name$}  what each asks: docs/EXPERIMENTS.md; why it held or not: the report", ""),
    );
    // Above "all expectations held" it would look like a contradiction.
    let failed = |arm: &ArmSummary| arm.signatures.values().any(|judgement| *judgement == Judgement::Failed);
    if summary.held && summary.arms.iter().any(failed) {
        push_line(text, &format!("{:name$}  NOT: judged and shown, but not expected of that arm", ""));
    }
}

const fn short(id: SignatureId) -> &'static str {
    match id {
        SignatureId::Control => "ctrl",
        other => other.name(),
    }
}

fn verdict(summary: &Summary, name: usize, text: &mut String) {
    text.push('\n');
    if summary.held {
        let count: usize =
            summary.arms.iter().map(|arm| arm.expectations.len() * arm.repeats.len().max(1)).sum();
        push_line(text, &format!("All {count} expectations held."));
        return;
    }
    push_line(text, "Not as expected:");
    for arm in &summary.arms {
        for off in unheld(arm) {
            paragraph(&arm.name, name, &format!("{}: {}.", off.0, off.1), text);
        }
    }
}

fn unheld(arm: &ArmSummary) -> impl Iterator<Item = (&str, &str)> {
    arm.expectations.iter().filter(|e| !e.held).map(|e| (e.expects.as_str(), e.found.as_str()))
}

/// A name in a column of its own, and words beside it, wrapped.
fn paragraph(title: &str, name: usize, words: &str, text: &mut String) {
    let indent = name + 2;
    let mut line = format!("{:name$}  ", cut(title));
    for word in with_units(words) {
        let word = word.as_str();
        if width(&line) + 1 + width(word) > COLUMNS && width(&line) > indent {
            push_line(text, &line);
            line = " ".repeat(indent);
        }
        if width(&line) > indent {
            line.push(' ');
        }
        line.push_str(word);
    }
    push_line(text, &line);
}

/// Milliseconds in six columns; ten seconds and more as seconds.
fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 10_000.0 => format!("{:.0} s", ms / 1e3),
        ms if ms >= 100.0 => format!("{ms:.0}"),
        ms => format!("{ms:.1}"),
    }
}

/// The words of a text, a number with its unit as one.
fn with_units(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let unit = matches!(word.trim_end_matches(['.', ',', ';', ':']), "s" | "ms" | "%" | "MiB");
        match words.last_mut() {
            Some(last) if unit => *last = format!("{last} {word}"),
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn cut(name: &str) -> String {
    if width(name) <= NAME_COLUMNS_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_COLUMNS_MAX - 1).chain(['…']).collect()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}
