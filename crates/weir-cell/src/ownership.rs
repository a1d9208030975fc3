//! What the node owns against what it should own, and the fragment that says so.
//!
//! A pure state machine between the control plane's assignments and the journal: `assignments.rs` carries its answers
//! out. A shard is said to be owned only after the journal has it; one to be given up is unsaid first.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use weir_core::{
    id::{Incarnation, MemberId, ShardKey},
    shard::OwnedShard,
};
use weir_wire::fragment::Fragment;

/// What to do to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnershipStep {
    /// Open (or reopen under a new epoch), then say [`Ownership::opened`].
    Open(OwnedShard),
    /// Delete; it is already unsaid.
    Delete(ShardKey),
}

/// The node's shards.
#[derive(Debug)]
pub struct Ownership {
    node: MemberId,
    life: Incarnation,
    address: SocketAddr,
    ttl: Duration,
    sequence: u64,
    owned: BTreeMap<ShardKey, OwnedShard>,
}

impl Ownership {
    /// Starts with what the journal recovered.
    pub fn new(
        node: MemberId,
        life: Incarnation,
        address: SocketAddr,
        ttl: Duration,
        recovered: impl IntoIterator<Item = OwnedShard>,
    ) -> Self {
        let owned = recovered.into_iter().map(|shard| (shard.key, shard)).collect();
        Self { node, life, address, ttl, sequence: 0, owned }
    }

    /// How long the fragments from now on may be routed by.
    pub fn ttl(&mut self, ttl: Duration) {
        self.ttl = ttl;
    }

    /// The control plane's word. What is no longer assigned is unsaid at once.
    pub fn assigned(&mut self, shards: Vec<OwnedShard>) -> Vec<OwnershipStep> {
        let assigned: BTreeMap<ShardKey, OwnedShard> =
            shards.into_iter().map(|shard| (shard.key, shard)).collect();
        let given_up: Vec<ShardKey> =
            self.owned.keys().filter(|key| !assigned.contains_key(key)).copied().collect();
        let mut steps = Vec::new();
        for key in given_up {
            self.owned.remove(&key);
            steps.push(OwnershipStep::Delete(key));
        }
        let missing = assigned.into_values().filter(|shard| {
            // An assignment older than what is owned was overtaken on the way.
            self.owned.get(&shard.key).is_none_or(|owned| owned.epoch < shard.epoch)
        });
        steps.extend(missing.map(OwnershipStep::Open));
        steps
    }

    /// The journal has the shard, durably.
    pub fn opened(&mut self, shard: OwnedShard) {
        self.owned.insert(shard.key, shard);
    }

    /// The next fragment: complete, and later than every one before.
    pub fn fragment(&mut self) -> Fragment {
        self.sequence += 1;
        Fragment {
            node: self.node,
            life: self.life,
            sequence: self.sequence,
            address: self.address,
            ttl: self.ttl,
            shards: self.owned.values().cloned().collect::<Arc<[_]>>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_core::{
        hash_key::HashKeyRange,
        id::{AccountId, Epoch, ShardIndex, StreamId, StreamName},
    };

    use super::*;

    fn shard(number: u32, epoch: u64) -> OwnedShard {
        OwnedShard {
            key: ShardKey { stream: StreamId(1), shard: ShardIndex(number) },
            account: AccountId::DEFAULT,
            stream_name: StreamName::new("s"),
            range: HashKeyRange::ALL,
            created_ms: 1,
            epoch: Epoch(epoch),
        }
    }

    fn ownership(recovered: &[OwnedShard]) -> Ownership {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        Ownership::new(MemberId(1), Incarnation(4), address, Duration::from_secs(5), recovered.to_vec())
    }

    #[test]
    fn a_shard_is_said_only_after_the_journal_has_it() {
        let mut ownership = ownership(&[]);
        assert_eq!(ownership.assigned(vec![shard(0, 1)]), [OwnershipStep::Open(shard(0, 1))]);
        assert!(ownership.fragment().shards.is_empty());
        ownership.opened(shard(0, 1));
        assert_eq!(ownership.fragment().shards.as_ref(), [shard(0, 1)]);
        assert_eq!(ownership.assigned(vec![shard(0, 1)]), [], "nothing is left to do");
    }

    #[test]
    fn a_shard_is_unsaid_before_it_is_deleted() {
        let mut ownership = ownership(&[shard(0, 1), shard(1, 1)]);
        let steps = ownership.assigned(vec![shard(1, 1)]);
        assert_eq!(steps, [OwnershipStep::Delete(shard(0, 1).key)]);
        assert_eq!(ownership.fragment().shards.as_ref(), [shard(1, 1)]);
    }

    #[test]
    fn a_newer_epoch_reopens_and_an_older_one_is_ignored() {
        let mut ownership = ownership(&[shard(0, 5)]);
        assert_eq!(ownership.assigned(vec![shard(0, 4)]), []);
        assert_eq!(ownership.assigned(vec![shard(0, 6)]), [OwnershipStep::Open(shard(0, 6))]);
    }

    #[test]
    fn every_fragment_is_later_than_the_one_before() {
        let mut ownership = ownership(&[]);
        let first = ownership.fragment();
        assert!(ownership.fragment().order() > first.order());
    }
}
