//! Records from a fixed seed, as a producer holds them, as a batch and as the body of a `PutRecords`, JSON or CBOR.
//!
//! Used by every bench that moves records. The same arguments give the same bytes on every machine.

use rand::Rng as _;
use weir_core::{
    batch::{Batch, BatchBuilder, Record},
    entropy,
};
use weir_wire::kinesis::{cbor::CborWriter, encode::Encoder as _};

const SEED: u64 = 1125;

/// A record that a producer would send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRecord {
    /// 22 characters that hash to an even spread.
    pub partition_key: String,
    /// Bytes that no codec could shorten.
    pub data: Vec<u8>,
}

/// `count` records of `data_bytes` each.
pub fn records(count: usize, data_bytes: usize) -> Vec<OwnRecord> {
    let mut rng = entropy::seeded(SEED, "records");
    (0..count)
        .map(|_| {
            let partition_key = format!("order-{:016x}", rng.next_u64());
            let mut data = vec![0; data_bytes];
            rng.fill_bytes(&mut data);
            OwnRecord { partition_key, data }
        })
        .collect()
}

/// The records laid out as one batch.
pub fn batch_of(records: &[OwnRecord]) -> Batch {
    let bytes = records.iter().map(|record| as_record(record).encoded_bytes()).sum();
    let mut builder = BatchBuilder::with_capacity(bytes);
    for record in records {
        builder.push(&as_record(record));
    }
    builder.finish()
}

/// The record as a batch takes it.
pub fn as_record(record: &OwnRecord) -> Record<'_> {
    Record {
        partition_key: record.partition_key.as_str().into(),
        explicit_hash_key: None,
        data: &record.data,
    }
}

/// The body of a `PutRecords` of these records, as the SDKs write it.
pub fn put_records_body(stream: &str, records: &[OwnRecord]) -> Vec<u8> {
    let entries: Vec<String> = records
        .iter()
        .map(|record| {
            let data = base64_simd::STANDARD.encode_to_string(&record.data);
            format!(r#"{{"Data":"{data}","PartitionKey":"{}"}}"#, record.partition_key)
        })
        .collect();
    format!(r#"{{"Records":[{}],"StreamName":"{stream}"}}"#, entries.join(",")).into_bytes()
}

/// The same body in CBOR, as the Java SDK writes it.
pub fn put_records_cbor(stream: &str, records: &[OwnRecord]) -> Vec<u8> {
    let mut body = CborWriter::default();
    body.open_structure();
    body.member("Records");
    body.open_list();
    for record in records {
        body.open_structure();
        body.member("Data");
        body.blob(&record.data);
        body.member("PartitionKey");
        body.text(&record.partition_key);
        body.close_structure();
    }
    body.close_list();
    body.member("StreamName");
    body.text(stream);
    body.close_structure();
    body.finish().into()
}

/// Bytes of data: what throughput is counted in.
pub fn data_bytes(records: &[OwnRecord]) -> u64 {
    records.iter().map(|record| record.data.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_holds_the_records_and_another_call_gives_the_same() {
        let records = records(7, 30);
        assert_eq!(super::records(7, 30), records);
        let batch = batch_of(&records);
        assert!(batch.records().eq(records.iter().map(as_record)));
        assert_eq!(data_bytes(&records), 210);
    }
}
