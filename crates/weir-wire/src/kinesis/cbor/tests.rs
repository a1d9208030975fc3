//! Bodies in CBOR: read as JSON of the same meaning is, refused in the same words, and never a panic.

mod sample;

use proptest::prelude::*;
use rand::SeedableRng;
use weir_core::{clock::WallMs, entropy::Rng};

use self::sample::{Sample, seen};
use super::*;
use crate::kinesis::{
    encode::{Encoder, Reply},
    encoding::Encoding,
    error::ErrorCode,
    get_shard_iterator::GetShardIteratorInput,
    json,
    list_streams::ListStreamsInput,
    operation::Operation,
    put_record::PutRecordInput,
    put_records::PutRecordsInput,
    shape::EpochMs,
    validate::validate,
};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A map of one member, whose value is these bytes.
fn with(member: &str, value: &[u8]) -> Vec<u8> {
    let mut body = vec![0xbf];
    let mut name = CborWriter::default();
    name.text(member);
    body.extend_from_slice(&name.finish());
    body.extend_from_slice(value);
    body.push(BREAK);
    body
}

fn limit(value: &str) -> Option<i64> {
    let body = with("Limit", &bytes(value));
    let mut input = ListStreamsInput::default();
    decode(&body, &mut input).unwrap_or_else(|error| panic!("{value}: {error}"));
    input.limit
}

#[test]
fn integers_of_every_width_and_floats_are_read() {
    for (value, number) in [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1900ff", 255),
        ("1a00010000", 65_536),
        ("1b0000000000000007", 7),
        ("20", -1),
        ("3818", -25),
        ("3903e7", -1_000),
        ("f94700", 7),             // 7.0 in 16 bits
        ("f93e00", 1),             // 1.5
        ("f90001", 0),             // the least that 16 bits can say
        ("fac0700000", -3),        // -3.75
        ("fb401f99999999999a", 7), // 7.9
        ("1a80000000", 2_147_483_647),
        ("1bffffffffffffffff", 2_147_483_647),
        ("3bffffffffffffffff", -2_147_483_648),
        ("f97c00", 2_147_483_647), // infinite
        ("fbfff0000000000000", -2_147_483_648),
        ("fb7ff8000000000000", 0), // no number at all
    ] {
        assert_eq!(limit(value), Some(number), "{value}");
    }
    assert_eq!((limit("f6"), limit("f7")), (None, None), "null and undefined are absence");
}

#[test]
fn times_are_milliseconds_with_their_tag_or_without() {
    for value in [
        "c1 1b00000175ff8fdc7b",
        "1b00000175ff8fdc7b",
        "c1 fb42775ff8fdc7b000",
        "d9d9f7 c1 1b00000175ff8fdc7b",
    ] {
        let mut input = GetShardIteratorInput::default();
        let body = with("Timestamp", &bytes(value));
        decode(&body, &mut input).unwrap();
        assert_eq!(input.timestamp, Some(EpochMs(1_606_310_419_579)), "{value}");
    }
}

#[test]
fn texts_and_data_come_in_one_piece_or_in_several() {
    for value in ["4401020304", "5f 42 0102 40 42 0304 ff"] {
        let mut input = PutRecordInput::default();
        let body = with("Data", &bytes(value));
        decode(&body, &mut input).unwrap();
        let blob = input.data.unwrap();
        let mut room = vec![0; blob.decoded_len()];
        blob.decode_into(&mut room);
        assert_eq!(room, [1, 2, 3, 4], "{value}");
    }
    for value in ["63 6b 65 79", "7f 61 6b 60 62 65 79 ff"] {
        let mut input = PutRecordInput::default();
        let body = with("PartitionKey", &bytes(value));
        decode(&body, &mut input).unwrap();
        assert_eq!(input.partition_key.as_deref(), Some("key"), "{value}");
    }
    let long = format!("5b00000000000001f4{}", "00".repeat(500));
    let body = with("Data", &bytes(&long));
    let mut input = PutRecordInput::default();
    decode(&body, &mut input).unwrap();
    assert_eq!(input.data.unwrap().decoded_len(), 500, "a length may be written wider than it need be");
}

#[test]
fn what_is_no_cbor_is_refused_without_a_text() {
    for body in [
        "",
        "bf",
        "a1",
        "ff",
        "01",
        "f6",
        "60",
        "a0 00", // a byte too many
        "bf ff ff",
        "bf 01 02 ff", // a key that is no text
        "a1 61 41 1c", // reserved widths
        "a1 61 41 fc",
        "9c",                // of a list, too
        "a1 61 41 f8 20 00", // simple values that are none of ours
        "a1 61 41 e0 00",
        "a1 61 41 ff",       // an end where nothing may end
        "a1 61 41 c2 41 01", // a big integer
        "a1 61 41 df 00",    // a tag without a number
        "a1 61 41 1f",       // numbers of no length
        "a1 61 41 3f",
        "a1 61 41 7f 41 00 ff",       // bytes within a text
        "a1 61 41 7f 7f ff ff",       // pieces within pieces
        "a1 61 41 62 c3 28",          // no UTF-8
        "a1 61 41 7f 61 c3 61 a9 ff", // a character in two pieces
        "a1 62 c3 28 01",             // a name that is no UTF-8
        "a1 62 c3 28 f6",
        "a1 61 41 a1 62 c3 28 01",
        "a1 61 41 7b ffffffffffffffff",
        "a1 61 41 9b ffffffffffffffff",
        "a1 61 41 5f 42 01",
        "1f",
        "bb ffffffffffffffff 61 41 01",
    ] {
        let error = decode(&bytes(body), &mut ListStreamsInput::default()).expect_err(body);
        assert_eq!(error, ApiError::bare(ErrorCode::Serialization), "{body}");
    }
    let deep = [&bytes("a1 61 41")[..], &vec![0x81; 100_000], &[0]].concat();
    assert!(decode(&deep, &mut ListStreamsInput::default()).is_err(), "too deep is refused, not followed");
}

#[test]
fn a_wrong_type_is_told_as_in_json() {
    let told = |operation: Operation, member: &str, value: &str| {
        let body = with(member, &bytes(value));
        let error = decode(&body, operation.empty_input().as_mut()).expect_err(value);
        assert_eq!(error.code, ErrorCode::Serialization);
        error.message.unwrap()
    };
    let number = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to";
    let (list, object) =
        ("Start of list found where not expected", "Start of structure or map found where not expected.");
    for (member, value, text) in [
        ("PartitionKey", "f5", "class java.lang.Boolean can not be converted to an String".to_owned()),
        ("PartitionKey", "17", format!("{number} an String")),
        ("PartitionKey", "40", "class java.nio.HeapByteBuffer can not be converted to an String".to_owned()),
        ("PartitionKey", "9fff", list.to_owned()),
        ("PartitionKey", "a0", object.to_owned()),
        ("Data", "60", "class java.lang.String can not be converted to a Blob".to_owned()),
        ("Data", "00", format!("{number} a Blob")),
    ] {
        assert_eq!(told(Operation::PutRecord, member, value), text, "{member} {value}");
    }
    assert_eq!(
        told(Operation::CreateStream, "ShardCount", "613a"),
        "class java.lang.String can not be converted to an Integer"
    );
    assert_eq!(told(Operation::CreateStream, "StreamModeDetails", "01"), "Expected null");
    assert_eq!(told(Operation::PutRecords, "Records", "60"), "Expected list or null");
    assert_eq!(
        told(Operation::DeleteStream, "EnforceConsumerDeletion", "656e6f206e6f"),
        "'NO NO' can not be converted to an Boolean"
    );
    let error = decode(&[0x80], &mut ListStreamsInput::default()).unwrap_err();
    assert_eq!(error.message.as_deref(), Some(list));
}

#[test]
fn unknown_members_are_passed_over_and_the_last_of_two_of_one_name_counts() {
    let member = |name: &str, value: &str| {
        let mut out = CborWriter::default();
        out.text(name);
        [&*out.finish(), &bytes(value)].concat()
    };
    let unknown = "bf 6161 9f 01 82 f5 5f 4100 ff ff 6162 c0 60 6163 7f 6161 ff ff";
    let body = [
        bytes("a5"),
        member("Limit", "01"),
        member("X", unknown),
        member("Y", "fb7ff8000000000000"),
        member("Limit", "02"),
        member("ExclusiveStartStreamName", "6173"),
    ];
    let body = body.concat();
    let mut input = ListStreamsInput::default();
    decode(&body, &mut input).unwrap();
    assert_eq!((input.limit, input.exclusive_start_stream_name.as_deref()), (Some(2), Some("s")));
}

#[test]
fn a_list_far_too_long_is_not_kept_and_still_found_too_long() {
    let records = [vec![0x9f], vec![0xa0; 100_000], vec![BREAK]].concat();
    let body = with("Records", &records);
    let mut input = PutRecordsInput::default();
    decode(&body, &mut input).unwrap();
    assert!(input.records.as_ref().is_some_and(|records| records.len() < 2_000));
    let text = validate(&input).unwrap_err().message.unwrap();
    assert!(text.contains("Member must have length less than or equal to 500"), "{text}");
}

/// An answer with one value of each kind.
struct Everything;

impl Reply for Everything {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("Text");
        out.text("é");
        out.member("Shown");
        out.open_list();
        out.shown(&7);
        out.shown(&"x".repeat(30));
        out.shown(&"y".repeat(300));
        out.close_list();
        out.member("Integers");
        out.open_list();
        for number in [0, 23, 24, 256, 65_536, 1 << 32, -1, -25, i64::MAX, i64::MIN] {
            out.integer(number);
        }
        out.close_list();
        out.member("Boolean");
        out.boolean(true);
        out.member("Blob");
        out.blob(&[0, 255]);
        out.member("Time");
        out.timestamp(WallMs(1_606_310_419_579));
        out.close_structure();
    }
}

#[test]
fn an_answer_is_written_as_kinesis_writes_it() {
    let error = ApiError::bare(ErrorCode::UnknownOperation);
    // As recorded from Kinesis.
    let recorded =
        [&bytes("bf66")[..], b"__type", &bytes("7819"), b"UnknownOperationException", &[0xff]].concat();
    assert_eq!(*Encoding::Cbor.encode(&error, 0), recorded);

    let answer = Encoding::Cbor.encode(&Everything, 0);
    let long = format!("781e{}79012c{}", "78".repeat(30), "79".repeat(300));
    let expected = format!(
        "bf 6454657874 62c3a9 6553686f776e 9f 6137 {long} ff 68496e746567657273 9f 00 17 1818 190100 1a00010000 \
         1b0000000100000000 20 3818 1b7fffffffffffffff 3b7fffffffffffffff ff 67426f6f6c65616e f5 64426c6f62 4200ff \
         6454696d65 c11b00000175ff8fdc7b ff"
    );
    assert_eq!(*answer, bytes(&expected));
    let read: ciborium::Value = ciborium::from_reader(&answer[..]).expect("another parser reads it");
    assert_eq!(read.as_map().map(Vec::len), Some(6));
}

/// What came out of a body, and what is wrong with it.
fn outcome<'a>(encoding: Encoding, operation: Operation, body: &'a [u8]) -> Result<String, ApiError> {
    let mut input = operation.empty_input::<'a>();
    match encoding {
        Encoding::Json => json::decode(body, input.as_mut())?,
        Encoding::Cbor => decode(body, input.as_mut())?,
    }
    validate(input.as_ref())?;
    Ok(seen(input.as_ref()))
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop::sample::select(Operation::ALL)
}

proptest! {
    #[test]
    fn both_encodings_of_a_request_come_to_the_same_input_or_the_same_error(
        operation in any_operation(), seed: u64, right in 0.5..1.0
    ) {
        let mut rng = Rng::seed_from_u64(seed);
        let request = Sample::of(operation.empty_input().as_mut(), right, &mut rng);
        let (json, cbor) = (request.to_json(), request.to_cbor(&mut rng));
        prop_assert!(ciborium::from_reader::<ciborium::Value, _>(&cbor[..]).is_ok(), "the sample is CBOR");
        let (told, other) = (
            outcome(Encoding::Json, operation, json.as_bytes()),
            outcome(Encoding::Cbor, operation, &cbor)
        );
        prop_assert_eq!(&told, &other, "{}", json);
    }

    #[test]
    fn a_body_cut_short_anywhere_is_refused_without_a_text(operation in any_operation(), seed: u64) {
        let mut rng = Rng::seed_from_u64(seed);
        let body = Sample::of(operation.empty_input().as_mut(), 1.0, &mut rng).to_cbor(&mut rng);
        prop_assert!(decode(&body, operation.empty_input().as_mut()).is_ok());
        for end in 0..body.len() {
            let error = decode(&body[..end], operation.empty_input().as_mut()).unwrap_err();
            prop_assert_eq!(error, ApiError::bare(ErrorCode::Serialization), "cut to {}", end);
        }
    }

    #[test]
    fn one_flipped_bit_never_panics(operation in any_operation(), seed: u64) {
        let mut rng = Rng::seed_from_u64(seed);
        let mut body = Sample::of(operation.empty_input().as_mut(), 1.0, &mut rng).to_cbor(&mut rng);
        for bit in 0..body.len() * 8 {
            body[bit / 8] ^= 1 << (bit % 8);
            if outcome(Encoding::Cbor, operation, &body).is_ok() {
                // What we read another parser reads.
                prop_assert!(ciborium::from_reader::<ciborium::Value, _>(&body[..]).is_ok(), "bit {}", bit);
            }
            body[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_are_read_only_if_they_are_cbor(body: Vec<u8>) {
        for body in [body.clone(), with("X", &body)] {
            for operation in Operation::ALL {
                if outcome(Encoding::Cbor, *operation, &body).is_ok() {
                    prop_assert!(ciborium::from_reader::<ciborium::Value, _>(&body[..]).is_ok());
                }
            }
        }
    }
}
