//! Judges an input against its description and says all that is wrong with it, in Kinesis's words.
//!
//! Run by the front end after decoding and before anything else; the same for every operation and every encoding. It
//! takes each word from the description, and it must never know an operation.

use weir_core::checksum::crc32c;

use super::{
    error::{ApiError, ErrorCode},
    shape::{Bound, Fields, Items, Presence, Shape, View},
};

/// Kinesis names this many and stops looking.
const ERRORS_MAX: usize = 10;

/// Characters of a value that an error text shows. Kinesis shows all of them; ten times a body of 18 MiB is no answer.
const SHOWN_CHARS_MAX: usize = 8 * 1024;

const NOT_NULL: &str = "Member must not be null";

/// Checks every bound of the description: `ValidationException` with all (up to ten) that do not hold.
pub fn validate(input: &dyn Fields<'_>) -> Result<(), ApiError> {
    validate_waiving(input, &[])
}

/// The same, where members of these names need not be there although the description says so.
pub fn validate_waiving(input: &dyn Fields<'_>, waived: &'static [&'static str]) -> Result<(), ApiError> {
    let mut found = Found { waived, ..Found::default() };
    found.structure(input);
    if found.errors.is_empty() {
        return Ok(());
    }
    Err(failed(&found.errors))
}

/// The answer to an input in which the member at `path` is null although this call needs it: for needs that depend on
/// more than the description can say.
pub fn null_member(path: &str) -> ApiError {
    failed(&[format!("Value null at '{path}' failed to satisfy constraint: {NOT_NULL}")])
}

/// The answer to data that is too long for this stream although the description lets it pass. `len` is its length.
pub fn data_too_long(path: &str, len: usize, most: usize) -> ApiError {
    failed(&[format!(
        "Value 'java.nio.HeapByteBuffer[pos=0 lim={len} cap={len}]' at '{path}' failed to satisfy constraint: Member \
         must have length less than or equal to {most}"
    )])
}

/// Does a text keep all the bounds of a shape?
pub fn fits(text: &str, shape: &Shape) -> bool {
    !shape.bounds.iter().any(|bound| is_broken(bound, &View::Text(text)))
}

fn failed(errors: &[String]) -> ApiError {
    let count = errors.len();
    let plural = if count == 1 { "" } else { "s" };
    let text = errors.join("; ");
    ApiError::new(ErrorCode::Validation, format!("{count} validation error{plural} detected: {text}"))
}

/// The walk over an input. Its path is put into words only when something is wrong, which is almost never.
#[derive(Default)]
struct Found<'a> {
    /// Members that need not be there.
    waived: &'static [&'static str],
    path: Vec<Step<'a>>,
    errors: Vec<String>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

impl<'a> Found<'a> {
    fn structure(&mut self, fields: &dyn Fields<'_>) {
        for member in fields.structure().members {
            self.path.push(Step::Member(member.name));
            let view = fields.view(member.name);
            if !matches!(view, View::Absent) {
                self.value(&view, member.shape);
            } else if must_be_there(member.presence, fields) && !self.waived.contains(&member.name) {
                self.report(None, NOT_NULL.to_owned());
            }
            self.path.pop();
        }
    }

    fn value(&mut self, view: &View<'_, '_>, shape: &Shape) {
        for bound in shape.bounds {
            if is_broken(bound, view) {
                self.report(Some(view), need(bound));
            }
        }
        match view {
            View::Structure(fields) => self.structure(*fields),
            View::List(items) => self.list(view, *items, shape),
            View::Map(map) => {
                let names = map.entries().all(|(name, _)| holds(shape.keys, &View::Text(name)));
                self.together(view, "Map keys", shape.keys, names);
                let texts = map
                    .entries()
                    .all(|(_, text)| text.is_some_and(|text| holds(shape.items, &View::Text(text))));
                self.together(view, "Map value", shape.items, texts);
            }
            _ => {}
        }
    }

    /// Structures of a list are judged one by one; scalars together.
    fn list(&mut self, view: &View<'_, '_>, items: &dyn Items<'_>, shape: &Shape) {
        let mut scalars_hold = true;
        for at in 0..items.count() {
            match items.item(at) {
                View::Structure(fields) if self.errors.len() < ERRORS_MAX => {
                    self.path.push(Step::Item(at));
                    self.structure(fields);
                    self.path.pop();
                }
                View::Structure(_) => break,
                item => scalars_hold &= holds(shape.items, &item),
            }
        }
        self.together(view, "Member", shape.items, scalars_hold);
    }

    /// What does not hold for some of the `whose`, said once and with all that they must satisfy, the other way round.
    fn together(&mut self, view: &View<'_, '_>, whose: &str, bounds: &[Bound], hold: bool) {
        if hold {
            return;
        }
        let mut needs: Vec<String> = bounds.iter().rev().map(need).collect();
        if has_null(view) {
            needs.push(NOT_NULL.to_owned());
        }
        self.report(Some(view), format!("{whose} must satisfy constraint: [{}]", needs.join(", ")));
    }

    fn report(&mut self, value: Option<&View<'_, '_>>, constraint: String) {
        if self.errors.len() >= ERRORS_MAX {
            return;
        }
        let mut text = match value {
            Some(view) => format!("Value '{}' at '", java_text(view)),
            None => "Value null at '".to_owned(),
        };
        for (at, step) in self.path.iter().enumerate() {
            if at > 0 {
                text.push('.');
            }
            match step {
                Step::Member(name) => push_lower_first(&mut text, name),
                Step::Item(at) => text.push_str(&format!("{}.member", at + 1)),
            }
        }
        text.push_str(&format!("' failed to satisfy constraint: {constraint}"));
        self.errors.push(text);
    }
}

fn must_be_there(presence: Presence, fields: &dyn Fields<'_>) -> bool {
    match presence {
        Presence::Optional => false,
        Presence::Required => true,
        Presence::RequiredWithout(others) => {
            others.iter().all(|other| matches!(fields.view(other), View::Absent))
        }
    }
}

/// Does a value have all its bounds? A null has none.
fn holds(bounds: &[Bound], view: &View<'_, '_>) -> bool {
    !matches!(view, View::Absent) && !bounds.iter().any(|bound| is_broken(bound, view))
}

fn is_broken(bound: &Bound, view: &View<'_, '_>) -> bool {
    match (bound, view) {
        // A character has one to four bytes: mostly their number says it, and nobody has to count.
        (Bound::LengthMin(least), View::Text(text)) => {
            text.len() < *least || (text.len() < least.saturating_mul(4) && length(view) < *least)
        }
        (Bound::LengthMax(most), View::Text(text)) => text.len() > *most && length(view) > *most,
        (Bound::LengthMin(least), view) => length(view) < *least,
        (Bound::LengthMax(most), view) => length(view) > *most,
        (Bound::Min(least), View::Integer(number)) => number < least,
        (Bound::Max(most), View::Integer(number)) => number > most,
        (Bound::Pattern(pattern), View::Text(text)) => !(pattern.matches)(text),
        (Bound::OneOf(set), View::Text(text)) => !set.contains(text),
        (Bound::Min(_) | Bound::Max(_) | Bound::Pattern(_) | Bound::OneOf(_), _) => false,
    }
}

/// A bound, as Kinesis says it.
fn need(bound: &Bound) -> String {
    match bound {
        Bound::LengthMin(least) => format!("Member must have length greater than or equal to {least}"),
        Bound::LengthMax(most) => format!("Member must have length less than or equal to {most}"),
        Bound::Min(least) => format!("Member must have value greater than or equal to {least}"),
        Bound::Max(most) => format!("Member must have value less than or equal to {most}"),
        Bound::Pattern(pattern) => {
            format!("Member must satisfy regular expression pattern: {}", pattern.text)
        }
        Bound::OneOf(set) => format!("Member must satisfy enum value set: [{}]", set.join(", ")),
    }
}

fn has_null(view: &View<'_, '_>) -> bool {
    match view {
        View::List(items) => (0..items.count()).any(|at| matches!(items.item(at), View::Absent)),
        View::Map(map) => map.entries().any(|(_, text)| text.is_none()),
        _ => false,
    }
}

fn length(view: &View<'_, '_>) -> usize {
    match view {
        View::Text(text) => text.chars().count(),
        View::Blob(blob) => blob.decoded_len(),
        View::List(items) => items.count(),
        View::Map(map) => map.len(),
        View::Absent | View::Integer(_) | View::Boolean(_) | View::Timestamp(_) | View::Structure(_) => 0,
    }
}

/// A value as Java's `toString` prints it, which is what Kinesis shows.
fn java_text(view: &View<'_, '_>) -> String {
    match view {
        View::Absent => "null".to_owned(),
        View::Text(text) => shown(text).to_owned(),
        View::Blob(blob) => {
            let len = blob.decoded_len();
            format!("java.nio.HeapByteBuffer[pos=0 lim={len} cap={len}]")
        }
        View::Integer(number) => number.to_string(),
        View::Boolean(value) => value.to_string(),
        View::Timestamp(time) => time.0.to_string(),
        View::Structure(fields) => {
            let name = fields.structure().name;
            format!("com.amazonaws.kinesis.v20131202.{name}@{:x}", crc32c(name.as_bytes()))
        }
        View::List(items) => {
            let items: Vec<String> = (0..items.count()).map(|at| java_text(&items.item(at))).collect();
            format!("[{}]", shown(&items.join(", ")))
        }
        View::Map(map) => {
            let entries: Vec<String> =
                map.entries().map(|(name, text)| format!("{name}={}", text.unwrap_or("null"))).collect();
            format!("{{{}}}", shown(&entries.join(", ")))
        }
    }
}

/// The part of a client's text that an answer repeats.
pub(super) fn shown(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

/// `StreamName` as `streamName`, which is how error texts spell members.
fn push_lower_first(out: &mut String, name: &str) {
    let mut chars = name.chars();
    out.extend(chars.next().map(|first| first.to_ascii_lowercase()));
    out.push_str(chars.as_str());
}

#[cfg(test)]
mod tests;
