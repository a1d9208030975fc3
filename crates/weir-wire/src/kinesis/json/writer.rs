//! Writes answers as JSON, without spaces and without nulls.
//!
//! One pass over the answer, straight into the body; data is encoded to base64 in its last place.

use std::{
    fmt::{Display, Write as _},
    ops::Range,
};

use base64_turbo::STANDARD as BASE64;
use weir_core::{clock::WallMs, decimal::write_padded};

use crate::kinesis::encode::Encoder;

/// A body that grows.
#[derive(Debug, Default)]
pub struct JsonWriter {
    out: Vec<u8>,
    /// Does a comma go before what comes next?
    comma: bool,
}

impl JsonWriter {
    /// An empty body with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// The body.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    #[inline]
    fn before_value(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }

    #[inline]
    fn open(&mut self, bracket: u8) {
        self.before_value();
        self.out.push(bracket);
        self.comma = false;
    }

    #[inline]
    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.comma = true;
    }

    #[inline]
    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        // Most texts have nothing to escape, which a look at all bytes tells at once, many at a time.
        if text.bytes().fold(false, |found, byte| found | is_escaped(byte)) {
            self.with_escapes(text);
        } else {
            self.out.extend_from_slice(text.as_bytes());
        }
        self.out.push(b'"');
    }

    fn with_escapes(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| is_escaped(*byte)) {
            self.out.extend_from_slice(&rest[..at]);
            self.escaped(rest[at]);
            rest = &rest[at + 1..];
        }
        self.out.extend_from_slice(rest);
    }

    fn escaped(&mut self, byte: u8) {
        let letter = match byte {
            b'"' | b'\\' => byte,
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                let _ = write!(Ascii(&mut self.out), "\\u{byte:04x}"); // a vector takes everything
                return;
            }
        };
        self.out.extend_from_slice(&[b'\\', letter]);
    }
}

impl Encoder for JsonWriter {
    fn written(&self) -> usize {
        self.out.len()
    }

    #[inline]
    fn open_structure(&mut self) {
        self.open(b'{');
    }

    #[inline]
    fn close_structure(&mut self) {
        self.close(b'}');
    }

    #[inline]
    fn open_list(&mut self) {
        self.open(b'[');
    }

    #[inline]
    fn close_list(&mut self) {
        self.close(b']');
    }

    #[inline]
    fn member(&mut self, name: &'static str) {
        self.before_value();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.comma = false;
    }

    #[inline]
    fn text(&mut self, text: &str) {
        self.before_value();
        self.quoted(text);
    }

    fn shown(&mut self, value: &dyn Display) {
        self.before_value();
        self.out.push(b'"');
        let _ = write!(Ascii(&mut self.out), "{value}"); // a vector takes everything
        self.out.push(b'"');
    }

    #[inline]
    fn plain(&mut self, text: &[u8]) -> usize {
        self.before_value();
        self.out.push(b'"');
        let start = self.out.len();
        self.out.extend_from_slice(text);
        self.out.push(b'"');
        start
    }

    fn integer(&mut self, number: i64) {
        self.before_value();
        let _ = write!(Ascii(&mut self.out), "{number}"); // a vector takes everything
    }

    fn boolean(&mut self, value: bool) {
        self.before_value();
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    #[inline]
    fn blob(&mut self, bytes: &[u8]) {
        self.before_value();
        self.out.push(b'"');
        let start = self.out.len();
        self.out.resize(start + BASE64.encoded_len(bytes.len()), 0);
        BASE64.encode_slice(bytes, &mut self.out[start..]).expect("there is as much room as it asked for");
        self.out.push(b'"');
    }

    fn timestamp(&mut self, time: WallMs) {
        const DECIMALS: usize = 3;
        self.before_value();
        // As many digits as seconds since 1970 have until 2286, and then more.
        let width = time.secs().checked_ilog10().map_or(1, |log| log as usize + 1);
        let start = self.out.len();
        self.out.resize(start + width + 1 + DECIMALS, b'.');
        write_padded(time.secs(), &mut self.out[start..start + width]);
        write_padded(time.0 % 1_000, &mut self.out[start + width + 1..]);
    }

    #[inline]
    fn begin_value(&mut self) -> usize {
        self.before_value();
        self.comma = false; // it is there
        self.out.len()
    }

    #[inline]
    fn again(&mut self, front: Range<usize>) -> &mut [u8] {
        let start = self.begin_value();
        self.out.extend_from_within(front);
        &mut self.out[start..]
    }
}

#[inline]
fn is_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Formatting into a body: for numbers and ids, which need no escapes.
struct Ascii<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Ascii<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use weir_core::limits::MIB;

    use super::*;

    #[test]
    fn an_answer_has_commas_between_and_none_after() {
        let mut out = JsonWriter::default();
        out.open_structure();
        out.member("A");
        out.text("x\"\\\u{1}\n");
        out.member("B");
        out.open_list();
        out.integer(-5);
        out.open_structure();
        out.close_structure();
        out.blob(b"data");
        out.close_list();
        out.member("C");
        out.boolean(true);
        out.member("D");
        out.timestamp(WallMs(1_606_300_000_007));
        out.member("E");
        out.shown(&42);
        out.member("F");
        out.plain(b"abc");
        out.close_structure();
        let text = String::from_utf8(out.finish()).unwrap();
        assert_eq!(
            text,
            r#"{"A":"x\"\\\u0001\n","B":[-5,{},"ZGF0YQ=="],"C":true,"D":1606300000.007,"E":"42","F":"abc"}"#
        );
    }

    #[test]
    fn times_have_three_decimals_and_as_many_digits_as_they_take() {
        let mut out = JsonWriter::default();
        out.open_list();
        [1_606_300_000_007, 42, 0, 10_000_000_000_000]
            .into_iter()
            .for_each(|time| out.timestamp(WallMs(time)));
        out.close_list();
        let text = String::from_utf8(out.finish()).unwrap();
        assert_eq!(text, "[1606300000.007,0.042,0.000,10000000000.000]");
    }

    /// Behind so many other bytes.
    fn is_base64_of_another_codec(data: &[u8], lead: usize) -> bool {
        let mut out = JsonWriter { out: vec![b' '; lead], comma: false };
        out.blob(data);
        out.finish()[lead..] == *format!("\"{}\"", base64_simd::STANDARD.encode_to_string(data)).as_bytes()
    }

    /// The codec writes around the caches where data is larger than five eighths of the processor's last one, and its text begins
    /// at a multiple of 4 or 16. This is larger where that cache has less than 64 MiB.
    #[test]
    fn data_larger_than_most_caches_is_the_base64_of_another_codec_wherever_it_is_written() {
        const BYTES: u32 = 40 * MIB as u32;
        let data: Vec<u8> = (0..BYTES).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for (lead, left_out) in [(0, 0), (3, 1), (7, 2), (15, 0), (63, 1)] {
            assert!(is_base64_of_another_codec(&data[left_out..], lead), "behind {lead} bytes");
        }
    }

    proptest! {
        /// Of the lengths at which the codec goes over to wider steps, and of most records.
        #[test]
        fn any_data_is_the_base64_of_another_codec(
            data in prop_oneof![vec(any::<u8>(), 0..200), vec(any::<u8>(), 0..5_000)], lead in 0..64_usize,
        ) {
            prop_assert!(is_base64_of_another_codec(&data, lead));
        }

        #[test]
        fn any_text_is_read_back_by_another_parser(text: String) {
            let mut out = JsonWriter::default();
            out.text(&text);
            let read: String = serde_json::from_slice(&out.finish()).unwrap();
            prop_assert_eq!(read, text);
        }
    }
}
