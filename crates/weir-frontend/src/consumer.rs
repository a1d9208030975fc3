//! Which consumer does a request mean?
//!
//! Operations resolve names and ARNs here; the consumer itself is asked for at the control plane. A consumer's ARN is its
//! stream's with `/consumer/NAME:SECONDS` behind it: of two consumers of one name, one after the other, it names one.

use weir_core::clock::WallMs;
use weir_core::id::{ConsumerName, StreamRef};
use weir_wire::{
    control::{ConsumerDescription, ConsumerKey, ResourceRef},
    kinesis::{
        error::{ApiError, ErrorCode},
        register_stream_consumer::ConsumerFacts,
    },
};

use crate::{
    authenticate::Caller,
    error::RequestError,
    lookup::{StreamSelector, stream_arn},
};

/// The members by which an operation's input names a consumer: its ARN, or its stream's ARN and its name, or all three.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConsumerSelector<'a> {
    /// `StreamARN`.
    pub(crate) stream_arn: Option<&'a str>,
    /// `ConsumerName`.
    pub(crate) name: Option<&'a str>,
    /// `ConsumerARN`.
    pub(crate) arn: Option<&'a str>,
}

impl ConsumerSelector<'_> {
    /// The stream and the consumer that are meant.
    pub(crate) fn resolve(&self, caller: &Caller) -> Result<(StreamRef, ConsumerKey), RequestError> {
        let stream = |arn| StreamSelector { name: None, arn: Some(arn) }.resolve(caller);
        let Some(arn) = self.arn else {
            let (Some(stream_arn), Some(name)) = (self.stream_arn, self.name) else {
                return Err(invalid(
                    "Either ConsumerARN or both StreamARN and ConsumerName must be provided.".to_owned(),
                ));
            };
            let key = ConsumerKey { name: ConsumerName::new(name), created_secs: None };
            return Ok((stream(stream_arn)?, key));
        };
        let (own_stream, key) = split_arn(arn);
        if self.stream_arn.is_some_and(|other| other != own_stream) {
            return Err(invalid(format!("StreamARN does not match ConsumerARN {arn}.")));
        }
        if self.name.is_some_and(|other| other != key.name.as_str()) {
            return Err(invalid(format!("ConsumerName does not match ConsumerARN {arn}.")));
        }
        Ok((stream(own_stream)?, key))
    }
}

fn invalid(text: String) -> RequestError {
    ApiError::new(ErrorCode::InvalidArgument, text).into()
}

/// Takes the three members off an input.
macro_rules! consumer_selector {
    ($input:expr) => {
        $crate::consumer::ConsumerSelector {
            stream_arn: $input.stream_arn.as_deref(),
            name: $input.consumer_name.as_deref(),
            arn: $input.consumer_arn.as_deref(),
        }
    };
}
pub(crate) use consumer_selector;

/// Does the ARN of a resource name a consumer?
pub(crate) fn is_consumer_arn(arn: &str) -> bool {
    arn.contains("/consumer/")
}

/// The stream's ARN and the consumer of an ARN whose form was checked.
fn split_arn(arn: &str) -> (&str, ConsumerKey) {
    let (stream, consumer) = arn.rsplit_once("/consumer/").unwrap_or((arn, ""));
    let (name, secs) = consumer.rsplit_once(':').unwrap_or((consumer, ""));
    // More digits than a clock has: no consumer was ever registered then.
    let created_secs = Some(secs.parse().unwrap_or(u64::MAX));
    (stream, ConsumerKey { name: ConsumerName::new(name), created_secs })
}

/// The ARN of a consumer of `stream`.
pub(crate) fn consumer_arn(stream: &StreamRef, name: &ConsumerName, created: WallMs) -> String {
    format!("{}/consumer/{name}:{}", stream_arn(stream), created.secs())
}

/// The ARN of what can have tags and a policy.
pub(crate) fn resource_arn(resource: &ResourceRef) -> String {
    match resource {
        ResourceRef::Stream(stream) => stream_arn(stream),
        ResourceRef::Consumer { stream, key } => {
            let created = WallMs(key.created_secs.unwrap_or_default().saturating_mul(1_000));
            consumer_arn(stream, &key.name, created)
        }
    }
}

/// A consumer as it is shown.
pub(crate) fn consumer_facts(stream: &StreamRef, consumer: &ConsumerDescription) -> ConsumerFacts {
    let created = WallMs(consumer.created_ms);
    ConsumerFacts {
        name: consumer.name.as_str().to_owned(),
        arn: consumer_arn(stream, &consumer.name, created),
        status: consumer.status.name(),
        created,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/s";

    fn resolve(
        stream_arn: Option<&str>,
        name: Option<&str>,
        arn: Option<&str>,
    ) -> Result<(String, ConsumerKey), String> {
        let admitted = crate::throttle::tests::admitted();
        let resolved = ConsumerSelector { stream_arn, name, arn }.resolve(admitted.caller());
        resolved.map(|(stream, key)| (stream_arn_of(&stream), key)).map_err(|error| error.to_string())
    }

    fn stream_arn_of(stream: &StreamRef) -> String {
        stream_arn(stream)
    }

    #[test]
    fn a_consumer_is_named_by_its_arn_or_by_its_stream_and_its_name() {
        let arn = format!("{STREAM}/consumer/c:1606300000");
        let by_arn = ConsumerKey { name: ConsumerName::new("c"), created_secs: Some(1_606_300_000) };
        assert_eq!(resolve(None, None, Some(&arn)), Ok((STREAM.to_owned(), by_arn.clone())));
        assert_eq!(resolve(Some(STREAM), Some("c"), Some(&arn)), Ok((STREAM.to_owned(), by_arn)));
        let by_name = ConsumerKey { name: ConsumerName::new("c"), created_secs: None };
        assert_eq!(resolve(Some(STREAM), Some("c"), None), Ok((STREAM.to_owned(), by_name)));
    }

    #[test]
    fn half_a_name_and_two_that_differ_are_refused() {
        let arn = format!("{STREAM}/consumer/c:1606300000");
        let other = "arn:aws:kinesis:eu-west-1:000000000000:stream/t";
        for (stream_arn, name, arn) in [
            (None, None, None),
            (Some(STREAM), None, None),
            (None, Some("c"), None),
            (Some(other), None, Some(arn.as_str())),
            (None, Some("d"), Some(arn.as_str())),
        ] {
            assert!(resolve(stream_arn, name, arn).unwrap_err().contains("InvalidArgument"));
        }
    }

    #[test]
    fn an_arn_is_what_it_was_made_of() {
        let admitted = crate::throttle::tests::admitted();
        let (stream, _) = ConsumerSelector { stream_arn: Some(STREAM), name: Some("c"), arn: None }
            .resolve(admitted.caller())
            .unwrap();
        let arn = consumer_arn(&stream, &ConsumerName::new("a.b"), WallMs(1_606_300_000_999));
        assert_eq!(arn, format!("{STREAM}/consumer/a.b:1606300000"));
        assert_eq!(
            split_arn(&arn),
            (STREAM, ConsumerKey { name: ConsumerName::new("a.b"), created_secs: Some(1_606_300_000) })
        );
    }
}
