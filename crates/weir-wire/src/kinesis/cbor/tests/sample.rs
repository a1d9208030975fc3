//! Requests drawn from the descriptions: of the right types mostly, and written in both encodings with one meaning.

use ciborium::Value as Cbor;
use rand::{RngExt, seq::IndexedRandom};
use weir_core::entropy::Rng;

use crate::kinesis::shape::{Bound, Fields, Shape, Slot, View};

/// A value with its type.
#[derive(Debug, Clone)]
pub(super) enum Sample {
    Null,
    Text(String),
    Blob(Vec<u8>),
    Integer(i32),
    Boolean(bool),
    /// Milliseconds.
    Time(i64),
    List(Vec<Self>),
    /// Members of a structure or entries of a map.
    Object(Vec<(String, Self)>),
}

impl Sample {
    /// A request of this kind, each value of the right type with the chance `right`.
    pub(super) fn of(fields: &mut dyn Fields<'_>, right: f64, rng: &mut Rng) -> Self {
        let mut members = Vec::new();
        for member in fields.structure().members {
            if rng.random_bool(0.2) {
                continue;
            }
            let value = match fields.slot(member.name.as_bytes()) {
                Some(slot) if rng.random_bool(right) => Self::for_slot(slot, member.shape, right, rng),
                // A text is data in JSON and none in CBOR.
                Some(Slot::Blob(_)) => Self::Boolean(true),
                _ => Self::of_any_type(rng),
            };
            members.push((member.name.to_owned(), value));
        }
        if rng.random_bool(0.1) {
            members.push((
                "Unknown".to_owned(),
                Self::List(vec![Self::of_any_type(rng), Self::of_any_type(rng)]),
            ));
        }
        Self::Object(members)
    }

    fn for_slot(slot: Slot<'_, '_>, shape: &Shape, right: f64, rng: &mut Rng) -> Self {
        match slot {
            Slot::Text(_) => Self::Text(text(shape.bounds, rng)),
            Slot::Blob(_) => Self::Blob((0..rng.random_range(0..40)).map(|_| rng.random()).collect()),
            Slot::Integer(_) => Self::Integer(rng.random_range(-3..10_003)),
            Slot::Boolean(_) => Self::Boolean(rng.random()),
            Slot::Timestamp(_) => Self::Time(rng.random_range(0..4_000_000_000_000)),
            Slot::Structure(fields) => Self::of(fields, right, rng),
            Slot::List(items) => Self::List(
                (0..rng.random_range(0..5))
                    .map(|_| {
                        if rng.random_bool(right) {
                            Self::for_slot(items.push(), &Shape::of(shape.items), right, rng)
                        } else {
                            Self::of_any_type(rng)
                        }
                    })
                    .collect(),
            ),
            Slot::Map(_) => Self::Object(
                (0..rng.random_range(0..4)).map(|_| (text(&[], rng), Self::Text(text(&[], rng)))).collect(),
            ),
        }
    }

    /// No bytes and no times: JSON has none of its own, so that a wrong one is told in other words.
    fn of_any_type(rng: &mut Rng) -> Self {
        match rng.random_range(0..6) {
            0 => Self::Null,
            1 => Self::Text("=".to_owned()),
            2 => Self::Integer(rng.random()),
            3 => Self::Boolean(rng.random()),
            4 => Self::List(Vec::new()),
            _ => Self::Object(Vec::new()),
        }
    }

    pub(super) fn to_json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Text(text) => quoted(text),
            Self::Blob(bytes) => quoted(&base64_simd::STANDARD.encode_to_string(bytes)),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(value) => value.to_string(),
            Self::Time(time) => format!("{}.{:03}", time / 1_000, time % 1_000),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::to_json).collect();
                format!("[{}]", items.join(","))
            }
            Self::Object(members) => {
                let member = |(name, value): &(String, Self)| format!("{}:{}", quoted(name), value.to_json());
                let members: Vec<_> = members.iter().map(member).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    /// Each length told or not, each text in one piece or in several, as `rng` will have it.
    pub(super) fn to_cbor(&self, rng: &mut Rng) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_cbor(&mut out, rng);
        out
    }

    fn write_cbor(&self, out: &mut Vec<u8>, rng: &mut Rng) {
        match self {
            Self::List(items) if rng.random() => {
                out.push(0x9f);
                items.iter().for_each(|item| item.write_cbor(out, rng));
                out.push(super::BREAK);
            }
            Self::List(items) => {
                out.push(0x80 + u8::try_from(items.len()).expect("few"));
                items.iter().for_each(|item| item.write_cbor(out, rng));
            }
            Self::Object(members) => {
                let counted = rng.random();
                out.push(if counted { 0xa0 + u8::try_from(members.len()).expect("few") } else { 0xbf });
                for (name, value) in members {
                    Self::Text(name.clone()).write_cbor(out, rng);
                    value.write_cbor(out, rng);
                }
                if !counted {
                    out.push(super::BREAK);
                }
            }
            Self::Text(text) if rng.random_bool(0.2) => {
                out.push(0x7f);
                for letter in text.chars() {
                    write(&Cbor::Text(letter.into()), out);
                }
                out.push(super::BREAK);
            }
            Self::Blob(bytes) if rng.random_bool(0.2) => {
                out.push(0x5f);
                for piece in bytes.chunks(7) {
                    write(&Cbor::Bytes(piece.to_vec()), out);
                }
                out.push(super::BREAK);
            }
            Self::Null => write(&Cbor::Null, out),
            Self::Text(text) => write(&Cbor::Text(text.clone()), out),
            Self::Blob(bytes) => write(&Cbor::Bytes(bytes.clone()), out),
            Self::Integer(number) if rng.random_bool(0.1) => write(&Cbor::Float(f64::from(*number)), out),
            Self::Integer(number) => write(&Cbor::Integer((*number).into()), out),
            Self::Boolean(value) => write(&Cbor::Bool(*value), out),
            Self::Time(time) => write(&Cbor::Tag(1, Box::new(Cbor::Integer((*time).into()))), out),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text")
}

fn write(value: &Cbor, out: &mut Vec<u8>) {
    ciborium::into_writer(value, out).expect("a vector takes everything");
}

/// One of the texts that the bounds allow, or one that they may not.
fn text(bounds: &[Bound], rng: &mut Rng) -> String {
    let set = bounds.iter().find_map(|bound| match bound {
        Bound::OneOf(set) => Some(*set),
        _ => None,
    });
    match set {
        Some(set) if rng.random_bool(0.8) => (*set.choose(rng).expect("not empty")).to_owned(),
        _ => (0..rng.random_range(0..12))
            .map(|_| *['a', 'B', '0', '-', '"', 'é', '😀'].choose(rng).expect("some"))
            .collect(),
    }
}

/// All that an input holds, in words: data as its bytes, whatever they came in.
pub(super) fn seen(fields: &dyn Fields<'_>) -> String {
    let members = fields.structure().members.iter();
    members.map(|member| format!("{}: {}\n", member.name, shown(&fields.view(member.name)))).collect()
}

fn shown(view: &View<'_, '_>) -> String {
    match view {
        View::Blob(blob) => {
            let mut room = vec![0; blob.decoded_len()];
            blob.decode_into(&mut room);
            format!("{room:?}")
        }
        View::Structure(fields) => seen(*fields),
        View::List(items) => (0..items.count()).map(|at| shown(&items.item(at)) + ", ").collect(),
        View::Map(map) => format!("{map:?}"),
        other => format!("{other:?}"),
    }
}
