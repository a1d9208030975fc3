//! One open shard: where its history stands, its index and its newest batches.
//!
//! The committer numbers and publishes, readers look; both hold the lock only to look something up, never over I/O.
//! Nothing here becomes visible before it is as durable as the journal promises.

use std::collections::VecDeque;

use weir_core::{
    batch::StoredBatch,
    clock::{Monotonic, WallMs},
    id::ShardKey,
    sequence::RecordIndex,
    shard::{ClosedShard, OwnedShard},
};
use weir_sync::Watermark;

use crate::{
    facade::Mutex,
    segment::{LogPlace, SegmentSequence},
    shard_index::{Runs, fits},
    snapshot::{DamageMark, ShardSnapshot},
};

/// A shard that is open.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) key: ShardKey,
    pub(crate) state: Mutex<ShardState>,
    /// Follows the state's tip, for those who wait for it; ended when the shard is closed or deleted.
    pub(crate) watermark: Watermark,
}

/// What is known of it.
#[derive(Debug)]
pub(crate) struct ShardState {
    pub(crate) owned: OwnedShard,
    pub(crate) opened: LogPlace,
    pub(crate) runs: Runs,
    /// The newest batches, whole, without a hole up to the tip. May be empty.
    pub(crate) tail: VecDeque<StoredBatch>,
    /// When somebody last asked for records or waited for some; whether they are kept in [`Self::tail`] depends on it.
    pub(crate) last_read: Option<Monotonic>,
    /// The first record that is served.
    pub(crate) oldest: RecordIndex,
    /// The watermark: the record after the newest durable one.
    pub(crate) tip: RecordIndex,
    /// When the newest durable record arrived.
    pub(crate) last_arrived: WallMs,
    pub(crate) damage: Option<DamageMark>,
    /// The committer's own: what is written but not yet durable.
    pub(crate) staged: Staged,
}

/// Where the shard will stand when everything that is being written is durable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Staged {
    pub(crate) next: RecordIndex,
    pub(crate) arrived: WallMs,
    /// The run that the next batch goes on with: its segment and its first arrival.
    pub(crate) run: Option<(SegmentSequence, WallMs)>,
    /// It takes no more records.
    pub(crate) closed: Option<ClosedShard>,
    pub(crate) deleted: bool,
}

/// The place of a batch that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) first: RecordIndex,
    pub(crate) arrived: WallMs,
    /// It begins a run in the segment's index.
    pub(crate) begins_run: bool,
}

impl Shard {
    /// A shard as it was found or opened.
    pub(crate) fn new(snapshot: ShardSnapshot, runs: Runs) -> Self {
        let ShardSnapshot { owned, opened, next, oldest, last_arrived, damage } = snapshot;
        let (run, closed) = (runs.last_run(), owned.closed);
        let staged = Staged { next, arrived: last_arrived, run, closed, deleted: false };
        let key = owned.key;
        let state = ShardState {
            owned,
            opened,
            runs,
            tail: VecDeque::new(),
            last_read: None,
            oldest,
            tip: next,
            last_arrived,
            damage,
            staged,
        };
        let watermark = Watermark::new(next);
        if closed.is_some() {
            watermark.end();
        }
        Self { key, state: Mutex::new(state), watermark }
    }
}

impl ShardState {
    /// Numbers a batch that goes into `segment` now. Arrival times never go back, whatever the clock does.
    pub(crate) fn number(&self, segment: SegmentSequence, now: WallMs) -> Numbered {
        let arrived = now.max(self.staged.arrived);
        let goes_on = self.staged.run.is_some_and(|(of, base)| of == segment && fits(base, arrived));
        Numbered { first: self.staged.next, arrived, begins_run: !goes_on }
    }

    /// The batch that was numbered is being written.
    pub(crate) fn stage(&mut self, segment: SegmentSequence, numbered: Numbered, count: u32) {
        assert_eq!(numbered.first, self.staged.next, "numbered and staged without another in between");
        assert_eq!(self.staged.closed, None, "a closed shard takes no records");
        self.staged.next += u64::from(count);
        self.staged.arrived = numbered.arrived;
        if numbered.begins_run {
            self.staged.run = Some((segment, numbered.arrived));
        }
    }

    /// No record is numbered from here on. The end of a shard that is closed already stays where it is.
    pub(crate) fn stage_close(&mut self, now: WallMs) -> ClosedShard {
        let Staged { next, arrived, .. } = self.staged;
        *self.staged.closed.get_or_insert(ClosedShard { at_ms: now.max(arrived).0, end: next })
    }

    /// The shard as the journal's snapshot has it: what is durable, nothing of what is being written.
    pub(crate) fn snapshot(&self) -> ShardSnapshot {
        ShardSnapshot {
            owned: self.owned.clone(),
            opened: self.opened,
            next: self.tip,
            oldest: self.oldest,
            last_arrived: self.last_arrived,
            damage: self.damage,
        }
    }

    /// Records from `from` on are not to be trusted. The first damage known is the one that counts.
    pub(crate) fn mark_damaged(&mut self, mark: DamageMark) {
        if self.damage.is_none_or(|known| mark.from < known.from) {
            self.damage = Some(mark);
        }
    }

    /// Records before `oldest` are no longer served.
    pub(crate) fn trim_to(&mut self, oldest: RecordIndex) {
        assert!(oldest <= self.tip, "what is not there yet cannot be trimmed");
        self.oldest = self.oldest.max(oldest);
    }

    /// Was it deleted or trimmed since `oldest` was its oldest record?
    pub(crate) fn has_lost_since(&self, oldest: RecordIndex) -> bool {
        self.staged.deleted || self.oldest != oldest
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use weir_core::{
        hash_key::HashKeyRange,
        id::{AccountId, Epoch, Region, ShardIndex, StreamId, StreamName},
    };

    use super::*;

    const SEGMENT: SegmentSequence = SegmentSequence(4);

    /// A shard with two records trimmed and three left.
    pub(crate) fn shard() -> Shard {
        let owned = OwnedShard {
            key: ShardKey { stream: StreamId(1), shard: ShardIndex(0) },
            account: AccountId::DEFAULT,
            region: Region::US_EAST_1,
            stream_name: StreamName::new("s"),
            range: HashKeyRange::ALL,
            created_ms: 1,
            epoch: Epoch(1),
            parents: [None; 2],
            closed: None,
        };
        let opened = LogPlace { segment: SEGMENT, offset: 4096 };
        let last_arrived = WallMs(1_000);
        let found = ShardSnapshot { owned, opened, next: 5, oldest: 2, last_arrived, damage: None };
        Shard::new(found, Runs::default())
    }

    #[test]
    fn a_shard_has_lost_something_when_it_was_trimmed_or_deleted() {
        let shard = shard();
        let mut state = shard.state.lock();
        let oldest = state.oldest;
        assert!(!state.has_lost_since(oldest));
        state.trim_to(oldest + 1);
        assert!(state.has_lost_since(oldest) && !state.has_lost_since(oldest + 1));
        state.staged.deleted = true;
        assert!(state.has_lost_since(oldest + 1));
    }

    #[test]
    fn arrival_times_never_go_back_when_the_clock_does() {
        let shard = shard();
        let mut state = shard.state.lock();
        let times = [990, 1_010, 1_005, 1_020].map(|now| {
            let numbered = state.number(SEGMENT, WallMs(now));
            state.stage(SEGMENT, numbered, 3);
            (numbered.first, numbered.arrived.0)
        });
        assert_eq!(times, [(5, 1_000), (8, 1_010), (11, 1_010), (14, 1_020)]);
    }

    #[test]
    fn a_run_begins_in_each_segment_and_where_times_need_more_than_32_bits() {
        let shard = shard();
        let mut state = shard.state.lock();
        let long_after = 1_001 + u64::from(u32::MAX);
        let places =
            [(SEGMENT, 1_000), (SEGMENT, long_after - 1), (SEGMENT, long_after), (SEGMENT.next(), 0)];
        let begins = places.map(|(segment, now)| {
            let numbered = state.number(segment, WallMs(now));
            state.stage(segment, numbered, 1);
            numbered.begins_run
        });
        assert_eq!(begins, [true, false, true, true]);
    }

    #[test]
    fn the_earliest_damage_counts() {
        let shard = shard();
        let mut state = shard.state.lock();
        let mark = |from| DamageMark { from, place: LogPlace { segment: SEGMENT, offset: 1 } };
        for from in [4, 3, 5] {
            state.mark_damaged(mark(from));
        }
        assert_eq!(state.damage, Some(mark(3)));
    }
}
