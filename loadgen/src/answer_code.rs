//! The name of an error in an AWS JSON answer: `{"__type": "...", ...}`.
//!
//! Kinesis and the services on the stream answer so; workloads count by it.

use serde::Deserialize;

use crate::workload::{Answer, codes};

#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(rename = "__type", borrow)]
    code: &'a str,
}

/// The error's name, without a namespace in front.
pub(crate) fn error_code<'a>(answer: &Answer<'a>) -> &'a str {
    match serde_json::from_slice::<ErrorBody<'a>>(answer.body) {
        Ok(body) => body.code.rsplit('#').next().unwrap_or(body.code),
        Err(_) => match answer.status {
            400..500 => "http-4xx",
            500..600 => "http-5xx",
            _ => codes::BAD_ANSWER,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_named_whatever_its_dress() {
        let named = |status, body: &'static str| {
            error_code(&Answer { status, body: body.as_bytes(), sent_ms: 0, at_ms: 0 })
        };
        assert_eq!(named(400, r#"{"__type":"ValidationException","message":"x"}"#), "ValidationException");
        assert_eq!(
            named(400, r#"{"__type":"com.amazonaws#ResourceNotFoundException"}"#),
            "ResourceNotFoundException"
        );
        assert_eq!(named(503, "busy"), "http-5xx");
        assert_eq!(named(302, ""), codes::BAD_ANSWER);
    }
}
