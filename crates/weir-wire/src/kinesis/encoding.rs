//! The encodings of the API, by what requests say they are.
//!
//! The front end picks one by the request's content type and answers in it. Another encoding is another variant here
//! and a module beside [`super::json`] and [`super::cbor`]; no operation knows which one is used.

use super::{
    cbor::{self, CborWriter},
    encode::Reply,
    encoded_body::EncodedBody,
    error::ApiError,
    json::{self, JsonWriter},
    shape::Fields,
    validate::validate,
};

/// An encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// JSON 1.1.
    Json,
    /// CBOR 1.1.
    Cbor,
}

impl Encoding {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Json, Self::Cbor];

    /// The encoding that a `Content-Type` names; its parameters do not matter.
    pub fn of_content_type(value: &str) -> Option<Self> {
        let essence = value.split(';').next().unwrap_or("").trim();
        Self::ALL.into_iter().find(|encoding| essence.eq_ignore_ascii_case(encoding.content_type()))
    }

    /// What answers say they are.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => json::CONTENT_TYPE,
            Self::Cbor => cbor::CONTENT_TYPE,
        }
    }

    /// Reads a body and checks it against the description of the input.
    pub fn decode<'a, T: Fields<'a> + Default>(self, body: &'a [u8]) -> Result<T, ApiError> {
        let mut input = T::default();
        self.decode_into(body, &mut input)?;
        validate(&input)?;
        Ok(input)
    }

    /// Reads a body, and leaves the bounds to whoever asks.
    pub fn decode_into<'a>(self, body: &'a [u8], input: &mut dyn Fields<'a>) -> Result<(), ApiError> {
        match self {
            Self::Json => json::decode(body, input),
            Self::Cbor => cbor::decode(body, input),
        }
    }

    /// Writes an answer of about `bytes`.
    pub fn encode(self, reply: &impl Reply, bytes: usize) -> EncodedBody {
        match self {
            Self::Json => {
                let mut out = JsonWriter::with_capacity(bytes);
                reply.encode(&mut out);
                out.finish()
            }
            Self::Cbor => {
                let mut out = CborWriter::with_capacity(bytes);
                reply.encode(&mut out);
                out.finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_of_a_content_type_do_not_matter() {
        for value in ["application/x-amz-json-1.1", "Application/X-Amz-JSON-1.1 ; charset=utf-8"] {
            assert_eq!(Encoding::of_content_type(value), Some(Encoding::Json), "{value}");
        }
        assert_eq!(
            Encoding::of_content_type("application/x-amz-cbor-1.1;charset=utf-8"),
            Some(Encoding::Cbor)
        );
        for value in ["", "application/json", "application/x-amz-json-1.0", "text/plain"] {
            assert_eq!(Encoding::of_content_type(value), None, "{value}");
        }
    }
}
