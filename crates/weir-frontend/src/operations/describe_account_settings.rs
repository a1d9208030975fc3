//! `DescribeAccountSettings`: what the account has committed to in the region.

use weir_core::clock::WallMs;
use weir_wire::{
    control::{AccountCall, ControlReply},
    kinesis::describe_account_settings::{AccountSettingsReply, DescribeAccountSettingsInput},
};

use super::{Call, SMALL_ANSWER_BYTES};
use crate::{answer::Answer, error::RequestError};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let _: DescribeAccountSettingsInput<'_> = call.input()?;
    answer(call, AccountCall::Commitment).await
}

/// Asks, or changes, and shows the settings.
pub(super) async fn answer(call: &Call<'_>, about: AccountCall) -> Result<Answer, RequestError> {
    let ControlReply::Commitment(commitment) = call.of_account(about).await? else {
        return Err(RequestError::ControlNonsense);
    };
    let reply = AccountSettingsReply {
        status: commitment.status.name(),
        started: commitment.started_ms.map(WallMs),
        ended: commitment.ended_ms.map(WallMs),
        earliest_end: commitment.earliest_end_ms.map(WallMs),
    };
    Ok(call.answer(&reply, SMALL_ANSWER_BYTES))
}
