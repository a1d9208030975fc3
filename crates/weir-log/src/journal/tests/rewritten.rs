//! A rewritten segment whose bits flip, or that is cut: found, named, and never served.

use std::path::Path;

use super::{
    damage::{CLOSED, Written, flip, read_on, segments},
    *,
};
use crate::disk::PAGE_BYTES;

/// A log whose oldest segments were rewritten.
struct Sample {
    disk: FaultDisk,
    shards: Vec<Written>,
}

impl Sample {
    /// With records of three hundred bytes and some.
    fn new() -> Self {
        Self::of_records(300)
    }

    /// Three shards with records of so many bytes and some, the last one closed, and a fourth, which filled most of the
    /// segments and is trimmed.
    fn of_records(bytes: usize) -> Self {
        let disk = disk();
        let (journal, _) = open(&disk);
        let mut shards: Vec<_> = (0..3).map(|n| (key(1, n), Vec::new())).collect();
        let filler = key(2, 0);
        shards.iter().map(|(key, _)| *key).chain([filler]).for_each(|key| open_shard(&journal, key));
        for n in 0..120 {
            append(&journal, filler, &[&long(n)]).unwrap();
            if n % 10 == 0 {
                let text = format!("{n}-{}", "z".repeat(bytes));
                let (key, texts) = &mut shards[n / 10 % 3];
                append(&journal, *key, &[&text]).unwrap();
                texts.push(text);
            }
        }
        close_shard(&journal, CLOSED).unwrap();
        retain(&journal, |key| if key == filler { Duration::ZERO } else { Duration::MAX }, u64::MAX);
        assert!(rewrite(&journal).segments_rewritten > 1);
        journal.close();
        Self { disk: disk.after_kill(1), shards }
    }

    /// After the damage: every record is either served as it was, or its shard says why not, or the opening says that
    /// the end of the log was cut there. Returns how many records are not served.
    fn check(&self, disk: &FaultDisk, what: &str) -> usize {
        let opened = Journal::open(config(disk), &Threads::new(), Clock::new());
        let (journal, report) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                assert!(error.to_string().contains("segment-"), "{what}: {error}");
                return usize::MAX;
            }
        };
        let mut missing = 0;
        for written in &self.shards {
            missing += self.check_shard(&journal, &report, written, what);
        }
        missing
    }

    fn check_shard(
        &self,
        journal: &Journal,
        report: &RecoveryReport,
        written: &Written,
        what: &str,
    ) -> usize {
        let (read, stopped) = read_on(journal, written, what);
        let (key, texts) = (written.0, &written.1);
        let missing = texts.len() - read;
        match stopped {
            Some(ReadError::Damaged(damage)) => {
                assert_eq!(damage.from, read as u64, "{what}");
                assert!(damage.path.to_str().unwrap().contains("segment-"), "{what}: {damage}");
                let refused = append(journal, key, &["after damage"]).unwrap_err();
                let closed = key == CLOSED && matches!(refused, AppendError::Closed { .. });
                assert!(closed || matches!(refused, AppendError::Damaged(_)), "{what}: {refused}");
            }
            Some(ReadError::NoShard { .. }) => {
                assert!(!report.damage.is_empty() || report.torn_tail.is_some(), "{what}: {key} vanished");
            }
            Some(other) => panic!("{what}: {other}"),
            None if key == CLOSED && journal.shard(key).unwrap().owned.is_open() => {
                assert!(report.torn_tail.is_some(), "{what}: {key} is open again in silence");
            }
            None if missing > 0 => {
                assert!(report.torn_tail.is_some(), "{what}: {key} lost {missing} records in silence");
            }
            None => {}
        }
        missing
    }
}

/// Every bit would take minutes: every byte, each with another bit, in steps that share no factor with the layout.
fn bits(disk: &FaultDisk, path: &Path) -> impl Iterator<Item = usize> {
    let bytes = disk.contents(path).unwrap().len();
    (0..bytes).step_by(13).map(|byte| byte * 8 + byte % 8)
}

#[test]
fn a_flipped_bit_anywhere_in_a_rewritten_segment_is_never_served_and_always_named() {
    let sample = Sample::new();
    let path = &segments(&sample.disk)[0];
    let mut harmful = 0;
    for bit in bits(&sample.disk, path) {
        let what = format!("bit {bit} of {}", path.display());
        let disk = flip(&sample.disk, path, bit);
        harmful += usize::from(sample.check(&disk, &what) > 0);
        let names = config(&disk).disk.list(Path::new("data")).unwrap();
        let found = recover::recover(&config(&disk), &names, recover::Trust::Frames).unwrap();
        assert_ne!(found.report.damage, [], "{what}: no byte of it means nothing");
        assert!(
            matches!(found.refusal, None | Some(OpenError::NoSnapshot(_))),
            "{what}: {:?}",
            found.refusal
        );
    }
    assert!(harmful > 100, "a part of the bytes are records: {harmful}");
}

#[test]
fn a_rewritten_segment_whose_footer_is_lost_has_every_record_all_the_same() {
    let sample = Sample::new();
    let path = &segments(&sample.disk)[0];
    let trailer = sample.disk.contents(path).unwrap().len() - 1;
    let disk = flip(&sample.disk, path, trailer * 8);
    let oldest = |disk: &FaultDisk| open(disk).0.position(key(2, 0), At::TrimHorizon).unwrap();
    assert_eq!(oldest(&disk), oldest(&sample.disk.after_kill(1)));
    assert_eq!(sample.check(&disk, "by its frames"), 0);
    let disk = flip(&sample.disk, path, trailer * 8);
    let kinds: Vec<_> = open(&disk).1.damage.into_iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [DamageKind::Footer]);
}

#[test]
fn a_rewritten_segment_that_is_cut_short_anywhere_is_named() {
    let sample = Sample::new();
    let path = &segments(&sample.disk)[0];
    let bytes = sample.disk.contents(path).unwrap().len();
    for cut in (0..bytes).step_by(53) {
        let disk = sample.disk.after_kill(1);
        disk.damage(path, |bytes| bytes.truncate(cut)).unwrap();
        let what = format!("cut to {cut} of {bytes}");
        let missing = sample.check(&disk, &what);
        let (_, report) = match Journal::open(config(&disk), &Threads::new(), Clock::new()) {
            Ok(opened) => opened,
            Err(_) => continue,
        };
        assert!(!report.damage.is_empty() || missing > 0, "{what}");
    }
}

#[test]
fn a_page_of_a_rewritten_segment_that_does_not_read_is_named_and_nothing_is_given_up_for_it() {
    let sample = Sample::of_records(3_000);
    let path = &segments(&sample.disk)[0];
    let bytes = sample.disk.contents(path).unwrap().len();
    let (mut refused, mut heard) = (Vec::new(), 0);
    for page in (0..bytes).step_by(PAGE_BYTES as usize) {
        let what = format!("the page at {page} of {bytes}");
        let disk = sample.disk.after_kill(1);
        let end = (page + PAGE_BYTES as usize).min(bytes);
        disk.add_bad_sectors(path, page..end).unwrap();
        match Journal::open(config(&disk), &Threads::new(), Clock::new()) {
            Ok((journal, _)) => {
                for written in &sample.shards {
                    let (read, stopped) = read_on(&journal, written, &what);
                    let is_whole = read == written.1.len() && stopped.is_none();
                    assert!(
                        is_whole || matches!(stopped, Some(ReadError::Storage(_))),
                        "{what}: {stopped:?}"
                    );
                    heard += usize::from(!is_whole);
                }
                journal.close();
            }
            Err(OpenError::Unreadable { path: named, offset, can_be_given_up, .. }) => {
                assert_eq!((&named, offset), (path, page as u64), "{what}");
                assert!(!can_be_given_up || end - page == PAGE_BYTES as usize, "{what}: it would grow");
                refused.push(page);
            }
            Err(other) => panic!("{what}: {other}"),
        }
        disk.mend();
        assert_eq!(sample.check(&disk, &what), 0, "{what}: when the disk gives it again");
        assert_eq!(open(&disk).1.damage, [], "{what}");
    }
    assert!(heard > 0, "records lie under a footer that vouches for them");
    let last = (bytes - 1) / PAGE_BYTES as usize * PAGE_BYTES as usize;
    assert_eq!(refused, [last], "the footer, and frames beside it");
}
