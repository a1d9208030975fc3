//! Which crate may know which: the arrows of docs/ARCHITECTURE.md, read from the manifests.
//!
//! A new arrow fails here first. Whoever adds one adds the reason to the architecture page as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::root;

/// Crate, folder, and the crates right below it. Below means: these and whatever they stand on.
const ARROWS: &[(&str, &str, &[&str])] = &[
    ("weir-sync", "crates/weir-sync", &[]),
    ("weir-core", "crates/weir-core", &["weir-sync"]),
    ("weir-wire", "crates/weir-wire", &["weir-core"]),
    ("weir-log", "crates/weir-log", &["weir-core"]),
    ("weir-cell", "crates/weir-cell", &["weir-wire", "weir-log"]),
    ("weir-frontend", "crates/weir-frontend", &["weir-wire"]),
    ("weir-control", "crates/weir-control", &["weir-wire"]),
    ("weir-client", "crates/weir-client", &["weir-wire"]),
    ("weir-consumers", "crates/weir-consumers", &["weir-client"]),
    ("weir-loadgen", "loadgen", &["weir-client"]),
    (
        "weir-lab",
        "crates/weir-lab",
        &["weir-cell", "weir-frontend", "weir-control", "weir-consumers", "weir-loadgen"],
    ),
    ("weir", "crates/weir", &["weir-lab"]),
    ("xtask", "crates/xtask", &[]),
    // These two look at everything from outside and nothing may look at them.
    ("weir-benches", "benches", &["weir-lab"]),
    ("weir-tests", "tests", &["weir-lab"]),
];

fn below(name: &str) -> BTreeSet<&'static str> {
    let (_, _, right_below) =
        ARROWS.iter().find(|(known, _, _)| *known == name).expect("every crate is listed");
    right_below.iter().flat_map(|lower| below(lower).into_iter().chain([*lower])).collect()
}

fn our_dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut tables: Vec<&toml::Table> = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    for table in tables {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let names = table.get(section).and_then(toml::Value::as_table);
            found.extend(
                names.into_iter().flat_map(|names| names.keys()).filter(|n| n.starts_with("weir")).cloned(),
            );
        }
    }
    found
}

fn manifests() -> BTreeMap<String, toml::Table> {
    let root_manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = root_manifest["workspace"]["members"].as_array().unwrap();
    let mut folders = Vec::new();
    for member in members.iter().map(|m| m.as_str().unwrap()) {
        match member.strip_suffix("/*") {
            Some(parent) => {
                let entries = fs::read_dir(root().join(parent)).unwrap();
                folders.extend(
                    entries.map(|entry| entry.unwrap().path()).filter(|p| p.join("Cargo.toml").exists()),
                );
            }
            None => folders.push(root().join(member)),
        }
    }
    folders
        .into_iter()
        .map(|folder| {
            let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            (folder.strip_prefix(root()).unwrap().display().to_string(), text.parse().unwrap())
        })
        .collect()
}

#[test]
fn arrows_between_crates_point_down_only() {
    for (folder, manifest) in manifests() {
        let name = manifest["package"]["name"].as_str().unwrap();
        let (_, place, _) = ARROWS
            .iter()
            .find(|(known, _, _)| *known == name)
            .unwrap_or_else(|| panic!("{folder}: crate {name} is not in the list of arrows"));
        assert_eq!(*place, folder, "{name} moved");
        let allowed = below(name);
        let up: Vec<_> =
            our_dependencies(&manifest).into_iter().filter(|dep| !allowed.contains(dep.as_str())).collect();
        assert!(up.is_empty(), "{folder}: {name} must not depend on {up:?}; allowed: {allowed:?}");
    }
}

#[test]
fn front_end_and_cell_share_nothing_but_the_wire() {
    assert!(!below("weir-frontend").contains("weir-cell") && !below("weir-frontend").contains("weir-log"));
    assert!(!below("weir-cell").contains("weir-frontend"));
}

#[test]
fn every_dependency_of_others_has_its_reason_and_no_default_features() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = text.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in section.lines().filter(|line| line.contains(" = {") && !line.contains("path = ")) {
        let (spec, reason) = line.rsplit_once('#').unwrap_or((line, ""));
        assert!(reason.trim().len() > 10, "no reason beside: {line}");
        assert!(spec.contains("default-features = false"), "default features are on: {line}");
    }
    for (folder, manifest) in manifests() {
        for (name, spec) in manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flatten()
        {
            let inherits = spec.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            assert!(inherits, "{folder}: {name} does not take its version from the workspace");
        }
    }
}
