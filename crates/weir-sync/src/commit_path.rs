//! The commit path of the journal in small, for models alone: gate, writer lock, disk, index, watermark, answers.
//!
//! The shape is that of `weir-log`'s journal. Who holds the writer lock writes: the committer, with what it then takes out of the
//! gate, or a writer who finds the lock free and the gate empty, with what it has in hand. So the order of the log is that of
//! the lock, nobody who waits in the gate is overtaken by one who comes later, and whoever comes behind a failed sync
//! hears of it.

use crate::commit_gate::{CommitGate, GateLimits};
use crate::completion::{Completer, Completion, completion};
use crate::facade::atomic::{AtomicU64, Ordering};
use crate::facade::{Mutex, lock, try_lock};
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
            && (self.gate.is_idle() || cfg!(loom_broken = "commit_path_overtakes_who_waits"))
        {
            self.write(&mut writer, vec![completer]);
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
        loop {
            self.gate.wait();
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
            if taken.items > 0 {
                self.write(&mut writer, std::mem::take(&mut group));
            }
            if taken.closed {
                writer.closed = true;
                return;
            }
        }
    }

    fn write(&self, writer: &mut Writer, answers: Vec<Completer<Answer>>) {
        let first = writer.next;
        writer.next += answers.len() as u64;
        let end = writer.next;
        self.disk.written.store(end, Ordering::Relaxed);
        if cfg!(loom_broken = "commit_path_answers_before_the_sync") {
            answer(answers, first);
            self.sync_and_publish(&mut writer.failed, first, end, Vec::new());
        } else {
            self.sync_and_publish(&mut writer.failed, first, end, answers);
        }
    }

    fn sync_and_publish(&self, failed: &mut bool, first: u64, end: u64, answers: Vec<Completer<Answer>>) {
        let knows = *failed && !cfg!(loom_broken = "commit_path_forgets_a_failure");
        if knows || !self.disk.sync(end) {
            *failed = true;
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
