//! When to dial a node again after it could not be reached.
//!
//! A pure state machine: the link asks it before each dial and tells it the outcome. While it says no, calls fail at
//! once instead of waiting, so that a dead node costs its callers nothing.

use std::time::Duration;

use weir_core::clock::Monotonic;

/// The first pause: longer than a restart's listen gap on loopback, shorter than anybody notices.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause: a node that comes back is found within this time.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The pauses of one node.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Backoff {
    failures: u32,
    until: Monotonic,
}

impl Backoff {
    /// How long until the next dial; `None`: now.
    pub(super) fn wait(&self, now: Monotonic) -> Option<Duration> {
        (now < self.until).then(|| self.until.since(now))
    }

    /// A dial failed: the pause doubles.
    pub(super) fn failed(&mut self, now: Monotonic) {
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        self.until = now + pause;
    }

    /// A dial worked.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second_and_end_with_a_success() {
        let mut backoff = Backoff::default();
        let mut now = Monotonic::ZERO;
        assert_eq!(backoff.wait(now), None);
        let mut pauses = Vec::new();
        for _ in 0..20 {
            backoff.failed(now);
            let pause = backoff.wait(now).unwrap();
            pauses.push(pause.as_millis());
            now = now + pause;
            assert_eq!(backoff.wait(now), None, "the pause is over");
        }
        assert_eq!(pauses[..7], [20, 40, 80, 160, 320, 640, 1_000]);
        assert!(pauses[7..].iter().all(|&pause| pause == 1_000));
        backoff.succeeded();
        backoff.failed(now);
        assert_eq!(backoff.wait(now), Some(PAUSE_MIN));
    }
}
