//! The report as a reader's browser shows it: what its script made of the data, not what stands in the file.
//!
//! Used on the report of a whole experiment. It looks only at what the script alone can have put there, so that a page
//! whose script dies at its first line is missing everything.

use std::{path::Path, process::Command, time::Duration};

use crate::{prepared, process::output};

/// How long a browser may take on a loaded machine.
const BROWSER_TIMEOUT: Duration = Duration::from_secs(120);

/// The rows that a reader is promised, each with a plot for every arm, and what every such plot has: a line of its
/// own, or the strips of the tenants.
pub const ROWS: [(&str, &str); 6] = [
    ("Threads", LINE),
    ("Map age", LINE),
    ("Success", LINE),
    ("Latency", LINE),
    ("Tenants", "<rect class=\"heat-good\""),
    ("Consumers’ buffers", LINE),
];
/// The start of a line of data: limits, bands and axes have other classes.
const LINE: &str = "<path class=\"";
const LINE_CLASSES: [&str; 2] = ["thin", "line"];

/// What a browser holds once the page's script has run.
#[derive(Debug)]
pub struct Page {
    /// The document without its scripts: these hold every name in their data.
    shown: String,
}

impl Page {
    /// Opens the file in the browser that `cargo xtask test` prepares; `scratch` is for the browser's own files.
    pub fn open(file: &Path, scratch: &Path) -> Self {
        let mut browser = Command::new(prepared("WEIR_BROWSER"));
        browser.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1400,1000",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ]);
        browser.arg(format!("--user-data-dir={}", scratch.join("browser").display()));
        browser.arg(format!("file://{}", file.display()));
        let ended = output(&mut browser, BROWSER_TIMEOUT);
        assert!(ended.status.success(), "the browser: {}", String::from_utf8_lossy(&ended.stderr));
        Self { shown: without_scripts(&String::from_utf8_lossy(&ended.stdout)) }
    }

    /// Everything that a reader was to see and does not, in words; empty when the page is whole.
    pub fn missing(&self, arms: &[&str], phases: &[&str]) -> Vec<String> {
        let mut missing = Vec::new();
        if let Some((_, error)) = self.shown.split_once("data-error=\"") {
            let error = error.split('"').next().unwrap_or_default();
            missing.push(format!("a script without an error: {error}"));
        }
        let verdict = self.shown.split_once("id=\"verdict\"").and_then(|(_, rest)| rest.split_once('>'));
        if verdict.is_none_or(|(_, text)| text.starts_with('<')) {
            missing.push("the verdict".to_owned());
        }
        let wanted = ROWS.iter().flat_map(|row| arms.iter().map(move |arm| (row, arm)));
        for ((title, mark), arm) in wanted {
            if !self.plot(title, arm).is_some_and(|plot| has(plot, mark)) {
                missing.push(format!("the plot {title}, {arm}"));
            }
        }
        for (number, phase) in (1..).zip(phases) {
            let told = self.shown.matches(&format!("<title>{number} {phase}</title>")).count();
            if told != arms.len() {
                missing.push(format!("phase {phase} in the ribbon of each arm, not of {told}"));
            }
        }
        missing
    }

    /// The picture of one arm in one row.
    fn plot(&self, title: &str, arm: &str) -> Option<&str> {
        let label = format!("aria-label=\"{title}, {arm}\"");
        let pictures = self.shown.split("<svg ").skip(1).filter_map(|rest| rest.split("</svg>").next());
        pictures.into_iter().find(|picture| {
            let head = picture.split('>').next().unwrap_or_default();
            head.contains("role=\"img\"") && head.contains(&label)
        })
    }
}

/// Does the plot have what its row draws?
fn has(plot: &str, mark: &str) -> bool {
    plot.split(mark).skip(1).any(|rest| {
        let element = rest.split('>').next().unwrap_or_default();
        mark != LINE
            || (LINE_CLASSES.iter().any(|class| element.starts_with(class)) && element.contains(" d=\"M"))
    })
}

fn without_scripts(dom: &str) -> String {
    let mut parts = dom.split("<script");
    let before = parts.next().unwrap_or_default().to_owned();
    let after = parts.map(|part| part.split_once("</script>").map_or("", |(_, after)| after));
    after.fold(before, |all, part| all + part)
}
