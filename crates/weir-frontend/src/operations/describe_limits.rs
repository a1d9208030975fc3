//! `DescribeLimits`: what the account has in the region, and what it may have.

use weir_wire::{
    control::{AccountCall, ControlReply},
    kinesis::{
        describe_limits::{DescribeLimitsInput, DescribeLimitsReply},
        limits::Limit,
    },
};

use super::{Call, SMALL_ANSWER_BYTES};
use crate::{answer::Answer, error::RequestError};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let _: DescribeLimitsInput<'_> = call.input()?;
    let ControlReply::Usage(usage) = call.of_account(AccountCall::Usage).await? else {
        return Err(RequestError::ControlNonsense);
    };
    // A quota that is lifted is shown as the largest that the member holds.
    let shown = |count: u64| i64::from(i32::try_from(count).unwrap_or(i32::MAX));
    let quota = |limit| shown(call.config.limits.get(limit).unwrap_or(u64::MAX));
    let reply = DescribeLimitsReply {
        shard_limit: quota(Limit::AccountShards),
        open_shards: shown(usage.open_shards),
        on_demand_streams: shown(usage.on_demand_streams),
        on_demand_stream_limit: quota(Limit::OnDemandStreams),
    };
    Ok(call.answer(&reply, SMALL_ANSWER_BYTES))
}
