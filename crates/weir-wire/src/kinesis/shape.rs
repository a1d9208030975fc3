//! The language in which each operation's input is described, once: its members, their types and their bounds.
//!
//! One file an operation describes its input with [`structure!`]; decoders (JSON and CBOR) fill the described slots,
//! [`super::validate`] judges them, and both take every word of their error texts from the description. Nothing here
//! knows an encoding or an operation.

mod field;
mod texts;

use std::borrow::Cow;

pub use self::field::{EpochMs, Field, Fields, Items, Slot, View};
pub use self::texts::{TextMap, Texts};

/// A text, borrowed from the request's body wherever it has no escapes.
pub type Text<'a> = Cow<'a, str>;

/// A structure: its name in the model and its members, in the order in which Kinesis reports what is wrong with them.
#[derive(Debug)]
pub struct Structure {
    /// `PutRecordsRequestEntry`.
    pub name: &'static str,
    /// Its members.
    pub members: &'static [Member],
}

/// One member of a structure.
#[derive(Debug)]
pub struct Member {
    /// `StreamName`.
    pub name: &'static str,
    /// What it may hold.
    pub shape: &'static Shape,
    /// Must it be there?
    pub presence: Presence,
}

/// Must a member be there?
#[derive(Debug, Clone, Copy)]
pub enum Presence {
    /// It may be absent.
    Optional,
    /// It must be there.
    Required,
    /// It must be there unless one of these members is.
    RequiredWithout(&'static [&'static str]),
}

/// The bounds of a value, in the order in which Kinesis reports them. Its type is the type of the struct's field.
#[derive(Debug)]
pub struct Shape {
    /// The bounds.
    pub bounds: &'static [Bound],
    /// The bounds of each key, if the value is a map.
    pub keys: &'static [Bound],
    /// The bounds of each item, if the value is a list of scalars or a map.
    pub items: &'static [Bound],
}

impl Shape {
    /// A value without bounds.
    pub const FREE: Self = Self::of(&[]);

    /// A value with bounds.
    pub const fn of(bounds: &'static [Bound]) -> Self {
        Self { bounds, keys: &[], items: &[] }
    }

    /// A list of scalars with bounds of its own and bounds for each of them.
    pub const fn list(bounds: &'static [Bound], items: &'static [Bound]) -> Self {
        Self { bounds, keys: &[], items }
    }

    /// A map with bounds of its own, for each key and for each value.
    pub const fn map(bounds: &'static [Bound], keys: &'static [Bound], items: &'static [Bound]) -> Self {
        Self { bounds, keys, items }
    }
}

/// A bound on a value.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// Characters, bytes or items at least.
    LengthMin(usize),
    /// Characters, bytes or items at most.
    LengthMax(usize),
    /// The number's least value.
    Min(i64),
    /// The number's greatest value.
    Max(i64),
    /// The form of a text.
    Pattern(Pattern),
    /// The only texts.
    OneOf(&'static [&'static str]),
}

/// The form of a text: the model's regular expression and a function that matches it whole.
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// As Kinesis prints it.
    pub text: &'static str,
    /// Does a text have the form?
    pub matches: fn(&str) -> bool,
}

/// Describes an input: makes the struct, its [`Structure`] and the way from one to the other.
///
/// Each line is `field: Type = "Member", SHAPE;` with `, required` or `, without ["Other"]` where it must be there.
/// The order of the lines is the order in which errors are reported.
macro_rules! structure {
    (
        $(#[$doc:meta])*
        $name:ident {
            $(
                $(#[$field_doc:meta])*
                $field:ident : $type:ty = $member:literal, $shape:expr $(, $presence:ident $([$($other:literal),+])?)? ;
            )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, PartialEq)]
        pub struct $name<'a> {
            $( $(#[$field_doc])* pub $field: Option<$type>, )*
            /// Ties the struct to the body that it borrows from, even if it has no member that does.
            borrows: std::marker::PhantomData<&'a ()>,
        }

        impl $name<'_> {
            /// The description.
            pub const STRUCTURE: &'static $crate::kinesis::shape::Structure = &$crate::kinesis::shape::Structure {
                name: stringify!($name),
                members: &[$(
                    $crate::kinesis::shape::Member {
                        name: $member,
                        shape: &$shape,
                        presence: $crate::kinesis::shape::presence!($($presence $([$($other),+])?)?),
                    },
                )*],
            };
        }

        impl<'a> $crate::kinesis::shape::Fields<'a> for $name<'a> {
            fn structure(&self) -> &'static $crate::kinesis::shape::Structure {
                Self::STRUCTURE
            }

            fn slot(&mut self, name: &[u8]) -> Option<$crate::kinesis::shape::Slot<'_, 'a>> {
                match name {
                    $(
                        name if name == $member.as_bytes() => {
                            Some($crate::kinesis::shape::Field::slot(&mut self.$field))
                        }
                    )*
                    _ => None,
                }
            }

            fn view(&self, name: &str) -> $crate::kinesis::shape::View<'_, 'a> {
                match name {
                    $( $member => $crate::kinesis::shape::Field::view(&self.$field), )*
                    _ => $crate::kinesis::shape::View::Absent,
                }
            }
        }

        $crate::kinesis::shape::structure_field!($name);
    };
}

macro_rules! presence {
    () => {
        $crate::kinesis::shape::Presence::Optional
    };
    (required) => {
        $crate::kinesis::shape::Presence::Required
    };
    (without [$($other:literal),+]) => {
        $crate::kinesis::shape::Presence::RequiredWithout(&[$($other),+])
    };
}

/// Lets a structure be a member of another and an item of a list.
macro_rules! structure_field {
    ($name:ident) => {
        impl<'a> $crate::kinesis::shape::Field<'a> for Option<$name<'a>> {
            fn slot(&mut self) -> $crate::kinesis::shape::Slot<'_, 'a> {
                $crate::kinesis::shape::Slot::Structure(self.insert($name::default()))
            }

            fn view(&self) -> $crate::kinesis::shape::View<'_, 'a> {
                match self {
                    Some(fields) => $crate::kinesis::shape::View::Structure(fields),
                    None => $crate::kinesis::shape::View::Absent,
                }
            }
        }

        impl<'a> $crate::kinesis::shape::Items<'a> for Vec<$name<'a>> {
            fn push(&mut self) -> $crate::kinesis::shape::Slot<'_, 'a> {
                self.push($name::default());
                $crate::kinesis::shape::Slot::Structure(self.last_mut().expect("just pushed"))
            }

            fn count(&self) -> usize {
                self.len()
            }

            fn item(&self, at: usize) -> $crate::kinesis::shape::View<'_, 'a> {
                $crate::kinesis::shape::View::Structure(&self[at])
            }
        }
    };
}

pub(crate) use {presence, structure, structure_field};
