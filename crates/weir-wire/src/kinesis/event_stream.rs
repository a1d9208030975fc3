//! Messages of `application/vnd.amazon.eventstream`, the only body of Kinesis that has no end that is known beforehand.
//!
//! `SubscribeToShard` answers with them: the front end encodes, clients and tests decode. A message is framed, checked and
//! nothing more; what its payload says belongs to the operation. Decoding meets bytes of strangers: it checks every length
//! and both checksums, and never panics.

use std::borrow::Cow;

use weir_core::{
    checksum::crc32,
    limits::{KIB, MIB},
};

/// What the answer says it is.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Bytes of one message (AWS: 16 MiB of payload, 128 KiB of headers).
pub const MESSAGE_BYTES_MAX: usize = 16 * MIB + HEADERS_BYTES_MAX + FRAME_BYTES;
/// Bytes of all headers of one message.
const HEADERS_BYTES_MAX: usize = 128 * KIB;

/// Total length, length of the headers, and the checksum of these two.
const PRELUDE_BYTES: usize = 12;
/// The checksum of all that is before it.
const TRAILER_BYTES: usize = 4;
/// What a message takes beside headers and payload.
const FRAME_BYTES: usize = PRELUDE_BYTES + TRAILER_BYTES;

/// A header's value is a text: the one type that Kinesis sends. On the wire, never renumber.
const TYPE_TEXT: u8 = 7;

/// One message.
///
/// On the wire, all numbers big-endian: total length (4), length of the headers (4), CRC-32 of these 8 bytes (4); the
/// headers, each: length of the name (1), name, type 7 (1), length of the value (2), value; the payload; CRC-32 of
/// everything before it (4). The checksum is that of zlib, not the CRC-32C of Weir's own frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Names and texts, in order. Headers of other types are passed over when a message is read.
    pub headers: Vec<Header<'a>>,
    /// The payload.
    pub payload: Cow<'a, [u8]>,
}

/// A header: its name and its text.
pub type Header<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what} of an event-stream message")]
pub struct MessageError {
    /// What did not read.
    pub what: &'static str,
}

impl<'a> Message<'a> {
    /// An event of a kind: `initial-response` or a member of the operation's stream.
    pub fn event(kind: &'a str, content_type: &'a str, payload: &'a [u8]) -> Self {
        Self::of(
            &[(":message-type", "event"), (":event-type", kind), (":content-type", content_type)],
            payload,
        )
    }

    /// An error that ends the stream: its name without `__type`, as the model spells it.
    pub fn exception(kind: &'a str, content_type: &'a str, payload: &'a [u8]) -> Self {
        let kind = (":exception-type", kind);
        Self::of(&[(":message-type", "exception"), kind, (":content-type", content_type)], payload)
    }

    fn of(headers: &[(&'static str, &'a str)], payload: &'a [u8]) -> Self {
        let headers = headers.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        Self { headers, payload: payload.into() }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// The message as bytes.
    ///
    /// # Panics
    /// When it is larger than [`MESSAGE_BYTES_MAX`], or a name or a value longer than its length can say: whoever makes a
    /// message knows what it puts in.
    pub fn encode(&self) -> Vec<u8> {
        let headers_bytes: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let total = FRAME_BYTES + headers_bytes + self.payload.len();
        assert!(total <= MESSAGE_BYTES_MAX && headers_bytes <= HEADERS_BYTES_MAX, "{total} bytes");
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(&u32::try_from(total).expect("bounded above").to_be_bytes());
        out.extend_from_slice(&u32::try_from(headers_bytes).expect("bounded above").to_be_bytes());
        out.extend_from_slice(&crc32(&out).to_be_bytes());
        for (name, value) in &self.headers {
            out.push(u8::try_from(name.len()).expect("names are short"));
            out.extend_from_slice(name.as_bytes());
            out.push(TYPE_TEXT);
            out.extend_from_slice(&u16::try_from(value.len()).expect("values are short").to_be_bytes());
            out.extend_from_slice(value.as_bytes());
        }
        out.extend_from_slice(&self.payload);
        out.extend_from_slice(&crc32(&out).to_be_bytes());
        out
    }

    /// The first message of `bytes` and how many it took; `None` when it has not arrived whole.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, MessageError> {
        let Some(prelude) = bytes.first_chunk::<PRELUDE_BYTES>() else { return Ok(None) };
        if crc32(&prelude[..8]) != number_at(prelude, 8) {
            return Err(MessageError { what: "prelude" });
        }
        let (total, headers_bytes) = (number_at(prelude, 0) as usize, number_at(prelude, 4) as usize);
        if total > MESSAGE_BYTES_MAX
            || headers_bytes > HEADERS_BYTES_MAX
            || total < FRAME_BYTES + headers_bytes
        {
            return Err(MessageError { what: "length" });
        }
        let Some(whole) = bytes.get(..total) else { return Ok(None) };
        let (checked, trailer) = whole.split_at(total - TRAILER_BYTES);
        if crc32(checked) != number_at(trailer, 0) {
            return Err(MessageError { what: "checksum" });
        }
        let (headers, payload) = checked[PRELUDE_BYTES..].split_at(headers_bytes);
        Ok(Some((Self { headers: read_headers(headers)?, payload: payload.into() }, total)))
    }
}

fn number_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn read_headers(mut rest: &[u8]) -> Result<Vec<Header<'_>>, MessageError> {
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let name_bytes = usize::from(take(&mut rest, 1)?[0]);
        let name = text(take(&mut rest, name_bytes)?)?;
        let kind = take(&mut rest, 1)?[0];
        let value = take_value(&mut rest, kind)?;
        if kind == TYPE_TEXT {
            headers.push((name.into(), text(value)?.into()));
        }
    }
    Ok(headers)
}

/// A value of any type that the format knows.
fn take_value<'a>(rest: &mut &'a [u8], kind: u8) -> Result<&'a [u8], MessageError> {
    let bytes = match kind {
        0 | 1 => 0,                                                            // true, false
        2 => 1,                                                                // a byte
        3 => 2,                                                                // a short
        4 => 4,                                                                // an integer
        5 | 8 => 8,                                                            // a long, a time
        6 | TYPE_TEXT => usize::from(u16::from_be_bytes(two(take(rest, 2)?))), // bytes, a text
        9 => 16,                                                               // a UUID
        _ => return Err(MessageError { what: "header" }),
    };
    take(rest, bytes)
}

fn two(bytes: &[u8]) -> [u8; 2] {
    bytes.try_into().expect("two were taken")
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Result<&'a [u8], MessageError> {
    let (taken, after) = rest.split_at_checked(bytes).ok_or(MessageError { what: "header" })?;
    *rest = after;
    Ok(taken)
}

fn text(bytes: &[u8]) -> Result<&str, MessageError> {
    std::str::from_utf8(bytes).map_err(|_| MessageError { what: "header" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> Vec<u8> {
        Message::event("initial-response", "application/json", b"{}").encode()
    }

    /// The two messages that AWS's own description of the format shows byte by byte.
    #[test]
    fn messages_lie_on_the_wire_byte_by_byte_as_aws_shows_them() {
        let empty = Message { headers: vec![], payload: b"".into() }.encode();
        assert_eq!(empty, [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff]);
        let headers = vec![("content-type".into(), "application/json".into())];
        let known = Message { headers, payload: b"{'foo':'bar'}".into() }.encode();
        let mut golden = vec![0, 0, 0, 0x3d, 0, 0, 0, 0x20, 0x07, 0xfd, 0x83, 0x96, 0x0c];
        golden.extend_from_slice(b"content-type\x07\x00\x10application/json{'foo':'bar'}");
        golden.extend_from_slice(&[0x8d, 0x9c, 0x08, 0xb1]);
        assert_eq!(known, golden);
    }

    #[test]
    fn the_first_message_of_a_subscription_lies_on_the_wire_byte_by_byte() {
        let mut golden = vec![0, 0, 0, 0x68, 0, 0, 0, 0x56];
        golden.extend_from_slice(&crc32(&golden).to_be_bytes());
        golden.extend_from_slice(b"\x0d:message-type\x07\x00\x05event");
        golden.extend_from_slice(b"\x0b:event-type\x07\x00\x10initial-response");
        golden.extend_from_slice(b"\x0d:content-type\x07\x00\x10application/json{}");
        golden.extend_from_slice(&crc32(&golden).to_be_bytes());
        assert_eq!(example(), golden);
    }

    #[test]
    fn a_message_that_is_cut_anywhere_is_waited_for() {
        let whole = example();
        for cut in 0..whole.len() {
            assert_eq!(Message::decode(&whole[..cut]), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn no_flipped_bit_passes() {
        let whole = example();
        for at in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(Message::decode(&flipped).is_err(), "bit {at}");
        }
    }

    #[test]
    fn a_length_that_no_message_has_is_refused_before_its_bytes_are_awaited() {
        for (total, headers) in [(15_u32, 0_u32), (u32::MAX, 0), (100, 85), (4_000_000, 3_000_000)] {
            let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
            assert_eq!(Message::decode(&bytes), Err(MessageError { what: "length" }), "{total} {headers}");
        }
    }

    #[test]
    fn headers_of_other_types_are_passed_over_and_unknown_types_refused() {
        let with_header = |header: &[u8]| {
            let mut bytes = Vec::new();
            bytes.extend_from_slice(&((FRAME_BYTES + header.len()) as u32).to_be_bytes());
            bytes.extend_from_slice(&(header.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
            bytes.extend_from_slice(header);
            bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
            Message::decode(&bytes).map(|read| read.expect("it is whole").0.headers.len())
        };
        for (kind, bytes) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
            assert_eq!(with_header(&[&[1, b'h', kind][..], &vec![0; bytes]].concat()), Ok(0), "type {kind}");
            let longer = [&[1, b'h', kind][..], &vec![0; bytes + 1]].concat();
            assert!(with_header(&longer).is_err(), "type {kind} ends early");
        }
        assert_eq!(with_header(b"\x01h\x06\x00\x02xx"), Ok(0));
        assert_eq!(with_header(b"\x01h\x07\x00\x02xx"), Ok(1));
        assert!(with_header(b"\x01h\x0a").is_err());
        assert!(with_header(b"\x01h\x07\x00\x03xx").is_err());
        assert!(with_header(b"\x01h\x07\x00\x01\xff").is_err(), "no UTF-8");
    }

    proptest! {
        #[test]
        fn messages_read_back_one_after_another(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4),
            kind in "[a-zA-Z-]{1,40}",
        ) {
            let messages: Vec<_> =
                payloads.iter().map(|payload| Message::exception(&kind, "application/json", payload)).collect();
            let bytes: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
            let mut rest = &bytes[..];
            for message in &messages {
                let (read, taken) = Message::decode(rest).unwrap().unwrap();
                prop_assert_eq!(&read, message);
                prop_assert_eq!(read.header(":exception-type"), Some(kind.as_str()));
                rest = &rest[taken..];
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Message::decode(&bytes);
        }
    }
}
