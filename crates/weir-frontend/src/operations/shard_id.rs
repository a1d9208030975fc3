//! Shard ids as callers write them.

use weir_core::id::{ShardIndex, StreamRef};

use crate::error::RequestError;

/// Kinesis reads what stands after the first hyphen, whatever stands before it, and takes a number alone as well.
pub(super) fn parse_shard(stream: &StreamRef, text: &str) -> Result<ShardIndex, RequestError> {
    let digits = text.split('-').nth(1).unwrap_or(text);
    let number =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i32>().ok()).flatten();
    match number.and_then(|number| u32::try_from(number).ok()) {
        Some(number) => Ok(ShardIndex(number)),
        None => Err(RequestError::ShardUnreadable { stream: stream.clone(), text: text.to_owned() }),
    }
}
