//! `PutRecords`: up to 500 records, each to its shard, each with its own result.

use weir_core::{
    hash_key::HashKey,
    limits::{MIB, PUT_RECORDS_BYTES_MAX},
};
use weir_wire::kinesis::{
    blob::Blob,
    error::{ApiError, ErrorCode},
    put_records::{PutRecordsInput, PutRecordsReply, PutRecordsRequestEntry, PutRecordsResult},
    validate::{data_too_long, null_member},
};

use super::{
    Call, SMALL_ANSWER_BYTES,
    spared::store_spared,
    store::{StoreOutcome, dry_run, store},
};
use crate::{answer::Answer, error::RequestError, lookup::selector, respond::record_error, route::NewRecord};

/// Bytes of one record's result.
const RESULT_BYTES: usize = 128;

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: PutRecordsInput<'_> = call.records(|input: &PutRecordsInput<'_>| selector!(input))?;
    let stream = call.stream(selector!(input))?;
    let entries = input.records.as_deref().ok_or_else(|| null_member("records"))?;
    let most = call.record_bytes_max(&stream);
    let records = entries.iter().enumerate().map(|(at, entry)| of_entry(at, entry, most));
    let records: Vec<NewRecord<'_>> = records.collect::<Result<_, _>>()?;
    if records.iter().map(NewRecord::counted_bytes).sum::<usize>() > PUT_RECORDS_BYTES_MAX {
        let text = format!("Records size exceeds {} MB limit", PUT_RECORDS_BYTES_MAX / MIB);
        return Err(ApiError::new(ErrorCode::InvalidArgument, text).into());
    }
    if input.dry_run == Some(true) {
        return Err(dry_run(call, &stream, None).await);
    }
    let StoreOutcome { results, encrypted } = match &call.decision.records {
        None => store(call, &stream, &records).await?,
        Some(fault) => store_spared(call, &stream, &records, fault).await?,
    };
    let bytes = SMALL_ANSWER_BYTES + results.len() * RESULT_BYTES;
    let results = results.into_iter().map(|result| match result {
        Ok(stored) => PutRecordsResult::Stored { shard: stored.shard, sequence: stored.sequence },
        Err(error) => PutRecordsResult::Failed(record_error(&error)),
    });
    Ok(call.answer(&PutRecordsReply { results: results.collect(), encrypted }, bytes))
}

fn of_entry<'a>(
    at: usize,
    entry: &'a PutRecordsRequestEntry<'_>,
    most: usize,
) -> Result<NewRecord<'a>, RequestError> {
    let path = |member: &str| format!("records.{}.member.{member}", at + 1);
    let data = entry.data.as_ref().ok_or_else(|| null_member(&path("data")))?;
    let (key, explicit) = (entry.partition_key.as_deref(), entry.explicit_hash_key.as_deref());
    new_record(key, explicit, data, most, || path("data"))
}

/// Checks what one record's description cannot say: `most` is what its stream takes of data and key. `data_at` names the
/// data in an error. A key that is not there need not be.
pub(super) fn new_record<'a>(
    partition_key: Option<&'a str>,
    explicit_hash_key: Option<&str>,
    data: &'a Blob<'_>,
    most: usize,
    data_at: impl Fn() -> String,
) -> Result<NewRecord<'a>, RequestError> {
    let explicit_hash_key = explicit_hash_key.map(parse_hash_key).transpose()?;
    let partition_key = partition_key.unwrap_or_default();
    let record = NewRecord { partition_key, explicit_hash_key, data };
    if record.counted_bytes() > most {
        let most = most - partition_key.len();
        return Err(data_too_long(&data_at(), data.decoded_len(), most).into());
    }
    Ok(record)
}

fn parse_hash_key(text: &str) -> Result<HashKey, RequestError> {
    text.parse().map_err(|_| {
        let text = format!(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {text}"
        );
        ApiError::new(ErrorCode::InvalidArgument, text).into()
    })
}
