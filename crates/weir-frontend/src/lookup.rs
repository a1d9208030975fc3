//! Which stream does a request mean, and is it there?
//!
//! Operations resolve names and ARNs here and look the stream up in the shard map. A stream that the map does not have is
//! asked for at the control plane, only to tell "does not exist" from "not now"; such answers are kept for a moment, so
//! that a client that insists costs the control plane one question and not thousands.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use weir_core::{
    clock::{Clock, Monotonic, WallMs},
    id::{AccountId, Region, StreamName, StreamRef},
    limits::RESHARD_WAIT,
    shard::OwnedShard,
};
use weir_wire::{
    control::{
        ConsumerCall, ConsumerDescription, ConsumerKey, Control, ControlError, ControlReply, ControlRequest,
        StreamDescription, StreamStatus,
    },
    kinesis::{
        error::{ApiError, ErrorCode},
        validate::null_member,
    },
};

use crate::{
    authenticate::Caller,
    error::RequestError,
    iterator::ShardIterator,
    shard_map::{ShardMap, StreamShards},
};

/// How long an answer about a stream that the map does not have is kept. Shorter than anybody waits between looking and
/// trying again.
const MISS_TTL: Duration = Duration::from_millis(200);
/// Such answers that are kept.
const MISSES_MAX: usize = 1_024;

/// The members by which an operation's input names a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamSelector<'a> {
    /// `StreamName`.
    pub(crate) name: Option<&'a str>,
    /// `StreamARN`.
    pub(crate) arn: Option<&'a str>,
}

/// Takes the two members off an input.
macro_rules! selector {
    ($input:expr) => {
        $crate::lookup::StreamSelector {
            name: $input.stream_name.as_deref(),
            arn: $input.stream_arn.as_deref(),
        }
    };
}
pub(crate) use selector;

impl StreamSelector<'_> {
    /// The stream that is meant. Whether the caller may use it is the gate's to say, before anything else is.
    pub(crate) fn resolve(&self, caller: &Caller) -> Result<StreamRef, RequestError> {
        let Caller { account, region, .. } = *caller;
        let Some(arn) = self.arn else {
            let name = self.name.ok_or_else(|| null_member("streamName"))?;
            return Ok(StreamRef { account, region, name: StreamName::new(name) });
        };
        let stream = stream_of_arn(arn, caller)?;
        if let Some(other) = self.name.filter(|other| *other != stream.name.as_str()) {
            let text = format!("StreamName {other} does not match StreamARN {arn}.");
            return Err(ApiError::new(ErrorCode::InvalidArgument, text).into());
        }
        Ok(stream)
    }
}

/// The stream of an ARN whose form was checked; one of a queue or a channel names none.
pub(crate) fn stream_of_arn(arn: &str, caller: &Caller) -> Result<StreamRef, RequestError> {
    let (region, account, name) = split_arn(arn);
    if name.is_empty() {
        return Err(RequestError::ResourceNotFound(arn.to_owned()));
    }
    let (account, name) = (account.unwrap_or(caller.account), StreamName::new(name));
    match region {
        Some(region) => Ok(StreamRef { account, region, name }),
        // No stream can be where no region can.
        None => Err(RequestError::StreamNotFound(StreamRef { account, region: caller.region, name })),
    }
}

/// Region, account and stream name of an ARN whose form was checked.
pub(crate) fn split_arn(arn: &str) -> (Option<Region>, Option<AccountId>, &str) {
    let mut fields = arn.splitn(6, ':');
    let region = fields.nth(3).and_then(|region| region.parse().ok());
    let account = fields.next().and_then(|account| account.parse().ok());
    let name = fields.next().and_then(|resource| resource.strip_prefix("stream/")).unwrap_or("");
    (region, account, name)
}

/// The ARN of a stream.
pub(crate) fn stream_arn(stream: &StreamRef) -> String {
    format!("arn:aws:kinesis:{}:{}:stream/{}", stream.region, stream.account, stream.name)
}

/// Looks streams up.
pub(crate) struct Lookup {
    control: Control,
    clock: Clock,
    misses: Mutex<HashMap<StreamRef, Miss>>,
}

/// What the control plane said of a stream that the map does not have.
#[derive(Debug, Clone)]
struct Miss {
    at: Monotonic,
    error: RequestError,
}

impl Lookup {
    pub(crate) fn new(control: Control, clock: Clock) -> Self {
        Self { control, clock, misses: Mutex::default() }
    }

    /// The stream in this map, or why it is not there.
    pub(crate) async fn in_map<'m>(
        &self,
        map: &'m ShardMap,
        stream: &StreamRef,
    ) -> Result<&'m StreamShards, RequestError> {
        match map.stream(stream) {
            Some(shards) => Ok(shards),
            None => Err(self.why_missing(stream).await),
        }
    }

    /// The stream that an iterator was made of. One of the same name that came after it is another stream.
    pub(crate) async fn of_iterator<'m>(
        &self,
        map: &'m ShardMap,
        iterator: &ShardIterator,
    ) -> Result<&'m StreamShards, RequestError> {
        if let Some(shards) = map.stream_by_id(iterator.key.stream) {
            return Ok(shards);
        }
        let stream = iterator.stream.clone();
        let gone = |stream| RequestError::ShardNotFound { stream, shard: iterator.key.shard };
        if map.stream(&stream).is_some() {
            return Err(gone(stream));
        }
        match self.why_missing(&stream).await {
            RequestError::StreamNotFound(stream) => Err(gone(stream)),
            other => Err(other),
        }
    }

    /// Why nobody serves a stream: it is coming or going, is not there at all, or has lost an owner.
    pub(crate) async fn why_missing(&self, stream: &StreamRef) -> RequestError {
        let now = self.clock.now();
        if let Some(miss) = self.misses.lock().get(stream).filter(|miss| now.since(miss.at) < MISS_TTL) {
            return miss.error.clone();
        }
        let error = match self.describe(stream).await {
            // Kinesis does not find a stream before it is active, nor once it is being deleted.
            Ok(known) if matches!(known.status, StreamStatus::Creating | StreamStatus::Deleting) => {
                RequestError::StreamNotFound(stream.clone())
            }
            Ok(known) if is_new(&known, self.clock.wall()) => RequestError::BetweenShards(stream.clone()),
            Ok(_) => RequestError::OwnerUnknown(stream.clone()),
            Err(error) => error,
        };
        let mut misses = self.misses.lock();
        if misses.len() >= MISSES_MAX {
            misses.retain(|_, miss| now.since(miss.at) < MISS_TTL);
        }
        if misses.len() < MISSES_MAX {
            misses.insert(stream.clone(), Miss { at: now, error: error.clone() });
        }
        error
    }

    /// The stream as the control plane has it.
    pub(crate) async fn describe(&self, stream: &StreamRef) -> Result<Box<StreamDescription>, RequestError> {
        let request = ControlRequest::DescribeStream { stream: stream.clone() };
        match self.ask(request).await {
            Ok(ControlReply::Stream(description)) => Ok(description),
            Ok(_) => Err(RequestError::ControlNonsense),
            Err(ControlError::NotFound(_)) => Err(RequestError::StreamNotFound(stream.clone())),
            Err(error) => Err(RequestError::Control(error)),
        }
    }

    /// Asks about the consumers of a stream.
    pub(crate) async fn consumers(
        &self,
        stream: &StreamRef,
        about: ConsumerCall,
    ) -> Result<ControlReply, RequestError> {
        let request = ControlRequest::Consumers { stream: stream.clone(), about };
        self.ask(request).await.map_err(RequestError::Control)
    }

    /// A consumer as the control plane has it.
    pub(crate) async fn consumer(
        &self,
        stream: &StreamRef,
        key: &ConsumerKey,
    ) -> Result<ConsumerDescription, RequestError> {
        match self.consumers(stream, ConsumerCall::Describe { key: key.clone() }).await? {
            ControlReply::Consumer(consumer) => Ok(consumer),
            _ => Err(RequestError::ControlNonsense),
        }
    }

    /// Asks the control plane.
    pub(crate) async fn ask(&self, request: ControlRequest) -> Result<ControlReply, ControlError> {
        self.control.call(request).await
    }
}

/// Are there shards that this front end cannot be blamed for not having heard of?
fn is_new(stream: &StreamDescription, now: WallMs) -> bool {
    let wait_ms = u64::try_from(RESHARD_WAIT.as_millis()).expect("seconds");
    let closed = |shard: &OwnedShard| shard.closed.map_or(0, |closed| closed.at_ms);
    let newest = stream.shards.iter().map(|shard| shard.created_ms.max(closed(shard))).max();
    newest.is_some_and(|newest| now.0.saturating_sub(newest) <= wait_ms)
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookup").field("misses", &self.misses.lock().len()).finish_non_exhaustive()
    }
}
