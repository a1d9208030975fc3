//! A disk that refuses, a process that dies, power that goes: nothing acknowledged is lost, nothing else is invented.

use super::*;

fn with_shard(disk: &FaultDisk) -> (Journal, ShardKey) {
    let (journal, _) = open(disk);
    let shard = key(1, 0);
    open_shard(&journal, shard);
    (journal, shard)
}

/// What was acknowledged before something was refused, and why that was.
fn append_until_refused(journal: &Journal, shard: ShardKey) -> (Vec<String>, AppendError) {
    let mut acknowledged = Vec::new();
    loop {
        let text = long(acknowledged.len());
        match append(journal, shard, &[&text]) {
            Ok(_) => acknowledged.push(text),
            Err(error) => return (acknowledged, error),
        }
        assert!(acknowledged.len() < 200);
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_what_was_stays_readable() {
    for operation in [Operation::Sync, Operation::Write] {
        let disk = disk();
        let (journal, shard) = with_shard(&disk);
        append(&journal, shard, &["acknowledged"]).unwrap();
        disk.fail_next(operation, Errno::EIO);
        let failed = append(&journal, shard, &["lost"]).unwrap_err();
        assert_eq!(failed.effect(), Effect::Unknown, "{failed}");
        assert!(failed.to_string().contains("segment-0000000000000001.log"), "{failed}");
        for _ in 0..3 {
            // The next sync would say yes: the kernel has forgotten what it lost.
            let refused = append(&journal, shard, &["later"]).unwrap_err();
            assert_eq!(refused.effect(), Effect::None);
            assert!(matches!(refused, AppendError::Write(WriteError::Stopped(_))), "{refused}");
        }
        assert!(journal.stopped().is_some() && journal.metrics().stopped);
        assert_eq!(read_all(&journal, shard, 0).unwrap(), ["acknowledged"]);
        journal.close();
        for seed in 0..20 {
            let (again, report) = open(&disk.after_power_loss(seed));
            assert_eq!(report.damage, []);
            let read = read_all(&again, shard, 0).unwrap();
            assert!(read == ["acknowledged"] || read == ["acknowledged", "lost"], "{read:?}");
        }
    }
}

#[test]
fn what_a_failed_sync_left_in_memory_only_is_on_disk_before_anything_is_acknowledged_behind_it() {
    for seed in 0..40 {
        let disk = FaultDisk::new(seed, 1 << 30);
        let (journal, shard) = with_shard(&disk);
        disk.fail_next(Operation::Sync, Errno::EIO);
        append(&journal, shard, &["unknown", &long(1), &long(2)]).unwrap_err();
        let disk = disk.after_kill(seed);
        let (journal, _) = open(&disk);
        let found = read_all(&journal, shard, 0).unwrap();
        assert_eq!(found.len(), 3, "the kernel has it");
        append(&journal, shard, &["behind"]).unwrap();
        let (again, report) = open(&disk.after_power_loss(seed));
        assert_eq!(report.damage, [], "seed {seed}");
        assert_eq!(read_all(&again, shard, 0).unwrap(), [&found[..], &["behind".to_owned()]].concat());
    }
}

#[test]
fn a_segment_whose_name_a_failed_sync_left_in_memory_only_has_it_on_disk_before_anything_is_in_it() {
    for seed in 0..40 {
        let disk = FaultDisk::new(seed, 1 << 30);
        disk.fail_next(Operation::SyncFolder, Errno::EIO);
        Journal::open(config(&disk), &Threads::new(), Clock::new()).unwrap_err();
        let disk = disk.after_kill(seed);
        let (journal, shard) = with_shard(&disk);
        append(&journal, shard, &["acknowledged"]).unwrap();
        let (again, _) = open(&disk.after_power_loss(seed));
        assert_eq!(read_all(&again, shard, 0).unwrap(), ["acknowledged"], "seed {seed}");
    }
}

#[test]
fn a_full_disk_refuses_without_effect_and_writes_go_on_when_there_is_room() {
    let disk = FaultDisk::new(1, 2 * SEGMENT_BYTES);
    let (journal, shard) = with_shard(&disk);
    let (mut acknowledged, refused) = append_until_refused(&journal, shard);
    assert!(matches!(refused, AppendError::Write(WriteError::NoRoom(_))), "{refused}");
    assert_eq!(refused.effect(), Effect::None);
    assert!(refused.to_string().contains("lay out data/spare-"), "{refused}");
    assert_eq!(read_all(&journal, shard, 0).unwrap(), acknowledged);
    assert!(append(&journal, shard, &[&long(0)]).is_err(), "still full");
    disk.set_free_bytes(10 * SEGMENT_BYTES);
    let next = append(&journal, shard, &["room"]).unwrap();
    assert_eq!(next.first, acknowledged.len() as u64, "a refused append took no number");
    acknowledged.push("room".into());
    drop(journal);
    assert_eq!(read_all(&open(&disk).0, shard, 0).unwrap(), acknowledged);
}

#[test]
fn a_next_segment_that_the_disk_refuses_for_another_reason_is_told_as_that_and_tried_again() {
    let disk = disk();
    let (journal, shard) = with_shard(&disk);
    // When the segment is half full, and when it is full.
    (0..2).for_each(|_| disk.fail_next(Operation::LayOut, Errno::EIO));
    let (mut acknowledged, refused) = append_until_refused(&journal, shard);
    assert!(matches!(refused, AppendError::Write(WriteError::NoSegment(_))), "{refused}");
    assert_eq!(refused.effect(), Effect::None);
    assert!(refused.to_string().contains("lay out data/spare-"), "{refused}");
    assert!(journal.metrics().full && !journal.metrics().stopped);
    assert_eq!(read_all(&journal, shard, 0).unwrap(), acknowledged);
    let text = long(acknowledged.len());
    let next = append(&journal, shard, &[&text]).unwrap();
    assert_eq!(next.first, acknowledged.len() as u64, "a refused append took no number");
    assert!(!journal.metrics().full);
    acknowledged.push(text);
    drop(journal);
    let (again, report) = open(&disk);
    assert_eq!(report.damage, []);
    assert_eq!(read_all(&again, shard, 0).unwrap(), acknowledged);
}

#[test]
fn a_disk_that_is_full_to_the_last_record_still_lets_go_of_shards_and_then_takes_records() {
    let disk = FaultDisk::new(1, 2 * SEGMENT_BYTES);
    let (journal, _) = open(&disk);
    let (kept, let_go) = (key(1, 0), [key(2, 0), key(2, 1), key(2, 2), key(2, 3)]);
    let_go.iter().chain([&kept]).for_each(|shard| open_shard(&journal, *shard));
    for bytes in [900, 30, 1] {
        while let Ok(done) = append(&journal, let_go[0], &[&"x".repeat(bytes)]) {
            assert!(done.first < 2_000);
        }
    }
    assert!(journal.metrics().full && !journal.metrics().stopped);
    let refused = append(&journal, kept, &["no room"]).unwrap_err();
    assert_eq!(refused.effect(), Effect::None);
    for shard in let_go {
        wait(|done| journal.delete_shard(shard, done)).unwrap();
    }
    assert!(retain(&journal, |_| Duration::MAX, 1).segments_dropped > 0);
    append(&journal, kept, &[&long(0)]).unwrap();
    assert!(!journal.metrics().full);
    drop(journal);
    assert_eq!(read_all(&open(&disk).0, kept, 0).unwrap(), [long(0)]);
}

#[test]
fn short_writes_are_continued() {
    let disk = disk();
    disk.shorten_writes();
    let (journal, shard) = with_shard(&disk);
    let texts: Vec<_> = (0..60).map(long).collect();
    for text in &texts {
        append(&journal, shard, &[text]).unwrap();
    }
    assert_eq!(read_all(&open(&disk.after_power_loss(1)).0, shard, 0).unwrap(), texts);
}

#[test]
fn a_read_error_is_reported_and_the_next_read_tries_again() {
    let disk = disk();
    let config = JournalConfig { cache_bytes_max: 0, ..config(&disk) };
    let (journal, _) = Journal::open(config, &Threads::new(), Clock::new()).unwrap();
    let shard = key(1, 0);
    open_shard(&journal, shard);
    append(&journal, shard, &["there"]).unwrap();
    disk.fail_next(Operation::Read, Errno::EIO);
    let failed = journal.read(shard, 0, 1, 1).unwrap_err();
    assert!(failed.to_string().starts_with("read data/segment-0000000000000001.log"), "{failed}");
    assert_eq!(read_all(&journal, shard, 0).unwrap(), ["there"]);
}

/// Enough to fill three segments and to drop the first ones.
const BURSTS: usize = 40;

/// What became of one shard's appends.
#[derive(Debug, Default)]
struct Tried {
    texts: Vec<String>,
    acknowledged: usize,
    /// Records before this one may be trimmed.
    trimmed: usize,
}

/// Appends in small bursts and trims now and then until the power goes.
fn append_until_dark(journal: &Journal, shards: &[ShardKey]) -> Vec<Tried> {
    let mut tried: Vec<_> = shards.iter().map(|_| Tried::default()).collect();
    for burst in 0..BURSTS {
        let answers: Vec<_> = (0..5)
            .map(|n| {
                let at = (burst + n) % shards.len();
                let text = format!("{burst}-{n}-{}", "y".repeat(burst * 37 % 700));
                tried[at].texts.push(text.clone());
                (at, begin_append(journal, shards[at], &[&text]))
            })
            .collect();
        for (at, answer) in answers {
            tried[at].acknowledged += usize::from(answer.recv().unwrap().is_ok());
        }
        if burst % 16 == 15 {
            journal.retain(|_| Duration::ZERO, WallMs(u64::MAX), |_| ());
            tried.iter_mut().for_each(|tried| tried.trimmed = tried.acknowledged);
        }
    }
    tried
}

/// Every acknowledged record is there under `fsync`; under `os` the newest may be gone, and what is left is as it was
/// appended. Under both the shards take appends.
fn check_after_power_loss(
    disk: &FaultDisk,
    durability: Durability,
    opened: &[ShardKey],
    tried: &[Tried],
    what: &str,
) {
    let (journal, report) = open_as(disk, durability);
    assert_eq!(report.damage, [], "{what}");
    for (shard, Tried { texts, acknowledged, trimmed }) in opened.iter().zip(tried) {
        let Ok(oldest) = journal.position(*shard, At::TrimHorizon) else {
            assert_eq!(durability, Durability::Os, "{what}: {shard} is gone");
            continue;
        };
        let found = read_all(&journal, *shard, oldest).unwrap();
        let oldest = usize::try_from(oldest).unwrap();
        assert!(oldest <= *trimmed, "{what}: {shard} begins at {oldest}, {trimmed} were trimmed");
        assert!(texts[oldest..].starts_with(&found), "{what}: {shard} is not what was appended");
        let end = oldest + found.len();
        let promised = if durability == Durability::Fsync { *acknowledged } else { 0 };
        assert!(end >= promised, "{what}: {shard} has {end} of {promised} acknowledged");
        assert_eq!(append(&journal, *shard, &["after"]).unwrap().first, end as u64, "{what}");
    }
}

fn open_as(disk: &FaultDisk, durability: Durability) -> (Journal, RecoveryReport) {
    Journal::open(config_of(disk, durability), &Threads::new(), Clock::new()).unwrap()
}

#[test]
fn whenever_the_power_goes_every_acknowledged_record_is_there_once_and_in_order() {
    power_goes_at_every_change(Durability::Fsync);
}

#[test]
fn whenever_the_power_goes_without_syncs_what_is_left_is_whole_and_goes_on() {
    power_goes_at_every_change(Durability::Os);
}

fn power_goes_at_every_change(durability: Durability) {
    let shards = [key(1, 0), key(1, 1), key(2, 0)];
    let changes = {
        let disk = disk();
        let (journal, _) = open_as(&disk, durability);
        shards.iter().for_each(|shard| open_shard(&journal, *shard));
        append_until_dark(&journal, &shards);
        let metrics = journal.metrics();
        assert!(
            metrics.rolls >= 2 && metrics.segments < metrics.rolls + 1,
            "segments were dropped: {metrics:?}"
        );
        drop(journal);
        disk.changes()
    };
    for at in 1..=changes {
        let disk = FaultDisk::new(at, 1 << 30);
        disk.lose_power_at(at);
        let opening = Journal::open(config_of(&disk, durability), &Threads::new(), Clock::new());
        let Ok((journal, _)) = opening else {
            let (again, report) = open_as(&disk.after_power_loss(at), durability);
            assert_eq!((report.damage, again.shards()), (vec![], vec![]), "power lost at {at}");
            continue;
        };
        let opened: Vec<_> = shards
            .iter()
            .copied()
            .filter(|shard| wait(|done| journal.open_shard(owned(*shard, 1), done)).is_ok())
            .collect();
        let tried = if opened.is_empty() { vec![] } else { append_until_dark(&journal, &opened) };
        drop(journal);
        let what = format!("power lost at {at}");
        let again = disk.after_power_loss(at);
        check_after_power_loss(&again, durability, &opened, &tried, &what);
        // And the mended log is as good as any: filled further and killed, it opens without a word.
        let (journal, _) = open_as(&again, durability);
        if let Some(shard) = journal.shards().first().map(|status| status.owned.key) {
            assert!((0..40).all(|n| append(&journal, shard, &[&long(n)]).is_ok()), "{what}");
        }
        let (_, report) = open_as(&again.after_kill(at), durability);
        assert_eq!((report.damage, report.torn_tail), (vec![], None), "{what}");
    }
}
