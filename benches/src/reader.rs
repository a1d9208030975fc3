//! Readers of Kinesis: those that catch up as fast as they can, and those that follow a producer.
//!
//! Run by `cargo xtask bench` against Weir, against emulators and against the floor. Each reader is a thread with a
//! connection that waits for its answers; it takes no answer apart but for what it must know, and counts every record.

mod client;
mod follow;
mod subscription;

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail};
use memchr::memmem;
use weir_core::{clock::Clock, threads::Threads};

use self::client::Client;
pub use self::follow::{Follow, follow};
use crate::report::{ClientReport, Tally, processor_seconds};

/// Bytes in front of an answer in which a member that stands before its records is found.
const FRONT_BYTES: usize = 1 << 10;
/// The name of the member that each record has once.
const KEY: &[u8] = b"\"PartitionKey\"";
/// Records of one answer at most.
const LIMIT: usize = 500;

/// Readers that begin at the oldest record, and begin again when they have caught up.
#[derive(Debug, Clone)]
pub struct CatchUp {
    /// Where the service listens.
    pub address: SocketAddr,
    /// The stream.
    pub stream: String,
    /// Its shards; readers are spread over them.
    pub shards: usize,
    /// Readers, each with a connection.
    pub readers: usize,
    /// Bytes of each record in the stream.
    pub record_bytes: usize,
    /// How long calls are begun.
    pub duration: Duration,
}

/// Reads for the duration.
///
/// # Errors
/// When the service cannot be reached or answers what is no answer, or no reader can be started.
pub fn catch_up(load: &CatchUp) -> anyhow::Result<ClientReport> {
    let (clock, threads) = (Clock::new(), Threads::new());
    let (begun, cpu_before) = (clock.now(), processor_seconds()?);
    let mut readers = Vec::new();
    for number in 0..load.readers {
        let (load, clock) = (load.clone(), clock);
        let shard = shard_id(number % load.shards);
        readers.push(threads.spawn(format!("reader-{number}"), move || read(&load, &shard, clock))?);
    }
    let mut tally = Tally::new();
    for reader in readers {
        tally.merge(reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??);
    }
    Ok(tally.report(clock.now().since(begun), processor_seconds()? - cpu_before))
}

fn read(load: &CatchUp, shard: &str, clock: Clock) -> anyhow::Result<Tally> {
    let mut client = Client::new(load.address);
    let mut tally = Tally::new();
    let begun = clock.now();
    let mut iterator = None;
    while clock.now().since(begun) < load.duration {
        let Some(from) = iterator.take() else {
            iterator = Some(begin_at(&mut client, &load.stream, shard, "TRIM_HORIZON")?);
            continue;
        };
        let sent = clock.now();
        let body = client.call("GetRecords", &format!(r#"{{"ShardIterator":"{from}","Limit":{LIMIT}}}"#))?;
        let records = records_in(body, load.record_bytes);
        // Of smaller ones some would be passed over: the first answer shows it, and they are all of one size.
        let is_all = tally.succeeded > 0 || records == memmem::find_iter(body, KEY).count();
        if !is_all || body.len() < records * load.record_bytes {
            bail!("{records} records in {} bytes: they are not of {} bytes", body.len(), load.record_bytes);
        }
        if records > 0 {
            tally.took(clock.now().since(sent));
            tally.succeeded += 1;
            tally.bytes += (records * load.record_bytes) as u64;
            iterator = text_of(body, "NextShardIterator").map(str::to_owned);
        }
    }
    Ok(tally)
}

/// An iterator of a shard.
fn begin_at(client: &mut Client, stream: &str, shard: &str, kind: &str) -> anyhow::Result<String> {
    let ask = format!(r#"{{"StreamName":"{stream}","ShardId":"{shard}","ShardIteratorType":"{kind}"}}"#);
    let body = client.call("GetShardIterator", &ask)?;
    Ok(text_of(body, "ShardIterator").context("an answer without an iterator")?.to_owned())
}

fn shard_id(number: usize) -> String {
    format!("shardId-{number:012}")
}

/// Records of `record_bytes` in an answer, each by its key. The data of one lies between two keys, whichever comes first in a
/// record, and is not looked through: readers share their processors with the service.
fn records_in(body: &[u8], record_bytes: usize) -> usize {
    let base64_bytes = record_bytes.div_ceil(3) * 4;
    let key = memmem::Finder::new(KEY);
    let (mut rest, mut records) = (body, 0);
    while let Some(at) = key.find(rest) {
        records += 1;
        rest = rest.get(at + KEY.len() + base64_bytes..).unwrap_or_default();
    }
    records
}

/// The text of a member: names and texts of these answers hold nothing that JSON escapes, and no record's data can hold a
/// quotation mark.
fn text_of<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let named = format!("\"{name}\":");
    // Before the records or behind them, as each service has it: whoever has it behind must not be read twice for that.
    let front = &body[..body.len().min(FRONT_BYTES)];
    let at = memmem::find(front, named.as_bytes()).or_else(|| memmem::rfind(body, named.as_bytes()))?;
    let behind = body.get(at + named.len()..)?.trim_ascii_start();
    let text = behind.strip_prefix(b"\"")?;
    std::str::from_utf8(&text[..memchr::memchr(b'"', text)?]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_counted_whether_its_key_or_its_data_comes_first() {
        for record_bytes in [1usize, 2, 3, 100] {
            let data = "A".repeat(record_bytes.div_ceil(3) * 4);
            let (key, data) = (r#""PartitionKey":"k""#, format!(r#""Data":"{data}""#));
            for record in [format!("{{{key},{data}}}"), format!("{{{data},{key}}}")] {
                for records in [0, 1, 2, 7] {
                    let body = format!(r#"{{"Records":[{}]}}"#, vec![record.as_str(); records].join(","));
                    assert_eq!(records_in(body.as_bytes(), record_bytes), records, "{body}");
                }
            }
        }
    }

    #[test]
    fn a_member_is_found_with_or_without_blanks_and_null_is_none() {
        assert_eq!(text_of(br#"{"A":1,"NextShardIterator": "AAA="}"#, "NextShardIterator"), Some("AAA="));
        assert_eq!(text_of(br#"{"NextShardIterator":null}"#, "NextShardIterator"), None);
        assert_eq!(text_of(br#"{"NextShardIterator":"AA"#, "NextShardIterator"), None);
    }
}
