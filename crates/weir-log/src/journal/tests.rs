//! The journal as its users see it. The other files of this folder break its disk.

mod damage;
mod every_bit;
mod faults;
mod forged;
mod model;
mod overlap;
mod reading;
mod rewriting;
mod rewritten;
mod schedules;
mod unreadable;

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};

use nix::errno::Errno;
use weir_core::{
    batch::{Batch, BatchBuilder, Record},
    effect::Effect,
    hash_key::HashKeyRange,
    id::{AccountId, Epoch, Region, ShardIndex, StreamId, StreamName},
    limits::SPARE_SEGMENTS_MAX,
};

use super::*;
use crate::{
    ReadError,
    disk::fault::{FaultDisk, Operation},
    error::AppendError,
};

const SEGMENT_BYTES: u64 = 32 * 1024;

fn config(disk: &FaultDisk) -> JournalConfig {
    config_of(disk, Durability::Fsync)
}

fn config_of(disk: &FaultDisk, durability: Durability) -> JournalConfig {
    JournalConfig {
        segment_bytes: SEGMENT_BYTES,
        reserve_bytes: 0,
        zeros_ahead: false, // faults are planned by the count of what was asked of the disk
        disk: Arc::new(disk.clone()),
        ..JournalConfig::new("data", durability)
    }
}

fn disk() -> FaultDisk {
    FaultDisk::new(1, 1 << 30)
}

fn open(disk: &FaultDisk) -> (Journal, RecoveryReport) {
    Journal::open(config(disk), &Threads::new(), Clock::new()).unwrap()
}

fn key(stream: u64, shard: u32) -> ShardKey {
    ShardKey { stream: StreamId(stream), shard: ShardIndex(shard) }
}

fn owned(key: ShardKey, epoch: u64) -> OwnedShard {
    OwnedShard {
        key,
        account: AccountId::new(42).unwrap(),
        region: Region::US_EAST_1,
        stream_name: StreamName::new(format!("stream-{}", key.stream)),
        range: HashKeyRange::ALL,
        created_ms: 1_600_000_000_000,
        epoch: Epoch(epoch),
        parents: [None; 2],
        closed: None,
    }
}

/// One record for each text.
fn batch(texts: &[&str]) -> Batch {
    let mut builder = BatchBuilder::default();
    for text in texts {
        builder.push(&Record { partition_key: "key".into(), explicit_hash_key: None, data: text.as_bytes() });
    }
    builder.finish()
}

/// Calls with a callback and waits for it.
fn wait<T: Send + 'static>(call: impl FnOnce(Box<dyn FnOnce(T) + Send>)) -> T {
    let (answer, answered) = sync_channel(1);
    call(Box::new(move |outcome| answer.send(outcome).unwrap()));
    answered.recv().unwrap()
}

fn open_shard(journal: &Journal, key: ShardKey) {
    wait(|done| journal.open_shard(owned(key, 1), done)).unwrap();
}

fn append(journal: &Journal, key: ShardKey, texts: &[&str]) -> Result<AppendOutcome, AppendError> {
    wait(|done| journal.append(Append::new(key, batch(texts), done)))
}

/// Appends without waiting.
fn begin_append(
    journal: &Journal,
    key: ShardKey,
    texts: &[&str],
) -> Receiver<Result<AppendOutcome, AppendError>> {
    let (answer, answered) = sync_channel(1);
    journal.append(Append::new(key, batch(texts), move |outcome| answer.send(outcome).unwrap()));
    answered
}

/// Holds the committer inside a callback, behind a record `held`, until it is told: what comes now waits and is one group.
fn hold_committer(journal: &Journal, key: ShardKey) -> SyncSender<()> {
    let (release, held) = sync_channel(0);
    journal.append(Append::new(key, batch(&["held"]), move |_| held.recv().unwrap()));
    release
}

fn retain(journal: &Journal, keep: impl Fn(ShardKey) -> Duration, now: u64) -> RetainOutcome {
    wait(|done| journal.retain(keep, WallMs(now), done)).unwrap()
}

fn rewrite(journal: &Journal) -> RewriteOutcome {
    wait(|done| journal.rewrite(done)).unwrap()
}

/// All records from `from` on, read in steps that cut batches.
fn read_all(journal: &Journal, key: ShardKey, mut from: RecordIndex) -> Result<Vec<String>, ReadError> {
    let mut texts = Vec::new();
    loop {
        let read = journal.read(key, from, 3, 200)?;
        let mut at = from;
        for stored in &read.batches {
            assert!(stored.first <= at && stored.end() > at, "no hole at {at}");
            let skipped = usize::try_from(at - stored.first).unwrap();
            let records = stored.batch.records().skip(skipped);
            texts.extend(records.map(|record| String::from_utf8(record.data.to_vec()).unwrap()));
            at = stored.end();
        }
        if at == from {
            assert_eq!(from, read.tip, "a read that returns nothing is at the tip");
            return Ok(texts);
        }
        from = at;
    }
}

/// A text that makes segments fill up in a few dozen appends.
fn long(n: usize) -> String {
    format!("{n:04}-{}", "x".repeat(900))
}

#[test]
fn what_is_appended_is_read_back_in_order_from_any_record() {
    let (journal, report) = open(&disk());
    assert_eq!(report.damage, []);
    let (a, b) = (key(1, 0), key(1, 1));
    open_shard(&journal, a);
    open_shard(&journal, b);
    assert_eq!(append(&journal, a, &["a0", "a1", "a2"]).unwrap().first, 0);
    assert_eq!(append(&journal, b, &["b0"]).unwrap().first, 0);
    let outcome = append(&journal, a, &["a3"]).unwrap();
    assert_eq!((outcome.first, outcome.count), (3, 1));
    assert_eq!(read_all(&journal, a, 0).unwrap(), ["a0", "a1", "a2", "a3"]);
    assert_eq!(read_all(&journal, a, 1).unwrap(), ["a1", "a2", "a3"]);
    assert_eq!(read_all(&journal, a, 4).unwrap(), [""; 0]);
    assert_eq!(read_all(&journal, b, 0).unwrap(), ["b0"]);
    assert!(matches!(journal.read(a, 5, 1, 1), Err(ReadError::BeyondTip { tip: 4, .. })));
    assert!(matches!(journal.read(key(9, 9), 0, 1, 1), Err(ReadError::NoShard { .. })));
}

#[test]
fn a_closed_journal_opens_from_its_footer_and_goes_on() {
    let disk = disk();
    let shard = key(7, 3);
    for round in 0..5usize {
        let (journal, report) = open(&disk);
        assert_eq!((report.damage, report.torn_tail), (vec![], None));
        assert_eq!(report.footers_read, usize::from(round > 0));
        if round == 0 {
            open_shard(&journal, shard);
        }
        let text = format!("round {round}");
        assert_eq!(append(&journal, shard, &[&text]).unwrap().first, round as u64);
        let expected: Vec<_> = (0..=round).map(|round| format!("round {round}")).collect();
        assert_eq!(read_all(&journal, shard, 0).unwrap(), expected);
        assert_eq!(journal.shards()[0].owned, owned(shard, 1));
    }
}

#[test]
fn a_killed_journal_opens_by_a_scan_with_everything_acknowledged() {
    let disk = disk();
    let shard = key(7, 3);
    let (journal, _) = open(&disk);
    open_shard(&journal, shard);
    let texts: Vec<_> = (0..80).map(long).collect();
    for text in &texts {
        append(&journal, shard, &[text]).unwrap();
    }
    let (again, report) = open(&disk.after_kill(2));
    assert_eq!((report.damage, report.torn_tail), (vec![], None));
    assert!(
        report.segments >= 2 && report.footers_read == report.segments - 1,
        "{report:?}",
        report = report.segments
    );
    assert_eq!(report.records, 80);
    assert_eq!(read_all(&again, shard, 0).unwrap(), texts);
    assert_eq!(append(&again, shard, &["next"]).unwrap().first, 80);
}

#[test]
fn places_are_found_by_name_and_by_time() {
    let (journal, _) = open(&disk());
    let shard = key(1, 0);
    open_shard(&journal, shard);
    let first = append(&journal, shard, &["a", "b"]).unwrap();
    let mut second = append(&journal, shard, &["c"]).unwrap();
    while second.arrived == first.arrived {
        second = append(&journal, shard, &["c"]).unwrap();
    }
    assert_eq!(journal.position(shard, At::TrimHorizon).unwrap(), 0);
    assert_eq!(journal.position(shard, At::Latest).unwrap(), second.first + 1);
    assert_eq!(journal.position(shard, At::Timestamp(WallMs(0))).unwrap(), 0);
    assert_eq!(journal.position(shard, At::Timestamp(second.arrived)).unwrap(), second.first);
    let after = WallMs(second.arrived.0 + 1);
    assert_eq!(journal.position(shard, At::Timestamp(after)).unwrap(), second.first + 1);
}

#[test]
fn appends_that_come_while_a_group_is_written_share_the_next_sync() {
    let (journal, _) = open(&disk());
    let shard = key(1, 0);
    open_shard(&journal, shard);
    // The committer is held inside a callback, as if its sync took that long.
    let release = hold_committer(&journal, shard);
    let answers: Vec<_> = (1..=100).map(|_| begin_append(&journal, shard, &["record"])).collect();
    let before = journal.metrics().syncs;
    release.send(()).unwrap();
    for (at, answer) in (1..).zip(answers) {
        assert_eq!(answer.recv().unwrap().unwrap().first, at, "order of calls is order of numbers");
    }
    let metrics = journal.metrics();
    assert_eq!(metrics.appends, 101);
    // One for whatever waited at the release, one more if the first append was still unwritten before.
    assert!(metrics.syncs - before <= 2, "{} syncs for 100 appends", metrics.syncs - before);
    assert_eq!(read_all(&journal, shard, 0).unwrap().len(), 101);
}

#[test]
fn a_caller_who_is_alone_commits_its_records_itself() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let shard = key(1, 0);
    open_shard(&journal, shard);
    let here = std::thread::current().id();
    let append_here = || {
        let syncs = journal.metrics().syncs;
        let (by, outcome) = wait(|answer| {
            let tell = move |outcome| answer((std::thread::current().id(), outcome));
            journal.append_here(vec![Append::new(shard, batch(&["record"]), tell)]);
        });
        assert_eq!(journal.metrics().syncs, syncs + 1);
        (by, outcome.unwrap().first)
    };
    // The committer may hold the lock still, over what is not waited for.
    let (_, last) = std::iter::from_fn(|| Some(append_here())).find(|(by, _)| *by == here).unwrap();
    let metrics = journal.metrics();
    assert_eq!((metrics.groups_by_caller, metrics.groups), (1, last + 2), "the opening is a group, too");
    assert_eq!(read_all(&journal, shard, 0).unwrap().len() as u64, last + 1);
    let after = open(&disk.after_power_loss(1)).0;
    assert_eq!(read_all(&after, shard, 0).unwrap().len() as u64, last + 1, "as durable as any");
}

/// What the committer says to a caller who would have it write this, whoever else wants it.
fn offer(journal: &Journal, key: ShardKey, text: &str) -> Result<(), Vec<Append>> {
    let mut held = journal.writer.lock();
    held.as_mut().expect("the journal is open").commit_here(vec![Append::new(key, batch(&[text]), |_| ())])
}

#[test]
fn a_caller_commits_itself_only_what_is_done_in_a_moment_and_overtakes_nobody() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let shard = key(1, 0);
    open_shard(&journal, shard);
    let quick = |journal: &Journal| journal.writer.lock().as_mut().unwrap().last_flush = Duration::ZERO;
    quick(&journal);
    offer(&journal, shard, "record").unwrap();

    let mut held = journal.writer.lock();
    let left = begin_append(&journal, shard, &["left"]);
    let behind = Append::new(shard, batch(&["behind"]), |_| ());
    assert!(held.as_mut().unwrap().commit_here(vec![behind]).is_err(), "somebody waits");
    drop(held);
    left.recv().unwrap().unwrap();

    journal.writer.lock().as_mut().unwrap().last_flush = 2 * weir_core::limits::COMMIT_HERE_FLUSH_MAX;
    assert!(offer(&journal, shard, "record").is_err(), "the disk was slow");
    let offered = std::iter::repeat_with(|| {
        quick(&journal);
        offer(&journal, shard, &"t".repeat(3_000))
    });
    assert!(offered.take(20).any(|outcome| outcome.is_err()), "the segment is full");
    assert_eq!(journal.metrics().rolls, 0, "who commits itself never rolls");
    append(&journal, shard, &["r".repeat(3_000).as_str()]).unwrap();
    assert_eq!(journal.metrics().rolls, 1);
    let mut held = journal.writer.lock();
    journal.shared.gate.close();
    let late = Append::new(shard, batch(&["late"]), |_| ());
    assert!(held.as_mut().unwrap().commit_here(vec![late]).is_err(), "closed");
}

#[test]
fn a_caller_does_not_commit_itself_what_takes_long_to_write() {
    let disk = disk();
    let segment_bytes = 16 * weir_core::limits::MIB as u64;
    let config = JournalConfig { segment_bytes, ..config(&disk) };
    let (journal, _) = Journal::open(config, &Threads::new(), Clock::new()).unwrap();
    let shard = key(1, 0);
    open_shard(&journal, shard);
    let text = "t".repeat(weir_core::limits::COMMIT_HERE_BYTES_MAX);
    for (text, is_taken) in [(&text[..text.len() - 1_000], true), (&text[..], false)] {
        journal.writer.lock().as_mut().unwrap().last_flush = Duration::ZERO;
        assert_eq!(offer(&journal, shard, text).is_ok(), is_taken, "{} bytes", text.len());
    }
}

#[test]
fn what_is_too_much_for_a_moment_or_for_this_segment_is_the_committers() {
    let (journal, _) = open(&disk());
    let shard = key(1, 0);
    open_shard(&journal, shard);
    // Several segments are filled: the one that does not fit is written by who can roll.
    let text = "t".repeat(3_000);
    let outcomes: Vec<_> = (0..40)
        .map(|_| wait(|done| journal.append_here(vec![Append::new(shard, batch(&[text.as_str()]), done)])))
        .collect();
    assert!(outcomes.into_iter().zip(0..).all(|(outcome, at)| outcome.unwrap().first == at));
    let metrics = journal.metrics();
    assert!(metrics.rolls >= 3 && metrics.groups_by_caller < metrics.groups - metrics.rolls, "{metrics:?}");

    let missing = wait(|done| journal.append_here(vec![Append::new(key(9, 9), batch(&["r"]), done)]));
    assert!(matches!(missing, Err(AppendError::NoShard { .. })));
    let text = "t".repeat(SEGMENT_BYTES as usize);
    let large = wait(|done| journal.append_here(vec![Append::new(shard, batch(&[text.as_str()]), done)]));
    assert!(matches!(large, Err(AppendError::Write(WriteError::TooLarge { .. }))));
    journal.close();
    let closed = wait(|done| journal.append_here(vec![Append::new(shard, batch(&["r"]), done)]));
    assert!(matches!(closed, Err(AppendError::Write(WriteError::Closed))));
}

/// Opens the shard and fills so many segments; the next is hardly begun, and none is being laid out.
fn fill_segments(journal: &Journal, shard: ShardKey, segments: u64) {
    open_shard(journal, shard);
    let text = "t".repeat(3_000);
    while journal.metrics().rolls < segments {
        append(journal, shard, &[&text]).unwrap();
    }
}

#[test]
fn the_kernel_is_left_the_newest_segments_and_told_to_let_go_of_the_others() {
    let disk = disk();
    let config = JournalConfig { kernel_cache_bytes: 2 * SEGMENT_BYTES, ..config(&disk) };
    let (journal, _) = Journal::open(config, &Threads::new(), Clock::new()).unwrap();
    let shard = key(1, 0);
    fill_segments(&journal, shard, 9);
    journal.close();
    let path = |number| Segment::path_in(Path::new("data"), SegmentSequence(number));
    // Each when the one that is two behind it was half full.
    assert_eq!(disk.uncached(), (1..=7).map(path).collect::<Vec<_>>());
    assert!(!read_all(&journal, shard, 0).unwrap().is_empty());
}

#[test]
fn what_retention_let_go_of_is_given_back_before_old_segments_are_rewritten() {
    let disk = disk();
    let (journal, _) = open(&disk);
    fill_segments(&journal, key(1, 0), 12);
    let files = disk.paths().len();
    assert_eq!(retain(&journal, |_| Duration::ZERO, u64::MAX).segments_dropped, 12);
    let removed = files - disk.paths().len();
    assert_eq!(removed, 12 - SPARE_SEGMENTS_MAX);
    rewrite(&journal);
    assert_eq!(disk.given_back_bytes(), removed as u64 * SEGMENT_BYTES);
}

#[test]
fn what_a_crash_kept_from_going_is_given_back_after_the_next_start() {
    let disk = disk();
    let (journal, _) = open(&disk);
    fill_segments(&journal, key(1, 0), 12);
    disk.fail_next(Operation::Rename, Errno::EIO);
    assert_eq!(retain(&journal, |_| Duration::ZERO, u64::MAX).segments_dropped, 0);
    let killed = disk.after_kill(1);
    let (again, _) = open(&killed);
    rewrite(&again);
    assert_eq!(killed.given_back_bytes(), (12 - SPARE_SEGMENTS_MAX) as u64 * SEGMENT_BYTES);
    // Nor is a start needed: it is tried again whenever somebody asks.
    assert_eq!(retain(&journal, |_| Duration::ZERO, u64::MAX).segments_dropped, 12);
    assert_eq!(retain(&journal, |_| Duration::ZERO, u64::MAX).segments_dropped, 0);
}

#[test]
fn a_file_whose_name_may_still_be_on_disk_is_not_cut() {
    let disk = disk();
    let (journal, _) = open(&disk);
    fill_segments(&journal, key(1, 0), 12);
    disk.fail_next(Operation::SyncFolder, Errno::EIO);
    let refused = wait(|done| journal.retain(|_| Duration::ZERO, WallMs(u64::MAX), done)).unwrap_err();
    assert!(matches!(refused, WriteError::Storage(_)), "{refused}");
    wait(|done| journal.rewrite(done)).unwrap_err();
    assert_eq!(disk.given_back_bytes(), 0);
}

#[test]
fn many_threads_append_at_once_and_every_shard_keeps_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        JournalConfig { segment_bytes: 1 << 20, ..JournalConfig::new(folder.path(), Durability::Fsync) };
    let (journal, _) = Journal::open(config, &Threads::new(), Clock::new()).unwrap();
    let (journal, threads) = (Arc::new(journal), Threads::new());
    let shards = [key(1, 0), key(1, 1)];
    shards.iter().for_each(|shard| open_shard(&journal, *shard));
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            let journal = Arc::clone(&journal);
            let write = move || {
                let texts: Vec<_> = (0..100).map(|n| format!("{writer}-{n}")).collect();
                let numbers = texts
                    .iter()
                    .map(|text| (append(&journal, shards[writer % 2], &[text]).unwrap().first, text.clone()));
                numbers.collect::<Vec<_>>()
            };
            threads.spawn(format!("writer-{writer}"), write).unwrap()
        })
        .collect();
    let mut told: [Vec<(u64, String)>; 2] = Default::default();
    for (writer, handle) in writers.into_iter().enumerate() {
        let numbers = handle.join().unwrap();
        assert!(numbers.is_sorted(), "what one writer writes after its acknowledgement comes later");
        told[writer % 2].extend(numbers);
    }
    for (shard, mut told) in shards.into_iter().zip(told) {
        told.sort();
        let read = read_all(&journal, shard, 0).unwrap();
        assert!(told.into_iter().eq((0..).zip(read)), "every number is the place of its record");
    }
}

#[test]
fn a_full_queue_and_a_batch_too_large_are_refused_without_effect() {
    let disk = disk();
    let config = JournalConfig { queue_bytes_max: 1_000, ..config(&disk) };
    let (journal, _) = Journal::open(config, &Threads::new(), Clock::new()).unwrap();
    let shard = key(1, 0);
    open_shard(&journal, shard);
    let text = "x".repeat(950);
    let refused = append(&journal, shard, &[&text]).unwrap_err();
    assert!(
        matches!(refused, AppendError::Write(WriteError::TooLarge { bytes_max: 1_000, .. })),
        "{refused}"
    );
    let text = "x".repeat(SEGMENT_BYTES as usize / 2);
    let refused = append(&journal, shard, &[&text]).unwrap_err();
    assert!(matches!(refused, AppendError::Write(WriteError::TooLarge { .. })), "{refused}");
    assert_eq!(refused.effect(), Effect::None);
    let release = hold_committer(&journal, shard);
    let mut waiting = Vec::new();
    let refused = loop {
        let answer = begin_append(&journal, shard, &["0123456789"]);
        match answer.try_recv() {
            Ok(outcome) => break outcome.unwrap_err(),
            Err(_) => waiting.push(answer),
        }
        assert!(waiting.len() < 100, "a queue of 1,000 bytes took {} appends", waiting.len());
    };
    assert!(matches!(refused, AppendError::Write(WriteError::Busy { .. })), "{refused}");
    release.send(()).unwrap();
    assert!(waiting.into_iter().all(|answer| answer.recv().unwrap().is_ok()));
    assert_eq!(journal.metrics().refused_busy, 1);
}

#[test]
fn a_deleted_shard_is_gone_and_one_opened_again_starts_at_zero() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let shard = key(1, 0);
    open_shard(&journal, shard);
    append(&journal, shard, &["old"]).unwrap();
    wait(|done| journal.delete_shard(shard, done)).unwrap();
    assert!(matches!(append(&journal, shard, &["x"]), Err(AppendError::NoShard { .. })));
    assert!(matches!(wait(|done| journal.delete_shard(shard, done)), Err(DeleteShardError::NoShard { .. })));
    open_shard(&journal, shard);
    assert_eq!(append(&journal, shard, &["new"]).unwrap().first, 0);
    for disk in [disk.after_kill(1), disk.after_power_loss(2)] {
        let (again, report) = open(&disk);
        assert_eq!(report.damage, []);
        assert_eq!(read_all(&again, shard, 0).unwrap(), ["new"]);
    }
    drop(journal);
    assert_eq!(read_all(&open(&disk).0, shard, 0).unwrap(), ["new"], "and by the footer");
}

#[test]
fn a_later_epoch_is_taken_and_keeps_the_records_and_an_earlier_is_refused() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let shard = key(1, 0);
    wait(|done| journal.open_shard(owned(shard, 5), done)).unwrap();
    append(&journal, shard, &["kept"]).unwrap();
    wait(|done| journal.open_shard(owned(shard, 6), done)).unwrap();
    let refused = wait(|done| journal.open_shard(owned(shard, 5), done)).unwrap_err();
    assert!(matches!(refused, OpenShardError::StaleEpoch { open: Epoch(6), .. }), "{refused}");
    let (again, _) = open(&disk.after_kill(1));
    assert_eq!(again.shards()[0].owned.epoch, Epoch(6));
    assert_eq!(read_all(&again, shard, 0).unwrap(), ["kept"]);
}

fn close_shard(journal: &Journal, key: ShardKey) -> Result<ClosedShard, CloseShardError> {
    wait(|done| journal.close_shard(key, done))
}

#[test]
fn a_closed_shard_keeps_its_records_and_takes_no_more_whatever_happens_to_the_node() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let (shard, other) = (key(1, 0), key(1, 1));
    open_shard(&journal, shard);
    open_shard(&journal, other);
    let arrived = append(&journal, shard, &["a", "b"]).unwrap().arrived;
    assert!(!journal.read(shard, 2, 1, 1).unwrap().closed);
    let closed = close_shard(&journal, shard).unwrap();
    assert_eq!(closed.end, 2);
    assert!(closed.at_ms >= arrived.0);
    assert_eq!(close_shard(&journal, shard).unwrap(), closed, "a second closing changes nothing");
    wait(|done| journal.open_shard(owned(shard, 6), done)).unwrap();
    let check = |journal: &Journal| {
        let refused = append(journal, shard, &["c"]).unwrap_err();
        assert!(matches!(refused, AppendError::Closed { end: 2, .. }), "{refused}");
        assert_eq!(refused.effect(), Effect::None);
        assert_eq!(
            journal.shard(shard).unwrap().owned,
            OwnedShard { closed: Some(closed), ..owned(shard, 6) }
        );
        assert_eq!(read_all(journal, shard, 0).unwrap(), ["a", "b"]);
        assert!(journal.read(shard, 2, 1, 1).unwrap().closed);
        assert!(matches!(journal.read(shard, 3, 1, 1), Err(ReadError::BeyondTip { closed: true, .. })));
    };
    check(&journal);
    for disk in [disk.after_kill(1), disk.after_power_loss(2)] {
        let (again, report) = open(&disk);
        assert_eq!(report.damage, []);
        check(&again);
    }
    for n in 0..80 {
        append(&journal, other, &[&long(n)]).unwrap();
    }
    check(&open(&disk.after_kill(3)).0);
    drop(journal);
    check(&open(&disk).0);
}

#[test]
fn what_waits_behind_a_closing_is_refused_and_what_waited_before_it_is_kept() {
    let (journal, _) = open(&disk());
    let shard = key(1, 0);
    open_shard(&journal, shard);
    let release = hold_committer(&journal, shard);
    let before = begin_append(&journal, shard, &["before"]);
    let (answer, closed) = sync_channel(1);
    journal.close_shard(shard, move |outcome| answer.send(outcome).unwrap());
    let after = begin_append(&journal, shard, &["after"]);
    release.send(()).unwrap();
    assert_eq!(before.recv().unwrap().unwrap().first, 1);
    assert_eq!(closed.recv().unwrap().unwrap().end, 2);
    assert!(matches!(after.recv().unwrap(), Err(AppendError::Closed { end: 2, .. })));
    assert_eq!(read_all(&journal, shard, 0).unwrap(), ["held", "before"]);
}

#[test]
fn a_shard_that_is_deleted_opened_and_closed_in_one_group_ends_where_its_second_life_does() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let shard = key(1, 0);
    open_shard(&journal, shard);
    append(&journal, shard, &["of", "its", "first"]).unwrap();
    let release = hold_committer(&journal, shard);
    let (answer, closed) = sync_channel(1);
    journal.delete_shard(shard, |outcome| outcome.unwrap());
    journal.open_shard(owned(shard, 1), |outcome| outcome.unwrap());
    journal.close_shard(shard, move |outcome| answer.send(outcome).unwrap());
    release.send(()).unwrap();
    assert_eq!(closed.recv().unwrap().unwrap().end, 0);
    let (again, report) = open(&disk.after_kill(1));
    assert_eq!(report.damage, []);
    assert_eq!(again.shard(shard).unwrap().owned.closed.unwrap().end, 0);
}

#[test]
fn a_shard_that_is_opened_and_deleted_in_one_group_is_gone() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let (shard, brief) = (key(1, 0), key(2, 0));
    open_shard(&journal, shard);
    let release = hold_committer(&journal, shard);
    let (answer, deleted) = sync_channel(1);
    journal.open_shard(owned(brief, 1), |outcome| outcome.unwrap());
    journal.delete_shard(brief, move |outcome| answer.send(outcome).unwrap());
    release.send(()).unwrap();
    deleted.recv().unwrap().unwrap();
    let (again, report) = open(&disk.after_kill(1));
    assert_eq!(report.damage, []);
    for journal in [&journal, &again] {
        assert_eq!(journal.shard(brief), None);
        assert!(matches!(append(journal, brief, &["late"]), Err(AppendError::NoShard { .. })));
    }
}

#[test]
fn only_a_shard_that_is_there_is_closed_and_one_opened_again_is_open() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let shard = key(1, 0);
    assert!(matches!(close_shard(&journal, shard), Err(CloseShardError::NoShard { .. })));
    open_shard(&journal, shard);
    assert_eq!(close_shard(&journal, shard).unwrap().end, 0);
    wait(|done| journal.delete_shard(shard, done)).unwrap();
    let closed = OwnedShard { closed: Some(ClosedShard { at_ms: 1, end: 9 }), ..owned(shard, 1) };
    wait(|done| journal.open_shard(closed, done)).unwrap();
    assert_eq!(append(&journal, shard, &["new"]).unwrap().first, 0, "the journal alone says what has ended");
    assert_eq!(read_all(&open(&disk.after_kill(1)).0, shard, 0).unwrap(), ["new"]);
}

#[test]
fn no_more_shards_are_opened_than_a_segment_can_tell_of() {
    let (journal, _) = open(&disk());
    let refused = (0..1_000).find_map(|n| wait(|done| journal.open_shard(owned(key(1, n), 1), done)).err());
    let Some(OpenShardError::TooMany { shards }) = refused else { panic!("{refused:?}") };
    assert!((10..200).contains(&shards), "{shards}");
    let text = long(1);
    for n in 0..100 {
        append(&journal, key(1, n % shards as u32), &[&text]).unwrap();
    }
    assert!(journal.metrics().rolls > 2, "a segment holds the snapshot twice and records between");
}

#[test]
fn retention_trims_at_once_and_drops_whole_segments() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let (short, kept) = (key(1, 0), key(2, 0));
    open_shard(&journal, short);
    open_shard(&journal, kept);
    for n in 0..100 {
        append(&journal, short, &[&long(n)]).unwrap();
    }
    let arrived = append(&journal, kept, &["kept"]).unwrap().arrived.0;
    let before = journal.metrics().segments;
    let hour = Duration::from_secs(3600);
    let unchanged = retain(&journal, |_| hour, arrived);
    assert_eq!((unchanged.segments_dropped, read_all(&journal, short, 0).unwrap().len()), (0, 100));
    let later = arrived + 2 * 3_600_000;
    let dropped = retain(&journal, |shard| if shard == kept { 9 * hour } else { hour }, later);
    assert_eq!(dropped.segments_dropped as u64, before - 1, "all but the one that is being filled");
    assert_eq!(journal.position(short, At::TrimHorizon).unwrap(), 100);
    let read = journal.read(short, 0, 10, 1_000).unwrap();
    assert_eq!((read.from, read.oldest, read.batches.len()), (100, 100, 0));
    assert_eq!(read_all(&journal, kept, 0).unwrap(), ["kept"]);
    for disk in [disk.after_kill(1), disk.after_power_loss(2)] {
        let (again, report) = open(&disk);
        assert_eq!(report.damage, []);
        assert_eq!(read_all(&again, kept, 0).unwrap(), ["kept"]);
        assert_eq!(append(&again, short, &["next"]).unwrap().first, 100, "numbers go on");
    }
}

#[test]
fn a_dropped_segment_is_used_again_and_its_old_records_never_come_back() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let shard = key(1, 0);
    open_shard(&journal, shard);
    let mut next = 0;
    for round in 0..6 {
        for _ in 0..60 {
            // The same lengths each time: old frames lie exactly where new ones would end.
            next = append(&journal, shard, &[&long(round)]).unwrap().first + 1;
        }
        retain(&journal, |_| Duration::ZERO, u64::MAX);
        append(&journal, shard, &["alone"]).unwrap();
        next += 1;
        let (again, report) = open(&disk.after_kill(round as u64));
        assert_eq!((report.damage, report.torn_tail), (vec![], None));
        assert_eq!(again.position(shard, At::Latest).unwrap(), next);
        assert_eq!(read_all(&again, shard, next - 1).unwrap(), ["alone"]);
    }
    assert!(disk.paths().len() <= 5, "segments are used again: {:?}", disk.paths());
}

#[test]
fn a_folder_is_one_journals_and_memory_is_nobodys() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        JournalConfig { segment_bytes: SEGMENT_BYTES, ..JournalConfig::new(folder.path(), Durability::Os) };
    let (journal, _) = Journal::open(config.clone(), &Threads::new(), Clock::new()).unwrap();
    let refused = Journal::open(config.clone(), &Threads::new(), Clock::new()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse(_)), "{refused}");
    open_shard(&journal, key(1, 0));
    append(&journal, key(1, 0), &["os"]).unwrap();
    assert_eq!(journal.metrics().syncs, 0);
    drop(journal);
    let (journal, _) = Journal::open(config, &Threads::new(), Clock::new()).unwrap();
    assert_eq!(read_all(&journal, key(1, 0), 0).unwrap(), ["os"]);

    let memory = JournalConfig::new("/nowhere/at/all", Durability::Memory);
    let (journal, _) = Journal::open(memory, &Threads::new(), Clock::new()).unwrap();
    open_shard(&journal, key(1, 0));
    append(&journal, key(1, 0), &["memory"]).unwrap();
    assert_eq!(read_all(&journal, key(1, 0), 0).unwrap(), ["memory"]);
}

#[test]
fn an_open_journal_has_three_threads_and_a_closed_one_none() {
    let threads = Threads::new();
    let (journal, _) = Journal::open(config(&disk()), &threads, Clock::new()).unwrap();
    assert_eq!(threads.running(), 3);
    journal.close();
    assert_eq!(threads.running(), 0);
    let refused = append(&journal, key(1, 0), &["late"]).unwrap_err();
    assert_eq!(refused.effect(), Effect::None);
}
