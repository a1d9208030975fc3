//! How fast old segments are rewritten: what the disk has left of its time.
//!
//! The rewriter asks after each slice. Whoever appends waits for the sync of what it appended, and a disk that also copies
//! makes it wait longer, so the copying leaves most of the time to it. Nobody waits for a rewriting, unless the disk is nearly
//! full.

use std::time::Duration;

/// A rest is so many times as long as the slice before it: a quarter of the disk's time is for copying.
const REST_TIMES: u32 = 3;
/// A slice that a disk held up for long is followed by no longer a rest than this.
const REST_MAX: Duration = Duration::from_secs(1);

/// Knows whether somebody appends meanwhile.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Groups that were committed when the last slice ended.
    groups: u64,
}

impl Pace {
    /// How long to rest after a slice that took `took`, with `groups` committed by now. Nothing when nobody appended since the
    /// last slice, or when the disk is `short` of room.
    pub(super) fn rest_after(&mut self, took: Duration, groups: u64, short: bool) -> Duration {
        let before = std::mem::replace(&mut self.groups, groups);
        if groups == before || short { Duration::ZERO } else { (took * REST_TIMES).min(REST_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_appends_has_most_of_the_disks_time_and_an_idle_or_full_disk_copies_at_its_speed() {
        let mut pace = Pace::default();
        let mut after =
            |millis, groups, short| pace.rest_after(Duration::from_millis(millis), groups, short).as_millis();
        assert_eq!(after(2, 0, false), 0, "nobody appends");
        assert_eq!(after(2, 5, false), 6);
        assert_eq!(after(2, 6, true), 0, "records will be refused soon");
        assert_eq!(after(2, 6, false), 0, "nobody appended since the last slice");
        assert_eq!(after(60_000, 7, false), 1_000);
    }
}
