//! Sign-in and temporary credentials out of memory, with one access event a call: the auth cache.
//!
//! Its need of the stream is best effort: the events are for analysis only. Yet under `block`, a worker whose event finds
//! the buffer full waits with the caller's answer in its hand, as in 2020; after (capacity + what the flusher holds) /
//! event rate without the stream, every worker does. Under the other policies a sign-in never waits.

mod credentials;
mod times;

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use serde::{Deserialize, Serialize};
use weir_core::clock::Clock;
use weir_wire::http::server::ResponseBody;

use self::{
    credentials::{Credential, CredentialCache, Secrets},
    times::{SignInOutcome, SignInTimes},
};
use crate::{
    buffer::Pushed,
    config::{ConfigError, rule},
    metrics::Page,
    outbox::Outbox,
    service::{Service, Trouble, WorkerIndex, json, refuse},
};

/// Users whose credentials are kept; beyond, the one that expires first is forgotten and signs in afresh.
const USERS_MAX: usize = 65_536;
/// Bytes of a user's name.
const USER_BYTES_MAX: usize = 256;

/// What only an auth cache is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthCacheConfig {
    /// A sign-in that takes longer has failed: its caller is gone.
    pub sign_in_timeout: Duration,
    /// How long a temporary credential is good for.
    pub credential_lifetime: Duration,
}

impl AuthCacheConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        rule(!self.sign_in_timeout.is_zero(), "sign-in timeout", || "write a time above zero".into())?;
        rule(self.credential_lifetime >= Duration::from_secs(1), "credential lifetime", || {
            "write at least 1s".into()
        })
    }
}

/// The service.
#[derive(Debug)]
pub(crate) struct AuthCache {
    clock: Clock,
    outbox: Outbox,
    credentials: Mutex<CredentialCache>,
    times: SignInTimes,
    malformed: AtomicU64,
}

#[derive(Deserialize)]
struct SignIn {
    user: String,
}

/// What analysis would read.
#[derive(Debug, Serialize)]
struct AccessEvent<'a> {
    operation: &'static str,
    user: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SignedIn<'a> {
    credentials: &'a Credential,
}

impl AuthCache {
    pub(crate) fn new(config: AuthCacheConfig, clock: Clock, outbox: Outbox, workers: usize) -> Self {
        Self {
            clock,
            outbox,
            credentials: Mutex::new(CredentialCache::new(USERS_MAX, config.credential_lifetime)),
            times: SignInTimes::new(workers, config.sign_in_timeout),
            malformed: AtomicU64::new(0),
        }
    }

    fn sign_in(&self, worker: WorkerIndex, body: &[u8]) -> Response<ResponseBody> {
        let user = match serde_json::from_slice::<SignIn>(body) {
            Ok(SignIn { user }) if (1..=USER_BYTES_MAX).contains(&user.len()) => user,
            Ok(_) => return self.malformed(format!("a user has 1 to {USER_BYTES_MAX} bytes")),
            Err(error) => return self.malformed(error.to_string()),
        };
        self.times.begin(worker, self.clock.now());
        let credential = self.credentials.lock().sign_in(&user, self.clock.wall(), Secrets::draw);
        // Before the answer, on the worker's own thread: this line is the bug of 2020 when the buffer blocks.
        let pushed = self.outbox.push(&user, AccessEvent { operation: "sign-in", user: &user });
        match self.times.end(worker, self.clock.now(), pushed == Pushed::Closed) {
            SignInOutcome::Ok => json(StatusCode::OK, &SignedIn { credentials: &credential }),
            SignInOutcome::Failed => refuse(Trouble::TimedOut, "the sign-in took too long"),
        }
    }

    fn malformed(&self, why: String) -> Response<ResponseBody> {
        self.malformed.fetch_add(1, Ordering::Relaxed);
        refuse(Trouble::Malformed, why)
    }
}

impl Service for AuthCache {
    fn answer(&self, worker: WorkerIndex, request: &Request<Bytes>) -> Response<ResponseBody> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/sign-in") => self.sign_in(worker, request.body()),
            _ => refuse(Trouble::UnknownOperation, "there is POST /sign-in"),
        }
    }
}

impl Collector for AuthCache {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let seen = self.times.look(self.clock.now());
        let malformed = self.malformed.load(Ordering::Relaxed);
        page.counter("weir_auth_sign_ins_ok", "Sign-ins answered in time", seen.ok)?;
        page.counter("weir_auth_sign_ins_failed", "Sign-ins answered too late, or overdue now", seen.failed)?;
        page.counter("weir_auth_sign_ins_malformed", "Requests that are no sign-in", malformed)?;
        page.gauge("weir_auth_sign_ins_overdue", "Sign-ins past their timeout now", seen.overdue as f64)?;
        page.gauge("weir_auth_users", "Users with a credential", self.credentials.lock().len() as f64)?;
        let Some(times) = seen.quantiles else { return Ok(()) };
        page.gauge("weir_auth_sign_in_p50_seconds", "Median of the last seconds", times.p50.as_secs_f64())?;
        page.gauge("weir_auth_sign_in_p99_seconds", "99th percentile of them", times.p99.as_secs_f64())
    }
}
