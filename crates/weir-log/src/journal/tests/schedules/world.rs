//! A journal, its disk, and what a seed does to them.
//!
//! The drawing is here; what is heard is judged here, too, against the model. `looks.rs` has the reads.

use nix::errno::Errno;
use rand::{RngExt, seq::IndexedRandom};
use weir_core::entropy::{self, Rng};

use super::{
    calls::{Call, Heard, Told, Why},
    looks::Waiter,
    model::{Model, Op},
    tally::Tally,
    *,
};
use crate::disk::{
    Disk,
    fault::{Hold, Operation},
};

/// More than any schedule fills.
const ROOMY: u64 = 1 << 30;
/// Openings that faults may spoil before they are mended.
const SPOILT_MAX: u32 = 3;

/// How a journal's life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// In order.
    Close,
    /// kill -9.
    Kill,
    /// And the machine with it.
    Power,
}

pub(super) struct World {
    pub(super) rng: Rng,
    durability: Durability,
    segment_bytes: u64,
    cache_bytes_max: usize,
    kernel_cache_bytes: u64,
    queue_items_max: usize,
    overlap_bytes_min: usize,
    zeros_ahead: bool,
    /// Many and large writes, most of them for one stream: many segments, of which little is left when that is trimmed.
    is_long: bool,
    pub(super) disk: FaultDisk,
    journal: Option<Journal>,
    pub(super) model: Model,
    /// Faults that had happened when the journal opened.
    faults_before: u64,
    /// The disk was short of room since the journal opened, or is.
    was_full: bool,
    /// A write failed: nothing is acknowledged any more.
    has_failed: bool,
    written: u64,
    pub(super) tally: Tally,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = entropy::seeded(seed, "schedule");
        let durabilities =
            [Durability::Fsync, Durability::Fsync, Durability::Fsync, Durability::Os, Durability::Os];
        let mut world = Self {
            durability: *durabilities.choose(&mut rng).unwrap(),
            segment_bytes: *[32, 40, 64].choose(&mut rng).unwrap() * 1024,
            cache_bytes_max: *[0, 3_000, 1 << 20].choose(&mut rng).unwrap(),
            kernel_cache_bytes: *[0, 64 * 1024, u64::MAX].choose(&mut rng).unwrap(),
            queue_items_max: *[6, 1_000, 1_000].choose(&mut rng).unwrap(),
            overlap_bytes_min: *[1, 1, 5_000, usize::MAX].choose(&mut rng).unwrap(),
            zeros_ahead: rng.random_ratio(1, 8),
            is_long: rng.random_ratio(1, 20),
            disk: FaultDisk::new(seed, ROOMY),
            journal: None,
            model: Model::default(),
            faults_before: 0,
            was_full: false,
            has_failed: false,
            written: 0,
            tally: Tally { schedules: 1, ..Tally::default() },
            rng,
        };
        if world.one_in(12) {
            world.durability = Durability::Memory;
        }
        world.open(false);
        world
    }

    pub(super) fn run(&mut self) {
        for shard in 0..self.rng.random_range(1..=3) {
            self.write(Op::Open { key: key(1, shard), epoch: 1, life: u64::from(shard) });
        }
        let steps = if self.is_long { 100..=300 } else { 10..=80 };
        for _ in 0..self.rng.random_range(steps) {
            self.step();
        }
        // However it ends, what was acknowledged is there.
        let end = *[End::Close, End::Kill, End::Power].choose(&mut self.rng).unwrap();
        self.restart(end);
    }

    pub(super) fn journal(&self) -> &Journal {
        self.journal.as_ref().expect("open between steps")
    }

    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_ratio(1, n)
    }

    fn step(&mut self) {
        self.tally.steps += 1;
        if (self.has_failed || !self.disk.is_powered()) && self.one_in(3) {
            let end = *[End::Close, End::Kill, End::Power].choose(&mut self.rng).unwrap();
            return self.restart(end);
        }
        if self.is_long && self.one_in(8) {
            return self.trim();
        }
        match self.rng.random_range(0..36) {
            0..10 => {
                let op = self.draw();
                self.write(op);
            }
            10..18 => self.burst(),
            18..25 => self.look(),
            25..27 => self.trim(),
            27..30 => self.arm(),
            30 => self.make_room_or_take_it(),
            31 => self.disk.shorten_writes(),
            32 => self.restart(End::Close),
            33 => self.restart(End::Kill),
            34 => self.restart(End::Power),
            _ => self.disk.lose_power_at(self.disk.changes() + self.rng.random_range(1..30)),
        }
    }

    /// A write to a random shard.
    fn draw(&mut self) -> Op {
        let stream = if self.is_long && !self.one_in(8) { 1 } else { self.rng.random_range(1..=2) };
        let key = key(stream, self.rng.random_range(0..2));
        self.written += 1;
        match self.rng.random_range(0..20) {
            0..4 => Op::Open { key, epoch: self.rng.random_range(1..4), life: 100 + self.written },
            4 => Op::Close { key },
            5 => Op::Delete { key },
            _ => {
                let lengths =
                    if self.is_long { [1_500, 4_000, 4_000, 4_000] } else { [10, 100, 1_500, 4_000] };
                let longest = *lengths.choose(&mut self.rng).unwrap();
                let texts = (0..self.rng.random_range(1..5)).map(|n| {
                    let filler = "t".repeat(self.rng.random_range(0..longest));
                    format!("{}-{n}-{filler}", self.written)
                });
                Op::Append { key, texts: texts.collect() }
            }
        }
    }

    /// One write, and its answer.
    fn write(&mut self, op: Op) {
        let here = self.one_in(2);
        let call =
            if here { Call::begin_here(self.journal(), op) } else { Call::begin(self.journal(), op, || ()) };
        let heard = call.heard();
        self.learn(call.op, heard, false);
    }

    /// Writes that wait together, some of them for a disk that is held up; read meanwhile, or ended.
    fn burst(&mut self) {
        let waiter = Waiter::draw(self);
        let (hold, mut calls) = self.begin_held();
        let mut deleted = Vec::new();
        for _ in 0..self.rng.random_range(2..14) {
            let op = self.draw();
            // Which life of a shard a write behind its deletion is for depends on when that is seen.
            if !deleted.contains(&op.key()) {
                deleted.extend(matches!(op, Op::Delete { .. }).then_some(op.key()));
                calls.push(Call::begin(self.journal(), op, || ()));
            }
        }
        let glimpse = self.glimpse(&calls);
        let end = self.one_in(6).then(|| *[End::Close, End::Kill, End::Power].choose(&mut self.rng).unwrap());
        match end {
            Some(end @ (End::Kill | End::Power)) => return self.end_amid(end, calls, hold),
            Some(End::Close) | None => drop(hold),
        }
        if end.is_some() {
            self.journal().close();
        }
        for call in calls {
            let heard = call.heard();
            self.learn(call.op, heard, true);
        }
        self.judge_glimpse(glimpse);
        waiter.judge(self);
        if end.is_some() {
            self.restart(End::Close);
        }
    }

    /// Holds up the disk and has the committer run into it.
    fn begin_held(&mut self) -> (Option<Hold>, Vec<Call>) {
        if self.one_in(4) {
            return (None, Vec::new());
        }
        let syncs = self.durability == Durability::Fsync && self.one_in(2);
        let operation = if syncs { Operation::Sync } else { Operation::Write };
        let (met, is_met) = sync_channel(2);
        let answered = met.clone();
        let sign = move |sign: SyncSender<()>| {
            let _ = sign.send(()); // one is enough: nobody listens to a second
        };
        let hold = self.disk.hold(operation, move || sign(met));
        let op = self.draw();
        let call = Call::begin(self.journal(), op, move || sign(answered));
        is_met.recv().expect("held up or answered");
        (Some(hold), vec![call])
    }

    /// The process dies while writes wait: those that were answered before are as they were told.
    fn end_amid(&mut self, end: End, calls: Vec<Call>, hold: Option<Hold>) {
        let mut heard: Vec<_> = calls.iter().map(Call::heard_so_far).collect();
        let done = |heard: &Option<Heard>| matches!(heard, Some(Heard::Done(_)));
        let answered = heard.iter().rposition(done).map_or(0, |last| last + 1);
        for (call, heard) in calls.iter().zip(&mut heard).take(answered) {
            heard.get_or_insert_with(|| call.heard()); // answers come in order: this one was on its way
        }
        let (end, disk) = self.after(end);
        drop(hold);
        for (call, heard) in calls.into_iter().zip(heard) {
            match heard {
                Some(heard) => self.learn(call.op, heard, true),
                // Refused between the look at the answers and the end, or behind it: what was refused was never written.
                None if call.heard().is_without_effect() => {}
                None => self.model.suspect(call.op),
            }
        }
        self.tally.amid += 1;
        self.reopen(end, disk);
    }

    /// Judges an answer, and notes what it means.
    fn learn(&mut self, op: Op, heard: Heard, in_a_burst: bool) {
        let shown = self.model.shown.get(&op.key());
        let trouble = self.disk.faults_happened() > self.faults_before;
        match heard {
            Heard::Done(told) => {
                assert!(!self.has_failed, "{op:?} is acknowledged after a write that failed");
                match told {
                    Told::First(first) => {
                        assert!(
                            shown.is_some_and(|life| !life.closed && life.end() == first),
                            "{op:?}: {first}"
                        );
                    }
                    Told::End(end) => assert_eq!(shown.map(model::Life::end), Some(end), "{op:?}"),
                    Told::Nothing => {}
                }
                self.tally.acknowledged += 1;
                self.model.acknowledge(op);
            }
            Heard::Refused { why: Why::Storage, effect, text } => {
                assert!(trouble && effect == Effect::Unknown, "{op:?}: {text}");
                assert!(text.contains(" data/") || text.contains(" data:"), "which file or folder: {text}");
                self.has_failed = true;
                self.tally.failed += 1;
                self.model.suspect(op);
            }
            Heard::Refused { why, effect, text } => {
                let is_so = match why {
                    Why::NoShard => in_a_burst || shown.is_none(),
                    Why::Ended => in_a_burst || shown.is_some_and(|life| life.closed),
                    Why::Stale => matches!(op, Op::Open { epoch, .. } if in_a_burst
                        || shown.is_some_and(|life| life.epoch > epoch)),
                    Why::TooLarge => op.bytes() > 7_000, // a quarter of a segment less some
                    Why::Busy => in_a_burst && self.queue_items_max < 10,
                    Why::NoRoom => self.was_full || trouble,
                    Why::Stopped => trouble && self.journal().stopped().is_some(),
                    Why::Closed => in_a_burst,
                    Why::Storage | Why::Never => false,
                };
                assert!(is_so && effect == Effect::None, "{op:?} with {shown:?}: {text}");
                self.tally.refused(why);
            }
        }
    }

    /// Trims one stream, or both.
    fn trim(&mut self) {
        let which = if self.is_long { 1 } else { self.rng.random_range(1..=3u64) };
        let trimmed = move |key: ShardKey| key.stream.0 & which != 0;
        let keep = move |key: ShardKey| if trimmed(key) { Duration::ZERO } else { Duration::MAX };
        let outcome = wait(|done| self.journal().retain(keep, WallMs(u64::MAX), done));
        self.model.trim(trimmed);
        match outcome {
            Ok(RetainOutcome { segments_dropped }) => self.tally.dropped += segments_dropped as u64,
            Err(error) => self.has_failed |= error.effect() == Effect::Unknown,
        }
        match self.rng.random_range(0..4) {
            0..2 => self.rewrite(),
            2 => self.journal().rewrite(|_| ()), // goes on beside what comes next
            _ => {}
        }
    }

    fn rewrite(&mut self) {
        match wait(|done| self.journal().rewrite(done)) {
            Ok(RewriteOutcome { segments_rewritten, .. }) => {
                self.tally.rewritten += segments_rewritten as u64;
            }
            Err(error) => {
                let trouble = self.was_full || self.disk.faults_happened() > self.faults_before;
                assert!(trouble || self.has_failed, "{error}");
            }
        }
    }

    /// Something will fail, now or a little later.
    fn arm(&mut self) {
        let (operation, errno) = *[
            (Operation::Write, Errno::EIO),
            (Operation::Write, Errno::ENOSPC),
            (Operation::Sync, Errno::EIO),
            (Operation::Sync, Errno::EIO),
            (Operation::Read, Errno::EIO),
            (Operation::LayOut, Errno::ENOSPC),
            (Operation::LayOut, Errno::EIO),
            (Operation::Rename, Errno::EIO),
            (Operation::Remove, Errno::EIO),
            (Operation::SyncFolder, Errno::EIO),
        ]
        .choose(&mut self.rng)
        .unwrap();
        self.disk.fail_after(operation, self.rng.random_range(0..4), errno);
    }

    fn make_room_or_take_it(&mut self) {
        let segments = *[0, 1, 2, 1_000].choose(&mut self.rng).unwrap();
        self.disk.set_free_bytes(segments * self.segment_bytes);
        self.was_full |= segments < 1_000;
    }

    /// How it ends, which without power is one way only, and the disk as the next process finds it.
    fn after(&mut self, end: End) -> (End, FaultDisk) {
        let seed = self.rng.random();
        let end = if self.disk.is_powered() { end } else { End::Power };
        let disk = match end {
            End::Close => self.disk.clone(),
            End::Kill | End::Power if self.durability == Durability::Memory => FaultDisk::new(seed, ROOMY),
            End::Kill => self.disk.after_kill(seed),
            End::Power => self.disk.after_power_loss(seed),
        };
        (end, disk)
    }

    fn restart(&mut self, end: End) {
        if end == End::Close {
            self.journal().close();
        }
        let (end, disk) = self.after(end);
        self.reopen(end, disk);
    }

    /// A new process on what the last one left.
    fn reopen(&mut self, end: End, disk: FaultDisk) {
        self.tally.overlapped += self.journal().metrics().groups_overlapped;
        self.journal = None; // what it still writes goes to the disk of the dead
        self.disk = disk;
        self.tally.ended(end);
        let lost = self.lost_by(end);
        self.open(lost);
    }

    /// Does such an end take what was acknowledged? All of it, as the model is told, or the newest of it.
    fn lost_by(&mut self, end: End) -> bool {
        if self.durability == Durability::Memory && end != End::Close {
            self.model.forget();
        }
        self.durability == Durability::Os && end == End::Power
    }

    /// Opens, reads everything and compares.
    fn open(&mut self, mut acknowledged_may_be_lost: bool) {
        let found = loop {
            let report = self.open_patiently(&mut acknowledged_may_be_lost);
            assert_eq!(report.damage, [], "what a crash leaves is no damage");
            self.tally.torn += u64::from(report.torn_tail.is_some());
            match self.find() {
                Some(found) => break found,
                None => self.lose_power(&mut acknowledged_may_be_lost), // while a segment was filled with zeros
            }
        };
        self.was_full = self.disk.free_bytes(Path::new("data")).unwrap() < 100 * self.segment_bytes;
        self.has_failed = false;
        let (kept, unknown) = self.model.settle(&found, acknowledged_may_be_lost);
        self.tally.unknown_kept += kept as u64;
        self.tally.unknown += unknown as u64;
    }

    /// Opens, again and again if faults have it so.
    fn open_patiently(&mut self, acknowledged_may_be_lost: &mut bool) -> RecoveryReport {
        let mut spoilt = 0;
        loop {
            self.faults_before = self.disk.faults_happened();
            let error = match Journal::open(self.config(), &Threads::new(), Clock::new()) {
                // What did not read in this opening is told by it; the next one must find nothing.
                Ok((journal, report))
                    if !report.damage.is_empty() && self.disk.faults_happened() > self.faults_before =>
                {
                    drop(journal);
                    format!("data: {report:?}")
                }
                Ok((journal, report)) => {
                    self.journal = Some(journal);
                    return report;
                }
                Err(error) => error.to_string(),
            };
            let trouble = self.disk.faults_happened() > self.faults_before || self.was_full;
            assert!(trouble && error.contains("data"), "{error}");
            self.tally.spoilt_openings += 1;
            spoilt += 1;
            if !self.disk.is_powered() {
                self.lose_power(acknowledged_may_be_lost);
            } else if spoilt >= SPOILT_MAX {
                self.disk.mend();
                self.disk.set_free_bytes(ROOMY);
            }
        }
    }

    fn lose_power(&mut self, acknowledged_may_be_lost: &mut bool) {
        self.journal = None;
        self.disk = self.after(End::Power).1;
        *acknowledged_may_be_lost |= self.lost_by(End::Power);
    }

    fn config(&self) -> JournalConfig {
        JournalConfig {
            segment_bytes: self.segment_bytes,
            cache_bytes_max: self.cache_bytes_max,
            kernel_cache_bytes: self.kernel_cache_bytes,
            queue_items_max: self.queue_items_max,
            overlap_bytes_min: self.overlap_bytes_min,
            zeros_ahead: self.zeros_ahead,
            ..config_of(&self.disk, self.durability)
        }
    }
}
