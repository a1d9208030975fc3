//! Whole runs against a service that keeps what it is sent: do the report, the windows and the acknowledgements agree
//! with it?

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::server::{Handler, OK, Reply, Request, Server};
use serde_json::{Value, json};
use weir_core::{checksum::crc32c, clock::Clock, threads::Threads};
use weir_loadgen::{
    acks::AckReader,
    config::{LoadConfig, LoadOptions, ServiceKind, TenantOptions},
    payload::{self, RecordId},
    report::LoadReport,
    run::run,
    windows::{LatencyKind, WindowLine, WindowReader},
};
use weir_sync::Shutdown;

fn load(server: &Server, options: LoadOptions) -> LoadReport {
    let options = LoadOptions { endpoints: vec![format!("http://{}", server.address)], ..options };
    let config = LoadConfig::try_from(options).unwrap();
    run(&config, &Threads::new(), Clock::new(), &Shutdown::new()).unwrap()
}

fn operation(request: &Request) -> &str {
    let target = request.head.lines().find(|line| line.starts_with("x-amz-target: ")).unwrap();
    target.rsplit('.').next().unwrap()
}

/// What the service keeps: stream and sequence number, and the data.
pub(crate) type Kept = Arc<Mutex<BTreeMap<(String, String), Vec<u8>>>>;

/// Stores records, throttles every seventh, and lets readers read nothing new.
pub(crate) fn keeping(kept: Kept) -> Handler {
    let next = AtomicU64::new(1);
    let store = move |stream: &str, record: &Value| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number.is_multiple_of(7) {
            return json!({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow"});
        }
        let sequence = format!("49{number:054}");
        let data = base64_simd::STANDARD.decode_to_vec(record["Data"].as_str().unwrap()).unwrap();
        kept.lock().unwrap().insert((stream.to_owned(), sequence.clone()), data);
        json!({"ShardId": "shardId-000000000003", "SequenceNumber": sequence})
    };
    Box::new(move |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let stream = body["StreamName"].as_str().unwrap_or_default();
        let answer = match operation(request) {
            "PutRecord" => store(stream, &body),
            "PutRecords" => {
                let records: Vec<_> =
                    body["Records"].as_array().unwrap().iter().map(|record| store(stream, record)).collect();
                let failed = records.iter().filter(|record| record.get("ErrorCode").is_some()).count();
                json!({"FailedRecordCount": failed, "Records": records})
            }
            "ListShards" => {
                let range = json!({"StartingHashKey": "0", "EndingHashKey": "1"});
                let numbers = json!({"StartingSequenceNumber": "0"});
                json!({"Shards": [{"ShardId": "shardId-000000000003", "HashKeyRange": range, "SequenceNumberRange": numbers}]})
            }
            "GetShardIterator" => json!({"ShardIterator": "i"}),
            "GetRecords" => json!({"Records": [], "NextShardIterator": "i", "MillisBehindLatest": 0}),
            other => panic!("{other}"),
        };
        Reply::Json(answer.to_string())
    })
}

fn windows(path: &Path) -> Vec<WindowLine> {
    let mut reader = WindowReader::open(path).unwrap();
    std::iter::from_fn(|| reader.read().unwrap()).collect()
}

#[test]
fn what_was_acknowledged_is_what_the_service_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (acks, lines, hdr) =
        (folder.path().join("acks"), folder.path().join("windows"), folder.path().join("hdr"));
    let tenant = |name: &str| TenantOptions {
        name: name.into(),
        streams: vec![format!("{name}-1"), format!("{name}-2")],
        ..TenantOptions::default()
    };
    let kept = Kept::default();
    let server = Server::start(keeping(kept.clone()));
    let mix = [("PutRecord", 1.0), ("PutRecords", 1.0), ("GetRecords", 1.0), ("ListShards", 0.5)];
    let report = load(
        &server,
        LoadOptions {
            tenants: vec![tenant("a"), tenant("b")],
            rate: Some("200/s".parse().unwrap()),
            duration: Some("1.2s".parse().unwrap()),
            batch: Some(10),
            mix: mix.map(|(name, weight)| (name.to_owned(), weight)).into(),
            workers: Some(2),
            acks: Some(acks.clone()),
            windows: Some(lines.clone()),
            hdr: Some(hdr.clone()),
            ..LoadOptions::default()
        },
    );

    let kept = kept.lock().unwrap();
    let mut acknowledged = BTreeMap::<RecordId, _>::new();
    let mut reader = AckReader::open(&acks).unwrap();
    let targets = reader.targets().to_vec();
    while let Some(ack) = reader.read().unwrap() {
        let target = &targets[ack.target as usize];
        assert_eq!(target.stream.split('-').next(), Some(target.tenant.as_str()));
        let data = &kept[&(target.stream.clone(), ack.sequence_number.clone())];
        assert_eq!(payload::read(data), Ok(ack.id));
        assert_eq!((crc32c(data), ack.shard), (ack.checksum, 3));
        assert!(ack.sent_ms <= ack.acked_ms && ack.acked_ms < 60_000);
        assert!(acknowledged.insert(ack.id, ()).is_none(), "acknowledged twice");
    }
    assert_eq!(acknowledged.len(), kept.len(), "everything that was kept was acknowledged");
    assert_eq!(report.records, kept.len() as u64);

    let lines = windows(&lines);
    let sum = |of: fn(&WindowLine) -> u64| lines.iter().map(of).sum::<u64>();
    assert_eq!((report.offered, sum(|l| l.offered)), (240, 240));
    assert_eq!((sum(|l| l.succeeded), sum(|l| l.records)), (report.succeeded, report.records));
    assert_eq!(sum(|l| l.outcomes.iter().map(|o| o.count).sum()), 240);
    let in_histograms = |kind: LatencyKind| {
        let of_kind = lines.iter().flat_map(|line| &line.latencies).filter(|latency| latency.kind == kind);
        of_kind.map(|latency| latency.histogram().unwrap().len()).sum::<u64>()
    };
    assert_eq!(in_histograms(LatencyKind::Latency), report.succeeded);
    assert_eq!(in_histograms(LatencyKind::Failed), report.offered - report.succeeded);
    assert!(report.errors.contains_key("partial-failure"), "{:?}", report.errors);
    assert_eq!(report.operations.len(), 5, "an iterator was asked for before the reads");
    assert_eq!(report.tenants.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert!(std::fs::read_to_string(hdr).unwrap().contains("Tag=PutRecord,"));
}

#[test]
fn a_report_prints_what_its_json_says() {
    let server = Server::start(Box::new(|request| {
        assert!(request.head.starts_with("POST /sign-in HTTP/1.1"), "{}", request.head);
        Reply::Answer(OK)
    }));
    let report = load(
        &server,
        LoadOptions {
            service: Some(ServiceKind::SignIn),
            rate: Some("100/s".parse().unwrap()),
            duration: Some("500ms".parse().unwrap()),
            ..LoadOptions::default()
        },
    );
    assert_eq!((report.offered, report.succeeded), (50, 50));
    assert!((report.offered_rate - 100.0).abs() < 1e-6);
    let json = serde_json::to_value(&report).unwrap();
    for field in ["offered_rate", "achieved_rate", "records", "bytes", "errors", "late_starts", "cpu_seconds"]
    {
        assert!(json.get(field).is_some(), "{field}");
    }
    for latency in ["latency_ms", "service_ms"] {
        for percentile in ["p50", "p90", "p99", "p999", "max"] {
            assert!(json[latency][percentile].as_f64().unwrap() > 0.0, "{latency}.{percentile}");
        }
    }
    assert!(report.to_string().contains("50 in"), "{report}");
}

#[test]
fn a_stream_that_cannot_be_listed_ends_the_run_before_it_begins() {
    let server = Server::start(Box::new(|_| {
        Reply::Answer(
            b"HTTP/1.1 400 Bad\r\nContent-Length: 38\r\n\r\n{\"__type\":\"ResourceNotFoundException\"}",
        )
    }));
    let options = LoadOptions {
        endpoints: vec![format!("http://{}", server.address)],
        stream: Some("s".into()),
        rate: Some("10/s".parse().unwrap()),
        mix: [("GetRecords".to_owned(), 1.0)].into(),
        ..LoadOptions::default()
    };
    let config = LoadConfig::try_from(options).unwrap();
    let error = run(&config, &Threads::new(), Clock::new(), &Shutdown::new()).unwrap_err();
    assert!(error.to_string().contains("ResourceNotFoundException"), "{error}");
}
