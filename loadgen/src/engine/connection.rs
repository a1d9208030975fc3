//! One connection: takes a start, sends its request, reads its answer, and takes the next.
//!
//! A task of its worker's runtime. It connects when it has to and gives up when the timeout says so; it never
//! retries, because an open loop must show what the server did, not mend it. Whatever happens, a start that it took is
//! recorded exactly once: [`Flight`] sees to it even when the task is dropped.

use std::{
    io::{self, IoSlice},
    rc::Rc,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_client::{ConnectError, Stream};
use weir_core::clock::Monotonic;

use super::{
    pool::{Pool, Start},
    response::{Response, ResponseReader},
    worker::Worker,
};
use crate::workload::{Answer, Code, OperationIndex, Prepared, RequestBuffer, Workload, codes};

/// Serves `first`, or connects when there is none yet, then serves whatever waits for this endpoint, then idles for more.
pub(super) async fn run<W: Workload>(worker: Rc<Worker<W>>, pool: Rc<Pool>, first: Option<Start>) {
    let mut link = Link::default();
    let mut next = if first.is_none() {
        link.connect_first(&worker, &pool).await;
        link.next(&worker, &pool).await
    } else {
        first
    };
    while let Some(start) = next {
        link.call(&worker, &pool, start).await;
        next = link.next(&worker, &pool).await;
    }
}

/// A connection's socket and buffers.
#[derive(Debug, Default)]
struct Link {
    stream: Option<Stream>,
    request: RequestBuffer,
    reader: ResponseReader,
}

impl Link {
    /// Connects before there is a start. A failure is no start's and not in the report, so it is logged; the next start tries
    /// again. A start that waited for this has its whole timeout from then on.
    async fn connect_first<W: Workload>(&mut self, worker: &Worker<W>, pool: &Pool) {
        let connected = tokio::time::timeout(worker.config.timeout, connect(worker, pool)).await;
        match connected.unwrap_or(Err(codes::TIMEOUT)) {
            Ok(stream) => self.stream = Some(stream),
            // Why TLS failed is logged already.
            Err(code) if code != codes::TLS && pool.first_early_error() => {
                tracing::warn!(endpoint = %pool.endpoint, code, "a connection was not made ahead of the first start");
            }
            Err(_) => {}
        }
    }

    /// The start that waits longest, or the next that comes. `None`: the connection has ended.
    async fn next<W: Workload>(&mut self, worker: &Rc<Worker<W>>, pool: &Pool) -> Option<Start> {
        match worker.take_waiting(pool) {
            Some(start) => Some(start),
            None if self.stream.is_none() || pool.is_over_limit() => {
                pool.closed();
                None
            }
            None => pool.idle(&mut self.stream).await,
        }
    }

    async fn call<W: Workload>(&mut self, worker: &Rc<Worker<W>>, pool: &Pool, start: Start) {
        let mut flight = Flight::new(worker.clone(), start);
        let exchanged =
            tokio::time::timeout(worker.config.timeout, self.exchange(worker, pool, &mut flight)).await;
        match exchanged {
            Ok(Ok(response)) => {
                if !response.keep_alive {
                    self.stream = None;
                }
                flight.answered(response.status, self.reader.bytes(response.body));
            }
            Ok(Err(code)) => {
                self.stream = None;
                flight.failed(code);
            }
            Err(_) => {
                self.stream = None;
                flight.failed(codes::TIMEOUT);
            }
        }
    }

    async fn exchange<W: Workload>(
        &mut self,
        worker: &Worker<W>,
        pool: &Pool,
        flight: &mut Flight<W>,
    ) -> Result<Response, &'static str> {
        if self.stream.is_none() {
            self.stream = Some(connect(worker, pool).await?);
        }
        let stream = self.stream.as_mut().expect("connected above");
        let prepared = worker.workload.borrow_mut().prepare(
            flight.start.choice,
            &pool.endpoint,
            worker.clock.wall(),
            &mut self.request,
        );
        flight.sending(prepared, worker.clock.now());
        // A server may refuse a request before it has read all of it: its answer counts, not the broken write.
        let written = write_all(stream, &self.request.head, self.request.body()).await;
        self.reader.start();
        loop {
            let count = stream.read(self.reader.room()).await.map_err(|_| codes::CONNECTION)?;
            if count == 0 {
                let broken = if self.reader.is_empty() { codes::CONNECTION } else { codes::BAD_ANSWER };
                return self.reader.closed().map_err(|_| broken);
            }
            if let Some(mut response) = self.reader.took(count).map_err(|_| codes::BAD_ANSWER)? {
                response.keep_alive &= written.is_ok();
                return Ok(response);
            }
        }
    }
}

/// A connection to the pool's endpoint, or the code of a start that got none.
async fn connect<W: Workload>(worker: &Worker<W>, pool: &Pool) -> Result<Stream, &'static str> {
    Stream::connect(&pool.endpoint, worker.config.trust.as_ref()).await.map_err(|error| match error {
        ConnectError::Tcp(_) => codes::CONNECT,
        ConnectError::Tls(_) | ConnectError::NoTrust => {
            // Nothing in the report says which certificate was not believed, or why.
            if pool.first_tls_error() {
                tracing::warn!(endpoint = %pool.endpoint, %error, "no connection");
            }
            codes::TLS
        }
    })
}

async fn write_all(stream: &mut Stream, head: &[u8], body: &[u8]) -> io::Result<()> {
    let (mut head, mut body) = (head, body);
    while !head.is_empty() {
        let written = stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]).await?;
        let of_head = written.min(head.len());
        head = &head[of_head..];
        body = &body[written - of_head..];
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    stream.write_all(body).await?;
    stream.flush().await
}

/// A start on its way. Ends exactly once; if nobody ends it, it was stopped.
struct Flight<W: Workload> {
    worker: Rc<Worker<W>>,
    start: Start,
    operation: OperationIndex,
    ticket: Option<W::Ticket>,
    sent: Option<Monotonic>,
    ended: bool,
}

impl<W: Workload> Flight<W> {
    fn new(worker: Rc<Worker<W>>, start: Start) -> Self {
        Self { worker, start, operation: start.choice.operation, ticket: None, sent: None, ended: false }
    }

    fn sending(&mut self, prepared: Prepared<W::Ticket>, now: Monotonic) {
        self.operation = prepared.operation;
        self.ticket = Some(prepared.ticket);
        self.sent = Some(now);
    }

    fn answered(mut self, status: u16, body: &[u8]) {
        let done = self.worker.clock.now();
        let sent = self.sent.expect("an answer comes after its request");
        let millis = |at: Monotonic| at.since(self.worker.start).as_millis() as u64;
        let answer = Answer { status, body, sent_ms: millis(sent), at_ms: millis(done) };
        let ticket = self.ticket.take().expect("an answer comes after its request");
        let verdict = self.worker.workload.borrow_mut().judge(ticket, answer);
        self.end(done, verdict.code, verdict.records, verdict.bytes);
    }

    fn failed(mut self, code: &'static str) {
        let done = self.worker.clock.now();
        self.end(done, Code::Error(code), 0, 0);
    }

    fn end(&mut self, done: Monotonic, code: Code<'_>, records: u64, bytes: u64) {
        self.ended = true;
        if let Some(ticket) = self.ticket.take() {
            self.worker.workload.borrow_mut().unanswered(ticket);
        }
        self.worker.ended(&crate::meter::Ended {
            intended: self.start.intended,
            sent: self.sent,
            done,
            tenant: self.start.choice.tenant,
            operation: self.operation,
            code,
            records,
            bytes,
        });
    }
}

impl<W: Workload> Drop for Flight<W> {
    fn drop(&mut self) {
        if !self.ended {
            self.worker.task_panicked.set(self.worker.task_panicked.get() || std::thread::panicking());
            let done = self.worker.clock.now();
            self.end(done, Code::Error(codes::STOPPED), 0, 0);
        }
    }
}
