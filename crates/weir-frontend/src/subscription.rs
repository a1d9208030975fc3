//! Subscriptions: a shard's records, pushed to a registered consumer for as long as it reads, for five minutes at most.
//!
//! `SubscribeToShard` takes a seat (`seats.rs`) after everything that can be refused was, and hands a feed (`feed.rs`) to
//! the answer's body; from there on nobody but the connection drives it. Each costs one call in flight to a node and, while
//! an event is on its way, its bytes of the answers' budget. Nothing of it may outlive its connection.

mod feed;
mod pace;
mod reads;
mod seats;

use std::time::Duration;

pub(crate) use self::{
    feed::{Feed, Rooms, Subscription, ending},
    reads::EventReads,
    seats::{Seat, SeatKey, SeatRefused, Seats},
};

/// How long what lasts in a subscription.
#[derive(Debug, Clone, Copy)]
pub struct SubscriptionTimes {
    /// It ends after this; the client comes again.
    pub lifetime: Duration,
    /// An event comes at least so often, with or without records.
    pub heartbeat: Duration,
    /// Within this time after a call the next of the same consumer and shard is refused; later it takes over.
    pub takeover_after: Duration,
}

impl SubscriptionTimes {
    /// Kinesis's own (AWS).
    pub const KINESIS: Self = Self {
        lifetime: Duration::from_secs(300),
        heartbeat: Duration::from_secs(5),
        takeover_after: Duration::from_secs(5),
    };
}
