//! The commit path of the journal in small, for models alone: gate, writer lock, disk, index, watermark, answers.
//!
//! The shape is that of `weir-log`'s journal. Who holds the writer lock writes: the committer, with what it then takes out of the
//! gate; the second thread, with what has come there while the committer syncs; or a writer who finds the lock free, no sync
//! on its way and the gate empty, with what it has in hand. So the order of the log is that of the lock, nobody who waits in
//! the gate is overtaken by one who comes later, and whoever comes behind a failed sync hears of it.

use crate::commit_gate::{CommitGate, GateLimits};
use crate::completion::{Completer, Completion, completion};
use crate::facade::atomic::{AtomicU64, Ordering};
use crate::facade::{Mutex, MutexGuard, lock, try_lock};
use crate::watermark::Watermark;

/// Bytes of every write; a group of this many bytes is one write.
pub(super) const WRITE_BYTES: usize = 10;

/// A write was not made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed;

/// What a writer waits for: the place of its record.
pub(super) type Answer = Result<u64, Failed>;

/// A journal of one shard.
pub(super) struct Path {
    gate: CommitGate<Completer<Answer>>,
    group_bytes_max: usize,
    /// Held by who writes.
    writer: Mutex<Writer>,
    disk: Disk,
    /// What readers find: the places of the records.
    index: Mutex<Vec<u64>>,
    pub(super) watermark: Watermark,
}

/// What is known to who writes.
#[derive(Default)]
struct Writer {
    /// The next place.
    next: u64,
    /// A sync has failed.
    failed: bool,
    /// The committer has ended.
    closed: bool,
    /// The committer syncs, without the lock.
    syncing: bool,
    /// Who was written meanwhile, for the next sync.
    ahead: Vec<Completer<Answer>>,
}

/// Places on their way to the disk. Relaxed on purpose: only the locks of the path order what is seen of them.
struct Disk {
    written: AtomicU64,
    synced: AtomicU64,
    /// The sync that fails; its number is counted in `syncs`.
    fails_at: Option<u64>,
    syncs: AtomicU64,
}

impl Path {
    pub(super) fn new(group_bytes_max: usize, fails_at: Option<u64>) -> Self {
        let counter = || AtomicU64::new(0);
        Self {
            gate: CommitGate::new(GateLimits { items: 4, bytes: 100 }),
            group_bytes_max,
            writer: Mutex::default(),
            disk: Disk { written: counter(), synced: counter(), fails_at, syncs: counter() },
            index: Mutex::new(Vec::new()),
            watermark: Watermark::new(0),
        }
    }

    /// Leaves a write for the committer; none: it is refused, the path is closed.
    pub(super) fn append(&self) -> Option<Completion<Answer>> {
        let (completer, answer) = completion();
        self.gate.try_enqueue(completer, WRITE_BYTES).ok().map(|()| answer)
    }

    /// Writes in the committer's place if that can be, else as [`Self::append`].
    pub(super) fn append_here(&self) -> Option<Completion<Answer>> {
        let (completer, answer) = completion();
        if let Some(mut writer) = try_lock(&self.writer)
            && !writer.closed
            && (!writer.syncing || cfg!(loom_broken = "commit_path_publishes_beside_a_sync"))
            && writer.ahead.is_empty()
            && (self.gate.is_idle() || cfg!(loom_broken = "commit_path_overtakes_who_waits"))
        {
            let (first, end) = self.write(&mut writer, 1);
            self.sync_and_publish(&mut writer.failed, first, end, vec![completer]);
            return Some(answer);
        }
        self.gate.try_enqueue(completer, WRITE_BYTES).ok().map(|()| answer)
    }

    pub(super) fn close(&self) {
        self.gate.close();
    }

    /// The places that a reader finds, and before which place all is synced.
    pub(super) fn read(&self) -> (Vec<u64>, u64) {
        let index = lock(&self.index).clone();
        (index, self.disk.synced.load(Ordering::Relaxed))
    }

    /// What the committer does until the gate is closed.
    pub(super) fn commit(&self) {
        let mut group = Vec::new();
        let mut has_ahead = false;
        loop {
            if !has_ahead {
                self.gate.wait();
            }
            let mut writer;
            let taken = if cfg!(loom_broken = "commit_path_takes_before_the_lock") {
                let taken = self.gate.take(self.group_bytes_max, &mut group);
                writer = lock(&self.writer);
                taken
            } else {
                writer = lock(&self.writer);
                self.gate.take(self.group_bytes_max, &mut group)
            };
            if cfg!(loom_broken = "commit_path_stops_with_a_group_in_hand") && taken.closed {
                return;
            }
            let (_, end) = self.write(&mut writer, taken.items as u64);
            let mut answers = std::mem::take(&mut writer.ahead);
            answers.append(&mut group);
            if !answers.is_empty() {
                has_ahead = self.sync_apart(writer, end, answers);
            } else if taken.closed {
                writer.closed = true;
                return;
            }
        }
    }

    /// What the second thread does until the gate is closed.
    pub(super) fn write_ahead(&self) {
        while self.gate.wait_to_be_called() {
            let mut writer = lock(&self.writer);
            if writer.syncing || cfg!(loom_broken = "commit_path_writes_ahead_of_no_sync") {
                let mut group = Vec::new();
                self.gate.take_while(&mut group, |_, _| true);
                self.write(&mut writer, group.len() as u64);
                writer.ahead.append(&mut group);
            }
        }
    }

    /// Takes places for so many writes, and brings them to the disk's cache.
    fn write(&self, writer: &mut Writer, count: u64) -> (u64, u64) {
        let first = writer.next;
        writer.next += count;
        self.disk.written.store(writer.next, Ordering::Relaxed);
        (first, writer.next)
    }

    /// Syncs up to `end` without the lock. True when something was written meanwhile.
    fn sync_apart(
        &self,
        mut writer: MutexGuard<'_, Writer>,
        end: u64,
        mut answers: Vec<Completer<Answer>>,
    ) -> bool {
        let first = end - answers.len() as u64;
        let mut failed = writer.failed;
        writer.syncing = true;
        drop(writer);
        if cfg!(loom_broken = "commit_path_answers_before_the_sync") {
            answer(std::mem::take(&mut answers), first);
        }
        self.gate.call_second(WRITE_BYTES);
        let synced = self.sync(&mut failed, end);
        let mut writer = lock(&self.writer);
        self.gate.dismiss_second();
        writer.syncing = false;
        writer.failed |= failed;
        let mut end = end;
        if cfg!(loom_broken = "commit_path_answers_who_came_during_the_sync") {
            answers.append(&mut writer.ahead);
            end = writer.next;
        }
        self.publish(synced, first, end, answers);
        !writer.ahead.is_empty()
    }

    fn sync_and_publish(&self, failed: &mut bool, first: u64, end: u64, answers: Vec<Completer<Answer>>) {
        let synced = self.sync(failed, end);
        self.publish(synced, first, end, answers);
    }

    fn sync(&self, failed: &mut bool, end: u64) -> bool {
        let knows = *failed && !cfg!(loom_broken = "commit_path_forgets_a_failure");
        let synced = !knows && self.disk.sync(end);
        *failed |= !synced;
        synced
    }

    fn publish(&self, synced: bool, first: u64, end: u64, answers: Vec<Completer<Answer>>) {
        if !synced {
            return answers.into_iter().for_each(|answer| answer.complete(Err(Failed)));
        }
        let mark_first = cfg!(loom_broken = "commit_path_raises_before_the_index");
        if mark_first {
            self.watermark.raise(end);
        }
        if cfg!(loom_broken = "commit_path_answers_before_the_index") {
            answer(answers, first);
            self.index(first, end);
            return self.watermark.raise(end);
        }
        self.index(first, end);
        if !mark_first {
            self.watermark.raise(end);
        }
        answer(answers, first);
    }

    fn index(&self, first: u64, end: u64) {
        let mut index = lock(&self.index);
        assert_eq!(index.len() as u64, first, "published without a hole, in the order of the log");
        index.extend(first..end);
    }
}

impl Disk {
    /// True when everything before `end` is on the disk.
    fn sync(&self, end: u64) -> bool {
        let number = self.syncs.fetch_add(1, Ordering::Relaxed);
        if self.fails_at == Some(number) {
            return false; // and the next sync would say yes: the kernel has forgotten what it lost
        }
        assert!(self.written.load(Ordering::Relaxed) >= end, "synced before it was written");
        self.synced.fetch_max(end, Ordering::Relaxed);
        true
    }
}

fn answer(answers: Vec<Completer<Answer>>, first: u64) {
    answers.into_iter().zip(first..).for_each(|(answer, place)| answer.complete(Ok(place)));
}

mod loom_tests;
