//! Fills a described input from a JSON body, in one pass.
//!
//! Called by the front end for each request. Members that the description does not have are passed over, `null` is
//! absence, and a value of the wrong type is refused with the text that Kinesis has for it.

use std::borrow::Cow;

use weir_core::limits::PUT_RECORDS_COUNT_MAX;

use super::reader::{Malformed, Reader, Token};
use crate::kinesis::{
    blob::Blob,
    error::{ApiError, ErrorCode},
    shape::{EpochMs, Fields, Items, Slot, TextMap},
    validate::shown,
};

/// Items of a list or a map that are kept. More than any list of the API may have, so that a longer one is still found
/// too long; without it, a body of empty objects would cost thirty times its size.
const LIST_ITEMS_MAX: usize = 1_024;

const _: () = assert!(LIST_ITEMS_MAX > PUT_RECORDS_COUNT_MAX);

const LIST_UNEXPECTED: &str = "Start of list found where not expected";
const OBJECT_UNEXPECTED: &str = "Start of structure or map found where not expected.";
/// What Kinesis's own parser calls a number.
const NUMBER_CLASS: &str = "com.amazon.coral.value.json.numbers.TruncatingBigNumber";

/// Reads `body` into `input`: `SerializationException`, with a text where a type is wrong and without one where the
/// body is no JSON.
pub fn decode<'a>(body: &'a [u8], input: &mut dyn Fields<'a>) -> Result<(), ApiError> {
    let mut reader = Reader::new(body);
    match reader.peek()? {
        Token::Object => object(&mut reader, input)?,
        Token::List => return Err(refused(LIST_UNEXPECTED)),
        _ => return Err(ApiError::bare(ErrorCode::Serialization)),
    }
    Ok(reader.finish()?)
}

impl From<Malformed> for ApiError {
    fn from(_: Malformed) -> Self {
        Self::bare(ErrorCode::Serialization)
    }
}

fn refused(text: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Serialization, text)
}

fn object<'a>(reader: &mut Reader<'a>, fields: &mut dyn Fields<'a>) -> Result<(), ApiError> {
    reader.open();
    let mut first = true;
    while let Some(key) = reader.next_key(first)? {
        first = false;
        match (reader.peek()?, fields.slot(&key)) {
            (_, None) => reader.skip()?,
            (Token::Null, Some(_)) => reader.word("null")?,
            (token, Some(slot)) => value(reader, token, slot)?,
        }
    }
    Ok(())
}

fn list<'a>(reader: &mut Reader<'a>, items: &mut dyn Items<'a>) -> Result<(), ApiError> {
    reader.open();
    let mut first = true;
    while reader.next_item(first)? {
        first = false;
        if items.count() >= LIST_ITEMS_MAX {
            reader.skip()?;
            continue;
        }
        let slot = items.push();
        match reader.peek()? {
            Token::Null => reader.word("null")?,
            token => value(reader, token, slot)?,
        }
    }
    Ok(())
}

fn map<'a>(reader: &mut Reader<'a>, entries: &mut TextMap<'a>) -> Result<(), ApiError> {
    reader.open();
    let mut first = true;
    while let Some(name) = reader.next_key(first)? {
        first = false;
        if entries.len() >= LIST_ITEMS_MAX && !entries.has(&name) {
            reader.skip()?;
            continue;
        }
        let text = entries.insert(name);
        match reader.peek()? {
            Token::Null => reader.word("null")?,
            token => *text = Some(read_text(reader, token)?),
        }
    }
    Ok(())
}

fn value<'a>(reader: &mut Reader<'a>, token: Token, slot: Slot<'_, 'a>) -> Result<(), ApiError> {
    match slot {
        Slot::Text(text) => *text = Some(read_text(reader, token)?),
        Slot::Blob(blob) => *blob = Some(read_blob(reader, token)?),
        Slot::Integer(number) => *number = Some(read_integer(reader, token)?),
        Slot::Boolean(value) => *value = Some(read_boolean(reader, token)?),
        Slot::Timestamp(time) => *time = Some(read_timestamp(reader, token)?),
        Slot::Structure(fields) => match token {
            Token::Object => object(reader, fields)?,
            Token::List => return Err(refused(LIST_UNEXPECTED)),
            _ => return Err(refused("Expected null")),
        },
        Slot::List(items) => match token {
            Token::List => list(reader, items)?,
            Token::Object => return Err(refused(OBJECT_UNEXPECTED)),
            _ => return Err(refused("Expected list or null")),
        },
        Slot::Map(entries) => match token {
            Token::Object => map(reader, entries)?,
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
        Token::True | Token::False => "java.lang.Boolean",
        Token::Number | Token::Null => NUMBER_CLASS,
    };
    refused(format!("class {class} can not be converted to {into}"))
}

fn read_text<'a>(reader: &mut Reader<'a>, token: Token) -> Result<Cow<'a, str>, ApiError> {
    match token {
        Token::Text => Ok(reader.text()?),
        _ => Err(wrong_scalar(token, "an String")),
    }
}

fn read_blob<'a>(reader: &mut Reader<'a>, token: Token) -> Result<Blob<'a>, ApiError> {
    if token != Token::Text {
        return Err(wrong_scalar(token, "a Blob"));
    }
    let text = reader.raw_text()?;
    Blob::from_base64(text.clone()).map_err(|error| {
        let text = String::from_utf8_lossy(&text);
        refused(format!("'{}' can not be converted to a Blob: {error}", shown(&text)))
    })
}

/// 32 bits; a fraction is cut off, and what is larger becomes the largest.
fn read_integer(reader: &mut Reader<'_>, token: Token) -> Result<i64, ApiError> {
    if token != Token::Number {
        return Err(wrong_scalar(token, "an Integer"));
    }
    let text = reader.number()?;
    let number = text.parse::<i64>().unwrap_or_else(|_| {
        let number = text.parse::<f64>().unwrap_or(f64::INFINITY);
        number as i64 // saturates
    });
    Ok(number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)))
}

/// Kinesis takes some words for a truth, too.
fn read_boolean(reader: &mut Reader<'_>, token: Token) -> Result<bool, ApiError> {
    match token {
        Token::True => {
            reader.word("true")?;
            Ok(true)
        }
        Token::False => {
            reader.word("false")?;
            Ok(false)
        }
        Token::Text => {
            let word = reader.text()?.to_uppercase();
            match word.as_str() {
                "TRUE" | "YES" | "1" => Ok(true),
                "FALSE" | "NO" | "0" => Ok(false),
                _ => Err(refused(format!("'{}' can not be converted to an Boolean", shown(&word)))),
            }
        }
        _ => Err(wrong_scalar(token, "an Boolean")),
    }
}

fn read_timestamp(reader: &mut Reader<'_>, token: Token) -> Result<EpochMs, ApiError> {
    if token != Token::Number {
        return Err(wrong_scalar(token, "milliseconds since epoch"));
    }
    let seconds: f64 = reader.number()?.parse().unwrap_or(f64::INFINITY);
    Ok(EpochMs((seconds * 1_000.0).round() as i64)) // saturates
}

#[cfg(test)]
mod tests;
