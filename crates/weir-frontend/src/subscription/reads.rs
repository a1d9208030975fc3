//! How many events are being read and made at once: a few of each node.
//!
//! A node answers with whole batches, of which an event may take a small part, and what it answers is counted nowhere else.
//! Asked by every subscription before it reads (`feed.rs`). A node that is silent must hold up its own readers and nobody
//! else's, so each has its own few.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_core::limits::EVENTS_MADE_MAX;

/// Nodes beyond which those that nobody reads from are forgotten.
const NODES_KEPT: usize = 64;

/// The reads of all nodes.
#[derive(Debug, Default)]
pub(crate) struct EventReads {
    nodes: Mutex<HashMap<SocketAddr, Arc<Semaphore>>>,
}

impl EventReads {
    /// Waits for its turn at `node`.
    pub(crate) async fn turn(&self, node: SocketAddr) -> OwnedSemaphorePermit {
        let turns = self.of(node);
        turns.acquire_owned().await.expect("never closed")
    }

    fn of(&self, node: SocketAddr) -> Arc<Semaphore> {
        let mut nodes = self.nodes.lock();
        if nodes.len() >= NODES_KEPT && !nodes.contains_key(&node) {
            nodes.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        Arc::clone(nodes.entry(node).or_insert_with(|| Arc::new(Semaphore::new(EVENTS_MADE_MAX))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The turn, if it is there at once.
    async fn at_once(reads: &EventReads, node: SocketAddr) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            turn = reads.turn(node) => Some(turn),
            () = std::future::ready(()) => None,
        }
    }

    fn node(number: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], number))
    }

    #[tokio::test]
    async fn a_node_without_turns_left_holds_up_its_own_readers_alone() {
        let reads = EventReads::default();
        let mut turns = Vec::new();
        for _ in 0..EVENTS_MADE_MAX {
            turns.push(reads.turn(node(1)).await);
        }
        assert!(at_once(&reads, node(1)).await.is_none());
        assert!(at_once(&reads, node(2)).await.is_some());
        turns.pop();
        assert!(at_once(&reads, node(1)).await.is_some());
    }

    #[tokio::test]
    async fn nodes_that_nobody_reads_from_are_forgotten_and_others_never() {
        let reads = EventReads::default();
        let mut turns = Vec::new();
        for _ in 0..EVENTS_MADE_MAX {
            turns.push(reads.turn(node(1)).await);
        }
        for number in 2..500 {
            drop(reads.turn(node(number)).await);
            assert!(reads.nodes.lock().len() <= NODES_KEPT);
        }
        assert!(at_once(&reads, node(1)).await.is_none(), "its turns are still taken");
        drop(turns);
    }
}
