//! A request's input as a tree: mutated where any value may stand, and written as JSON or as CBOR.

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

/// Any value of any type.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Milliseconds.
    Time(i64),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Value {
    /// Changes one place of the tree.
    pub(crate) fn mutate(&mut self, rng: &mut StdRng) {
        match self {
            Self::List(items) if !items.is_empty() && rng.random_bool(0.8) => {
                let at = rng.random_range(0..items.len());
                if rng.random_bool(0.2) {
                    let item = items[at].clone();
                    items.resize(items.len() * rng.random_range(1..40), item);
                } else {
                    items[at].mutate(rng);
                }
            }
            Self::Map(members) if !members.is_empty() && rng.random_bool(0.9) => {
                let at = rng.random_range(0..members.len());
                match rng.random_range(0..10) {
                    0 => drop(members.remove(at)),
                    1 => members.push(members[at].clone()),
                    2 => members[at].0.push('\u{e9}'),
                    3 => members.push((String::new(), Self::any(rng))),
                    _ => members[at].1.mutate(rng),
                }
            }
            Self::Text(text) if rng.random() => *text = changed(text, rng),
            Self::Integer(number) if rng.random() => {
                *number = *[0, -1, 1, i64::from(i32::MAX), i64::MAX, i64::MIN].choose(rng).expect("some");
            }
            _ => *self = Self::any(rng),
        }
    }

    fn any(rng: &mut StdRng) -> Self {
        match rng.random_range(0..12) {
            0 => Self::Null,
            1 => Self::Boolean(rng.random()),
            2 => Self::Integer(rng.random()),
            3 => Self::Float(*[0.5, -1.0, 1e300, f64::MIN_POSITIVE, 1.795e9].choose(rng).expect("some")),
            4 => Self::Text(String::new()),
            5 => Self::Text("\u{0}\"\\\u{1f600}\u{fffd}".repeat(rng.random_range(1..200))),
            6 => Self::Bytes(vec![0xff; rng.random_range(0..64)]),
            7 => Self::Time(rng.random()),
            8 => Self::List(Vec::new()),
            9 => Self::Map(Vec::new()),
            10 => Self::List(vec![Self::any(rng), Self::any(rng)]),
            _ => (0..rng.random_range(1..300)).fold(Self::Null, |inner, _| Self::List(vec![inner])),
        }
    }

    pub(crate) fn to_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Integer(number) => out.push_str(&number.to_string()),
            Self::Float(number) => out.push_str(&serde_json::to_string(number).expect("finite")),
            Self::Text(text) => out.push_str(&serde_json::to_string(text).expect("a text")),
            Self::Bytes(bytes) => {
                out.push('"');
                base64(bytes, out);
                out.push('"');
            }
            Self::Time(time) => out.push_str(&format!("{}.{:03}", time / 1_000, (time % 1_000).abs())),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    item.to_json(out);
                }
                out.push(']');
            }
            Self::Map(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    Self::Text(name.clone()).to_json(out);
                    out.push(':');
                    value.to_json(out);
                }
                out.push('}');
            }
        }
    }

    /// With lengths where `counted`, else without, as the Java SDK writes.
    pub(crate) fn to_cbor(&self, counted: bool, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0xf6),
            Self::Boolean(value) => out.push(0xf4 + u8::from(*value)),
            Self::Integer(number) if *number < 0 => head(1, !number as u64, out),
            Self::Integer(number) => head(0, *number as u64, out),
            Self::Float(number) => {
                out.push(0xfb);
                out.extend(number.to_be_bytes());
            }
            Self::Text(text) => {
                head(3, text.len() as u64, out);
                out.extend(text.as_bytes());
            }
            Self::Bytes(bytes) => {
                head(2, bytes.len() as u64, out);
                out.extend(bytes);
            }
            Self::Time(time) => {
                out.push(0xc1);
                Self::Integer(*time).to_cbor(counted, out);
            }
            Self::List(items) => {
                begin(4, items.len(), counted, out);
                items.iter().for_each(|item| item.to_cbor(counted, out));
                end(counted, out);
            }
            Self::Map(members) => {
                begin(5, members.len(), counted, out);
                for (name, value) in members {
                    Self::Text(name.clone()).to_cbor(counted, out);
                    value.to_cbor(counted, out);
                }
                end(counted, out);
            }
        }
    }
}

fn begin(kind: u8, count: usize, counted: bool, out: &mut Vec<u8>) {
    if counted { head(kind, count as u64, out) } else { out.push(kind << 5 | 31) }
}

fn end(counted: bool, out: &mut Vec<u8>) {
    if !counted {
        out.push(0xff);
    }
}

fn head(kind: u8, argument: u64, out: &mut Vec<u8>) {
    match u8::try_from(argument) {
        Ok(short @ 0..=23) => out.push(kind << 5 | short),
        _ => {
            out.push(kind << 5 | 27);
            out.extend(argument.to_be_bytes());
        }
    }
}

fn base64(bytes: &[u8], out: &mut String) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at)) as usize & 63];
            out.push(if at > three.len() { '=' } else { char::from(letter) });
        }
    }
}

fn changed(text: &str, rng: &mut StdRng) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    match rng.random_range(0..4) {
        0 => letters.clear(),
        1 => letters.extend(std::iter::repeat_n('x', rng.random_range(1..3_000))),
        2 if !letters.is_empty() => letters.truncate(rng.random_range(0..letters.len())),
        _ if !letters.is_empty() => {
            let at = rng.random_range(0..letters.len());
            letters[at] = *['0', 'A', ' ', '/', '\u{0}', '\u{1f600}', '='].choose(rng).expect("some");
        }
        _ => letters.push('?'),
    }
    letters.into_iter().collect()
}
