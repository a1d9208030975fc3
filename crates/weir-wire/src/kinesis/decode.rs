//! Fills a described input from a body in any encoding, in one pass.
//!
//! Called by each encoding's module with its own [`Source`], for each request; clients take answers apart with one
//! themselves. Members that the description does not have
//! are passed over, null is absence, and a value of the wrong type is refused with the text that Kinesis has for it. It
//! must never know an encoding or an operation.

use std::borrow::Cow;

use weir_core::limits::PUT_RECORDS_COUNT_MAX;

use super::{
    blob::Blob,
    error::{ApiError, ErrorCode},
    shape::{EpochMs, Fields, Items, Slot, Text, TextMap},
    validate::shown,
};

/// Nesting that is followed in members that nobody asked for. What is deeper is refused, as every parser does.
pub(super) const DEPTH_MAX: usize = 128;

/// Items of a list or a map that are kept. More than any list of the API may have, so that a longer one is still found
/// too long; without it, a body of empty objects would cost thirty times its size.
const LIST_ITEMS_MAX: usize = 1_024;

const _: () = assert!(LIST_ITEMS_MAX > PUT_RECORDS_COUNT_MAX);

const LIST_UNEXPECTED: &str = "Start of list found where not expected";
const OBJECT_UNEXPECTED: &str = "Start of structure or map found where not expected.";
/// What Kinesis's own parser calls a number.
const NUMBER_CLASS: &str = "com.amazon.coral.value.json.numbers.TruncatingBigNumber";

/// What comes next in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// A structure or a map.
    Object,
    /// A list.
    List,
    /// A text.
    Text,
    /// Bytes, in an encoding that has them.
    Bytes,
    /// A number.
    Number,
    /// True.
    True,
    /// False.
    False,
    /// Null.
    Null,
}

/// Bytes that do not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body does not read from byte {at} on")]
pub struct Malformed {
    /// Where reading stopped.
    pub at: usize,
}

impl From<Malformed> for ApiError {
    fn from(_: Malformed) -> Self {
        Self::bare(ErrorCode::Serialization)
    }
}

/// A text that was read and may turn out not to be one.
#[derive(Debug)]
pub struct RawText<'a> {
    /// Its bytes, escapes resolved.
    pub bytes: Cow<'a, [u8]>,
    /// Where it begins in the body.
    pub at: usize,
}

impl<'a> RawText<'a> {
    /// The text, if it is UTF-8.
    pub fn into_utf8(self) -> Result<Text<'a>, Malformed> {
        let Self { bytes, at } = self;
        match bytes {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
        }
        .ok_or(Malformed { at })
    }
}

/// A body that is taken apart, left to right, once. Arbitrary bytes never make it panic, recurse or loop.
pub trait Source<'a> {
    /// What must be known of an object or a list while one is in it.
    type Open;
    /// The kind of value that carries bytes.
    const BYTES: Token;

    /// The kind of the next value, which is still to be read. Asked before each value is read.
    fn peek(&mut self) -> Result<Token, Malformed>;
    /// Enters an object or a list.
    fn open(&mut self) -> Result<Self::Open, Malformed>;
    /// The next key of an object, not checked yet; `None` at its end.
    fn next_raw_key(&mut self, open: &mut Self::Open) -> Result<Option<RawText<'a>>, Malformed>;
    /// The next key of an object; `None` at its end.
    fn next_key(&mut self, open: &mut Self::Open) -> Result<Option<Text<'a>>, Malformed> {
        self.next_raw_key(open)?.map(Self::checked).transpose()
    }
    /// Is there another item of the list?
    fn next_item(&mut self, open: &mut Self::Open) -> Result<bool, Malformed>;
    /// Reads a text, not checked yet.
    fn raw_text(&mut self) -> Result<RawText<'a>, Malformed>;
    /// Checks a text that was read: is it UTF-8, and whatever else the encoding asks of one?
    fn checked(text: RawText<'a>) -> Result<Text<'a>, Malformed> {
        text.into_utf8()
    }
    /// Reads a text.
    fn text(&mut self) -> Result<Text<'a>, Malformed> {
        self.raw_text().and_then(Self::checked)
    }
    /// Reads bytes: a value of the kind [`Self::BYTES`].
    fn blob(&mut self) -> Result<Blob<'a>, ApiError>;
    /// Reads a number; a fraction is cut off, and what is larger becomes the largest.
    fn integer(&mut self) -> Result<i64, Malformed>;
    /// Reads a number that is a time.
    fn timestamp(&mut self) -> Result<EpochMs, Malformed>;
    /// Reads true, false or null.
    fn word(&mut self, word: Token) -> Result<(), Malformed>;
    /// Passes over a value. What is open is kept on the heap, not on the stack.
    fn skip(&mut self) -> Result<(), Malformed>;
    /// Nothing may be left.
    fn finish(self) -> Result<(), Malformed>;
}

/// Reads all of `source` into `input`: `SerializationException`, with a text where a type is wrong and without one where
/// the body does not read.
pub(super) fn decode<'a, S: Source<'a>>(mut source: S, input: &mut dyn Fields<'a>) -> Result<(), ApiError> {
    match source.peek()? {
        Token::Object => object(&mut source, input)?,
        Token::List => return Err(refused(LIST_UNEXPECTED)),
        _ => return Err(ApiError::bare(ErrorCode::Serialization)),
    }
    Ok(source.finish()?)
}

/// The answer to base64 that does not read.
pub(super) fn base64_refused(text: &[u8], error: &impl std::fmt::Display) -> ApiError {
    let text = String::from_utf8_lossy(text);
    refused(format!("'{}' can not be converted to a Blob: {error}", shown(&text)))
}

fn refused(text: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Serialization, text)
}

fn object<'a, S: Source<'a>>(source: &mut S, fields: &mut dyn Fields<'a>) -> Result<(), ApiError> {
    let mut open = source.open()?;
    while let Some(key) = source.next_raw_key(&mut open)? {
        match source.peek()? {
            Token::Null => {
                S::checked(key)?;
                source.word(Token::Null)?;
            }
            token => match fields.slot(&key.bytes) {
                Some(slot) => value(source, token, slot)?, // a name is a text: it needs no check
                None => {
                    S::checked(key)?;
                    source.skip()?;
                }
            },
        }
    }
    Ok(())
}

fn list<'a, S: Source<'a>>(source: &mut S, items: &mut dyn Items<'a>) -> Result<(), ApiError> {
    let mut open = source.open()?;
    while source.next_item(&mut open)? {
        if items.count() >= LIST_ITEMS_MAX {
            source.skip()?;
            continue;
        }
        let slot = items.push();
        match source.peek()? {
            Token::Null => source.word(Token::Null)?,
            token => value(source, token, slot)?,
        }
    }
    Ok(())
}

fn map<'a, S: Source<'a>>(source: &mut S, entries: &mut TextMap<'a>) -> Result<(), ApiError> {
    let mut open = source.open()?;
    while let Some(name) = source.next_key(&mut open)? {
        if entries.len() >= LIST_ITEMS_MAX && !entries.has(&name) {
            source.skip()?;
            continue;
        }
        let text = entries.insert(name);
        match source.peek()? {
            Token::Null => source.word(Token::Null)?,
            token => *text = Some(read_text(source, token)?),
        }
    }
    Ok(())
}

fn value<'a, S: Source<'a>>(source: &mut S, token: Token, slot: Slot<'_, 'a>) -> Result<(), ApiError> {
    match slot {
        Slot::Text(text) => *text = Some(read_text(source, token)?),
        Slot::Blob(blob) => *blob = Some(read_blob(source, token)?),
        Slot::Integer(number) => *number = Some(read_integer(source, token)?),
        Slot::Boolean(value) => *value = Some(read_boolean(source, token)?),
        Slot::Timestamp(time) => *time = Some(read_timestamp(source, token)?),
        Slot::Structure(fields) => match token {
            Token::Object => object(source, fields)?,
            Token::List => return Err(refused(LIST_UNEXPECTED)),
            _ => return Err(refused("Expected null")),
        },
        Slot::List(items) => match token {
            Token::List => list(source, items)?,
            Token::Object => return Err(refused(OBJECT_UNEXPECTED)),
            _ => return Err(refused("Expected list or null")),
        },
        Slot::Map(entries) => match token {
            Token::Object => map(source, entries)?,
            Token::List => return Err(refused(LIST_UNEXPECTED)),
            _ => return Err(refused("Expected map or null")),
        },
    }
    Ok(())
}

/// A value of another kind than the scalar that belongs there. `into` ends the sentence: `an String`.
fn wrong_scalar(token: Token, into: &str) -> ApiError {
    let class = match token {
        Token::Object => return refused(OBJECT_UNEXPECTED),
        Token::List => return refused(LIST_UNEXPECTED),
        Token::Text => "java.lang.String",
        Token::Bytes => "java.nio.HeapByteBuffer",
        Token::True | Token::False => "java.lang.Boolean",
        Token::Number | Token::Null => NUMBER_CLASS,
    };
    refused(format!("class {class} can not be converted to {into}"))
}

#[inline(always)] // as `read_blob`
fn read_text<'a, S: Source<'a>>(source: &mut S, token: Token) -> Result<Cow<'a, str>, ApiError> {
    match token {
        Token::Text => Ok(source.text()?),
        _ => Err(wrong_scalar(token, "an String")),
    }
}

// A result of so many words comes back through memory, and the processor reads it before it has arrived there, and waits: with the
// encoding's own part, 5 us of 500 records in CBOR (`put_records_decode`).
#[inline(always)]
fn read_blob<'a, S: Source<'a>>(source: &mut S, token: Token) -> Result<Blob<'a>, ApiError> {
    if token == S::BYTES { source.blob() } else { Err(wrong_scalar(token, "a Blob")) }
}

/// 32 bits: every number of the API's inputs has so many.
fn read_integer<'a, S: Source<'a>>(source: &mut S, token: Token) -> Result<i64, ApiError> {
    match token {
        Token::Number => Ok(source.integer()?.clamp(i64::from(i32::MIN), i64::from(i32::MAX))),
        _ => Err(wrong_scalar(token, "an Integer")),
    }
}

/// Kinesis takes some words for a truth, too.
fn read_boolean<'a, S: Source<'a>>(source: &mut S, token: Token) -> Result<bool, ApiError> {
    match token {
        Token::True | Token::False => {
            source.word(token)?;
            Ok(token == Token::True)
        }
        Token::Text => {
            let word = source.text()?.to_uppercase();
            match word.as_str() {
                "TRUE" | "YES" | "1" => Ok(true),
                "FALSE" | "NO" | "0" => Ok(false),
                _ => Err(refused(format!("'{}' can not be converted to an Boolean", shown(&word)))),
            }
        }
        _ => Err(wrong_scalar(token, "an Boolean")),
    }
}

fn read_timestamp<'a, S: Source<'a>>(source: &mut S, token: Token) -> Result<EpochMs, ApiError> {
    match token {
        Token::Number => Ok(source.timestamp()?),
        _ => Err(wrong_scalar(token, "milliseconds since epoch")),
    }
}

#[cfg(test)]
mod tests;
