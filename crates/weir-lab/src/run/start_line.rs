//! Where arms that run at the same time wait for each other, so that all meet the same phases at the same moment.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Opens when all arms have arrived. An arm that fails on its way ends the run; nobody waits for it.
#[derive(Debug)]
pub(super) struct StartLine {
    arms: usize,
    arrived: AtomicUsize,
}

impl StartLine {
    /// For so many arms.
    pub(super) fn new(arms: usize) -> Self {
        Self { arms, arrived: AtomicUsize::new(0) }
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
}
