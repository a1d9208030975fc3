//! AWS's published signature test vectors, and what a signer must keep to itself.

use super::*;

/// 2015-08-30T12:36:00Z, the moment of every published vector.
const NOW: WallMs = WallMs(1_440_938_160_000);

fn signer() -> Signer {
    let identity = Identity {
        access_key: "AKIDEXAMPLE".into(),
        secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        session_token: None,
    };
    Signer::for_service(identity, "us-east-1", "service")
}

struct Vector<'a> {
    name: &'a str,
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    signature: &'a str,
}

const PLAIN: Vector<'_> = Vector {
    name: "get-vanilla",
    method: "GET",
    path: "/",
    query: "",
    headers: &[],
    body: "",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
};

fn check(vectors: &[Vector<'_>]) {
    for vector in vectors {
        let mut headers = vec![("host", "example.amazonaws.com")];
        headers.extend_from_slice(vector.headers);
        let signed = signer().sign(
            &ToSign {
                method: vector.method,
                path: vector.path,
                query: vector.query,
                headers: &headers,
                body: vector.body.as_bytes(),
            },
            NOW,
        );
        let signature = signed.authorization.rsplit('=').next().unwrap();
        assert_eq!(signature, vector.signature, "{}: {}", vector.name, signed.authorization);
    }
}

#[test]
fn published_vectors_of_plain_requests_sign_as_published() {
    check(&[
        PLAIN,
        Vector {
            name: "post-vanilla",
            method: "POST",
            signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ..PLAIN
        },
        Vector {
            name: "post-x-www-form-urlencoded",
            method: "POST",
            headers: &[("content-type", "application/x-www-form-urlencoded")],
            body: "Param1=value1",
            signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ..PLAIN
        },
    ]);
}

#[test]
fn published_vectors_of_headers_sign_as_published() {
    check(&[
        Vector {
            name: "get-header-key-duplicate",
            headers: &[("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
            signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
            ..PLAIN
        },
        Vector {
            name: "get-header-value-trim",
            headers: &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
            signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ..PLAIN
        },
        Vector {
            name: "post-header-key-sort",
            method: "POST",
            headers: &[("my-header1", "value1")],
            signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
            ..PLAIN
        },
    ]);
}

#[test]
fn published_vectors_of_paths_and_queries_sign_as_published() {
    check(&[
        Vector {
            name: "get-vanilla-query-order-key-case",
            query: "Param2=value2&Param1=value1",
            signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ..PLAIN
        },
        Vector {
            name: "get-vanilla-utf8-query",
            query: "ሴ=bar",
            signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
            ..PLAIN
        },
        Vector {
            name: "get-utf8",
            path: "/ሴ",
            signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ..PLAIN
        },
        Vector {
            name: "get-unreserved",
            path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ..PLAIN
        },
        Vector { name: "get-relative", path: "/example/..", ..PLAIN },
        Vector { name: "get-slash-dot-slash", path: "/./", ..PLAIN },
        Vector { name: "get-slash", path: "//", ..PLAIN },
        Vector {
            name: "post-vanilla-query",
            method: "POST",
            query: "Param1=value1",
            signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
            ..PLAIN
        },
    ]);
}

#[test]
fn a_session_token_is_signed_and_sent() {
    let identity = Identity {
        access_key: "AKIDEXAMPLE".into(),
        secret_key: "secret".into(),
        session_token: Some("token".into()),
    };
    let signer = Signer::new(identity, "us-east-1");
    let signed = signer.sign(
        &ToSign { method: "POST", path: "/", query: "", headers: &[("host", "localhost")], body: b"{}" },
        NOW,
    );
    assert!(signed.authorization.contains("SignedHeaders=host;x-amz-date;x-amz-security-token"));
    assert!(signed.authorization.contains("/20150830/us-east-1/kinesis/aws4_request"));
    assert!(signed.pairs().any(|pair| pair == ("x-amz-security-token", "token")));
    assert!(!format!("{signer:?}").contains("secret\""));
}

#[test]
fn the_key_of_the_day_changes_at_midnight() {
    let (today, tomorrow) = (NOW, WallMs(NOW.0 + 86_400_000));
    let request = ToSign { method: "POST", path: "/", query: "", headers: &[("host", "h")], body: b"" };
    let kept = signer();
    kept.sign(&request, today);
    assert_eq!(kept.sign(&request, tomorrow), signer().sign(&request, tomorrow));
    assert_eq!(kept.sign(&request, today), signer().sign(&request, today));
}
