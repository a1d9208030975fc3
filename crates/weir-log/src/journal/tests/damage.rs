//! Bits that flip, files that are lost: found, named, and never served. `every_bit.rs` goes through all of a log.

use std::path::{Path, PathBuf};

use super::*;
use crate::segment::{
    footer::TRAILER_BYTES,
    head::{HEAD_BLOCK_BYTES, SegmentHead},
    scan::{End, Scan, scan},
};

/// The shard of the sample that is closed.
pub(super) const CLOSED: ShardKey = ShardKey { stream: StreamId(1), shard: ShardIndex(2) };

/// A log of two segments and some records in three shards, the last one closed, killed: the last segment has no footer.
struct Sample {
    disk: FaultDisk,
    shards: Vec<Written>,
}

impl Sample {
    fn new(clean: bool) -> Self {
        let (disk, shards) = written((0..36).map(|n| if n < 30 { 900 } else { 20 }), clean);
        assert_eq!(segments(&disk).len(), 2);
        Self { disk, shards }
    }
}

/// What was written to a shard.
pub(super) type Written = (ShardKey, Vec<String>);

/// Three shards with records of so many bytes in turn, the last shard closed; then the journal was closed in order, or its
/// process killed.
pub(super) fn written(fillers: impl IntoIterator<Item = usize>, clean: bool) -> (FaultDisk, Vec<Written>) {
    let disk = disk();
    let (journal, _) = open(&disk);
    let mut shards: Vec<Written> = (0..3).map(|n| (key(1, n), Vec::new())).collect();
    shards.iter().for_each(|(key, _)| open_shard(&journal, *key));
    for (n, filler) in fillers.into_iter().enumerate() {
        let text = format!("{n}-{}", "z".repeat(filler));
        let (key, texts) = &mut shards[n % 3];
        append(&journal, *key, &[&text]).unwrap();
        texts.push(text);
    }
    close_shard(&journal, CLOSED).unwrap();
    if clean {
        journal.close();
    }
    (disk.after_kill(1), shards)
}

/// Reads a shard batch by batch to its end, or to what stops that; what it read is what was written.
pub(super) fn read_on(journal: &Journal, written: &Written, what: &str) -> (usize, Option<ReadError>) {
    let (key, texts) = written;
    let mut found = Vec::new();
    let mut at = 0;
    let stopped = loop {
        match journal.read(*key, at, 1, 1) {
            Ok(read) if read.batches.is_empty() => break None,
            Ok(read) => {
                let stored = &read.batches[0];
                assert_eq!(stored.first, at, "{what}: {key} skips records");
                found.extend(stored.batch.records().map(|r| String::from_utf8(r.data.to_vec()).unwrap()));
                at = stored.end();
            }
            Err(error) => break Some(error),
        }
    };
    assert!(texts.starts_with(&found), "{what}: {key} serves what was not written");
    (found.len(), stopped)
}

pub(super) fn segments(disk: &FaultDisk) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| path.to_str().unwrap().contains("segment-");
    disk.paths().into_iter().filter(is_segment).collect()
}

/// The salt of a whole segment, and all that a scan finds in it.
pub(super) fn scanned(disk: &FaultDisk, path: &Path) -> (u32, Scan) {
    let bytes = disk.contents(path).unwrap();
    let head = SegmentHead::read(&bytes[..HEAD_BLOCK_BYTES as usize]).head.unwrap();
    let trailer = bytes.len() - TRAILER_BYTES;
    let before = End::Before(u32::try_from(trailer).unwrap());
    (head.salt, scan(&bytes[..trailer], head.salt, HEAD_BLOCK_BYTES, before, true))
}

pub(super) fn flip(disk: &FaultDisk, path: &Path, bit: usize) -> FaultDisk {
    let disk = disk.after_kill(1);
    disk.damage(path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8)).unwrap();
    disk
}

#[test]
fn a_damaged_frame_stops_its_own_shard_and_no_other() {
    let sample = Sample::new(true);
    let first = &segments(&sample.disk)[0];
    let at = find(&sample.disk, first, b"4-zzz");
    let (journal, report) = open(&flip(&sample.disk, first, at * 8));
    assert_eq!(report.damage, [], "a footer vouches for it until it is read");
    assert_eq!(read_all(&journal, key(1, 0), 0).unwrap(), sample.shards[0].1);
    let stopped = read_all(&journal, key(1, 1), 0).unwrap_err();
    let ReadError::Damaged(damage) = &stopped else { panic!("{stopped}") };
    assert_eq!((damage.from, &damage.path), (1, first));
    assert!((at - 100..at).contains(&(damage.offset as usize)), "{damage} is near {at}");
    assert_eq!(read_all(&journal, key(1, 2), 0).unwrap(), sample.shards[2].1);
    assert!(matches!(append(&journal, key(1, 1), &["x"]), Err(AppendError::Damaged(_))));
    append(&journal, key(1, 0), &["x"]).unwrap();
}

#[test]
fn damage_that_recovery_finds_is_still_known_after_more_writes_and_restarts() {
    let sample = Sample::new(false);
    let last = segments(&sample.disk).pop().unwrap();
    let at = find(&sample.disk, &last, b"31-zzz");
    let disk = flip(&sample.disk, &last, at * 8);
    let shard = key(1, 1);
    for round in 0..4 {
        let (journal, report) = open(&disk);
        let named: Vec<_> = report.damage.iter().filter(|found| found.shards == [shard]).collect();
        assert_eq!(named.len(), 1, "round {round}: {:?}", report.damage);
        assert_eq!(named[0].path, last);
        let offset = usize::try_from(named[0].offset).unwrap();
        assert!((at - 100..at).contains(&offset), "round {round}: {offset} is near {at}");
        let refused = append(&journal, shard, &["x"]).unwrap_err();
        assert!(matches!(refused, AppendError::Damaged(_)), "round {round}: {refused}");
        for n in 0..30 {
            append(&journal, key(1, 0), &[&long(n)]).unwrap();
        }
    }
}

#[test]
fn a_lost_segment_is_named_and_stops_the_shards_that_had_records_in_it() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let (busy, quiet) = (key(1, 0), key(1, 1));
    open_shard(&journal, busy);
    open_shard(&journal, quiet);
    append(&journal, quiet, &["early"]).unwrap();
    for n in 0..120 {
        append(&journal, busy, &[&long(n)]).unwrap();
    }
    let disk = disk.after_kill(1);
    let lost = segments(&disk)[1].clone();
    disk.lose_file(&lost).unwrap();
    let (journal, report) = open(&disk);
    let named: Vec<_> = report.damage.iter().filter(|found| found.kind == DamageKind::Missing).collect();
    assert_eq!(named.len(), 1);
    assert_eq!((&named[0].path, &named[0].shards[..]), (&lost, &[busy][..]));
    assert_eq!(read_all(&journal, quiet, 0).unwrap(), ["early"]);
    append(&journal, quiet, &["still here"]).unwrap();
    assert!(matches!(read_all(&journal, busy, 0), Err(ReadError::Damaged(_))));

    let front = segments(&disk)[0].clone();
    disk.lose_file(&front).unwrap();
    let (journal, report) = open(&disk);
    assert!(report.damage.iter().any(|found| found.path == front), "{:?}", report.damage);
    assert!(matches!(journal.read(quiet, 0, 1, 1), Err(ReadError::Damaged(_))));
}

#[test]
fn a_frame_behind_a_torn_one_never_follows_what_is_written_in_its_place() {
    let disk = disk();
    let (journal, _) = open(&disk);
    let shard = key(1, 0);
    open_shard(&journal, shard);
    let release = hold_committer(&journal, shard);
    let answers = ["torn", "tail"].map(|text| begin_append(&journal, shard, &[text]));
    release.send(()).unwrap();
    assert!(answers.into_iter().all(|answer| answer.recv().unwrap().is_ok()));
    let disk = disk.after_kill(1);
    let path = segments(&disk)[0].clone();
    let disk = flip(&disk, &path, find(&disk, &path, b"torn") * 8);
    let (journal, report) = open(&disk);
    let torn = report.torn_tail.unwrap();
    assert_eq!((report.damage, torn.path), (vec![], path));
    assert_eq!(read_all(&journal, shard, 0).unwrap(), ["held"]);
    append(&journal, shard, &["else"]).unwrap();
    let (journal, _) = open(&disk.after_kill(1));
    assert_eq!(read_all(&journal, shard, 0).unwrap(), ["held", "else"]);
}

fn find(disk: &FaultDisk, path: &Path, text: &[u8]) -> usize {
    let bytes = disk.contents(path).unwrap();
    bytes.windows(text.len()).position(|window| window == text).unwrap()
}

#[test]
fn a_survey_looks_again_when_a_name_went_meanwhile() {
    let sample = Sample::new(false);
    sample.disk.fail_next(Operation::Read, Errno::ENOENT); // as an opening hears it of a file that was just removed
    let survey = Survey::on(Arc::new(sample.disk.clone()), Path::new("data"), Depth::Frames).unwrap();
    assert!(survey.is_whole() && survey.segments.len() == 2);
}

#[test]
fn a_newest_segment_with_nothing_that_reads_is_no_empty_one() {
    let sample = Sample::new(false);
    let newest = &segments(&sample.disk)[1];
    // As blocks read that were laid out, and that no sync brought to the disk after all.
    sample.disk.damage(newest, |bytes| bytes[HEAD_BLOCK_BYTES as usize..].fill(0)).unwrap();
    let refused = Journal::open(config(&sample.disk), &Threads::new(), Clock::new()).unwrap_err();
    assert!(matches!(&refused, OpenError::NoSnapshot(path) if path == newest), "{refused}");
    let survey = Survey::on(Arc::new(sample.disk.clone()), Path::new("data"), Depth::Frames).unwrap();
    let found: Vec<_> = survey.report.damage.iter().map(|found| (&found.path, found.offset)).collect();
    assert_eq!((found, survey.is_whole()), (vec![(newest, u64::from(HEAD_BLOCK_BYTES))], false));
}
