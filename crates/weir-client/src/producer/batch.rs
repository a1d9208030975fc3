//! Divides records into calls that every Kinesis endpoint accepts.

use weir_core::limits::{MIB, PUT_RECORDS_COUNT_MAX};

use crate::calls::PutRecordsEntry;

/// Bytes of data and keys in one call: what AWS took until 2025, and what all others still do.
const BATCH_BYTES_MAX: usize = 5 * MIB;

/// In their order, as full as the limits allow. A record that is too large for any call gets one of its own: the
/// service says what is wrong with it.
pub(super) fn split(records: Vec<(usize, PutRecordsEntry)>) -> Vec<Vec<(usize, PutRecordsEntry)>> {
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    let mut batch_bytes = 0;
    for (place, record) in records {
        let bytes = record.data.len() + record.partition_key.len();
        let full = batch.len() >= PUT_RECORDS_COUNT_MAX || batch_bytes + bytes > BATCH_BYTES_MAX;
        if full && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            batch_bytes = 0;
        }
        batch_bytes += bytes;
        batch.push((place, record));
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn batches_keep_the_order_and_the_limits(sizes in prop::collection::vec(0..(2 * MIB), 0..20), small in 0..2_000usize) {
            let entry = |size| PutRecordsEntry {
                data: vec![0; size].into(), partition_key: "k".into(), explicit_hash_key: None,
            };
            let sizes: Vec<_> = sizes.into_iter().chain(std::iter::repeat_n(10, small)).collect();
            let records: Vec<_> = sizes.iter().map(|&size| entry(size)).enumerate().collect();
            let batches = split(records);
            for batch in &batches {
                let bytes: usize = batch.iter().map(|(_, r)| r.data.len() + 1).sum();
                prop_assert!(!batch.is_empty() && batch.len() <= PUT_RECORDS_COUNT_MAX);
                prop_assert!(bytes <= BATCH_BYTES_MAX || batch.len() == 1);
            }
            let places: Vec<_> = batches.concat().into_iter().map(|(place, _)| place).collect();
            prop_assert_eq!(places, (0..sizes.len()).collect::<Vec<_>>());
        }
    }
}
