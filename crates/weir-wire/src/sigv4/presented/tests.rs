//! A signed request passes, and each way to spoil it fails with AWS's own words.

use http::{HeaderValue, Request};
use proptest::prelude::*;

use super::*;
use crate::sigv4::{Identity, SERVICE, Signer, ToSign};

const NOW: WallMs = WallMs(1_440_938_160_000);
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const BODY: &[u8] = br#"{"StreamName":"s"}"#;

fn signer() -> Signer {
    let identity =
        Identity { access_key: "AKIDEXAMPLE".into(), secret_key: SECRET.into(), session_token: None };
    Signer::new(identity, "us-east-1")
}

fn signed() -> Parts {
    let headers = [("content-type", "application/x-amz-json-1.1"), ("host", "127.0.0.1:4567")];
    let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body: BODY };
    let signed = signer().sign(&to_sign, NOW);
    let mut request = Request::post("/");
    for (name, value) in headers.into_iter().chain(signed.pairs()) {
        request = request.header(name, value);
    }
    request.body(()).unwrap().into_parts().0
}

fn check(head: &Parts, body: &[u8], now: WallMs) -> Result<(), SignatureError> {
    Presented::read(head)?.check(head, || BodyHash::of(body), SECRET, SERVICE, now, &KeyCache::new())
}

fn incomplete(head: &Parts) -> String {
    match Presented::read(head) {
        Err(SignatureError::Incomplete(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn invalid(outcome: Result<(), SignatureError>) -> String {
    match outcome {
        Err(SignatureError::Invalid(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_request_passes_within_five_minutes_and_not_outside() {
    let head = signed();
    for offset in [-300_000i64, 0, 300_999] {
        assert_eq!(check(&head, BODY, WallMs(NOW.0.checked_add_signed(offset).unwrap())), Ok(()));
    }
    assert_eq!(
        invalid(check(&head, BODY, WallMs(NOW.0 + 301_000))),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
    );
    assert_eq!(
        invalid(check(&head, BODY, WallMs(NOW.0 - 301_000))),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z \
         (20150830T123059Z + 5 min.)"
    );
}

#[test]
fn a_host_that_is_signed_by_the_name_that_http2_has_for_it_is_the_host() {
    let headers = [(":authority", "127.0.0.1:4567"), ("content-type", "application/x-amz-json-1.1")];
    let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body: BODY };
    let signed = signer().sign(&to_sign, NOW);
    let mut request = Request::post("/").header("host", headers[0].1).header(headers[1].0, headers[1].1);
    for (name, value) in signed.pairs() {
        request = request.header(name, value);
    }
    let mut head = request.body(()).unwrap().into_parts().0;
    assert_eq!(check(&head, BODY, NOW), Ok(()));
    head.headers.insert("host", HeaderValue::from_static("elsewhere"));
    assert!(check(&head, BODY, NOW).is_err());
}

#[test]
fn another_body_header_secret_or_signature_does_not_match() {
    let starts = "The request signature we calculated does not match";
    assert!(invalid(check(&signed(), b"{}", NOW)).starts_with(starts));

    let mut head = signed();
    head.headers.insert("host", HeaderValue::from_static("elsewhere"));
    assert!(invalid(check(&head, BODY, NOW)).starts_with(starts));

    let mut head = signed();
    let other = head.headers["authorization"].to_str().unwrap().replace("Signature=", "Signature=0");
    head.headers.insert("authorization", HeaderValue::from_str(&other).unwrap());
    assert!(invalid(check(&head, BODY, NOW)).starts_with(starts));

    let head = signed();
    let presented = Presented::read(&head).unwrap();
    let outcome =
        presented.check(&head, || BodyHash::of(BODY), "another secret", SERVICE, NOW, &KeyCache::new());
    assert!(invalid(outcome).starts_with(starts));
    let outcome = presented.check(&head, || BodyHash::of(BODY), SECRET, "dynamodb", NOW, &KeyCache::new());
    assert_eq!(invalid(outcome), "Credential should be scoped to correct service: 'dynamodb'. ");
}

/// Signed by botocore 1.43's `SigV4QueryAuth` for the same moment and key.
#[test]
fn a_presigned_query_passes_until_it_expires() {
    let uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fkinesis\
               %2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&\
               X-Amz-Signature=30a5361fc7c550d5530ca08fbd763bc8775e6e5ddb95b2da358e24f675d3c8f8";
    let head = Request::get(uri).header("host", "127.0.0.1:4567").body(()).unwrap().into_parts().0;
    assert_eq!(check(&head, b"", WallMs(NOW.0 + 59_000)), Ok(()));
    assert!(invalid(check(&head, b"", WallMs(NOW.0 + 61_000))).contains("- 1 min.)"));
    assert!(invalid(check(&head, b"x", NOW)).contains("does not match"));
}

#[test]
fn a_query_lives_a_week_at_most_and_says_so_in_seconds() {
    let of = |expires: &str| {
        let uri = format!(
            "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/b/c/d/e&X-Amz-Date=20150830T123600Z&\
             X-Amz-Expires={expires}&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
        );
        Request::get(uri).body(()).unwrap().into_parts().0
    };
    for lives in ["1", "604800"] {
        assert!(Presented::read(&of(lives)).is_ok(), "{lives}");
    }
    for long in ["604801", "315360000", "18446744073709551616"] {
        assert!(
            incomplete(&of(long)).starts_with("X-Amz-Expires must be less than a week (in seconds)"),
            "{long}"
        );
    }
    assert_eq!(incomplete(&of("0")), "X-Amz-Expires must be greater than zero");
    for no_number in ["x", "-1", "+5"] {
        assert_eq!(incomplete(&of(no_number)), "X-Amz-Expires should be a number", "{no_number}");
    }
}

#[test]
fn the_header_that_names_the_operation_must_be_signed() {
    let mut head = signed();
    head.headers.insert("x-amz-user-agent", HeaderValue::from_static("not all clients sign it"));
    assert_eq!(check(&head, BODY, NOW), Ok(()));
    head.headers.insert("x-amz-target", HeaderValue::from_static("Kinesis_20131202.DeleteStream"));
    assert_eq!(
        invalid(check(&head, BODY, NOW)),
        "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization."
    );
}

/// Signed by botocore 1.43's `SigV4Auth` for the same moment, key and body.
fn signed_by_botocore() -> Parts {
    Request::post("/")
        .header("host", "127.0.0.1:4567")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "Kinesis_20131202.ListStreams")
        .header("x-amz-date", "20150830T123600Z")
        .header("x-amz-security-token", "tok/en+1==")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, \
             Signature=fb85131281821de1d43b8789de0345f064cee95f1b16c748b5f2ee0c99d3b9b0",
        )
        .body(())
        .unwrap()
        .into_parts()
        .0
}

#[test]
fn a_request_of_the_python_sdk_passes() {
    assert_eq!(check(&signed_by_botocore(), BODY, NOW), Ok(()));
}

#[test]
fn a_session_token_must_be_signed_and_be_the_one_of_its_key() {
    let token = |head: &Parts, expected| Presented::read(head).unwrap().check_token(head, expected);
    let head = signed_by_botocore();
    assert_eq!(token(&head, Some("tok/en+1==")), Ok(()));
    for expected in [None, Some("tok/en+1="), Some("")] {
        assert_eq!(token(&head, expected), Err(SignatureError::UnknownKey), "{expected:?}");
    }
    let mut head = signed();
    assert_eq!(token(&head, None), Ok(()));
    assert_eq!(token(&head, Some("token")), Err(SignatureError::UnknownKey));
    head.headers.insert("x-amz-security-token", HeaderValue::from_static("token"));
    assert_eq!(
        invalid(check(&head, BODY, NOW)),
        "'x-amz-security-token' must be a 'SignedHeader' in the AWS Authorization."
    );
    let uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb%2Fc%2Fd%2Fe&X-Amz-Date=20150830T123600Z&\
               X-Amz-SignedHeaders=host&X-Amz-Signature=0&X-Amz-Security-Token=tok%2Fen";
    let query = Request::get(uri).body(()).unwrap().into_parts().0;
    assert_eq!(token(&query, Some("tok/en")), Ok(()));
    assert_eq!(token(&query, Some("tok%2Fen")), Err(SignatureError::UnknownKey));
}

#[test]
fn the_hash_that_a_request_tells_of_its_body_must_be_the_bodys() {
    let told = |hash: &str| {
        let mut head = signed();
        head.headers.insert("x-amz-content-sha256", HeaderValue::from_str(hash).unwrap());
        head
    };
    let own = BodyHash::of(BODY).to_string();
    for hash in [own.clone(), own.to_uppercase()] {
        assert_eq!(check(&told(&hash), BODY, NOW), Ok(()));
    }
    for hash in [&BodyHash::of(b"other").to_string(), "UNSIGNED-PAYLOAD", ""] {
        assert_eq!(
            invalid(check(&told(hash), BODY, NOW)),
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            "{hash}"
        );
    }
}

#[test]
fn an_incomplete_header_is_told_what_it_lacks() {
    let head = |value: &'static str, date: Option<&'static str>| {
        let mut request = Request::post("/").header("authorization", value);
        if let Some(date) = date {
            request = request.header("x-amz-date", date);
        }
        request.body(()).unwrap().into_parts().0
    };
    assert_eq!(
        incomplete(&head("X", None)),
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' \
         parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires \
         existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=X"
    );
    assert_eq!(
        incomplete(&head("AWS4- Signature=b,Credential=a", Some("a"))),
        "Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4- Signature=b,Credential=a"
    );
    let all = "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b";
    assert!(incomplete(&head(all, Some("20150830T123600Z"))).contains("exactly 5 slash-delimited"));
    let all = "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=b";
    assert!(incomplete(&head(all, Some("yesterday"))).starts_with("Date must be in ISO-8601"));
    let all = "AWS4-HMAC-SHA512 Credential=a/b/c/d/e, SignedHeaders=host, Signature=b";
    assert_eq!(incomplete(&head(all, Some("x"))), "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512'");
}

#[test]
fn an_incomplete_query_is_told_what_it_lacks() {
    let head = Request::post("/?X-Amz-Algorithm").body(()).unwrap().into_parts().0;
    assert_eq!(
        incomplete(&head),
        "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include \
         'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string \
         parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. \
         Re-examine the query-string parameters."
    );
    let without = Request::post("/?X-Amz-Credential=a").body(()).unwrap().into_parts().0;
    assert_eq!(Presented::read(&without), Err(SignatureError::Missing));
    let both =
        Request::post("/?X-Amz-Algorithm").header("authorization", "X").body(()).unwrap().into_parts().0;
    assert!(
        matches!(Presented::read(&both), Err(SignatureError::Invalid(text)) if text.starts_with("Found both"))
    );
}

#[test]
fn a_wrong_scope_is_told_all_that_is_wrong_with_it() {
    let mut head = signed();
    let other = head.headers["authorization"].to_str().unwrap();
    let other = other.replace("20150830/us-east-1/kinesis/aws4_request", "20150829//s3/x");
    head.headers.insert("authorization", HeaderValue::from_str(&other).unwrap());
    assert_eq!(
        invalid(check(&head, BODY, NOW)),
        "Credential should be scoped to a valid region. Credential should be scoped to correct service: \
         'kinesis'. Credential should be scoped with a valid terminator: 'aws4_request', not 'x'. Date in \
         Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150829' != \
         '20150830', from '20150830T123600Z'. "
    );
}

proptest! {
    #[test]
    fn arbitrary_proofs_never_panic(value: Vec<u8>, date in "\\PC{0,20}", query in "[a-zA-Z0-9%=&-]{0,80}") {
        let mut head = Request::post(format!("/?{query}")).body(()).unwrap().into_parts().0;
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            head.headers.insert("authorization", value);
        }
        if let Ok(date) = HeaderValue::from_str(&date) {
            head.headers.insert("x-amz-date", date);
        }
        let _ = check(&head, b"", NOW);
    }

    #[test]
    fn any_flipped_bit_of_a_body_is_noticed(at: prop::sample::Index, bit in 0..8u32) {
        let mut body = BODY.to_vec();
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        prop_assert!(check(&signed(), &body, NOW).is_err());
    }
}
