//! `UpdateAccountSettings`: begins the account's commitment in the region, or ends it as soon as it may end.

use weir_wire::{control::AccountCall, kinesis::update_account_settings::UpdateAccountSettingsInput};

use super::{Call, describe_account_settings::answer};
use crate::{answer::Answer, error::RequestError};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: UpdateAccountSettingsInput<'_> = call.input()?;
    let commitment = input.minimum_throughput_billing_commitment.expect("it was validated to be there");
    let on = commitment.status.expect("it was validated to be there") == "ENABLED";
    answer(call, AccountCall::Commit { on }).await
}
