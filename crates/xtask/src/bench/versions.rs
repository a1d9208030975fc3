//! The versions of all that stands in a table, as each says it itself.

use std::{collections::BTreeMap, path::Path, process::Command};

use super::subject::Programs;
use crate::cargo::root;

/// By name; what is not on this host is not in it.
pub(super) fn found(programs: &Programs) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let mut add = |name: &str, said: Option<String>| {
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            versions.insert(name.to_owned(), said);
        }
    };
    add("Weir", first_line(&programs.weir, &["--version"]).map(|line| behind(&line, "weir ")));
    add("rustc", first_line(Path::new("rustc"), &["--version"]).map(|line| behind(&line, "rustc ")));
    add("node", first_line(Path::new("node"), &["--version"]));
    if let Ok(redis) = &programs.redis {
        let said = first_line(redis, &["--version"]);
        add("Redis", said.and_then(|line| Some(line.split_once("v=")?.1.split(' ').next()?.to_owned())));
    }
    if let Ok(nats) = &programs.nats {
        add("NATS", first_line(nats, &["--version"]).map(|line| behind(&line, "nats-server: ")));
    }
    for (name, package) in [("RabbitMQ", "rabbitmq-server"), ("wrk", "wrk")] {
        add(name, first_line(Path::new("dpkg-query"), &["--show", "--showformat=${Version}", package]));
    }
    let pins = std::fs::read_to_string(root().join("benches/peers/package.json")).unwrap_or_default();
    for name in ["kinesalite", "kinesis-local"] {
        add(name, pinned(&pins, &format!("\"{name}\":\""), '"'));
    }
    let pins = std::fs::read_to_string(root().join("tests/python/requirements.txt")).unwrap_or_default();
    add("moto", pinned(&pins, "moto==", '\n'));
    versions
}

/// The commit of this workspace; it says so where something is not committed, or no commit is known.
pub(super) fn commit() -> String {
    let said =
        first_line(Path::new("git"), &["describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]);
    said.unwrap_or_else(|| "unknown".to_owned())
}

fn first_line(program: &Path, arguments: &[&str]) -> Option<String> {
    let said = Command::new(program).args(arguments).current_dir(root()).output().ok()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    said.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

fn behind(line: &str, prefix: &str) -> String {
    line.strip_prefix(prefix).unwrap_or(line).to_owned()
}

/// What stands between `name` and `end`.
fn pinned(text: &str, name: &str, end: char) -> Option<String> {
    Some(text.split_once(name)?.1.split(end).next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_from_what_installs_them() {
        let pins = r#"{"dependencies":{"kinesalite":"3.3.3","kinesis-local":"0.6.2"}}"#;
        assert_eq!(pinned(pins, "\"kinesis-local\":\"", '"').as_deref(), Some("0.6.2"));
        assert_eq!(pinned("idna==3\nmoto==5.2.5\nx==1\n", "moto==", '\n').as_deref(), Some("5.2.5"));
        assert_eq!(pinned("idna==3\n", "moto==", '\n'), None);
    }
}
