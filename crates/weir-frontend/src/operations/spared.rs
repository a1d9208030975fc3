//! Stores the records of a call that a rule of faults spares; the others fail as records do that met their shard's limit, or
//! trouble.

use weir_core::id::StreamRef;
use weir_wire::kinesis::error::ErrorCode;

use super::{
    Call,
    store::{StoreOutcome, store},
};
use crate::{
    error::RequestError,
    faults::{RecordError, RecordFault},
    route::{NewRecord, usable_map},
};

/// The same as [`store`], for a call of which some records fail on purpose.
pub(super) async fn store_spared(
    call: &Call<'_>,
    stream: &StreamRef,
    records: &[NewRecord<'_>],
    fault: &RecordFault,
) -> Result<StoreOutcome, RequestError> {
    let struck = strike(call, stream, records, fault).await?;
    let spared = records.iter().zip(&struck).filter(|(_, struck)| struck.is_none());
    let spared: Vec<NewRecord<'_>> = spared.map(|(record, _)| *record).collect();
    let StoreOutcome { results, encrypted } = store(call, stream, &spared).await?;
    let mut stored = results.into_iter();
    let results = struck.into_iter().map(|struck| match struck {
        Some(error) => Err(error),
        None => stored.next().expect("one result for each record that was stored"),
    });
    Ok(StoreOutcome { results: results.collect(), encrypted })
}

/// For each record the error that it meets on purpose, if it does.
async fn strike(
    call: &Call<'_>,
    stream: &StreamRef,
    records: &[NewRecord<'_>],
    fault: &RecordFault,
) -> Result<Vec<Option<RequestError>>, RequestError> {
    let map = usable_map(call.maps, call.now())?;
    let shards = call.common.lookup.in_map(&map, stream).await?;
    let struck = records.iter().zip(fault.throws(records.len())).map(|(record, thrown)| {
        let shard = shards.route(record.hash_key()).map(|routed| routed.shard.key.shard);
        let is_meant = match (&fault.shard, shard) {
            (Some(wanted), Some(shard)) => shard.to_string() == *wanted,
            (Some(_), None) => false,
            (None, _) => true,
        };
        (thrown && is_meant).then(|| match (fault.error, shard) {
            (RecordError::ProvisionedThroughputExceededException, Some(shard)) => {
                RequestError::ShardThrottled { stream: stream.clone(), shard }
            }
            (RecordError::ProvisionedThroughputExceededException, None)
            | (RecordError::InternalFailure, _) => {
                RequestError::Injected { code: ErrorCode::InternalFailure, message: None }
            }
        })
    });
    Ok(struck.collect())
}
