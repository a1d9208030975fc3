//! CBOR 1.1: `application/x-amz-cbor-1.1`, which the Java SDK speaks and with it the KCL, Flink and Spark.
//!
//! Reads bodies in one pass for the decoder and writes answers, with Kinesis's own habits: times are tag 1 with whole
//! milliseconds in both directions, against RFC 8949; data is a byte string; structures and lists are written without
//! their length. It knows shapes and no operation; [`super::json`] stands beside it.

mod reader;
mod writer;

pub use self::{reader::Reader, writer::CborWriter};

use super::{decode, error::ApiError, shape::Fields};

/// What requests and answers say they are.
pub const CONTENT_TYPE: &str = "application/x-amz-cbor-1.1";

/// Reads `body` into `input`: `SerializationException` when it does not read or a type is wrong.
pub fn decode<'a>(body: &'a [u8], input: &mut dyn Fields<'a>) -> Result<(), ApiError> {
    decode::decode(Reader::new(body), input)
}

/// The upper three bits of an item's first byte.
mod major {
    pub(super) const UNSIGNED: u8 = 0;
    pub(super) const NEGATIVE: u8 = 1;
    pub(super) const BYTES: u8 = 2;
    pub(super) const TEXT: u8 = 3;
    pub(super) const LIST: u8 = 4;
    pub(super) const MAP: u8 = 5;
    pub(super) const TAG: u8 = 6;
    pub(super) const OTHER: u8 = 7;
}

/// The lower five bits: no length is told, the end is marked.
const INDEFINITE: u8 = 31;
/// Ends what has no length.
const BREAK: u8 = 0xff;
/// The tag of a time.
const TAG_TIME: u8 = 1;
/// The tags of numbers that are no machine's: big integers, decimal fractions, big floats.
const TAGS_BIG_NUMBERS: std::ops::RangeInclusive<u64> = 2..=5;

#[cfg(test)]
mod tests;
