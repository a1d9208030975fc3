//! `DescribeAccountSettings`: what it takes and tells; also the settings as `UpdateAccountSettings` shows them.

use weir_core::clock::WallMs;

use super::{
    encode::{Encoder, Reply},
    shape::structure,
};

structure! {
    /// What `DescribeAccountSettings` takes: nothing.
    DescribeAccountSettingsInput {}
}

/// An account's settings in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountSettingsReply {
    /// `ENABLED`, `DISABLED` or `ENABLED_UNTIL_EARLIEST_ALLOWED_END`: the commitment to a least throughput.
    pub status: &'static str,
    /// When it was begun.
    pub started: Option<WallMs>,
    /// When it ended.
    pub ended: Option<WallMs>,
    /// The earliest that it may end.
    pub earliest_end: Option<WallMs>,
}

impl Reply for AccountSettingsReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("MinimumThroughputBillingCommitment");
        out.open_structure();
        out.member("Status");
        out.text(self.status);
        for (name, time) in [
            ("StartedAt", self.started),
            ("EndedAt", self.ended),
            ("EarliestAllowedEndAt", self.earliest_end),
        ] {
            if let Some(time) = time {
                out.member(name);
                out.timestamp(time);
            }
        }
        out.close_structure();
        out.close_structure();
    }
}
