//! How many streams and shards an account may have in a region: AWS's quotas, and Weir's own bounds behind them.
//!
//! Part of the machine; asked before a stream is created. It counts what is there and changes nothing.

use weir_core::{
    id::StreamRef,
    limits::{SHARDS_MAX, SHARDS_PER_STREAM_MAX, STREAMS_MAX},
};
use weir_wire::{
    control::{ControlError, StreamStatus},
    kinesis::limits::Limit,
};

use super::Machine;
use crate::state::Stream;

impl Machine {
    /// May the account of `stream` have one more in its region?
    pub(super) fn check_stream_quotas(
        &self,
        stream: &StreamRef,
        on_demand: bool,
    ) -> Result<(), ControlError> {
        if self.state.streams.len() >= STREAMS_MAX {
            return Err(ControlError::LimitExceeded(format!("there are {STREAMS_MAX} streams already")));
        }
        let exceeded = |limit, is_one: fn(&Stream) -> bool| {
            let quota = self.state.config.shared.limits.get(limit)?;
            let there = self.streams_beside(stream).filter(|stream| is_one(stream)).count() as u64;
            (there >= quota).then_some(quota)
        };
        if let Some(quota) = exceeded(Limit::StreamsInTransition, is_in_transition) {
            return Err(ControlError::LimitExceeded(format!(
                "Only {quota} streams can simultaneously be in CREATING or DELETING states."
            )));
        }
        if on_demand { self.check_on_demand_quota(stream) } else { Ok(()) }
    }

    /// May the account of `stream` have one more in on-demand mode in its region?
    pub(super) fn check_on_demand_quota(&self, stream: &StreamRef) -> Result<(), ControlError> {
        let quota = self.state.config.shared.limits.get(Limit::OnDemandStreams);
        let there = self.streams_beside(stream).filter(|stream| stream.on_demand).count() as u64;
        match quota {
            Some(quota) if there >= quota => Err(ControlError::LimitExceeded(format!(
                "This request would exceed the on-demand stream limit for the account {}. Limit: {quota}.",
                stream.account
            ))),
            _ => Ok(()),
        }
    }

    /// May the account of `stream` have so many more shards in its region? Only open ones of provisioned streams are of its
    /// quota (AWS); `born` counts those as well that take the place of others, which stay until their records are too old.
    /// Kinesis's own words, although one bound is for all accounts together: whoever creates too much matches them.
    pub(super) fn check_shard_quotas(
        &self,
        stream: &StreamRef,
        on_demand: bool,
        more: u32,
        born: usize,
    ) -> Result<(), ControlError> {
        let provisioned = self.streams_beside(stream).filter(|stream| !stream.on_demand);
        let of_account: usize = provisioned.map(Stream::open_shards_count).sum();
        let after = of_account + more as usize;
        let quota = self.state.config.shared.limits.get(Limit::AccountShards).filter(|_| !on_demand);
        let quota = quota.map_or(usize::MAX, |quota| usize::try_from(quota).unwrap_or(usize::MAX));
        let limit = if more > SHARDS_PER_STREAM_MAX {
            (SHARDS_PER_STREAM_MAX as usize).min(quota)
        } else if more > 0 && after > quota {
            quota
        } else if self.shards_count() + born > SHARDS_MAX {
            SHARDS_MAX
        } else {
            return Ok(());
        };
        Err(ControlError::LimitExceeded(format!(
            "This request would exceed the shard limit for the account {} in {}. Current shard count for the \
             account: {of_account}. Limit: {limit}. Number of additional shards that would have resulted from this \
             request: {more}. Refer to the AWS Service Limits page \
             (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to \
             request higher limits.",
            stream.account, stream.region
        )))
    }

    fn shards_count(&self) -> usize {
        self.state.streams.iter().map(|stream| stream.shards.len()).sum()
    }

    fn streams_beside<'a>(&'a self, stream: &'a StreamRef) -> impl Iterator<Item = &'a Stream> {
        let same = |known: &&Stream| known.account == stream.account && known.region == stream.region;
        self.state.streams.iter().filter(same)
    }
}

fn is_in_transition(stream: &Stream) -> bool {
    match stream.status {
        StreamStatus::Creating | StreamStatus::Deleting => true,
        StreamStatus::Active | StreamStatus::Updating => false,
    }
}
