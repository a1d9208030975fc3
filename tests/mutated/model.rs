//! The service model's extract as the grammar of requests, and what answers have named so far.

use std::collections::BTreeMap;

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use serde_json::Value as Json;

use crate::value::Value;

/// Names from answers that are kept of each kind.
const SEEN_MAX: usize = 32;
/// Streams, and consumers of each, that requests name.
pub(crate) const NAMES: [&str; 6] = ["a", "b", "c", "fizz", "buzz", "d.e-f_0"];

/// The operations and their shapes.
pub(crate) struct Model {
    operations: Vec<(String, Option<String>)>,
    shapes: serde_json::Map<String, Json>,
}

/// What answers named: iterators, tokens, numbers, ARNs.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    by_member: BTreeMap<String, Vec<String>>,
}

impl Model {
    pub(crate) fn read() -> Self {
        let text = include_str!("../model/shapes.json");
        let model: Json = serde_json::from_str(text).expect("written by extract.py");
        let operations = model["operations"].as_object().expect("operations");
        let input = |operation: &Json| operation["input"].as_str().map(str::to_owned);
        Self {
            operations: operations.iter().map(|(name, operation)| (name.clone(), input(operation))).collect(),
            shapes: model["shapes"].as_object().expect("shapes").clone(),
        }
    }

    /// An operation and a right input of it. Queues and channels are rarely meant: nothing is behind them.
    pub(crate) fn draw(&self, seen: &Seen, rng: &mut StdRng) -> (String, Value) {
        loop {
            let (name, input) = self.operations.choose(rng).expect("some");
            let weight = match name.as_str() {
                name if name.contains("Queue") || name.contains("Channel") => 0.05,
                "DeleteStream" | "SubscribeToShard" | "UpdateShardCount" => 0.1,
                _ => 1.0,
            };
            if rng.random_bool(weight) {
                let input =
                    input.as_ref().map_or(Value::Map(Vec::new()), |shape| self.value(shape, "", seen, rng));
                return (name.clone(), input);
            }
        }
    }

    fn value(&self, shape: &str, member: &str, seen: &Seen, rng: &mut StdRng) -> Value {
        let described = &self.shapes[shape];
        let bound = |name: &str| described[name].as_i64();
        match described["type"].as_str().expect("a type") {
            "structure" => self.structure(described, seen, rng),
            "list" => {
                let item = described["member"].as_str().expect("items");
                let count = rng.random_range(1..5);
                Value::List((0..count).map(|_| self.value(item, member, seen, rng)).collect())
            }
            "map" => {
                let count = rng.random_range(0..4);
                let part = |part: &str, rng: &mut StdRng| {
                    self.value(described[part].as_str().expect("parts"), "", seen, rng)
                };
                let entry = |_| match part("key", rng) {
                    Value::Text(key) => (key, part("value", rng)),
                    _ => unreachable!("keys are texts"),
                };
                Value::Map((0..count).map(entry).collect())
            }
            "integer" => {
                let least = bound("min").unwrap_or(0);
                let most = bound("max").unwrap_or(i64::MAX).min(least + 4);
                Value::Integer(rng.random_range(least..=most))
            }
            "boolean" => Value::Boolean(rng.random()),
            "timestamp" => Value::Time(1_795_000_000_000 + rng.random_range(-10_000_000..10_000_000)),
            "blob" => Value::Bytes((0..rng.random_range(0..200)).map(|_| rng.random()).collect()),
            _ => Value::Text(self.text(shape, described, member, seen, rng)),
        }
    }

    fn structure(&self, described: &Json, seen: &Seen, rng: &mut StdRng) -> Value {
        let required = |name: &str| {
            described["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
        };
        let members = described["members"].as_object().into_iter().flatten();
        let mut value = Vec::new();
        for (name, shape) in members {
            let chance = match name.as_str() {
                name if required(name) => 0.98,
                "StreamName" | "PartitionKey" | "ShardCount" => 0.9,
                "StreamARN" | "StreamId" | "DryRun" | "NextToken" => 0.05,
                _ => 0.2,
            };
            if rng.random_bool(chance) {
                value.push((name.clone(), self.value(shape.as_str().expect("a name"), name, seen, rng)));
            }
        }
        Value::Map(value)
    }

    fn text(&self, shape: &str, described: &Json, member: &str, seen: &Seen, rng: &mut StdRng) -> String {
        if let Some(set) = described["enum"].as_array() {
            return set.choose(rng).and_then(Json::as_str).expect("texts").to_owned();
        }
        if let Some(known) = seen.by_member.get(member).and_then(|known| known.choose(rng))
            && rng.random_bool(0.7)
        {
            return known.clone();
        }
        let name = *NAMES.choose(rng).expect("some");
        let stream = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}");
        match shape {
            "StreamARN" => stream,
            "ResourceARN" if rng.random() => stream,
            "ConsumerARN" | "ResourceARN" => format!("{stream}/consumer/{name}:1795000000"),
            "ShardId" => format!("shardId-{:012}", rng.random_range(0..6)),
            "SequenceNumber" => format!("4966{:052}", rng.random::<u64>()),
            "HashKey" => rng.random::<u128>().to_string(),
            "StreamId" => "abcdefghij0123456789-abc".to_owned(),
            "Policy" => format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"000000000007"}},"Action":"kinesis:*","Resource":"{stream}"}}]}}"#
            ),
            "ShardIterator" | "NextToken" => "AAAAAAAAAAE".repeat(rng.random_range(1..8)),
            "StreamName" | "ConsumerName" => name.to_owned(),
            _ => (0..rng.random_range(1..12))
                .map(|_| *['k', '0', 'é', '_', ':'].choose(rng).expect("some"))
                .collect(),
        }
    }
}

impl Seen {
    /// Keeps what an answer in JSON names, so that later requests can mean it.
    pub(crate) fn take(&mut self, body: &[u8], rng: &mut StdRng) {
        if let Ok(answer) = serde_json::from_slice::<Json>(body) {
            self.walk(&answer, rng);
        }
    }

    fn walk(&mut self, value: &Json, rng: &mut StdRng) {
        match value {
            Json::Array(items) => items.iter().take(20).for_each(|item| self.walk(item, rng)),
            Json::Object(members) => {
                for (name, value) in members {
                    match (name.as_str(), value) {
                        ("ShardIterator" | "NextShardIterator", Json::String(text)) => {
                            self.keep("ShardIterator", text, rng);
                        }
                        ("NextToken" | "ShardId" | "ConsumerARN" | "StreamId", Json::String(text)) => {
                            self.keep(name, text, rng);
                        }
                        ("SequenceNumber" | "StartingSequenceNumber", Json::String(text)) => {
                            for member in
                                ["SequenceNumber", "StartingSequenceNumber", "SequenceNumberForOrdering"]
                            {
                                self.keep(member, text, rng);
                            }
                        }
                        (_, value) => self.walk(value, rng),
                    }
                }
            }
            _ => {}
        }
    }

    fn keep(&mut self, member: &str, text: &str, rng: &mut StdRng) {
        let known = self.by_member.entry(member.to_owned()).or_default();
        if known.len() < SEEN_MAX {
            known.push(text.to_owned());
        } else {
            known[rng.random_range(0..SEEN_MAX)] = text.to_owned();
        }
    }
}
