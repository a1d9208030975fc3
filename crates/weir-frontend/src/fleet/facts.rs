//! What a server's fleet half knows about itself: read by metrics after every event.
//!
//! Plain numbers; nothing acts on them.

use weir_core::id::Generation;

/// A moment of the fleet's state machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FleetFacts {
    /// The newest membership that was learned.
    pub generation: Generation,
    /// Servers of the cell that this server knows, itself included.
    pub known_members: usize,
    /// Servers that it should have lanes to, of whatever kind.
    pub peers_wanted: usize,
    /// Of them, those whose lanes all have their thread (or task).
    pub peers_threaded: usize,
    /// Peers (or the cache server that it asks) whose lanes are all connected.
    pub peers_connected: usize,
    /// Front ends that this cache server serves and that are connected.
    pub subscribers_connected: usize,
    /// Nodes that exist but are silent.
    pub silent_nodes: usize,
    /// How far the current build is: peers threaded and nodes confirmed, of all. One when it is complete.
    pub complete_ratio: f64,
    /// Builds that failed.
    pub builds_failed: u64,
    /// Times that the kernel refused a lane its thread.
    pub refused: u64,
    /// Times that the kernel refused a lane its file descriptor.
    pub unequipped: u64,
    /// Servers that were being reached, itself included, at the first refusal.
    pub refused_at_members: Option<usize>,
    /// The builder has stopped for good.
    pub wedged: bool,
}
