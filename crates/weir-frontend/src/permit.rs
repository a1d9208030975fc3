//! The gate between accounts: may this caller do this to that stream, or to that consumer of it?
//!
//! Operations pass through it with every stream that they were named, and get a [`Permitted`] out: nothing else makes one
//! of a stream of another account. An owner may do everything. Others may do what the stream's policy allows, of the
//! operations that Kinesis lets a policy open at all; policies come with the front end's configuration, so that nobody is
//! asked. It must never tell whether a stream that is refused exists.

use std::collections::HashMap;

use weir_core::{clock::WallMs, id::StreamRef};
use weir_wire::{
    control::{ConsumerKey, StreamSettings},
    kinesis::operation::Operation,
};

use crate::{
    authenticate::Caller, consumer::consumer_arn, error::RequestError, lookup::stream_arn, policy::Policy,
};

/// The policies of all streams that have one.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    by_stream: HashMap<StreamRef, Policy>,
    /// By the consumers' ARNs.
    by_consumer: HashMap<String, Policy>,
}

/// Proof that the caller may do to the stream what it asks.
#[derive(Debug)]
pub(crate) struct Permitted(StreamRef);

impl Permitted {
    /// The stream.
    pub(crate) fn into_stream(self) -> StreamRef {
        self.0
    }
}

impl Policies {
    /// Reads the policies among `settings`. One that does not read, which none that was put is, allows nothing.
    pub(crate) fn new(settings: &[StreamSettings]) -> Self {
        let mut policies = Self::default();
        for settings in settings {
            let arn = stream_arn(&settings.stream);
            if let Some(policy) = settings.policy.as_deref().and_then(|document| read(document, &arn)) {
                policies.by_stream.insert(settings.stream.clone(), policy);
            }
            for consumer in &settings.consumers {
                let created = WallMs(consumer.created_secs * 1_000);
                let arn = consumer_arn(&settings.stream, &consumer.name, created);
                if let Some(policy) = read(&consumer.policy, &arn) {
                    policies.by_consumer.insert(arn, policy);
                }
            }
        }
        policies
    }

    /// Lets the caller through, or not.
    pub(crate) fn permit(
        &self,
        caller: &Caller,
        operation: Operation,
        stream: StreamRef,
    ) -> Result<Permitted, RequestError> {
        let is_shared = || {
            let policy = self.by_stream.get(&stream);
            can_be_shared(operation)
                && policy.is_some_and(|policy| policy.permits(caller.account, operation.name()))
        };
        if stream.account == caller.account || is_shared() {
            return Ok(Permitted(stream));
        }
        Err(refused(caller, operation, stream_arn(&stream)))
    }

    /// The same for a consumer. Other accounts must name it by its ARN: only that is of one consumer and of no other.
    pub(crate) fn permit_consumer(
        &self,
        caller: &Caller,
        operation: Operation,
        stream: StreamRef,
        key: &ConsumerKey,
    ) -> Result<Permitted, RequestError> {
        let Some(created_secs) = key.created_secs else {
            if stream.account == caller.account {
                return Ok(Permitted(stream));
            }
            // Which second was its registration's is not this caller's to learn.
            let any = format!("{}/consumer/{}:*", stream_arn(&stream), key.name);
            return Err(refused(caller, operation, any));
        };
        let arn = consumer_arn(&stream, &key.name, WallMs(created_secs.saturating_mul(1_000)));
        let is_shared = || {
            let policy = self.by_consumer.get(&arn);
            can_be_shared_of_consumer(operation)
                && policy.is_some_and(|policy| policy.permits(caller.account, operation.name()))
        };
        if stream.account == caller.account || is_shared() {
            return Ok(Permitted(stream));
        }
        Err(refused(caller, operation, arn))
    }
}

fn refused(caller: &Caller, operation: Operation, resource: String) -> RequestError {
    RequestError::OtherAccount { caller: caller.account, resource, operation: operation.name() }
}

/// A policy of the resource of this ARN.
fn read(document: &str, arn: &str) -> Option<Policy> {
    Policy::parse(document, arn)
        .inspect_err(|error| tracing::error!(arn, %error, "a policy does not read: it allows nothing"))
        .ok()
}

/// What Kinesis lets the policy of a consumer open to other accounts.
fn can_be_shared_of_consumer(operation: Operation) -> bool {
    matches!(operation, Operation::DescribeStreamConsumer | Operation::SubscribeToShard)
}

/// What Kinesis lets a policy open to other accounts. Everything else is its owner's, whatever a policy says.
fn can_be_shared(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::DescribeStream
            | Operation::DescribeStreamSummary
            | Operation::GetRecords
            | Operation::GetShardIterator
            | Operation::ListShards
            | Operation::PutRecord
            | Operation::PutRecords
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_core::{
        id::{AccountId, ConsumerName, Region, StreamId, StreamName, TenantName},
        monitoring::ShardLevelMetrics,
    };

    use weir_wire::control::ConsumerPolicy;

    use super::*;

    fn stream() -> StreamRef {
        StreamRef { account: AccountId::DEFAULT, region: Region::US_EAST_1, name: StreamName::new("s") }
    }

    fn caller(account: u64) -> Caller {
        let account = AccountId::new(account).unwrap();
        Caller { account, region: Region::US_EAST_1, tenant: TenantName::new("t") }
    }

    fn policies(document: &str) -> Policies {
        Policies::new(&[StreamSettings {
            id: StreamId(1),
            stream: stream(),
            encrypted_since_ms: None,
            intake: weir_wire::control::Intake::default(),
            metrics: ShardLevelMetrics::NONE,
            policy: Some(document.to_owned()),
            consumers: vec![ConsumerPolicy {
                name: ConsumerName::new("c"),
                created_secs: 5,
                policy: document.to_owned(),
            }],
        }])
    }

    #[test]
    fn an_owner_needs_no_policy_and_no_policy_keeps_it_out() {
        let deny = json!({"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*"}}).to_string();
        for policies in [Policies::default(), policies(&deny)] {
            for &operation in Operation::ALL {
                let permitted = policies.permit(&caller(0), operation, stream()).unwrap();
                assert_eq!(permitted.into_stream(), stream());
            }
        }
    }

    #[test]
    fn a_policy_that_allows_everything_opens_only_what_can_be_shared() {
        let all =
            policies(&json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*"}}).to_string());
        let open = |operation: &&Operation| all.permit(&caller(7), **operation, stream()).is_ok();
        let opened: Vec<_> = Operation::ALL.iter().filter(open).map(|operation| operation.name()).collect();
        assert_eq!(
            opened,
            [
                "DescribeStream",
                "DescribeStreamSummary",
                "GetRecords",
                "GetShardIterator",
                "ListShards",
                "PutRecord",
                "PutRecords",
            ]
        );
        let other = StreamRef { name: StreamName::new("t"), ..stream() };
        assert!(all.permit(&caller(7), Operation::PutRecord, other).is_err(), "another stream");
        let elsewhere = StreamRef { region: "eu-west-1".parse().unwrap(), ..stream() };
        assert!(all.permit(&caller(7), Operation::PutRecord, elsewhere).is_err(), "another region");
    }

    #[test]
    fn a_consumer_is_opened_by_its_own_policy_and_only_by_its_arn() {
        let all =
            policies(&json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*"}}).to_string());
        let key = |name: &str, created_secs| ConsumerKey { name: ConsumerName::new(name), created_secs };
        let open =
            |operation, key: &ConsumerKey| all.permit_consumer(&caller(7), operation, stream(), key).is_ok();
        let opened: Vec<_> =
            Operation::ALL.iter().filter(|&&operation| open(operation, &key("c", Some(5)))).collect();
        assert_eq!(opened, [&Operation::DescribeStreamConsumer, &Operation::SubscribeToShard]);
        for other in [key("c", Some(6)), key("c", None), key("d", Some(5))] {
            assert!(!open(Operation::SubscribeToShard, &other), "{other:?}");
        }
        let owner =
            all.permit_consumer(&caller(0), Operation::DeregisterStreamConsumer, stream(), &key("c", None));
        assert!(owner.is_ok());
    }

    #[test]
    fn a_policy_that_does_not_read_allows_nothing() {
        assert!(policies("no json").permit(&caller(7), Operation::PutRecord, stream()).is_err());
    }
}
