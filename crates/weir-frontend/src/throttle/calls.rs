//! How often each operation is called, for each account, stream, shard or consumer that its rate is one of.
//!
//! Asked for every admitted call before its operation runs. A call over its rate is refused and not counted. As for shards,
//! each front end counts for itself.

use std::collections::HashMap;

use parking_lot::Mutex;
use weir_core::{
    clock::Monotonic,
    id::{AccountId, Region},
};
use weir_sync::{TokenBucket, token_bucket::TokenRate};
use weir_wire::{
    control::ConsumerKey,
    kinesis::{
        limits::{Family, Limit, PER_SECOND_GRAIN, Scope, ServiceLimits},
        operation::Operation,
    },
};

use crate::{authenticate::Caller, call_target::CallTarget, error::RequestError};

/// Buckets that are kept. A bucket that is full again has no memory and goes first; who meets so many streams within one
/// second gives one second's burst away.
const BUCKETS_MAX: usize = 16_384;

/// The buckets of all operations.
#[derive(Debug, Default)]
pub(crate) struct CallGate {
    buckets: Mutex<HashMap<CallKey, TokenBucket>>,
}

/// Of what a bucket is one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CallKey {
    operation: Operation,
    account: AccountId,
    region: Region,
    /// Stream, shard and consumer as far as the rate is one of them.
    parts: [Option<String>; 3],
}

impl CallGate {
    /// Counts a call; `target` is asked for only where it matters.
    pub(crate) fn admit(
        &self,
        limits: &ServiceLimits,
        now: Monotonic,
        caller: &Caller,
        operation: Operation,
        target: impl Fn() -> CallTarget,
    ) -> Result<(), RequestError> {
        let limit = Limit::Calls(operation);
        let (Some(described), Some(rate)) = (limit.description(), limits.get(limit)) else { return Ok(()) };
        if described.family != Family::Calls {
            return Ok(()); // what a shard gives out is counted where the shard is known
        }
        let key = match described.scope {
            Scope::Account => {
                let Caller { account, region, .. } = *caller;
                CallKey { operation, account, region, parts: [None, None, None] }
            }
            scope => match CallKey::of(operation, scope, target()) {
                Some(key) => key,
                None => return Ok(()), // the operation will say what is missing
            },
        };
        if self.take(key, rate, now) {
            return Ok(());
        }
        let target = target();
        Err(RequestError::CallThrottled {
            account: caller.account,
            operation,
            scope: described.scope,
            target,
        })
    }

    fn take(&self, key: CallKey, rate: u64, now: Monotonic) -> bool {
        let rate = bucket_rate(rate);
        let mut buckets = self.buckets.lock();
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| bucket.available(now.nanos()) < bucket.rate().burst);
            if buckets.len() >= BUCKETS_MAX {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert_with(|| TokenBucket::new(rate));
        if bucket.rate() != rate {
            *bucket = TokenBucket::new(rate); // the limits were changed
        }
        bucket.try_take(now.nanos(), PER_SECOND_GRAIN).is_ok()
    }
}

impl CallKey {
    fn of(operation: Operation, scope: Scope, target: CallTarget) -> Option<Self> {
        let CallTarget { stream, shard, consumer } = target;
        let stream = stream?;
        let name = Some(stream.name.as_str().to_owned());
        let parts = match scope {
            Scope::Account => [None, None, None],
            Scope::Stream => [name, None, None],
            Scope::Shard => [name, Some(shard?), None],
            Scope::ConsumerAndShard => {
                let ConsumerKey { name: consumer, created_secs } = consumer?;
                let consumer = format!("{consumer}:{}", created_secs.unwrap_or_default());
                [name, Some(shard?), Some(consumer)]
            }
        };
        Some(Self { operation, account: stream.account, region: stream.region, parts })
    }
}

/// One second's calls may be saved up, and always one.
pub(super) fn bucket_rate(per_second: u64) -> TokenRate {
    TokenRate { per_second, burst: per_second.max(PER_SECOND_GRAIN) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_core::id::{ConsumerName, StreamName, StreamRef, TenantName};

    use super::*;

    fn caller(account: u64) -> Caller {
        let (account, region) = (AccountId::new(account).unwrap(), Region::US_EAST_1);
        Caller { account, region, tenant: TenantName::new("t") }
    }

    fn target(account: u64, stream: &str) -> CallTarget {
        let (account, region) = (AccountId::new(account).unwrap(), Region::US_EAST_1);
        let stream = StreamRef { account, region, name: StreamName::new(stream) };
        CallTarget {
            stream: Some(stream),
            shard: Some("shardId-000000000000".to_owned()),
            consumer: Some(ConsumerKey { name: ConsumerName::new("c"), created_secs: Some(7) }),
        }
    }

    /// Calls that pass between two times, tried `each` microseconds.
    fn passed(gate: &CallGate, limits: &ServiceLimits, operation: Operation, from_s: u64, to_s: u64) -> u64 {
        let tries = (from_s * 1_000_000..to_s * 1_000_000).step_by(200);
        let admitted = tries.filter(|&us| {
            let now = Monotonic::ZERO + Duration::from_micros(us);
            gate.admit(limits, now, &caller(1), operation, || target(1, "s")).is_ok()
        });
        admitted.count() as u64
    }

    #[test]
    fn each_rate_of_calls_is_kept_within_two_percent_over_ten_seconds() {
        for (limit, described) in Limit::all() {
            let (Limit::Calls(operation), Family::Calls) = (limit, described.family) else { continue };
            let (gate, limits) = (CallGate::default(), ServiceLimits::default());
            let rate = described.default / PER_SECOND_GRAIN;
            assert_eq!(
                passed(&gate, &limits, operation, 0, 1),
                2 * rate - 1,
                "{limit:?}: the burst and a second"
            );
            let steady = passed(&gate, &limits, operation, 1, 11) as f64 / (10 * rate) as f64;
            assert!((0.98..=1.02).contains(&steady), "{limit:?}: {steady} of its rate");
        }
    }

    #[test]
    fn a_rate_below_one_a_second_and_a_changed_one_are_kept_too() {
        let (gate, mut limits) = (CallGate::default(), ServiceLimits::default());
        limits.assign(&"CreateStream=0.5/s".parse().unwrap());
        assert_eq!(passed(&gate, &limits, Operation::CreateStream, 0, 10), 1 + 4);
        limits.assign(&"CreateStream=off".parse().unwrap());
        assert_eq!(passed(&gate, &limits, Operation::CreateStream, 10, 11), 5_000);
        limits.assign(&"CreateStream=2/s".parse().unwrap());
        assert_eq!(passed(&gate, &limits, Operation::CreateStream, 11, 12), 2 + 1);
    }

    #[test]
    fn one_account_or_stream_does_not_use_up_anothers_rate() {
        let (gate, limits, now) = (CallGate::default(), ServiceLimits::default(), Monotonic::ZERO);
        let call = |account, operation, stream| {
            gate.admit(&limits, now, &caller(account), operation, || target(account, stream)).is_ok()
        };
        let count =
            |account, operation, stream| (0..5_000).filter(|_| call(account, operation, stream)).count();
        assert_eq!(count(1, Operation::CreateStream, "a"), 5);
        assert_eq!(count(1, Operation::CreateStream, "b"), 0, "an account has one rate");
        assert_eq!(count(2, Operation::CreateStream, "a"), 5);
        assert_eq!(count(1, Operation::ListShards, "a"), 1_000);
        assert_eq!(count(1, Operation::ListShards, "b"), 1_000, "each stream has its own");
    }

    #[test]
    fn a_call_that_names_nothing_is_left_to_its_operation() {
        let (gate, limits) = (CallGate::default(), ServiceLimits::default());
        for _ in 0..3_000 {
            let admitted =
                gate.admit(&limits, Monotonic::ZERO, &caller(1), Operation::ListShards, CallTarget::default);
            assert!(admitted.is_ok());
        }
    }

    #[test]
    fn buckets_do_not_pile_up() {
        let (gate, limits) = (CallGate::default(), ServiceLimits::default());
        for stream in 0..2 * BUCKETS_MAX + 7 {
            let name = format!("s{stream}");
            let named = || target(1, &name);
            gate.admit(&limits, Monotonic::ZERO, &caller(1), Operation::ListShards, named).unwrap();
            assert!(gate.buckets.lock().len() <= BUCKETS_MAX);
        }
    }
}
