//! The arm's parameters as the reader of a result sees them, and which of them AWS never stated.
//!
//! Taken from the scenario after overrides; shown in the report. It must not interpret a value.

use toml::{Table, Value};

use super::plan::Plan;
use crate::series::Parameter;

/// What AWS did not say of 2020: swept and marked, never presented as fact. A star stands for one step of the path.
const ASSUMED: [(&str, &str); 24] = [
    ("envelope.threads_max", "AWS names neither the limit nor its value"),
    ("fleet.servers", "AWS gives no fleet size; its pace of restarts suggests thousands"),
    ("fleet.threads_per_peer", "AWS says threads, in the plural, and no number"),
    ("fleet.gossip_interval", "not stated"),
    ("fleet.map_ttl", "not stated"),
    ("fleet.build_deadline", "not stated"),
    ("fleet.on_refusal", "inferred: only restarted servers recovered"),
    ("alarm.headroom_min", "AWS added fine-grained alarms on threads afterwards, and gives no threshold"),
    ("health.interval", "AWS says nothing of how its health checks judge"),
    ("health.timeout", "not stated"),
    ("health.failures", "not stated"),
    ("health.removal_cap", "not stated: servers that were slow were taken out"),
    ("health.forget_after", "not stated"),
    ("nodes.count", "not stated"),
    ("tenants.count", "not stated"),
    ("tenants.pins", "not stated: who shared a fleet with whom"),
    ("streams.shards", "not stated"),
    ("load.rate", "not stated"),
    ("load.mix", "not stated"),
    ("load.timeout", "not stated"),
    ("consumers.*.buffer", "AWS gives no sizes of the buffers of its services"),
    ("consumers.*.rate", "not stated"),
    ("consumers.*.deliveries", "not stated: AWS says that the old backlog drained slowly"),
    ("phases.*.servers", "AWS says a small addition, and no number"),
];

/// Why the value of `key` is assumed, when it is.
pub(super) fn assumed(key: &str) -> Option<&'static str> {
    let matches = |pattern: &str| {
        let (pattern, key): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), key.split('.').collect());
        pattern.len() <= key.len()
            && pattern.iter().zip(&key).all(|(pattern, step)| *pattern == "*" || pattern == step)
    };
    ASSUMED.iter().find(|(pattern, _)| matches(pattern)).map(|&(_, why)| why)
}

/// Every value of the arm that describes the experiment: those of its document (but its name, arms or expectations), and
/// those that the document leaves to Weir although AWS never stated them.
pub(super) fn of_arm(document: &Table, plan: &Plan) -> Vec<Parameter> {
    let mut parameters = written(document);
    let health = &plan.health;
    let defaults = [
        ("alarm.headroom_min", format!("{:?}", plan.headroom_min)),
        ("health.interval", health.interval.to_string()),
        ("health.timeout", health.timeout.to_string()),
        ("health.failures", health.failures.to_string()),
        ("health.removal_cap", format!("{:?}", health.removal_cap)),
        ("health.forget_after", health.forget_after.to_string()),
    ];
    for (path, value) in defaults {
        if !parameters.iter().any(|parameter| parameter.name == path) {
            parameters.push(parameter(path, value));
        }
    }
    parameters
}

fn written(document: &Table) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    for (key, value) in document {
        if !matches!(key.as_str(), "name" | "description" | "arms" | "control") {
            walk(key, value, &mut parameters);
        }
    }
    parameters
}

fn walk(path: &str, value: &Value, into: &mut Vec<Parameter>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                if key != "name" {
                    walk(&format!("{path}.{key}"), value, into);
                }
            }
        }
        Value::Array(elements) => {
            for (number, element) in elements.iter().enumerate() {
                let name = element.get("name").and_then(Value::as_str);
                let name = name.map_or_else(|| number.to_string(), str::to_owned);
                walk(&format!("{path}.{name}"), element, into);
            }
        }
        value => {
            into.push(parameter(path, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
    }
}

fn parameter(path: &str, value: String) -> Parameter {
    let why = assumed(path);
    Parameter {
        name: path.to_owned(),
        value,
        assumed: why.is_some(),
        note: why.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_listed_by_path_and_the_unstated_ones_are_marked() {
        let document: Table =
            "name = \"x\"\n[fleet]\nservers = 30\ncells = 1\n[load.mix]\nput_record = 1.0\n\
                               [[phases]]\nname = \"add\"\nservers = 14\n"
                .parse()
                .unwrap();
        let listed = written(&document);
        let of = |name: &str| listed.iter().find(|parameter| parameter.name == name).unwrap();
        assert_eq!((of("fleet.servers").value.as_str(), of("fleet.servers").assumed), ("30", true));
        assert!(!of("fleet.cells").assumed);
        assert!(of("load.mix.put_record").assumed && of("phases.add.servers").assumed);
        assert_eq!(listed.len(), 4);
    }
}
