//! The name of an error in an AWS answer: `{"__type": "...", ...}`, in JSON or in CBOR.
//!
//! Kinesis and the services on the stream answer so; workloads count by it.

use std::borrow::Cow;

use weir_wire::kinesis::{
    cbor,
    decode::{Malformed, Source, Token},
    encoding::Encoding,
    json,
};

use crate::workload::{Answer, codes};

/// The error's name, without a namespace in front.
pub(crate) fn error_code<'a>(answer: &Answer<'a>, encoding: Encoding) -> &'a str {
    let code = match encoding {
        Encoding::Json => type_of(json::Reader::new(answer.body)),
        Encoding::Cbor => type_of(cbor::Reader::new(answer.body)),
    };
    match code {
        Ok(Some(code)) => code.rsplit('#').next().unwrap_or(code),
        Ok(None) | Err(_) => match answer.status {
            400..500 => "http-4xx",
            500..600 => "http-5xx",
            _ => codes::BAD_ANSWER,
        },
    }
}

fn type_of<'a>(mut source: impl Source<'a>) -> Result<Option<&'a str>, Malformed> {
    if source.peek()? != Token::Object {
        return Ok(None);
    }
    let mut open = source.open()?;
    while let Some(name) = source.next_key(&mut open)? {
        match source.peek()? {
            Token::Text if name == "__type" => {
                return Ok(match source.text()? {
                    Cow::Borrowed(code) => Some(code),
                    Cow::Owned(_) => None,
                });
            }
            _ => source.skip()?,
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_named_whatever_its_dress() {
        let named = |status, body: &'static str| {
            error_code(&Answer { status, body: body.as_bytes(), sent_ms: 0, at_ms: 0 }, Encoding::Json)
        };
        assert_eq!(named(400, r#"{"__type":"ValidationException","message":"x"}"#), "ValidationException");
        assert_eq!(
            named(400, r#"{"__type":"com.amazonaws#ResourceNotFoundException"}"#),
            "ResourceNotFoundException"
        );
        assert_eq!(named(503, "busy"), "http-5xx");
        assert_eq!(named(302, ""), codes::BAD_ANSWER);
        let cbor = Answer { status: 400, body: b"\xbf\x66__type\x67Trouble\xff", sent_ms: 0, at_ms: 0 };
        assert_eq!(error_code(&cbor, Encoding::Cbor), "Trouble");
    }
}
