//! Where a service hands its records over: numbers them, dresses them and pushes them into the buffer.
//!
//! Shared by the workers. A push may block under the policy `block`, and only there.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde::Serialize;
use weir_core::{
    clock::{Clock, WallMs},
    id::ServerName,
};

use crate::{
    buffer::{Buffer, Entry, Pushed},
    record::Envelope,
};

/// The way into the buffer.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    from: ServerName,
    life: u64,
    clock: Clock,
    next: Arc<AtomicU64>,
    buffer: Arc<Buffer>,
}

impl Outbox {
    pub(crate) fn new(from: ServerName, life: u64, clock: Clock, buffer: Arc<Buffer>) -> Self {
        Self { from, life, clock, next: Arc::default(), buffer }
    }

    /// Its life: a random number drawn at the start.
    pub(crate) fn life(&self) -> u64 {
        self.life
    }

    /// A record of its own number and of now.
    pub(crate) fn push<T: Serialize>(&self, partition_key: &str, body: T) -> Pushed {
        self.push_as(self.number(), self.clock.wall(), partition_key, body)
    }

    /// The next number: for whoever must know it before the push.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// As [`Outbox::push`], with a number that was drawn and a time that was taken before.
    pub(crate) fn push_as<T: Serialize>(
        &self,
        number: u64,
        at: WallMs,
        partition_key: &str,
        body: T,
    ) -> Pushed {
        let envelope = Envelope { from: self.from.clone(), life: self.life, number, at, body };
        self.buffer.push(Entry {
            number,
            at,
            partition_key: partition_key.into(),
            data: envelope.encode(),
            in_file: false,
        })
    }
}
