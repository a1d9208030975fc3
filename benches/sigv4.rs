//! Signature Version 4: what signing costs a client and checking costs a front end, for a record alone (1.5 KB of body)
//! and for a full `PutRecords` (700 KB).
//!
//! The baseline derives the signing key anew for each request, as a verifier without a cache does. The body's hash
//! alone is what no check can go below.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use http::{Request, request::Parts};
use sha2::{Digest, Sha256};
use weir_benches::{BASELINE, CpuTime, Size, records, run, shards};
use weir_core::clock::WallMs;
use weir_wire::sigv4::{BodyHash, Identity, KeyCache, Presented, SERVICE, SignatureError, Signer, ToSign};

const NOW: WallMs = WallMs(1_606_299_840_000);
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "us-east-1";

/// What the SDKs sign.
const HEADERS: [(&str, &str); 3] = [
    ("content-type", "application/x-amz-json-1.1"),
    ("host", "127.0.0.1:4567"),
    ("x-amz-target", "Kinesis_20131202.PutRecords"),
];

fn main() {
    run::run_alone(sigv4);
}

fn sigv4(criterion: &mut Criterion<CpuTime>, size: Size) {
    for (records_count, work) in [(1, "1.5KB"), (size.pick(10, 500), size.pick("14KB", "700KB"))] {
        let records = records::records(records_count, 1_024);
        let body = records::put_records_body(shards::STREAM, &records);
        let (signer, keys) = (signer(), KeyCache::new());
        let head = signed(&signer, &body);
        assert_eq!(check(&head, &body, &keys), Ok(()));
        let mut spoilt = body.clone();
        *spoilt.last_mut().expect("a body has bytes") ^= 1;
        assert!(check(&head, &spoilt, &keys).is_err(), "one wrong bit must fail the check");

        let mut group = criterion.benchmark_group("sigv4");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::new("weir check", work), |bencher| {
            bencher.iter(|| assert_eq!(check(&head, black_box(&body), &keys), Ok(())));
        });
        group.bench_function(
            BenchmarkId::new(format!("{BASELINE} check with the key derived"), work),
            |bencher| {
                bencher.iter(|| assert_eq!(check(&head, black_box(&body), &KeyCache::new()), Ok(())));
            },
        );
        let signature = head.headers["authorization"].to_str().expect("it is ASCII");
        group.bench_function(BenchmarkId::new("weir sign", work), |bencher| {
            bencher
                .iter(|| assert_eq!(signer.sign(&to_sign(black_box(&body)), NOW).authorization, signature));
        });
        group.bench_function(BenchmarkId::new("SHA-256 alone", work), |bencher| {
            bencher.iter(|| Sha256::digest(black_box(&body)));
        });
        group.finish();
    }
}

fn signer() -> Signer {
    let identity =
        Identity { access_key: "AKIDEXAMPLE".into(), secret_key: SECRET.into(), session_token: None };
    Signer::new(identity, REGION)
}

fn to_sign(body: &[u8]) -> ToSign<'_> {
    ToSign { method: "POST", path: "/", query: "", headers: &HEADERS, body }
}

/// The head of a signed request, as the front end gets it.
fn signed(signer: &Signer, body: &[u8]) -> Parts {
    let signed = signer.sign(&to_sign(body), NOW);
    let mut request = Request::post("/");
    for (name, value) in HEADERS.into_iter().chain(signed.pairs()) {
        request = request.header(name, value);
    }
    request.body(()).expect("the headers are well formed").into_parts().0
}

fn check(head: &Parts, body: &[u8], keys: &KeyCache) -> Result<(), SignatureError> {
    Presented::read(head)?.check(head, || BodyHash::of(body), SECRET, SERVICE, NOW, keys)
}
