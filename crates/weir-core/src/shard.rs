//! What a shard is, apart from its records: its range, its birth, its parents, its end and who owns it.
//!
//! The control plane assigns it, a node owns it, a fragment carries it and the shard map is made of it.

use serde::{Deserialize, Serialize};

use crate::{
    hash_key::HashKeyRange,
    id::{AccountId, Epoch, Region, ShardIndex, ShardKey, StreamName, StreamRef},
    sequence::{RecordIndex, SequenceNumber},
};

/// One shard as its owner says it. Carries the stream's name, so that a front end can route by name from the shard
/// map alone, with no other source on the data path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedShard {
    /// Which shard.
    pub key: ShardKey,
    /// The account that the stream belongs to.
    pub account: AccountId,
    /// The region that the stream is in.
    pub region: Region,
    /// The stream's name in that account and region.
    pub stream_name: StreamName,
    /// The keys that land here.
    pub range: HashKeyRange,
    /// When the shard was created, milliseconds since 1970: part of every sequence number.
    pub created_ms: u64,
    /// The ownership epoch: rises when the shard moves to another node.
    pub epoch: Epoch,
    /// The shards that it was made of: none, the one that was split, or the two that were merged, the lower range first.
    #[serde(default, skip_serializing_if = "has_no_parents")]
    pub parents: [Option<ShardIndex>; 2],
    /// Where it ended, if it was split or merged: it takes no more records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<ClosedShard>,
}

/// The end of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedShard {
    /// When it was closed, milliseconds since 1970: no record of it arrived later.
    pub at_ms: u64,
    /// The record after its last.
    pub end: RecordIndex,
}

fn has_no_parents(parents: &[Option<ShardIndex>; 2]) -> bool {
    *parents == [None; 2]
}

impl OwnedShard {
    /// The stream that it is a part of.
    pub fn stream(&self) -> StreamRef {
        StreamRef { account: self.account, region: self.region, name: self.stream_name.clone() }
    }

    /// Is it the same shard, whoever owns it, under whichever epoch, open or closed? Two clusters give the same key to
    /// different ones.
    pub fn is_same_shard(&self, other: &Self) -> bool {
        // By name, so that a new field is not forgotten, and without a copy: whole streams are compared.
        let Self { key, account, region, stream_name, range, created_ms, epoch: _, parents, closed: _ } =
            self;
        *key == other.key
            && *account == other.account
            && *region == other.region
            && *range == other.range
            && *created_ms == other.created_ms
            && *parents == other.parents
            && *stream_name == other.stream_name
    }

    /// Does it take records?
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Is it made of `parent`?
    pub fn is_child_of(&self, parent: ShardIndex) -> bool {
        self.parents.contains(&Some(parent))
    }

    /// The number before its first record.
    pub fn starting_number(&self) -> SequenceNumber {
        SequenceNumber::starting(self.key.shard, self.created_ms / 1_000)
    }

    /// The number after its last record, if it is closed: below every number of its children.
    pub fn ending_number(&self) -> Option<SequenceNumber> {
        let ClosedShard { at_ms, end } = self.closed?;
        Some(SequenceNumber::of_record(self.key.shard, self.created_ms / 1_000, end, at_ms / 1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::StreamId;

    fn shard() -> OwnedShard {
        OwnedShard {
            key: ShardKey { stream: StreamId(1), shard: ShardIndex(3) },
            account: AccountId::DEFAULT,
            region: Region::US_EAST_1,
            stream_name: StreamName::new("s"),
            range: HashKeyRange::ALL,
            created_ms: 1_600_000_000_999,
            epoch: Epoch(1),
            parents: [Some(ShardIndex(0)), None],
            closed: None,
        }
    }

    #[test]
    fn a_shard_is_the_same_open_or_closed_and_not_with_other_parents() {
        let closed =
            OwnedShard { epoch: Epoch(2), closed: Some(ClosedShard { at_ms: 5, end: 7 }), ..shard() };
        assert!(shard().is_same_shard(&closed) && closed.is_same_shard(&shard()));
        assert!(!shard().is_same_shard(&OwnedShard { parents: [None, None], ..shard() }));
        assert!(shard().is_child_of(ShardIndex(0)) && !shard().is_child_of(ShardIndex(1)));
    }

    #[test]
    fn an_ending_number_is_above_the_last_record_and_below_a_child_of_the_next_second() {
        assert_eq!(shard().ending_number(), None);
        let closed = OwnedShard { closed: Some(ClosedShard { at_ms: 1_600_000_007_000, end: 2 }), ..shard() };
        let last = SequenceNumber::of_record(ShardIndex(3), 1_600_000_000, 1, 1_600_000_007);
        let child = OwnedShard { created_ms: shard().created_ms + 1_000, ..shard() };
        let ending = closed.ending_number().unwrap();
        assert!(last.to_string() < ending.to_string());
        assert!(ending.to_string() < child.starting_number().to_string());
        assert_eq!(ending.record(), Some(2), "reading at it is reading at the end");
    }
}
