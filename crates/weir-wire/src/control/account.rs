//! What the control plane is asked about an account in a region as a whole, and what it tells.
//!
//! Part of the control plane's protocol. Streams have calls of their own.

use serde::{Deserialize, Serialize};

/// A question about an account in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "account", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AccountCall {
    /// How much does it have?
    Usage,
    /// What has it committed to?
    Commitment,
    /// Begin the commitment, or end it as soon as that is allowed.
    Commit {
        /// Begin?
        on: bool,
    },
}

/// What an account has in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountUsage {
    /// Shards that take records.
    pub open_shards: u64,
    /// Streams in on-demand mode.
    pub on_demand_streams: u64,
}

/// An account's commitment to pay for a least throughput. All times are milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillingCommitment {
    /// Its state.
    pub status: CommitmentStatus,
    /// When it was begun; none: never.
    pub started_ms: Option<u64>,
    /// When it ended, if it did.
    pub ended_ms: Option<u64>,
    /// The earliest that it may end, while it lasts.
    pub earliest_end_ms: Option<u64>,
}

/// The state of a commitment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CommitmentStatus {
    /// There is none.
    #[default]
    Disabled,
    /// It lasts until it is ended.
    Enabled,
    /// It was ended too early, and lasts until it may end.
    EnabledUntilEarliestAllowedEnd,
}

impl CommitmentStatus {
    /// As Kinesis spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "DISABLED",
            Self::Enabled => "ENABLED",
            Self::EnabledUntilEarliestAllowedEnd => "ENABLED_UNTIL_EARLIEST_ALLOWED_END",
        }
    }
}
