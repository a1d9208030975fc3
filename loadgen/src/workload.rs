//! What the engine asks of a workload: which request next, its bytes, and what its answer means.
//!
//! The engine knows time, sockets and counting; a workload knows what is said over them. Kinesis calls and the
//! consumers' services implement it. A workload must never wait and never look at a clock: it is called between two
//! system calls of a busy thread.

use bytes::Bytes;
use weir_client::Endpoint;
use weir_core::clock::WallMs;

/// A tenant's number: an index into [`Workload::tenants`] and into the routes of the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantIndex(pub u16);

/// An operation's number: an index into [`Workload::operations`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationIndex(pub u8);

/// The request that comes next, before its endpoint is known.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// Whose it is: decides the endpoints that it may go to.
    pub tenant: TenantIndex,
    /// What it is, for counting.
    pub operation: OperationIndex,
    /// Whatever else the workload chose; given back to it.
    pub detail: u32,
}

/// A request written out, with what is needed to understand its answer.
#[derive(Debug)]
pub struct Prepared<T> {
    /// What it really is: reading may first need an iterator.
    pub operation: OperationIndex,
    /// Given back to the workload with the answer.
    pub ticket: T,
}

/// Where a request's bytes are put together. One per connection, kept from request to request, so that a body that
/// differs little from the last one is only patched.
#[derive(Debug, Default)]
pub struct RequestBuffer {
    /// Request line, header lines, the empty line.
    pub head: Vec<u8>,
    /// The body, unless `shared` holds it.
    pub own: Vec<u8>,
    /// Which template `own` was last filled from; the workload's to use.
    pub own_template: Option<u32>,
    /// A body prepared once and shared by many requests.
    pub shared: Option<Bytes>,
}

impl RequestBuffer {
    /// The body to send.
    pub fn body(&self) -> &[u8] {
        self.shared.as_deref().unwrap_or(&self.own)
    }
}

/// An answer, whole.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
    /// When its request was about to be sent, milliseconds since the start of the run, rounded down.
    pub sent_ms: u64,
    /// When it was whole, milliseconds since the start of the run, rounded down.
    pub at_ms: u64,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Success, or the error's code.
    pub code: Code<'a>,
    /// Records (or events, or calls) that this answer acknowledged or brought.
    pub records: u64,
    /// Bytes of their payload.
    pub bytes: u64,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code<'a> {
    /// As it should.
    Success,
    /// With an error of this name: the service's own code, or one of [`codes`].
    Error(&'a str),
}

/// The codes of requests that ended without an answer.
pub mod codes {
    /// The endpoint could not be connected to. Nothing was sent.
    pub const CONNECT: &str = "connect";
    /// Connected, but TLS was not agreed upon: the certificate is not trusted or names another server. Nothing was sent.
    pub const TLS: &str = "tls";
    /// The connection broke after the request was sent, at least in part. It may have happened.
    pub const CONNECTION: &str = "connection";
    /// No answer in time. It may have happened.
    pub const TIMEOUT: &str = "timeout";
    /// The start waited longer than the timeout for a free connection and was given up. Nothing was sent.
    pub const OVERDUE: &str = "overdue";
    /// Too many starts were waiting already. Nothing was sent.
    pub const REFUSED: &str = "refused";
    /// The tenant has no endpoint. Nothing was sent.
    pub const NO_ENDPOINT: &str = "no-endpoint";
    /// The answer was no HTTP, or larger than is accepted.
    pub const BAD_ANSWER: &str = "bad-answer";
    /// The run was stopped before the request ended. It may have happened.
    pub const STOPPED: &str = "stopped";
}

/// A stream of requests and the meaning of their answers. One per worker thread.
pub trait Workload: 'static {
    /// What must be remembered between a request and its answer.
    type Ticket: 'static;

    /// The names of the operations, in the order of their numbers. At most 256.
    fn operations(&self) -> &'static [&'static str];

    /// The names of the tenants, in the order of their numbers.
    fn tenants(&self) -> &[String];

    /// Decides what comes next.
    fn choose(&mut self) -> Choice;

    /// Writes the request for `endpoint`. Called when a connection is ready to send it, not when it is chosen.
    fn prepare(
        &mut self,
        choice: Choice,
        endpoint: &Endpoint,
        now: WallMs,
        request: &mut RequestBuffer,
    ) -> Prepared<Self::Ticket>;

    /// Reads an answer.
    fn judge<'a>(&mut self, ticket: Self::Ticket, answer: Answer<'a>) -> Verdict<'a>;

    /// A prepared request ended without an answer.
    fn unanswered(&mut self, ticket: Self::Ticket) {
        drop(ticket);
    }

    /// Bytes about what was acknowledged, for the recorder. Asked often; empty when there is nothing yet.
    /// `all` asks for everything, at the end of the run.
    fn take_acks(&mut self, all: bool) -> Vec<u8> {
        let _ = all;
        Vec::new()
    }
}
