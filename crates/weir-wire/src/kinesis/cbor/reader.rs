//! Takes CBOR apart, left to right, once.
//!
//! The decoder drives it as a [`Source`]. Texts and data are borrowed from the body wherever they come in one piece;
//! nothing is built for members that nobody asked for. Every length is held against what is left of the body before it is
//! believed.

use std::borrow::Cow;

use super::{BREAK, INDEFINITE, TAGS_BIG_NUMBERS, major};
use crate::kinesis::{
    blob::Blob,
    decode::{DEPTH_MAX, Malformed, RawText, Source, Token},
    error::ApiError,
    shape::{EpochMs, Text},
};

/// What each byte begins; nothing: a tag, or what is not read.
static TOKENS: [Option<Token>; 256] = {
    let mut tokens = [None; 256];
    let mut first = 0;
    while first < tokens.len() {
        tokens[first] = match ((first >> 5) as u8, (first & 0x1f) as u8) {
            (_, 28..INDEFINITE) | (major::UNSIGNED | major::NEGATIVE, INDEFINITE) => None,
            (major::UNSIGNED | major::NEGATIVE, _) | (major::OTHER, 25..=27) => Some(Token::Number),
            (major::BYTES, _) => Some(Token::Bytes),
            (major::TEXT, _) => Some(Token::Text),
            (major::LIST, _) => Some(Token::List),
            (major::MAP, _) => Some(Token::Object),
            (major::OTHER, 20) => Some(Token::False),
            (major::OTHER, 21) => Some(Token::True),
            (major::OTHER, 22 | 23) => Some(Token::Null), // null, and undefined
            _ => None,
        };
        first += 1;
    }
    tokens
};

/// Reads a body.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What is left of an open list or map: items of a list, pairs of a map.
#[derive(Debug, Clone, Copy)]
pub enum Left {
    /// So many.
    Counted(u64),
    /// All up to the break.
    UpToBreak,
}

impl<'a> Reader<'a> {
    /// From the start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn byte(&self) -> Result<u8, Malformed> {
        self.bytes.get(self.at).copied().ok_or(self.malformed())
    }

    fn malformed(&self) -> Malformed {
        Malformed { at: self.at }
    }

    /// The next `len` bytes.
    #[inline]
    fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len)).ok_or(self.malformed())?;
        self.at += taken.len();
        Ok(taken)
    }

    /// An item's head: its major type, its five bits, and the number that they or the bytes behind them are.
    #[inline]
    fn head(&mut self) -> Result<(u8, u8, u64), Malformed> {
        let first = self.byte()?;
        let info = first & 0x1f;
        let rest = &self.bytes[self.at + 1..];
        let told = match info {
            0..=23 | INDEFINITE => Some((u64::from(info), 0)),
            24 => rest.first().map(|byte| (u64::from(*byte), 1)),
            25 => rest.first_chunk().map(|bytes| (u64::from(u16::from_be_bytes(*bytes)), 2)),
            26 => rest.first_chunk().map(|bytes| (u64::from(u32::from_be_bytes(*bytes)), 4)),
            27 => rest.first_chunk().map(|bytes| (u64::from_be_bytes(*bytes), 8)),
            _ => None,
        };
        let (argument, width) = told.ok_or(self.malformed())?;
        self.at += 1 + width;
        Ok((first >> 5, info, argument))
    }

    /// A string of one of the two kinds. In one piece it is still to be checked; of several pieces of a text each must be a
    /// text by itself, and is.
    #[inline(always)] // `decode::read_blob` says why, and so it is with texts and data
    fn string(&mut self, kind: u8) -> Result<Cow<'a, [u8]>, Malformed> {
        let (found, info, len) = self.head()?;
        if found != kind {
            return Err(self.malformed());
        }
        if info == INDEFINITE { self.pieces(kind).map(Cow::Owned) } else { self.take(len).map(Cow::Borrowed) }
    }

    /// The pieces, up to the break, of a string that tells no length.
    #[cold]
    fn pieces(&mut self, kind: u8) -> Result<Vec<u8>, Malformed> {
        let mut whole = Vec::new();
        while self.byte()? != BREAK {
            let (found, info, len) = self.head()?;
            if found != kind || info == INDEFINITE {
                return Err(self.malformed());
            }
            whole.extend_from_slice(self.piece(kind, len)?);
        }
        self.at += 1;
        Ok(whole)
    }

    fn piece(&mut self, kind: u8, len: u64) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        let piece = self.take(len)?;
        if kind == major::TEXT && std::str::from_utf8(piece).is_err() {
            return Err(Malformed { at: start });
        }
        Ok(piece)
    }

    /// Passes over the tag that must be here. That of a number that is no machine's is refused, and so is what is no tag.
    #[cold]
    fn pass_tag(&mut self) -> Result<(), Malformed> {
        let start = self.malformed();
        match self.head()? {
            (major::TAG, info, tag) if info != INDEFINITE && !TAGS_BIG_NUMBERS.contains(&tag) => Ok(()),
            _ => Err(start),
        }
    }

    /// Is there more?
    fn more(&mut self, left: &mut Left) -> Result<bool, Malformed> {
        match left {
            Left::Counted(0) => Ok(false),
            Left::Counted(count) => {
                *count -= 1;
                Ok(true)
            }
            Left::UpToBreak if self.byte()? == BREAK => {
                self.at += 1;
                Ok(false)
            }
            Left::UpToBreak => Ok(true),
        }
    }

    /// A number of any width. What has no integer's form is a float; a fraction is cut off, and what is larger becomes
    /// the largest.
    fn number(&mut self) -> Result<i64, Malformed> {
        let (kind, info, argument) = self.head()?;
        match (kind, info) {
            (major::UNSIGNED, _) => Ok(i64::try_from(argument).unwrap_or(i64::MAX)),
            (major::NEGATIVE, _) => Ok(i64::try_from(argument).map_or(i64::MIN, |below| -1 - below)),
            (major::OTHER, 25) => Ok(half(argument as u16) as i64), // two bytes were read; the cast saturates
            (major::OTHER, 26) => Ok(f32::from_bits(argument as u32) as i64),
            (major::OTHER, 27) => Ok(f64::from_bits(argument) as i64),
            _ => Err(self.malformed()),
        }
    }
}

impl<'a> Source<'a> for Reader<'a> {
    type Open = Left;
    const BYTES: Token = Token::Bytes;

    /// Passes over the tags before the value as well: what is a time is known from the description.
    #[inline]
    fn peek(&mut self) -> Result<Token, Malformed> {
        loop {
            let first = self.byte()?;
            if let Some(token) = TOKENS[usize::from(first)] {
                return Ok(token);
            }
            self.pass_tag()?;
        }
    }

    fn open(&mut self) -> Result<Left, Malformed> {
        let (_, info, count) = self.head()?;
        Ok(if info == INDEFINITE { Left::UpToBreak } else { Left::Counted(count) })
    }

    fn next_raw_key(&mut self, left: &mut Left) -> Result<Option<RawText<'a>>, Malformed> {
        if !self.more(left)? {
            return Ok(None);
        }
        match self.peek()? {
            Token::Text => self.raw_text().map(Some),
            _ => Err(self.malformed()),
        }
    }

    fn next_item(&mut self, left: &mut Left) -> Result<bool, Malformed> {
        self.more(left)
    }

    fn raw_text(&mut self) -> Result<RawText<'a>, Malformed> {
        let at = self.at;
        Ok(RawText { bytes: self.string(major::TEXT)?, at })
    }

    /// As the default does it, without a text that is not checked yet on the way.
    #[inline(always)]
    fn text(&mut self) -> Result<Text<'a>, Malformed> {
        let at = self.at;
        match self.string(major::TEXT)? {
            Cow::Borrowed(bytes) => {
                std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Malformed { at })
            }
            bytes => RawText { bytes, at }.into_utf8(),
        }
    }

    #[inline(always)]
    fn blob(&mut self) -> Result<Blob<'a>, ApiError> {
        Ok(Blob::from_bytes(self.string(major::BYTES)?))
    }

    fn integer(&mut self) -> Result<i64, Malformed> {
        self.number()
    }

    /// Milliseconds, as Kinesis's CBOR carries times.
    fn timestamp(&mut self) -> Result<EpochMs, Malformed> {
        self.number().map(EpochMs)
    }

    fn word(&mut self, _word: Token) -> Result<(), Malformed> {
        self.head().map(drop)
    }

    fn skip(&mut self) -> Result<(), Malformed> {
        let mut open: Vec<(Token, Left)> = Vec::new();
        loop {
            match self.peek()? {
                container @ (Token::Object | Token::List) => {
                    if open.len() >= DEPTH_MAX {
                        return Err(self.malformed());
                    }
                    let left = self.open()?;
                    open.push((container, left));
                }
                Token::Text => drop(self.text()?),
                Token::Bytes => drop(self.string(major::BYTES)?),
                Token::Number | Token::True | Token::False | Token::Null => drop(self.head()?),
            }
            loop {
                let more = match open.last_mut() {
                    None => return Ok(()),
                    Some((Token::Object, left)) => self.next_key(left)?.is_some(),
                    Some((_, left)) => self.next_item(left)?,
                };
                if more {
                    break;
                }
                open.pop();
            }
        }
    }

    fn finish(self) -> Result<(), Malformed> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.malformed()) }
    }
}

/// A number of 16 bits: a sign, five bits of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}
