//! Subscribers under load: what is pushed before a kill and after it passes nothing over.

use nix::sys::signal::Signal;
use serde_json::json;
use weir_tests::{
    history::{Event, Next, Sequence, ShardName, Start},
    server::Server,
    subscription::Subscription,
    witness,
};

use crate::load::Load;

const ROUNDS: usize = 5;
const SEED: u64 = 1_125;
/// Records that are pushed between two kills, at least.
const RECORDS: usize = 200;
const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const SHARD: &str = "shardId-000000000000";

#[test]
fn what_is_pushed_before_and_after_a_kill_passes_nothing_over() {
    let mut server = Server::start_with(&["--shard-limits", "off"]);
    server.stream("s", 1);
    let consumer = server.ok("RegisterStreamConsumer", &json!({"StreamARN": STREAM, "ConsumerName": "c"}));
    let consumer = consumer["Consumer"]["ConsumerARN"].as_str().expect("an ARN");
    let load = Load::new("s", SEED);
    let mut last = None;
    for _ in 0..ROUNDS {
        load.run(&[server.address()], || {
            last = Some(subscribe(&server, &load, consumer, last.take()));
            server.process().signal(Signal::SIGKILL);
        });
        server.kill_9_and_restart();
        load.go_on_at(&[server.address()]);
        load.check(0);
    }
    load.check_at_the_end();
}

/// Takes what is pushed behind `last`, or from the start, until there is enough; the last record's number.
fn subscribe(server: &Server, load: &Load, consumer: &str, last: Option<Sequence>) -> Sequence {
    let (start, position) = match last {
        None => (Start::TrimHorizon, json!({"Type": "TRIM_HORIZON"})),
        Some(last) => {
            let position = json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": last.0});
            (Start::After(last), position)
        }
    };
    let shard = ShardName { stream: "s".to_owned(), shard: SHARD.to_owned() };
    let iterator = load.history.write(Event::Iterator { reader: load.new_reader(), shard, start });
    let body = json!({"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": position});
    let mut subscription = Subscription::open(server.address(), &body).expect("nobody else subscribes");
    load.history.write(Event::IteratorEnded { iterator });
    let (mut from, mut count, mut last) = (iterator, 0, None);
    while count < RECORDS {
        let page = load.history.write(Event::Page { from });
        let message = subscription.next().expect("more records");
        assert!(!message.exception, "{message:?}");
        let records = message.payload["Records"].as_array().expect("a list").iter();
        let records: Vec<_> = records.map(witness::record).collect();
        count += records.len();
        last = records.last().map(|record| record.sequence.clone()).or(last);
        // It may have been on its way before it was waited for: that it was the newest then says nothing of now.
        load.history.write(Event::PageEnded { page, records, next: Next::More });
        from = page;
    }
    last.expect("there were records")
}
