//! The shapes that operations share, as Kinesis's service model names and bounds them.
//!
//! Each operation's description refers to these. Patterns are matched by hand: seven short forms do not pay for a
//! regular-expression engine on the data path.

use weir_core::limits::{
    GET_RECORDS_COUNT_MAX, PARTITION_KEY_CHARS_MAX, PUT_RECORDS_COUNT_MAX, RECORD_BYTES_LIMIT, RECORD_KIB,
    SHARD_ITERATOR_CHARS_MAX, TAGS_MAX,
};

use super::shape::{Bound, Pattern, Shape};

/// Of the largest record that a stream may be set to take.
const RECORD_KIB_BOUNDS: &[Bound] =
    &[Bound::Min(*RECORD_KIB.start() as i64), Bound::Max(*RECORD_KIB.end() as i64)];
/// Digits of a hash key at most: 2^128 - 1 has 39.
const HASH_KEY_DIGITS_MAX: usize = 39;
/// Digits of a sequence number at most (AWS).
const SEQUENCE_NUMBER_DIGITS_MAX: usize = 129;

const NAME: Pattern = Pattern { text: "[a-zA-Z0-9_.-]+", matches: is_name };

/// A stream's name.
pub const STREAM_NAME: Shape = Shape::of(&[Bound::Pattern(NAME), Bound::LengthMin(1), Bound::LengthMax(128)]);

/// A consumer's name.
pub const CONSUMER_NAME: Shape =
    Shape::of(&[Bound::Pattern(NAME), Bound::LengthMin(1), Bound::LengthMax(128)]);

/// A consumer's ARN.
pub const CONSUMER_ARN: Shape = Shape::of(&[
    Bound::Pattern(Pattern {
        text: r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+",
        matches: is_consumer_arn,
    }),
    Bound::LengthMin(1),
    Bound::LengthMax(2_048),
]);

/// A shard's id.
pub const SHARD_ID: Shape = Shape::of(&[Bound::Pattern(NAME), Bound::LengthMin(1), Bound::LengthMax(128)]);

/// A stream's ARN.
pub const STREAM_ARN: Shape = Shape::of(&[
    Bound::Pattern(Pattern { text: r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+", matches: is_stream_arn }),
    Bound::LengthMin(1),
    Bound::LengthMax(2_048),
]);

/// A stream's generated id.
pub const STREAM_ID: Shape = Shape::of(&[
    Bound::Pattern(Pattern { text: "[a-z0-9]{20}-[a-z0-9]{3}", matches: is_stream_id }),
    Bound::LengthMin(1),
    Bound::LengthMax(24),
]);

/// A partition key.
pub const PARTITION_KEY: Shape = Shape::of(&[Bound::LengthMin(1), Bound::LengthMax(PARTITION_KEY_CHARS_MAX)]);

/// A hash key in decimal digits.
pub const HASH_KEY: Shape = Shape::of(&[Bound::Pattern(Pattern {
    text: r"0|([1-9]\d{0,38})",
    matches: |text| is_decimal(text, HASH_KEY_DIGITS_MAX),
})]);

/// A sequence number in decimal digits.
pub const SEQUENCE_NUMBER: Shape = Shape::of(&[Bound::Pattern(Pattern {
    text: r"0|([1-9]\d{0,128})",
    matches: |text| is_decimal(text, SEQUENCE_NUMBER_DIGITS_MAX),
})]);

/// A record's data; most streams take less.
pub const DATA: Shape = Shape::of(&[Bound::LengthMax(RECORD_BYTES_LIMIT)]);

/// The records of one call.
pub const PUT_RECORDS_ENTRIES: Shape =
    Shape::of(&[Bound::LengthMin(1), Bound::LengthMax(PUT_RECORDS_COUNT_MAX)]);

/// Where an iterator starts.
pub const SHARD_ITERATOR_TYPE: Shape = Shape::of(&[Bound::OneOf(&[
    "AFTER_SEQUENCE_NUMBER",
    "LATEST",
    "AT_TIMESTAMP",
    "AT_SEQUENCE_NUMBER",
    "TRIM_HORIZON",
])]);

/// A shard iterator.
pub const SHARD_ITERATOR: Shape =
    Shape::of(&[Bound::LengthMin(1), Bound::LengthMax(SHARD_ITERATOR_CHARS_MAX)]);

/// How many records a call wants.
pub const GET_RECORDS_LIMIT: Shape = Shape::of(&[Bound::Min(1), Bound::Max(GET_RECORDS_COUNT_MAX as i64)]);

/// How many things a page may have.
pub const PAGE_LIMIT: Shape = Shape::of(&[Bound::Min(1), Bound::Max(10_000)]);

/// A paging token.
pub const NEXT_TOKEN: Shape = Shape::of(&[Bound::LengthMin(1), Bound::LengthMax(1_048_576)]);

/// How many shards a stream is to have.
pub const SHARD_COUNT: Shape = Shape::of(&[Bound::Min(1)]);

/// How long records are kept, in hours. Kinesis reports the real bounds as `InvalidArgumentException`, after it has looked
/// at the stream.
pub const RETENTION_PERIOD_HOURS: Shape = Shape::of(&[Bound::Min(1)]);

/// The capacity mode.
pub const STREAM_MODE: Shape = Shape::of(&[Bound::OneOf(&["PROVISIONED", "ON_DEMAND"])]);

const TAG_KEY_BOUNDS: &[Bound] = &[Bound::LengthMin(1), Bound::LengthMax(128)];

const TAG_VALUE: &[Bound] = &[Bound::LengthMin(0), Bound::LengthMax(256)];

/// Tags by key. How many one resource may have is less than a call may name, and another matter.
pub const TAG_MAP: Shape =
    Shape::map(&[Bound::LengthMin(1), Bound::LengthMax(200)], TAG_KEY_BOUNDS, TAG_VALUE);

/// A tag's key.
pub const TAG_KEY: Shape = Shape::of(TAG_KEY_BOUNDS);

/// How many tags a page may have.
pub const LIST_TAGS_LIMIT: Shape = Shape::of(&[Bound::Min(1), Bound::Max(TAGS_MAX as i64)]);

/// Keys of tags.
pub const TAG_KEYS: Shape = Shape::list(&[Bound::LengthMin(1), Bound::LengthMax(50)], TAG_KEY_BOUNDS);

/// The ARN of what can have tags and a policy.
pub const RESOURCE_ARN: Shape = Shape::of(&[
    Bound::Pattern(Pattern {
        text: r"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+",
        matches: is_resource_arn,
    }),
    Bound::LengthMin(1),
    Bound::LengthMax(2_048),
]);

/// How records are encrypted.
pub const ENCRYPTION_TYPE: Shape = Shape::of(&[Bound::OneOf(&["NONE", "KMS"])]);

/// A key of the key management service, in any form.
pub const KEY_ID: Shape = Shape::of(&[Bound::LengthMin(1), Bound::LengthMax(2_048)]);

/// Names of shard-level metrics.
pub const SHARD_LEVEL_METRICS: Shape = Shape::list(
    &[Bound::LengthMin(1), Bound::LengthMax(7)],
    &[Bound::OneOf(&[
        "IncomingBytes",
        "IncomingRecords",
        "OutgoingBytes",
        "OutgoingRecords",
        "WriteProvisionedThroughputExceeded",
        "ReadProvisionedThroughputExceeded",
        "IteratorAgeMilliseconds",
        "ALL",
    ])],
);

/// How shards are to divide the keys.
pub const SCALING_TYPE: Shape = Shape::of(&[Bound::OneOf(&["UNIFORM_SCALING"])]);

/// MiB a second that a stream is kept ready for.
pub const WARM_THROUGHPUT: Shape = Shape::of(&[Bound::Min(0)]);

/// KiB of one record.
pub const MAX_RECORD_SIZE: Shape = Shape::of(RECORD_KIB_BOUNDS);

/// How records come to shards.
pub const RECORD_DISTRIBUTION_STRATEGY: Shape = Shape::of(&[Bound::OneOf(&["AUTO", "USER_PARTITION_KEY"])]);

/// What an account wants of its commitment to a least throughput.
pub const COMMITMENT_STATUS: Shape = Shape::of(&[Bound::OneOf(&["ENABLED", "DISABLED"])]);

/// Which shards a list wants.
pub const SHARD_FILTER_TYPE: Shape = Shape::of(&[Bound::OneOf(&[
    "AFTER_SHARD_ID",
    "AT_TRIM_HORIZON",
    "FROM_TRIM_HORIZON",
    "AT_LATEST",
    "AT_TIMESTAMP",
    "FROM_TIMESTAMP",
])]);

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// `0`, or digits that do not start with it.
fn is_decimal(text: &str, digits_max: usize) -> bool {
    let digits = text.as_bytes();
    let bounded = !digits.is_empty() && digits.len() <= digits_max && digits.iter().all(u8::is_ascii_digit);
    bounded && (digits[0] != b'0' || digits.len() == 1)
}

/// As a stream's ARN; the resource is a stream's, `/consumer/`, a name and the second of its registration.
fn is_consumer_arn(text: &str) -> bool {
    let Some((stream, consumer)) = text.rsplit_once("/consumer/") else { return false };
    let Some((name, secs)) = consumer.rsplit_once(':') else { return false };
    let is_secs = !secs.is_empty() && secs.bytes().all(|byte| byte.is_ascii_digit());
    is_secs
        && is_name(name)
        && is_stream_arn(stream)
        && stream.rsplit_once('/').is_some_and(|(_, s)| is_name(s))
}

/// `arn:aws` and anything, `:kinesis:` and anything, an account, a stream. The region has no colon in any real ARN, so
/// the six fields are split rather than searched for.
fn is_stream_arn(text: &str) -> bool {
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, _region, account, resource] = fields[..] else { return false };
    arn == "arn"
        && partition.starts_with("aws")
        && service == "kinesis"
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && resource
            .strip_prefix("stream/")
            .is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace))
}

/// As a stream's ARN, but the resource may begin with anything and is of three kinds.
fn is_resource_arn(text: &str) -> bool {
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, _region, account, resource] = fields[..] else { return false };
    let is_named = |kind: &str| {
        let mut rests = resource.match_indices(kind).map(|(at, _)| &resource[at + kind.len()..]);
        rests.any(|name| !name.is_empty() && !name.contains(char::is_whitespace))
    };
    arn == "arn"
        && partition.starts_with("aws")
        && service == "kinesis"
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && ["stream/", "channel/", "queue/"].into_iter().any(is_named)
}

fn is_stream_id(text: &str) -> bool {
    let part = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split_once('-').is_some_and(|(long, short)| part(long, 20) && part(short, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_no_leading_zero_and_no_more_digits_than_allowed() {
        assert!(is_decimal("0", 39) && is_decimal("10", 39) && is_decimal(&"9".repeat(39), 39));
        for text in ["", "00", "01", "-1", "1.0", " 1", "１"] {
            assert!(!is_decimal(text, 39), "{text}");
        }
        assert!(!is_decimal(&"9".repeat(40), 39));
    }

    #[test]
    fn arns_and_ids_have_their_form() {
        for arn in [
            "arn:aws:kinesis:us-east-1:000000000000:stream/a",
            "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/a.b-c_d",
        ] {
            assert!(is_stream_arn(arn), "{arn}");
        }
        for arn in [
            "arn:aws:kinesis:us-east-1:00000000000:stream/a",
            "arn:aws:sqs:us-east-1:000000000000:stream/a",
            "arn:aws:kinesis:us-east-1:000000000000:stream/",
            "arn:aws:kinesis:us-east-1:000000000000:stream/a b",
            "stream/a",
            "",
        ] {
            assert!(!is_stream_arn(arn), "{arn}");
        }
        for arn in [
            "arn:aws:kinesis:us-east-1:000000000000:stream/a",
            "arn:aws:kinesis:us-east-1:000000000000:stream/a/consumer/b:1606300000",
            "arn:aws:kinesis:us-east-1:000000000000:queue/x",
            "arn:aws:kinesis::000000000000:any/channel/x",
        ] {
            assert!(is_resource_arn(arn), "{arn}");
        }
        for arn in [
            "arn:aws:kinesis:us-east-1:000000000000:stream/",
            "arn:aws:kinesis:us-east-1:000000000000:stream/a b",
            "arn:aws:kinesis:us-east-1:000000000000:table/a",
            "arn:aws:kinesis:us-east-1:00000000000:stream/a",
        ] {
            assert!(!is_resource_arn(arn), "{arn}");
        }
        let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/a.b";
        assert!(is_consumer_arn(&format!("{stream}/consumer/c-1:1606300000")));
        for rest in
            ["", "/consumer/", "/consumer/c", "/consumer/c:", "/consumer/c:x", "/consumer/:1", "/c/c:1"]
        {
            assert!(!is_consumer_arn(&format!("{stream}{rest}")), "{rest}");
        }
        assert!(is_stream_id("abcdefghij0123456789-abc"));
        assert!(!is_stream_id("abcdefghij0123456789-abcd") && !is_stream_id("ABCDEFGHIJ0123456789-abc"));
    }

    #[test]
    fn names_are_ascii_letters_digits_and_three_marks() {
        assert!(is_name("aZ09_.-"));
        assert!(!is_name("") && !is_name("a b") && !is_name("é") && !is_name("a/b"));
    }
}
