//! `report.html`: one file that shows a whole result, offline, to whoever opens it.
//!
//! Called after a run and by `weir report`. The page's markup, style and script are embedded in the binary; the data
//! are written into it as JSON. Nothing in the page may load anything from anywhere, and no text of a scenario may
//! become markup or script.

mod data;
mod frame;
mod thin;

use crate::{
    oracle::Opinion,
    series::{ArmSeries, store::Recorded},
    summary::Summary,
};

const HTML: &str = include_str!("report/page.html");
const STYLE: &str = include_str!("report/page.css");
const SCRIPT: &str = include_str!("report/page.js");

/// Bytes that the data may take in the page: a page of 5 MB still opens at once and can be sent by mail.
const DATA_BYTES_MAX: usize = 4_500_000;
/// Points of one line of a plot to begin with: more than a small multiple has pixels.
const POINTS: usize = 360;
/// Points of one line below which a plot is no plot; a page that is still too large then stays so.
const POINTS_MIN: usize = 24;

/// The page. `opinions` are those of `recorded.arms`, in that order.
pub fn render(recorded: &Recorded, summary: &Summary, opinions: &[Opinion]) -> String {
    let drawn: Vec<ArmSeries> = recorded.arms.iter().map(frame::within_phases).collect();
    let mut points = POINTS;
    let json = loop {
        let data = data::collect(&recorded.header, &drawn, summary, opinions, points);
        let json = serde_json::to_string(&data).expect("the data have text keys only");
        if json.len() <= DATA_BYTES_MAX || points <= POINTS_MIN {
            break json;
        }
        points /= 2;
    };
    fill(&[
        ("{{title}}", &text(&format!("{} – Weir", summary.scenario))),
        ("{{style}}", STYLE),
        ("{{data}}", &within_script(&json)),
        ("{{script}}", SCRIPT),
    ])
}

/// Puts each value in the place of its mark. What was put in is not searched again.
fn fill(values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(HTML.len() + values.iter().map(|(_, v)| v.len()).sum::<usize>());
    let mut rest = HTML;
    for (mark, value) in values {
        let (before, after) = rest.split_once(mark).expect("the page has every mark once, in this order");
        page.push_str(before);
        page.push_str(value);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// JSON that cannot end its script element or open a comment: the characters that HTML looks at are written as escapes
/// (they occur within JSON's strings only, where an escape means the same).
fn within_script(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            '\u{2028}' => safe.push_str("\\u2028"),
            '\u{2029}' => safe.push_str("\\u2029"),
            other => safe.push(other),
        }
    }
    safe
}

/// Text for an element's content.
fn text(raw: &str) -> String {
    raw.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
