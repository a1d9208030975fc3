//! What Kinesis answers, read without copying: as little of it as the books need.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;

/// The answer to `PutRecord`.
#[derive(Debug, Deserialize)]
pub(super) struct PutRecordAnswer<'a> {
    #[serde(rename = "ShardId")]
    pub(super) shard_id: &'a str,
    #[serde(rename = "SequenceNumber")]
    pub(super) sequence_number: &'a str,
}

/// The answer to `PutRecords`.
#[derive(Debug, Deserialize)]
pub(super) struct PutRecordsAnswer<'a> {
    #[serde(rename = "Records", borrow)]
    pub(super) records: Vec<PutRecordsResult<'a>>,
}

/// What became of one record.
#[derive(Debug, Deserialize)]
pub(super) struct PutRecordsResult<'a> {
    #[serde(rename = "ShardId")]
    pub(super) shard_id: Option<&'a str>,
    #[serde(rename = "SequenceNumber")]
    pub(super) sequence_number: Option<&'a str>,
    #[serde(rename = "ErrorCode")]
    pub(super) error_code: Option<&'a str>,
}

/// The answer to `GetShardIterator`.
#[derive(Debug, Deserialize)]
pub(super) struct IteratorAnswer<'a> {
    #[serde(rename = "ShardIterator", borrow)]
    pub(super) shard_iterator: Cow<'a, str>,
}

/// The answer to `GetRecords`.
#[derive(Debug, Deserialize)]
pub(super) struct RecordsAnswer<'a> {
    #[serde(rename = "Records", borrow)]
    pub(super) records: Vec<ReadRecord<'a>>,
    #[serde(rename = "NextShardIterator", borrow)]
    pub(super) next_shard_iterator: Option<Cow<'a, str>>,
}

/// One record that was read.
#[derive(Debug, Deserialize)]
pub(super) struct ReadRecord<'a> {
    #[serde(rename = "Data", borrow)]
    pub(super) data: Cow<'a, str>,
}

impl ReadRecord<'_> {
    /// Bytes of its data.
    pub(super) fn bytes(&self) -> u64 {
        let padding = self.data.bytes().rev().take_while(|&byte| byte == b'=').count();
        (self.data.len() / 4 * 3).saturating_sub(padding) as u64
    }
}

/// Does a `PutRecords` answer say that no record failed? A quick look that saves reading 500 results; "no" may mean
/// that a closer look is needed.
pub(super) fn all_stored(body: &[u8]) -> bool {
    const NAME: &[u8] = b"\"FailedRecordCount\"";
    let Some(at) = memmem::find(body, NAME) else { return false };
    let rest = body[at + NAME.len()..].trim_ascii_start();
    let Some(rest) = rest.strip_prefix(b":") else { return false };
    let rest = rest.trim_ascii_start();
    rest.first() == Some(&b'0') && !rest.get(1).is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_look_is_not_fooled() {
        for (body, all) in [
            (r#"{"FailedRecordCount":0,"Records":[]}"#, true),
            (r#"{"Records":[], "FailedRecordCount" : 0}"#, true),
            (r#"{"FailedRecordCount":01}"#, false),
            (r#"{"FailedRecordCount":10}"#, false),
            (r#"{"FailedRecordCount":1}"#, false),
            (r#"{"Records":[]}"#, false),
            ("", false),
        ] {
            assert_eq!(all_stored(body.as_bytes()), all, "{body}");
        }
    }

    #[test]
    fn a_records_size_is_that_of_its_data() {
        for length in 0..10usize {
            let data = base64_simd::STANDARD.encode_to_string(vec![0; length]);
            assert_eq!(ReadRecord { data: data.into() }.bytes(), length as u64);
        }
    }
}
