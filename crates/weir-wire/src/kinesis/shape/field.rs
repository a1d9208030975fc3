//! How a decoder reaches into a described struct, and how a validator looks at it, without knowing its type.
//!
//! [`structure!`](super::structure) implements [`Fields`] for each input; the types of its members implement [`Field`].

use std::fmt;

use super::{Structure, Text, TextMap};
use crate::kinesis::blob::Blob;

/// Where a decoder puts a value. A slot of a structure, a list or a map is empty and present once it was asked for:
/// whoever decodes a null asks for none.
pub enum Slot<'s, 'a> {
    /// For a text.
    Text(&'s mut Option<Text<'a>>),
    /// For bytes.
    Blob(&'s mut Option<Blob<'a>>),
    /// For a number.
    Integer(&'s mut Option<i64>),
    /// For true or false.
    Boolean(&'s mut Option<bool>),
    /// For a time.
    Timestamp(&'s mut Option<EpochMs>),
    /// For members.
    Structure(&'s mut dyn Fields<'a>),
    /// For items.
    List(&'s mut dyn Items<'a>),
    /// For texts by name.
    Map(&'s mut TextMap<'a>),
}

/// What a validator sees.
pub enum View<'s, 'a> {
    /// Nothing.
    Absent,
    /// A text.
    Text(&'s str),
    /// Bytes.
    Blob(&'s Blob<'a>),
    /// A number.
    Integer(i64),
    /// True or false.
    Boolean(bool),
    /// A time.
    Timestamp(EpochMs),
    /// Members.
    Structure(&'s dyn Fields<'a>),
    /// Items.
    List(&'s dyn Items<'a>),
    /// Texts by name.
    Map(&'s TextMap<'a>),
}

/// A time that a client sent: milliseconds since 1970, before it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochMs(pub i64);

/// A described structure.
pub trait Fields<'a> {
    /// Its description.
    fn structure(&self) -> &'static Structure;
    /// Where the member of this name goes; `None` when there is no such member. The name is bytes that may be no text. What
    /// was there is forgotten when it is a structure, a list or a map.
    fn slot(&mut self, name: &[u8]) -> Option<Slot<'_, 'a>>;
    /// What the member of this name holds.
    fn view(&self, name: &str) -> View<'_, 'a>;
}

/// The items of a list.
pub trait Items<'a> {
    /// Appends an item and says where its value goes.
    fn push(&mut self) -> Slot<'_, 'a>;
    /// How many items there are.
    fn count(&self) -> usize;
    /// What an item holds.
    fn item(&self, at: usize) -> View<'_, 'a>;
}

/// A type that a member may have.
pub trait Field<'a> {
    /// Where its value goes.
    fn slot(&mut self) -> Slot<'_, 'a>;
    /// What it holds.
    fn view(&self) -> View<'_, 'a>;
}

macro_rules! scalar_field {
    ($type:ty, $variant:ident, $view:expr) => {
        impl<'a> Field<'a> for Option<$type> {
            fn slot(&mut self) -> Slot<'_, 'a> {
                Slot::$variant(self)
            }

            fn view(&self) -> View<'_, 'a> {
                self.as_ref().map_or(View::Absent, $view)
            }
        }
    };
}

scalar_field!(Text<'a>, Text, |text| View::Text(text));
scalar_field!(Blob<'a>, Blob, View::Blob);
scalar_field!(i64, Integer, |number| View::Integer(*number));
scalar_field!(bool, Boolean, |value| View::Boolean(*value));
scalar_field!(EpochMs, Timestamp, |time| View::Timestamp(*time));

impl<'a, T> Field<'a> for Option<Vec<T>>
where
    Vec<T>: Items<'a>,
{
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::List(self.insert(Vec::new()))
    }

    fn view(&self) -> View<'_, 'a> {
        self.as_ref().map_or(View::Absent, |items| View::List(items))
    }
}

impl fmt::Debug for Slot<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text",
            Self::Blob(_) => "Blob",
            Self::Integer(_) => "Integer",
            Self::Boolean(_) => "Boolean",
            Self::Timestamp(_) => "Timestamp",
            Self::Structure(_) => "Structure",
            Self::List(_) => "List",
            Self::Map(_) => "Map",
        })
    }
}

impl fmt::Debug for View<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Text(text) => write!(f, "Text({text:?})"),
            Self::Blob(blob) => write!(f, "Blob({} bytes)", blob.decoded_len()),
            Self::Integer(number) => write!(f, "Integer({number})"),
            Self::Boolean(value) => write!(f, "Boolean({value})"),
            Self::Timestamp(time) => write!(f, "Timestamp({})", time.0),
            Self::Structure(fields) => write!(f, "Structure({})", fields.structure().name),
            Self::List(items) => write!(f, "List({} items)", items.count()),
            Self::Map(map) => write!(f, "Map({} entries)", map.len()),
        }
    }
}
