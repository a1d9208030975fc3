//! Frames whose checksums are right and whose content is not what a writer of this version writes: whatever they say, an
//! opening ends with an error or a journal, and that one reads, writes and closes.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use proptest::{prelude::*, test_runner::TestRunner};
use weir_core::checksum::crc32c;

use super::{
    damage::{scanned, segments, written},
    *,
};
use crate::{
    frame::{FRAME_HEADER_BYTES, header_crc},
    segment::{footer::TRAILER_BYTES, scan::Finding},
};

/// Bytes of the records: those that fill a segment, and some in the next.
const FILLERS: [usize; 10] = [5, 2_000, 7_500, 7_500, 7_500, 7_500, 30, 20, 900, 1];
/// Batches that a shard of the sample has at most, and a few more.
const READS_MAX: usize = 40;

/// A change to one frame.
#[derive(Debug, Clone)]
struct Forgery {
    /// Which frame of the segment, in hundredths of their number: often the last, the footer if there is one.
    frame: usize,
    in_body: bool,
    /// Where in the header or in the body, in thousandths of its length.
    place: usize,
    value: Vec<u8>,
}

fn forgeries() -> impl Strategy<Value = Forgery> {
    let value = prop_oneof![
        any::<u64>().prop_map(|n| n.to_le_bytes().to_vec()),
        any::<u32>().prop_map(|n| n.to_le_bytes().to_vec()),
        (0..9u8).prop_map(|n| vec![n]),
        prop_oneof![Just(0), Just(u64::MAX), Just(1 << 63), Just((1 << 63) - 1)]
            .prop_map(|n: u64| n.to_le_bytes().to_vec()),
        prop_oneof![Just(0), Just(u32::MAX), Just(1 << 31)].prop_map(|n: u32| n.to_le_bytes().to_vec()),
    ];
    (prop_oneof![0..100usize, Just(99)], any::<bool>(), 0..1_000usize, value)
        .prop_map(|(frame, in_body, place, value)| Forgery { frame, in_body, place, value })
}

/// The salt of a segment, and start and end of each of its frames.
fn frames_of(disk: &FaultDisk, path: &Path) -> (u32, Vec<(usize, usize)>) {
    let (salt, scanned) = scanned(disk, path);
    let frames = scanned.findings.iter().map(|finding| match finding {
        Finding::Frame(offset, header) => (*offset as usize, *offset as usize + header.frame_bytes()),
        Finding::Damage(_) => panic!("{finding:?}"),
    });
    (salt, frames.collect())
}

/// Changes one frame, and makes its checksums right again.
fn forge(disk: &FaultDisk, path: &Path, forgery: &Forgery) {
    let (salt, frames) = frames_of(disk, path);
    let (start, end) = frames[forgery.frame * frames.len() / 100];
    let body_at = start + FRAME_HEADER_BYTES;
    let part = if forgery.in_body { body_at..end } else { start + 8..body_at };
    disk.damage(path, |bytes| {
        // In a header where a field may begin.
        let place = forgery.place * part.len() / 1_000;
        let at = part.start + if forgery.in_body { place } else { place & !3 };
        let len = forgery.value.len().min(part.end - at);
        bytes[at..at + len].copy_from_slice(&forgery.value[..len]);
        let body_bytes = u32::from_le_bytes(bytes[start + 12..start + 16].try_into().unwrap()) as usize;
        let body = bytes.get(body_at..body_at + body_bytes).unwrap_or_default();
        let body_crc = crc32c(body);
        bytes[start + 16..start + 20].copy_from_slice(&body_crc.to_le_bytes());
        let header = bytes[start..body_at].try_into().unwrap();
        let crc = header_crc(salt, u32::try_from(start).unwrap(), header);
        bytes[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    })
    .unwrap();
}

/// Opens, reads everything, writes to every shard, lets go of some and rewrites the rest, closes, and all that once more.
/// True when it opened.
fn use_it(disk: &FaultDisk) -> bool {
    for keep in [Duration::MAX, Duration::ZERO] {
        for depth in [Depth::Footers, Depth::Frames] {
            let _ = Survey::on(Arc::new(disk.clone()), Path::new("data"), depth);
        }
        let Ok((journal, _)) = Journal::open(config(disk), &Threads::new(), Clock::new()) else {
            return false;
        };
        for status in journal.shards() {
            let (key, mut from) = (status.owned.key, status.oldest);
            for at in [At::TrimHorizon, At::Timestamp(WallMs(1)), At::Timestamp(WallMs(u64::MAX))] {
                let _ = journal.position(key, at);
            }
            for _ in 0..READS_MAX {
                match journal.read(key, from, 1, 1) {
                    Ok(read) if !read.batches.is_empty() => from = read.batches[0].end(),
                    Ok(_) | Err(_) => break,
                }
            }
            let appended = append(&journal, key, &["one more"]);
            assert!(!matches!(appended, Err(AppendError::Write(WriteError::OwnerGone))), "a thread panicked");
        }
        let of_first = |key: ShardKey| if key.shard.0 == 0 { keep } else { Duration::MAX };
        let retained = wait(|done| journal.retain(of_first, WallMs(u64::MAX), done));
        let rewritten = wait(|done| journal.rewrite(done));
        assert!(!matches!(retained, Err(WriteError::OwnerGone)), "a thread panicked");
        assert!(!matches!(rewritten, Err(WriteError::OwnerGone)), "a thread panicked");
        journal.close();
    }
    true
}

#[test]
fn frames_that_say_anything_under_right_checksums_are_survived() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(600));
    let opened = AtomicU32::new(0);
    let forged = runner.run(
        &(any::<bool>(), any::<bool>(), any::<bool>(), forgeries()),
        |(clean, in_last, footers_read, forgery)| {
            let (disk, _) = written(FILLERS, clean);
            let files = segments(&disk);
            prop_assert_eq!(files.len(), 2);
            forge(&disk, &files[usize::from(in_last)], &forgery);
            for path in files.iter().filter(|_| !footers_read) {
                // Without its trailer a segment is read frame by frame.
                disk.damage(path, |bytes| {
                    let at = bytes.len() - TRAILER_BYTES;
                    bytes[at] ^= 1;
                })
                .unwrap();
            }
            opened.fetch_add(u32::from(use_it(&disk)), Ordering::Relaxed);
            Ok(())
        },
    );
    forged.unwrap_or_else(|error| panic!("{error}"));
    assert!(opened.into_inner() > 300, "most of them stop a shard and no journal");
}
