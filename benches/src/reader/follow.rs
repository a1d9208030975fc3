//! Followers: how long a record is on its way from its producer to a reader, at a rate that is held.
//!
//! Producers send small batches at times fixed beforehand, late or not, and write that time into every record; a reader of
//! each shard compares it with the time at which the record arrived, on the same clock. So a record that its producer could
//! not send in time counts as late, and a record that never arrives is an error.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, bail};
use memchr::memmem;
use weir_core::{
    clock::{Clock, Monotonic},
    threads::Threads,
};

use super::{begin_at, client::Client, shard_id, subscription::Subscription, text_of};
use crate::report::{ClientReport, Tally, processor_seconds};

/// Producers, each with a connection: so that one slow sync does not hold up the next batch.
const PRODUCERS: u64 = 4;
/// Records of a batch.
const BATCH: u64 = 20;
/// How long a reader that polls waits after an empty answer.
const POLL_PAUSE: Duration = Duration::from_millis(1);
/// How long readers wait for the last records.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes at the front of a record's data that tell its time: nanoseconds, decimal, so that base64 of them is base64 of the
/// whole's front.
const STAMP_BYTES: usize = 15;
const STAMP_TEXT_BYTES: usize = STAMP_BYTES / 3 * 4;

/// What is followed, and how.
#[derive(Debug, Clone)]
pub struct Follow {
    /// Where the service listens.
    pub address: SocketAddr,
    /// The stream.
    pub stream: String,
    /// Its shards; each has one reader.
    pub shards: usize,
    /// By `SubscribeToShard` instead of `GetRecords`.
    pub push: bool,
    /// Readers of each shard; those that subscribe are consumers of their own.
    pub consumers: usize,
    /// Records a second.
    pub rate: u64,
    /// Bytes of a record.
    pub record_bytes: usize,
    /// How long producers produce.
    pub duration: Duration,
}

/// What the threads of a run share.
struct Course {
    load: Follow,
    clock: Clock,
    /// Everybody stands here until every reader is ready.
    ready: Barrier,
    sent: AtomicU64,
    seen: AtomicU64,
    over: AtomicBool,
}

/// Produces and follows for the duration.
///
/// # Errors
/// When the service refuses a call or cannot be reached.
pub fn follow(load: &Follow) -> anyhow::Result<ClientReport> {
    let (threads, clock) = (Threads::new(), Clock::new());
    let course = Arc::new(Course {
        load: load.clone(),
        clock,
        ready: Barrier::new(load.shards * load.consumers + usize::try_from(PRODUCERS)?),
        sent: AtomicU64::new(0),
        seen: AtomicU64::new(0),
        over: AtomicBool::new(false),
    });
    let (begun, cpu_before) = (clock.now(), processor_seconds()?);
    let mut readers = Vec::new();
    for consumer in 0..load.consumers {
        let subscriber = load.push.then(|| register(load, consumer)).transpose()?;
        for shard in 0..load.shards {
            let (course, subscriber, shard) = (Arc::clone(&course), subscriber.clone(), shard_id(shard));
            readers.push(threads.spawn(format!("read-{shard}"), move || match subscriber {
                None => poll(&course, &shard),
                Some(consumer) => subscribe(&course, &consumer, &shard),
            })?);
        }
    }
    let mut producers = Vec::new();
    for number in 0..PRODUCERS {
        let course = Arc::clone(&course);
        producers.push(threads.spawn(format!("produce-{number}"), move || produce(&course, number))?);
    }
    for producer in producers {
        producer.join().map_err(|_| anyhow::anyhow!("a producer panicked"))??;
    }
    let produced = clock.now();
    let expected = course.sent.load(Ordering::Acquire) * load.consumers as u64;
    while course.seen.load(Ordering::Acquire) < expected && clock.now().since(produced) < PATIENCE {
        sleep(POLL_PAUSE);
    }
    let cpu = processor_seconds()? - cpu_before;
    course.over.store(true, Ordering::Release);
    let mut tally = Tally::new();
    for reader in readers {
        tally.merge(reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??);
    }
    let lost = expected.abs_diff(tally.succeeded);
    if lost > 0 {
        tally.error("records that did not arrive once".to_owned(), lost);
    }
    Ok(tally.report(produced.since(begun), cpu))
}

/// Sends a batch at each time that is its own.
fn produce(course: &Course, number: u64) -> anyhow::Result<()> {
    let mut client = Client::new(course.load.address);
    let period = Duration::from_secs(BATCH * PRODUCERS).div_f64(course.load.rate as f64);
    course.ready.wait();
    let begun = course.clock.now();
    let mut due = begun + period.mul_f64(number as f64 / PRODUCERS as f64);
    let filling = "A".repeat((course.load.record_bytes - STAMP_BYTES).div_ceil(3) * 4);
    while due.since(begun) < course.load.duration {
        let early = due.since(course.clock.now());
        if !early.is_zero() {
            sleep(early);
        }
        let body = batch(&course.load.stream, due, &filling);
        let answer = client.call("PutRecords", &body)?;
        if memmem::find(answer, b"\"ErrorCode\":\"").is_some() {
            bail!("a record was refused: {}", String::from_utf8_lossy(answer));
        }
        course.sent.fetch_add(BATCH, Ordering::AcqRel);
        due = due + period;
    }
    Ok(())
}

fn batch(stream: &str, due: Monotonic, filling: &str) -> String {
    let stamp = base64_simd::STANDARD.encode_to_string(format!("{:0width$}", due.0, width = STAMP_BYTES));
    let entries: Vec<String> = (0..BATCH)
        .map(|record| format!(r#"{{"Data":"{stamp}{filling}","PartitionKey":"{record}-{}"}}"#, due.0))
        .collect();
    format!(r#"{{"Records":[{}],"StreamName":"{stream}"}}"#, entries.join(","))
}

fn poll(course: &Course, shard: &str) -> anyhow::Result<Tally> {
    let mut client = Client::new(course.load.address);
    let mut tally = Tally::new();
    let begun = begin_at(&mut client, &course.load.stream, shard, "LATEST");
    course.ready.wait(); // who cannot begin keeps nobody waiting
    let mut iterator = begun?;
    while !course.over.load(Ordering::Acquire) {
        let body = client.call("GetRecords", &format!(r#"{{"ShardIterator":"{iterator}"}}"#))?;
        let came = arrived(course, body, &mut tally)?;
        iterator = text_of(body, "NextShardIterator").context("the shard has ended")?.to_owned();
        if came == 0 {
            sleep(POLL_PAUSE);
        }
    }
    Ok(tally)
}

fn subscribe(course: &Course, consumer: &str, shard: &str) -> anyhow::Result<Tally> {
    let from = r#"{"Type":"LATEST"}"#;
    let ask = format!(r#"{{"ConsumerARN":"{consumer}","ShardId":"{shard}","StartingPosition":{from}}}"#);
    let begun = begun_subscription(course.load.address, &ask);
    course.ready.wait(); // who cannot begin keeps nobody waiting
    let mut subscription = begun?;
    let mut tally = Tally::new();
    while !course.over.load(Ordering::Acquire) {
        let goes_on = subscription.read(|payload| arrived(course, payload, &mut tally).map(drop))?;
        if !goes_on {
            bail!("the subscription has ended");
        }
    }
    Ok(tally)
}

/// A subscription that stands: its first message has come. While nothing is produced the service sends empty events.
fn begun_subscription(address: SocketAddr, ask: &str) -> anyhow::Result<Subscription> {
    let mut subscription = Subscription::new(Client::new(address).send("SubscribeToShard", ask)?);
    let mut begun = false;
    while !begun {
        subscription.read(|_| {
            begun = true;
            Ok(())
        })?;
    }
    Ok(subscription)
}

/// Counts the records of an answer, each with its time on the way; how many.
fn arrived(course: &Course, body: &[u8], tally: &mut Tally) -> anyhow::Result<u64> {
    const DATA: &[u8] = b"\"Data\":\"";
    let now = course.clock.now();
    let mut count = 0;
    for at in memmem::find_iter(body, DATA) {
        let text = body[at + DATA.len()..].get(..STAMP_TEXT_BYTES).context("data without a time")?;
        let stamp = base64_simd::STANDARD.decode_to_vec(text)?;
        let nanos = std::str::from_utf8(&stamp)?.parse().context("a time")?;
        tally.took(now.since(Monotonic(nanos)));
        count += 1;
    }
    tally.succeeded += count;
    tally.bytes += count * course.load.record_bytes as u64;
    course.seen.fetch_add(count, Ordering::AcqRel);
    Ok(count)
}

/// A consumer of the stream; its ARN.
fn register(load: &Follow, number: usize) -> anyhow::Result<String> {
    let mut client = Client::new(load.address);
    let summary = client.call("DescribeStreamSummary", &format!(r#"{{"StreamName":"{}"}}"#, load.stream))?;
    let arn = text_of(summary, "StreamARN").context("a stream has an ARN")?.to_owned();
    let ask = format!(r#"{{"StreamARN":"{arn}","ConsumerName":"follower-{number}"}}"#);
    let consumer = client.call("RegisterStreamConsumer", &ask)?;
    Ok(text_of(consumer, "ConsumerARN").context("a consumer has an ARN")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_tells_when_it_was_due() {
        let due = Monotonic(1_234_567_890);
        let load = Follow {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            stream: "s".to_owned(),
            shards: 1,
            push: false,
            consumers: 1,
            rate: 1,
            record_bytes: 1024,
            duration: Duration::ZERO,
        };
        let course = Course {
            load,
            clock: Clock::new(),
            ready: Barrier::new(1),
            sent: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            over: AtomicBool::new(false),
        };
        let mut tally = Tally::new();
        let body = batch("s", due, "AAAA");
        assert_eq!(arrived(&course, body.as_bytes(), &mut tally).unwrap(), BATCH);
        assert_eq!((tally.succeeded, course.seen.load(Ordering::Acquire)), (BATCH, BATCH));
        let broken = body.replace("MDAw", "!!!!");
        assert!(arrived(&course, broken.as_bytes(), &mut tally).is_err());
    }
}
