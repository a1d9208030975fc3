//! `ListShards`: a page of a stream's shards; a token carries the stream, the filter and the place.

use std::collections::BTreeMap;

use weir_core::{
    clock::WallMs,
    id::{ShardIndex, StreamRef},
    shard::OwnedShard,
};
use weir_wire::{
    codec::{DecodeError, Reader, Writer},
    kinesis::{
        error::{ApiError, ErrorCode},
        list_shards::{ListShardsInput, ListShardsReply, ShardFilter},
        validate::null_member,
    },
};

use super::{Call, SMALL_ANSWER_BYTES, view};
use crate::{answer::Answer, error::RequestError, lookup::selector, page_token, seal::SealKind};

/// Shards of one answer, unless fewer are asked for (AWS).
const SHARDS_MAX: usize = 1_000;
/// Bytes of one shard in an answer.
const SHARD_BYTES: usize = 320;

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: ListShardsInput<'_> = call.input()?;
    let (stream, filter, after) = match &input.next_token {
        Some(token) => {
            refuse_beside_token(&input)?;
            let (stream, filter, after) = open_token(call, token)?;
            (call.permitted(stream)?, filter, Some(after))
        }
        None => {
            if input.stream_name.is_none() && input.stream_arn.is_none() {
                return Err(invalid("Either NextToken or StreamName should be provided."));
            }
            (call.stream(selector!(input))?, filter_of(&input)?, first_after(&input)?)
        }
    };
    let seen = view::look(call, &stream).await?;
    if input.stream_creation_timestamp.is_some_and(|time| !same_second(time.0, seen.facts.created.0)) {
        return Err(RequestError::StreamNotFound(stream));
    }
    if !seen.serves {
        let status = seen.facts.status;
        let text = format!("Stream {} under account {} is {status}.", stream.name, stream.account);
        return Err(RequestError::StreamInUse(text));
    }
    let most = input.max_results.map_or(SHARDS_MAX, |limit| (limit as usize).min(SHARDS_MAX));
    let listed = filter.list(seen.shards(), seen.horizon(call.wall()));
    let (shards, more) = view::page(&listed, after.as_deref(), most);
    let next_token = match shards.last() {
        Some(last) if more => Some(seal_token(call, &stream, filter, last.shard)),
        _ => None,
    };
    let bytes = SMALL_ANSWER_BYTES + shards.len() * SHARD_BYTES;
    call.large_answer(&ListShardsReply { shards, next_token }, bytes)
}

fn invalid(text: &str) -> RequestError {
    ApiError::new(ErrorCode::InvalidArgument, text).into()
}

/// A token says all that these could.
fn refuse_beside_token(input: &ListShardsInput<'_>) -> Result<(), RequestError> {
    let beside = [
        ("StreamName", input.stream_name.is_some()),
        ("StreamARN", input.stream_arn.is_some()),
        ("StreamCreationTimestamp", input.stream_creation_timestamp.is_some()),
        ("ExclusiveStartShardId", input.exclusive_start_shard_id.is_some()),
        ("ShardFilter", input.shard_filter.is_some()),
    ];
    match beside.into_iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(invalid(&format!("NextToken and {name} cannot be provided together."))),
        None => Ok(()),
    }
}

/// The id after which the first page begins.
fn first_after(input: &ListShardsInput<'_>) -> Result<Option<String>, RequestError> {
    let filtered = input.shard_filter.as_ref().map(filter_after).transpose()?.flatten();
    let exclusive = input.exclusive_start_shard_id.as_deref().map(str::to_owned);
    Ok(filtered.max(exclusive))
}

fn filter_after(filter: &ShardFilter<'_>) -> Result<Option<String>, RequestError> {
    match (filter.kind.as_deref(), filter.shard_id.as_deref()) {
        (Some("AFTER_SHARD_ID"), Some(id)) => Ok(Some(id.to_owned())),
        (Some("AFTER_SHARD_ID"), None) => Err(null_member("shardFilter.shardId").into()),
        _ => Ok(None),
    }
}

fn filter_of(input: &ListShardsInput<'_>) -> Result<Lifetime, RequestError> {
    let Some(filter) = &input.shard_filter else { return Ok(Lifetime::FromTrimHorizon) };
    let time = || match filter.timestamp {
        Some(time) => Ok(WallMs(u64::try_from(time.0).unwrap_or(0))), // before 1970 is before every shard
        None => Err(null_member("shardFilter.timestamp")),
    };
    Ok(match filter.kind.as_deref() {
        Some("AT_TRIM_HORIZON") => Lifetime::AtTrimHorizon,
        Some("AT_LATEST") => Lifetime::AtLatest,
        Some("AT_TIMESTAMP") => Lifetime::AtTimestamp(time()?),
        Some("FROM_TIMESTAMP") => Lifetime::FromTimestamp(time()?),
        _ => Lifetime::FromTrimHorizon,
    })
}

/// When a shard must have been open to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    /// At any time from which records are kept.
    FromTrimHorizon,
    /// At the first of those times.
    AtTrimHorizon,
    /// Now.
    AtLatest,
    /// Then. A time before the trim horizon is corrected to it, as AWS says of the next.
    AtTimestamp(WallMs),
    /// Then or later.
    FromTimestamp(WallMs),
}

impl Lifetime {
    /// Those of `shards` that were open then. Records are kept from `horizon` on.
    fn list(self, shards: &[OwnedShard], horizon: WallMs) -> Vec<OwnedShard> {
        let ends: BTreeMap<ShardIndex, u64> =
            shards.iter().filter_map(|shard| Some((shard.key.shard, shard.closed?.at_ms))).collect();
        // A child begins where its parents end; its number may tell a later second.
        let began = |shard: &OwnedShard| {
            let ends = shard.parents.iter().flatten().filter_map(|parent| ends.get(parent));
            ends.max().copied().unwrap_or(shard.created_ms)
        };
        let lasted = |shard: &OwnedShard, time: WallMs| shard.closed.is_none_or(|end| end.at_ms >= time.0);
        let was_open = |shard: &&OwnedShard| match self {
            Self::FromTrimHorizon => lasted(shard, horizon),
            Self::AtTrimHorizon => began(shard) <= horizon.0 && lasted(shard, horizon),
            Self::AtLatest => shard.is_open(),
            Self::AtTimestamp(time) => {
                let time = time.max(horizon);
                began(shard) <= time.0 && lasted(shard, time)
            }
            Self::FromTimestamp(time) => lasted(shard, time.max(horizon)),
        };
        shards.iter().filter(was_open).cloned().collect()
    }

    /// As a token carries it: a tag and a time.
    fn to_wire(self) -> (u8, u64) {
        match self {
            Self::FromTrimHorizon => (0, 0),
            Self::AtTrimHorizon => (1, 0),
            Self::AtLatest => (2, 0),
            Self::AtTimestamp(time) => (3, time.0),
            Self::FromTimestamp(time) => (4, time.0),
        }
    }

    fn from_wire(tag: u8, time: u64) -> Result<Self, DecodeError> {
        Ok(match tag {
            0 => Self::FromTrimHorizon,
            1 => Self::AtTrimHorizon,
            2 => Self::AtLatest,
            3 => Self::AtTimestamp(WallMs(time)),
            4 => Self::FromTimestamp(WallMs(time)),
            _ => return Err(DecodeError { what: "filter" }),
        })
    }
}

/// SDKs send times with a fraction cut off.
fn same_second(asked_ms: i64, created_ms: u64) -> bool {
    u64::try_from(asked_ms).is_ok_and(|asked| asked / 1_000 == created_ms / 1_000)
}

fn seal_token(call: &Call<'_>, stream: &StreamRef, filter: Lifetime, after: ShardIndex) -> String {
    let (tag, time) = filter.to_wire();
    let mut place = Writer::new();
    place.stream_ref(stream).u8(tag).u64(time).u32(after.0);
    let sealer = &call.config.sealer;
    page_token::seal(sealer, SealKind::ListShards, call.caller(), call.wall(), &place.finish())
}

fn open_token(call: &Call<'_>, token: &str) -> Result<(StreamRef, Lifetime, String), RequestError> {
    let sealer = &call.config.sealer;
    let place = page_token::open(sealer, SealKind::ListShards, call.caller(), call.wall(), token)?;
    let read = || -> Result<_, DecodeError> {
        let mut input = Reader::new(&place);
        let stream = input.stream_ref()?;
        let filter = Lifetime::from_wire(input.u8("filter")?, input.u64("time")?)?;
        let after = ShardIndex(input.u32("shard")?);
        input.finish()?;
        Ok((stream, filter, after.to_string()))
    };
    read().map_err(|_| RequestError::TokenInvalid)
}

#[cfg(test)]
mod tests {
    use weir_core::{
        hash_key::HashKeyRange,
        id::{AccountId, Epoch, Region, ShardKey, StreamId, StreamName},
        shard::ClosedShard,
    };

    use super::*;

    const BORN: u64 = 1_000_000;

    fn shard(number: u32, created_ms: u64, parents: [Option<u32>; 2], closed: Option<u64>) -> OwnedShard {
        OwnedShard {
            key: ShardKey { stream: StreamId(1), shard: ShardIndex(number) },
            account: AccountId::DEFAULT,
            region: Region::US_EAST_1,
            stream_name: StreamName::new("s"),
            range: HashKeyRange::ALL,
            created_ms,
            epoch: Epoch(1),
            parents: parents.map(|parent| parent.map(ShardIndex)),
            closed: closed.map(|at_ms| ClosedShard { at_ms, end: 1 }),
        }
    }

    /// 0 is split at 2,000 s into 1 and 2, which are merged at 3,000 s into 3; 4 was there from the start.
    fn family() -> Vec<OwnedShard> {
        vec![
            shard(0, BORN, [None, None], Some(2_000_000)),
            shard(1, 2_001_000, [Some(0), None], Some(3_000_000)),
            shard(2, 2_001_000, [Some(0), None], Some(3_000_000)),
            shard(3, 3_001_000, [Some(1), Some(2)], None),
            shard(4, BORN, [None, None], None),
        ]
    }

    #[test]
    fn each_filter_lists_the_shards_that_were_open_then() {
        let all = [0, 1, 2, 3, 4].as_slice();
        for (filter, horizon, expected) in [
            (Lifetime::FromTrimHorizon, BORN, all),
            (Lifetime::FromTrimHorizon, 2_000_001, &[1, 2, 3, 4]),
            (Lifetime::FromTrimHorizon, 3_000_001, &[3, 4]),
            (Lifetime::AtTrimHorizon, BORN, &[0, 4]),
            (Lifetime::AtTrimHorizon, 2_500_000, &[1, 2, 4]),
            (Lifetime::AtLatest, BORN, &[3, 4]),
            (Lifetime::AtTimestamp(WallMs(0)), BORN, &[0, 4]),
            (Lifetime::AtTimestamp(WallMs(1_999_999)), BORN, &[0, 4]),
            (Lifetime::AtTimestamp(WallMs(2_000_500)), BORN, &[1, 2, 4]),
            (Lifetime::AtTimestamp(WallMs(3_000_500)), BORN, &[3, 4]),
            (Lifetime::FromTimestamp(WallMs(0)), BORN, all),
            (Lifetime::FromTimestamp(WallMs(2_000_001)), BORN, &[1, 2, 3, 4]),
            (Lifetime::FromTimestamp(WallMs(9_000_000)), BORN, &[3, 4]),
            (Lifetime::FromTimestamp(WallMs(0)), 2_500_000, &[1, 2, 3, 4]),
        ] {
            let listed = filter.list(&family(), WallMs(horizon));
            let listed: Vec<u32> = listed.iter().map(|shard| shard.key.shard.0).collect();
            assert_eq!(listed, expected, "{filter:?} at {horizon}");
            let (tag, time) = filter.to_wire();
            assert_eq!(Lifetime::from_wire(tag, time), Ok(filter));
        }
        assert!(Lifetime::from_wire(5, 0).is_err());
    }
}
