//! Which event is delivered when: a pure state machine over events that were read and a pace.
//!
//! The reader's thread drives it. Targets take so many events a second; what waits for its turn is bounded, and while it
//! is full nothing more is read: the stream holds the rest.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use weir_core::clock::{Monotonic, WallMs};

/// Events that wait for their turn in memory.
const PENDING_MAX: usize = 65_536;
/// The slowest targets: slower ones would not deliver anything within a run.
pub(super) const DELIVERY_RATE_MIN: f64 = 0.01;
/// The fastest targets.
pub(super) const DELIVERY_RATE_MAX: f64 = 1e6;
/// Turns that were missed while the thread slept are made up for, but not those of a longer time: a pace is no budget.
const CATCH_UP: Duration = Duration::from_millis(100);

/// What of a backlog is delivered first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOrder {
    /// The newest: those who wait for what happens now are served, the backlog drains beside it.
    NewFirst,
    /// The oldest: in the order in which they were taken in.
    OldFirst,
}

/// Text that names no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no order: write new-first or old-first")]
pub struct OrderError(String);

impl FromStr for DeliveryOrder {
    type Err = OrderError;
    fn from_str(text: &str) -> Result<Self, OrderError> {
        match text {
            "new-first" => Ok(Self::NewFirst),
            "old-first" => Ok(Self::OldFirst),
            _ => Err(OrderError(text.to_owned())),
        }
    }
}

impl fmt::Display for DeliveryOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewFirst => "new-first",
            Self::OldFirst => "old-first",
        })
    }
}

/// Something happened to the dispatcher.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DispatchEvent<T> {
    /// An event was read that was taken in at that time.
    Read(WallMs, T),
    /// Time passed.
    Tick,
}

/// Events between the stream and the targets.
#[derive(Debug)]
pub(super) struct Dispatch<T> {
    order: DeliveryOrder,
    interval: Duration,
    /// When the next turn is.
    next: Monotonic,
    /// By the time of being taken in, then as they were read.
    pending: BTreeMap<(WallMs, u64), T>,
    read: u64,
}

impl<T> Dispatch<T> {
    /// Nothing pending; `rate` events a second.
    pub(super) fn new(order: DeliveryOrder, rate: f64) -> Self {
        let rate = rate.clamp(DELIVERY_RATE_MIN, DELIVERY_RATE_MAX);
        Self {
            order,
            interval: Duration::from_secs_f64(1.0 / rate),
            next: Monotonic::ZERO,
            pending: BTreeMap::new(),
            read: 0,
        }
    }

    /// What is to be delivered now, in this order.
    pub(super) fn apply(&mut self, now: Monotonic, event: DispatchEvent<T>) -> Vec<T> {
        if let DispatchEvent::Read(at, event) = event {
            self.pending.insert((at, self.read), event);
            self.read += 1;
        }
        let mut deliveries = Vec::new();
        if now.since(self.next) > CATCH_UP {
            self.next = Monotonic(now.nanos().saturating_sub(CATCH_UP.as_nanos() as u64));
        }
        while self.next <= now {
            let turn = match self.order {
                DeliveryOrder::NewFirst => self.pending.pop_last(),
                DeliveryOrder::OldFirst => self.pending.pop_first(),
            };
            let Some((_, event)) = turn else { break };
            deliveries.push(event);
            self.next = self.next + self.interval;
        }
        deliveries
    }

    /// When something is to be delivered next; `None` while nothing is pending.
    pub(super) fn due(&self) -> Option<Monotonic> {
        (!self.pending.is_empty()).then_some(self.next)
    }

    /// May more be read?
    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < PENDING_MAX
    }

    /// Events that wait for their turn.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(millis)
    }

    fn drain(order: DeliveryOrder) -> Vec<u64> {
        let mut dispatch = Dispatch::new(order, 10.0);
        let mut out = dispatch.apply(at(5_000), DispatchEvent::Read(WallMs(3), 3));
        for number in [1, 2, 4, 5] {
            out.extend(dispatch.apply(at(5_000), DispatchEvent::Read(WallMs(number), number)));
        }
        while let Some(due) = dispatch.due() {
            out.extend(dispatch.apply(due, DispatchEvent::Tick));
        }
        out
    }

    #[test]
    fn a_backlog_drains_in_its_order() {
        // The first that was read had its turn at once, the second made up for a turn that was missed.
        assert_eq!(drain(DeliveryOrder::OldFirst), [3, 1, 2, 4, 5]);
        assert_eq!(drain(DeliveryOrder::NewFirst), [3, 1, 5, 4, 2]);
    }

    #[test]
    fn orders_are_spelled_as_scenarios_spell_them() {
        for text in ["new-first", "old-first"] {
            assert_eq!(text.parse::<DeliveryOrder>().unwrap().to_string(), text);
        }
        assert!("newest".parse::<DeliveryOrder>().is_err());
    }

    proptest! {
        #[test]
        fn every_event_is_delivered_once_and_never_faster_than_the_pace(
            steps in prop::collection::vec((0..400u64, prop::bool::ANY), 1..200),
            new_first: bool,
            rate in 1.0..50.0f64,
        ) {
            let order = if new_first { DeliveryOrder::NewFirst } else { DeliveryOrder::OldFirst };
            let mut dispatch = Dispatch::new(order, rate);
            let (mut now, mut read, mut out) = (10_000u64, 0u64, Vec::new());
            for (later, reads) in steps {
                now += later;
                let event = if reads {
                    read += 1;
                    DispatchEvent::Read(WallMs(now), read)
                } else {
                    DispatchEvent::Tick
                };
                out.extend(dispatch.apply(at(now), event));
                let turns = ((now - 10_000) as f64 / 1e3 + CATCH_UP.as_secs_f64()) * rate;
                prop_assert!(out.len() as f64 <= turns + 1.0);
            }
            while let Some(due) = dispatch.due() {
                let before = out.len();
                now = now.max(due.nanos() / 1_000_000 + 1);
                out.extend(dispatch.apply(at(now), DispatchEvent::Tick));
                prop_assert!(out.len() > before, "a turn that is due delivers");
            }
            out.sort_unstable();
            prop_assert_eq!(out, (1..=read).collect::<Vec<_>>());
        }
    }
}
