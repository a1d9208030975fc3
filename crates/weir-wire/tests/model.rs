//! Weir's descriptions of the API against the service model: they cannot drift apart, in names, members, types or bounds.
//!
//! The model's extract lies in `tests/model` of the workspace, with the script that renews it. Where Weir knows better than
//! the model, the difference is listed here with its reason, and a difference that is no more is a failure too.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use weir_wire::kinesis::{
    error::ErrorCode,
    operation::{Operation, UNSUPPORTED},
    shape::{Bound, Fields, Presence, Shape, Slot},
};

/// Where a description says something else than the model: the place, what is described, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("DecreaseStreamRetentionPeriod.RetentionPeriodHours", "has at least Some(1)", RECORDED),
    ("IncreaseStreamRetentionPeriod.RetentionPeriodHours", "has at least Some(1)", RECORDED),
    ("PutRecord.PartitionKey", "is required", UNLESS_SPREAD),
    ("PutRecords.Records[].PartitionKey", "is required", UNLESS_SPREAD),
];

const UNLESS_SPREAD: &str = "unless the stream spreads its records, which the call looks up";
const RECORDED: &str = "the service says so, as was recorded from it";

/// The error shapes of the model that no answer of Weir carries under their name, and why.
const UNREACHABLE: &[(&str, &str)] = &[
    (
        "InternalFailureException",
        "on the wire its code is InternalFailure, as recorded; in an event stream it has this name",
    ),
    ("ThrottlingException", "only operations of queues have it; streams say LimitExceededException"),
];

#[derive(Debug, Deserialize)]
struct Model {
    operations: BTreeMap<String, ModelOperation>,
    shapes: BTreeMap<String, ModelShape>,
}

#[derive(Debug, Deserialize)]
struct ModelOperation {
    input: Option<String>,
    errors: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelShape {
    r#type: String,
    min: Option<i64>,
    max: Option<i64>,
    pattern: Option<String>,
    r#enum: Option<BTreeSet<String>>,
    #[serde(default)]
    required: BTreeSet<String>,
    #[serde(default)]
    members: BTreeMap<String, String>,
    member: Option<String>,
    key: Option<String>,
    value: Option<String>,
}

fn model() -> Model {
    serde_json::from_str(include_str!("../../../tests/model/shapes.json")).unwrap()
}

/// A walk over a description beside the model; it collects what differs.
struct Comparison<'m> {
    model: &'m Model,
    found: Vec<(String, String)>,
}

impl Comparison<'_> {
    fn differs(&mut self, at: &str, what: String) {
        self.found.push((at.to_owned(), what));
    }

    fn structure(&mut self, at: &str, fields: &mut dyn Fields<'_>, name: &str) {
        let (model, structure) = (&self.model.shapes[name], fields.structure());
        if structure.name != name {
            self.differs(at, format!("is called {} and not {name}", structure.name));
        }
        let described: BTreeSet<&str> = structure.members.iter().map(|member| member.name).collect();
        for missing in model.members.keys().filter(|member| !described.contains(member.as_str())) {
            self.differs(&format!("{at}.{missing}"), "is missing".to_owned());
        }
        for member in structure.members {
            let at = format!("{at}.{}", member.name);
            let Some(shape) = model.members.get(member.name) else {
                self.differs(&at, "is not in the model".to_owned());
                continue;
            };
            match (member.presence, model.required.contains(member.name)) {
                (Presence::Required, false) => self.differs(&at, "is required".to_owned()),
                (Presence::Optional, true) => self.differs(&at, "is optional".to_owned()),
                // One of several must be there: the model has no word for it.
                (Presence::RequiredWithout(_), _)
                | (Presence::Required, true)
                | (Presence::Optional, false) => {}
            }
            let slot = fields.slot(member.name.as_bytes()).expect("a member has a slot");
            self.value(&at, slot, member.shape, shape);
        }
    }

    fn value(&mut self, at: &str, slot: Slot<'_, '_>, shape: &Shape, name: &str) {
        let model = &self.model.shapes[name];
        let kind = match slot {
            Slot::Text(_) => "string",
            Slot::Blob(_) => "blob",
            Slot::Integer(_) => "integer",
            Slot::Boolean(_) => "boolean",
            Slot::Timestamp(_) => "timestamp",
            Slot::Structure(_) => "structure",
            Slot::List(_) => "list",
            Slot::Map(_) => "map",
        };
        if kind != model.r#type {
            return self.differs(at, format!("is a {kind} and not a {}", model.r#type));
        }
        self.bounds(at, shape.bounds, model);
        match slot {
            Slot::Structure(fields) => self.structure(at, fields, name),
            Slot::List(items) => {
                let item = model.member.as_deref().unwrap();
                let at = format!("{at}[]");
                match items.push() {
                    Slot::Structure(fields) => self.structure(&at, fields, item),
                    slot => self.value(&at, slot, &Shape::of(shape.items), item),
                }
            }
            Slot::Map(_) => {
                for (part, bounds, name) in
                    [("key", shape.keys, &model.key), ("value", shape.items, &model.value)]
                {
                    self.bounds(&format!("{at}.{part}"), bounds, &self.model.shapes[name.as_ref().unwrap()]);
                }
            }
            _ => {}
        }
    }

    /// A length of at least nothing is no bound, and a pattern holds for the whole text whether it says so or not.
    fn bounds(&mut self, at: &str, bounds: &[Bound], model: &ModelShape) {
        let (mut min, mut max, mut pattern, mut set) = (None, None, None, None);
        for bound in bounds {
            match bound {
                Bound::LengthMin(least) => min = Some(*least as i64),
                Bound::LengthMax(most) => max = Some(*most as i64),
                Bound::Min(least) => min = Some(*least),
                Bound::Max(most) => max = Some(*most),
                Bound::Pattern(form) => pattern = Some(form.text),
                Bound::OneOf(words) => {
                    set = Some(words.iter().map(|&word| word.to_owned()).collect::<BTreeSet<_>>())
                }
            }
        }
        let is_number = model.r#type == "integer";
        let told = |bound: Option<i64>| bound.filter(|&bound| is_number || bound != 0);
        if told(min) != told(model.min) {
            self.differs(at, format!("has at least {min:?}"));
        }
        if max != model.max {
            self.differs(at, format!("has at most {max:?}"));
        }
        if pattern.map(whole) != model.pattern.as_deref().map(whole) {
            self.differs(at, format!("has the form {pattern:?}"));
        }
        if set != model.r#enum {
            self.differs(at, format!("is one of {set:?}"));
        }
    }
}

fn whole(pattern: &str) -> &str {
    let inner = pattern.strip_prefix('^').and_then(|pattern| pattern.strip_suffix('$')).unwrap_or(pattern);
    inner
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'))
        .filter(|_| inner != pattern)
        .unwrap_or(inner)
}

#[test]
fn every_description_is_the_models() {
    let model = model();
    let mut comparison = Comparison { model: &model, found: Vec::new() };
    for operation in Operation::ALL {
        match &model.operations[operation.name()].input {
            Some(input) => comparison.structure(operation.name(), operation.empty_input().as_mut(), input),
            None => assert!(operation.empty_input().structure().members.is_empty(), "{operation:?}"),
        }
    }
    let listed: BTreeSet<_> =
        DIFFERENCES.iter().map(|(at, what, _)| ((*at).to_owned(), (*what).to_owned())).collect();
    let found: BTreeSet<_> = comparison.found.into_iter().collect();
    let new: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(new.is_empty(), "differs from the service model: {new:#?}");
    assert!(gone.is_empty(), "is as the model has it and no longer a difference: {gone:#?}");
}

#[test]
fn the_list_of_operations_is_the_models_and_each_is_known() {
    let names: Vec<_> = include_str!("../../../tests/model/operations.txt").lines().skip(1).collect();
    assert_eq!(names, model().operations.keys().collect::<Vec<_>>(), "written by one run of extract.py");
    for unsupported in UNSUPPORTED {
        assert!(names.contains(&unsupported), "{unsupported} is in the model");
        assert_eq!(Operation::of_name(unsupported), None, "{unsupported} is served or not supported");
    }
    for operation in Operation::ALL {
        assert!(names.contains(&operation.name()), "{} is in the model", operation.name());
    }
    let known = |name: &&&str| Operation::of_name(name).is_some() || UNSUPPORTED.contains(*name);
    let missing: Vec<&str> = names.iter().filter(|name| !known(name)).copied().collect();
    assert_eq!(missing, [""; 0], "neither served nor known as not supported");
}

#[test]
fn every_error_shape_is_an_answers_code_or_listed_as_unreachable() {
    let model = model();
    let served = model.operations.iter().filter(|(name, _)| !UNSUPPORTED.contains(&name.as_str()));
    let shapes: BTreeSet<&str> =
        served.flat_map(|(_, operation)| &operation.errors).map(String::as_str).collect();
    let codes: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    let unreachable: BTreeSet<&str> = UNREACHABLE.iter().map(|(shape, _)| *shape).collect();
    let unknown: Vec<_> =
        shapes.iter().filter(|&shape| !codes.contains(shape) && !unreachable.contains(shape)).collect();
    assert!(unknown.is_empty(), "no answer has these codes of the model: {unknown:?}");
    let reached: Vec<_> = unreachable.intersection(&codes).collect();
    assert!(reached.is_empty(), "listed as unreachable, and answers have them: {reached:?}");
}
