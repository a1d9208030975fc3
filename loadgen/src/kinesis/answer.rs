//! What Kinesis answers, read without copying and in either encoding: as little of it as the books need.

use std::borrow::Cow;

use weir_wire::kinesis::{
    cbor,
    decode::{Malformed, Source, Token},
    encoding::Encoding,
    json,
};

/// What became of one record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PutResult<'a> {
    pub(super) shard_id: Option<&'a str>,
    pub(super) sequence_number: Option<&'a str>,
    pub(super) error_code: Option<&'a str>,
}

/// The answer to `PutRecord` or `PutRecords`.
#[derive(Debug, Default)]
pub(super) struct PutAnswer<'a> {
    /// One record's own answer.
    pub(super) single: PutResult<'a>,
    /// One result a record.
    pub(super) records: Option<Vec<PutResult<'a>>>,
}

/// The answer to `GetRecords`.
#[derive(Debug, Default)]
pub(super) struct RecordsAnswer<'a> {
    pub(super) records: u64,
    /// Bytes of their data.
    pub(super) bytes: u64,
    pub(super) next_shard_iterator: Option<&'a str>,
}

macro_rules! read {
    ($encoding:expr, $body:expr, $read:ident) => {
        match $encoding {
            Encoding::Json => $read(&mut json::Reader::new($body)),
            Encoding::Cbor => $read(&mut cbor::Reader::new($body)),
        }
        .ok()
    };
}

/// Reads the answer to a put.
pub(super) fn put_answer(encoding: Encoding, body: &[u8]) -> Option<PutAnswer<'_>> {
    read!(encoding, body, read_put)
}

/// Reads the answer to `GetShardIterator`.
pub(super) fn iterator(encoding: Encoding, body: &[u8]) -> Option<&str> {
    read!(encoding, body, read_iterator)?
}

/// Reads the answer to `GetRecords`.
pub(super) fn records_answer(encoding: Encoding, body: &[u8]) -> Option<RecordsAnswer<'_>> {
    read!(encoding, body, read_records)
}

/// Does a `PutRecords` answer say that no record failed? A quick look that saves reading 500 results; "no" may mean
/// that a closer look is needed.
pub(super) fn all_stored(encoding: Encoding, body: &[u8]) -> bool {
    read!(encoding, body, read_failed).is_some_and(|failed| failed == Some(0))
}

/// Goes over an object's members; `each` reads the value of each.
fn members<'a, S: Source<'a>>(
    source: &mut S,
    mut each: impl FnMut(&mut S, &str) -> Result<(), Malformed>,
) -> Result<bool, Malformed> {
    if source.peek()? != Token::Object {
        source.skip()?;
        return Ok(false);
    }
    let mut open = source.open()?;
    while let Some(name) = source.next_key(&mut open)? {
        each(source, &name)?;
    }
    Ok(true)
}

/// Goes over a list's items; `each` reads each. `None` when there is no list.
fn items<'a, S: Source<'a>>(
    source: &mut S,
    mut each: impl FnMut(&mut S) -> Result<(), Malformed>,
) -> Result<Option<()>, Malformed> {
    if source.peek()? != Token::List {
        return source.skip().map(|()| None);
    }
    let mut open = source.open()?;
    while source.next_item(&mut open)? {
        each(source)?;
    }
    Ok(Some(()))
}

/// A text that stands in the body as it is. The names and numbers of the books need no escapes.
fn text<'a, S: Source<'a>>(source: &mut S) -> Result<Option<&'a str>, Malformed> {
    if source.peek()? != Token::Text {
        return source.skip().map(|()| None);
    }
    Ok(match source.text()? {
        Cow::Borrowed(text) => Some(text),
        Cow::Owned(_) => None,
    })
}

fn read_result<'a, S: Source<'a>>(
    source: &mut S,
    name: &str,
    result: &mut PutResult<'a>,
) -> Result<(), Malformed> {
    match name {
        "ShardId" => result.shard_id = text(source)?,
        "SequenceNumber" => result.sequence_number = text(source)?,
        "ErrorCode" => result.error_code = text(source)?,
        _ => {
            source.peek()?;
            source.skip()?;
        }
    }
    Ok(())
}

fn read_put<'a, S: Source<'a>>(source: &mut S) -> Result<PutAnswer<'a>, Malformed> {
    let mut answer = PutAnswer::default();
    members(source, |source, name| {
        if name != "Records" {
            return read_result(source, name, &mut answer.single);
        }
        let mut results = Vec::new();
        let list = items(source, |source| {
            let mut result = PutResult::default();
            members(source, |source, name| read_result(source, name, &mut result))?;
            results.push(result);
            Ok(())
        })?;
        answer.records = list.map(|()| results);
        Ok(())
    })?;
    Ok(answer)
}

fn read_failed<'a, S: Source<'a>>(source: &mut S) -> Result<Option<i64>, Malformed> {
    if source.peek()? != Token::Object {
        return Ok(None);
    }
    let mut open = source.open()?;
    while let Some(name) = source.next_key(&mut open)? {
        match source.peek()? {
            Token::Number if name == "FailedRecordCount" => return source.integer().map(Some),
            _ => source.skip()?,
        }
    }
    Ok(None)
}

fn read_iterator<'a, S: Source<'a>>(source: &mut S) -> Result<Option<&'a str>, Malformed> {
    let mut iterator = None;
    members(source, |source, name| {
        let value = text(source)?;
        if name == "ShardIterator" {
            iterator = value;
        }
        Ok(())
    })?;
    Ok(iterator)
}

fn read_records<'a, S: Source<'a>>(source: &mut S) -> Result<RecordsAnswer<'a>, Malformed> {
    let mut answer = RecordsAnswer::default();
    let mut is_list = false;
    members(source, |source, name| {
        match name {
            "Records" => {
                let list = items(source, |source| {
                    answer.records += 1;
                    members(source, |source, name| match (name, source.peek()?) {
                        ("Data", kind) if kind == S::BYTES => {
                            let blob = source.blob().map_err(|_| Malformed { at: 0 })?;
                            answer.bytes += blob.decoded_len() as u64;
                            Ok(())
                        }
                        _ => source.skip(),
                    })
                    .map(drop)
                })?;
                is_list = list.is_some();
            }
            "NextShardIterator" => answer.next_shard_iterator = text(source)?,
            _ => {
                source.peek()?;
                source.skip()?;
            }
        }
        Ok(())
    })?;
    if is_list { Ok(answer) } else { Err(Malformed { at: 0 }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_look_is_not_fooled() {
        for (body, all) in [
            (r#"{"FailedRecordCount":0,"Records":[]}"#, true),
            (r#"{"Records":[], "FailedRecordCount" : 0}"#, true),
            (r#"{"FailedRecordCount":"0"}"#, false),
            (r#"{"FailedRecordCount":10}"#, false),
            (r#"{"FailedRecordCount":1}"#, false),
            (r#"{"Records":[{"FailedRecordCount":0}]}"#, false),
            ("", false),
        ] {
            assert_eq!(all_stored(Encoding::Json, body.as_bytes()), all, "{body}");
        }
    }

    #[test]
    fn records_are_counted_by_their_data() {
        let json = r#"{"Records":[{"Data":"AAAA"},{"PartitionKey":"k","Data":""}],"NextShardIterator":"i"}"#;
        let answer = records_answer(Encoding::Json, json.as_bytes()).unwrap();
        assert_eq!((answer.records, answer.bytes, answer.next_shard_iterator), (2, 3, Some("i")));
        assert!(records_answer(Encoding::Json, b"{}").is_none());
        let cbor = b"\xbf\x67Records\x9f\xbf\x64Data\x43abc\xff\xff\xff";
        let answer = records_answer(Encoding::Cbor, cbor).unwrap();
        assert_eq!((answer.records, answer.bytes, answer.next_shard_iterator), (1, 3, None));
        assert!(records_answer(Encoding::Cbor, &cbor[..cbor.len() - 1]).is_none());
    }
}
