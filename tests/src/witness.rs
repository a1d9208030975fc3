//! A Kinesis client that writes what it sends and what it hears into a history.
//!
//! Each call is one attempt; whether to try again is its caller's to decide, as it is an SDK's. An error that the service
//! gives although nothing is wrong with the call ends the test: only what a server that is being killed may say is borne.

use std::{io, net::SocketAddr};

use serde_json::{Value, json};

use crate::{
    history::{At, Event, History, Next, Outcome, Put, Read, Sequence, ShardName, ShardTold, Start},
    http::{self, Answer, Caller},
};

/// Writes into a history what it hears at one address.
#[derive(Debug, Clone, Copy)]
pub struct Witness<'a> {
    /// The history.
    pub history: &'a History,
    /// The server that is asked.
    pub address: SocketAddr,
}

/// A shard iterator, and where the history has it.
#[derive(Debug, Clone)]
pub struct Cursor {
    from: At,
    token: String,
}

/// A page that was read.
#[derive(Debug)]
pub struct Page {
    /// Its records.
    pub records: Vec<Read>,
    /// What follows it.
    pub next: Next,
    /// Where to read on; none at the end of a shard.
    pub cursor: Option<Cursor>,
}

/// What became of a call.
enum Heard {
    /// Its answer.
    Done(Value),
    /// Nothing was done.
    Refused,
    /// It may have been done.
    Unknown,
}

/// Errors that say: nothing was done, come again.
const COME_AGAIN: [&str; 4] = [
    "ServiceUnavailable",
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "ResourceInUseException",
];

impl Witness<'_> {
    /// Puts these records by one `PutRecords`; what became of each. The order of records of one call is nobody's to ask for.
    pub fn put_records(&self, puts: &[Put]) -> Vec<Outcome> {
        let stream = &puts[0].stream;
        let entries: Vec<_> =
            puts.iter().map(|put| json!({"PartitionKey": put.key, "Data": put.data})).collect();
        let first = self.history.write_all(puts.iter().cloned().map(Event::Put));
        let heard = self.call("PutRecords", &json!({"StreamName": stream, "Records": entries}));
        let outcomes: Vec<Outcome> = match heard {
            Heard::Done(answer) => list(&answer["Records"]).iter().map(record_outcome).collect(),
            Heard::Refused => vec![Outcome::Refused; puts.len()],
            Heard::Unknown => vec![Outcome::Unknown; puts.len()],
        };
        assert_eq!(outcomes.len(), puts.len(), "one result a record");
        let ended = (first..).zip(&outcomes);
        self.history.write_all(ended.map(|(put, outcome)| Event::PutEnded { put, outcome: outcome.clone() }));
        outcomes
    }

    /// Puts one record by `PutRecord`.
    pub fn put_record(&self, put: &Put) -> Outcome {
        let mut body = json!({"StreamName": put.stream, "PartitionKey": put.key, "Data": put.data});
        if let Some(after) = &put.after {
            body["SequenceNumberForOrdering"] = json!(after.0);
        }
        let at = self.history.write(Event::Put(put.clone()));
        let outcome = match self.call("PutRecord", &body) {
            Heard::Done(answer) => stored(&answer),
            Heard::Refused => Outcome::Refused,
            Heard::Unknown => Outcome::Unknown,
        };
        self.history.write(Event::PutEnded { put: at, outcome: outcome.clone() });
        outcome
    }

    /// Takes an iterator, if the server gives one.
    pub fn iterator(&self, reader: u64, shard: &ShardName, start: Start) -> Option<Cursor> {
        let mut body = json!({"StreamName": shard.stream, "ShardId": shard.shard});
        let (kind, more) = match &start {
            Start::TrimHorizon => ("TRIM_HORIZON", None),
            Start::Latest => ("LATEST", None),
            Start::At(at) => ("AT_SEQUENCE_NUMBER", Some(("StartingSequenceNumber", json!(at.0)))),
            Start::After(at) => ("AFTER_SEQUENCE_NUMBER", Some(("StartingSequenceNumber", json!(at.0)))),
            Start::Time(ms) => ("AT_TIMESTAMP", Some(("Timestamp", json!(*ms as f64 / 1_000.0)))),
        };
        body["ShardIteratorType"] = json!(kind);
        if let Some((member, value)) = more {
            body[member] = value;
        }
        let iterator = self.history.write(Event::Iterator { reader, shard: shard.clone(), start });
        let answer = self.asked("GetShardIterator", &body)?;
        self.history.write(Event::IteratorEnded { iterator });
        Some(Cursor { from: iterator, token: text(&answer["ShardIterator"]) })
    }

    /// Reads a page of `limit` records at most, if the server gives one.
    pub fn page(&self, cursor: &Cursor, limit: u32) -> Option<Page> {
        let page = self.history.write(Event::Page { from: cursor.from });
        let answer = self.asked("GetRecords", &json!({"ShardIterator": cursor.token, "Limit": limit}))?;
        let records: Vec<Read> = list(&answer["Records"]).iter().map(record).collect();
        let cursor =
            answer["NextShardIterator"].as_str().map(|token| Cursor { from: page, token: token.to_owned() });
        let next = match (&cursor, &answer["MillisBehindLatest"]) {
            (None, _) => Next::End(list(&answer["ChildShards"]).iter().map(child).collect()),
            (Some(_), behind) if *behind == 0 => Next::Tip,
            (Some(_), _) => Next::More,
        };
        self.history.write(Event::PageEnded { page, records: records.clone(), next: next.clone() });
        Some(Page { records, next, cursor })
    }

    /// The stream's shards, if the server tells them.
    pub fn shards(&self, stream: &str) -> Option<Vec<ShardTold>> {
        let answer = self.asked("ListShards", &json!({"StreamName": stream}))?;
        assert!(answer["NextToken"].is_null(), "more shards than a page holds");
        let parents = |shard: &Value| {
            let both = [&shard["ParentShardId"], &shard["AdjacentParentShardId"]];
            both.into_iter().filter_map(|parent| parent.as_str().map(str::to_owned)).collect()
        };
        let told = |shard: &Value| ShardTold { shard: text(&shard["ShardId"]), parents: parents(shard) };
        let shards: Vec<_> = list(&answer["Shards"]).iter().map(told).collect();
        self.history.write(Event::Shards { stream: stream.to_owned(), shards: shards.clone() });
        Some(shards)
    }

    /// Creates a stream. True when it was acknowledged.
    pub fn create(&self, stream: &str, shards: u32) -> bool {
        let call = self.history.write(Event::Create(stream.to_owned()));
        self.change(call, "CreateStream", &json!({"StreamName": stream, "ShardCount": shards}))
    }

    /// Deletes a stream. True when it was acknowledged.
    pub fn delete(&self, stream: &str) -> bool {
        let call = self.history.write(Event::Delete(stream.to_owned()));
        self.change(call, "DeleteStream", &json!({"StreamName": stream}))
    }

    fn change(&self, call: At, operation: &str, body: &Value) -> bool {
        let is_done = matches!(self.call(operation, body), Heard::Done(_));
        if is_done {
            self.history.write(Event::Done { call });
        }
        is_done
    }

    /// Looks whether a stream is there; its status (none: it is not). The outer none: the server does not say.
    pub fn look(&self, stream: &str) -> Option<Option<String>> {
        let look = self.history.write(Event::Look(stream.to_owned()));
        let body = json!({"StreamName": stream});
        let answer = http::try_kinesis(Caller::ANY, self.address, "DescribeStreamSummary", &body).ok()?;
        let status = match (answer.status, error_of(&answer)) {
            (200, _) => Some(text(&answer.json()["StreamDescriptionSummary"]["StreamStatus"])),
            (400, error) if error == "ResourceNotFoundException" => None,
            (status, error) => {
                assert!(status >= 500 || COME_AGAIN.contains(&error.as_str()), "{error}: {answer:?}");
                return None;
            }
        };
        let there = status.as_deref().is_some_and(|status| status != "DELETING");
        self.history.write(Event::Looked { look, there });
        Some(status)
    }

    /// Splits or merges to `shards` uniform ranges. True when it was acknowledged.
    pub fn scale(&self, stream: &str, shards: u32) -> bool {
        let body =
            json!({"StreamName": stream, "TargetShardCount": shards, "ScalingType": "UNIFORM_SCALING"});
        matches!(self.call("UpdateShardCount", &body), Heard::Done(_))
    }

    /// What a question is answered, if it is: asked again it costs nothing.
    fn asked(&self, operation: &str, body: &Value) -> Option<Value> {
        match self.call(operation, body) {
            Heard::Done(answer) => Some(answer),
            Heard::Refused | Heard::Unknown => None,
        }
    }

    fn call(&self, operation: &str, body: &Value) -> Heard {
        let answer = match http::try_kinesis(Caller::ANY, self.address, operation, body) {
            Ok(answer) => answer,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Heard::Refused,
            Err(_) => return Heard::Unknown,
        };
        match answer.status {
            200 if answer.body.is_empty() => Heard::Done(Value::Null),
            200 => Heard::Done(answer.json()),
            _ if COME_AGAIN.contains(&error_of(&answer).as_str()) => Heard::Refused,
            500.. => Heard::Unknown,
            _ => panic!("{operation} {body}: {}", String::from_utf8_lossy(&answer.body)),
        }
    }
}

/// The name of an error.
fn error_of(answer: &Answer) -> String {
    if answer.status == 200 { String::new() } else { text(&answer.json()["__type"]) }
}

/// One record's result in `PutRecords`. `InternalFailure` is all that it says of what may have happened.
fn record_outcome(result: &Value) -> Outcome {
    match result["ErrorCode"].as_str() {
        None => stored(result),
        Some("ProvisionedThroughputExceededException") => Outcome::Refused,
        Some("InternalFailure") => Outcome::Unknown,
        Some(other) => panic!("a record of PutRecords hears {other}"),
    }
}

fn stored(result: &Value) -> Outcome {
    Outcome::Stored { shard: text(&result["ShardId"]), sequence: Sequence(text(&result["SequenceNumber"])) }
}

/// A record as GetRecords and a subscription tell it.
pub fn record(record: &Value) -> Read {
    let arrived = record["ApproximateArrivalTimestamp"].as_f64().expect("a time");
    Read {
        sequence: Sequence(text(&record["SequenceNumber"])),
        key: text(&record["PartitionKey"]),
        data: text(&record["Data"]),
        arrived_ms: (arrived * 1_000.0).round() as u64,
    }
}

fn child(shard: &Value) -> ShardTold {
    let parents = list(&shard["ParentShards"]).iter().map(text).collect();
    ShardTold { shard: text(&shard["ShardId"]), parents }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}
