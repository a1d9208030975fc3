//! The shards as recovery learns them, segment by segment.
//!
//! A fold over footers, snapshots and frames. Its one rule: a shard whose records do not follow one another without a
//! hole is damaged from the hole on, and after something was lost that may have been any shard's, every shard is under
//! suspicion until something later proves that it lost nothing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use weir_core::{
    clock::WallMs,
    hash_key::HashKeyRange,
    id::{AccountId, Epoch, Region, ShardKey, StreamName},
    sequence::RecordIndex,
    shard::{ClosedShard, OwnedShard},
};

use crate::{
    frame::{FrameHeader, NUMBER_MAX},
    segment::{
        LogPlace, Segment, SegmentSequence,
        footer::{Footer, FooterRun},
    },
    shard::Shard,
    shard_index::{Indexed, Run, Runs},
    snapshot::{DamageMark, ShardSnapshot, Snapshot, decode_opened},
};

/// Everything learned so far.
#[derive(Debug, Default)]
pub(super) struct Shards {
    by_key: BTreeMap<ShardKey, Learned>,
    first_segment: Option<SegmentSequence>,
    /// The last place where something was lost: to blame for holes that show up after it.
    suspect: Option<LogPlace>,
    /// Something was lost there, and who lost it is not known yet.
    unproven: Option<LogPlace>,
    /// Shards that have gone on without a hole since then.
    proven: HashSet<ShardKey>,
    blamed: Vec<(ShardKey, LogPlace)>,
}

#[derive(Debug)]
struct Learned {
    owned: OwnedShard,
    opened: LogPlace,
    runs: Runs,
    next: RecordIndex,
    /// The first record that was served, as snapshots have it.
    oldest: RecordIndex,
    /// The first record that can be in the segments there are.
    available: RecordIndex,
    last_arrived: WallMs,
    damage: Option<DamageMark>,
    /// From which record on a snapshot says that it is damaged.
    known_damage: Option<RecordIndex>,
}

/// What there is to say of the shards in the end.
pub(super) struct Concluded {
    pub(super) shards: Vec<Shard>,
    /// Which place is to blame for each that is damaged.
    pub(super) blamed: Vec<(ShardKey, LogPlace)>,
    /// A shard is stopped for what no snapshot knew: at an earlier record, or at all.
    pub(super) stops_more: bool,
}

impl Learned {
    fn new(owned: OwnedShard, opened: LogPlace) -> Self {
        Self {
            owned,
            opened,
            runs: Runs::default(),
            next: 0,
            oldest: 0,
            available: 0,
            last_arrived: WallMs(0),
            damage: None,
            known_damage: None,
        }
    }

    /// No record before `end` is kept any more.
    fn expire_before(&mut self, end: RecordIndex) {
        self.runs = Runs::default();
        self.oldest = self.oldest.max(end);
        self.available = self.available.max(end);
    }

    /// A shard of which nothing is left but records: its facts come back when its owner opens it again.
    fn orphan(key: ShardKey, opened: LogPlace) -> Self {
        let owned = OwnedShard {
            key,
            account: AccountId::DEFAULT,
            region: Region::US_EAST_1,
            stream_name: StreamName::new(""),
            range: HashKeyRange::ALL,
            created_ms: 0,
            epoch: Epoch(0),
            parents: [None; 2],
            closed: None,
        };
        Self::new(owned, opened)
    }
}

impl Shards {
    /// Segments before this one are no longer kept.
    pub(super) fn first_segment(&self) -> SegmentSequence {
        self.first_segment.unwrap_or(SegmentSequence(1))
    }

    /// Holes that show up from here on are `place`'s doing.
    pub(super) fn suspect(&mut self, place: LogPlace) {
        self.suspect = Some(place);
    }

    /// A frame at `place` does not read, and whose it was is not known.
    pub(super) fn lose_something(&mut self, place: LogPlace) {
        self.suspect = Some(place);
        self.unproven = Some(place);
        self.proven.clear();
    }

    /// The batch at `place` does not read.
    pub(super) fn lose_batch(&mut self, header: &FrameHeader, place: LogPlace) {
        self.suspect = Some(place);
        let shard = self.known_or_orphan(header);
        let from = shard.next.min(header.first);
        shard.next = header.first + u64::from(header.count);
        self.damage(header.shard, from, place);
    }

    /// A footer stands in for its segment: the runs, then the shards as they were at its end.
    pub(super) fn take_footer(&mut self, segment: &Arc<Segment>, footer: Footer, first: bool) {
        let here = LogPlace { segment: segment.sequence, offset: 0 };
        let mut facts: HashMap<_, _> =
            footer.snapshot.shards.iter().map(|shard| ((shard.owned.key, shard.opened), shard)).collect();
        for run in footer.runs {
            // A run of a shard that was deleted later in the segment is nobody's.
            let Some(snapshot) = facts.get_mut(&(run.shard, run.opened)) else { continue };
            self.take_run(segment, run, snapshot, first);
        }
        self.take_snapshot(here, footer.snapshot, first);
    }

    fn take_run(&mut self, segment: &Arc<Segment>, run: FooterRun, snapshot: &ShardSnapshot, first: bool) {
        let key = run.shard;
        let known = self.by_key.get(&key).is_some_and(|shard| shard.opened == run.opened);
        if !known {
            let mut learned = Learned::new(snapshot.owned.clone(), snapshot.opened);
            if first {
                (learned.next, learned.available) = (run.first, run.first);
            }
            self.by_key.insert(key, learned);
        }
        let shard = self.by_key.get_mut(&key).expect("just made");
        let whole = shard.next == run.first && shard.damage.is_none();
        let expected = shard.next;
        shard.next = run.end;
        if whole && run.entries.is_empty() {
            shard.expire_before(run.end);
        } else if whole {
            let FooterRun { first, end, base, entries, .. } = run;
            shard.runs.attach(Run::new(Arc::clone(segment), first, end, base, entries));
        } else {
            self.damage_here(key, expected, LogPlace { segment: segment.sequence, offset: 0 });
        }
    }

    /// Every shard as it was at `here`: what is known must agree.
    pub(super) fn take_snapshot(&mut self, here: LogPlace, snapshot: Snapshot, first: bool) {
        self.take_retained(snapshot.first_segment);
        let mut before = std::mem::take(&mut self.by_key);
        for shard in snapshot.shards {
            let ShardSnapshot { owned, opened, next, oldest, last_arrived, damage } = shard;
            let key = owned.key;
            let known = before.remove(&key).filter(|known| known.opened == opened);
            let mut learned = known.unwrap_or_else(|| {
                let mut learned = Learned::new(owned.clone(), opened);
                if first {
                    (learned.next, learned.available) = (next, next);
                }
                learned
            });
            let expected = learned.next;
            learned.owned = owned;
            learned.next = next;
            learned.oldest = learned.oldest.max(oldest);
            learned.last_arrived = learned.last_arrived.max(last_arrived);
            learned.known_damage = damage.map(|mark| mark.from);
            self.by_key.insert(key, learned);
            if let Some(mark) = damage {
                self.damage(key, mark.from, mark.place);
            }
            if expected != next {
                self.damage_here(key, expected.min(next), here);
            }
        }
        // Whoever agrees has lost nothing; whoever does not is damaged now.
        self.unproven = None;
        self.suspect = None;
    }

    /// A batch.
    pub(super) fn take_append(&mut self, segment: &Arc<Segment>, offset: u32, header: &FrameHeader) {
        let here = LogPlace { segment: segment.sequence, offset };
        let shard = self.known_or_orphan(header);
        let expected = shard.next;
        shard.next = header.first + u64::from(header.count);
        shard.last_arrived = shard.last_arrived.max(header.arrived);
        if shard.damage.is_some() {
            return;
        }
        if expected != header.first {
            return self.damage_here(header.shard, expected.min(header.first), here);
        }
        let batch = Indexed {
            offset,
            bytes: u32::try_from(header.frame_bytes()).expect("it lies in a segment"),
            first: header.first,
            count: header.count,
            arrived: header.arrived,
        };
        shard.runs.push(segment, batch);
        self.proven.insert(header.shard);
    }

    /// Records that a rewriting left out, as the frame at `here` tells. False when the body is none of ours.
    pub(super) fn take_expired(&mut self, here: LogPlace, header: &FrameHeader, body: &[u8]) -> bool {
        let end = body.try_into().map(u64::from_le_bytes);
        let Some(end) = end.ok().filter(|end| (header.first..=NUMBER_MAX).contains(end)) else {
            return false;
        };
        let shard = self.known_or_orphan(header);
        let expected = std::mem::replace(&mut shard.next, end);
        if expected == header.first && shard.damage.is_none() {
            shard.expire_before(end);
            self.proven.insert(header.shard);
        } else {
            self.damage_here(header.shard, expected.min(header.first), here);
        }
        true
    }

    /// A shard was opened, opened again under a later epoch, or closed. False when the body is none of ours.
    pub(super) fn take_opened(&mut self, here: LogPlace, header: &FrameHeader, body: &[u8]) -> bool {
        let Some(owned) = decode_opened(body).filter(|owned| owned.key == header.shard) else { return false };
        if header.opened == here {
            self.by_key.insert(header.shard, Learned::new(owned, here));
            self.proven.insert(header.shard);
            return true;
        }
        let closed = owned.closed;
        let shard = self.known_or_orphan(header);
        shard.owned = owned;
        if let Some(ClosedShard { end, .. }) = closed {
            // It tells how many records there are, as a snapshot does.
            let expected = std::mem::replace(&mut shard.next, end);
            if expected == end {
                self.proven.insert(header.shard);
            } else {
                self.damage_here(header.shard, expected.min(end), here);
            }
        }
        true
    }

    /// A shard was deleted.
    pub(super) fn take_deleted(&mut self, header: &FrameHeader) {
        if self.by_key.get(&header.shard).is_some_and(|shard| shard.opened == header.opened) {
            self.by_key.remove(&header.shard);
        }
    }

    /// Segments before `first` are no longer kept.
    pub(super) fn take_retained(&mut self, first: SegmentSequence) {
        self.first_segment = self.first_segment.max(Some(first));
    }

    /// Segments are gone that were still kept: so are the records that they held.
    pub(super) fn front_is_missing(&mut self, place: LogPlace) {
        let lost: Vec<_> = self
            .by_key
            .iter()
            .filter(|(_, shard)| shard.oldest < shard.available)
            .map(|(key, shard)| (*key, shard.oldest))
            .collect();
        for (key, from) in lost {
            self.damage(key, from, place);
        }
    }

    /// What is left when everything was read.
    pub(super) fn finish(mut self) -> Concluded {
        if let Some(place) = self.unproven.take() {
            let silent: Vec<_> = self
                .by_key
                .iter()
                .filter(|(key, _)| !self.proven.contains(key))
                .map(|(key, shard)| (*key, shard.next))
                .collect();
            for (key, from) in silent {
                self.damage(key, from, place);
            }
        }
        let first_segment = self.first_segment();
        let is_more = |shard: &Learned| {
            let known = shard.known_damage.unwrap_or(RecordIndex::MAX);
            shard.damage.is_some_and(|mark| mark.from < known)
        };
        let stops_more = self.by_key.values().any(is_more);
        let shards = self.by_key.into_values().map(|mut learned| {
            learned.runs.forget_before(first_segment);
            let kept = learned.runs.first().unwrap_or(learned.next);
            // A damaged shard keeps its horizon, so that what is missing reads as damage, not as trimmed.
            let oldest = match learned.damage {
                Some(mark) => learned.oldest.max(kept.min(mark.from)),
                None => learned.oldest.max(kept),
            };
            let Learned { owned, opened, runs, next, last_arrived, damage, .. } = learned;
            let oldest = oldest.min(next);
            Shard::new(ShardSnapshot { owned, opened, next, oldest, last_arrived, damage }, runs)
        });
        Concluded { shards: shards.collect(), blamed: self.blamed, stops_more }
    }

    fn known_or_orphan(&mut self, header: &FrameHeader) -> &mut Learned {
        let key = header.shard;
        let known = self.by_key.get(&key).is_some_and(|shard| shard.opened == header.opened);
        if !known {
            self.by_key.insert(key, Learned::orphan(key, header.opened));
            let place = self.suspect.unwrap_or(header.opened);
            self.damage(key, 0, place);
        }
        self.by_key.get_mut(&key).expect("known or just made")
    }

    /// Damage that shows at `here` and is whoever's fault the last lost place is.
    fn damage_here(&mut self, key: ShardKey, from: RecordIndex, here: LogPlace) {
        let place = self.suspect.unwrap_or(here);
        self.damage(key, from, place);
    }

    fn damage(&mut self, key: ShardKey, from: RecordIndex, place: LogPlace) {
        let shard = self.by_key.get_mut(&key).expect("only known shards are damaged");
        if shard.damage.is_none_or(|mark| from < mark.from) {
            shard.damage = Some(DamageMark { from, place });
            self.blamed.push((key, place));
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_core::id::{ShardIndex, StreamId};

    use super::*;
    use crate::{frame::FrameKind, snapshot::opened_body};

    #[test]
    fn a_closing_that_tells_of_more_records_than_were_found_is_damage_from_the_first_that_is_missing() {
        let place = |offset| LogPlace { segment: SegmentSequence(1), offset };
        let key = ShardKey { stream: StreamId(1), shard: ShardIndex(0) };
        let (opened, closing) = (place(4_096), place(8_192));
        for end in [0, 3] {
            let mut shards = Shards::default();
            let mut owned = Learned::orphan(key, opened).owned;
            for (here, closed) in [(opened, None), (closing, Some(ClosedShard { at_ms: 1, end }))] {
                owned.closed = closed;
                let body = opened_body(&owned);
                let header = FrameHeader {
                    shard: key,
                    ..FrameHeader::of_journal(FrameKind::ShardOpened, &body, 0, opened)
                };
                assert!(shards.take_opened(here, &header, &body));
            }
            let Concluded { shards, blamed, .. } = shards.finish();
            let state = shards[0].state.lock();
            assert_eq!((state.tip, state.owned.closed), (end, owned.closed));
            let damage = (end > 0).then_some(DamageMark { from: 0, place: closing });
            assert_eq!((state.damage, blamed.len()), (damage, usize::from(end > 0)));
        }
    }
}
