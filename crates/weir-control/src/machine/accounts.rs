//! Accounts in their regions: what they have, and the commitment that they made.
//!
//! Part of the machine. What a commitment is, and when it ends, is in `commitment.rs`.

use weir_core::{
    clock::WallMs,
    id::{AccountId, Region},
    limits::{ACCOUNT_REGIONS_MAX, ACCOUNTS_MAX},
};
use weir_wire::control::{
    AccountCall, AccountUsage, BillingCommitment, CommitmentStatus, ControlError, ControlReply,
};

use super::{Applied, Machine};
use crate::commitment::Commitment;

impl Machine {
    pub(super) fn account(
        &mut self,
        now: WallMs,
        account: AccountId,
        region: Region,
        about: &AccountCall,
    ) -> Applied {
        match *about {
            AccountCall::Usage => Applied::answer(ControlReply::Usage(self.usage(account, region))),
            AccountCall::Commitment => {
                Applied::answer(ControlReply::Commitment(self.commitment(now, account, region)))
            }
            AccountCall::Commit { on } => self.commit(now, account, region, on),
        }
    }

    fn usage(&self, account: AccountId, region: Region) -> AccountUsage {
        let own =
            self.state.streams.iter().filter(|stream| stream.account == account && stream.region == region);
        let (mut open_shards, mut on_demand_streams) = (0, 0);
        for stream in own {
            open_shards += stream.open_shards_count() as u64;
            on_demand_streams += u64::from(stream.on_demand);
        }
        AccountUsage { open_shards, on_demand_streams }
    }

    /// What the account has committed to in this region.
    pub(super) fn commitment(&self, now: WallMs, account: AccountId, region: Region) -> BillingCommitment {
        let own = |known: &&Commitment| known.is_of(account, region);
        self.state
            .commitments
            .iter()
            .find(own)
            .map_or_else(BillingCommitment::default, |known| known.describe(now))
    }

    /// Is there room for one more of the account? Where there are as many as may be, those that are over go first: of the
    /// account, or of all.
    fn make_commitment_room(&mut self, now: WallMs, account: AccountId) -> bool {
        let commitments = &mut self.state.commitments;
        let regions = |all: &[Commitment]| all.iter().filter(|known| known.account() == account).count();
        let is_full = commitments.len() >= ACCOUNTS_MAX;
        if is_full || regions(commitments) >= ACCOUNT_REGIONS_MAX {
            commitments.retain(|known| !(known.is_over(now) && (is_full || known.account() == account)));
        }
        commitments.len() < ACCOUNTS_MAX && regions(commitments) < ACCOUNT_REGIONS_MAX
    }

    fn commit(&mut self, now: WallMs, account: AccountId, region: Region, on: bool) -> Applied {
        let before = self.commitment(now, account, region);
        let known = self.state.commitments.iter_mut().find(|known| known.is_of(account, region));
        match (on, before.status, known) {
            (true, CommitmentStatus::Enabled, _) | (false, CommitmentStatus::Disabled, _) => {
                return Applied::answer(ControlReply::Commitment(before));
            }
            (true, CommitmentStatus::EnabledUntilEarliestAllowedEnd, Some(known)) => known.go_on(),
            (true, CommitmentStatus::Disabled, Some(known)) => *known = Commitment::new(account, region, now),
            (false, _, Some(known)) => known.end(now),
            (_, _, None) => {
                if !self.make_commitment_room(now, account) {
                    return Applied::refused(ControlError::LimitExceeded(format!(
                        "Commitments are kept for {ACCOUNTS_MAX} accounts in their regions, for each account in \
                         {ACCOUNT_REGIONS_MAX} regions."
                    )));
                }
                self.state.commitments.push(Commitment::new(account, region, now));
            }
        }
        Applied::changed(ControlReply::Commitment(self.commitment(now, account, region)))
    }
}

#[cfg(test)]
mod tests {
    use weir_core::clock::Monotonic;
    use weir_wire::control::{ControlRequest, SharedConfig};

    use super::*;
    use crate::{config::embedded, machine::ControlCommand, state::State};

    const HOUR_MS: u64 = 3_600_000;

    fn machine() -> Machine {
        let shared = SharedConfig::new("00".repeat(32));
        Machine::new(State::new(weir_core::id::ClusterId(1), embedded(shared, Vec::new())))
    }

    fn ask(machine: &mut Machine, hours: u64, account: u64, about: AccountCall) -> BillingCommitment {
        let account = AccountId::new(account).unwrap();
        let call = ControlRequest::Account { account, region: Region::US_EAST_1, about };
        let wall = WallMs(hours * HOUR_MS);
        match machine.apply(Monotonic::ZERO, wall, ControlCommand::Call(call)).reply {
            Ok(ControlReply::Commitment(commitment)) => commitment,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_commitment_lasts_a_day_and_its_end_may_be_taken_back_until_then() {
        let mut machine = machine();
        let look = |machine: &mut Machine, hours| ask(machine, hours, 1, AccountCall::Commitment);
        let commit = |machine: &mut Machine, hours, on| ask(machine, hours, 1, AccountCall::Commit { on });
        assert_eq!(look(&mut machine, 1), BillingCommitment::default());
        assert_eq!(commit(&mut machine, 1, false), BillingCommitment::default(), "there is nothing to end");

        let enabled = commit(&mut machine, 2, true);
        let (started, earliest) = (Some(2 * HOUR_MS), Some(26 * HOUR_MS));
        let lasting = |status| BillingCommitment {
            status,
            started_ms: started,
            ended_ms: None,
            earliest_end_ms: earliest,
        };
        assert_eq!(enabled, lasting(CommitmentStatus::Enabled));
        assert_eq!(commit(&mut machine, 3, true), enabled, "it goes on");
        let ending = lasting(CommitmentStatus::EnabledUntilEarliestAllowedEnd);
        assert_eq!(commit(&mut machine, 4, false), ending);
        assert_eq!(commit(&mut machine, 5, true), enabled, "taken back");
        assert_eq!(commit(&mut machine, 6, false), ending);
        assert_eq!(look(&mut machine, 25), ending);

        let over = look(&mut machine, 26);
        assert_eq!((over.status, over.ended_ms), (CommitmentStatus::Disabled, earliest));
        let again = commit(&mut machine, 30, true);
        assert_eq!((again.status, again.started_ms), (CommitmentStatus::Enabled, Some(30 * HOUR_MS)));
        let ended = commit(&mut machine, 60, false);
        assert_eq!((ended.status, ended.ended_ms), (CommitmentStatus::Disabled, Some(60 * HOUR_MS)));
        assert_eq!(ask(&mut machine, 3, 2, AccountCall::Commitment), BillingCommitment::default());
    }

    #[test]
    fn an_account_commits_in_so_many_regions_and_takes_no_room_of_others() {
        let mut machine = machine();
        let mut commit = |number: usize| {
            let (account, region) = (AccountId::DEFAULT, format!("region-{number}").parse().unwrap());
            let about = AccountCall::Commit { on: true };
            let call = ControlRequest::Account { account, region, about };
            machine.apply(Monotonic::ZERO, WallMs(0), ControlCommand::Call(call)).reply
        };
        for number in 0..ACCOUNT_REGIONS_MAX {
            commit(number).unwrap();
        }
        assert!(matches!(commit(ACCOUNT_REGIONS_MAX), Err(ControlError::LimitExceeded(_))));
        commit(0).expect("it has that already");
    }

    #[test]
    fn commitments_are_kept_and_bounded() {
        let mut machine = machine();
        for account in 1..=ACCOUNTS_MAX as u64 {
            ask(&mut machine, 1, account, AccountCall::Commit { on: true });
        }
        let account = AccountId::new(ACCOUNTS_MAX as u64 + 1).unwrap();
        let about = AccountCall::Commit { on: true };
        let call = ControlRequest::Account { account, region: Region::US_EAST_1, about };
        let refused = machine.apply(Monotonic::ZERO, WallMs(0), ControlCommand::Call(call));
        assert!(matches!(refused.reply, Err(ControlError::LimitExceeded(_))));
        assert!(!refused.save);
        ask(&mut machine, 1, 5, AccountCall::Commit { on: false });
        let call = |wall| {
            let about = AccountCall::Commit { on: true };
            let call = ControlRequest::Account { account, region: Region::US_EAST_1, about };
            (WallMs(wall), ControlCommand::Call(call))
        };
        let (wall, again) = call(26 * HOUR_MS);
        machine.apply(Monotonic::ZERO, wall, again).reply.expect("one that is over makes room");
        let kept = serde_json::to_vec(machine.state()).unwrap();
        let mut again = Machine::new(serde_json::from_slice(&kept).unwrap());
        assert_eq!(ask(&mut again, 1, 7, AccountCall::Commitment).status, CommitmentStatus::Enabled);
    }
}
