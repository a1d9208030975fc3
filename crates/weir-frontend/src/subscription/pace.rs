//! How fast one subscription may take records: so many bytes a second, one second of them at once.
//!
//! Asked by the feed before each event. An event may be larger than what is left: it goes out whole, and the next waits
//! until it is paid for.

use std::time::Duration;

use weir_core::clock::Monotonic;

/// What can be saved up.
const BURST: Duration = Duration::from_secs(1);

/// One subscription's flow.
#[derive(Debug)]
pub(super) struct Pace {
    /// None: there is no limit.
    bytes_per_second: Option<u64>,
    /// When all that went out is paid for.
    paid_at: Monotonic,
}

impl Pace {
    /// A flow that begins with a full second saved up.
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, paid_at: Monotonic::ZERO }
    }

    /// How long the next event must wait.
    pub(super) fn wait(&self, now: Monotonic) -> Option<Duration> {
        let owed = self.paid_at.since(now);
        owed.checked_sub(BURST).filter(|wait| !wait.is_zero())
    }

    /// Counts an event.
    pub(super) fn charge(&mut self, now: Monotonic, bytes: usize) {
        if let Some(rate) = self.bytes_per_second {
            let nanos = bytes as u64 * 1_000_000_000 / rate.max(1);
            self.paid_at = self.paid_at.max(now) + Duration::from_nanos(nanos);
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_core::limits::MIB;

    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn two_mebibytes_a_second_go_out_after_one_second_of_them_at_once() {
        let mut pace = Pace::new(Some(2 * MIB as u64));
        let sent = (0..10_000).filter(|&ms| {
            let free = pace.wait(at(ms)).is_none();
            if free {
                pace.charge(at(ms), MIB / 8);
            }
            free
        });
        let mebibytes = sent.count() as f64 / 8.0;
        assert!((22.0..22.3).contains(&mebibytes), "{mebibytes} in ten seconds");
    }

    #[test]
    fn a_large_event_goes_out_whole_and_is_paid_for_before_the_next() {
        let mut pace = Pace::new(Some(2 * MIB as u64));
        pace.charge(at(0), 10 * MIB);
        assert_eq!(pace.wait(at(0)), Some(Duration::from_secs(4)));
        assert_eq!(pace.wait(at(3_000)), Some(Duration::from_secs(1)));
        assert_eq!(pace.wait(at(4_000)), None);
    }

    #[test]
    fn without_limits_nothing_waits() {
        let mut pace = Pace::new(None);
        pace.charge(at(0), 100 * MIB);
        assert_eq!(pace.wait(at(0)), None);
    }
}
