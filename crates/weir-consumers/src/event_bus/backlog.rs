//! The events of this life that were taken in and not delivered, wherever they are: pure, bounded, exact.
//!
//! Workers add, the reader takes away. Its length is the backlog and its first entry's age the lag; an event that is read
//! and not in it was delivered before.

use std::collections::BTreeMap;

use weir_core::clock::WallMs;

/// Events that may wait; beyond, callers are refused. About 40 bytes each.
const EVENTS_MAX: usize = 1 << 20;

/// Events by number, which is the order in which they were taken in.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: BTreeMap<u64, WallMs>,
}

impl Backlog {
    /// An event is taken in; false when there is no room for it.
    pub(super) fn taken(&mut self, number: u64, at: WallMs) -> bool {
        if self.waiting.len() >= EVENTS_MAX {
            return false;
        }
        let known = self.waiting.insert(number, at);
        assert_eq!(known, None, "numbers are given once");
        true
    }

    /// It is delivered or lost; false when it was so before.
    pub(super) fn gone(&mut self, number: u64) -> bool {
        self.waiting.remove(&number).is_some()
    }

    /// Does it wait?
    pub(super) fn holds(&self, number: u64) -> bool {
        self.waiting.contains_key(&number)
    }

    /// Events that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// When the oldest of them was taken in.
    pub(super) fn oldest(&self) -> Option<WallMs> {
        self.waiting.first_key_value().map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_the_first_that_still_waits() {
        let mut backlog = Backlog::default();
        for number in 1..=3 {
            assert!(backlog.taken(number, WallMs(number * 10)));
        }
        assert!(backlog.gone(1) && backlog.gone(2));
        assert!(!backlog.gone(1), "delivered once");
        assert_eq!((backlog.len(), backlog.oldest()), (1, Some(WallMs(30))));
    }

    #[test]
    fn a_full_backlog_takes_nothing_in() {
        let mut backlog = Backlog::default();
        assert!((0..EVENTS_MAX as u64).all(|number| backlog.taken(number, WallMs(0))));
        assert!(!backlog.taken(u64::MAX, WallMs(0)));
        assert_eq!(backlog.len(), EVENTS_MAX);
    }
}
