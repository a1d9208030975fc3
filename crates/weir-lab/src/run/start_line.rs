//! Where arms that run at the same time wait for each other, so that all meet the same phases within one window.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Opens when all arms have arrived. An arm that fails on its way ends the run; nobody waits for it.
#[derive(Debug)]
pub(super) struct StartLine {
    arms: usize,
    window: Duration,
    arrived: AtomicUsize,
}

impl StartLine {
    /// For so many arms whose samples are a window apart.
    pub(super) fn new(arms: usize, window: Duration) -> Self {
        Self { arms, window, arrived: AtomicUsize::new(0) }
    }

    /// Says that one more arm is there.
    pub(super) fn arrive(&self) {
        let before = self.arrived.fetch_add(1, Ordering::AcqRel);
        assert!(before < self.arms, "an arm arrives once");
    }

    /// Are all there?
    pub(super) fn is_open(&self) -> bool {
        self.arrived.load(Ordering::Acquire) == self.arms
    }

    /// How long the arm of this place (counted over all arms of the scenario) waits before its first phase, once it is
    /// open. Arms share the window evenly: if all scraped, started and stopped their servers on the same tick, each of them
    /// would measure how long it queues behind the others.
    pub(super) fn offset(&self, place: u32) -> Duration {
        let arms = u32::try_from(self.arms).expect("arms are few");
        self.window * (place % arms) / arms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_share_a_window_and_one_that_runs_alone_does_not_wait() {
        let offsets = |arms| {
            let line = StartLine::new(arms, Duration::from_secs(1));
            (0..5).map(|place| line.offset(place).as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(offsets(5), [0, 200, 400, 600, 800]);
        assert_eq!(offsets(1), [0; 5]);
    }

    #[test]
    fn it_opens_when_all_have_arrived() {
        let line = StartLine::new(2, Duration::from_secs(1));
        line.arrive();
        assert!(!line.is_open());
        line.arrive();
        assert!(line.is_open());
    }
}
