//! Plots of results as SVG: bars beside one another on a scale of decades, lines as work grows.
//!
//! Plain elements and no script, so that they read on every page that shows Markdown. Nothing here reads a file.

use std::fmt::Write as _;

use super::{
    growth,
    results::{Results, Row, Section, figure, median, shown},
    service,
};

const OWN: &str = "#0969da";
const FLOOR: &str = "#8c959f";
const OTHERS: &str = "#bf8700";
const INK: &str = "#24292f";
const FAINT: &str = "#d0d7de";

/// Pixels.
const WIDTH: f64 = 960.0;
const BAR_HEIGHT: f64 = 16.0;
const BAR_STEP: f64 = 22.0;
const NAMES_WIDTH: f64 = 270.0;
const FIGURES_WIDTH: f64 = 90.0;
const TITLE_HEIGHT: f64 = 34.0;

/// Panels of bars: a section, and the figure that is drawn.
const PANELS: [(&str, &str); 3] = [
    (service::PUT_RECORDS, figure::SPEED),
    (service::PUT_RECORD, figure::CALLS),
    (service::GET_RECORDS, figure::SPEED),
];

/// Weir beside floors, brokers and emulators; none while nothing of it was measured.
pub(super) fn peers(results: &Results) -> Option<String> {
    let mut drawn = String::new();
    let mut top = 10.0;
    for (name, figure) in PANELS {
        let Some(section) = results.sections.iter().find(|section| section.name == name) else { continue };
        let rows: Vec<&Row> = section.rows.iter().filter(|row| !row.values(figure).is_empty()).collect();
        let Some(scale) = Decades::of(rows.iter().flat_map(|row| row.values(figure))) else { continue };
        text(&mut drawn, (10.0, top + 16.0), "start", 14, &format!("{name}: {figure}, log scale"));
        top += TITLE_HEIGHT;
        let bottom = top + rows.len() as f64 * BAR_STEP;
        for decade in scale.decades() {
            let x = NAMES_WIDTH + scale.at(decade) * (WIDTH - NAMES_WIDTH - FIGURES_WIDTH);
            line(&mut drawn, (x, top - 4.0), (x, bottom), FAINT, 1.0);
            text(&mut drawn, (x, bottom + 11.0), "middle", 10, &shown(decade));
        }
        for row in rows {
            bar(&mut drawn, top, row, figure, &scale);
            top += BAR_STEP;
        }
        top = bottom + 34.0;
    }
    (!drawn.is_empty()).then(|| page(top, &drawn, "speeds of Weir, floors, brokers and emulators"))
}

/// A row: its name, the median as a bar, the least and the most as a line on it, the median as a figure.
fn bar(out: &mut String, top: f64, row: &Row, figure: &str, scale: &Decades) {
    let mut values = row.values(figure);
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(most), Some(middle)) = (values.first(), values.last(), median(values.clone()))
    else {
        return;
    };
    let x = |value: f64| NAMES_WIDTH + scale.at(value) * (WIDTH - NAMES_WIDTH - FIGURES_WIDTH);
    let colour = if row.subject.starts_with("Weir") {
        OWN
    } else if row.subject.starts_with("floor") {
        FLOOR
    } else {
        OTHERS
    };
    let base = top + BAR_HEIGHT - 4.0;
    text(out, (NAMES_WIDTH - 8.0, base), "end", 12, &row.subject);
    let _ = writeln!(
        out,
        "<rect x=\"{NAMES_WIDTH}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>",
        (x(middle) - NAMES_WIDTH).max(1.0)
    );
    line(out, (x(*least), top + BAR_HEIGHT / 2.0), (x(*most), top + BAR_HEIGHT / 2.0), INK, 2.0);
    text(out, (x(*most).max(x(middle)) + 6.0, base), "start", 12, &shown(middle));
}

/// What is drawn of each axis, from top to bottom.
const GROWTH_FIGURES: [&str; 3] = [figure::SPEED, figure::P99, figure::MEMORY];
const CELL_HEIGHT: f64 = 130.0;
const CELL_GAP: f64 = 46.0;

/// Speed, latency and memory along each axis; none while no axis was measured.
pub(super) fn growth(results: &Results) -> Option<String> {
    let names = growth::AXES.iter().map(|axis| axis.name).chain([growth::STORED]);
    let sections: Vec<&Section> =
        names.filter_map(|name| results.sections.iter().find(|section| section.name == name)).collect();
    if sections.is_empty() {
        return None;
    }
    let mut drawn = String::new();
    let column = WIDTH / sections.len() as f64;
    for (number, section) in sections.iter().enumerate() {
        let left = number as f64 * column + 44.0;
        let name = section.name.trim_start_matches("Growth: ").split(" (").next().unwrap_or_default();
        text(&mut drawn, (left, 20.0), "start", 13, name);
        for (cell, figure) in GROWTH_FIGURES.iter().enumerate() {
            let top = 44.0 + cell as f64 * (CELL_HEIGHT + CELL_GAP);
            curve(&mut drawn, (left, top), column - 64.0, section, figure);
        }
    }
    let height = 44.0 + GROWTH_FIGURES.len() as f64 * (CELL_HEIGHT + CELL_GAP);
    Some(page(height, &drawn, "speed, latency and memory of Weir as work grows"))
}

/// One figure along one axis: points at even steps, values on a scale of decades.
fn curve(out: &mut String, (left, top): (f64, f64), width: f64, section: &Section, figure: &str) {
    text(out, (left, top - 6.0), "start", 11, figure);
    let points: Vec<(usize, &Row, f64)> = section
        .rows
        .iter()
        .enumerate()
        .filter_map(|(step, row)| Some((step, row, median(row.values(figure))?)))
        .collect();
    let Some(scale) = Decades::of(points.iter().map(|(_, _, value)| *value)) else { return };
    let steps = section.rows.len().saturating_sub(1).max(1) as f64;
    let x = |step: usize| left + step as f64 / steps * width;
    let y = |value: f64| top + (1.0 - scale.at(value)) * CELL_HEIGHT;
    for decade in scale.decades() {
        line(out, (left, y(decade)), (left + width, y(decade)), FAINT, 1.0);
        text(out, (left - 4.0, y(decade) + 3.0), "end", 9, &shown(decade));
    }
    let path: Vec<String> =
        points.iter().map(|(step, _, value)| format!("{:.1},{:.1}", x(*step), y(*value))).collect();
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{OWN}\" stroke-width=\"2\"/>",
        path.join(" ")
    );
    for (step, row, value) in points {
        let _ =
            writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{OWN}\"/>", x(step), y(value));
        text(out, (x(step), y(value) - 6.0), "middle", 9, &shown(value));
        text(out, (x(step), top + CELL_HEIGHT + 12.0), "middle", 9, &row.subject);
    }
}

/// A scale from a power of ten below all values to one above them.
#[derive(Debug, PartialEq)]
struct Decades {
    from: f64,
    to: f64,
}

impl Decades {
    /// None of no values; what is not above zero has no place on it.
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let logs = values.filter(|value| *value > 0.0).map(f64::log10);
        let (least, most) = logs
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), log| (least.min(log), most.max(log)));
        let from = (least - 1e-9).floor();
        least.is_finite().then(|| Self { from, to: most.ceil().max(from + 1.0) })
    }

    /// 0 at the begin, 1 at the end.
    fn at(&self, value: f64) -> f64 {
        ((value.max(f64::MIN_POSITIVE).log10() - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        let (from, to) = (self.from as i32, self.to as i32);
        (from..=to).map(|power| 10_f64.powi(power))
    }
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, size: u32, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{INK}\">{text}</text>"
    );
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn page(height: f64, drawn: &str, about: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"system-ui, sans-serif\" \
         role=\"img\" aria-label=\"{about}\">\n<rect width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n{drawn}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_holds_every_value_and_a_tenfold_one_lies_a_decade_further() {
        let scale = Decades::of([5.0, 700.0].into_iter()).unwrap();
        assert_eq!(scale, Decades { from: 0.0, to: 3.0 });
        assert!((scale.at(50.0) - scale.at(5.0) - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(scale.decades().collect::<Vec<_>>(), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(Decades::of([0.0].into_iter()), None);
    }

    #[test]
    fn a_plot_draws_each_row_that_has_figures() {
        let mut results = Results::default();
        assert_eq!((peers(&results), growth(&results)), (None, None));
        let rows = vec![
            Row::of("Weir & more", figure::SPEED, &[500.0, 600.0]),
            Row::of("missing", figure::SPEED, &[]),
        ];
        results.replace(Section { name: service::PUT_RECORDS.to_owned(), rows, ..Section::default() });
        let svg = peers(&results).unwrap();
        assert_eq!(svg.matches("<rect x=").count(), 1, "{svg}");
        assert!(svg.contains("Weir &amp; more") && !svg.contains("missing"), "{svg}");
    }
}
