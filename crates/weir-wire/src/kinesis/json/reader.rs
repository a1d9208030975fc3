//! Takes JSON apart, left to right, once.
//!
//! The decoder drives it as a [`Source`]. Texts without escapes are borrowed from the body; nothing is built for members
//! that nobody asked for.

use std::borrow::Cow;

use crate::kinesis::{
    blob::Blob,
    decode::{DEPTH_MAX, Malformed, RawText, Source, Token, base64_refused},
    error::ApiError,
    shape::{EpochMs, Text},
};

/// Reads a body.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Is there more before the bracket `end`? A comma goes before all but the first.
    fn next(&mut self, end: u8, first: &mut bool) -> Result<bool, Malformed> {
        self.skip_space();
        if self.byte() == Some(end) {
            self.at += 1;
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.expect(b',')?;
        }
        Ok(true)
    }

    /// A text as bytes. Escapes are resolved; control characters and broken UTF-8 are left in.
    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        self.expect(b'"')?;
        let rest = &self.bytes[self.at..];
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(len) if rest[len] == b'"' => {
                self.at += len + 1;
                Ok(Cow::Borrowed(&rest[..len]))
            }
            Some(_) => self.escaped_text().map(Cow::Owned),
            None => Err(self.malformed()),
        }
    }

    /// A text that has escapes, up to its closing quote. Control characters may only come escaped.
    fn escaped_text(&mut self) -> Result<Vec<u8>, Malformed> {
        let mut text = Vec::new();
        loop {
            let rest = &self.bytes[self.at..];
            let len = memchr::memchr2(b'"', b'\\', rest).ok_or(Malformed { at: self.bytes.len() })?;
            if rest[..len].iter().any(|&byte| byte < b' ') {
                return Err(self.malformed());
            }
            text.extend_from_slice(&rest[..len]);
            self.at += len + 1;
            if rest[len] == b'"' {
                return Ok(text);
            }
            self.escape(&mut text)?;
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), Malformed> {
        let letter = self.byte().ok_or(Malformed { at: self.at })?;
        self.at += 1;
        let plain = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let code = self.unicode_escape()?;
                let mut buffer = [0; 4];
                text.extend_from_slice(code.encode_utf8(&mut buffer).as_bytes());
                return Ok(());
            }
            _ => return Err(self.malformed()),
        };
        text.push(plain);
        Ok(())
    }

    /// Four hexadecimal digits, and four more where they are half of a pair. A half alone is no text.
    fn unicode_escape(&mut self) -> Result<char, Malformed> {
        let high = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high).ok_or(Malformed { at: self.at });
        }
        self.expect(b'\\')?;
        self.expect(b'u')?;
        let low = self.four_digits()?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(self.malformed());
        }
        char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or(Malformed { at: self.at })
    }

    fn four_digits(&mut self) -> Result<u32, Malformed> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Malformed { at: self.at })?;
        let value = digits.iter().try_fold(0, |sum, &digit| {
            char::from(digit).to_digit(16).map(|digit| sum << 4 | digit).ok_or(Malformed { at: self.at })
        })?;
        self.at += 4;
        Ok(value)
    }

    /// A number, as its text.
    fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.skip_digits()?,
            _ => return Err(self.malformed()),
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.skip_digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.skip_digits()?;
        }
        std::str::from_utf8(&self.bytes[start..self.at]).map_err(|_| Malformed { at: start })
    }

    fn skip_digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.malformed()) }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.byte() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn malformed(&self) -> Malformed {
        Malformed { at: self.at }
    }
}

impl<'a> Source<'a> for Reader<'a> {
    /// Is the next item the first?
    type Open = bool;
    const BYTES: Token = Token::Text;

    fn peek(&mut self) -> Result<Token, Malformed> {
        self.skip_space();
        match self.byte() {
            Some(b'{') => Ok(Token::Object),
            Some(b'[') => Ok(Token::List),
            Some(b'"') => Ok(Token::Text),
            Some(b'-' | b'0'..=b'9') => Ok(Token::Number),
            Some(b't') => Ok(Token::True),
            Some(b'f') => Ok(Token::False),
            Some(b'n') => Ok(Token::Null),
            _ => Err(self.malformed()),
        }
    }

    fn open(&mut self) -> Result<bool, Malformed> {
        self.at += 1;
        Ok(true)
    }

    fn next_raw_key(&mut self, first: &mut bool) -> Result<Option<RawText<'a>>, Malformed> {
        if !self.next(b'}', first)? {
            return Ok(None);
        }
        self.skip_space();
        let key = self.raw_text()?;
        self.skip_space();
        self.expect(b':')?;
        Ok(Some(key))
    }

    fn next_item(&mut self, first: &mut bool) -> Result<bool, Malformed> {
        self.next(b']', first)
    }

    fn raw_text(&mut self) -> Result<RawText<'a>, Malformed> {
        let at = self.at;
        Ok(RawText { bytes: self.quoted()?, at })
    }

    fn checked(text: RawText<'a>) -> Result<Text<'a>, Malformed> {
        match &text.bytes {
            Cow::Borrowed(bytes) if bytes.iter().any(|&byte| byte < b' ') => Err(Malformed { at: text.at }),
            Cow::Borrowed(_) | Cow::Owned(_) => text.into_utf8(), // what had escapes was looked through for them
        }
    }

    /// Base64, whose alphabet says more than UTF-8 could.
    fn blob(&mut self) -> Result<Blob<'a>, ApiError> {
        let text = self.quoted()?;
        Blob::from_base64(text).map_err(|(text, error)| base64_refused(&text, &error))
    }

    fn integer(&mut self) -> Result<i64, Malformed> {
        let text = self.number()?;
        Ok(text.parse().unwrap_or_else(|_| text.parse::<f64>().unwrap_or(f64::INFINITY) as i64)) // saturates
    }

    /// Seconds, as JSON carries times.
    fn timestamp(&mut self) -> Result<EpochMs, Malformed> {
        let seconds: f64 = self.number()?.parse().unwrap_or(f64::INFINITY);
        Ok(EpochMs((seconds * 1_000.0).round() as i64)) // saturates
    }

    fn word(&mut self, word: Token) -> Result<(), Malformed> {
        let word: &[u8] = match word {
            Token::True => b"true",
            Token::False => b"false",
            _ => b"null",
        };
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    fn skip(&mut self) -> Result<(), Malformed> {
        let mut open: Vec<Token> = Vec::new();
        loop {
            let mut first = false;
            match self.peek()? {
                container @ (Token::Object | Token::List) => {
                    if open.len() >= DEPTH_MAX {
                        return Err(self.malformed());
                    }
                    first = self.open()?;
                    open.push(container);
                }
                Token::Text => drop(self.text()?),
                Token::Number => drop(self.number()?),
                word => self.word(word)?,
            }
            loop {
                let more = match open.last() {
                    None => return Ok(()),
                    Some(Token::Object) => self.next_key(&mut first)?.is_some(),
                    Some(_) => self.next_item(&mut first)?,
                };
                if more {
                    break;
                }
                open.pop();
                first = false;
            }
        }
    }

    fn finish(mut self) -> Result<(), Malformed> {
        self.skip_space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.malformed()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same bytes read by a parser that is not ours. It has an opinion on the size of numbers, which here is left to
    /// whoever asks for one; then it has no word.
    fn others_word(bytes: &[u8]) -> Option<bool> {
        match serde_json::from_slice::<serde_json::Value>(bytes) {
            Ok(_) => Some(true),
            Err(error) => (!error.to_string().starts_with("number out of range")).then_some(false),
        }
    }

    fn ours(bytes: &[u8]) -> bool {
        let mut reader = Reader::new(bytes);
        reader.skip().and_then(|()| reader.finish()).is_ok()
    }

    #[test]
    fn known_texts_are_read_or_refused() {
        for text in ["{}", " [1, -0.5e+3, \"\\u00e9\\ud83d\\ude00\", null, true ,false] ", "\"\"", "0"] {
            assert!(ours(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "{",
            "[1,]",
            "{,}",
            "{\"a\":}",
            "01",
            "1.",
            "-",
            "+1",
            "nul",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\n\"",
            "[1 2]",
            "{} {}",
            "\"\\u12",
            "\"a\\n\n\"",
            "\"\n\\n\"",
        ] {
            assert!(!ours(text.as_bytes()), "{text}");
        }
        assert!(!ours(&b"[".repeat(100_000)), "too deep is refused, not followed");
        assert!(!ours(b"\"\xff\""));
    }

    #[test]
    fn texts_are_borrowed_unless_they_have_escapes() {
        assert!(matches!(Reader::new(b"\"plain\"").text(), Ok(Cow::Borrowed("plain"))));
        assert_eq!(Reader::new(br#""a\/\u0062\ud83d\ude00""#).text().unwrap(), "a/b😀");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_judged_as_another_parser_does(bytes: Vec<u8>) {
            let word = others_word(&bytes);
            prop_assume!(word.is_some());
            prop_assert_eq!(Some(ours(&bytes)), word);
        }

        #[test]
        fn texts_near_json_are_judged_as_another_parser_does(text in "[\\[\\]{},:\"\\\\0-9eE+.a-fnrtulse -]{0,24}") {
            let word = others_word(text.as_bytes());
            prop_assume!(word.is_some());
            prop_assert_eq!(Some(ours(text.as_bytes())), word, "{}", text);
        }

        #[test]
        fn a_text_reads_back_as_another_writer_wrote_it(text: String) {
            let written = serde_json::to_string(&text).unwrap();
            let mut reader = Reader::new(written.as_bytes());
            prop_assert_eq!(reader.text().unwrap(), text);
        }
    }
}
