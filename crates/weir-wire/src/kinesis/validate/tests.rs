//! The texts that were recorded from Kinesis, for inputs that are wrong in one way or in several.

use proptest::prelude::*;

use crate::kinesis::{
    create_stream::CreateStreamInput,
    describe_stream::DescribeStreamInput,
    error::ErrorCode,
    get_records::GetRecordsInput,
    get_shard_iterator::GetShardIteratorInput,
    json::decode,
    list_shards::ListShardsInput,
    model,
    put_record::PutRecordInput,
    put_records::PutRecordsInput,
    shape::{Fields, TextMap, Texts, structure},
};

use super::*;

fn outcome<'a, T: Fields<'a> + Default>(body: &'a str) -> Result<(), ApiError> {
    let mut input = T::default();
    decode(body.as_bytes(), &mut input).unwrap();
    validate(&input)
}

/// The constraints that do not hold, after the head with their number.
fn broken<'a, T: Fields<'a> + Default>(body: &'a str) -> Vec<String> {
    let error = outcome::<T>(body).expect_err(body);
    assert_eq!(error.code, ErrorCode::Validation);
    let text = error.message.unwrap();
    let (head, rest) = text.split_once(" detected: ").unwrap();
    let all: Vec<String> = rest.split("; ").map(str::to_owned).collect();
    let plural = if all.len() == 1 { "" } else { "s" };
    assert_eq!(head, format!("{} validation error{plural}", all.len()));
    all
}

const NAME_PATTERN: &str =
    "failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
const NOT_EMPTY: &str = "failed to satisfy constraint: Member must have length greater than or equal to 1";
const NOT_NULL: &str = "failed to satisfy constraint: Member must not be null";

#[test]
fn what_must_be_there_is_missed_in_order() {
    assert_eq!(
        broken::<CreateStreamInput<'_>>("{}"),
        [format!("Value null at 'shardCount' {NOT_NULL}"), format!("Value null at 'streamName' {NOT_NULL}")]
    );
    assert_eq!(
        broken::<PutRecordsInput<'_>>("{}"),
        [format!("Value null at 'records' {NOT_NULL}"), format!("Value null at 'streamName' {NOT_NULL}")]
    );
    assert_eq!(
        broken::<PutRecordsInput<'_>>(r#"{"Records":null,"StreamName":"s"}"#),
        [format!("Value null at 'records' {NOT_NULL}")]
    );
    assert_eq!(
        broken::<GetShardIteratorInput<'_>>("{}"),
        [
            format!("Value null at 'shardId' {NOT_NULL}"),
            format!("Value null at 'shardIteratorType' {NOT_NULL}"),
            format!("Value null at 'streamName' {NOT_NULL}")
        ]
    );
    assert_eq!(
        broken::<PutRecordsInput<'_>>(r#"{"StreamName":"s","Records":[{"PartitionKey":"a","Data":""},{}]}"#),
        [
            format!("Value null at 'records.2.member.partitionKey' {NOT_NULL}"),
            format!("Value null at 'records.2.member.data' {NOT_NULL}")
        ]
    );
}

#[test]
fn a_name_is_not_missed_where_an_arn_is_given() {
    let arn = r#"{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s"}"#;
    assert_eq!(outcome::<DescribeStreamInput<'_>>(arn), Ok(()));
    assert_eq!(outcome::<ListShardsInput<'_>>("{}"), Ok(()));
}

#[test]
fn several_bounds_are_told_together_pattern_before_length() {
    assert_eq!(
        broken::<CreateStreamInput<'_>>(r#"{"StreamName":"","ShardCount":0}"#),
        [
            "Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal \
             to 1"
                .to_owned(),
            format!("Value '' at 'streamName' {NAME_PATTERN}"),
            format!("Value '' at 'streamName' {NOT_EMPTY}"),
        ]
    );
    assert_eq!(
        broken::<PutRecordsInput<'_>>(r#"{"StreamName":"","Records":[]}"#),
        [
            format!("Value '[]' at 'records' {NOT_EMPTY}"),
            format!("Value '' at 'streamName' {NAME_PATTERN}"),
            format!("Value '' at 'streamName' {NOT_EMPTY}"),
        ]
    );
    assert_eq!(
        broken::<GetShardIteratorInput<'_>>(
            r#"{"StreamName":"","ShardIteratorType":"","ShardId":"","StartingSequenceNumber":""}"#
        ),
        [
            format!("Value '' at 'shardId' {NAME_PATTERN}"),
            format!("Value '' at 'shardId' {NOT_EMPTY}"),
            "Value '' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set: \
             [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]"
                .to_owned(),
            r"Value '' at 'startingSequenceNumber' failed to satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\d{0,128})"
                .to_owned(),
            format!("Value '' at 'streamName' {NAME_PATTERN}"),
            format!("Value '' at 'streamName' {NOT_EMPTY}"),
        ]
    );
}

#[test]
fn values_are_shown_as_java_prints_them() {
    let name = "a".repeat(129);
    assert_eq!(
        broken::<GetRecordsInput<'_>>(r#"{"ShardIterator":"i","Limit":100000}"#),
        [
            "Value '100000' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000"
        ]
    );
    assert_eq!(
        broken::<DescribeStreamInput<'_>>(&format!("{{\"StreamName\":\"{name}\"}}")),
        [format!(
            "Value '{name}' at 'streamName' failed to satisfy constraint: Member must have length less than or equal \
             to 128"
        )]
    );
    let data = base64_simd::STANDARD.encode_to_string(vec![0; 10_485_761]);
    let body = format!("{{\"StreamName\":\"s\",\"PartitionKey\":\"k\",\"Data\":\"{data}\"}}");
    assert_eq!(
        broken::<PutRecordInput<'_>>(&body),
        [
            "Value 'java.nio.HeapByteBuffer[pos=0 lim=10485761 cap=10485761]' at 'data' failed to satisfy constraint: \
          Member must have length less than or equal to 10485760"
        ]
    );
    let filter = r#"{"StreamName":"s","ShardFilter":{"Type":"x"}}"#;
    assert!(broken::<ListShardsInput<'_>>(filter)[0].starts_with("Value 'x' at 'shardFilter.type' failed"));
}

structure! {
    /// What a request with a map and a list of texts takes.
    TaggedInput {
        tags: TextMap<'a> = "Tags", model::TAG_MAP, required;
        tag_keys: Texts<'a> = "TagKeys", model::TAG_KEYS;
    }
}

#[test]
fn a_map_is_judged_by_its_size_and_its_keys_and_its_values_each_once() {
    assert_eq!(outcome::<TaggedInput<'_>>(r#"{"Tags":{"a":"b","c":""},"TagKeys":["a"]}"#), Ok(()));
    assert_eq!(broken::<TaggedInput<'_>>("{}"), [format!("Value null at 'tags' {NOT_NULL}")]);
    assert_eq!(
        broken::<TaggedInput<'_>>(r#"{"Tags":{},"TagKeys":[]}"#),
        [format!("Value '{{}}' at 'tags' {NOT_EMPTY}"), format!("Value '[]' at 'tagKeys' {NOT_EMPTY}")]
    );
    let (key, value) = ("k".repeat(129), "v".repeat(257));
    let tags = format!("{{\"Tags\":{{\"a\":\"b\",\"{key}\":\"{value}\",\"\":\"\"}}}}");
    let shown = format!("Value '{{=, a=b, {key}={value}}}' at 'tags' failed to satisfy constraint:");
    assert_eq!(
        broken::<TaggedInput<'_>>(&tags),
        [
            format!(
                "{shown} Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member \
                 must have length greater than or equal to 1]"
            ),
            format!(
                "{shown} Map value must satisfy constraint: [Member must have length less than or equal to 256, Member \
                 must have length greater than or equal to 0]"
            ),
        ]
    );
}

#[test]
fn the_texts_of_a_list_are_judged_together() {
    let key = "k".repeat(129);
    assert_eq!(
        broken::<TaggedInput<'_>>(&format!(
            "{{\"Tags\":{{\"a\":\"\"}},\"TagKeys\":[\"a\",\"{key}\",\"b\",\"\"]}}"
        )),
        [format!(
            "Value '[a, {key}, b, ]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: \
             [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]"
        )]
    );
}

#[test]
fn a_null_in_a_map_or_in_a_list_of_texts_is_missed() {
    let null = "Member must not be null]";
    let broken = broken::<TaggedInput<'_>>(r#"{"Tags":{"a":null},"TagKeys":["a",null]}"#);
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(
        broken[0]
            .starts_with("Value '{a=null}' at 'tags' failed to satisfy constraint: Map value must satisfy")
    );
    assert!(
        broken[1]
            .starts_with("Value '[a, null]' at 'tagKeys' failed to satisfy constraint: Member must satisfy")
    );
    assert!(broken.iter().all(|text| text.ends_with(null)), "{broken:?}");
}

#[test]
fn characters_are_counted_and_not_bytes() {
    let body = |count: usize| {
        format!("{{\"StreamName\":\"s\",\"Data\":\"\",\"PartitionKey\":\"{}\"}}", "😀".repeat(count))
    };
    assert_eq!(outcome::<PutRecordInput<'_>>(&body(256)), Ok(()));
    assert_eq!(broken::<PutRecordInput<'_>>(&body(257)).len(), 1);
}

#[test]
fn no_more_than_ten_errors_are_told_and_no_value_is_shown_without_end() {
    let records = "{},".repeat(20) + "{}";
    let body = format!("{{\"StreamName\":\"s\",\"Records\":[{records}]}}");
    assert_eq!(broken::<PutRecordsInput<'_>>(&body).len(), ERRORS_MAX);

    let body = format!("{{\"StreamName\":\"{}\"}}", "a".repeat(1_000_000));
    assert!(
        outcome::<DescribeStreamInput<'_>>(&body).unwrap_err().message.unwrap().len() < 2 * SHOWN_CHARS_MAX
    );
}

proptest! {
    #[test]
    fn a_length_is_counted_in_characters(text in "[aé€😀]{0,12}", bound in 0..14usize) {
        let (view, characters) = (View::Text(&text), text.chars().count());
        prop_assert_eq!(is_broken(&Bound::LengthMin(bound), &view), characters < bound);
        prop_assert_eq!(is_broken(&Bound::LengthMax(bound), &view), characters > bound);
    }
}
