//! Bytes that a client sent, until they are copied straight into a batch: still in base64 as JSON carries them, or plain
//! as CBOR does.
//!
//! Decoders make a [`Blob`] after checking it, so that decoding it later cannot fail; operations decode it once, into
//! its last place. It must never hold a second copy of the data.

use std::borrow::Cow;

use weir_core::{
    batch::{BatchBuilder, Record},
    hash_key::HashKey,
    partition_key::PartitionKey,
};

/// Checked bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob<'a>(Form<'a>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form<'a> {
    /// Base64 that was checked, and how long it is decoded.
    Base64(Cow<'a, [u8]>, usize),
    /// The bytes themselves.
    Plain(Cow<'a, [u8]>),
}

/// What is wrong with base64 text, in Kinesis's order of looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Base64Error {
    /// No multiple of four.
    #[error("Base64 encoded length is expected a multiple of 4 bytes but found: {0}")]
    Length(usize),
    /// No letter of the alphabet, or padding before the end.
    #[error("Invalid Base64 character: '{0}'")]
    Character(char),
    /// The last letter carries bits that no byte takes. (The spelling is Kinesis's.)
    #[error("Invalid last non-pad Base64 character dectected")]
    LastCharacter,
}

impl<'a> Blob<'a> {
    /// Checks base64 text, which is given back with what is wrong with it.
    pub fn from_base64(text: Cow<'a, [u8]>) -> Result<Self, (Cow<'a, [u8]>, Base64Error)> {
        let codec = base64_simd::STANDARD;
        match (codec.check(&text), codec.decoded_length(&text)) {
            (Ok(()), Ok(len)) => Ok(Self(Form::Base64(text, len))),
            _ => {
                let wrong = what_is_wrong(&text);
                Err((text, wrong))
            }
        }
    }

    /// Bytes that need no decoding.
    pub fn from_bytes(bytes: Cow<'a, [u8]>) -> Self {
        Self(Form::Plain(bytes))
    }

    /// Bytes once decoded.
    pub fn decoded_len(&self) -> usize {
        match &self.0 {
            Form::Base64(_, len) => *len,
            Form::Plain(bytes) => bytes.len(),
        }
    }

    /// Appends a record with these bytes to `batch`: what came as it is needs no room made first.
    pub fn push_to(
        &self,
        batch: &mut BatchBuilder,
        partition_key: PartitionKey<'_>,
        explicit_hash_key: Option<HashKey>,
    ) {
        match &self.0 {
            Form::Plain(data) => batch.push(&Record { partition_key, explicit_hash_key, data }),
            Form::Base64(_, len) => {
                batch.push_with(partition_key, explicit_hash_key, *len, |room| self.decode_into(room))
            }
        }
    }

    /// Writes the bytes to `room`, which is [`Self::decoded_len`] long.
    pub fn decode_into(&self, room: &mut [u8]) {
        assert_eq!(room.len(), self.decoded_len(), "the room is as long as the bytes");
        match &self.0 {
            Form::Plain(bytes) => room.copy_from_slice(bytes),
            Form::Base64(text, _) => {
                base64_simd::STANDARD
                    .decode(text, base64_simd::AsOut::as_out(room))
                    .expect("checked when the blob was made");
            }
        }
    }
}

fn what_is_wrong(text: &[u8]) -> Base64Error {
    if !text.len().is_multiple_of(4) {
        // Java counts UTF-16 units and finds the first bad one; both only differ from bytes beyond ASCII.
        return Base64Error::Length(String::from_utf8_lossy(text).encode_utf16().count());
    }
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let body = text.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
    match text[..body].iter().position(|&byte| !is_letter(byte)) {
        Some(at) => Base64Error::Character(first_char(&text[at..])),
        None if text.len() - body > 2 => Base64Error::Character('='),
        None => Base64Error::LastCharacter,
    }
}

fn first_char(text: &[u8]) -> char {
    String::from_utf8_lossy(&text[..text.len().min(4)]).chars().next().unwrap_or('=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrong(text: &str) -> String {
        Blob::from_base64(Cow::Borrowed(text.as_bytes())).unwrap_err().1.to_string()
    }

    #[test]
    fn the_texts_are_kinesis_own() {
        assert_eq!(wrong("23456"), "Base64 encoded length is expected a multiple of 4 bytes but found: 5");
        assert_eq!(wrong("=+/="), "Invalid Base64 character: '='");
        assert_eq!(wrong("+/+="), "Invalid last non-pad Base64 character dectected");
        assert_eq!(wrong("ab-d"), "Invalid Base64 character: '-'");
        assert_eq!(wrong("===="), "Invalid Base64 character: '='");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(data: Vec<u8>) {
            let text = base64_simd::STANDARD.encode_to_string(&data);
            let blob = Blob::from_base64(Cow::Borrowed(text.as_bytes())).unwrap();
            let mut room = vec![0; blob.decoded_len()];
            blob.decode_into(&mut room);
            prop_assert_eq!(room, data);
        }

        #[test]
        fn whatever_passes_the_check_decodes(text in "[A-Za-z0-9+/=é-]{0,40}") {
            if let Ok(blob) = Blob::from_base64(Cow::Borrowed(text.as_bytes())) {
                let mut room = vec![0; blob.decoded_len()];
                blob.decode_into(&mut room);
                prop_assert_eq!(base64_simd::STANDARD.encode_to_string(&room), text);
            }
        }
    }
}
