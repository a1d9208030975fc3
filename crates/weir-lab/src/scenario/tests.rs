//! What is refused, how it is told, and that what is shipped keeps the rules.

use std::time::Duration;

use weir_wire::control::OnRefusal;

use super::*;
use crate::{scenario::plan::Skew, series::Mesh};

const SMALL: &str = include_str!("../../scenarios/kinesis-2020.toml");

/// The shipped scenario with one piece of text changed.
fn changed(from: &str, to: &str) -> Result<Scenario, ScenarioError> {
    assert!(SMALL.contains(from), "{from:?} is not in the scenario");
    Scenario::parse("mine.toml", &SMALL.replacen(from, to, 1))
}

/// What is said about it.
fn complaint(from: &str, to: &str) -> String {
    changed(from, to).expect_err("a mistake").to_string()
}

fn line_of(text: &str) -> usize {
    1 + SMALL.lines().position(|line| line.contains(text)).expect("the line is there")
}

#[test]
fn the_shipped_scenarios_are_valid_and_say_what_they_are() {
    for shipped in shipped::SHIPPED {
        let scenario = Scenario::open(shipped.name).unwrap();
        assert_eq!(scenario.name, shipped.name);
        let names: Vec<_> = scenario.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["shared", "cellular", "cache-fleet", "raised-limit", "control"]);
        assert_eq!(scenario.arms.last().unwrap().role, ArmRole::Control);
        for arm in &scenario.arms {
            assert!(!arm.description.is_empty() && !arm.plan.expect.held.is_empty(), "{}", arm.name);
        }
    }
}

#[test]
fn an_assumed_value_is_marked_in_the_shipped_files_and_nothing_else_is() {
    for shipped in shipped::SHIPPED {
        let scenario = Scenario::open(shipped.name).unwrap();
        let assumed = |line: &str| {
            line.split_once('#').is_some_and(|(_, comment)| comment.trim().starts_with("assumed"))
        };
        for parameter in &scenario.arms[0].parameters {
            let (table, key) = parameter.name.rsplit_once('.').unwrap_or(("", &parameter.name));
            let key = if table == "load.mix" { "mix" } else { key };
            let lines = shipped
                .text
                .lines()
                .filter(|line| line.split('=').next().is_some_and(|left| left.trim() == key));
            let marked: Vec<_> = lines.map(assumed).collect();
            // `duration`, `pace` and the like stand in several tables; those are marked nowhere.
            let expected = parameter.assumed;
            assert!(
                marked.contains(&expected),
                "{}: {} assumed = {expected}, marked {marked:?}",
                shipped.name,
                parameter.name
            );
        }
    }
}

#[test]
fn an_arm_is_the_scenario_with_its_keys_set_otherwise() {
    let scenario = Scenario::open("kinesis-2020").unwrap();
    let [shared, cellular, cache, raised, control] = &scenario.arms[..] else { panic!("five arms") };
    assert_eq!((shared.plan.fleet.cells, cellular.plan.fleet.cells), (1, 4));
    assert_eq!((cache.plan.fleet.mesh, cache.plan.fleet.cache_servers), (Mesh::CacheFleet, 3));
    assert!(raised.plan.envelope.threads_max > control.plan.envelope.threads_max);
    let ten_percent = f64::from(shared.plan.envelope.threads_max) * 1.1;
    assert_eq!(control.plan.envelope.threads_max, ten_percent.ceil() as u32);
    assert_eq!(shared.plan.servers_added(), 14);
    let value = |arm: &Arm| {
        arm.parameters.iter().find(|parameter| parameter.name == "fleet.cells").unwrap().value.clone()
    };
    assert_eq!((value(shared), value(cellular)), ("1".into(), "4".into()));
    assert_eq!(shared.plan.fleet.config, control.plan.fleet.config);
    assert_eq!(shared.plan.phases, control.plan.phases, "all arms meet the same");
}

#[test]
fn the_fixes_are_held_to_success_throughout_the_restarts_included() {
    for name in ["kinesis-2020", "kinesis-2020-large"] {
        let scenario = Scenario::open(name).unwrap();
        let fixes = scenario.arms.iter().filter(|arm| arm.role == ArmRole::Variant && arm.name != "shared");
        for arm in fixes {
            let bound = |b: &&crate::series::Bound| b.metric == "success_ratio.throughout";
            let bound = arm.plan.expect.bounds.iter().find(bound);
            assert_eq!(bound.and_then(|b| b.min), Some(0.999), "{name}, {}", arm.name);
        }
    }
}

#[test]
fn health_checks_are_parameters_whether_a_scenario_writes_them_or_not() {
    let health = |scenario: &Scenario, key: &str| {
        let name = format!("health.{key}");
        let found = scenario.arms[0].parameters.iter().find(|parameter| parameter.name == name).unwrap();
        assert!(found.assumed, "{name}");
        found.value.clone()
    };
    let (start, end) = (SMALL.find("[health]").unwrap(), SMALL.find("[nodes]").unwrap());
    let without = Scenario::parse("mine.toml", &format!("{}{}", &SMALL[..start], &SMALL[end..])).unwrap();
    let with = Scenario::parse("mine.toml", SMALL).unwrap();
    assert_eq!(without.arms[0].plan.health, with.arms[0].plan.health, "the defaults are what is shipped");
    for key in ["interval", "timeout", "failures", "removal_cap", "forget_after"] {
        assert_eq!(health(&without, key), health(&with, key));
    }
    let slow = changed("gossip_interval = \"1s\"", "gossip_interval = \"2s\"").unwrap();
    assert_eq!(health(&slow, "interval"), "1s", "written");
    let text = without.text.replace("gossip_interval = \"1s\"", "gossip_interval = \"2s\"");
    assert_eq!(health(&Scenario::parse("mine.toml", &text).unwrap(), "interval"), "2s", "as quick as gossip");
    let capped = "set = { \"fleet.cells\" = 4, \"health.removal_cap\" = 0.2 }";
    let capped = without.text.replace("set = { \"fleet.cells\" = 4 }", capped);
    let capped = Scenario::parse("mine.toml", &capped).unwrap();
    assert_eq!(capped.arms[1].plan.health.removal_cap, 0.2, "an arm sets what the scenario left out");
    assert!(
        complaint("removal_cap = 1.0", "removal_cap = 1.5")
            .contains("health.removal_cap must be between 0 and 1")
    );
    assert!(complaint("failures = 3", "failures = 0").contains("health.failures must be between 1 and 1000"));
}

#[test]
fn tenants_are_pinned_to_cells_that_are_there() {
    let pinned = |pins: &str| {
        let set = format!("set = {{ \"fleet.cells\" = 4, \"tenants.pins\" = {pins} }}");
        changed("set = { \"fleet.cells\" = 4 }", &set)
    };
    let scenario = pinned("{ tenant-0 = 3, tenant-5 = 3 }").unwrap();
    assert_eq!(scenario.arms[1].plan.pins, [(0, 3), (5, 3)].into());
    assert!(scenario.arms[0].plan.pins.is_empty());
    let pin = |p: &&Parameter| p.name == "tenants.pins.tenant-0";
    assert!(scenario.arms[1].parameters.iter().find(pin).unwrap().assumed);
    assert!(pinned("{ tenant-8 = 0 }").unwrap_err().to_string().contains("tenant-0 to tenant-7"));
    assert!(pinned("{ tenant-0 = 4 }").unwrap_err().to_string().contains("below fleet.cells (4)"));
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_its_neighbour() {
    let said = complaint("discovery_window =", "discovery_windw =");
    let line = line_of("discovery_window =");
    assert!(said.starts_with(&format!("mine.toml:{line}: unknown field `discovery_windw`")), "{said}");
    assert!(said.ends_with("did you mean \"discovery_window\"?"), "{said}");
}

#[test]
fn a_value_without_its_unit_or_of_another_type_is_told_with_its_line() {
    let said = complaint("map_ttl = \"6s\"", "map_ttl = \"6\"");
    assert!(said.contains(&format!("mine.toml:{}:", line_of("map_ttl"))) && said.contains("250ms"), "{said}");
    let said = complaint("map_ttl = \"6s\"", "map_ttl = 6");
    let line = line_of("map_ttl");
    assert_eq!(said, format!("mine.toml:{line}: 6 has no unit: write \"6s\""));
    let said = complaint("rate = \"60/s\"", "rate = 60");
    assert!(said.ends_with("write \"60/s\""), "{said}");
    let said = complaint("servers = 30", "servers = \"many\"");
    assert!(said.contains(&format!("mine.toml:{}:", line_of("servers = 30"))), "{said}");
    let said = complaint("mesh = \"thread-per-peer\"", "mesh = \"thread-per-pear\"");
    assert!(said.ends_with("did you mean \"thread-per-peer\"?"), "{said}");
}

#[test]
fn a_rule_that_the_scenario_breaks_is_told_at_the_line_of_its_key_and_of_no_arm() {
    let cases = [
        ("threads_max = 42", "threads_max = 2", "envelope.threads_max must be at least 4"),
        ("servers = 30 ", "servers = 30000 ", "fleet.servers: a cell holds"),
        ("buffer = 100 ", "buffer = 0 ", "consumers.auth-block.buffer must be at least 1"),
        ("pace = \"3/s\"", "pace = \"0/s\"", "phases.paced-restart.pace must be above 0/s"),
    ];
    for (from, to, expected) in cases {
        let (said, line) = (complaint(from, to), line_of(from));
        assert!(said.starts_with(&format!("mine.toml:{line}: {expected}")), "{said}");
    }
}

#[test]
fn a_rule_that_an_arm_breaks_is_told_at_the_line_where_the_arm_sets_the_key() {
    let said = complaint("\"envelope.threads_max\" = 64", "\"envelope.threads_max\" = 3");
    let line = line_of("\"envelope.threads_max\" = 64");
    let arm = "arm \"raised-limit\": envelope.threads_max must be";
    assert!(said.starts_with(&format!("mine.toml:{line}: {arm}")), "{said}");
}

#[test]
fn a_word_that_is_not_known_is_told_with_its_neighbour() {
    for (from, to, expected) in [
        ("policy = \"spill\"", "policy = \"spil\"", "did you mean \"spill\"?"),
        ("durability = \"fsync\"", "durability = \"fsink\"", "did you mean \"fsync\"?"),
        ("arrivals = \"poisson\"", "arrivals = \"poison\"", "did you mean \"poisson\"?"),
    ] {
        let said = complaint(from, to);
        assert!(
            said.contains(&format!("mine.toml:{}:", line_of(from))) && said.ends_with(expected),
            "{said}"
        );
    }
}

#[test]
fn a_table_that_is_missing_is_told_with_what_to_do() {
    let said = complaint("[load]\n", "[lode]\n");
    assert!(said.ends_with("did you mean \"load\"?"), "{said}");
    let said = complaint("name = \"kinesis-2020\"\n", "");
    assert_eq!(said, "mine.toml: missing field `name`: add it; `weir schema` prints all keys");
}

#[test]
fn an_override_that_fits_nowhere_is_told_with_the_line_of_its_arm() {
    let said = complaint("\"fleet.cells\" = 4", "\"fleet.cels\" = 4");
    assert!(said.contains(&format!("mine.toml:{}:", line_of("\"fleet.cells\" = 4"))), "{said}");
    assert!(said.ends_with("did you mean \"cells\"?"), "{said}");
    let said = complaint("\"fleet.cells\" = 4", "\"phases.add-capacty.servers\" = 4");
    assert!(said.ends_with("did you mean \"add-capacity\"?"), "{said}");
    let said = complaint("\"fleet.cells\" = 4", "\"fleet.cells\" = 99");
    assert!(said.contains("arm \"cellular\": fleet.servers is 30"), "{said}");
}

#[test]
fn a_scenario_without_a_negative_control_is_refused() {
    let cut = SMALL.find("[control]").unwrap();
    let said = Scenario::parse("mine.toml", &SMALL[..cut]).unwrap_err().to_string();
    assert!(said.contains("negative control"), "{said}");
    let said = complaint("set = { \"envelope.threads_max\" = 47 }", "");
    assert!(said.contains("only repeat the scenario"), "{said}");
}

#[test]
fn rules_that_look_at_more_than_one_key_name_the_phase_or_the_keys() {
    let cases = [
        ("action = \"baseline\"", "action = \"wait\"", "first phase must be a baseline"),
        ("action = \"baseline\"", "action = \"baseline\"\npace = \"1/s\"", "takes no pace"),
        ("pace = \"3/s\"\n", "", "needs pace"),
        ("action = \"add\"\nservers = 14 ", "action = \"restart\" #", "nothing was added"),
        ("map_ttl = \"6s\"", "map_ttl = \"300ms\"", "maps would expire"),
        ("name = \"no-healing\"", "name = \"recovery\"", "two phases are named"),
        ("name = \"cellular\"", "name = \"shared\"", "two arms are named"),
        ("policy = \"spill\"", "policy = \"spil\"", "drop-oldest"),
        ("cells = 1", "cells = 1\ncache_servers = 2", "0 with any other mesh"),
        ("batch = 10", "batch = 501", "1 to 500"),
        ("skew = \"uniform\"", "skew = \"zipf\"", "zipf:1.1"),
    ];
    for (from, to, expected) in cases {
        let said = complaint(from, to);
        assert!(said.contains(expected), "{from:?} -> {to:?}: {said}");
    }
}

#[test]
fn a_name_that_is_nowhere_is_told_with_what_there_is() {
    let said = Scenario::open("kinesis-2002").unwrap_err().to_string();
    assert!(
        said.contains("kinesis-2020-large") && said.ends_with("did you mean \"kinesis-2020\"?"),
        "{said}"
    );
    let said = Scenario::open("./nowhere.toml").unwrap_err().to_string();
    assert!(said.starts_with("read ./nowhere.toml"), "{said}");
    let said = Scenario::open("kinesis-2020").unwrap().keep(&["sharde".into()]).unwrap_err().to_string();
    assert!(said.ends_with("did you mean \"shared\"?"), "{said}");
}

#[test]
fn a_scenario_can_be_read_from_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    fs::write(
        &path,
        SMALL.replace("skew = \"uniform\"", "skew = \"zipf:1.2\"").replace("\"wedge\"", "\"retry\""),
    )
    .unwrap();
    let scenario = Scenario::open(path.to_str().unwrap()).unwrap();
    assert_eq!(scenario.arms[0].plan.load.skew, Skew::Zipf(1.2));
    assert_eq!(scenario.arms[0].plan.fleet.config.on_refusal, OnRefusal::Retry);
}

#[test]
fn keeping_some_arms_keeps_their_order_and_none_means_all() {
    let mut scenario = Scenario::open("kinesis-2020").unwrap();
    scenario.keep(&[]).unwrap();
    assert_eq!(scenario.arms.len(), 5);
    scenario.keep(&["control".into(), "shared".into()]).unwrap();
    let names: Vec<_> = scenario.arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!(names, ["shared", "control"]);
}

#[test]
fn a_larger_time_scale_shortens_all_times_and_quickens_all_paces() {
    let mut scenario = Scenario::open("kinesis-2020").unwrap();
    let before = scenario.arms[0].plan.clone();
    scenario.rescale(1800.0);
    let after = &scenario.arms[0].plan;
    assert_eq!(after.fleet.config.map_ttl.0, Duration::from_secs(3));
    assert_eq!(after.duration(), before.duration() / 2);
    assert!(matches!(after.phases[1].act, Act::Add { pace, servers: 14, .. } if pace == 14.0));
    assert_eq!(after.load, before.load);
}

#[test]
fn the_schema_knows_every_key_that_the_shipped_scenarios_use() {
    let schema = schema();
    for key in
        ["threads_per_peer", "discovery_window", "in_order", "n_star_exact", "set-bootstrap", "drop-newest"]
    {
        assert!(schema.contains(&format!("\"{key}\"")), "{key}");
    }
    let value: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(value["additionalProperties"], false);
}

#[test]
fn a_bound_on_a_number_that_no_summary_has_is_told_before_the_run() {
    let said = complaint("metric = \"refusals\"", "metric = \"refusal\"");
    assert!(said.contains(&format!(":{}", line_of("metric = \"refusals\""))), "{said}");
    assert!(said.ends_with("did you mean \"refusals\"?"), "{said}");
    let said = complaint("consumers.bus.lag_seconds_max", "consumers.bus.sign_in_success_ratio.cliff");
    assert!(said.contains("which no summary has"), "{said}");
    let said = complaint("metric = \"refusals\"\nmin = 1.0", "metric = \"refusals\"");
    assert!(said.contains("write min, max or both"), "{said}");
}
