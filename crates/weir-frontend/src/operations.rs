//! What each operation does: one file an operation, by its name.
//!
//! The server calls [`run`] for a request that has passed authentication and admission. An operation reads its input,
//! routes, asks nodes or the control plane, and gives back its answer; errors leave as facts and get their
//! words in `respond.rs`.

mod add_tags_to_stream;
mod create_stream;
mod decrease_stream_retention_period;
mod delete_resource_policy;
mod delete_stream;
mod deregister_stream_consumer;
mod describe_account_settings;
mod describe_limits;
mod describe_stream;
mod describe_stream_consumer;
mod describe_stream_summary;
mod disable_enhanced_monitoring;
mod enable_enhanced_monitoring;
mod get_records;
mod get_resource_policy;
mod get_shard_iterator;
mod increase_stream_retention_period;
mod list_shards;
mod list_stream_consumers;
mod list_streams;
mod list_tags_for_resource;
mod list_tags_for_stream;
mod merge_shards;
mod put_record;
mod put_records;
mod put_resource_policy;
mod register_stream_consumer;
mod remove_tags_from_stream;
mod split_shard;
mod start_stream_encryption;
mod stop_stream_encryption;
mod subscribe_to_shard;
mod tag_resource;
mod untag_resource;
mod update_account_settings;
mod update_max_record_size;
mod update_shard_count;
mod update_stream_mode;
mod update_stream_record_distribution_strategy;
mod update_stream_warm_throughput;

mod attached;
mod change;
mod monitoring;
mod reshard;
mod shard_id;
mod spared;
mod start;
mod store;
mod view;

pub(crate) use self::shard_id::shard_of;

use std::{net::SocketAddr, sync::Arc};

use tokio::time::{Instant, timeout_at};
use weir_core::{
    clock::{Monotonic, WallMs},
    id::StreamRef,
    limits::{KIB, RESHARD_WAIT},
};
use weir_wire::{
    cell::{CellError, CellReply, CellRequest},
    control::{AccountCall, ConsumerKey, ControlError, ControlReply, ControlRequest, ResourceRef},
    kinesis::{
        encode::Reply, encoding::Encoding, operation::Operation, shape::Fields, validate::validate_waiving,
    },
};

use crate::{
    answer::Answer,
    authenticate::Caller,
    call_target::CallTarget,
    consumer::{ConsumerSelector, is_consumer_arn},
    error::RequestError,
    faults::Decision,
    forward::{ForwardError, Forwarder},
    lookup::{StreamSelector, stream_of_arn},
    request_config::RequestConfig,
    server::Common,
    shard_map::{MapReader, ShardMap},
    throttle::{Admitted, ShardGate},
};

/// Bytes of an answer without records or shards.
const SMALL_ANSWER_BYTES: usize = 512;

/// One admitted call.
pub(crate) struct Call<'a> {
    pub(crate) common: &'a Arc<Common>,
    pub(crate) maps: &'a Arc<MapReader>,
    pub(crate) forwarder: &'a Arc<Forwarder>,
    pub(crate) config: &'a RequestConfig,
    pub(crate) admitted: &'a Admitted,
    pub(crate) operation: Operation,
    pub(crate) encoding: Encoding,
    pub(crate) body: &'a [u8],
    /// What it is made to meet on purpose.
    pub(crate) decision: Decision,
}

impl<'a> Call<'a> {
    /// Counts the call to the rate of its operation.
    pub(crate) fn count(&self) -> Result<(), RequestError> {
        let target = || {
            let target = CallTarget::read(self.encoding, self.body, self.caller());
            // Nobody uses up the rates of a stream that it may not use.
            let stream = target.stream.filter(|stream| match &target.consumer {
                Some(key) => self.permitted_consumer(stream.clone(), key).is_ok(),
                None => self.permitted(stream.clone()).is_ok(),
            });
            CallTarget { stream, ..target }
        };
        let calls = &self.common.throttle.calls;
        calls.admit(&self.config.limits, self.now(), self.caller(), self.operation, target)
    }

    /// The body as this operation's input, every bound checked.
    fn input<T: Fields<'a> + Default>(&self) -> Result<T, RequestError> {
        Ok(self.encoding.decode(self.body)?)
    }

    /// The body as the input of a call that puts records, every bound checked. `selector` takes the stream's names off it:
    /// where that spreads its records, they need no partition key.
    fn records<T: Fields<'a> + Default>(
        &self,
        selector: impl Fn(&T) -> StreamSelector<'_>,
    ) -> Result<T, RequestError> {
        let mut input = T::default();
        self.encoding.decode_into(self.body, &mut input)?;
        let stream = selector(&input).resolve(self.caller());
        let spreads = stream.is_ok_and(|stream| self.config.intake(&stream).spread);
        validate_waiving(&input, if spreads { &["PartitionKey"] } else { &[] })?;
        Ok(input)
    }

    /// Bytes of data and key that the stream takes of one record.
    fn record_bytes_max(&self, stream: &StreamRef) -> usize {
        self.config.intake(stream).record_kib_max as usize * KIB
    }

    /// An answer of about `bytes`, which are few: it is not counted.
    fn answer(&self, reply: &impl Reply, bytes: usize) -> Answer {
        self.encoding.encode(reply, bytes).into()
    }

    /// An answer of about `bytes`, which may be many; refused when there is no room for them.
    fn large_answer(&self, reply: &impl Reply, bytes: usize) -> Result<Answer, RequestError> {
        let answers = &self.common.answers;
        let permit = answers.reserve(bytes)?;
        answers.settle(permit, self.encoding.encode(reply, bytes))
    }

    pub(crate) fn caller(&self) -> &'a Caller {
        self.admitted.caller()
    }

    /// Asks the control plane about the caller's account in the call's region.
    async fn of_account(&self, about: AccountCall) -> Result<ControlReply, RequestError> {
        let Caller { account, region, .. } = *self.caller();
        let asked = self.common.lookup.ask(ControlRequest::Account { account, region, about }).await;
        asked.map_err(|error| match error {
            ControlError::LimitExceeded(text) => RequestError::LimitExceeded(text),
            error => RequestError::Control(error),
        })
    }

    /// The stream that the input names, if the caller may do this to it.
    fn stream(&self, selector: StreamSelector<'_>) -> Result<StreamRef, RequestError> {
        self.permitted(selector.resolve(self.caller())?)
    }

    /// This stream, if the caller may do this to it: for streams that an iterator or a token names.
    fn permitted(&self, stream: StreamRef) -> Result<StreamRef, RequestError> {
        let permitted = self.config.policies.permit(self.caller(), self.operation, stream)?;
        Ok(permitted.into_stream())
    }

    /// What the ARN names that can have tags and a policy, if the caller may do this to it.
    fn resource(&self, arn: &str) -> Result<ResourceRef, RequestError> {
        if is_consumer_arn(arn) {
            let selector = ConsumerSelector { stream_arn: None, name: None, arn: Some(arn) };
            let (stream, key) = self.consumer(selector)?;
            return Ok(ResourceRef::Consumer { stream, key });
        }
        let stream = stream_of_arn(arn, self.caller())?;
        Ok(ResourceRef::Stream(self.permitted(stream)?))
    }

    /// The stream and the consumer that the input names, if the caller may do this to it.
    fn consumer(&self, selector: ConsumerSelector<'_>) -> Result<(StreamRef, ConsumerKey), RequestError> {
        let (stream, key) = selector.resolve(self.caller())?;
        Ok((self.permitted_consumer(stream, &key)?, key))
    }

    fn permitted_consumer(&self, stream: StreamRef, key: &ConsumerKey) -> Result<StreamRef, RequestError> {
        let permitted = self.config.policies.permit_consumer(self.caller(), self.operation, stream, key)?;
        Ok(permitted.into_stream())
    }

    /// The shards' buckets and how many shards `map` has; none when no limit of a shard is kept.
    fn gate(&self, map: &ShardMap) -> Option<(&'a ShardGate, usize)> {
        self.config.shard_limits.then(|| (&self.common.throttle.shards, map.shards_count()))
    }

    pub(crate) fn now(&self) -> Monotonic {
        self.common.clock.now()
    }

    pub(crate) fn wall(&self) -> WallMs {
        self.common.clock.wall()
    }

    /// Asks the node that owns a shard of `stream`, by the map.
    async fn ask_owner(
        &self,
        stream: &StreamRef,
        node: SocketAddr,
        request: CellRequest,
    ) -> Result<CellReply, RequestError> {
        self.forwarder.call(node, request).await.map_err(|error| unowned(stream, error))
    }
}

/// Runs the call's operation; gives back its answer. Where an owner is missing the stream may have gone meanwhile, and who
/// asks hears of that rather than of a service that is not there; or it is so new that the next map brings it, and is
/// waited for.
pub(crate) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let deadline = call.now() + RESHARD_WAIT;
    let mut changes = None;
    loop {
        let outcome = dispatch(call).await;
        let (Err(RequestError::OwnerUnknown(stream)) | Err(RequestError::BetweenShards(stream))) = &outcome
        else {
            return outcome;
        };
        match call.common.lookup.why_missing(stream).await {
            gone @ RequestError::StreamNotFound(_) => return Err(gone),
            RequestError::BetweenShards(_) if call.now() < deadline => {}
            _ => return outcome,
        }
        // A map that came meanwhile must not be missed: the first look behind the subscription is a look, not a wait.
        let Some(changes) = &mut changes else {
            changes = Some(call.maps.changes());
            continue;
        };
        let Ok(_waiting) = call.common.resharding.try_acquire() else { return outcome };
        let until = Instant::from_std(call.common.clock.instant(deadline));
        if !matches!(timeout_at(until, changes.changed()).await, Ok(Ok(()))) {
            return outcome;
        }
    }
}

/// What a node's refusal says of the stream: one that does not own the shard is not its owner, whatever the map says.
fn unowned(stream: &StreamRef, error: ForwardError) -> RequestError {
    match error {
        ForwardError::Refused { error: CellError::NotOwner, .. } => {
            RequestError::OwnerUnknown(stream.clone())
        }
        error => error.into(),
    }
}

async fn dispatch(call: &Call<'_>) -> Result<Answer, RequestError> {
    match call.operation {
        Operation::AddTagsToStream => add_tags_to_stream::run(call).await,
        Operation::CreateStream => create_stream::run(call).await,
        Operation::DecreaseStreamRetentionPeriod => decrease_stream_retention_period::run(call).await,
        Operation::DeleteResourcePolicy => delete_resource_policy::run(call).await,
        Operation::DeleteStream => delete_stream::run(call).await,
        Operation::DeregisterStreamConsumer => deregister_stream_consumer::run(call).await,
        Operation::DescribeAccountSettings => describe_account_settings::run(call).await,
        Operation::DescribeLimits => describe_limits::run(call).await,
        Operation::DescribeStream => describe_stream::run(call).await,
        Operation::DescribeStreamConsumer => describe_stream_consumer::run(call).await,
        Operation::DescribeStreamSummary => describe_stream_summary::run(call).await,
        Operation::DisableEnhancedMonitoring => disable_enhanced_monitoring::run(call).await,
        Operation::EnableEnhancedMonitoring => enable_enhanced_monitoring::run(call).await,
        Operation::GetRecords => get_records::run(call).await,
        Operation::GetResourcePolicy => get_resource_policy::run(call).await,
        Operation::GetShardIterator => get_shard_iterator::run(call).await,
        Operation::IncreaseStreamRetentionPeriod => increase_stream_retention_period::run(call).await,
        Operation::ListShards => list_shards::run(call).await,
        Operation::ListStreamConsumers => list_stream_consumers::run(call).await,
        Operation::ListStreams => list_streams::run(call).await,
        Operation::ListTagsForResource => list_tags_for_resource::run(call).await,
        Operation::ListTagsForStream => list_tags_for_stream::run(call).await,
        Operation::MergeShards => merge_shards::run(call).await,
        Operation::PutRecord => put_record::run(call).await,
        Operation::PutRecords => put_records::run(call).await,
        Operation::PutResourcePolicy => put_resource_policy::run(call).await,
        Operation::RegisterStreamConsumer => register_stream_consumer::run(call).await,
        Operation::RemoveTagsFromStream => remove_tags_from_stream::run(call).await,
        Operation::SplitShard => split_shard::run(call).await,
        Operation::StartStreamEncryption => start_stream_encryption::run(call).await,
        Operation::StopStreamEncryption => stop_stream_encryption::run(call).await,
        Operation::SubscribeToShard => subscribe_to_shard::run(call).await,
        Operation::TagResource => tag_resource::run(call).await,
        Operation::UntagResource => untag_resource::run(call).await,
        Operation::UpdateAccountSettings => update_account_settings::run(call).await,
        Operation::UpdateMaxRecordSize => update_max_record_size::run(call).await,
        Operation::UpdateShardCount => update_shard_count::run(call).await,
        Operation::UpdateStreamMode => update_stream_mode::run(call).await,
        Operation::UpdateStreamRecordDistributionStrategy => {
            update_stream_record_distribution_strategy::run(call).await
        }
        Operation::UpdateStreamWarmThroughput => update_stream_warm_throughput::run(call).await,
    }
}

#[cfg(test)]
mod tests {
    use weir_core::id::{AccountId, Region, StreamName};

    use super::*;

    #[test]
    fn a_node_that_owns_nothing_of_a_stream_leaves_the_stream_without_an_owner() {
        let stream = StreamRef {
            account: AccountId::DEFAULT,
            region: "us-east-1".parse::<Region>().expect("a region"),
            name: StreamName::new("s"),
        };
        let node = ([127, 0, 0, 1], 1).into();
        let refused = |error| unowned(&stream, ForwardError::Refused { node, error });
        assert_eq!(refused(CellError::NotOwner), RequestError::OwnerUnknown(stream.clone()));
        assert!(matches!(refused(CellError::Busy), RequestError::Forward(_)));
    }
}
