//! Which crate may know which: the arrows of docs/ARCHITECTURE.md, read from the manifests.
//!
//! A new arrow fails here first. Whoever adds one adds the reason to the architecture page as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{assert_none, files::rust_files, root};

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

/// Our crates that a manifest names, whatever it calls them.
fn our_dependencies(manifest: &toml::Table, workspace: &toml::Table) -> BTreeSet<String> {
    let mut tables: Vec<&toml::Table> = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    let mut found = BTreeSet::new();
    for table in tables {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let named = table.get(section).and_then(toml::Value::as_table).into_iter().flatten();
            found.extend(named.filter_map(|(key, spec)| our_package(key, spec, workspace)));
        }
    }
    found
}

/// The crate behind one line of a manifest, if it is ours: by its package's name, or because it lies in this
/// repository.
fn our_package(key: &str, spec: &toml::Value, workspace: &toml::Table) -> Option<String> {
    if spec.get("workspace").and_then(toml::Value::as_bool) == Some(true) {
        let inherited = workspace.get("dependencies")?.get(key)?;
        return our_package(key, inherited, &toml::Table::new());
    }
    let text = |member| spec.get(member).and_then(toml::Value::as_str);
    let package = text("package").unwrap_or(key);
    let ours = text("path").is_some() || ARROWS.iter().any(|(known, _, _)| *known == package);
    ours.then(|| package.to_owned())
}

fn workspace() -> toml::Table {
    let root_manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    root_manifest["workspace"].as_table().unwrap().clone()
}

fn manifests() -> BTreeMap<String, toml::Table> {
    let workspace = workspace();
    let members = workspace["members"].as_array().unwrap();
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
    let workspace = workspace();
    for (folder, manifest) in manifests() {
        let name = manifest["package"]["name"].as_str().unwrap();
        let (_, place, _) = ARROWS
            .iter()
            .find(|(known, _, _)| *known == name)
            .unwrap_or_else(|| panic!("{folder}: crate {name} is not in the list of arrows"));
        assert_eq!(*place, folder, "{name} moved");
        let allowed = below(name);
        let named = our_dependencies(&manifest, &workspace);
        let up: Vec<_> = named.into_iter().filter(|dep| !allowed.contains(dep.as_str())).collect();
        assert!(up.is_empty(), "{folder}: {name} must not depend on {up:?}; allowed: {allowed:?}");
    }
}

#[test]
fn a_crate_is_known_by_its_package_or_its_place_and_not_by_what_it_is_called() {
    let manifest: toml::Table = "[dependencies]\n\
        log = { package = \"weir-log\", version = \"1\" }\n\
        cell.workspace = true\n\
        strange = { path = \"../elsewhere\" }\n\
        bytes.workspace = true\n\
        [target.'cfg(loom)'.dev-dependencies]\n\
        weir-core.workspace = true\n"
        .parse()
        .unwrap();
    let workspace: toml::Table = "[dependencies]\n\
        cell = { package = \"weir-cell\", path = \"crates/weir-cell\" }\n\
        weir-core = { path = \"crates/weir-core\" }\n\
        bytes = { version = \"1\" }\n"
        .parse()
        .unwrap();
    let found = our_dependencies(&manifest, &workspace);
    assert_eq!(found, ["strange", "weir-cell", "weir-core", "weir-log"].map(str::to_owned).into());
}

#[test]
fn front_end_and_cell_share_nothing_but_the_wire() {
    let workspace = workspace();
    let named: BTreeMap<String, BTreeSet<String>> = manifests()
        .values()
        .map(|manifest| {
            let name = manifest["package"]["name"].as_str().unwrap().to_owned();
            (name, our_dependencies(manifest, &workspace))
        })
        .collect();
    // Everything that the manifests let a crate reach, over any number of steps.
    let reached = |from: &str| {
        let mut reached = BTreeSet::new();
        let mut ahead = vec![from.to_owned()];
        while let Some(name) = ahead.pop() {
            for next in &named[&name] {
                if reached.insert(next.clone()) {
                    ahead.push(next.clone());
                }
            }
        }
        reached
    };
    let shared: BTreeSet<String> = &reached("weir-frontend") & &reached("weir-cell");
    assert_eq!(shared, ["weir-core", "weir-sync", "weir-wire"].map(str::to_owned).into());
    assert!(
        !reached("weir-frontend").contains("weir-cell") && !reached("weir-cell").contains("weir-frontend")
    );
}

#[test]
fn no_arrow_is_drawn_that_nobody_walks() {
    let workspace = workspace();
    let mut offenders = Vec::new();
    for (folder, manifest) in manifests() {
        let dependencies =
            manifest.get("dependencies").cloned().map(|named| ("dependencies".to_owned(), named));
        let named = our_dependencies(&dependencies.into_iter().collect(), &workspace);
        let sources: Vec<String> = rust_files()
            .into_iter()
            .filter(|(path, _)| path.starts_with(&format!("{folder}/")))
            .map(|(_, text)| text)
            .collect();
        for dependency in named {
            let as_written = dependency.replace('-', "_");
            if !sources.iter().any(|text| text.contains(&as_written)) {
                offenders.push(format!("{folder}: {dependency}"));
            }
        }
    }
    assert_none("crates that a manifest names and no source of it does", &offenders);
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
