//! A policy's document as it is written, member by member, and what is wrong with its form.
//!
//! Read by hand: what is refused is told by its statement and its member, in the words of policies. Members that nobody knows
//! are refused, and so are those that stand twice: one that was meant to restrict must not be lost. It judges forms and no
//! value.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
};

use super::{Fault, PolicyError};

/// Kinds of principals that policies have and Weir has no callers of.
const OTHER_PRINCIPALS: [&str; 3] = ["Service", "Federated", "CanonicalUser"];

/// A part of a document, as errors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The document itself.
    Policy,
    /// One of its statements, from 1.
    Statement(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy => f.write_str("Policy"),
            Self::Statement(number) => write!(f, "Policy statement {number}"),
        }
    }
}

impl Place {
    /// What is wrong here.
    pub(super) fn has(self, fault: Fault) -> PolicyError {
        PolicyError::At { place: self, fault }
    }
}

/// A document of a policy's form.
#[derive(Debug)]
pub(super) struct Document {
    /// `Version`.
    pub(super) version: Option<String>,
    /// `Statement`.
    pub(super) statements: Vec<WrittenStatement>,
}

/// A statement as it is written.
#[derive(Debug)]
pub(super) struct WrittenStatement {
    /// Where it is.
    pub(super) place: Place,
    /// `Effect`.
    pub(super) effect: String,
    /// `Principal`, a text or of the kind `AWS`.
    pub(super) principals: Vec<String>,
    /// `Action` or `NotAction`.
    pub(super) actions: Vec<String>,
    /// Is it `NotAction`?
    pub(super) actions_excepted: bool,
    /// `Resource`.
    pub(super) resources: Vec<String>,
}

impl Document {
    /// Reads a text.
    pub(super) fn read(text: &str) -> Result<Self, PolicyError> {
        let json: Json =
            serde_json::from_str(text).map_err(|error| PolicyError::Malformed(error.to_string()))?;
        let mut members = Members::of(json, Place::Policy)?;
        let version = members.text("Version")?;
        members.text("Id")?;
        let statements = match members.take("Statement") {
            None => return Err(Place::Policy.has(Fault::Missing("Statement"))),
            Some(Json::List(statements)) => statements,
            Some(statement) => vec![statement],
        };
        members.end()?;
        let statements = (1..).zip(statements);
        let statements =
            statements.map(|(number, json)| WrittenStatement::read(json, Place::Statement(number)));
        Ok(Self { version, statements: statements.collect::<Result<_, _>>()? })
    }
}

impl WrittenStatement {
    fn read(json: Json, place: Place) -> Result<Self, PolicyError> {
        let mut members = Members::of(json, place)?;
        for (member, fault) in [
            ("Condition", Fault::Condition),
            ("NotPrincipal", Fault::NotPrincipal),
            ("NotResource", Fault::NotResource),
        ] {
            if members.take(member).is_some() {
                return Err(place.has(fault));
            }
        }
        members.text("Sid")?;
        let effect = members.text("Effect")?.ok_or_else(|| place.has(Fault::Missing("Effect")))?;
        let principals = match members.take("Principal") {
            None => return Err(place.has(Fault::Missing("Principal"))),
            Some(Json::Text(everybody)) => vec![everybody],
            Some(kinds) => principals(kinds, place)?,
        };
        let (actions, actions_excepted) = match (members.texts("Action")?, members.texts("NotAction")?) {
            (Some(actions), None) => (actions, false),
            (None, Some(actions)) => (actions, true),
            (Some(_), Some(_)) => return Err(place.has(Fault::TwoActions)),
            (None, None) => return Err(place.has(Fault::Missing("Action"))),
        };
        let resources = members.texts("Resource")?.unwrap_or_default();
        members.end()?;
        Ok(Self { place, effect, principals, actions, actions_excepted, resources })
    }
}

/// The principals of the one kind that there is.
fn principals(kinds: Json, place: Place) -> Result<Vec<String>, PolicyError> {
    let Json::Object(_) = kinds else {
        return Err(place.has(Fault::Form { member: "Principal", form: "\"*\" or an object" }));
    };
    let mut kinds = Members::of(kinds, place)?;
    let other = kinds.left.iter().find(|(kind, _)| OTHER_PRINCIPALS.contains(&kind.as_str()));
    if let Some((kind, _)) = other {
        return Err(place.has(Fault::PrincipalKind(kind.clone())));
    }
    let accounts = kinds.texts("AWS")?;
    kinds.end()?;
    accounts.ok_or_else(|| place.has(Fault::Missing("Principal")))
}

/// Members of an object that are not read yet.
struct Members {
    place: Place,
    left: Vec<(String, Json)>,
}

impl Members {
    fn of(json: Json, place: Place) -> Result<Self, PolicyError> {
        let Json::Object(members) = json else { return Err(place.has(Fault::NoObject)) };
        let mut left: Vec<(String, Json)> = Vec::with_capacity(members.len());
        for (name, value) in members {
            if left.iter().any(|(known, _)| *known == name) {
                return Err(place.has(Fault::Twice(name)));
            }
            left.push((name, value));
        }
        Ok(Self { place, left })
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        let at = self.left.iter().position(|(known, _)| known == name)?;
        Some(self.left.swap_remove(at).1)
    }

    fn text(&mut self, member: &'static str) -> Result<Option<String>, PolicyError> {
        match self.take(member) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.place.has(Fault::Form { member, form: "a text" })),
        }
    }

    fn texts(&mut self, member: &'static str) -> Result<Option<Vec<String>>, PolicyError> {
        let items = match self.take(member) {
            None => return Ok(None),
            Some(Json::List(items)) => items,
            Some(one) => vec![one],
        };
        let texts = items.into_iter().map(|item| match item {
            Json::Text(text) => Ok(text),
            _ => Err(self.place.has(Fault::Form { member, form: "a text or a list of texts" })),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Nothing may be left.
    fn end(self) -> Result<(), PolicyError> {
        match self.left.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(self.place.has(Fault::Unknown(name))),
        }
    }
}

/// JSON with every member that is written, also one that stands twice.
enum Json {
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// A number, a truth value or null: no policy has one.
    Other,
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = object.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }

    fn visit_bool<E>(self, _truth: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _number: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _number: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _number: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }
}
