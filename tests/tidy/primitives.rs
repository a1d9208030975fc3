//! weir-sync holds what Weir truly uses: a primitive without a user is checked for nobody.
//!
//! Only code that ships counts as a user: no test, no bench, no tool of this repository.

use std::fs;

use super::{assert_none, files::rust_files, root};

/// The names that `crates/weir-sync/src/lib.rs` exports.
fn primitives() -> Vec<String> {
    let text = fs::read_to_string(root().join("crates/weir-sync/src/lib.rs")).unwrap();
    let exported = text.lines().filter_map(|line| line.strip_prefix("pub use "));
    let names = exported.flat_map(|line| line.trim_end_matches(';').split("::").last().unwrap().split(','));
    names.map(|name| name.trim_matches([' ', '{', '}']).to_owned()).collect()
}

/// The parts of a text that name something of weir-sync: from the crate's name to the end of the statement.
fn mentions(text: &str) -> impl Iterator<Item = &str> {
    text.split("weir_sync::").skip(1).filter_map(|rest| rest.split(';').next())
}

/// A source without its comments and its tests.
fn code(text: &str) -> String {
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
    shipped
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn names(mention: &str, name: &str) -> bool {
    mention.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name)
}

fn ships(path: &str) -> bool {
    let of_a_crate = path.starts_with("crates/") || path.starts_with("loadgen/");
    let aside = ["crates/weir-sync/", "crates/xtask/", "/tests/", "/tests.rs", "/fixture"];
    of_a_crate && !aside.iter().any(|part| path.contains(part))
}

#[test]
fn each_primitive_of_sync_is_used_by_what_ships() {
    let primitives = primitives();
    assert!(primitives.len() >= 8, "{primitives:?} cannot be all");
    let users: Vec<String> =
        rust_files().into_iter().filter(|(path, _)| ships(path)).map(|(_, text)| code(&text)).collect();
    let unused: Vec<_> = primitives
        .into_iter()
        .filter(|name| !users.iter().any(|text| mentions(text).any(|mention| names(mention, name))))
        .collect();
    assert_none("primitives that nothing but tests and benches uses", &unused);
}

#[test]
fn each_primitive_of_sync_has_models_and_a_section() {
    let document = fs::read_to_string(root().join("docs/CONCURRENCY.md")).unwrap();
    let library = fs::read_to_string(root().join("crates/weir-sync/src/lib.rs")).unwrap();
    let modules = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let offenders: Vec<_> = modules
        .filter(|module| {
            let models = root().join(format!("crates/weir-sync/src/{module}/loom_tests.rs"));
            !models.exists() || !document.contains(&format!(" (`{module}.rs`)"))
        })
        .map(str::to_owned)
        .collect();
    assert_none("primitives without models or without a section in docs/CONCURRENCY.md", &offenders);
}

#[test]
fn the_locks_channels_and_threads_of_the_log_come_from_where_shuttle_can_replace_them() {
    let of_the_log = |path: &str| path.starts_with("crates/weir-log/src/") && !path.ends_with("/facade.rs");
    let files = rust_files().into_iter().filter(|(path, _)| of_the_log(path) && ships(path));
    let foreign = ["parking_lot", "crossbeam_channel", "std::thread", "thread::JoinHandle"];
    let offenders: Vec<_> = files
        .flat_map(|(path, text)| {
            let code = code(&text);
            foreign
                .into_iter()
                .filter(move |name| code.contains(name))
                .map(move |name| format!("{path}: {name}"))
        })
        .collect();
    assert_none("threads that shuttle would not see meet", &offenders);
}
