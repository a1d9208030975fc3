//! A stream of one shard that a test turns off and on, and the control plane that names it. On a thread of its own.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use weir_core::threads::Threads;
use weir_sync::Shutdown;
use weir_wire::{
    control::{CallOutcome, ControlReply},
    http::server::{Handler, ResponseBody, ResponseFuture, bind, full, serve},
};

/// The service.
pub(crate) struct Stream {
    pub(crate) address: SocketAddr,
    shard: Arc<Shard>,
    stop: Shutdown,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shard {
    down: AtomicBool,
    /// Data in base64 and partition key; a sequence number is a place in here, from 1.
    records: Mutex<Vec<(String, String)>>,
    address: Mutex<Option<SocketAddr>>,
}

impl Stream {
    pub(crate) fn start() -> Self {
        let shard = Arc::<Shard>::default();
        let stop = Shutdown::new();
        let stopped = stop.clone();
        let (tell, told) = mpsc::sync_channel(1);
        let handler = Arc::new(Kinesis(Arc::clone(&shard)));
        let thread = Threads::new()
            .spawn("stream", move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
                    tell.send(listener.local_addr().unwrap()).unwrap();
                    serve(listener, handler, stopped, Duration::ZERO).await;
                });
            })
            .unwrap();
        let address = told.recv().unwrap();
        *shard.address.lock().unwrap() = Some(address);
        Self { address, shard, stop, thread: Some(thread) }
    }

    /// From now on every call of the stream fails.
    pub(crate) fn down(&self) {
        self.shard.down.store(true, Ordering::SeqCst);
    }

    /// From now on calls succeed again.
    pub(crate) fn up(&self) {
        self.shard.down.store(false, Ordering::SeqCst);
    }

    /// What was stored: the JSON of each record.
    pub(crate) fn records(&self) -> Vec<Value> {
        let decode = |(data, _): &(String, String)| {
            let data: weir_client::Data = serde_json::from_value(json!(data)).unwrap();
            serde_json::from_slice(&data).unwrap()
        };
        self.shard.records.lock().unwrap().iter().map(decode).collect()
    }

    /// Stores a record that no consumer wrote.
    pub(crate) fn store_foreign(&self) {
        self.shard.records.lock().unwrap().push(("AAAA".into(), "k".into()));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.begin();
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Kinesis(Arc<Shard>);

impl Handler for Kinesis {
    fn handle(self: Arc<Self>, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        let (status, body) = match request.headers().get("x-amz-target") {
            None => (200, self.0.control()),
            Some(_) if self.0.down.load(Ordering::SeqCst) => {
                (503, json!({"__type": "ServiceUnavailable", "message": "the shard map is too old"}))
            }
            Some(target) => {
                let operation = target.to_str().unwrap().strip_prefix("Kinesis_20131202.").unwrap();
                (200, self.0.answer(operation, &serde_json::from_slice(request.body()).unwrap()))
            }
        };
        let mut response: Response<ResponseBody> = Response::new(full(body.to_string()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        ResponseFuture::ready(response)
    }
}

impl Shard {
    fn control(&self) -> Value {
        let url = format!("http://{}", self.address.lock().unwrap().unwrap());
        let endpoints = ControlReply::Endpoints { version: 1, urls: vec![url] };
        serde_json::to_value(CallOutcome::Ok(endpoints)).unwrap()
    }

    fn answer(&self, operation: &str, body: &Value) -> Value {
        let mut records = self.records.lock().unwrap();
        match operation {
            "ListShards" => {
                let range = json!({"StartingHashKey": "0", "EndingHashKey": "1"});
                let numbers = json!({"StartingSequenceNumber": "0"});
                json!({"Shards": [{"ShardId": "shardId-000000000000", "HashKeyRange": range, "SequenceNumberRange": numbers}]})
            }
            "GetShardIterator" => match body["ShardIteratorType"].as_str().unwrap() {
                "TRIM_HORIZON" => json!({"ShardIterator": "0"}),
                "AFTER_SEQUENCE_NUMBER" => json!({"ShardIterator": body["StartingSequenceNumber"]}),
                other => panic!("{other}"),
            },
            "GetRecords" => {
                let after: usize = body["ShardIterator"].as_str().unwrap().parse().unwrap();
                let record = |(place, (data, key)): (usize, &(String, String))| {
                    json!({"SequenceNumber": (after + place + 1).to_string(), "ApproximateArrivalTimestamp": 1.5,
                           "Data": data, "PartitionKey": key})
                };
                let found: Vec<Value> = records[after..].iter().enumerate().map(record).collect();
                json!({"Records": found, "NextShardIterator": records.len().to_string(), "MillisBehindLatest": 0})
            }
            "PutRecords" => {
                assert_eq!(body["StreamName"], "s");
                let text = |record: &Value, field: &str| record[field].as_str().unwrap().to_owned();
                let mut results = Vec::new();
                for record in body["Records"].as_array().unwrap() {
                    records.push((text(record, "Data"), text(record, "PartitionKey")));
                    results.push(
                        json!({"ShardId": "shardId-000000000000", "SequenceNumber": records.len().to_string()}),
                    );
                }
                json!({"FailedRecordCount": 0, "Records": results})
            }
            other => panic!("{other}"),
        }
    }
}
