//! Which stream and which shard a rule is for, as it writes them: in every form that the API takes.
//!
//! Read when a rule is checked, so that one that no call could ever meet is told as a mistake. Nothing here looks up whether
//! they are there: a stream may come later than its rules.

use weir_core::id::{AccountId, Region, StreamName, StreamRef};
use weir_wire::kinesis::{model, validate::fits};

use crate::{lookup::split_arn, operations::shard_of};

/// The streams that a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamTarget {
    name: StreamName,
    /// Of an ARN; a name alone is that of streams wherever they are.
    place: Option<(Region, AccountId)>,
}

impl StreamTarget {
    /// Reads a name or an ARN; the error says why it is neither.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with("arn:") {
            return Ok(Self { name: stream_name(text)?, place: None });
        }
        let form = "an ARN is arn:aws:kinesis:REGION:ACCOUNT:stream/NAME";
        if !fits(text, &model::STREAM_ARN) {
            return Err(format!("stream: {text:?} is no stream's ARN: {form}"));
        }
        match split_arn(text) {
            (Some(region), Some(account), name) => {
                Ok(Self { name: stream_name(name)?, place: Some((region, account)) })
            }
            _ => Err(format!("stream: {text:?} names no region: {form}")),
        }
    }

    /// Is it for this stream?
    pub(super) fn means(&self, stream: &StreamRef) -> bool {
        let is_there = |place| place == (stream.region, stream.account);
        self.name == stream.name && self.place.is_none_or(is_there)
    }
}

fn stream_name(text: &str) -> Result<StreamName, String> {
    if fits(text, &model::STREAM_NAME) {
        Ok(StreamName::new(text))
    } else {
        Err(format!(
            "stream: no stream is called {text:?}: a name has up to 128 letters, digits, '_', '.' and '-'"
        ))
    }
}

/// A shard's id as Kinesis prints it; the error says that it can be none.
pub(super) fn canonical_shard(text: &str) -> Result<String, String> {
    let shard = if fits(text, &model::SHARD_ID) { shard_of(text) } else { None };
    shard
        .map(|shard| shard.to_string())
        .ok_or_else(|| format!("shard: no shard is called {text:?}: write shardId-000000000000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(account: u64, region: &str, name: &str) -> StreamRef {
        StreamRef {
            account: AccountId::new(account).unwrap(),
            region: region.parse().unwrap(),
            name: StreamName::new(name),
        }
    }

    #[test]
    fn a_name_means_streams_anywhere_and_an_arn_one() {
        let (one, elsewhere) = (stream(7, "eu-west-1", "s"), stream(7, "us-east-1", "s"));
        let by_name = StreamTarget::parse("s").unwrap();
        assert!(
            by_name.means(&one) && by_name.means(&elsewhere) && !by_name.means(&stream(7, "eu-west-1", "t"))
        );
        let by_arn = StreamTarget::parse("arn:aws:kinesis:eu-west-1:000000000007:stream/s").unwrap();
        assert!(
            by_arn.means(&one) && !by_arn.means(&elsewhere) && !by_arn.means(&stream(8, "eu-west-1", "s"))
        );
    }

    #[test]
    fn a_text_that_no_call_could_name_is_refused() {
        for text in [
            "",
            "a b",
            &"x".repeat(129),
            "arn:aws:kinesis:us-east-1:7:stream/s",
            "arn:aws:kinesis:us-east-1:000000000007:queue/s",
            "arn:aws:kinesis::000000000007:stream/s",
            "arn:aws:kinesis:us-east-1:000000000007:stream/s/consumer/c:1",
        ] {
            assert!(StreamTarget::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_shard_is_spelled_as_kinesis_prints_it_or_refused() {
        for text in ["5", "shardId-5", "x-0005", "shardId-000000000005"] {
            assert_eq!(canonical_shard(text).unwrap(), "shardId-000000000005", "{text}");
        }
        for text in ["", "x", "shardId-", "shardId-99999999999", "shardId-1 "] {
            assert!(canonical_shard(text).is_err(), "{text:?}");
        }
    }
}
