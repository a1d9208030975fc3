//! Each service over a stream that fails and comes back: who feels it, what is lost, and what is made up for.
#![expect(clippy::unwrap_used, reason = "helpers of tests: what does not hold fails the test")]

#[path = "consumers/consumer.rs"]
mod consumer;
#[path = "consumers/stream.rs"]
mod stream;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use consumer::{Consumer, config};
use serde_json::Value;
use stream::Stream;
use weir_consumers::config::{
    AuthCacheConfig, BufferPolicy, ConsumerConfig, DeliveryOrder, EventBusConfig, KindConfig,
    MetricsBufferConfig,
};
use weir_core::{limits::MIB, threads::Threads};
use weir_wire::http::client::{self, CallError};

const SIGN_IN: &str = r#"{"user":"ann"}"#;
const EVENT: &str = r#"{"events":[{"source":"a","kind":"stopped"}]}"#;

fn auth(sign_in_timeout: Duration) -> KindConfig {
    KindConfig::AuthCache(AuthCacheConfig {
        sign_in_timeout,
        credential_lifetime: Duration::from_secs(3_600),
    })
}

fn metrics(period: Duration) -> KindConfig {
    KindConfig::MetricsBuffer(MetricsBufferConfig {
        alarms: vec!["load>50".parse().unwrap()],
        period,
        evaluation_periods: 3,
        horizon: Duration::from_secs(60),
    })
}

fn bus(order: DeliveryOrder, deliveries_per_second: f64) -> KindConfig {
    let rules = ["all", "stopped:kind=stopped", "other:source=b"].map(|rule| rule.parse().unwrap());
    KindConfig::EventBus(EventBusConfig { rules: rules.to_vec(), order, deliveries_per_second })
}

/// Signs in again and again, with little patience, until `workers` are blocked: all of them.
fn block_workers(auth: &Consumer, workers: f64) {
    let (service, done) = (auth.service, Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&done);
    let callers = Threads::new()
        .spawn("callers", move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                while !stop.load(Ordering::SeqCst) {
                    let body = Bytes::from_static(SIGN_IN.as_bytes());
                    let _ = client::post_json(service, "/sign-in", body, Duration::from_millis(50)).await;
                }
            });
        })
        .unwrap();
    auth.until("all workers blocked", |auth| auth.metric("weir_consumer_workers_blocked") == workers);
    done.store(true, Ordering::SeqCst);
    callers.join().unwrap();
}

#[test]
fn a_full_buffer_that_blocks_stops_every_sign_in_until_the_stream_is_back() {
    let stream = Stream::start();
    let auth =
        Consumer::start(config(&stream, None, BufferPolicy::Block, 5, auth(Duration::from_millis(100))));
    assert_eq!(auth.post("/sign-in", SIGN_IN).0, 200);
    stream.down();
    block_workers(&auth, 2.0);
    let error = auth.try_post("/sign-in", SIGN_IN, Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error}");
    auth.until("overdue", |auth| auth.metric("weir_auth_sign_ins_overdue") == 2.0);
    assert!(auth.metric("weir_auth_sign_ins_failed_total") >= 2.0);
    assert!(auth.metric("weir_auth_sign_in_p99_seconds") >= 0.1);

    stream.up();
    auth.until("free", |auth| auth.metric("weir_consumer_workers_blocked") == 0.0);
    assert_eq!(auth.post("/sign-in", SIGN_IN).0, 200);
    assert_eq!(auth.metric("weir_consumer_buffer_dropped_total"), 0.0);
}

#[test]
fn a_buffer_that_blocks_does_so_after_exactly_what_it_holds() {
    let stream = Stream::start();
    stream.down();
    let one_worker = ConsumerConfig {
        workers: 1,
        ..config(&stream, None, BufferPolicy::Block, 20, auth(Duration::from_secs(60)))
    };
    let auth = Consumer::start(one_worker);
    block_workers(&auth, 1.0);
    let held = auth.metric("weir_consumer_entries_in_hand") + auth.metric("weir_consumer_buffer_entries");
    assert_eq!(auth.metric("weir_consumer_buffer_entries"), 20.0);
    assert_eq!(auth.metric("weir_auth_sign_ins_ok_total"), held);
    stream.up();
    auth.until("free", |auth| auth.metric("weir_consumer_entries_sent_total") > held);
}

#[test]
fn sign_ins_do_not_feel_the_stream_where_the_newest_event_is_dropped() {
    let stream = Stream::start();
    stream.down();
    let auth =
        Consumer::start(config(&stream, None, BufferPolicy::DropNewest, 5, auth(Duration::from_secs(60))));
    assert_eq!(auth.threads.running(), 3, "two workers and the flusher");
    for _ in 0..50 {
        let (status, answer) = auth.post("/sign-in", SIGN_IN);
        assert_eq!((status, answer["Credentials"]["AccessKeyId"].as_str().unwrap().len()), (200, 20));
    }
    assert_eq!(auth.metric("weir_auth_sign_ins_ok_total"), 50.0);
    assert_eq!(auth.metric("weir_auth_sign_ins_failed_total"), 0.0);
    let dropped = auth.metric("weir_consumer_buffer_dropped_total");
    assert!((1.0..=45.0).contains(&dropped), "{dropped}");
    stream.up();
    auth.until("all the rest sent", |auth| auth.metric("weir_consumer_entries_sent_total") == 50.0 - dropped);
    assert!(stream.records().iter().all(|record| record["body"]["operation"] == "sign-in"));
}

#[test]
fn alarms_lose_their_data_with_the_stream_and_come_back_with_it() {
    let stream = Stream::start();
    let period = Duration::from_millis(200);
    let metrics = Consumer::start(config(&stream, None, BufferPolicy::DropOldest, 3, metrics(period)));
    assert_eq!(metrics.threads.running(), 4, "two workers, the flusher and the reader");
    stream.store_foreign();
    let state = |metrics: &Consumer, state: &str| {
        let (status, _) = metrics.post("/put-metric-data", r#"{"metrics":[{"name":"load","value":10}]}"#);
        assert_eq!(status, 200, "the oldest makes room");
        metrics.metric(&format!("weir_metrics_alarms{{state=\"{state}\"}}")) == 1.0
    };
    metrics.until("in order", |metrics| state(metrics, "ok"));
    stream.down();
    metrics.until("without data", |metrics| state(metrics, "insufficient_data"));
    let dark: Value = metrics.get("/alarms");
    assert_eq!((&dark[0]["alarm"], &dark[0]["state"]), (&"load>50".into(), &"INSUFFICIENT_DATA".into()));
    stream.up();
    metrics.until("in order again", |metrics| state(metrics, "ok"));
    let dropped = metrics.metric("weir_consumer_buffer_dropped_total");
    assert!(dropped > 0.0, "the gap stays");
    assert_eq!(metrics.metric("weir_consumer_records_foreign_total"), 1.0);
    assert!(!metrics.get("/metric-data?name=load").as_array().unwrap().is_empty());
}

#[test]
fn an_alarm_fires_on_bad_values() {
    let stream = Stream::start();
    let metrics = Consumer::start(config(
        &stream,
        None,
        BufferPolicy::DropNewest,
        100,
        metrics(Duration::from_millis(100)),
    ));
    metrics.until("firing", |metrics| {
        metrics.post("/put-metric-data", r#"{"metrics":[{"name":"load","value":99}]}"#);
        metrics.metric("weir_metrics_alarms{state=\"alarm\"}") == 1.0
    });
}

/// The numbers of the stream's records, in its order.
fn numbers(stream: &Stream) -> Vec<u64> {
    stream.records().iter().map(|record| record["number"].as_u64().unwrap()).collect()
}

#[test]
fn events_that_spilled_are_delivered_late_in_their_order_and_none_is_lost() {
    let stream = Stream::start();
    let folder = tempfile::tempdir().unwrap();
    let kind = bus(DeliveryOrder::OldFirst, 10_000.0);
    let bus = Consumer::start(config(&stream, Some(folder.path()), BufferPolicy::Spill, 4, kind));
    bus.post("/put-events", EVENT);
    bus.until("delivered", |bus| bus.metric("weir_bus_backlog_entries") == 0.0);
    stream.down();
    for _ in 0..50 {
        assert_eq!(bus.post("/put-events", EVENT).0, 200);
    }
    assert_eq!(bus.metric("weir_bus_backlog_entries"), 50.0);
    assert!(bus.metric("weir_consumer_buffer_spilled_total") >= 30.0);
    let lag = bus.metric("weir_bus_lag_seconds");
    bus.until("ageing", |bus| bus.metric("weir_bus_lag_seconds") > lag + 0.2);

    stream.up();
    bus.until("drained", |bus| bus.metric("weir_bus_backlog_entries") == 0.0);
    assert_eq!(numbers(&stream), (0..51).collect::<Vec<_>>());
    assert_eq!(bus.metric("weir_bus_lag_seconds"), 0.0);
    assert_eq!(bus.metric("weir_bus_events_delivered_total"), 51.0);
    assert_eq!(bus.metric("weir_bus_deliveries_total{target=\"stopped\"}"), 51.0);
    assert_eq!(bus.metric("weir_bus_deliveries_total{target=\"other\"}"), 0.0);
    assert_eq!(bus.metric("weir_consumer_buffer_dropped_total"), 0.0);
    assert_eq!(bus.metric("weir_consumer_spill_bytes"), 0.0);
}

#[test]
fn events_outlive_the_process_in_the_spill_file_and_checkpoints_keep_them_from_coming_twice() {
    let stream = Stream::start();
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let kind = bus(DeliveryOrder::NewFirst, 10_000.0);
        Consumer::start(config(&stream, Some(folder.path()), BufferPolicy::Spill, 4, kind))
    };
    let before = start();
    for _ in 0..3 {
        before.post("/put-events", EVENT);
    }
    before.until("delivered", |bus| bus.metric("weir_bus_events_delivered_total") == 3.0);
    stream.down();
    for _ in 0..20 {
        assert_eq!(before.post("/put-events", EVENT).0, 200);
    }
    before.stop();
    assert_eq!(stream.records().len(), 3);

    stream.up();
    let after = start();
    after.until("delivered", |bus| bus.metric("weir_bus_events_delivered_total") == 20.0);
    let distinct: BTreeSet<u64> = numbers(&stream).into_iter().collect();
    assert_eq!(distinct, (0..23).collect());
    assert_eq!(
        after.metric("weir_consumer_records_read_total"),
        20.0,
        "the first three are behind the checkpoint"
    );
}

#[test]
fn events_that_were_read_wait_for_the_pace_of_the_targets() {
    let stream = Stream::start();
    stream.down();
    let folder = tempfile::tempdir().unwrap();
    let one_in_a_hundred_seconds = bus(DeliveryOrder::OldFirst, 0.01);
    let bus = Consumer::start(config(
        &stream,
        Some(folder.path()),
        BufferPolicy::Spill,
        100,
        one_in_a_hundred_seconds,
    ));
    for _ in 0..20 {
        bus.post("/put-events", EVENT);
    }
    stream.up();
    bus.until("all read", |bus| bus.metric("weir_consumer_records_read_total") == 20.0);
    assert_eq!(bus.metric("weir_bus_events_delivered_total"), 1.0);
    assert_eq!(bus.metric("weir_bus_pending_entries"), 19.0);
    assert_eq!(bus.metric("weir_bus_backlog_entries"), 19.0);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_name_and_goes_nowhere() {
    let stream = Stream::start();
    let auth = Consumer::start(config(&stream, None, BufferPolicy::Block, 5, auth(Duration::from_secs(60))));
    let metrics =
        Consumer::start(config(&stream, None, BufferPolicy::Block, 5, metrics(Duration::from_secs(1))));
    let kind = bus(DeliveryOrder::NewFirst, 1_000.0);
    let bus = Consumer::start(config(&stream, None, BufferPolicy::Block, 5, kind));
    let eleven = format!(r#"{{"events":[{}]}}"#, [r#"{"source":"a","kind":"b"}"#; 11].join(","));
    let data = format!(r#"{{"metrics":[{}]}}"#, vec![r#"{"name":"m","value":1}"#; 1_001].join(","));
    let cases = [
        (&auth, "/sign-in", r#"{"user":""}"#, 400, "ValidationException"),
        (&auth, "/sign-in", "{", 400, "ValidationException"),
        (&auth, "/sign-out", SIGN_IN, 404, "UnknownOperationException"),
        (&metrics, "/put-metric-data", r#"{"metrics":[]}"#, 400, "ValidationException"),
        (&metrics, "/put-metric-data", r#"{"metrics":[{"name":"m"}]}"#, 400, "ValidationException"),
        (&metrics, "/put-metric-data", &data, 400, "LimitExceededException"),
        (&bus, "/put-events", r#"{"events":[{"source":"a"}]}"#, 400, "ValidationException"),
        (&bus, "/put-events", &eleven, 400, "LimitExceededException"),
    ];
    for (consumer, path, body, status, code) in cases {
        let (found, answer) = consumer.post(path, body);
        assert_eq!((found, answer["__type"].as_str()), (status, Some(code)), "{path} {answer}");
    }
    for consumer in [auth, metrics, bus] {
        assert_eq!(consumer.metric("weir_consumer_buffer_entries_high_water"), 0.0);
    }
}

#[test]
fn a_call_that_a_full_buffer_drops_is_told_so_where_it_is_not_best_effort() {
    let stream = Stream::start();
    stream.down();
    let kind = bus(DeliveryOrder::NewFirst, 1_000.0);
    let bus = Consumer::start(config(&stream, None, BufferPolicy::DropNewest, 1, kind));
    bus.until("refused", |bus| bus.post("/put-events", EVENT).0 == 503);
    let refused = bus.metric("weir_bus_events_refused_total");
    assert_eq!(refused, 1.0);
    let taken = bus.metric("weir_bus_events_taken_total");
    assert_eq!(bus.metric("weir_bus_backlog_entries"), taken);
    stream.up();
    bus.until("delivered", |bus| bus.metric("weir_bus_events_delivered_total") == taken);
}

#[test]
fn a_consumer_whose_workers_are_blocked_still_stops() {
    let stream = Stream::start();
    stream.down();
    let auth = Consumer::start(config(&stream, None, BufferPolicy::Block, 1, auth(Duration::from_millis(1))));
    block_workers(&auth, 2.0);
    auth.stop();
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_its_mend() {
    let stream = Stream::start();
    let good = config(&stream, None, BufferPolicy::Block, 5, auth(Duration::from_secs(1)));
    assert_eq!(good.check(), Ok(()));
    let spill = config(&stream, None, BufferPolicy::Spill, 5, auth(Duration::from_secs(1)));
    let horizon = KindConfig::MetricsBuffer(MetricsBufferConfig {
        alarms: vec![],
        period: Duration::from_secs(60),
        evaluation_periods: 3,
        horizon: Duration::from_secs(180),
    });
    let rules = KindConfig::EventBus(EventBusConfig {
        rules: vec!["a".parse().unwrap(), "a:kind=b".parse().unwrap()],
        order: DeliveryOrder::NewFirst,
        deliveries_per_second: 1.0,
    });
    let cases = [
        (ConsumerConfig { workers: 0, ..good.clone() }, "workers"),
        (spill, "data folder"),
        (ConsumerConfig { kind: auth(Duration::ZERO), ..good.clone() }, "sign-in timeout"),
        (ConsumerConfig { kind: horizon, ..good.clone() }, "240s"),
        (ConsumerConfig { kind: rules, ..good.clone() }, "two are named"),
        (ConsumerConfig { kind: bus(DeliveryOrder::NewFirst, 0.0), ..good }, "rate from"),
    ];
    for (config, word) in cases {
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn the_document_names_exactly_the_metrics_that_are_shown() {
    let document = include_str!("../../../docs/METRICS.md");
    let section = document.split("\n## ").find(|section| section.starts_with("Consumers")).unwrap();
    let documented: BTreeSet<String> =
        section.split('`').filter(|word| word.starts_with("weir_")).map(str::to_owned).collect();
    let stream = Stream::start();
    let kinds =
        [auth(Duration::from_secs(1)), metrics(Duration::from_secs(1)), bus(DeliveryOrder::NewFirst, 1.0)];
    let mut shown = BTreeSet::new();
    for kind in kinds {
        let consumer = Consumer::start(config(&stream, None, BufferPolicy::Block, MIB / 1_024, kind));
        consumer.post("/sign-in", SIGN_IN);
        let suffixed = |(name, kind): (&str, &str)| match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        };
        let text = consumer.metrics();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        shown.extend(types.map(suffixed));
    }
    assert_eq!(documented, shown);
}
