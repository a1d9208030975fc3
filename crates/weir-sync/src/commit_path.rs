//! The commit path of the journal in small, for models alone: gate, two committers, disk, index, watermark, answers.
//!
//! The shape is that of `weir-log`'s journal, and everything that has a lock there has one here; but the journal has
//! one committer, and this has two, which allows all that one can do and more. They go hand over hand: one holds the
//! write lock, takes a group and writes it; it takes the sync lock before it lets go of the write lock, syncs and
//! publishes, while the other writes the next group and then waits for the sync lock. So the order of publication is
//! the order of the log, and a group whose predecessor's sync failed hears of it.

use crate::commit_gate::{CommitGate, GateLimits};
use crate::completion::{Completer, Completion, completion};
use crate::facade::atomic::{AtomicU64, Ordering};
use crate::facade::{Mutex, lock};
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
    /// Held by who takes a group and writes it: the next place.
    writing: Mutex<u64>,
    /// Held by who syncs and publishes: has a sync failed?
    syncing: Mutex<bool>,
    disk: Disk,
    /// What readers find: the places of the records.
    index: Mutex<Vec<u64>>,
    pub(super) watermark: Watermark,
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
            writing: Mutex::new(0),
            syncing: Mutex::new(false),
            disk: Disk { written: counter(), synced: counter(), fails_at, syncs: counter() },
            index: Mutex::new(Vec::new()),
            watermark: Watermark::new(0),
        }
    }

    /// Leaves a write; none: it is refused, the path is closed.
    pub(super) fn append(&self) -> Option<Completion<Answer>> {
        let (completer, answer) = completion();
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

    /// What each of the two committers does until the gate is closed.
    pub(super) fn commit(&self) {
        let mut group = Vec::new();
        loop {
            let mut next = lock(&self.writing);
            let taken = self.gate.take_all(self.group_bytes_max, &mut group);
            if cfg!(loom_broken = "commit_path_stops_with_a_group_in_hand") && taken.closed {
                return;
            }
            if taken.items > 0 {
                let first = *next;
                *next += taken.items as u64;
                let end = *next;
                self.disk.written.store(end, Ordering::Relaxed);
                let mut failed = if cfg!(loom_broken = "commit_path_lets_go_too_early") {
                    drop(next);
                    lock(&self.syncing)
                } else {
                    let failed = lock(&self.syncing);
                    drop(next); // the other may write the next group while this one syncs
                    failed
                };
                let answers = std::mem::take(&mut group);
                if cfg!(loom_broken = "commit_path_answers_before_the_sync") {
                    answer(answers, first);
                    self.sync_and_publish(&mut failed, first, end, Vec::new());
                } else if cfg!(loom_broken = "commit_path_notes_a_failure_late") {
                    let mut unlocked = *failed;
                    drop(failed);
                    self.sync_and_publish(&mut unlocked, first, end, answers);
                    *lock(&self.syncing) |= unlocked;
                } else {
                    self.sync_and_publish(&mut failed, first, end, answers);
                }
            }
            if taken.closed {
                return;
            }
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
