//! A consumer as its callers and its scraper see it: started on a thread as its process would, asked over its sockets.

use std::{net::SocketAddr, path::Path, sync::mpsc, thread::JoinHandle, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use weir_consumers::{
    config::{BufferConfig, BufferPolicy, ConsumerConfig, EndpointSource, KindConfig, StreamConfig},
    run::RunningConsumer,
};
use weir_core::{clock::Clock, id::ServerName, threads::Threads};
use weir_sync::Shutdown;
use weir_wire::{
    http::client::{self, CallError},
    sigv4::Identity,
};

use crate::stream::Stream;

/// What never ends within this time has failed; nothing is expected to take that long.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Consumer {
    pub(crate) service: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Those of the consumer, beside its main thread.
    pub(crate) threads: Threads,
    clock: Clock,
    runtime: tokio::runtime::Runtime,
    stop: Shutdown,
    main: Option<JoinHandle<()>>,
}

/// A configuration for tests: nothing waits for longer than it must.
pub(crate) fn config(
    stream: &Stream,
    data: Option<&Path>,
    policy: BufferPolicy,
    capacity: usize,
    kind: KindConfig,
) -> ConsumerConfig {
    ConsumerConfig {
        name: ServerName::new("under-test"),
        service: "127.0.0.1:0".parse().unwrap(),
        admin: "127.0.0.1:0".parse().unwrap(),
        data: data.map(Path::to_owned),
        stream: StreamConfig {
            endpoints: EndpointSource::Control {
                address: stream.address,
                tenant: None,
                refresh: Duration::from_secs(1),
            },
            name: "s".into(),
            identity: Identity { access_key: "AKID".into(), secret_key: "x".into(), session_token: None },
            region: "us-east-1".into(),
            attempt_timeout: Duration::from_secs(10),
            read_pause: Duration::from_millis(5),
        },
        buffer: BufferConfig {
            capacity,
            policy,
            spill_bytes_max: 1 << 20,
            flush_interval: Duration::from_millis(1),
        },
        workers: 2,
        kind,
    }
}

impl Consumer {
    pub(crate) fn start(config: ConsumerConfig) -> Self {
        let stop = Shutdown::new();
        let stopped = stop.clone();
        let (tell, told) = mpsc::sync_channel(1);
        let threads = Threads::new();
        let of_consumer = threads.clone();
        let main = Threads::new()
            .spawn("main", move || {
                runtime().block_on(async {
                    let running = RunningConsumer::start(config, Clock::new(), &of_consumer).unwrap();
                    assert_eq!(running.threads(), of_consumer.running());
                    tell.send((running.service_address(), running.admin_address())).unwrap();
                    running.run(stopped).await;
                });
            })
            .unwrap();
        let (service, admin) = told.recv().expect("the consumer starts");
        Self { service, admin, threads, clock: Clock::new(), runtime: runtime(), stop, main: Some(main) }
    }

    /// Ends it and waits until every thread of it has ended.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    /// Status and body of a call that is answered.
    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.try_post(path, body, PATIENCE).unwrap()
    }

    /// As [`Consumer::post`], with the caller's own patience.
    pub(crate) fn try_post(
        &self,
        path: &str,
        body: &str,
        timeout: Duration,
    ) -> Result<(u16, Value), CallError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let answer = self.runtime.block_on(client::post_json(self.service, path, body, timeout))?;
        Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap()))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.runtime.block_on(client::get(self.service, path, PATIENCE)).unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The text of `/metrics`.
    pub(crate) fn metrics(&self) -> String {
        let answer = self.runtime.block_on(client::get(self.admin, "/metrics", PATIENCE)).unwrap();
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    /// One sample, by its name with its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Asks again and again, until it is as expected.
    pub(crate) fn until(&self, what: &str, expected: impl Fn(&Self) -> bool) {
        let begun = self.clock.now();
        while !expected(self) {
            assert!(self.clock.now().since(begun) < PATIENCE, "not {what}: {}", self.metrics());
        }
    }

    fn end(&mut self) {
        if let Some(main) = self.main.take() {
            self.stop.begin();
            main.join().unwrap();
            assert_eq!(self.threads.running(), 0);
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
