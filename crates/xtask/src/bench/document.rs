//! `docs/PERFORMANCE.md`: bars, tables and plots between two marks; what people write around them stays.
//!
//! Written from kept results alone, so that it can be written again without measuring. This file holds no prose about
//! where time goes: that is written by hand, outside the marks.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, ensure};

use super::{
    bars, plot,
    results::{Results, Row, Section, figure, spread},
};

const BEGIN: &str = "<!-- bench: begin. `cargo xtask bench` writes from here -->";
const END: &str = "<!-- bench: end. to here -->";

/// Plots, as files below `docs/`.
const PEERS: &str = "images/performance.svg";
const GROWTH: &str = "images/growth.svg";

/// Writes the document and its plots into the folder of documents.
pub(super) fn write(results: &Results, docs: &Path) -> anyhow::Result<()> {
    let path = docs.join("PERFORMANCE.md");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    for (name, drawn) in [(PEERS, plot::peers(results)), (GROWTH, plot::growth(results))] {
        let file = docs.join(name);
        match drawn {
            Some(svg) => fs::write(&file, svg).with_context(|| format!("write {}", file.display()))?,
            None if file.exists() => fs::remove_file(&file)?,
            None => {}
        }
    }
    let text = replaced(&text, &measured(results)).with_context(|| format!("marks in {}", path.display()))?;
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

/// The text with what stands between the marks replaced.
fn replaced(text: &str, measured: &str) -> anyhow::Result<String> {
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("{BEGIN} is missing"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{END} is missing"))?;
    ensure!(!after.contains(BEGIN), "{BEGIN} is there twice");
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", measured.trim()))
}

/// All that the suite says.
fn measured(results: &Results) -> String {
    let mut text = format!("## Bars\n\n{}\n", bars_table(results));
    text += "A row holds for the machine that its table names.\n\n";
    let versions: Vec<String> = results.versions.iter().map(|(name, is)| format!("{name} {is}")).collect();
    let _ = writeln!(text, "Versions: {}.\n", versions.join("; "));
    let has = |growth: bool| results.sections.iter().any(|section| is_growth(&section.name) == growth);
    if has(false) {
        let _ = writeln!(text, "## Figures\n\n![Weir beside floors, brokers and emulators]({PEERS})\n");
        for section in results.sections.iter().filter(|section| !is_growth(&section.name)) {
            text += &table(section);
        }
    }
    if has(true) {
        let _ = writeln!(text, "## Growth\n\n![Speed, latency and memory as work grows]({GROWTH})\n");
        for section in results.sections.iter().filter(|section| is_growth(&section.name)) {
            text += &table(section);
        }
    }
    text
}

/// Does a section of that name tell what growing work costs?
pub(super) fn is_growth(name: &str) -> bool {
    name.starts_with("Growth: ")
}

/// Bars against what was measured.
pub(super) fn bars_table(results: &Results) -> String {
    let mut text = "| bar | bound | measured | held |\n| --- | --- | --- | --- |\n".to_owned();
    for bar in bars::judged(results) {
        let held = match bar.held {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "not measured",
        };
        let _ = writeln!(text, "| {} | {} | {} | {held} |", bar.says, bar.bound, bar.measured);
    }
    text
}

/// One section.
pub(super) fn table(section: &Section) -> String {
    let mut heads = vec![String::new()];
    heads.extend(section.columns.iter().cloned());
    heads.extend(section.ratio.as_ref().map(|ratio| format!("{} of {}", ratio.figure, ratio.of)));
    heads.push(String::new());
    let Section { name, command, date, commit, machine, .. } = section;
    let mut text = format!("### {name}\n\n`{command}`, {date}, commit {commit}; {machine}\n\n");
    let _ = writeln!(text, "| {} |\n|{}", heads.join(" | "), " --- |".repeat(heads.len()));
    for row in &section.rows {
        let _ = writeln!(text, "| {} | {} |", row.subject, cells(section, row).join(" | "));
    }
    text + "\n"
}

fn cells(section: &Section, row: &Row) -> Vec<String> {
    let figures = section.columns.len() + usize::from(section.ratio.is_some());
    if let Some(why) = &row.absent {
        let mut cells = vec!["–".to_owned(); figures];
        cells.push(format!("not measured: {why}"));
        return cells;
    }
    let mut cells: Vec<String> = section.columns.iter().map(|column| spread(row.values(column))).collect();
    if let Some(ratio) = &section.ratio {
        let of = section.row(&ratio.of);
        let ratios = of.map(|of| row.against(of, &ratio.figure, |own, other| own / other));
        cells.push(spread(ratios.unwrap_or_default()));
    }
    let mut remarks = vec![row.remark.clone()];
    let noisy = row.values(figure::BESIDE_OTHERS).iter().sum::<f64>();
    if noisy > 0.0 {
        remarks.push(format!("{noisy} of {} runs beside other work", row.rounds.len()));
    }
    let failed = row.values(figure::FAILED).iter().sum::<f64>();
    if failed > 0.0 {
        remarks.push(format!("{failed} calls failed"));
    }
    remarks.retain(|remark| !remark.is_empty());
    cells.push(remarks.join("; "));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{Figures, Ratio};

    fn section() -> Section {
        let row = |subject: &str, speed: f64| Row {
            subject: subject.to_owned(),
            remark: "durable".to_owned(),
            absent: None,
            rounds: vec![Figures::from([
                (figure::SPEED.to_owned(), speed),
                (figure::FAILED.to_owned(), 2.0),
            ])],
        };
        let mut missing = row("missing", 0.0);
        (missing.absent, missing.rounds) = (Some("run as root: apt-get".to_owned()), Vec::new());
        Section {
            name: "Puts".to_owned(),
            command: "cargo xtask bench".to_owned(),
            date: "2026-11-27".to_owned(),
            commit: "0123456789ab".to_owned(),
            machine: "2 cores".to_owned(),
            columns: vec![figure::SPEED.to_owned()],
            ratio: Some(Ratio { of: "floor".to_owned(), figure: figure::SPEED.to_owned() }),
            rows: vec![row("floor", 8.0), row("own", 6.0), missing],
        }
    }

    #[test]
    fn a_table_has_a_ratio_a_remark_and_a_reason_for_what_is_missing() {
        let text = table(&section());
        assert!(text.contains("`cargo xtask bench`, 2026-11-27, commit 0123456789ab; 2 cores\n"), "{text}");
        assert!(text.contains("| own | 6.00 | 0.750 | durable; 2 calls failed |"), "{text}");
        assert!(text.contains("| missing | – | – | not measured: run as root: apt-get |"), "{text}");
        let columns = |line: &str| line.matches('|').count();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(lines.iter().all(|line| columns(line) == columns(lines[0])), "{text}");
    }

    #[test]
    fn what_people_wrote_around_the_marks_stays() {
        let text = format!("# Title\n{BEGIN}\nold\n{END}\n## Where the time goes\nhere\n");
        let once = replaced(&text, "new\n").unwrap();
        assert_eq!(once, format!("# Title\n{BEGIN}\n\nnew\n\n{END}\n## Where the time goes\nhere\n"));
        assert_eq!(replaced(&once, "new\n").unwrap(), once, "and again");
        assert!(replaced("# Title\n", "new").is_err());
    }
}
