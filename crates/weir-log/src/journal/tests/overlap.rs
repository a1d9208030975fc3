//! The next group is written while one is synced: each is acknowledged by the sync that began behind it, and by no other.

use std::path::PathBuf;

use super::*;
use crate::disk::fault::Hold;

/// A journal with a shard whose first record, `synced`, is in a sync that is held up.
struct Held {
    disk: FaultDisk,
    journal: Journal,
    shard: ShardKey,
    hold: Hold,
    synced: Receiver<Result<AppendOutcome, AppendError>>,
}

/// `plan` is told to the disk before that sync begins.
fn held(plan: impl FnOnce(&FaultDisk)) -> Held {
    held_of(SEGMENT_BYTES, "synced", plan)
}

fn held_of(segment_bytes: u64, first: &str, plan: impl FnOnce(&FaultDisk)) -> Held {
    let disk = disk();
    let config = JournalConfig { overlap_bytes_min: 1, segment_bytes, ..config(&disk) };
    let (journal, _) = Journal::open(config, &Threads::new(), Clock::new()).unwrap();
    let shard = key(1, 0);
    open_shard(&journal, shard);
    plan(&disk);
    let (met, is_met) = sync_channel(1);
    let hold = disk.hold(Operation::Sync, move || met.send(()).unwrap());
    let synced = begin_append(&journal, shard, &[first]);
    is_met.recv().unwrap();
    Held { disk, journal, shard, hold, synced }
}

impl Held {
    /// Waits until so many groups were written behind the one that is synced.
    fn written_ahead(&self, groups: u64) {
        while self.journal.metrics().groups_overlapped < groups {
            std::thread::yield_now();
        }
    }

    fn has_in_file(&self, text: &str) -> bool {
        let segment = self.disk.contents(Path::new("data/segment-0000000000000001.log")).unwrap();
        segment.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

#[test]
fn what_comes_while_a_group_is_synced_is_written_and_waits_for_its_own_sync() {
    // The second sync of the two fails: what it was to bring to the disk is not acknowledged by the first.
    let held = held(|disk| disk.fail_after(Operation::Sync, 1, Errno::EIO));
    let ahead = begin_append(&held.journal, held.shard, &["ahead"]);
    held.written_ahead(1);
    assert!(held.has_in_file("ahead"));
    assert_eq!(held.journal.shard(held.shard).unwrap().tip, 0, "and nobody reads either of them");
    assert!(held.synced.try_recv().is_err() && ahead.try_recv().is_err(), "nor hears of it");
    drop(held.hold);
    assert_eq!(held.synced.recv().unwrap().unwrap().first, 0);
    let failed = ahead.recv().unwrap().unwrap_err();
    assert!(matches!(failed, AppendError::Write(WriteError::Storage(_))), "{failed}");
    assert_eq!(read_all(&held.journal, held.shard, 0).unwrap(), ["synced"]);
}

#[test]
fn what_was_written_ahead_is_acknowledged_when_the_next_sync_has_it() {
    let held = held(|_| ());
    let ahead = ["a", "b"].map(|text| begin_append(&held.journal, held.shard, &[text]));
    held.written_ahead(1);
    let Held { disk, shard, hold, synced, .. } = held;
    drop(hold);
    let firsts = ahead.into_iter().map(|answer| answer.recv().unwrap().unwrap().first);
    assert_eq!(firsts.collect::<Vec<_>>(), [1, 2]);
    assert_eq!(synced.recv().unwrap().unwrap().first, 0);
    for seed in 0..20 {
        let (again, report) = open(&disk.after_power_loss(seed));
        assert_eq!((report.damage, report.torn_tail), (vec![], None));
        assert_eq!(read_all(&again, shard, 0).unwrap(), ["synced", "a", "b"]);
    }
}

#[test]
fn a_failed_sync_fails_what_was_written_behind_it_as_well() {
    let held = held(|disk| disk.fail_next(Operation::Sync, Errno::EIO));
    let ahead = begin_append(&held.journal, held.shard, &["ahead"]);
    held.written_ahead(1);
    drop(held.hold);
    for answer in [held.synced, ahead] {
        let failed = answer.recv().unwrap().unwrap_err();
        assert!(matches!(failed, AppendError::Write(WriteError::Storage(_))), "{failed}");
    }
    // The next sync would say yes: the kernel has forgotten what it lost.
    let refused = append(&held.journal, held.shard, &["later"]).unwrap_err();
    assert!(matches!(refused, AppendError::Write(WriteError::Stopped(_))), "{refused}");
    assert_eq!(read_all(&held.journal, held.shard, 0).unwrap(), [""; 0]);
}

#[test]
fn what_was_written_ahead_is_not_acknowledged_after_somebody_elses_failure() {
    let held = held(|_| ());
    let ahead = begin_append(&held.journal, held.shard, &["ahead"]);
    held.written_ahead(1);
    let (operation, path, source) = ("sync", PathBuf::from("data"), Errno::EIO.into());
    held.journal.shared.stop(StorageError { operation, path, source }); // whoever rewrites stops it so
    drop(held.hold);
    assert_eq!(held.synced.recv().unwrap().unwrap().first, 0);
    let failed = ahead.recv().unwrap().unwrap_err();
    assert!(matches!(failed, AppendError::Write(WriteError::Storage(_))), "{failed}");
}

#[test]
fn a_failed_sync_with_a_whole_group_behind_it_leaves_nobody_without_an_answer() {
    let group = weir_core::limits::COMMIT_GROUP_BYTES_MAX;
    let text = "t".repeat(group / 2 - 1_000);
    let held = held_of(16 * group as u64, &text, |disk| disk.fail_next(Operation::Sync, Errno::EIO));
    let ahead = [(); 2].map(|()| begin_append(&held.journal, held.shard, &[&text]));
    while !held.journal.shared.gate.is_idle() {
        std::thread::yield_now();
    }
    let left = begin_append(&held.journal, held.shard, &[&text]); // more than one group does not go ahead
    drop(held.hold);
    for answer in ahead {
        assert!(matches!(answer.recv().unwrap(), Err(AppendError::Write(WriteError::Storage(_)))));
    }
    assert!(matches!(left.recv().unwrap(), Err(AppendError::Write(WriteError::Stopped(_)))));
    held.journal.close();
}

#[test]
fn a_write_that_fails_ahead_leaves_the_sync_before_it_what_it_is() {
    let held = held(|_| ());
    let ahead = begin_append(&held.journal, held.shard, &["ahead"]);
    held.written_ahead(1);
    held.disk.fail_next(Operation::Write, Errno::EIO);
    let behind = begin_append(&held.journal, held.shard, &["behind"]);
    for answer in [behind, ahead] {
        let failed = answer.recv().unwrap().unwrap_err(); // while the sync is held up still
        assert!(matches!(failed, AppendError::Write(WriteError::Storage(_))), "{failed}");
    }
    assert!(held.synced.try_recv().is_err());
    drop(held.hold);
    assert_eq!(held.synced.recv().unwrap().unwrap().first, 0);
    assert_eq!(read_all(&held.journal, held.shard, 0).unwrap(), ["synced"]);
}

#[test]
fn only_appends_that_fit_are_written_ahead_and_nothing_overtakes() {
    let held = held(|_| ());
    let Held { journal, shard, .. } = &held;
    let shard = *shard;
    // More than the segment takes, then a closing: they wait for who can roll, and what comes behind them waits, too.
    let text = "t".repeat(6_000);
    let fills: Vec<_> = (0..8).map(|_| begin_append(journal, shard, &[&text])).collect();
    let (told, closed) = sync_channel(1);
    journal.close_shard(shard, move |outcome| told.send(outcome).unwrap());
    let late = begin_append(journal, shard, &["late"]);
    held.written_ahead(1);
    assert!(journal.metrics().written_bytes < 5 * 6_000, "the fifth does not fit into this segment");
    assert_eq!(journal.metrics().rolls, 0);
    let Held { journal, hold, synced, .. } = held;
    drop(hold);
    synced.recv().unwrap().unwrap();
    for (at, answer) in (1..).zip(fills) {
        assert_eq!(answer.recv().unwrap().unwrap().first, at);
    }
    assert_eq!(closed.recv().unwrap().unwrap().end, 9);
    let refused = late.recv().unwrap().unwrap_err();
    assert!(matches!(refused, AppendError::Closed { end: 9, .. }), "{refused}");
    assert!(journal.metrics().rolls >= 1);
}

#[test]
fn a_caller_commits_nothing_itself_while_a_group_is_synced() {
    let Held { journal, shard, hold, synced, .. } = held(|_| ());
    let here = || vec![Append::new(shard, batch(&["here"]), |_| ())];
    let mut writer = journal.writer.lock();
    let committer = writer.as_mut().expect("nobody has it while it syncs");
    committer.last_flush = Duration::ZERO;
    assert!(committer.commit_here(here()).is_err(), "its answer would come before that of the group");
    drop(writer);
    drop(hold);
    synced.recv().unwrap().unwrap();
}

#[test]
fn closing_syncs_what_was_written_ahead() {
    let Held { disk, journal, shard, hold, synced } = held(|_| ());
    let ahead = begin_append(&journal, shard, &["ahead"]);
    let journal = Arc::new(journal);
    while journal.metrics().groups_overlapped == 0 {
        std::thread::yield_now();
    }
    let closing = {
        let journal = Arc::clone(&journal);
        Threads::new().spawn("closing", move || journal.close()).unwrap()
    };
    drop(hold);
    closing.join().unwrap();
    assert_eq!((synced.recv().unwrap().unwrap().first, ahead.recv().unwrap().unwrap().first), (0, 1));
    let (again, report) = open(&disk.after_power_loss(1));
    assert_eq!(report.footers_read, 1);
    assert_eq!(read_all(&again, shard, 0).unwrap(), ["synced", "ahead"]);
}
