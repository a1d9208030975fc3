//! Torn or damaged: every case that the judgement tells apart.

use proptest::prelude::*;
use weir_core::{
    checksum::crc32c,
    clock::WallMs,
    id::{ShardIndex, ShardKey, StreamId},
};

use super::*;
use crate::{
    frame::FrameKind,
    segment::{LogPlace, SegmentSequence},
};

const SALT: u32 = 7;
const FROM: u32 = 16;

struct Log {
    bytes: Vec<u8>,
    end: u32,
    offsets: Vec<u32>,
}

impl Log {
    fn new() -> Self {
        Self { bytes: vec![0; 4096], end: FROM, offsets: Vec::new() }
    }

    /// Writes frames as one group: none of them is synced when they are written.
    fn group(mut self, bodies: &[&[u8]]) -> Self {
        let synced_to = self.end;
        for body in bodies {
            let header = FrameHeader {
                kind: FrameKind::Append,
                body_bytes: body.len() as u32,
                body_crc: crc32c(body),
                count: 1,
                shard: ShardKey { stream: StreamId(1), shard: ShardIndex(0) },
                synced_to,
                first: self.offsets.len() as u64,
                arrived: WallMs(1),
                opened: LogPlace { segment: SegmentSequence(1), offset: 4096 },
            };
            let at = self.end as usize;
            self.bytes[at..at + 64].copy_from_slice(&header.encode(SALT, self.end));
            self.bytes[at + 64..at + 64 + body.len()].copy_from_slice(body);
            self.offsets.push(self.end);
            self.end += 64 + body.len() as u32;
        }
        self
    }

    fn break_at(mut self, offset: u32) -> Self {
        self.bytes[offset as usize] ^= 0xff;
        self
    }

    fn open(&self) -> Scan {
        scan(&self.bytes, SALT, FROM, End::Before(4000), true)
    }
}

fn frames(scan: &Scan) -> Vec<u32> {
    let frames = scan.findings.iter();
    frames.filter_map(|found| if let Finding::Frame(at, _) = found { Some(*at) } else { None }).collect()
}

fn damages(scan: &Scan) -> Vec<(u32, bool)> {
    let damages = scan.findings.iter();
    let pick = |found: &Finding| match found {
        Finding::Damage(damaged) => Some((damaged.offset, damaged.header.is_some())),
        Finding::Frame(..) => None,
    };
    damages.filter_map(pick).collect()
}

#[test]
fn a_whole_log_ends_after_its_last_frame_with_nothing_torn() {
    let log = Log::new().group(&[b"one", b"two"]).group(&[b"three"]);
    let scan = log.open();
    assert_eq!((frames(&scan), scan.end, scan.torn), (log.offsets.clone(), log.end, None));
}

#[test]
fn the_last_group_is_torn_wherever_it_breaks_and_is_cut_there() {
    for broken in 0..2 {
        for byte in [0, 70] {
            let log = Log::new().group(&[b"first group"]).group(&[b"torn body 1", b"torn body 2"]);
            let at = log.offsets[1 + broken];
            let whole_end = log.end;
            let scan = log.break_at(at + byte).open();
            assert_eq!(frames(&scan).len(), 1 + broken);
            assert_eq!(damages(&scan), []);
            assert_eq!((scan.end, scan.torn), (at, Some(Torn { offset: at, bytes: whole_end - at })));
        }
    }
}

#[test]
fn a_frame_that_a_later_group_was_written_after_is_damaged_not_torn() {
    let log = || Log::new().group(&[b"one"]).group(&[b"two"]).group(&[b"three"]);
    let at = log().offsets[0];
    let header_broken = log().break_at(at + 20).open();
    assert_eq!(damages(&header_broken), [(at, false)]);
    assert_eq!(frames(&header_broken), log().offsets[1..]);
    let body_broken = log().break_at(at + 65).open();
    assert_eq!(damages(&body_broken), [(at, true)], "whose it was is still known");
    assert_eq!(body_broken.end, log().end);
}

#[test]
fn where_the_end_is_known_nothing_is_torn_and_everything_is_damage() {
    let log = Log::new().group(&[b"one", b"two"]);
    let at = log.offsets[1];
    let end = log.end;
    let log = log.break_at(at + 3);
    let scan = scan(&log.bytes, SALT, FROM, End::At(end), true);
    assert_eq!((damages(&scan), scan.end, scan.torn), (vec![(at, false)], end, None));
}

#[test]
fn a_file_cut_short_of_a_known_end_is_damaged_at_the_cut_frame() {
    let log = Log::new().group(&[b"one", b"two"]);
    let cut = &log.bytes[..log.offsets[1] as usize + 66];
    let scan = scan(cut, SALT, FROM, End::At(log.end), true);
    assert_eq!(frames(&scan), [FROM]);
    assert_eq!(damages(&scan), [(log.offsets[1], true)]);
}

#[test]
fn what_a_file_held_before_is_neither_frame_nor_torn_when_it_is_recycled() {
    let mut log = Log::new().group(&[b"one", b"two", b"three"]);
    let old = log.bytes.clone();
    let next_salt = SALT + 1;
    log.bytes = old;
    let scan_recycled = scan(&log.bytes, next_salt, FROM, End::Before(4000), false);
    assert_eq!(scan_recycled, Scan { findings: vec![], end: FROM, torn: None });
}

#[test]
fn a_header_inside_of_a_records_data_is_never_asked() {
    // A frame whose body holds a frame that would be right at that place.
    let inner = Log::new().group(&[b"x"]);
    let planted_at = FROM + 64;
    let header = FrameHeader { synced_to: 4000, ..header_of(&inner) };
    let mut body = header.encode(SALT, planted_at).to_vec();
    body.push(b'x');
    let log = Log::new().group(&[&body]);
    let scan = log.open();
    assert_eq!((frames(&scan), scan.torn), (vec![FROM], None));
    let broken = Log::new().group(&[&body]).break_at(FROM + 64 + 64).open();
    assert_eq!((frames(&broken), damages(&broken)), (vec![], vec![]), "torn, whatever its data claims");
}

fn header_of(log: &Log) -> FrameHeader {
    FrameHeader::decode(&log.bytes[FROM as usize..], SALT, FROM).unwrap()
}

proptest! {
    #[test]
    fn what_was_found_behind_one_place_is_what_is_found_behind_the_next(
        bodies in prop::collection::vec(0..90usize, 1..24),
        broken in prop::collection::vec(0..4096u32, 0..4),
        asked in prop::collection::btree_set(0..4096u32, 1..24),
    ) {
        // Bodies of 67 bytes or more begin with a frame that would be right there: from within, the way leads to it.
        let mut log = Log::new();
        for bytes in bodies {
            let header = FrameHeader { body_bytes: 3, ..header_of(&Log::new().group(&[b"x"])) };
            let planted = header.encode(SALT, log.end + 64);
            let body: Vec<u8> = planted.into_iter().cycle().take(bytes).collect();
            log = log.group(&[&body]);
        }
        let log = broken.into_iter().fold(log, Log::break_at);
        let mut later = Later::default();
        for from in asked {
            let found = headers_from(&log.bytes, SALT, from);
            prop_assert_eq!(later.look(&log.bytes, SALT, from), found.first().copied(), "from {}", from);
            if !found.is_empty() {
                prop_assert_eq!(later.end(), found.last().map(|last| last.end), "from {}", from);
            }
        }
    }
}
