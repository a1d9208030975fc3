//! Requests from outside, answered: each operation against a node and a control plane in memory.
//!
//! One file for each kind of operation; here is what all requests meet before they reach theirs.

mod records;
mod reshard;
mod streams;
mod subscriptions;
mod trouble;

use http::{HeaderValue, Request};
use serde_json::json;
use weir_core::clock::WallMs;
use weir_wire::sigv4::{Identity, Signer, ToSign};

use super::*;
use crate::fixture::{Fixture, Told, request};

const ACCOUNT: &str = "000000000000";

#[tokio::test]
async fn the_health_check_is_answered_by_the_service_listener_even_without_a_map() {
    let fixture = Fixture::new();
    let told = fixture.send(Request::get("/health").body(Bytes::new()).unwrap()).await;
    assert_eq!((told.status, told.body), (200, json!("ok\n")));
}

#[tokio::test]
async fn who_does_not_speak_the_api_is_told_so_in_xml() {
    let fixture = Fixture::new();
    let denied = "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized\
                  </Message>\n</AccessDeniedException>\n";
    for request in [
        Request::get("/").body(Bytes::new()),
        Request::put("/").header("content-type", "application/x-amz-json-1.1").body(Bytes::new()),
        Request::post("/").body(Bytes::from_static(b"{}")),
        Request::post("/")
            .header("content-type", "text/plain")
            .header("x-amz-target", "x")
            .body(Bytes::new()),
    ] {
        let told = fixture.send(request.unwrap()).await;
        assert_eq!((told.status, told.body), (403, json!(denied)));
    }
    let wrong_encoding = Request::post("/")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "Kinesis_20131202.ListStreams")
        .body(Bytes::from_static(b"{}"));
    let told = fixture.send(wrong_encoding.unwrap()).await;
    assert_eq!((told.status, told.body), (404, json!("<UnknownOperationException/>\n")));
}

#[tokio::test]
async fn an_unknown_operation_is_kinesis_own_error_without_a_text() {
    let fixture = Fixture::new();
    for operation in ["ListStream", "ShredStream", ""] {
        let told = fixture.call(operation, json!({})).await;
        assert_eq!((told.status, &told.body), (400, &json!({"__type": "UnknownOperationException"})));
    }
}

#[tokio::test]
async fn a_queue_or_a_channel_is_not_supported_and_not_unknown() {
    let fixture = Fixture::new();
    let told = fixture.call("CreateQueue", json!({})).await;
    assert_eq!(
        (told.status, told.body),
        (
            400,
            json!({
                "__type": "UnsupportedOperationException",
                "message": "The operation CreateQueue is not supported: Weir has no queues and no channels."
            })
        )
    );
    assert_eq!(fixture.call("CreateQueues", json!({})).await.code(), "UnknownOperationException");
}

#[tokio::test]
async fn a_request_without_or_with_half_a_signature_is_told_what_it_lacks() {
    let fixture = Fixture::new();
    let bare = |name: &str, value: &str| {
        Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "Kinesis_20131202.ListStreams")
            .header(name, value)
            .body(Bytes::from_static(b"{}"))
            .unwrap()
    };
    let told = fixture.send(bare("x-other", "x")).await;
    assert_eq!(
        told.body,
        json!({"__type": "MissingAuthenticationTokenException", "message": "Missing Authentication Token"})
    );
    assert_eq!(told.status, 400);
    let told = fixture.send(bare("authorization", "X")).await;
    assert_eq!(told.code(), "IncompleteSignatureException");
    assert!(told.message().ends_with("Authorization=X"), "{}", told.message());
    let uri = "/?X-Amz-Algorithm=a";
    let mut both = bare("authorization", "X");
    *both.uri_mut() = uri.parse().unwrap();
    assert_eq!(fixture.send(both).await.code(), "InvalidSignatureException");
}

fn signed(access_key: &str, secret_key: &str, body: &'static [u8], now: WallMs) -> Request<Bytes> {
    let identity =
        Identity { access_key: access_key.into(), secret_key: secret_key.into(), session_token: None };
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("host", "127.0.0.1:4567"),
        ("x-amz-target", "Kinesis_20131202.ListStreams"),
    ];
    let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body };
    let signed = Signer::new(identity, "us-east-1").sign(&to_sign, now);
    let mut request = Request::post("/");
    for (name, value) in headers.into_iter().chain(signed.pairs()) {
        request = request.header(name, value);
    }
    request.body(Bytes::from_static(body)).unwrap()
}

#[tokio::test]
async fn with_credentials_a_signature_must_hold() {
    let fixture = Fixture::with_credentials();
    let now = fixture.clock.wall();
    assert_eq!(fixture.send(signed("AKID", "secret", b"{}", now)).await.status, 200);

    let code = |told: Told| (told.status, told.code().to_owned());
    let refused = |code: &str| (400, code.to_owned());
    let wrong = fixture.send(signed("AKID", "guess", b"{}", now)).await;
    assert_eq!(code(wrong), refused("InvalidSignatureException"));
    let unknown = fixture.send(signed("OTHER", "secret", b"{}", now)).await;
    assert_eq!(code(unknown), refused("UnrecognizedClientException"));
    let old = fixture.send(signed("AKID", "secret", b"{}", WallMs(now.0 - 600_000))).await;
    assert!(old.message().starts_with("Signature expired: "), "{}", old.message());
    let mut changed = signed("AKID", "secret", b"{}", now);
    *changed.body_mut() = Bytes::from_static(b"{ }");
    assert_eq!(code(fixture.send(changed).await), refused("InvalidSignatureException"));
}

#[tokio::test]
async fn who_signs_by_another_hash_than_the_bodys_hears_that_the_signature_does_not_match() {
    let fixture = Fixture::with_credentials();
    let mut told = signed("AKID", "secret", b"another body", fixture.clock.wall());
    let hash = "867ad8c10a26b2e9273f73e17e4d0005c77b54c85fdebe168b354dee49477d7e"; // SHA-256
    told.headers_mut().insert("x-amz-content-sha256", hash.parse().unwrap());
    *told.body_mut() = Bytes::from_static(b"{}");
    let refused = fixture.send(told).await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidSignatureException"));
    let of_any = fixture.send(signed("AKID", "guess", b"{}", fixture.clock.wall())).await;
    assert_eq!(refused.message(), of_any.message());
}

#[tokio::test]
async fn a_body_is_hashed_while_it_arrives_only_for_an_operation_that_is_served_and_signed() {
    let fixture = Fixture::with_credentials();
    let wants = |change: &dyn Fn(&mut Parts)| {
        let mut head = signed("AKID", "secret", b"{}", fixture.clock.wall()).into_parts().0;
        change(&mut head);
        fixture.frontend.wants_body_hash(&head)
    };
    assert!(wants(&|_| ()));
    assert!(!wants(&|head| head.method = Method::GET));
    let header = |name: &'static str, value: &'static str| {
        wants(&|head| drop(head.headers.insert(name, HeaderValue::from_static(value))))
    };
    assert!(!header("content-type", "text/plain"));
    assert!(!header("x-amz-target", "Kinesis_20131202.ShredStream"));
    assert!(!header("x-amz-date", "20150830T123600Z"));
}

#[tokio::test]
async fn a_changed_configuration_counts_from_the_next_request_on() {
    let fixture = Fixture::with_credentials();
    let now = fixture.clock.wall();
    assert_eq!(fixture.send(signed("OTHER", "x", b"{}", now)).await.code(), "UnrecognizedClientException");
    fixture.frontend.adopt(&crate::authenticate::tests::shared(vec![])).unwrap();
    assert_eq!(fixture.send(signed("OTHER", "x", b"{}", now)).await.status, 200);
    let mut broken = crate::authenticate::tests::shared(vec![]);
    broken.iterator_secret.clear();
    assert!(fixture.frontend.adopt(&broken).is_err());
    assert_eq!(
        fixture.send(signed("OTHER", "x", b"{}", now)).await.status,
        200,
        "what is wrong changes nothing"
    );
}

#[tokio::test]
async fn a_followed_configuration_is_taken_over_and_one_that_is_wrong_is_not() {
    let fixture = Fixture::with_credentials();
    let shared = crate::authenticate::tests::shared;
    let (sender, receiver) = watch::channel(None);
    let mut broken = shared(vec![]);
    broken.iterator_secret = "short".to_owned();
    sender.send_replace(Some(Arc::new(shared(vec![]))));
    let changes = async {
        // Let the follower see the first before the second takes its place.
        tokio::task::yield_now().await;
        sender.send_replace(Some(Arc::new(broken)));
        tokio::task::yield_now().await;
        drop(sender);
    };
    tokio::join!(fixture.frontend.follow(receiver), changes);
    assert_eq!(fixture.send(signed("OTHER", "x", b"{}", WallMs(0))).await.status, 200);
}

#[tokio::test]
async fn every_answer_has_kinesis_headers() {
    let fixture = Fixture::new();
    for (operation, status) in [("ListStreams", 200), ("CreateStream", 400)] {
        let response = fixture.respond(request(operation).body(Bytes::from_static(b"{}")).unwrap()).await;
        assert_eq!(response.status().as_u16(), status);
        let headers = response.headers();
        assert_eq!(headers["content-type"], HeaderValue::from_static("application/x-amz-json-1.1"));
        assert_eq!(headers["x-amzn-requestid"].len(), 36);
        assert_eq!(headers["x-amz-id-2"].len(), 96);
    }
}

#[tokio::test]
async fn a_body_that_did_not_come_is_answered_in_kinesis_words() {
    let fixture = Fixture::new();
    for content_type in ["application/x-amz-json-1.1", "application/x-amz-cbor-1.1"] {
        let request = Request::post("/").header("content-type", content_type).body(()).unwrap();
        let (head, ()) = request.into_parts();
        let told = |refusal| {
            let response = fixture.frontend.refuse(refusal, &head);
            assert_eq!(response.headers()["content-type"], HeaderValue::from_static(content_type));
            response.status().as_u16()
        };
        assert_eq!(told(Refusal::BodyTooLarge), 413);
        assert_eq!(told(Refusal::BodyBroken), 400);
        assert_eq!(told(Refusal::BodyTimeout), 408);
        assert_eq!(told(Refusal::Busy), 503);
    }
    let metrics = fixture.metrics();
    assert!(metrics.contains("{operation=\"Unknown\",code=\"RequestEntityTooLargeException\"} 2"));
}

#[tokio::test]
async fn requests_are_counted_by_operation_and_code() {
    let fixture = Fixture::new();
    fixture.call("ListStreams", json!({})).await.ok();
    fixture.call("CreateStream", json!({})).await;
    fixture.call("Nothing", json!({})).await;
    let metrics = fixture.metrics();
    for labels in [
        "{operation=\"ListStreams\",code=\"OK\"} 1\n",
        "{operation=\"CreateStream\",code=\"ValidationException\"} 1\n",
        "{operation=\"Unknown\",code=\"UnknownOperationException\"} 1\n",
    ] {
        assert!(metrics.contains(&format!("weir_frontend_requests_total{labels}")), "{labels}");
    }
    assert!(metrics.contains("weir_frontend_requests_in_flight 0\n"));
}
