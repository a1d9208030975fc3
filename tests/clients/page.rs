//! docs/CLIENTS.md shows what the tests really use.

use std::{fs, path::Path};

/// Each block of code on the page, with the file that the text before it names last.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut source = String::new();
    for (n, part) in page.split("```").enumerate() {
        if n % 2 == 0 {
            let named = part.split('`').rfind(|word| word.starts_with("tests/"));
            source = named.map_or(source, str::to_owned);
        } else {
            let code = part.split_once('\n').expect("a language, then lines").1;
            blocks.push((source.clone(), code.to_owned()));
        }
    }
    blocks
}

#[test]
fn the_page_of_clients_shows_what_the_tests_use() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root");
    let page = fs::read_to_string(root.join("docs/CLIENTS.md")).expect("the page");
    let blocks = blocks(&page);
    assert!(blocks.len() >= 9, "a block for each client: {blocks:?}");
    for (source, code) in blocks {
        if source.ends_with("aws_cli.rs") {
            continue; // a shell's lines are in no program
        }
        let text = fs::read_to_string(root.join(&source)).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert!(text.contains(code.trim_end()), "{source} does not hold:\n{code}");
    }
}
