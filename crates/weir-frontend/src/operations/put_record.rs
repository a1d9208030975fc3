//! `PutRecord`: one record to its shard.

use weir_core::{clock::WallMs, id::StreamRef, sequence::SequenceNumber};
use weir_wire::kinesis::{
    error::{ApiError, ErrorCode},
    put_record::{PutRecordInput, PutRecordReply},
    validate::null_member,
};

use super::{
    Call, SMALL_ANSWER_BYTES,
    put_records::new_record,
    store::{StoreOutcome, dry_run, store},
};
use crate::{answer::Answer, error::RequestError, lookup::selector};

/// How far a number's time may lie ahead: the clock may have been set back since it was given out (assumed). Numbers rise
/// all the same.
const AHEAD_SECS_MAX: u64 = 300;
/// Digits of the longest number of version 0, which older streams gave out.
const VERSION_0_DIGITS_MAX: usize = 39;

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: PutRecordInput<'_> = call.records(|input: &PutRecordInput<'_>| selector!(input))?;
    let stream = call.stream(selector!(input))?;
    let data = input.data.as_ref().ok_or_else(|| null_member("data"))?;
    let (key, explicit) = (input.partition_key.as_deref(), input.explicit_hash_key.as_deref());
    let most = call.record_bytes_max(&stream);
    let record = new_record(key, explicit, data, most, || "data".to_owned())?;
    if let Some(minimum) = &input.sequence_number_for_ordering {
        check_ordering(minimum, &stream, call.wall())?;
    }
    if input.dry_run == Some(true) {
        return Err(dry_run(call, &stream, Some(&record)).await);
    }
    let StoreOutcome { mut results, encrypted } = store(call, &stream, &[record]).await?;
    let stored = results.pop().expect("one result for one record")?;
    let reply = PutRecordReply { shard: stored.shard, sequence: stored.sequence, encrypted };
    Ok(call.answer(&reply, SMALL_ANSWER_BYTES))
}

/// Numbers rise with each record of a shard anyway; what is asked for here is only that the number is one, and that its
/// time has come.
fn check_ordering(minimum: &str, stream: &StreamRef, now: WallMs) -> Result<(), RequestError> {
    let valid = match minimum.parse::<SequenceNumber>() {
        Ok(number) => number.arrived_secs <= now.secs() + AHEAD_SECS_MAX,
        Err(_) => minimum.len() < VERSION_0_DIGITS_MAX,
    };
    if valid {
        return Ok(());
    }
    let text = format!(
        "ExclusiveMinimumSequenceNumber {minimum} used in PutRecord on stream {} under account {} is invalid.",
        stream.name, stream.account
    );
    Err(ApiError::new(ErrorCode::InvalidArgument, text).into())
}
