//! docs/SEMANTICS.md against the binary, and every row of its tables against the tests that prove it.
//!
//! The tables of operations and limits must be what the command line prints. Of every other table each row is quoted by a
//! test from outside, or is listed here with the place that proves it, which must be there.

use std::{fs, path::Path, process::Command, time::Duration};

use serde_json::Value;
use weir_tests::{
    process::output,
    semantics::{PAGE, table},
    weir,
};

/// Rows that no test from outside can prove: where they are proven, or why they cannot be.
const ELSEWHERE: &[(&str, &str)] = &[
    ("`x-amz-content-sha256`", "crates/weir-wire/src/sigv4/presented/tests.rs"),
    ("temporary credentials", "crates/weir-frontend/src/authenticate.rs"),
    ("authentication", "crates/weir-frontend/src/server/tests.rs"),
    ("a value in a validation error", "crates/weir-wire/src/kinesis/validate/tests.rs"),
    (
        "a text where CBOR should have a byte string, a byte string where it should have a text",
        "crates/weir-wire/src/kinesis/cbor/tests.rs",
    ),
    (
        "big numbers, decimal fractions and big floats in CBOR (tags 2 to 5)",
        "crates/weir-wire/src/kinesis/cbor/tests.rs",
    ),
    ("a connection of HTTP/2", "crates/weir-wire/src/http/server/tests/http2.rs"),
    ("more than ten UpdateShardCount in 24 hours", "crates/weir-control/src/machine/reshard/tests.rs"),
    (
        "`AT_TIMESTAMP` of ListShards before the trim horizon",
        "crates/weir-frontend/src/operations/list_shards.rs",
    ),
    ("a stream of which a node is silent", "crates/weir-frontend/src/server/tests/streams.rs"),
    (
        "ListShards of a stream that is CREATING or DELETING",
        "crates/weir-frontend/src/server/tests/streams.rs",
    ),
    ("shards", "crates/weir-control/src/machine/tests.rs"),
    ("streams", "crates/weir-control/src/machine/tests/quotas.rs"),
    ("a record past its retention", "crates/weir-cell/tests/node.rs"),
    ("`SequenceNumberForOrdering`", "crates/weir-frontend/src/server/tests/records.rs"),
    ("subscriptions", "crates/weir-frontend/src/subscription/seats.rs"),
    ("subscribers that do not read", "crates/weir-frontend/src/answer.rs"),
    ("a second subscription through another front end", "crates/weir-frontend/src/subscription/seats.rs"),
    ("a rate that AWS does not document", "crates/weir-wire/src/kinesis/limits.rs"),
    ("requests of one tenant in flight", "crates/weir-frontend/src/throttle/tenants.rs"),
    ("limits of shards and calls behind several front ends", "crates/weir-frontend/src/throttle/shards.rs"),
    ("StopStreamEncryption", "crates/weir-control/src/machine/settings/tests.rs"),
    ("monitored shards", "crates/weir-frontend/src/metrics/shards.rs"),
    ("policies and tags of queues and channels", "crates/weir-wire/src/kinesis/model.rs"),
];

fn listed(flag: &str, member: &str) -> Vec<Value> {
    let ended = output(Command::new(weir()).args(["serve", flag, "--json"]), Duration::from_secs(60));
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap();
    told[member].as_array().unwrap().clone()
}

fn text(row: &Value, member: &str) -> String {
    row[member].as_str().unwrap().to_owned()
}

#[test]
fn the_table_of_operations_is_what_the_command_line_prints() {
    let told: Vec<_> = listed("--list-operations", "operations")
        .iter()
        .map(|row| ["name", "semantics", "difference"].map(|member| text(row, member)).to_vec())
        .collect();
    assert_eq!(told.len(), 57);
    assert_eq!(table(PAGE, "| operation | is | how it differs |"), told);
}

#[test]
fn the_table_of_limits_is_what_the_command_line_prints() {
    let told: Vec<_> = listed("--list-limits", "limits")
        .iter()
        .map(|row| {
            let name = format!("`{}`", text(row, "name"));
            vec![name, text(row, "default"), text(row, "scope"), text(row, "source")]
        })
        .collect();
    assert_eq!(table(PAGE, "| limit | AWS | of each | who says so |"), told);
}

#[test]
fn every_difference_is_quoted_by_the_test_that_proves_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    for folder in ["kinesis", "hostile"] {
        for file in fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().is_some_and(|name| name != "semantics_doc.rs") {
                sources += &fs::read_to_string(path).unwrap();
            }
        }
    }
    // Quoted texts may be broken over lines.
    let sources: String = sources.split_whitespace().collect::<Vec<_>>().join(" ");
    let heads = ["| what | in Weir | why |", "| what a client does | what it hears |"];
    let rows: Vec<String> = PAGE
        .split("\n\n")
        .filter(|part| heads.iter().any(|head| part.starts_with(head)))
        .flat_map(|part| table(part, part.lines().next().unwrap()))
        .map(|row| row[0].clone())
        .collect();
    assert!(rows.len() > 50, "the tables were found");
    for what in &rows {
        let quoted = sources.contains(&format!("says(\"{what}\")"));
        let elsewhere = ELSEWHERE.iter().find(|(row, _)| row == what);
        assert!(quoted != elsewhere.is_some(), "{what:?} is to be quoted by a test, or listed, and not both");
        if let Some((_, place)) = elsewhere {
            assert!(root.parent().unwrap().join(place).exists(), "{place} is gone");
        }
    }
    for (row, _) in ELSEWHERE {
        assert!(rows.iter().any(|what| what == row), "the page has no row {row:?}");
    }
}
