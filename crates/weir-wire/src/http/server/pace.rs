//! How fast a client must take its answer, and whether it does.
//!
//! Watched where bytes leave: at the socket (`paced.rs`) and, because a client of HTTP/2 may hold up one answer while it
//! takes others, at each answer (`exchanges.rs`). It reads no clock: who watches says when.

use std::time::Duration;

use tokio::time::Instant;

/// How fast a client must take its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long no byte may go out, and how long a client may be behind.
    pub(super) patience: Duration,
    /// Bytes that must go out each second beyond that.
    pub(super) bytes_per_second: u64,
}

/// The paces of one listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paces {
    /// For answers with an end: they are in memory whole until the last byte has gone out.
    pub(super) whole: Pace,
    /// For streams, which are made as they are taken.
    pub(super) endless: Pace,
}

/// What became of the bytes since the other side first let some lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    since: Instant,
    last_written: Instant,
    written: u64,
}

impl Behind {
    /// Some bytes lie from `now` on.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, last_written: now, written: 0 }
    }

    /// So many bytes went out.
    pub(super) fn wrote(&mut self, bytes: u64, now: Instant) {
        self.written += bytes;
        self.last_written = now;
    }

    /// When the patience is at its end.
    pub(super) fn deadline(&self, pace: Pace) -> Instant {
        let earned = Duration::from_millis(self.written.saturating_mul(1_000) / pace.bytes_per_second);
        (self.since + earned).min(self.last_written) + pace.patience
    }
}
