//! A fragment: what one back-end node says it owns.
//!
//! Nodes make it, their home front ends pass it on, the control plane stores it, shard maps are built of it. Two
//! fragments of a node are ordered by [`Fragment::order`]; whoever holds the later one must never take the earlier.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use weir_core::{
    id::{Incarnation, MemberId},
    shard::OwnedShard,
};

use crate::codec::{DecodeError, Reader, Writer};

/// One node's word about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// The node.
    pub node: MemberId,
    /// The life of the node that speaks; later lives have higher numbers.
    pub life: Incarnation,
    /// Rises with each fragment of one life.
    pub sequence: u64,
    /// Where the node takes frames.
    pub address: SocketAddr,
    /// How long after it was heard the fragment may be routed by.
    pub ttl: Duration,
    /// Every shard that the node owns. Complete: a shard that is not here is not owned.
    pub shards: Arc<[OwnedShard]>,
}

impl Fragment {
    /// Later fragments of one node compare greater.
    pub fn order(&self) -> (Incarnation, u64) {
        (self.life, self.sequence)
    }

    /// Appends the fragment to a message.
    pub fn encode(&self, out: &mut Writer) {
        out.u32(self.node.0).u64(self.life.0).u64(self.sequence).address(self.address);
        out.u64(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX));
        out.u32(u32::try_from(self.shards.len()).expect("shards of a node are bounded"));
        for shard in self.shards.iter() {
            out.owned_shard(shard);
        }
    }

    /// Takes a fragment off a message.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let node = MemberId(input.u32("node")?);
        let life = Incarnation(input.u64("life")?);
        let sequence = input.u64("sequence")?;
        let address = input.address("node address")?;
        let ttl = Duration::from_millis(input.u64("ttl")?);
        let count = input.count("shards")?;
        let shards = (0..count).map(|_| input.owned_shard()).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { node, life, sequence, address, ttl, shards: shards.into() })
    }
}
