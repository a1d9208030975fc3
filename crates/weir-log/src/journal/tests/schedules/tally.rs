//! What schedules went through: a run in which nothing went wrong has shown nothing.

use super::{calls::Why, world::End};

/// Counts over schedules.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) schedules: u64,
    pub(super) steps: u64,
    pub(super) acknowledged: u64,
    pub(super) failed: u64,
    pub(super) stopped: u64,
    pub(super) no_room: u64,
    pub(super) busy: u64,
    pub(super) dropped: u64,
    /// Groups that were written while another was synced.
    pub(super) overlapped: u64,
    /// Segments that were rewritten while it was waited for.
    pub(super) rewritten: u64,
    pub(super) looks: u64,
    pub(super) glimpses: u64,
    pub(super) waiters: u64,
    pub(super) closes: u64,
    pub(super) kills: u64,
    pub(super) power_losses: u64,
    /// Ends while writes waited.
    pub(super) amid: u64,
    pub(super) spoilt_openings: u64,
    pub(super) torn: u64,
    /// Writes that ended unknown, and those of them that were there.
    pub(super) unknown: u64,
    pub(super) unknown_kept: u64,
}

impl Tally {
    pub(super) fn refused(&mut self, why: Why) {
        match why {
            Why::Stopped => self.stopped += 1,
            Why::NoRoom => self.no_room += 1,
            Why::Busy => self.busy += 1,
            _ => {}
        }
    }

    pub(super) fn ended(&mut self, end: End) {
        match end {
            End::Close => self.closes += 1,
            End::Kill => self.kills += 1,
            End::Power => self.power_losses += 1,
        }
    }

    fn counts(&mut self) -> [&mut u64; 21] {
        [
            &mut self.schedules,
            &mut self.steps,
            &mut self.acknowledged,
            &mut self.failed,
            &mut self.stopped,
            &mut self.no_room,
            &mut self.busy,
            &mut self.dropped,
            &mut self.overlapped,
            &mut self.rewritten,
            &mut self.looks,
            &mut self.glimpses,
            &mut self.waiters,
            &mut self.closes,
            &mut self.kills,
            &mut self.power_losses,
            &mut self.amid,
            &mut self.spoilt_openings,
            &mut self.torn,
            &mut self.unknown,
            &mut self.unknown_kept,
        ]
    }

    /// What happened least.
    pub(super) fn least(mut self) -> u64 {
        self.counts().into_iter().map(|count| *count).min().expect("there are counts")
    }
}

impl FromIterator<Self> for Tally {
    fn from_iter<T: IntoIterator<Item = Self>>(tallies: T) -> Self {
        tallies.into_iter().fold(Self::default(), |mut sum, mut tally| {
            sum.counts().into_iter().zip(tally.counts()).for_each(|(sum, count)| *sum += *count);
            sum
        })
    }
}
