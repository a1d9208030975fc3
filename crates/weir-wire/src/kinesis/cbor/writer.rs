//! Writes answers as CBOR: structures and lists without their length, as Kinesis does, and without nulls.
//!
//! One pass over the answer, straight into the body; data is copied once, to its last place.

use std::{
    fmt::{Display, Write as _},
    ops::Range,
};

use weir_core::clock::WallMs;

use super::{BREAK, INDEFINITE, TAG_TIME, major};
use crate::kinesis::{encode::Encoder, encoded_body::EncodedBody};

/// A body that grows.
#[derive(Debug, Default)]
pub struct CborWriter {
    out: EncodedBody,
}

impl CborWriter {
    /// An empty body with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: EncodedBody::with_capacity(bytes) }
    }

    /// The body.
    pub fn finish(self) -> EncodedBody {
        self.out
    }

    /// An item's head in its shortest form.
    #[inline]
    fn head(&mut self, kind: u8, argument: u64) {
        let (head, len) = head(kind, argument);
        self.out.extend_from_slice(&head[..len]);
    }

    #[inline]
    fn open(&mut self, kind: u8) {
        self.out.push(kind << 5 | INDEFINITE);
    }
}

impl Encoder for CborWriter {
    fn written(&self) -> usize {
        self.out.len()
    }

    #[inline]
    fn open_structure(&mut self) {
        self.open(major::MAP);
    }

    #[inline]
    fn close_structure(&mut self) {
        self.out.push(BREAK);
    }

    #[inline]
    fn open_list(&mut self) {
        self.open(major::LIST);
    }

    #[inline]
    fn close_list(&mut self) {
        self.out.push(BREAK);
    }

    #[inline]
    fn member(&mut self, name: &'static str) {
        self.text(name);
    }

    #[inline]
    fn utf8(&mut self, text: &[u8]) {
        self.head(major::TEXT, text.len() as u64);
        self.out.extend_from_slice(text);
    }

    /// The text is printed behind room for a head of two bytes, as texts of 24 to 255 have it, and moved where it has another:
    /// ids of shards have one byte.
    fn shown(&mut self, value: &dyn Display) {
        const ROOM: usize = 2;
        let start = self.out.len();
        self.out.extend_from_slice(&[0; ROOM]);
        let _ = write!(self.out, "{value}"); // a body takes everything
        let end = self.out.len();
        let (head, len) = head(major::TEXT, (end - start - ROOM) as u64);
        self.out.claim(len.saturating_sub(ROOM)); // the text moves there
        self.out.copy_within(start + ROOM..end, start + len);
        self.out.truncate(end - ROOM + len);
        self.out[start..start + len].copy_from_slice(&head[..len]);
    }

    #[inline]
    fn plain(&mut self, text: &[u8]) -> usize {
        self.head(major::TEXT, text.len() as u64);
        let start = self.out.len();
        self.out.extend_from_slice(text);
        start
    }

    fn integer(&mut self, number: i64) {
        match u64::try_from(number) {
            Ok(number) => self.head(major::UNSIGNED, number),
            Err(_) => self.head(major::NEGATIVE, !number as u64), // -1 - number, which is not negative
        }
    }

    fn boolean(&mut self, value: bool) {
        self.head(major::OTHER, if value { 21 } else { 20 });
    }

    #[inline]
    fn blob(&mut self, bytes: &[u8]) {
        self.head(major::BYTES, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    fn timestamp(&mut self, time: WallMs) {
        self.head(major::TAG, u64::from(TAG_TIME));
        self.head(major::UNSIGNED, time.0);
    }

    #[inline]
    fn begin_value(&mut self) -> usize {
        self.out.len()
    }

    #[inline]
    fn again(&mut self, front: Range<usize>) -> &mut [u8] {
        self.out.extend_from_within(front)
    }
}

/// The bytes of a head, and how many there are.
fn head(kind: u8, argument: u64) -> ([u8; 9], usize) {
    let (info, len) = match argument {
        0..=23 => (argument as u8, 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    let mut head = [0; 9];
    head[0] = kind << 5 | info;
    head[1..=len].copy_from_slice(&argument.to_be_bytes()[8 - len..]);
    (head, len + 1)
}
