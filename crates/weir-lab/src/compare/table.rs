//! A comparison as plain text, at most 100 columns wide.
//!
//! Called by `weir compare`.

use super::{ArmComparison, Comparison, CountComparison, Difference, Says};
use crate::summary::percent;

/// The text, with a line feed at its end.
pub fn render(comparison: &Comparison) -> String {
    let mut text = format!("first   {}\nsecond  {}\n", comparison.first, comparison.second);
    for caution in &comparison.cautions {
        text.push_str(&format!("caution {caution}\n"));
    }
    for arm in &comparison.arms {
        one(arm, &mut text);
    }
    if !comparison.unmatched.is_empty() {
        text.push_str(&format!("\nin one result only: {}\n", comparison.unmatched.join(", ")));
    }
    if comparison.arms.is_empty() {
        text.push_str("\nthe results have no arm in common\n");
    }
    text
}

fn one(arm: &ArmComparison, text: &mut String) {
    text.push_str(&format!("\n{} ({} and {} runs)\n", arm.name, arm.runs.0, arm.runs.1));
    for count in &arm.counts {
        count_line(count, text);
    }
    let head = ["phase", "measure", "first", "second", "second - first", ""];
    text.push_str(&line(head.map(str::to_owned)));
    for phase in &arm.phases {
        let mut name = cut(&phase.name, 16);
        for difference in &phase.differences {
            let interval = match difference.interval {
                Some((low, high)) => format!("{} to {}", signed(low, difference), signed(high, difference)),
                None => "–".to_owned(),
            };
            text.push_str(&line([
                std::mem::take(&mut name),
                difference.measure.to_owned(),
                value(difference.first, difference),
                value(difference.second, difference),
                interval,
                words(difference.says).to_owned(),
            ]));
        }
    }
}

fn count_line(count: &CountComparison, text: &mut String) {
    let tell = |values: &[Option<u64>]| {
        let told: Vec<String> =
            values.iter().map(|v| v.map_or("none".to_owned(), |v| v.to_string())).collect();
        match told.as_slice() {
            [] => "–".to_owned(),
            [first, rest @ ..] if rest.iter().all(|v| v == first) => first.clone(),
            all => all.join(" "),
        }
    };
    let (first, second) = (tell(&count.first), tell(&count.second));
    let words = match (count.exact, first == second) {
        (false, _) => "",
        (true, true) => "same",
        (true, false) => "differs",
    };
    let line = format!("  {:<26} {first:>12} {second:>12}   {words}", count.measure);
    text.push_str(line.trim_end());
    text.push('\n');
}

fn line(cells: [String; 6]) -> String {
    let [phase, measure, first, second, interval, words] = cells;
    let line = format!("  {phase:<16} {measure:<16} {first:>9} {second:>9} {interval:>22}  {words}");
    format!("{}\n", line.trim_end())
}

const fn words(says: Says) -> &'static str {
    match says {
        Says::Same => "same",
        Says::InsideTheNoise => "inside the noise",
        Says::Greater => "GREATER",
        Says::Smaller => "SMALLER",
        Says::CannotTell => "cannot tell",
    }
}

fn value(number: f64, of: &Difference) -> String {
    match of.measure {
        "success_ratio" => percent(Some(number)),
        "calls_per_second" => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

fn signed(number: f64, of: &Difference) -> String {
    match of.measure {
        "success_ratio" => format!("{:+.2} %", number * 100.0),
        "calls_per_second" => format!("{number:+.1}"),
        _ => format!("{number:+.2}"),
    }
}

fn cut(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most - 1).chain(['…']).collect()
}
