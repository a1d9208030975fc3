//! Rules about single files: headers, lengths, names, words.
//!
//! The measures come from docs/ARCHITECTURE.md, "House rules".

use std::fs;

use super::{assert_none, root, said, tracked_files};

/// Lines of a Rust file, tests included.
const FILE_LINES_MAX: usize = 800;

pub(super) fn rust_files() -> Vec<(String, String)> {
    tracked_files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| (said(&path), fs::read_to_string(&path).unwrap()))
        .collect()
}

#[test]
fn every_source_file_opens_with_what_it_owns() {
    let offenders: Vec<_> = rust_files()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert_none("files that do not open with //!", &offenders);
}

#[test]
fn no_source_file_is_longer_than_its_bound() {
    let offenders: Vec<_> = rust_files()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > FILE_LINES_MAX)
        .map(|(path, text)| format!("{path}: {} lines", text.lines().count()))
        .collect();
    assert_none("files over 800 lines: find the wall inside them", &offenders);
}

#[test]
fn no_file_is_a_drawer() {
    const DRAWERS: [&str; 7] =
        ["utils.rs", "util.rs", "helpers.rs", "common.rs", "types.rs", "manager.rs", "mod.rs"];
    let offenders: Vec<_> = rust_files()
        .into_iter()
        .filter(|(path, _)| path.rsplit('/').next().is_some_and(|name| DRAWERS.contains(&name)))
        .map(|(path, _)| path)
        .collect();
    assert_none("files named for no noun and no verb", &offenders);
}

#[test]
fn every_library_but_sync_forbids_unsafe_code() {
    let offenders: Vec<_> = rust_files()
        .into_iter()
        .filter(|(path, text)| {
            path.ends_with("src/lib.rs")
                && !path.starts_with("crates/weir-sync/")
                && !text.contains("#![forbid(unsafe_code)]")
        })
        .map(|(path, _)| path)
        .collect();
    assert_none("libraries without #![forbid(unsafe_code)]", &offenders);
}

#[test]
fn only_the_facade_of_sync_names_std_sync_or_loom() {
    let offenders: Vec<_> = rust_files()
        .into_iter()
        .filter(|(path, _)| {
            path.starts_with("crates/weir-sync/src/")
                && !path.ends_with("facade.rs")
                && !path.contains("/loom_tests")
        })
        .filter(|(_, text)| {
            let code = text.split("#[cfg(test)]").next().unwrap_or(text);
            let code = code.split("#[cfg(all(not(loom), test))]").next().unwrap_or(code);
            code.lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//") && (line.contains("std::sync::") || line.contains("loom::"))
            })
        })
        .map(|(path, _)| path)
        .collect();
    assert_none("std::sync or loom outside the facade", &offenders);
}

#[test]
fn lints_are_silenced_only_with_a_reason() {
    let allow = ["#[al", "low("].concat();
    let inner = ["#![al", "low("].concat();
    let offenders: Vec<_> = rust_files()
        .into_iter()
        .flat_map(|(path, text)| {
            let (allow, inner) = (allow.clone(), inner.clone());
            text.lines()
                .enumerate()
                .filter(|(_, line)| {
                    line.trim_start().starts_with(&allow) || line.trim_start().starts_with(&inner)
                })
                .map(|(number, _)| format!("{path}:{}", number + 1))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none("use #[expect(lint, reason = …)]", &offenders);
}

#[test]
fn the_pages_that_a_reader_needs_are_there_and_have_one_title() {
    for page in [
        "README.md",
        "CHANGELOG.md",
        "docs/ARCHITECTURE.md",
        "docs/CLIENTS.md",
        "docs/DATA_PATH.md",
        "docs/THREADS.md",
        "docs/GLOSSARY.md",
        "docs/CONCURRENCY.md",
        "docs/METRICS.md",
        "docs/PERFORMANCE.md",
        "docs/SEMANTICS.md",
        "docs/EXPERIMENTS.md",
    ] {
        let text = fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        let mut fenced = false;
        let titles = text
            .lines()
            .filter(|line| {
                fenced ^= line.starts_with("```");
                !fenced && line.starts_with("# ")
            })
            .count();
        assert_eq!(titles, 1, "{page} has {titles} titles");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut offenders = Vec::new();
    for path in tracked_files().into_iter().filter(|p| p.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || target.contains("://") {
                continue;
            }
            if !path.parent().unwrap().join(file).exists() {
                offenders.push(format!("{}: {target}", said(&path)));
            }
        }
    }
    assert_none("links that lead nowhere", &offenders);
}

/// The files that docs/CONCURRENCY.md writes together with its reader.
const OF_THE_TUTORIAL: &str = "count_down";

/// What a text has between single backticks, outside its fenced blocks.
fn code_spans(text: &str) -> Vec<&str> {
    let unfenced = text.split("```").step_by(2);
    unfenced.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn source_files_that_documents_name_exist() {
    let files: Vec<String> = tracked_files().iter().map(|path| format!("/{}", said(path))).collect();
    let mut offenders = Vec::new();
    for path in tracked_files().into_iter().filter(|p| p.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(&path).unwrap();
        let named = code_spans(&text).into_iter().filter(|span| span.ends_with(".rs"));
        for span in named.filter(|span| !span.contains(OF_THE_TUTORIAL)) {
            if !files.iter().any(|file| file.ends_with(&format!("/{span}"))) {
                offenders.push(format!("{}: {span}", said(&path)));
            }
        }
    }
    assert_none("source files that are named and not there", &offenders);
}

#[test]
fn every_fuzz_target_has_an_entry_a_corpus_and_a_name_in_its_manifest() {
    let folder = root().join("tests/fuzz");
    let manifest: toml::Table =
        toml::from_str(&fs::read_to_string(folder.join("Cargo.toml")).unwrap()).unwrap();
    let named = |kind: &str| {
        let names = fs::read_dir(folder.join(kind)).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> =
            names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let targets = named("targets");
    assert_eq!(targets, named("corpus"));
    let listed = manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap());
    assert!(listed.eq(&targets), "tests/fuzz/Cargo.toml lists the targets by name");
    // No stable compiler builds a target: at least what it calls must be there.
    let sources = rust_files();
    for target in &targets {
        let called = fs::read_to_string(folder.join("targets").join(format!("{target}.rs"))).unwrap();
        let (_, entry) = called.split_once("_target!(|input: &[u8]| ").expect("a target calls one function");
        let entry = entry.split('(').next().unwrap();
        let (crate_name, function) =
            entry.split_once("::fuzz::").expect("a function of a crate's fuzz module");
        let module = format!("crates/{}/src/fuzz.rs", crate_name.replace('_', "-"));
        let (_, text) = sources.iter().find(|(path, _)| *path == module).expect("the crate has the module");
        assert!(text.contains(&format!("pub fn {function}(")), "{entry} is not there");
    }
}
