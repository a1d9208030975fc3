//! Shard iterators: a place in a shard that a client carries, sealed, for five minutes.
//!
//! `GetShardIterator` makes one and `GetRecords` opens one and makes the next. The place is a record's index, fixed when
//! the iterator is made: LATEST means the latest of that moment, whoever asks later.

use weir_core::{
    clock::WallMs,
    id::{ShardIndex, ShardKey, StreamId, StreamRef},
    limits::SHARD_ITERATOR_CHARS_MAX,
    sequence::RecordIndex,
};
use weir_wire::codec::{DecodeError, Reader, Writer};

use crate::{
    error::RequestError,
    seal::{SealKind, Sealer, Unsealed},
};

/// A place in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShardIterator {
    /// What the stream is called: for the text that says it is gone.
    pub(crate) stream: StreamRef,
    /// The shard.
    pub(crate) key: ShardKey,
    /// The next record.
    pub(crate) record: RecordIndex,
}

impl ShardIterator {
    /// The iterator as text, made at `now`.
    pub(crate) fn seal(&self, sealer: &Sealer, now: WallMs) -> String {
        let mut payload = Writer::new();
        payload.stream_ref(&self.stream).shard_key(self.key).u64(self.record);
        let text = sealer.seal(SealKind::ShardIterator, now, &payload.finish());
        assert!(text.len() <= SHARD_ITERATOR_CHARS_MAX, "a name of 128 characters fits");
        text
    }

    /// Opens an iterator that came at `now`. Double quotes around it are tolerated, as Kinesis does.
    pub(crate) fn open(sealer: &Sealer, text: &str, now: WallMs) -> Result<Self, RequestError> {
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let payload = sealer.open(SealKind::ShardIterator, now, text).map_err(|unsealed| match unsealed {
            Unsealed::NotOurs => RequestError::IteratorInvalid,
            Unsealed::Expired { issued } => {
                RequestError::IteratorExpired { issued, now, lifetime: sealer.lifetime() }
            }
        })?;
        Self::decode(&payload).map_err(|_| RequestError::IteratorInvalid)
    }

    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(payload);
        let stream = input.stream_ref()?;
        let key = input.shard_key("shard")?;
        let record = input.u64("record")?;
        input.finish()?;
        Ok(Self { stream, key, record })
    }

    /// The same shard, from another record on.
    pub(crate) fn at(&self, record: RecordIndex) -> Self {
        Self { record, ..self.clone() }
    }
}

/// A fresh iterator of a shard.
pub(crate) fn iterator_of(
    stream: &StreamRef,
    id: StreamId,
    shard: ShardIndex,
    record: RecordIndex,
) -> ShardIterator {
    ShardIterator { stream: stream.clone(), key: ShardKey { stream: id, shard }, record }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use weir_core::id::{AccountId, Region, StreamName};

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(300);

    fn sealer() -> Sealer {
        Sealer::new(&"5a".repeat(32), LIFETIME).unwrap()
    }

    fn iterator(name: &str, record: u64) -> ShardIterator {
        let stream = StreamRef {
            account: AccountId::new(999_999_999_999).unwrap(),
            region: "r".repeat(Region::CHARS_MAX).parse().unwrap(),
            name: StreamName::new(name),
        };
        iterator_of(&stream, StreamId(u64::MAX), ShardIndex(u32::MAX), record)
    }

    #[test]
    fn an_iterator_lives_for_its_time_and_says_when_that_was() {
        let text = iterator("s", 3).seal(&sealer(), WallMs(1_000));
        let open = |now| ShardIterator::open(&sealer(), &text, WallMs(now));
        assert_eq!(open(301_000), Ok(iterator("s", 3)));
        let expired =
            RequestError::IteratorExpired { issued: WallMs(1_000), now: WallMs(301_001), lifetime: LIFETIME };
        assert_eq!(open(301_001), Err(expired));
    }

    #[test]
    fn the_longest_name_fits_and_the_first_bytes_are_kinesis_own() {
        let text = iterator(&"n".repeat(128), u64::MAX).seal(&sealer(), WallMs(u64::MAX));
        assert!(text.len() <= SHARD_ITERATOR_CHARS_MAX);
        assert!(text.starts_with("AAAAAAAAAAE"), "eight bytes 00..01");
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)));
    }

    #[test]
    fn quotes_around_an_iterator_are_tolerated_and_one_alone_is_not() {
        let text = iterator("s", 3).seal(&sealer(), WallMs(0));
        let open = |text: &str| ShardIterator::open(&sealer(), text, WallMs(0));
        assert_eq!(open(&format!("\"{text}\"")), Ok(iterator("s", 3)));
        assert_eq!(open(&format!("\"{text}")), Err(RequestError::IteratorInvalid));
        assert_eq!(open("\""), Err(RequestError::IteratorInvalid));
    }

    proptest! {
        #[test]
        fn an_iterator_opens_as_it_was_made(name in "[a-zA-Z0-9_.-]{1,128}", record: u64, now in 0..u64::MAX / 2) {
            let made = iterator(&name, record);
            let opened = ShardIterator::open(&sealer(), &made.seal(&sealer(), WallMs(now)), WallMs(now + 1));
            prop_assert_eq!(opened, Ok(made));
        }
    }
}
