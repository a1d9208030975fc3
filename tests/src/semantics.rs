//! What `docs/SEMANTICS.md` says, for the tests that prove it.
//!
//! A test that proves something of a row quotes the row's first column and, of the second, what it shows: with [`says`].
//! One that proves a point of a list quotes words of it: with [`says_same`]. `tests/kinesis/semantics_doc.rs` finds the rows
//! and the points that nobody quotes. So a row that promises something else, or a test that goes, is noticed.

/// The page.
pub const PAGE: &str = include_str!("../../docs/SEMANTICS.md");

/// Heads of the tables that tell differences, row by row.
const HEADS: [&str; 2] = ["| what | in Weir | why |", "| what a client does | what it hears |"];

/// The row of differences whose first column is `what` promises this in its second.
///
/// # Panics
/// When the page has no such row, or its second column does not contain `in_weir`.
pub fn says(what: &str, in_weir: &str) {
    let row = differences(PAGE).into_iter().find(|row| row[0] == what);
    let row = row.unwrap_or_else(|| panic!("docs/SEMANTICS.md has no row {what:?}"));
    assert!(
        row[1].contains(in_weir),
        "docs/SEMANTICS.md does not say {in_weir:?} of {what}, but: {}",
        row[1]
    );
}

/// What is as in Kinesis holds these words in one of its points.
///
/// # Panics
/// When no point of those lists contains them.
pub fn says_same(words: &str) {
    let found = same(PAGE).iter().any(|point| point.contains(words));
    assert!(found, "docs/SEMANTICS.md does not count {words:?} among what is as in Kinesis");
}

/// What an acknowledged record survives under a value of `--durability`.
///
/// # Panics
/// When the page has no row for it.
pub fn durability(value: &str) -> String {
    let head = "| value | an acknowledged record survives | what happens before the acknowledgement |";
    let row = table(PAGE, head).into_iter().find(|row| row[0].starts_with(&format!("`{value}`")));
    row.unwrap_or_else(|| panic!("docs/SEMANTICS.md says nothing of {value}"))[1].clone()
}

/// The points of the lists of what is as in Kinesis, each on one line.
pub fn same(page: &str) -> Vec<String> {
    let mut points: Vec<String> = Vec::new();
    let (mut is_same, mut is_open) = (false, false);
    for line in page.lines() {
        if line.starts_with("## ") || line.starts_with('|') {
            is_same = line == "## Same as Kinesis";
        }
        is_same |= line == "As in Kinesis:";
        is_open &= line.starts_with("  ");
        if let Some(begin) = line.strip_prefix("- ").filter(|_| is_same) {
            points.push(begin.to_owned());
            is_open = true;
        } else if let Some(last) = points.last_mut().filter(|_| is_open) {
            last.push(' ');
            last.push_str(line.trim());
        }
    }
    points
}

/// The rows of all tables of differences.
pub fn differences(page: &str) -> Vec<Vec<String>> {
    let tables = page.split("\n\n").filter(|part| HEADS.iter().any(|head| part.starts_with(head)));
    tables.flat_map(|part| table(part, part.lines().next().unwrap_or_default())).collect()
}

/// A table's rows, below the head that is given.
pub fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let below = page.lines().skip_while(|line| *line != head).skip(2);
    below.take_while(|line| line.starts_with("| ")).map(cells).collect()
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim_start_matches("| ").trim_end_matches(" |");
    inner.replace("\\|", "\u{1}").split(" | ").map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}
