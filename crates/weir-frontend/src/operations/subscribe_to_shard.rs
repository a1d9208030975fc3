//! `SubscribeToShard`: everything that can be refused is refused first; then the answer is a stream that lives on by itself.

use weir_core::clock::WallMs;
use weir_wire::{
    cell::{CellReply, CellRequest, TipReply},
    control::{ConsumerDescription, ConsumerKey, ConsumerStatus},
    http::server::streamed,
    kinesis::{
        encoding::Encoding,
        error::{ApiError, ErrorCode},
        event_stream,
        limits::Limit,
        subscribe_to_shard::SubscribeToShardInput,
        validate::null_member,
    },
};

use super::{Call, shard_id::parse_shard, start::StartingPoint};
use crate::{
    answer::Answer,
    consumer::ConsumerSelector,
    error::{ConsumerError, RequestError},
    forward::ForwardError,
    route::{Routed, ShardPlace, route_shard, usable_map},
    subscription::{Feed, Rooms, SeatKey, SeatRefused, Subscription},
};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: SubscribeToShardInput<'_> = call.input()?;
    refuse_cbor(call.encoding)?;
    let arn = input.consumer_arn.as_deref();
    let (stream, key) = call.consumer(ConsumerSelector { stream_arn: None, name: None, arn })?;
    let shard = parse_shard(&stream, input.shard_id.as_deref().ok_or_else(|| null_member("shardId"))?)?;
    let position = input.starting_position.as_ref().ok_or_else(|| null_member("startingPosition"))?;
    let point = StartingPoint {
        kind: position.kind.as_deref().ok_or_else(|| null_member("startingPosition.type"))?,
        number: position.sequence_number.as_deref(),
        timestamp: position.timestamp,
    };
    let consumer = call.common.lookup.consumer(&stream, &key).await?;
    let map = usable_map(call.maps, call.now())?;
    let shards = call.common.lookup.in_map(&map, &stream).await?;
    let routed = route_shard(call.admitted, shards, shard)?;
    let subscription = Subscription {
        consumer: ConsumerKey { created_secs: Some(WallMs(consumer.created_ms).secs()), ..key },
        shard: routed.get().key,
        from: point.record(call, &stream, &routed).await?,
        bytes_per_second: call.config.limits.get(Limit::SubscriptionBytes),
        stream,
    };
    must_be_active(&subscription, &consumer)?;
    must_be_reached(call, &routed, &subscription).await?;
    answer(call, subscription, input.dry_run == Some(true))
}

/// The events of the stream are JSON: Kinesis itself fails such a call with 500, which clients repeat for ever.
fn refuse_cbor(encoding: Encoding) -> Result<(), RequestError> {
    match encoding {
        Encoding::Json => Ok(()),
        Encoding::Cbor => {
            let text = "SubscribeToShard is served to requests in application/x-amz-json-1.1 only.";
            Err(ApiError::new(ErrorCode::InvalidArgument, text).into())
        }
    }
}

fn must_be_active(subscription: &Subscription, consumer: &ConsumerDescription) -> Result<(), RequestError> {
    match consumer.status {
        ConsumerStatus::Active => Ok(()),
        ConsumerStatus::Creating | ConsumerStatus::Deleting => {
            let (stream, name) = (subscription.stream.clone(), consumer.name.clone());
            Err(ConsumerError::NotActive { stream, consumer: name, created: WallMs(consumer.created_ms) }
                .into())
        }
    }
}

/// A number of this shard that was never given out leads nowhere.
async fn must_be_reached(
    call: &Call<'_>,
    routed: &Routed<ShardPlace>,
    subscription: &Subscription,
) -> Result<(), RequestError> {
    let ShardPlace { key, node, .. } = *routed.get();
    let request = CellRequest::Await { key, record: 0, wait_ms: 0 };
    let reply = call.ask_owner(&subscription.stream, node, request).await?;
    let CellReply::Tip(TipReply { tip, closed, .. }) = reply else {
        return Err(ForwardError::Nonsense { node }.into());
    };
    let behind_end = u64::from(closed); // the number after the last of a closed shard was given out, too
    if subscription.from > tip + behind_end {
        return Err(ConsumerError::StartAhead { record: subscription.from, tip }.into());
    }
    Ok(())
}

fn answer(call: &Call<'_>, subscription: Subscription, dry_run: bool) -> Result<Answer, RequestError> {
    let key = SeatKey {
        shard: subscription.shard,
        consumer: subscription.consumer.name.clone(),
        created_secs: subscription.consumer.created_secs.unwrap_or_default(),
    };
    let refused = |refused| match refused {
        SeatRefused::InUse => subscription.in_use(),
        SeatRefused::Full => ConsumerError::Full.into(),
    };
    let (seats, tenant) = (&call.common.seats, &call.caller().tenant);
    if dry_run {
        seats.look(&key, tenant, call.now()).map_err(refused)?;
        return Err(RequestError::DryRun);
    }
    let seat = seats.take(key, tenant, call.now()).map_err(refused)?;
    let rooms =
        Rooms { common: call.common.clone(), maps: call.maps.clone(), forwarder: call.forwarder.clone() };
    let feed = Feed::new(rooms, seat, subscription, call.common.subscriptions);
    Ok(Answer::Stream { content_type: event_stream::CONTENT_TYPE, body: streamed(feed) })
}
