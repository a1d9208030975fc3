//! Where reading starts, as `GetShardIterator` and `SubscribeToShard` are told it: five kinds of places in a shard.
//!
//! LATEST and AT_TIMESTAMP ask the node now, so that the place means the same whenever it is used.

use weir_core::{
    clock::WallMs,
    id::StreamRef,
    sequence::{RecordIndex, SequenceNumber},
};
use weir_wire::{
    cell::{CellReply, CellRequest, Position},
    kinesis::{
        error::{ApiError, ErrorCode},
        operation::Operation,
        shape::EpochMs,
    },
};

use super::Call;
use crate::{
    error::RequestError,
    forward::ForwardError,
    route::{Routed, ShardPlace},
};

/// A place as a caller tells it.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartingPoint<'a> {
    /// `LATEST` and so on.
    pub(super) kind: &'a str,
    /// At or after this record.
    pub(super) number: Option<&'a str>,
    /// At the first record of this time or later.
    pub(super) timestamp: Option<EpochMs>,
}

impl StartingPoint<'_> {
    /// The record that it means, now.
    pub(super) async fn record(
        &self,
        call: &Call<'_>,
        stream: &StreamRef,
        routed: &Routed<ShardPlace>,
    ) -> Result<RecordIndex, RequestError> {
        match self.start(call.operation, stream, routed.get(), call.wall())? {
            Start::At(record) => Ok(record),
            Start::Ask(position) => ask(call, routed, stream, position).await,
        }
    }

    fn start(
        &self,
        operation: Operation,
        stream: &StreamRef,
        place: &ShardPlace,
        now: WallMs,
    ) -> Result<Start, RequestError> {
        match (self.kind, self.number) {
            ("AT_SEQUENCE_NUMBER", Some(number)) => {
                let number = own_number(operation, number, stream, place)?;
                Ok(Start::At(number.record().unwrap_or(0)))
            }
            ("AFTER_SEQUENCE_NUMBER", Some(number)) => {
                let number = own_number(operation, number, stream, place)?;
                Ok(Start::At(number.record().map_or(0, |record| record.saturating_add(1))))
            }
            // Record 0 is where every shard begins: what was trimmed since is skipped when it is read.
            ("TRIM_HORIZON", None) => Ok(Start::At(0)),
            ("LATEST", None) => Ok(Start::Ask(Position::Latest)),
            ("AT_TIMESTAMP", None) => at_timestamp(self.timestamp, now),
            (kind, number) => Err(wrong_number(kind, number.is_some())),
        }
    }
}

/// Where reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// At a record that the request itself tells.
    At(RecordIndex),
    /// Only the node can tell.
    Ask(Position),
}

async fn ask(
    call: &Call<'_>,
    routed: &Routed<ShardPlace>,
    stream: &StreamRef,
    at: Position,
) -> Result<RecordIndex, RequestError> {
    let ShardPlace { key, node, .. } = *routed.get();
    match call.ask_owner(stream, node, CellRequest::Position { key, at }).await? {
        CellReply::Position(position) => Ok(position.record),
        _ => Err(ForwardError::Nonsense { node }.into()),
    }
}

fn at_timestamp(time: Option<EpochMs>, now: WallMs) -> Result<Start, RequestError> {
    let Some(time) = time else {
        return Err(invalid(
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no \
             timestamp parameter."
                .to_owned(),
        ));
    };
    let millis = u64::try_from(time.0).unwrap_or(0); // before 1970 is before every record
    if millis > now.0 {
        return Err(invalid(format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
             timestampInMillis: {millis}, currentTimestampInMillis: {}",
            now.0
        )));
    }
    Ok(Start::Ask(Position::AtTimestamp(WallMs(millis))))
}

fn wrong_number(kind: &str, given: bool) -> RequestError {
    let what = if given { "also a" } else { "no" };
    invalid(format!(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
         TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {what} \
         StartingSequenceNumber."
    ))
}

/// A number that this shard gave out.
fn own_number(
    operation: Operation,
    text: &str,
    stream: &StreamRef,
    place: &ShardPlace,
) -> Result<SequenceNumber, RequestError> {
    let shard = place.key.shard;
    let used = || {
        format!(
            "StartingSequenceNumber {text} used in {} on shard {shard} in stream {} under account {} is invalid",
            operation.name(),
            stream.name,
            stream.account
        )
    };
    let number: SequenceNumber = text.parse().map_err(|_| invalid(used() + "."))?;
    if number.shard != shard {
        return Err(invalid(format!(
            "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a shard with {shard}",
            number.shard
        )));
    }
    if number.shard_created_secs != place.created_secs {
        return Err(invalid(used() + " because it did not come from this stream."));
    }
    Ok(number)
}

fn invalid(text: String) -> RequestError {
    ApiError::new(ErrorCode::InvalidArgument, text).into()
}
