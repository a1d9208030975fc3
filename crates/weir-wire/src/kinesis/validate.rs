//! Judges an input against its description and says all that is wrong with it, in Kinesis's words.
//!
//! Run by the front end after decoding and before anything else; the same for every operation and every encoding. It
//! takes each word from the description, and it must never know an operation.

use super::{
    error::{ApiError, ErrorCode},
    shape::{Bound, Fields, Presence, Shape, View},
};

/// Kinesis names this many and stops looking.
const ERRORS_MAX: usize = 10;

/// Characters of a value that an error text shows. Kinesis shows all of them; ten times a body of 16 MiB is no answer.
const SHOWN_CHARS_MAX: usize = 8 * 1024;

/// Checks every bound of the description: `ValidationException` with all (up to ten) that do not hold.
pub fn validate(input: &dyn Fields<'_>) -> Result<(), ApiError> {
    let mut found = Found::default();
    found.structure(input);
    if found.errors.is_empty() {
        return Ok(());
    }
    Err(failed(&found.errors))
}

/// The answer to an input in which the member at `path` is null although this call needs it: for needs that depend on
/// more than the description can say.
pub fn null_member(path: &str) -> ApiError {
    failed(&[format!("Value null at '{path}' failed to satisfy constraint: Member must not be null")])
}

/// The answer to data that is too long for this stream although the description lets it pass. `len` is its length.
pub fn data_too_long(path: &str, len: usize, most: usize) -> ApiError {
    failed(&[format!(
        "Value 'java.nio.HeapByteBuffer[pos=0 lim={len} cap={len}]' at '{path}' failed to satisfy constraint: Member \
         must have length less than or equal to {most}"
    )])
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
            } else if must_be_there(member.presence, fields) {
                self.report(None, "Member must not be null".to_owned());
            }
            self.path.pop();
        }
    }

    fn value(&mut self, view: &View<'_, '_>, shape: &Shape) {
        for bound in shape.bounds {
            if let Some(broken) = broken(bound, view) {
                self.report(Some(view), broken);
            }
        }
        match view {
            View::Structure(fields) => self.structure(*fields),
            View::List(items) => {
                let shape = shape.items.unwrap_or(&Shape::FREE);
                for at in 0..items.count() {
                    if self.errors.len() >= ERRORS_MAX {
                        break;
                    }
                    self.path.push(Step::Item(at));
                    self.value(&items.item(at), shape);
                    self.path.pop();
                }
            }
            _ => {}
        }
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

/// What does not hold, as Kinesis says it.
fn broken(bound: &Bound, view: &View<'_, '_>) -> Option<String> {
    match (bound, view) {
        (Bound::LengthMin(least), view) if length(view) < *least => {
            Some(format!("Member must have length greater than or equal to {least}"))
        }
        (Bound::LengthMax(most), view) if length(view) > *most => {
            Some(format!("Member must have length less than or equal to {most}"))
        }
        (Bound::Min(least), View::Integer(number)) if number < least => {
            Some(format!("Member must have value greater than or equal to {least}"))
        }
        (Bound::Max(most), View::Integer(number)) if number > most => {
            Some(format!("Member must have value less than or equal to {most}"))
        }
        (Bound::Pattern(pattern), View::Text(text)) if !(pattern.matches)(text) => {
            Some(format!("Member must satisfy regular expression pattern: {}", pattern.text))
        }
        (Bound::OneOf(set), View::Text(text)) if !set.contains(text) => {
            Some(format!("Member must satisfy enum value set: [{}]", set.join(", ")))
        }
        _ => None,
    }
}

fn length(view: &View<'_, '_>) -> usize {
    match view {
        View::Text(text) => text.chars().count(),
        View::Blob(blob) => blob.decoded_len(),
        View::List(items) => items.count(),
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
            format!("com.amazonaws.kinesis.v20131202.{name}@{:x}", crc32c::crc32c(name.as_bytes()))
        }
        View::List(items) => {
            let items: Vec<String> = (0..items.count()).map(|at| java_text(&items.item(at))).collect();
            format!("[{}]", shown(&items.join(", ")))
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
