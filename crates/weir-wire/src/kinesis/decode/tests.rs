//! Bodies are read, or refused with the very texts that were recorded from Kinesis.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kinesis::{
    create_stream::CreateStreamInput,
    delete_stream::DeleteStreamInput,
    get_shard_iterator::GetShardIteratorInput,
    json::decode,
    list_streams::ListStreamsInput,
    model,
    operation::Operation,
    put_record::PutRecordInput,
    put_records::PutRecordsInput,
    shape::{Texts, structure},
    validate::validate,
};

fn message<'a, T: Fields<'a> + Default>(body: &'a str) -> String {
    let error = decode(body.as_bytes(), &mut T::default()).expect_err(body);
    assert_eq!(error.code, ErrorCode::Serialization);
    error.message.unwrap_or_else(|| panic!("{body} has no text"))
}

/// `member` once with each wrong value, and the text that belongs to it.
macro_rules! assert_refused {
    ($input:ty, $member:literal, $cases:expr) => {
        for (value, text) in $cases {
            let body = format!("{{\"{}\":{value}}}", $member);
            assert_eq!(message::<$input>(&body), text, "{body}");
        }
    };
}

fn number(into: &str) -> String {
    format!("class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to {into}")
}

fn boolean(into: &str) -> String {
    format!("class java.lang.Boolean can not be converted to {into}")
}

fn string(into: &str) -> String {
    format!("class java.lang.String can not be converted to {into}")
}

#[test]
fn a_wrong_type_for_a_scalar_has_kinesis_own_text() {
    let (list, object) = (LIST_UNEXPECTED.to_owned(), OBJECT_UNEXPECTED.to_owned());
    let texts = [
        ("true", boolean("an String")),
        ("23", number("an String")),
        ("34.56", number("an String")),
        ("[]", list.clone()),
        ("{}", object.clone()),
    ];
    assert_refused!(PutRecordInput, "PartitionKey", texts);
    let integers = [
        ("\"23\"", string("an Integer")),
        ("true", boolean("an Integer")),
        ("[]", list.clone()),
        ("{}", object.clone()),
    ];
    assert_refused!(CreateStreamInput, "ShardCount", integers);
    let booleans = [
        ("\"23\"", "'23' can not be converted to an Boolean".to_owned()),
        ("\"no way\"", "'NO WAY' can not be converted to an Boolean".to_owned()),
        ("23", number("an Boolean")),
        ("[]", list.clone()),
        ("{}", object.clone()),
    ];
    assert_refused!(DeleteStreamInput, "EnforceConsumerDeletion", booleans);
    let times = [
        ("\"2020-11-25\"", string("milliseconds since epoch")),
        ("false", boolean("milliseconds since epoch")),
        ("[]", list),
        ("{}", object),
    ];
    assert_refused!(GetShardIteratorInput, "Timestamp", times);
}

#[test]
fn a_wrong_blob_has_kinesis_own_text() {
    let blob = |text: &str, what: &str| format!("'{text}' can not be converted to a Blob: {what}");
    let length = "Base64 encoded length is expected a multiple of 4 bytes but found: 5";
    let blobs = [
        ("true", boolean("a Blob")),
        ("23", number("a Blob")),
        ("[]", LIST_UNEXPECTED.to_owned()),
        ("{}", OBJECT_UNEXPECTED.to_owned()),
        ("\"23456\"", blob("23456", length)),
        ("\"=+/=\"", blob("=+/=", "Invalid Base64 character: '='")),
        ("\"+/+=\"", blob("+/+=", "Invalid last non-pad Base64 character dectected")),
    ];
    assert_refused!(PutRecordInput, "Data", blobs);
}

#[test]
fn a_wrong_type_for_a_list_or_a_structure_has_kinesis_own_text() {
    let expected = "Expected list or null";
    let lists = [("\"23\"", expected), ("true", expected), ("-1", expected), ("{}", OBJECT_UNEXPECTED)];
    assert_refused!(PutRecordsInput, "Records", lists);
    let items = [("[\"23\"]", "Expected null"), ("[34.56]", "Expected null"), ("[[]]", LIST_UNEXPECTED)];
    assert_refused!(PutRecordsInput, "Records", items);
    let structures = [("\"x\"", "Expected null"), ("1", "Expected null"), ("[]", LIST_UNEXPECTED)];
    assert_refused!(CreateStreamInput, "StreamModeDetails", structures);
}

#[test]
fn a_body_that_is_no_json_object_has_no_text_or_that_of_a_list() {
    for body in ["", "hello", "null", "23", "\"a\"", "{", "{\"A\":1}x", "{\"A\":\"\u{1}\"}"] {
        let error = decode(body.as_bytes(), &mut ListStreamsInput::default()).expect_err(body);
        assert_eq!(error, ApiError::bare(ErrorCode::Serialization), "{body}");
    }
    assert_eq!(message::<ListStreamsInput<'_>>("[]"), LIST_UNEXPECTED);
}

#[test]
fn unknown_members_are_passed_over_and_null_is_absence() {
    let body = r#"{"Limit":null,"Other":{"a":[1,{"Limit":5}]},"ExclusiveStartStreamName":"s"}"#;
    let mut input = ListStreamsInput::default();
    decode(body.as_bytes(), &mut input).unwrap();
    assert_eq!((input.limit, input.exclusive_start_stream_name.as_deref()), (None, Some("s")));

    let mut input = PutRecordsInput::default();
    decode(br#"{"Records":null}"#, &mut input).unwrap();
    assert_eq!(input.records, None, "no list is not an empty one");
    decode(br#"{"Records":[{}],"Records":null}"#, &mut input).unwrap();
    assert_eq!(input.records.unwrap().len(), 1, "and takes nothing back");
    let mut input = TaggedInput::default();
    decode(br#"{"Tags":null,"TagKeys":null}"#, &mut input).unwrap();
    assert!(input.tags.is_none() && input.tag_keys.is_none());
}

#[test]
fn a_name_that_is_no_text_is_refused_wherever_it_stands() {
    let start = br#"{"StreamName":"s","Other":"#;
    for name in [&b"\xff"[..], b"a\nb", b"\\ud800"] {
        let name = [b"{\"", name, b"\":1}"].concat();
        for body in
            [name.clone(), [start, &name[..], b"}"].concat(), [br#"{"Tags":"#, &name[..], b"}"].concat()]
        {
            let error = decode(&body, &mut TaggedInput::default()).expect_err("no text");
            assert_eq!(error, ApiError::bare(ErrorCode::Serialization), "{}", body.escape_ascii());
        }
        let null = [&name[..name.len() - 2], b"null}"].concat();
        assert!(decode(&null, &mut TaggedInput::default()).is_err(), "{}", null.escape_ascii());
    }
}

#[test]
fn a_name_may_be_written_with_escapes() {
    let mut input = ListStreamsInput::default();
    decode(br#"{"\u004cimit":7}"#, &mut input).unwrap();
    assert_eq!(input.limit, Some(7));
}

#[test]
fn numbers_words_and_times_are_converted_as_kinesis_does() {
    let limit = |text: &str| {
        let body = format!("{{\"Limit\":{text}}}");
        let mut input = ListStreamsInput::default();
        decode(body.as_bytes(), &mut input).unwrap();
        input.limit.unwrap()
    };
    assert_eq!([limit("7"), limit("7.9"), limit("1e2"), limit("-3.5")], [7, 7, 100, -3]);
    assert_eq!(
        [limit("100000000000"), limit("1e999"), limit("-1e999")],
        [2_147_483_647, 2_147_483_647, -2_147_483_648]
    );

    for (word, expected) in [("true", true), ("\"Yes\"", true), ("\"1\"", true), ("\"FALSE\"", false)] {
        let body = format!("{{\"EnforceConsumerDeletion\":{word}}}");
        let mut input = DeleteStreamInput::default();
        decode(body.as_bytes(), &mut input).unwrap();
        assert_eq!(input.enforce_consumer_deletion, Some(expected));
    }

    let mut input = GetShardIteratorInput::default();
    decode(b"{\"Timestamp\":1606300000.123}", &mut input).unwrap();
    assert_eq!(input.timestamp, Some(EpochMs(1_606_300_000_123)));
}

#[test]
fn the_last_of_two_members_of_one_name_counts() {
    let mut input = PutRecordsInput::default();
    decode(br#"{"Records":[{"PartitionKey":"a"},{}],"Records":[{"PartitionKey":"b"}]}"#, &mut input).unwrap();
    let records = input.records.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].partition_key.as_deref(), Some("b"));
}

#[test]
fn a_list_far_too_long_is_not_kept_and_still_found_too_long() {
    let body = format!("{{\"StreamName\":\"s\",\"Records\":[{}{{}}]}}", "{},".repeat(100_000));
    let mut input = PutRecordsInput::default();
    decode(body.as_bytes(), &mut input).unwrap();
    assert_eq!(input.records.as_ref().map(Vec::len), Some(LIST_ITEMS_MAX));
    let text = validate(&input).unwrap_err().message.unwrap();
    assert!(text.contains("Member must have length less than or equal to 500"), "{text}");
    assert!(text.len() < 200_000);
}

structure! {
    /// What a request with a map and a list of texts takes.
    TaggedInput {
        tags: TextMap<'a> = "Tags", model::TAG_MAP, required;
        tag_keys: Texts<'a> = "TagKeys", model::TAG_KEYS;
    }
}

fn tagged(body: &str) -> Vec<(String, String)> {
    let mut input = TaggedInput::default();
    decode(body.as_bytes(), &mut input).expect(body);
    input.tags.unwrap().iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_wrong_type_for_a_map_or_within_one_has_kinesis_own_text() {
    let expected = "Expected map or null";
    let maps = [("\"23\"", expected), ("true", expected), ("34.56", expected), ("[]", LIST_UNEXPECTED)];
    assert_refused!(TaggedInput, "Tags", maps);
    let values = [
        ("{\"a\":true}", boolean("an String")),
        ("{\"a\":23}", number("an String")),
        ("{\"a\":[]}", LIST_UNEXPECTED.to_owned()),
        ("{\"a\":{}}", OBJECT_UNEXPECTED.to_owned()),
    ];
    assert_refused!(TaggedInput, "Tags", values);
    let items = [("[23]", number("an String")), ("[{}]", OBJECT_UNEXPECTED.to_owned())];
    assert_refused!(TaggedInput, "TagKeys", items);
}

#[test]
fn the_last_of_two_entries_of_one_name_counts_and_of_two_maps_too() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        tagged(r#"{"Tags":{"b":"1","a":"x","b":"2\n","c":""}}"#),
        [pair("a", "x"), pair("b", "2\n"), pair("c", "")]
    );
    assert_eq!(tagged(r#"{"Tags":{"a":"1"},"Tags":{"b":"2"}}"#), [pair("b", "2")]);
}

#[test]
fn a_map_far_too_large_is_not_kept_and_still_found_too_large() {
    let entries: Vec<String> = (0..100_000).map(|at| format!("\"{at}\":\"\"")).collect();
    let body = format!("{{\"Tags\":{{{},\"7\":\"seven\"}}}}", entries.join(","));
    let mut input = TaggedInput::default();
    decode(body.as_bytes(), &mut input).unwrap();
    let tags = input.tags.as_ref().unwrap();
    assert_eq!(tags.len(), LIST_ITEMS_MAX);
    assert!(
        tags.iter().any(|entry| entry == ("7", "seven")),
        "a name that is kept still takes its last text"
    );
    let text = validate(&input).unwrap_err().message.unwrap();
    assert!(text.ends_with("Member must have length less than or equal to 200"), "{text}");
}

/// Decodes as every operation's input, and judges what came out.
fn run_all(body: &[u8]) {
    let inputs = Operation::ALL.iter().map(|operation| operation.empty_input());
    for mut input in inputs.chain([Box::new(TaggedInput::default()) as _]) {
        if decode(body, input.as_mut()).is_ok() {
            let _ = validate(input.as_ref());
        }
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let name = prop::sample::select(vec![
        "StreamName",
        "Records",
        "Data",
        "PartitionKey",
        "ShardCount",
        "Limit",
        "ShardIterator",
        "Timestamp",
        "ShardFilter",
        "Type",
        "StreamModeDetails",
        "StreamMode",
        "ExplicitHashKey",
        "EnforceConsumerDeletion",
        "Tags",
        "TagKeys",
        "X",
    ]);
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        "\\PC{0,12}".prop_map(|value| json!(value)),
        "[A-Za-z0-9+/=]{0,12}".prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                serde_json::Value::Object(
                    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body: Vec<u8>) {
        run_all(&body);
    }

    #[test]
    fn arbitrary_json_never_panics_and_is_never_called_malformed(value in any_json()) {
        let body = value.to_string();
        run_all(body.as_bytes());
        if value.is_object() {
            let outcome = decode(body.as_bytes(), &mut PutRecordsInput::default());
            prop_assert!(!matches!(outcome, Err(ApiError { message: None, .. })), "{}", body);
        }
    }

    #[test]
    fn records_come_out_as_another_writer_wrote_them(
        records in prop::collection::vec((".{0,20}", prop::collection::vec(any::<u8>(), 0..60)), 0..20)
    ) {
        let entries: Vec<_> = records.iter()
            .map(|(key, data)| json!({"PartitionKey": key, "Data": base64_simd::STANDARD.encode_to_string(data)}))
            .collect();
        let body = json!({"StreamName": "s", "Records": entries}).to_string();
        let mut input = PutRecordsInput::default();
        decode(body.as_bytes(), &mut input).unwrap();
        let read: Vec<_> = input.records.unwrap().into_iter()
            .map(|entry| {
                let blob = entry.data.unwrap();
                let mut data = vec![0; blob.decoded_len()];
                blob.decode_into(&mut data);
                (entry.partition_key.unwrap().into_owned(), data)
            })
            .collect();
        prop_assert_eq!(read, records);
    }
}
