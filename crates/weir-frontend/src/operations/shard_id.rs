//! Shard ids as callers write them.

use weir_core::id::{ShardIndex, StreamRef};

use crate::error::RequestError;

/// The shard that the text names, or that it names none.
pub(super) fn parse_shard(stream: &StreamRef, text: &str) -> Result<ShardIndex, RequestError> {
    shard_of(text)
        .ok_or_else(|| RequestError::ShardUnreadable { stream: stream.clone(), text: text.to_owned() })
}

/// Kinesis reads what stands after the first hyphen, whatever stands before it, and takes a number alone as well.
pub(crate) fn shard_of(text: &str) -> Option<ShardIndex> {
    let digits = text.split('-').nth(1).unwrap_or(text);
    let number =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i32>().ok()).flatten();
    number.and_then(|number| u32::try_from(number).ok()).map(ShardIndex)
}
