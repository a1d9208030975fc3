//! What `docs/SEMANTICS.md` says, for the tests that prove it.
//!
//! A test that proves a row of its tables quotes the row's first column with [`says`]; `tests/kinesis/semantics_doc.rs` finds
//! the rows that nobody quotes. So a row that changes its subject, or a test that goes, is noticed.

/// The page.
pub const PAGE: &str = include_str!("../../docs/SEMANTICS.md");

/// The cells of a row of the page whose first column is `what`.
///
/// # Panics
/// When the page has no such row.
pub fn says(what: &str) -> Vec<String> {
    rows(PAGE).find(|row| row[0] == what).unwrap_or_else(|| panic!("docs/SEMANTICS.md has no row {what:?}"))
}

/// All rows of all tables, heads and rules among them.
pub fn rows(page: &str) -> impl Iterator<Item = Vec<String>> {
    page.lines().filter(|line| line.starts_with("| ")).map(cells)
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
