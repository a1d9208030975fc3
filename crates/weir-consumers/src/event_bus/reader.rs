//! The bus's reader thread: records out of the stream, events to the targets, checkpoints behind them.
//!
//! Two loops on one runtime, one that reads and one that delivers at the targets' pace. Deciding is in `dispatch`,
//! `backlog` and `progress`; this file does.

use std::{sync::atomic::Ordering, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;
use weir_client::{
    calls::Record,
    consumer::{Consumer, ShardBatch},
};
use weir_core::clock::{Monotonic, WallMs};
use weir_sync::Shutdown;

use super::{
    Event, EventBus,
    dispatch::{Dispatch, DispatchEvent},
    progress::{Mark, Progress},
};
use crate::record::Envelope;

/// How often checkpoints are written: each one is a sync of a small file. What was read since comes again after a crash.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// What the reader's two loops share.
pub(super) struct BusReader<'a> {
    bus: &'a EventBus,
    state: Mutex<State>,
    /// Something was read, or delivered.
    moved: Notify,
}

struct State {
    dispatch: Dispatch<Pending>,
    progress: Progress,
}

/// An event that waits for its turn.
struct Pending {
    /// Its number, when it is of this life.
    number: Option<u64>,
    taken_at: WallMs,
    targets: Vec<usize>,
    mark: Mark,
}

impl<'a> BusReader<'a> {
    pub(super) fn new(bus: &'a EventBus) -> Self {
        let dispatch = Dispatch::new(bus.config.order, bus.config.deliveries_per_second);
        let state = Mutex::new(State { dispatch, progress: Progress::default() });
        Self { bus, state, moved: Notify::new() }
    }

    pub(super) async fn run(&self, mut consumer: Consumer, stop: Shutdown) {
        tokio::select! {
            () = self.read(&mut consumer) => {}
            () = self.deliver() => {}
            () = stop.wait_async() => {}
        }
        self.checkpoint(&mut consumer);
    }

    async fn read(&self, consumer: &mut Consumer) {
        let mut checkpointed = self.bus.clock.now();
        loop {
            while !self.has_room() {
                self.moved.notified().await;
            }
            match consumer.poll().await {
                Ok(batch) => self.note(batch),
                Err(error) => {
                    self.bus.reads.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%error, "the stream does not read");
                }
            }
            let now = self.bus.clock.now();
            if now.since(checkpointed) >= CHECKPOINT_EVERY {
                checkpointed = now;
                self.checkpoint(consumer);
            }
        }
    }

    async fn deliver(&self) {
        loop {
            let due = self.turn(self.bus.clock.now());
            match due {
                Some(due) => tokio::time::sleep(due.since(self.bus.clock.now())).await,
                None => self.moved.notified().await,
            }
        }
    }

    /// Delivers what has its turn; returns when the next has.
    fn turn(&self, now: Monotonic) -> Option<Monotonic> {
        let mut state = self.state.lock();
        let deliveries = state.dispatch.apply(now, DispatchEvent::Tick);
        let delivered = !deliveries.is_empty();
        for pending in deliveries {
            self.hand_over(&mut state, &pending);
        }
        self.bus.counts.pending.store(state.dispatch.pending() as u64, Ordering::Relaxed);
        let due = state.dispatch.due();
        drop(state);
        if delivered {
            self.moved.notify_waiters();
        }
        due
    }

    fn hand_over(&self, state: &mut State, pending: &Pending) {
        state.progress.done(&pending.mark);
        let once = pending.number.is_none_or(|number| self.bus.backlog.lock().gone(number));
        if once {
            self.bus.delivered(&pending.targets, pending.taken_at);
        } else {
            self.bus.counts.repeated.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note(&self, batch: ShardBatch) {
        if batch.records.is_empty() {
            return;
        }
        let now = self.bus.clock.now();
        let mut state = self.state.lock();
        for record in batch.records {
            self.note_record(&mut state, now, &batch.shard_id, record);
        }
        self.bus.counts.pending.store(state.dispatch.pending() as u64, Ordering::Relaxed);
        drop(state);
        self.moved.notify_waiters();
    }

    fn note_record(&self, state: &mut State, now: Monotonic, shard_id: &str, record: Record) {
        let mark = state.progress.read(shard_id, record.sequence_number);
        let Some(envelope) = Envelope::<Event>::decode(&record.data, &self.bus.name) else {
            self.bus.reads.foreign.fetch_add(1, Ordering::Relaxed);
            state.progress.done(&mark);
            return;
        };
        self.bus.reads.records.fetch_add(1, Ordering::Relaxed);
        let number = (envelope.life == self.bus.outbox.life()).then_some(envelope.number);
        if number.is_some_and(|number| !self.bus.backlog.lock().holds(number)) {
            self.bus.counts.repeated.fetch_add(1, Ordering::Relaxed);
            state.progress.done(&mark);
            return;
        }
        let rules = self.bus.config.rules.iter().enumerate();
        let targets: Vec<usize> =
            rules.filter(|(_, rule)| rule.wants(&envelope.body)).map(|(index, _)| index).collect();
        if targets.is_empty() {
            self.bus.counts.unmatched.fetch_add(1, Ordering::Relaxed);
            if let Some(number) = number {
                self.bus.backlog.lock().gone(number);
            }
            state.progress.done(&mark);
            return;
        }
        let pending = Pending { number, taken_at: envelope.at, targets, mark };
        for pending in state.dispatch.apply(now, DispatchEvent::Read(envelope.at, pending)) {
            self.hand_over(state, &pending);
        }
    }

    fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.dispatch.has_room() && state.progress.has_room()
    }

    fn checkpoint(&self, consumer: &mut Consumer) {
        let checkpoints = self.state.lock().progress.checkpoints();
        for (shard_id, sequence_number) in checkpoints {
            if let Err(error) = consumer.checkpoint(&shard_id, &sequence_number) {
                // The next one holds it as well; until then a crash would repeat a little more.
                tracing::warn!(%error, "checkpoint not written");
            }
        }
    }
}
