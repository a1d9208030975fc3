//! Streams that keep for long beside streams that do not: the disk gets its space back, and nothing else is different.

use std::{io::IoSlice, path::PathBuf, sync::mpsc};

use nix::errno::Errno;
use proptest::prelude::*;

use super::*;
use crate::{
    disk::{Disk, fault::Operation, read_exact_at, write_all_at},
    journal::rewrite::Rewriter,
    segment::{head::HEAD_BLOCK_BYTES, layout::Chores},
    shard_index::FrameRead,
};

const LONG: ShardKey = ShardKey { stream: StreamId(1), shard: ShardIndex(0) };
const SHORT: ShardKey = ShardKey { stream: StreamId(2), shard: ShardIndex(0) };

/// Nothing is read from memory: it is the files that are asked.
fn open_uncached(disk: &FaultDisk) -> (Journal, RecoveryReport) {
    let config = JournalConfig { cache_bytes_max: 0, ..config(disk) };
    Journal::open(config, &Threads::new(), Clock::new()).unwrap()
}

/// Appends to the short stream, and every `every`th time to the long one; returns what the long one got.
fn fill(journal: &Journal, appends: usize, every: usize) -> Vec<String> {
    let mut kept = Vec::new();
    for n in 0..appends {
        if n % every == 0 {
            kept.push(format!("kept-{}", long(n)));
            append(journal, LONG, &[kept.last().unwrap()]).unwrap();
        }
        append(journal, SHORT, &[&long(n)]).unwrap();
    }
    kept
}

fn trim_short(journal: &Journal) {
    let keep = |shard| if shard == SHORT { Duration::ZERO } else { Duration::MAX };
    retain(journal, keep, u64::MAX);
}

/// A journal of many segments, of which the long stream keeps a ninth.
fn filled(disk: &FaultDisk) -> (Journal, Vec<String>) {
    let (journal, _) = open_uncached(disk);
    open_shard(&journal, LONG);
    open_shard(&journal, SHORT);
    let kept = fill(&journal, 160, 8);
    trim_short(&journal);
    (journal, kept)
}

fn segments(disk: &FaultDisk) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.to_str().unwrap().contains("segment-")).collect()
}

#[test]
fn a_long_stream_keeps_its_records_and_the_disk_gets_the_rest() {
    let disk = disk();
    let (journal, mut kept) = filled(&disk);
    let before = journal.metrics().segments;
    assert!(before >= 6, "{before} segments");
    let outcome = rewrite(&journal);
    assert_eq!(outcome.groups_left_alone, 0);
    let metrics = journal.metrics();
    assert_eq!(outcome.segments_rewritten as u64, before - 2, "all but the two newest");
    assert_eq!(metrics.rewritten_segments, before - 2);
    assert!(metrics.segments <= 4, "{} segments", metrics.segments);
    assert!(outcome.bytes_written <= outcome.bytes_freed, "{outcome:?}");
    assert_eq!(metrics.rewritten_bytes, outcome.bytes_written);
    assert_eq!(segments(&disk).len() as u64, metrics.segments);
    assert_eq!(read_all(&journal, LONG, 0).unwrap(), kept);
    assert_eq!(rewrite(&journal), RewriteOutcome::default(), "once is enough");
    assert_eq!(
        disk.given_back_bytes(),
        SEGMENT_BYTES,
        "of the file whose name the new one has; others are spares"
    );
    kept.extend(fill(&journal, 40, 8));
    assert_eq!(read_all(&journal, LONG, 0).unwrap(), kept);
    for disk in [disk.after_kill(1), disk.after_power_loss(2)] {
        let (again, report) = open_uncached(&disk);
        assert_eq!((report.damage, report.torn_tail), (vec![], None));
        assert_eq!(read_all(&again, LONG, 0).unwrap(), kept);
        assert_eq!(append(&again, SHORT, &["next"]).unwrap().first, 200, "numbers go on");
        trim_short(&again);
        assert!(rewrite(&again).segments_rewritten > 0);
        assert_eq!(read_all(&again, LONG, 0).unwrap(), kept);
        drop(again);
        let (again, report) = open_uncached(&disk);
        assert_eq!(report.damage, []);
        assert_eq!(read_all(&again, LONG, 0).unwrap(), kept);
    }
}

/// A rewriter beside the journal's own, which nobody asks for anything, and what became of its wish.
fn rewriter(journal: &Journal) -> (Rewriter, mpsc::Receiver<Result<RewriteOutcome, WriteError>>) {
    let (done, outcome) = mpsc::sync_channel(1);
    journal.shared.rewrites.lock().waiting = Some(Done::new(move |result| drop(done.send(result))));
    let mut rewriter = Rewriter::new(Arc::clone(&journal.shared), 7);
    rewriter.begin();
    (rewriter, outcome)
}

#[test]
fn rewriting_rests_after_a_slice_if_somebody_appended_and_room_is_not_short() {
    let disk = disk();
    let (journal, _) = filled(&disk);
    let (mut rewriter, outcome) = rewriter(&journal);
    assert!(rewriter.step().unwrap() > Duration::ZERO, "filling came before it");
    assert_eq!(rewriter.step(), Some(Duration::ZERO));
    append(&journal, SHORT, &["beside it"]).unwrap();
    disk.set_free_bytes(SEGMENT_BYTES);
    assert_eq!(rewriter.step(), Some(Duration::ZERO), "room is short");
    disk.set_free_bytes(1 << 30);
    append(&journal, SHORT, &["beside it"]).unwrap();
    assert!(rewriter.step().unwrap() > Duration::ZERO);
    while rewriter.step().is_some() {}
    assert!(outcome.recv().unwrap().unwrap().segments_rewritten > 0);
}

#[test]
fn each_slice_is_synced_before_the_next_is_copied() {
    let disk = disk();
    let (journal, _) = filled(&disk);
    let (mut rewriter, outcome) = rewriter(&journal);
    rewriter.step().unwrap(); // chosen and begun
    disk.fail_next(Operation::Sync, Errno::EIO);
    rewriter.step();
    assert!(matches!(outcome.try_recv(), Ok(Err(WriteError::Storage(_)))));
}

#[test]
fn a_wish_that_comes_while_one_is_worked_on_is_heard_behind_it() {
    let disk = disk();
    let (journal, kept) = filled(&disk);
    let wish = || {
        let (done, outcome) = mpsc::sync_channel(1);
        journal.rewrite(move |result| done.send(result).unwrap());
        outcome
    };
    let (met, is_met) = mpsc::sync_channel(1);
    let hold = disk.hold(Operation::Read, move || met.send(()).unwrap());
    let first = wish();
    is_met.recv().unwrap();
    let second = wish();
    assert_eq!(wish().recv().unwrap().unwrap(), RewriteOutcome::default(), "one waits that will see it all");
    drop(hold);
    assert!(first.recv().unwrap().unwrap().segments_rewritten > 0);
    assert_eq!(second.recv().unwrap().unwrap(), RewriteOutcome::default());
    assert_eq!(read_all(&journal, LONG, 0).unwrap(), kept);
}

#[test]
fn a_shard_that_was_trimmed_in_the_middle_begins_with_its_first_kept_batch() {
    let disk = disk();
    let (journal, _) = open_uncached(&disk);
    open_shard(&journal, LONG);
    open_shard(&journal, SHORT);
    let kept = fill(&journal, 160, 8);
    let shard = journal.shared.shard(SHORT).unwrap();
    let mut state = shard.state.lock();
    let ends = |record: &u64| state.runs.segment_of(*record) != state.runs.segment_of(record - 1);
    let oldest = (60..).find(ends).unwrap() - 3; // few of its segment are left
    state.trim_to(oldest);
    let tip = state.tip;
    drop(state);
    assert!(rewrite(&journal).segments_rewritten > 0);
    for (disk, what) in [(disk.after_kill(1), "killed"), (disk.clone(), "closed")] {
        let (again, report) = open_uncached(&disk);
        assert_eq!(report.damage, [], "{what}");
        assert_eq!(
            again.position(SHORT, At::TrimHorizon).unwrap(),
            oldest,
            "{what}: that it was trimmed is kept"
        );
        assert_eq!(read_all(&again, SHORT, oldest).unwrap().len() as u64, tip - oldest, "{what}");
        assert_eq!(read_all(&again, LONG, 0).unwrap(), kept, "{what}");
    }
}

#[test]
fn a_shard_that_was_deleted_or_opened_in_rewritten_segments_is_what_it_was() {
    let disk = disk();
    let (journal, mut kept) = filled(&disk);
    let (deleted, young) = (key(3, 0), key(3, 1));
    for shard in [deleted, young] {
        open_shard(&journal, shard);
        append(&journal, shard, &["a", "b"]).unwrap();
    }
    kept.extend(fill(&journal, 60, 8));
    append(&journal, deleted, &["c"]).unwrap();
    append(&journal, young, &["c"]).unwrap();
    kept.extend(fill(&journal, 90, 8));
    wait(|done| journal.delete_shard(deleted, done)).unwrap();
    let closed = close_shard(&journal, young).unwrap();
    trim_short(&journal);
    assert!(rewrite(&journal).segments_rewritten > 6);
    for disk in [disk.after_kill(1), disk.clone()] {
        let (again, report) = open_uncached(&disk);
        assert_eq!((report.damage, report.torn_tail), (vec![], None));
        assert!(again.shard(deleted).is_none());
        assert_eq!(again.shard(young).unwrap().owned.closed, Some(closed));
        assert_eq!(read_all(&again, young, 0).unwrap(), ["a", "b", "c"]);
        assert_eq!(read_all(&again, LONG, 0).unwrap(), kept);
    }
}

#[test]
fn whoever_reads_an_old_file_reads_on() {
    let disk = disk();
    let (journal, kept) = filled(&disk);
    let shard = journal.shared.shard(LONG).unwrap();
    let plan = shard.state.lock().runs.plan(0, kept.len() as u64, 1_000, 1 << 20);
    assert!(rewrite(&journal).segments_rewritten > 0);
    fill(&journal, 80, 8); // into whatever was used again
    for (frame, text) in plan.iter().zip(&kept) {
        let mut bytes = vec![0; frame.bytes as usize];
        read_exact_at(frame.segment.file.as_ref(), u64::from(frame.offset), &mut bytes).unwrap();
        assert!(bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{}", frame.first);
    }
}

#[test]
fn no_room_leaves_everything_as_it_is_until_there_is_some() {
    let disk = disk();
    let (journal, kept) = filled(&disk);
    let before = segments(&disk);
    // The second time there would be room for the new file, but not for the next segment beside it.
    for free in [1_000, SEGMENT_BYTES] {
        disk.set_free_bytes(free);
        let refused = wait(|done| journal.rewrite(done)).unwrap_err();
        assert!(matches!(refused, WriteError::NoRoom(_)), "{refused}");
    }
    append(&journal, SHORT, &["goes on"]).unwrap();
    assert_eq!((segments(&disk), read_all(&journal, LONG, 0).unwrap()), (before.clone(), kept.clone()));
    disk.set_free_bytes(1 << 20);
    assert!(rewrite(&journal).segments_rewritten > 0);
    assert!(segments(&disk).len() < before.len());
    assert_eq!(read_all(&journal, LONG, 0).unwrap(), kept);
}

#[test]
fn a_write_or_sync_that_fails_discards_the_new_file_and_stops_nothing() {
    use Operation::{Read, Rename, Sync, Write};
    for operation in [Write, Sync, Rename, Read] {
        let disk = disk();
        let (journal, kept) = filled(&disk);
        let before = segments(&disk);
        disk.fail_next(operation, Errno::EIO);
        let outcome = wait(|done| journal.rewrite(done));
        match operation {
            Read => assert_eq!(outcome.unwrap().groups_left_alone, 1),
            _ => assert!(outcome.is_err(), "{operation:?}"),
        }
        if operation != Read {
            assert_eq!(segments(&disk), before, "{operation:?}: none goes before the new name is on disk");
        }
        let is_whole = |path: &PathBuf| disk.contents(path).unwrap().len() as u64 == SEGMENT_BYTES;
        if matches!(operation, Write | Sync) {
            assert!(disk.paths().iter().all(is_whole), "{operation:?}: nothing is left of the new file");
        }
        assert_eq!(journal.stopped().map(|cause| cause.to_string()), None);
        assert_eq!(read_all(&journal, LONG, 0).unwrap(), kept, "{operation:?}");
        append(&journal, SHORT, &["goes on"]).unwrap();
        let again = rewrite(&journal);
        let is_tried_again = matches!(operation, Write | Sync);
        assert_eq!(again.segments_rewritten > 0, is_tried_again, "{operation:?}");
        drop(journal);
        let (again, report) = open_uncached(&disk.after_power_loss(1));
        assert_eq!(report.damage, [], "{operation:?}");
        assert_eq!(read_all(&again, LONG, 0).unwrap(), kept, "{operation:?}");
    }
}

#[test]
fn after_a_failed_sync_of_names_nothing_more_is_acknowledged_and_what_is_kept_is_there() {
    for behind in [0, 1] {
        let disk = disk();
        let (journal, kept) = filled(&disk);
        disk.fail_after(Operation::SyncFolder, behind, Errno::EIO);
        let failed = wait(|done| journal.rewrite(done)).unwrap_err();
        assert!(matches!(failed, WriteError::Storage(_)), "{failed}");
        let refused = append(&journal, SHORT, &["later"]).unwrap_err();
        assert!(matches!(refused, AppendError::Write(WriteError::Stopped(_))), "{refused}");
        assert_eq!(read_all(&journal, LONG, 0).unwrap(), kept);
        drop(journal);
        for disk in [disk.after_kill(1), disk.after_power_loss(2)] {
            let (again, report) = open_uncached(&disk);
            assert_eq!(report.damage, []);
            assert_eq!(read_all(&again, LONG, 0).unwrap(), kept);
        }
    }
}

#[test]
fn covered_files_stay_as_long_as_what_covers_them_is_damaged() {
    let disk = disk();
    let (journal, kept) = filled(&disk);
    let before = segments(&disk);
    disk.fail_after(Operation::Rename, 1, Errno::EIO); // the new file gets its name, and no old one goes
    let outcome = rewrite(&journal);
    assert!(outcome.segments_rewritten > 1);
    let covering = &before[outcome.segments_rewritten - 1];
    let killed = disk.after_kill(1);
    let names = segments(&killed);
    assert_eq!(names, before);
    // The end of its footer, so that its frames are looked at, and one of them does not read.
    let bytes = killed.contents(covering).unwrap();
    let at = bytes.windows(5).rposition(|window| window == b"kept-").unwrap();
    let damaged = killed.after_kill(1);
    let spoil = |bytes: &mut Vec<u8>| {
        bytes[at] ^= 1;
        let end = bytes.len() - 20;
        bytes[end] ^= 1;
    };
    damaged.damage(covering, spoil).unwrap();
    let (journal, report) = open_uncached(&damaged);
    assert_ne!(report.damage, []);
    drop(journal);
    assert_eq!(segments(&damaged), names, "they may be the only whole copy");
    // And no longer than it: alone, they would be taken for what the log begins with.
    let (journal, _) = open_uncached(&damaged);
    fill_segments(&journal, MIDDLE, 4);
    let held = damaged.after_kill(1);
    let keep = |shard| if shard == MIDDLE { Duration::MAX } else { Duration::ZERO };
    assert!(retain(&journal, keep, u64::MAX).segments_dropped > names.len() - 2);
    drop(journal);
    assert!(segments(&damaged).iter().all(|path| !names[..names.len() - 1].contains(path)));
    let intact = |disk: &FaultDisk| {
        let (journal, report) = open_uncached(disk);
        let read = read_all(&journal, MIDDLE, 0).unwrap();
        (report.damage, read.len())
    };
    let found = intact(&damaged);
    assert!(
        found.0.iter().all(|found| found.shards == [LONG]),
        "of whose records one does not read: {found:?}"
    );
    // As a version before this one may have left a folder: of what is no longer kept, the covered files alone.
    let left = damaged.after_kill(1);
    for path in &before[..outcome.segments_rewritten - 1] {
        let bytes = held.contents(path).unwrap();
        let file = left.lay_out(path, bytes.len() as u64, true).unwrap();
        write_all_at(file.as_ref(), 0, &mut [IoSlice::new(&bytes)]).unwrap();
    }
    assert_eq!(intact(&left), found);
    assert_eq!(segments(&left), segments(&damaged), "and they went");
    let (again, report) = open_uncached(&killed);
    assert_eq!((report.damage, read_all(&again, LONG, 0).unwrap()), (vec![], kept));
    assert!(segments(&killed).len() < names.len());
}

#[test]
fn whenever_the_power_goes_while_segments_are_rewritten_every_kept_record_is_there() {
    // How many changes filling takes depends on what is laid out meanwhile: the power goes at one of those after it.
    let rewritten_twice = |disk: &FaultDisk, power_lasts: u64| {
        let (journal, kept) = filled(disk);
        let filled_at = disk.changes();
        disk.lose_power_at(filled_at.saturating_add(power_lasts));
        // Two rewritings, so that rewritten segments are rewritten, too.
        let outcome = wait(|done| journal.rewrite(done));
        trim_most(&journal, &kept);
        let again = wait(|done| journal.rewrite(done));
        drop(journal);
        (disk.changes() - filled_at, kept, outcome, again)
    };
    let (changes, _, outcome, again) = rewritten_twice(&disk(), u64::MAX);
    assert!(outcome.unwrap().segments_rewritten > 3 && again.unwrap().segments_rewritten > 0);
    for at in 1..=changes {
        let disk = FaultDisk::new(at, 1 << 30);
        let (_, kept, ..) = rewritten_twice(&disk, at);
        for (found, what) in [(disk.after_power_loss(at), "lost"), (disk.after_kill(at), "killed")] {
            let (again, report) = open_uncached(&found);
            assert_eq!(report.damage, [], "{what} at {at}");
            let oldest = again.position(LONG, At::TrimHorizon).unwrap();
            assert!(oldest <= most_of(&kept), "{what} at {at}: from {oldest}");
            let read = read_all(&again, LONG, oldest).unwrap();
            assert_eq!(read, kept[usize::try_from(oldest).unwrap()..], "{what} at {at}");
            trim_short(&again);
            rewrite(&again);
            assert_eq!(read_all(&again, LONG, oldest).unwrap(), read, "{what} at {at}");
            let spares = found.paths().len() - segments(&found).len();
            assert!(spares <= weir_core::limits::SPARE_SEGMENTS_MAX, "{what} at {at}: {:?}", found.paths());
            drop(again);
            let (again, report) = open_uncached(&found);
            assert_eq!((report.damage, read_all(&again, LONG, oldest).unwrap()), (vec![], read));
        }
    }
}

/// Trims the long stream to its last records, so that what was rewritten is worth rewriting again.
fn trim_most(journal: &Journal, kept: &[String]) {
    journal.shared.shard(LONG).unwrap().state.lock().trim_to(most_of(kept));
}

fn most_of(kept: &[String]) -> u64 {
    kept.len() as u64 * 9 / 10
}

#[test]
fn closing_in_the_middle_of_a_rewriting_leaves_no_trace_of_it() {
    for _ in 0..8 {
        let disk = disk();
        let (journal, kept) = filled(&disk);
        let (answer, answered) = sync_channel(1);
        journal.rewrite(move |outcome| answer.send(outcome.is_ok()).unwrap());
        journal.close();
        let is_done = answered.recv().unwrap();
        drop(journal);
        let (again, report) = open_uncached(&disk);
        assert_eq!(report.damage, [], "done: {is_done}");
        assert_eq!(read_all(&again, LONG, 0).unwrap(), kept);
        for path in disk.paths() {
            let bytes = disk.contents(&path).unwrap().len() as u64;
            let is_rewritten = path.to_str().unwrap().contains("segment-") && bytes < SEGMENT_BYTES;
            assert!(bytes == SEGMENT_BYTES || is_rewritten, "{} has {bytes}", path.display());
        }
    }
}

#[test]
fn a_bit_that_flipped_before_a_rewriting_is_named_after_it_and_never_served() {
    let sample = disk();
    let (journal, kept) = filled(&sample);
    drop(journal);
    let path = segments(&sample)[1].clone();
    let bytes = sample.contents(&path).unwrap().len();
    let (mut rewritten, mut stopped) = (0, 0);
    for byte in (0..bytes).step_by(101) {
        let disk = sample.after_kill(1);
        let (journal, _) = open_uncached(&disk);
        disk.damage(&path, |bytes| bytes[byte] ^= 1 << (byte % 8)).unwrap();
        trim_short(&journal);
        rewritten += usize::from(rewrite(&journal).segments_rewritten > 0);
        drop(journal);
        let (journal, _) = open_uncached(&disk);
        let mut at = 0;
        while at < kept.len() as u64 {
            match journal.read(LONG, at, 1, 1) {
                Ok(read) => {
                    let texts: Vec<_> = read.batches[0].batch.records().map(|record| record.data).collect();
                    assert_eq!(texts, [kept[usize::try_from(at).unwrap()].as_bytes()], "byte {byte}");
                }
                Err(ReadError::Damaged(damage)) => {
                    assert_eq!((damage.from, &damage.path), (at, &path), "byte {byte}");
                    stopped += 1;
                    break;
                }
                Err(error) => panic!("byte {byte}: {error}"),
            }
            at += 1;
        }
    }
    assert!(rewritten > 100 && stopped > 20, "{rewritten} rewritten, {stopped} stopped");
}

#[test]
fn a_damaged_shard_keeps_its_segments_from_being_rewritten() {
    let disk = disk();
    let (journal, kept) = filled(&disk);
    let shard = journal.shared.shard(LONG).unwrap();
    let frame = shard.state.lock().runs.plan(3, 4, 1, 1).remove(0);
    disk.damage(&frame.segment.path, |bytes| bytes[frame.offset as usize + 80] ^= 1).unwrap();
    assert!(matches!(read_all(&journal, LONG, 0), Err(ReadError::Damaged(_))));
    let before = segments(&disk);
    let outcome = rewrite(&journal);
    assert_eq!((outcome.segments_rewritten, segments(&disk)), (0, before));
    assert!(outcome.groups_left_alone > 0);
    assert_eq!(journal.read(LONG, 2, 1, 1).unwrap().batches[0].first, 2, "what is whole is served");
    assert!(kept.len() > 3);
}

#[test]
fn a_file_in_which_something_did_not_read_is_not_used_again() {
    let events = [
        "nothing",
        "the disk refuses a reader",
        "a reader meets another bit",
        "a reader meets it behind others",
        "the disk refuses a rewriting",
        "a rewriting meets another bit",
        "a rewriting meets it in a snapshot",
    ];
    for what in events {
        let disk = disk();
        let (journal, _) = filled(&disk);
        let shard = journal.shared.shard(LONG).unwrap();
        let at = u64::from(what == "a reader meets it behind others");
        let FrameRead { segment, offset, .. } = shard.state.lock().runs.plan(at, at + 1, 1, 1).remove(0);
        let path = segment.path.clone();
        drop(segment); // whoever reads a file keeps it from being used again
        let flip = || disk.damage(&path, |bytes| bytes[offset as usize + 80] ^= 1).unwrap();
        match what {
            "the disk refuses a reader" => {
                disk.fail_next(Operation::Read, Errno::EIO);
                assert!(matches!(journal.read(LONG, 0, 1, 1), Err(ReadError::Storage(_))));
            }
            "a reader meets another bit" => {
                flip();
                assert!(matches!(journal.read(LONG, 0, 1, 1), Err(ReadError::Damaged(_))));
            }
            "a reader meets it behind others" => {
                flip();
                assert_eq!(journal.read(LONG, 0, 9, 1 << 20).unwrap().batches.len(), 1);
            }
            "the disk refuses a rewriting" => {
                disk.fail_next(Operation::Read, Errno::EIO);
                assert!(rewrite(&journal).groups_left_alone > 0);
            }
            "a rewriting meets it in a snapshot" => {
                disk.damage(&path, |bytes| bytes[HEAD_BLOCK_BYTES as usize + 8] ^= 1).unwrap();
                assert!(rewrite(&journal).groups_left_alone > 0);
            }
            "a rewriting meets another bit" => {
                flip();
                assert!(rewrite(&journal).groups_left_alone > 0);
            }
            _ => {}
        }
        let bytes = disk.contents(&path).unwrap();
        assert!(retain(&journal, |_| Duration::ZERO, u64::MAX).segments_dropped > 0);
        let is_there = disk.paths().iter().any(|path| disk.contents(path).unwrap() == bytes);
        assert_eq!(is_there, what == "nothing", "{what}");
    }
}

#[test]
fn a_rewritten_first_segment_is_no_beginning_without_snapshot_and_footer() {
    for is_rewritten in [false, true] {
        let disk = disk();
        let (journal, _) = open_uncached(&disk);
        [LONG, SHORT].iter().for_each(|shard| open_shard(&journal, *shard));
        append(&journal, LONG, &["kept"]).unwrap();
        fill_segments(&journal, SHORT, 1);
        fill_segments(&journal, LONG, 4);
        trim_short(&journal);
        if is_rewritten {
            assert_eq!(rewrite(&journal).segments_rewritten, 1);
        }
        let first = segments(&disk)[0].clone();
        assert_eq!(first, Path::new("data/segment-0000000000000001.log"));
        let last = disk.contents(&first).unwrap().len() - 1;
        let damaged = disk.after_kill(1);
        damaged.damage(&first, |bytes| bytes[HEAD_BLOCK_BYTES as usize + 8] ^= 1).unwrap();
        damaged.damage(&first, |bytes| bytes[last] ^= 1).unwrap();
        let opened = Journal::open(config(&damaged), &Threads::new(), Clock::new());
        let refused = matches!(&opened, Err(OpenError::NoSnapshot(path)) if *path == first);
        assert_eq!(
            (refused, opened.is_err()),
            (is_rewritten, is_rewritten),
            "frames that open shards are left out"
        );
    }
}

#[test]
fn both_copies_of_a_rewritten_head_may_be_lost() {
    let disk = disk();
    let (journal, kept) = filled(&disk);
    rewrite(&journal);
    drop(journal);
    let path = segments(&disk)[0].clone();
    disk.damage(&path, |bytes| bytes[..HEAD_BLOCK_BYTES as usize].fill(0x5a)).unwrap();
    let (journal, report) = open_uncached(&disk);
    let found: Vec<_> = report.damage.iter().map(|found| (&found.path, found.kind)).collect();
    assert_eq!(found, [(&path, DamageKind::Head)]);
    assert_eq!(read_all(&journal, LONG, 0).unwrap(), kept);
}

#[test]
fn a_journal_whose_newest_segments_are_gone_does_not_go_on_in_a_rewritten_one() {
    let disk = disk();
    let (journal, _) = filled(&disk);
    rewrite(&journal);
    drop(journal);
    let [rewritten, newest @ ..] = &segments(&disk)[..] else { panic!() };
    newest.iter().for_each(|path| disk.lose_file(path).unwrap());
    let refused = Journal::open(config(&disk), &Threads::new(), Clock::new()).unwrap_err();
    assert!(matches!(&refused, OpenError::NoTail(path) if path == rewritten), "{refused}");
}

/// A stream that keeps for longer than the short one and not for ever.
const MIDDLE: ShardKey = ShardKey { stream: StreamId(3), shard: ShardIndex(0) };

/// Some appends: of so many records the long stream gets one, and of the rest the middle one, before the short one is
/// trimmed, or both are.
#[derive(Debug, Clone)]
struct Round {
    appends: usize,
    every: usize,
    middle_every: usize,
    trims_middle: bool,
}

fn rounds(middle: bool) -> impl Strategy<Value = Vec<Round>> {
    let round = (1..90usize, 2..30usize, 2..30usize, prop::bool::weighted(0.3)).prop_map(
        move |(appends, every, middle_every, trims_middle)| Round {
            appends,
            every,
            middle_every: if middle { middle_every } else { usize::MAX },
            trims_middle,
        },
    );
    prop::collection::vec(round, 1..14)
}

/// Plays the rounds, with a rewriting after each; returns the journal, what the long stream must have, and how many bytes
/// the committer and the rewritings wrote.
fn play(disk: &FaultDisk, rounds: &[Round]) -> (Journal, Vec<String>, u64, u64) {
    let (journal, _) = open_uncached(disk);
    [LONG, SHORT, MIDDLE].into_iter().for_each(|shard| open_shard(&journal, shard));
    let mut kept = Vec::new();
    for round in rounds {
        for n in 1..=round.appends {
            let text = long(kept.len() * 100 + n);
            let shard = match n {
                n if n % round.every == 0 => LONG,
                n if n % round.middle_every == 0 => MIDDLE,
                _ => SHORT,
            };
            append(&journal, shard, &[&text]).unwrap();
            if shard == LONG {
                kept.push(text);
            }
        }
        let trimmed = |shard| shard == SHORT || (shard == MIDDLE && round.trims_middle);
        let keep = |shard| if trimmed(shard) { Duration::ZERO } else { Duration::MAX };
        retain(&journal, keep, u64::MAX);
        assert_eq!(rewrite(&journal).groups_left_alone, 0);
        assert_eq!(rewrite(&journal), RewriteOutcome::default(), "nothing is left that is worth it");
    }
    let rewritten = journal.metrics().rewritten_bytes;
    (journal, kept, disk.written_bytes() - rewritten, rewritten)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rewriting_never_writes_more_than_the_committer_did(rounds in rounds(true)) {
        let disk = disk();
        let (journal, kept, committed, rewritten) = play(&disk, &rounds);
        prop_assert!(rewritten <= committed, "{} rewritten, {} committed", rewritten, committed);
        prop_assert_eq!(read_all(&journal, LONG, 0).unwrap(), kept.clone());
        drop(journal);
        let (again, report) = open_uncached(&disk);
        prop_assert_eq!(report.damage, vec![]);
        prop_assert_eq!(read_all(&again, LONG, 0).unwrap(), kept);
    }

    #[test]
    fn of_two_streams_small_files_are_few_between_larger_ones(rounds in rounds(false)) {
        let disk = disk();
        let (journal, ..) = play(&disk, &rounds);
        let used: Vec<_> = journal.shared.segments.read().values().map(|segment| segment.sealed()).collect();
        let old = used[..used.len().saturating_sub(2)].iter().map(|used| u64::from(used.unwrap()));
        let is_small: Vec<_> = old.map(|used| used * 4 < SEGMENT_BYTES).collect();
        for small in is_small.chunk_by(|left, right| left == right) {
            prop_assert!(!small[0] || small.len() <= 3, "a file has 6 KiB at least: {:?}", is_small);
        }
    }
}
