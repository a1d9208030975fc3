//! How fast old segments are rewritten and removed files given back: with what the disk has left of its time.
//!
//! The rewriter asks after each slice. Whoever appends waits for the sync of what it appended, and a disk that does something
//! else as well makes it wait longer, so that leaves most of the time to it. Nobody waits for old segments to go, unless the
//! disk is nearly full.

use std::time::Duration;

/// A rest is so many times as long as the slice before it: a quarter of the disk's time is for what is old.
const REST_TIMES: u32 = 3;
/// A slice that a disk held up for long is followed by no longer a rest than this.
const REST_MAX: Duration = Duration::from_secs(1);

/// Knows whether somebody appends meanwhile.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Groups that had been begun when the last slice ended.
    groups: u64,
}

impl Pace {
    /// How long to rest after a slice that took `took`, when `groups` were begun by now and one of them `is_waited_for` or not.
    /// Nothing when nobody appended since the last slice and nobody waits, or when it is time to `hurry`.
    pub(super) fn rest_after(
        &mut self,
        took: Duration,
        groups: u64,
        is_waited_for: bool,
        hurry: bool,
    ) -> Duration {
        let before = std::mem::replace(&mut self.groups, groups);
        let is_alone = groups == before && !is_waited_for;
        if is_alone || hurry { Duration::ZERO } else { (took * REST_TIMES).min(REST_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_appends_has_most_of_the_disks_time_unless_there_is_nobody_or_a_hurry() {
        let mut pace = Pace::default();
        let mut after = |millis, groups, is_waited_for, hurry| {
            pace.rest_after(Duration::from_millis(millis), groups, is_waited_for, hurry).as_millis()
        };
        assert_eq!(after(2, 0, false, false), 0, "nobody appends");
        assert_eq!(after(2, 5, false, false), 6);
        assert_eq!(after(2, 5, true, false), 6, "the last group is still on its way");
        assert_eq!(after(2, 6, true, true), 0, "records will be refused soon");
        assert_eq!(after(2, 6, false, false), 0, "nobody appended since the last slice");
        assert_eq!(after(60_000, 7, false, false), 1_000);
    }
}
