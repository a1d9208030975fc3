//! Writes answers as JSON, without spaces and without nulls.
//!
//! One pass over the answer, straight into the body; data is encoded to base64 in its last place.

use std::{
    fmt::{Display, Write as _},
    ops::Range,
};

use base64_turbo::STANDARD as BASE64;
use weir_core::{clock::WallMs, decimal::write_padded};

use crate::kinesis::{encode::Encoder, encoded_body::EncodedBody};

/// A body that grows.
#[derive(Debug, Default)]
pub struct JsonWriter {
    out: EncodedBody,
    /// Does a comma go before what comes next?
    comma: bool,
}

impl JsonWriter {
    /// An empty body with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: EncodedBody::with_capacity(bytes), ..Self::default() }
    }

    /// The body.
    pub fn finish(self) -> EncodedBody {
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

    /// Room for a value of so many bytes between quotation marks, which are written.
    #[inline(always)] // three for each record of an answer
    fn quoted(&mut self, bytes: usize) -> &mut [u8] {
        self.before_value();
        let [open, text @ .., close] = self.out.claim(1 + bytes + 1) else { unreachable!("two at least") };
        (*open, *close) = (b'"', b'"');
        text
    }

    fn with_escapes(&mut self, text: &[u8]) {
        let mut rest = text;
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
                let _ = write!(self.out, "\\u{byte:04x}"); // a body takes everything
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
        self.quoted(name.len()).copy_from_slice(name.as_bytes());
        self.out.push(b':');
        self.comma = false;
    }

    #[inline]
    fn utf8(&mut self, text: &[u8]) {
        if has_escaped(text) {
            self.before_value();
            self.out.push(b'"');
            self.with_escapes(text);
            self.out.push(b'"');
        } else {
            self.quoted(text.len()).copy_from_slice(text);
        }
    }

    fn shown(&mut self, value: &dyn Display) {
        self.before_value();
        self.out.push(b'"');
        let _ = write!(self.out, "{value}"); // a body takes everything
        self.out.push(b'"');
    }

    #[inline]
    fn plain(&mut self, text: &[u8]) -> usize {
        self.quoted(text.len()).copy_from_slice(text);
        self.out.len() - 1 - text.len()
    }

    fn integer(&mut self, number: i64) {
        self.before_value();
        let _ = write!(self.out, "{number}"); // a body takes everything
    }

    fn boolean(&mut self, value: bool) {
        self.before_value();
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    #[inline]
    fn blob(&mut self, bytes: &[u8]) {
        let text = self.quoted(BASE64.encoded_len(bytes.len()));
        BASE64.encode_slice(bytes, text).expect("there is as much room as it asked for");
    }

    fn timestamp(&mut self, time: WallMs) {
        const DECIMALS: usize = 3;
        self.before_value();
        // As many digits as seconds since 1970 have until 2286, and then more.
        let width = time.secs().checked_ilog10().map_or(1, |log| log as usize + 1);
        let text = self.out.claim(width + 1 + DECIMALS);
        let (whole, decimals) = text.split_at_mut(width);
        write_padded(time.secs(), whole);
        decimals[0] = b'.';
        write_padded(time.0 % 1_000, &mut decimals[1..]);
    }

    #[inline]
    fn begin_value(&mut self) -> usize {
        self.before_value();
        self.comma = false; // it is there
        self.out.len()
    }

    #[inline]
    fn again(&mut self, front: Range<usize>) -> &mut [u8] {
        self.begin_value();
        self.out.extend_from_within(front)
    }
}

/// Eight bytes are looked at together, the last eight whether they were before or not: most texts are keys of few bytes.
#[inline]
fn has_escaped(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else { return text.iter().copied().any(is_escaped) };
    let (words, _) = text.as_chunks();
    words.iter().fold(escaped_of(*last), |found, word| found | escaped_of(*word)) != 0
}

/// Not zero if one of these [`is_escaped`].
#[inline]
fn escaped_of(bytes: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    // The highest bit of each byte that is below `than`. It may be set behind such a byte for no reason, for that one borrows, but
    // not where there is none.
    let below = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word;
    let word = u64::from_le_bytes(bytes);
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, b' ') | is(b'"') | is(b'\\')) & (ONES << 7)
}

#[inline]
fn is_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
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
        let text = String::from_utf8(out.finish().into()).unwrap();
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
        let text = String::from_utf8(out.finish().into()).unwrap();
        assert_eq!(text, "[1606300000.007,0.042,0.000,10000000000.000]");
    }

    /// Behind so many other bytes.
    fn is_base64_of_another_codec(data: &[u8], lead: usize) -> bool {
        let mut out = JsonWriter::default();
        out.out.extend_from_slice(&vec![b' '; lead]);
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
        fn what_must_be_escaped_is_found_wherever_it_stands(
            text in vec(prop_oneof![8 => Just(b'k'), 1 => any::<u8>(), 1 => Just(0x1f), 1 => Just(b' ')], 0..40),
        ) {
            prop_assert_eq!(has_escaped(&text), text.iter().copied().any(is_escaped));
        }

        #[test]
        fn any_text_is_read_back_by_another_parser(text in prop_oneof![any::<String>(), "[\x00-\x24a\\\\]{0,30}"]) {
            let mut out = JsonWriter::default();
            out.text(&text);
            let read: String = serde_json::from_slice(&out.finish()).unwrap();
            prop_assert_eq!(read, text);
        }
    }
}
