//! A Kinesis API whose answers the test decides, on a thread of its own.
//!
//! It checks every signature as a front end would, and counts connections: what a client sends is part of the test.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use hyper::{Request, Response, StatusCode};
use weir_core::threads::Threads;
use weir_sync::Shutdown;
use weir_wire::http::server::{Handler, ResponseBody, ResponseFuture, bind, full, serve};

/// What the service saw.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) operation: String,
    pub(crate) body: serde_json::Value,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) raw: Bytes,
    pub(crate) peer: SocketAddr,
}

/// An answer: status and JSON. Status 0 never answers.
pub(crate) type Answer = (u16, serde_json::Value);
pub(crate) type Script = Box<dyn FnMut(&Seen) -> Answer + Send>;

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    stop: Shutdown,
    thread: Option<JoinHandle<()>>,
}

struct Scripted {
    script: Mutex<Script>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Handler for Scripted {
    fn handle(self: Arc<Self>, request: Request<Bytes>, peer: SocketAddr) -> ResponseFuture {
        let target = request.headers()["x-amz-target"].to_str().unwrap();
        let seen = Seen {
            operation: target.strip_prefix("Kinesis_20131202.").unwrap().to_owned(),
            body: serde_json::from_slice(request.body()).unwrap(),
            headers: request.headers().clone(),
            raw: request.body().clone(),
            peer,
        };
        let (status, body) = (self.script.lock().unwrap())(&seen);
        self.seen.lock().unwrap().push(seen);
        if status == 0 {
            return ResponseFuture::new(std::future::pending());
        }
        let mut response: Response<ResponseBody> = Response::new(full(body.to_string()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        ResponseFuture::ready(response)
    }
}

impl Service {
    pub(crate) fn start(script: Script) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let handler = Arc::new(Scripted { script: Mutex::new(script), seen: seen.clone() });
        let stop = Shutdown::new();
        let stopped = stop.clone();
        let (tell, told) = mpsc::sync_channel(1);
        let thread = Threads::new()
            .spawn("service", move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
                    tell.send(listener.local_addr().unwrap()).unwrap();
                    serve(listener, handler, stopped, Duration::ZERO).await;
                });
            })
            .unwrap();
        Self { address: told.recv().unwrap(), seen, stop, thread: Some(thread) }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.begin();
        self.thread.take().unwrap().join().unwrap();
    }
}
