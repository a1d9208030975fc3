//! What is said of a shard beside its records, in bytes: who it is, where its history stands, what is wrong with it.
//!
//! A snapshot of all shards opens every segment and is part of every footer, so that recovery needs no other file and
//! a dropped segment takes nothing with it but records. Layouts are persisted.

use bytes::{Buf, BufMut};
use weir_core::{
    clock::WallMs,
    hash_key::{HashKey, HashKeyRange},
    id::{AccountId, Epoch, Region, ShardIndex, ShardKey, StreamId, StreamName},
    limits::{SEGMENT_BYTES, SHARDS_MAX},
    sequence::RecordIndex,
    shard::{ClosedShard, OwnedShard},
};

use crate::{
    frame::NUMBER_MAX,
    segment::{LogPlace, SegmentSequence},
};

/// The layout that this version writes, first in the body of a `ShardOpened`, a `Snapshot` and a `Footer`.
pub(crate) const LAYOUT: u16 = 2;
/// Bytes of an [`OwnedShard`] without its stream's region and name.
const OWNED_FIXED_BYTES: usize = 97;
/// Bytes of a [`ShardSnapshot`] in front of its [`OwnedShard`].
const STATE_BYTES: usize = 32;
/// Bytes of a shard's damage, if it has any.
const DAMAGE_BYTES: usize = 16;
/// Bytes of a [`Snapshot`] in front of its shards: layout (2), zero (2), shards (4), first segment kept (8).
pub(crate) const SNAPSHOT_FIXED_BYTES: usize = 16;
/// Bytes of a stream's name (AWS).
const NAME_BYTES_MAX: usize = 128;

const _: () = assert!(
    ((STATE_BYTES + DAMAGE_BYTES + OWNED_FIXED_BYTES + Region::CHARS_MAX + NAME_BYTES_MAX) * SHARDS_MAX)
        as u64
        <= SEGMENT_BYTES / 4,
    "one journal can hold every shard that a control plane gives out"
);

/// Flag: the shard is damaged. Persisted, never renumber.
const FLAG_DAMAGED: u64 = 1 << 63;

/// Flags of what a shard has of its family and its end. Persisted, never renumber.
const FLAG_PARENT: u8 = 1;
const FLAG_ADJACENT_PARENT: u8 = 2;
const FLAG_CLOSED: u8 = 4;

/// A shard's state at one place of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShardSnapshot {
    pub(crate) owned: OwnedShard,
    /// Where it was opened: tells two lives of one key apart.
    pub(crate) opened: LogPlace,
    /// The index that its next record gets.
    pub(crate) next: RecordIndex,
    /// The first record that is kept.
    pub(crate) oldest: RecordIndex,
    /// When its newest record arrived.
    pub(crate) last_arrived: WallMs,
    pub(crate) damage: Option<DamageMark>,
}

/// From which record on a shard is not to be trusted, and the place that is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DamageMark {
    pub(crate) from: RecordIndex,
    pub(crate) place: LogPlace,
}

/// All shards at one place of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Segments before this one are no longer kept.
    pub(crate) first_segment: SegmentSequence,
    pub(crate) shards: Vec<ShardSnapshot>,
}

/// Bytes that [`encode_owned`] writes.
pub(crate) fn owned_bytes(owned: &OwnedShard) -> usize {
    OWNED_FIXED_BYTES + owned.region.as_str().len() + owned.stream_name.as_str().len()
}

/// Bytes that a shard takes in a snapshot, damaged or not.
pub(crate) fn shard_bytes_max(owned: &OwnedShard) -> usize {
    STATE_BYTES + DAMAGE_BYTES + owned_bytes(owned)
}

/// Writes a shard's facts: stream (8), shard (4), account (8), first key (16), last key (16), creation time (8), epoch
/// (8), flags (1: bit 0 a parent, bit 1 an adjacent parent, bit 2 closed), parent (4), adjacent parent (4), closing time
/// (8), end (8), each of these zero where its flag is not set, length of the region (2), the region, length of the
/// stream's name (2), the name.
pub(crate) fn encode_owned(owned: &OwnedShard, out: &mut Vec<u8>) {
    out.put_u64_le(owned.key.stream.0);
    out.put_u32_le(owned.key.shard.0);
    out.put_u64_le(owned.account.number());
    out.put_u128_le(owned.range.start.0);
    out.put_u128_le(owned.range.end.0);
    out.put_u64_le(owned.created_ms);
    out.put_u64_le(owned.epoch.0);
    encode_lineage(owned, out);
    for text in [owned.region.as_str(), owned.stream_name.as_str()] {
        out.put_u16_le(u16::try_from(text.len()).expect("a region and a stream's name are short"));
        out.put_slice(text.as_bytes());
    }
}

/// Always of one length: what a shard takes in a snapshot must not grow when it is closed.
fn encode_lineage(owned: &OwnedShard, out: &mut Vec<u8>) {
    let [parent, adjacent] = owned.parents;
    let flag = |set: bool, flag| if set { flag } else { 0 };
    out.put_u8(
        flag(parent.is_some(), FLAG_PARENT)
            | flag(adjacent.is_some(), FLAG_ADJACENT_PARENT)
            | flag(owned.closed.is_some(), FLAG_CLOSED),
    );
    out.put_u32_le(parent.map_or(0, |parent| parent.0));
    out.put_u32_le(adjacent.map_or(0, |adjacent| adjacent.0));
    out.put_u64_le(owned.closed.map_or(0, |closed| closed.at_ms));
    out.put_u64_le(owned.closed.map_or(0, |closed| closed.end));
}

fn decode_lineage(input: &mut &[u8]) -> Option<([Option<ShardIndex>; 2], Option<ClosedShard>)> {
    let flags = input.try_get_u8().ok()?;
    let parent = ShardIndex(input.try_get_u32_le().ok()?);
    let adjacent = ShardIndex(input.try_get_u32_le().ok()?);
    let closed = ClosedShard { at_ms: input.try_get_u64_le().ok()?, end: input.try_get_u64_le().ok()? };
    let known = FLAG_PARENT | FLAG_ADJACENT_PARENT | FLAG_CLOSED;
    if flags & !known != 0 || closed.end > NUMBER_MAX || closed.at_ms > NUMBER_MAX {
        return None;
    }
    let has = |flag| flags & flag != 0;
    let parents = [has(FLAG_PARENT).then_some(parent), has(FLAG_ADJACENT_PARENT).then_some(adjacent)];
    Some((parents, has(FLAG_CLOSED).then_some(closed)))
}

/// Reads what [`encode_owned`] wrote; `None` when it is something else.
pub(crate) fn decode_owned(input: &mut &[u8]) -> Option<OwnedShard> {
    let stream = StreamId(input.try_get_u64_le().ok()?);
    let shard = ShardIndex(input.try_get_u32_le().ok()?);
    let account = AccountId::new(input.try_get_u64_le().ok()?)?;
    let start = HashKey(input.try_get_u128_le().ok()?);
    let end = HashKey(input.try_get_u128_le().ok()?);
    let created_ms = input.try_get_u64_le().ok()?;
    let epoch = Epoch(input.try_get_u64_le().ok()?);
    let (parents, closed) = decode_lineage(input)?;
    let region = decode_text(input)?.parse().ok()?;
    let stream_name = StreamName::new(decode_text(input)?);
    let (key, range) = (ShardKey { stream, shard }, HashKeyRange { start, end });
    Some(OwnedShard { key, account, region, stream_name, range, created_ms, epoch, parents, closed })
}

fn decode_text<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
    let bytes = usize::from(input.try_get_u16_le().ok()?);
    let (text, rest) = input.split_at_checked(bytes)?;
    *input = rest;
    std::str::from_utf8(text).ok()
}

/// The body of a `ShardOpened`: layout (2), then the shard's facts.
pub(crate) fn opened_body(owned: &OwnedShard) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + owned_bytes(owned));
    out.put_u16_le(LAYOUT);
    encode_owned(owned, &mut out);
    out
}

/// Reads what [`opened_body`] wrote.
pub(crate) fn decode_opened(mut body: &[u8]) -> Option<OwnedShard> {
    let layout = body.try_get_u16_le().ok()?;
    let owned = decode_owned(&mut body)?;
    (layout == LAYOUT && body.is_empty()).then_some(owned)
}

impl Snapshot {
    /// Appends the snapshot: layout (2), zero (2), number of shards (4), first segment kept (8); then for each shard
    /// opened (8), next record (8, its highest bit set when damage follows), oldest record (8), last arrival (8),
    /// damaged from (8) and place (8) if so, and its facts.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16_le(LAYOUT);
        out.put_u16_le(0);
        out.put_u32_le(u32::try_from(self.shards.len()).expect("bounded by a quarter of a segment"));
        out.put_u64_le(self.first_segment.0);
        for shard in &self.shards {
            out.put_u64_le(shard.opened.to_bits());
            out.put_u64_le(shard.next | if shard.damage.is_some() { FLAG_DAMAGED } else { 0 });
            out.put_u64_le(shard.oldest);
            out.put_u64_le(shard.last_arrived.0);
            if let Some(damage) = shard.damage {
                out.put_u64_le(damage.from);
                out.put_u64_le(damage.place.to_bits());
            }
            encode_owned(&shard.owned, out);
        }
    }

    /// Reads a snapshot from the front of `input`; `None` when it is something else.
    pub(crate) fn decode(input: &mut &[u8]) -> Option<Self> {
        let layout = input.try_get_u16_le().ok()?;
        let zero = input.try_get_u16_le().ok()?;
        let count = input.try_get_u32_le().ok()?;
        let first_segment = SegmentSequence(input.try_get_u64_le().ok()?);
        if layout != LAYOUT || zero != 0 {
            return None;
        }
        let mut shards = Vec::new();
        for _ in 0..count {
            shards.push(decode_shard(input)?);
        }
        Some(Self { first_segment, shards })
    }
}

fn decode_shard(input: &mut &[u8]) -> Option<ShardSnapshot> {
    let opened = LogPlace::from_bits(input.try_get_u64_le().ok()?);
    let next = input.try_get_u64_le().ok()?;
    let oldest = input.try_get_u64_le().ok()?;
    let last_arrived = WallMs(input.try_get_u64_le().ok()?);
    let damage = if next & FLAG_DAMAGED == 0 {
        None
    } else {
        let from = input.try_get_u64_le().ok()?;
        Some(DamageMark { from, place: LogPlace::from_bits(input.try_get_u64_le().ok()?) })
    };
    let owned = decode_owned(input).filter(|_| last_arrived.0 <= NUMBER_MAX)?;
    Some(ShardSnapshot { owned, opened, next: next & !FLAG_DAMAGED, oldest, last_arrived, damage })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(segment: u64, offset: u32) -> LogPlace {
        LogPlace { segment: SegmentSequence(segment), offset }
    }

    fn shard(name: &str, damage: Option<DamageMark>) -> ShardSnapshot {
        let owned = OwnedShard {
            key: ShardKey { stream: StreamId(1), shard: ShardIndex(2) },
            account: AccountId::new(3).unwrap(),
            region: "r".parse().unwrap(),
            stream_name: StreamName::new(name),
            range: HashKeyRange { start: HashKey(4), end: HashKey(5) },
            created_ms: 6,
            epoch: Epoch(7),
            parents: [Some(ShardIndex(17)), None],
            closed: Some(ClosedShard { at_ms: 18, end: 19 }),
        };
        ShardSnapshot { owned, opened: place(8, 9), next: 10, oldest: 11, last_arrived: WallMs(12), damage }
    }

    #[test]
    fn a_snapshot_is_these_bytes() {
        let damage = Some(DamageMark { from: 13, place: place(14, 15) });
        let snapshot = Snapshot { first_segment: SegmentSequence(16), shards: vec![shard("ab", damage)] };
        let mut golden = vec![2, 0, 0, 0, 1, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0];
        golden.extend([9, 0, 0, 0, 8, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0x80]);
        golden.extend([11, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0]);
        golden.extend([13, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0, 0, 14, 0, 0, 0]);
        golden.extend([1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4]);
        golden.extend([0; 15]);
        golden.push(5);
        golden.extend([0; 15]);
        golden.extend([6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        golden.extend([5, 17, 0, 0, 0, 0, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0]);
        golden.extend([1, 0, b'r', 2, 0, b'a', b'b']);
        let mut encoded = Vec::new();
        snapshot.encode(&mut encoded);
        assert_eq!(encoded, golden);
        let told = shard_bytes_max(&snapshot.shards[0].owned);
        assert_eq!(
            encoded.len(),
            SNAPSHOT_FIXED_BYTES + told,
            "the sizes that are told are those that are written"
        );
    }

    #[test]
    fn an_opened_shard_reads_back_and_no_cut_of_it_does() {
        let owned = shard("a-stream", None).owned;
        let body = opened_body(&owned);
        assert_eq!(decode_opened(&body), Some(owned));
        assert!((0..body.len()).all(|cut| decode_opened(&body[..cut]).is_none()));
    }

    proptest! {
        #[test]
        fn snapshots_read_back_and_refuse_every_cut(
            names in prop::collection::vec("[a-z]{1,9}", 0..5), damaged: bool, first: u64,
        ) {
            let damage = damaged.then_some(DamageMark { from: 1, place: place(2, 3) });
            let shards = names.iter().map(|name| shard(name, damage)).collect();
            let snapshot = Snapshot { first_segment: SegmentSequence(first), shards };
            let mut bytes = Vec::new();
            snapshot.encode(&mut bytes);
            let mut input = &bytes[..];
            prop_assert_eq!(Snapshot::decode(&mut input), Some(snapshot));
            prop_assert!(input.is_empty());
            for cut in 0..bytes.len() {
                prop_assert_eq!(Snapshot::decode(&mut &bytes[..cut]), None);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Snapshot::decode(&mut &bytes[..]);
            let _ = decode_opened(&bytes);
        }
    }
}
