//! Lists of texts and maps of texts, as tags and metric names come.
//!
//! Decoders fill them, nulls too, so that the validator can say where one stood; operations read them afterwards, when
//! none is left. They must never grow beyond what a decoder lets in.

use std::collections::BTreeMap;

use super::{Field, Items, Slot, Text, View};

/// A list of texts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Texts<'a>(Vec<Option<Text<'a>>>);

impl Texts<'_> {
    /// The texts, in the order of the request.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().map(AsRef::as_ref)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Items<'a> for Texts<'a> {
    fn push(&mut self) -> Slot<'_, 'a> {
        self.0.push(None);
        Slot::Text(self.0.last_mut().expect("just pushed"))
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn item(&self, at: usize) -> View<'_, 'a> {
        self.0[at].as_ref().map_or(View::Absent, |text| View::Text(text))
    }
}

impl<'a> Field<'a> for Option<Texts<'a>> {
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::List(self.insert(Texts::default()))
    }

    fn view(&self) -> View<'_, 'a> {
        self.as_ref().map_or(View::Absent, |items| View::List(items))
    }
}

/// Texts by name. Of two that have one name the last counts, as in Java's maps.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TextMap<'a>(BTreeMap<Text<'a>, Option<Text<'a>>>);

impl<'a> TextMap<'a> {
    /// The names and their texts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, text)| Some((name.as_ref(), text.as_deref()?)))
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds or replaces a name; its text is null.
    pub fn insert(&mut self, name: Text<'a>) -> &mut Option<Text<'a>> {
        let text = self.0.entry(name).or_default();
        *text = None;
        text
    }

    /// Is there such a name?
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names and their texts, nulls too: for whoever judges them.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, text)| (name.as_ref(), text.as_deref()))
    }
}

impl<'a> Field<'a> for Option<TextMap<'a>> {
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Map(self.insert(TextMap::default()))
    }

    fn view(&self) -> View<'_, 'a> {
        self.as_ref().map_or(View::Absent, View::Map)
    }
}
