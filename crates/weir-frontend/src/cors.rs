//! What a browser must hear before it lets a page of another origin call, and read what was answered.
//!
//! The server asks here for each request with an `Origin`. Every origin may call, as at Kinesis: what a call may do is a
//! matter of its signature, which a page has only if somebody gave it keys. It must never look at a body.

use http::{
    HeaderMap, HeaderValue, Method, Response,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    },
    request::Parts,
};

/// Headers of an answer that a page may read, in Kinesis's own words.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date",
);
/// Seconds that a browser need not ask again: two days (AWS).
const MAX_AGE: HeaderValue = HeaderValue::from_static("172800");
const ANYBODY: HeaderValue = HeaderValue::from_static("*");

/// Whether a browser asks what it may do, and does nothing yet.
pub(crate) fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(ORIGIN)
}

/// Allows what the preflight `asked` for.
pub(crate) fn allow<B>(asked: &HeaderMap, mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
    for (question, answer) in [
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
    ] {
        if let Some(wish) = asked.get(question) {
            headers.insert(answer, wish.clone());
        }
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}

/// Lets the page that `asked` read the answer, if it was a page.
pub(crate) fn expose<B>(asked: &HeaderMap, mut response: Response<B>) -> Response<B> {
    if asked.contains_key(ORIGIN) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    response
}
