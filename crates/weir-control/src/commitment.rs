//! An account's commitment to pay for a least throughput in a region.
//!
//! Kept by the control plane and changed by its machine. A commitment lasts a day at least: who ends it earlier has it end
//! then, and may take that back until it has.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_core::{
    clock::WallMs,
    id::{AccountId, Region},
};
use weir_wire::control::{BillingCommitment, CommitmentStatus};

/// How long a commitment lasts at least (AWS).
const COMMITMENT_MIN: Duration = Duration::from_secs(24 * 3600);

/// The commitment of an account in a region, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    account: AccountId,
    region: Region,
    /// When it was begun, milliseconds since 1970.
    started_ms: u64,
    /// From when on it is over, milliseconds since 1970: in the past, or when it may end first.
    #[serde(default)]
    ends_ms: Option<u64>,
}

impl Commitment {
    /// One that begins now.
    pub(crate) fn new(account: AccountId, region: Region, now: WallMs) -> Self {
        Self { account, region, started_ms: now.0, ends_ms: None }
    }

    /// Whose it is.
    pub(crate) fn account(&self) -> AccountId {
        self.account
    }

    /// Is it this account's in this region?
    pub(crate) fn is_of(&self, account: AccountId, region: Region) -> bool {
        self.account == account && self.region == region
    }

    /// Ends it as soon as that is allowed.
    pub(crate) fn end(&mut self, now: WallMs) {
        self.ends_ms = Some(self.earliest_end_ms().max(now.0));
    }

    /// Takes an end back that has not come yet.
    pub(crate) fn go_on(&mut self) {
        self.ends_ms = None;
    }

    fn earliest_end_ms(&self) -> u64 {
        self.started_ms.saturating_add(u64::try_from(COMMITMENT_MIN.as_millis()).unwrap_or(u64::MAX))
    }

    /// Is it over?
    pub(crate) fn is_over(&self, now: WallMs) -> bool {
        self.ends_ms.is_some_and(|ends| ends <= now.0)
    }

    /// As it is told.
    pub(crate) fn describe(&self, now: WallMs) -> BillingCommitment {
        let over = self.is_over(now);
        let status = match self.ends_ms {
            _ if over => CommitmentStatus::Disabled,
            Some(_) => CommitmentStatus::EnabledUntilEarliestAllowedEnd,
            None => CommitmentStatus::Enabled,
        };
        BillingCommitment {
            status,
            started_ms: Some(self.started_ms),
            ended_ms: self.ends_ms.filter(|_| over),
            earliest_end_ms: (!over).then(|| self.earliest_end_ms()),
        }
    }
}
