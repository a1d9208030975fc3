//! JSON 1.1: `application/x-amz-json-1.1`.
//!
//! Reads bodies in one pass for the decoder and writes answers. It knows shapes and no operation; [`super::cbor`] stands
//! beside it.

mod reader;
mod writer;

pub use self::{reader::Reader, writer::JsonWriter};

use super::{decode, error::ApiError, shape::Fields};

/// What requests and answers say they are.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Reads `body` into `input`: `SerializationException` when it does not read or a type is wrong.
pub fn decode<'a>(body: &'a [u8], input: &mut dyn Fields<'a>) -> Result<(), ApiError> {
    decode::decode(Reader::new(body), input)
}
