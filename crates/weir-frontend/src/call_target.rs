//! What a call is about, read off its input before its operation is run.
//!
//! Rates of calls and faults are meant for streams, shards and consumers, and both come before the operation. Reading is
//! cheap where it matters: bodies with records are read only when somebody set a fault for a stream. It must never refuse
//! a call: an input that does not read is the operation's to tell.

use weir_core::hash_key::HashKey;
use weir_core::id::StreamRef;
use weir_wire::{
    control::ConsumerKey,
    kinesis::{encoding::Encoding, named::NamedInput},
};

use crate::{
    authenticate::Caller,
    consumer::{ConsumerSelector, is_consumer_arn},
    iterator::ShardIterator,
    lookup::StreamSelector,
    operations::{Call, shard_of},
    route::usable_map,
};

/// What a call is about; nothing of it need be known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallTarget {
    /// The stream.
    pub stream: Option<StreamRef>,
    /// The shard's id: one, however the call spells it.
    pub shard: Option<String>,
    /// The consumer.
    pub consumer: Option<ConsumerKey>,
}

impl CallTarget {
    /// Reads a body.
    pub(crate) fn read(encoding: Encoding, body: &[u8], caller: &Caller) -> Self {
        let Ok(named) = encoding.decode::<NamedInput<'_>>(body) else { return Self::default() };
        let resource = named.consumer_arn.as_deref().or(named.resource_arn.as_deref());
        let shard = named.shard_id.as_deref().and_then(shard_of).map(|shard| shard.to_string());
        if let Some(arn) = resource.filter(|arn| is_consumer_arn(arn)) {
            let selector = ConsumerSelector { stream_arn: None, name: None, arn: Some(arn) };
            return match selector.resolve(caller) {
                Ok((stream, consumer)) => Self { stream: Some(stream), shard, consumer: Some(consumer) },
                Err(_) => Self { shard, ..Self::default() },
            };
        }
        let arn = named.stream_arn.as_deref().or(resource);
        let selector = StreamSelector { name: named.stream_name.as_deref(), arn };
        Self { stream: selector.resolve(caller).ok(), shard, consumer: None }
    }
}

impl CallTarget {
    /// The same, with the stream and the shard of an iterator, and the shard of one record's key.
    pub(crate) fn with_data(call: &Call<'_>) -> Self {
        let target = Self::read(call.encoding, call.body, call.caller());
        let Ok(named) = call.encoding.decode::<NamedInput<'_>>(call.body) else { return target };
        if let Some(text) = named.shard_iterator.as_deref() {
            let Ok(iterator) = ShardIterator::open(&call.config.sealer, text, call.wall()) else {
                return target;
            };
            let shard = Some(iterator.key.shard.to_string());
            return Self { stream: Some(iterator.stream), shard, ..target };
        }
        let hash_key = match (named.explicit_hash_key.as_deref(), named.partition_key.as_deref()) {
            (Some(text), _) => text.parse().ok(),
            (None, Some(key)) => Some(HashKey::of_partition_key(key)),
            (None, None) => None,
        };
        let (Some(hash_key), Some(stream)) = (hash_key, &target.stream) else { return target };
        let shard = usable_map(call.maps, call.now()).ok().and_then(|map| {
            let routed = map.stream(stream)?.route(hash_key)?;
            Some(routed.shard.key.shard.to_string())
        });
        Self { shard: shard.or(target.shard), ..target }
    }
}

#[cfg(test)]
mod tests {
    use weir_core::id::{AccountId, Region, StreamName, TenantName};

    use super::*;

    const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

    fn target(body: &str) -> CallTarget {
        let (account, region) = (AccountId::DEFAULT, Region::US_EAST_1);
        let caller = Caller { account, region, tenant: TenantName::new("t") };
        CallTarget::read(Encoding::Json, body.as_bytes(), &caller)
    }

    #[test]
    fn a_stream_is_found_however_it_is_named() {
        let consumer = format!("{STREAM}/consumer/c:1");
        for body in [
            r#"{"StreamName": "s", "Limit": 3}"#.to_owned(),
            format!(r#"{{"StreamARN": "{STREAM}"}}"#),
            format!(r#"{{"ResourceARN": "{STREAM}"}}"#),
            format!(r#"{{"ConsumerARN": "{consumer}", "ShardId": "shardId-000000000000"}}"#),
        ] {
            let found = target(&body);
            assert_eq!(found.stream.unwrap().name, StreamName::new("s"), "{body}");
            assert_eq!(found.consumer.is_some(), body.contains("ConsumerARN"));
            assert_eq!(found.shard.is_some(), body.contains("ShardId"));
        }
    }

    #[test]
    fn however_a_shard_and_a_consumer_are_spelled_they_are_one() {
        let spelled = |partition: &str, secs: &str, shard: &str| {
            let stream = STREAM.replace("arn:aws:", partition);
            target(&format!(r#"{{"ConsumerARN": "{stream}/consumer/c:{secs}", "ShardId": "{shard}"}}"#))
        };
        let one = spelled("arn:aws:", "7", "shardId-000000000000");
        assert!(one.consumer.is_some() && one.shard.is_some());
        for shard in ["shardId-0", "x-00", "0"] {
            assert_eq!(spelled("arn:aws-cn:", "007", shard), one, "{shard}");
        }
    }

    #[test]
    fn what_does_not_read_names_nothing_and_is_no_error() {
        for body in ["", "{", "[]", r#"{"StreamName": 3}"#, r#"{"StreamName": "/"}"#, "{}"] {
            assert_eq!(target(body), CallTarget::default(), "{body}");
        }
    }
}
