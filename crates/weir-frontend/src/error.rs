//! Everything that can go wrong with a request in the front end, as facts.
//!
//! Made by the steps of the request path, mapped to Kinesis's words in `respond.rs` and nowhere else. Each error says
//! whether the write may have happened.

use std::time::Duration;

use weir_core::{
    clock::WallMs,
    effect::Effect,
    id::{AccountId, ConsumerName, ShardIndex, StreamRef, TenantName},
    sequence::RecordIndex,
};
use weir_wire::{
    control::ControlError,
    kinesis::{
        error::{ApiError, ErrorCode},
        limits::Scope,
        operation::Operation,
    },
    sigv4::SignatureError,
};

use crate::{call_target::CallTarget, forward::ForwardError, kms::KeyFault};

/// Why a request was not served.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// No operation of this API is named.
    #[error("unknown operation")]
    UnknownOperation,
    /// The API has this operation and Weir does not.
    #[error("unsupported operation {0}")]
    UnsupportedOperation(&'static str),
    /// The proof of who sends it is missing or does not hold.
    #[error("signature: {0}")]
    Signature(#[from] SignatureError),
    /// The input does not read, breaks a bound, or makes no sense: already in Kinesis's words.
    #[error("input: {0}")]
    Input(#[from] ApiError),
    /// The caller may not touch what belongs to another account.
    #[error("account {caller} may not use {resource}")]
    OtherAccount {
        /// Who asks.
        caller: AccountId,
        /// For what.
        resource: String,
        /// Which operation.
        operation: &'static str,
    },
    /// The call was a trial, and would have succeeded.
    #[error("a trial that would have succeeded")]
    DryRun,
    /// The tenant has as many requests in flight as one may have.
    #[error("tenant {tenant} has too many requests in flight for another {}", .operation.name())]
    TenantBusy {
        /// Who.
        tenant: TenantName,
        /// What was one too many.
        operation: Operation,
    },
    /// A rule of faults says so.
    #[error("a fault on purpose: {}", .code.name())]
    Injected {
        /// The error.
        code: ErrorCode,
        /// Its text, if it is not the usual one.
        message: Option<String>,
    },
    /// A rule of faults has the connection end without an answer.
    #[error("a fault on purpose: the connection is cut")]
    ConnectionCut(Effect),
    /// The operation is called more often than it may be.
    #[error("too many calls of {} for this {scope}", .operation.name())]
    CallThrottled {
        /// Whose.
        account: AccountId,
        /// What was one too many.
        operation: Operation,
        /// Of what the rate is one.
        scope: Scope,
        /// What the call names.
        target: CallTarget,
    },
    /// The shard is over its limit of records, bytes or calls.
    #[error("shard {shard} of {} is over its limit", .stream.name)]
    ShardThrottled {
        /// The stream.
        stream: StreamRef,
        /// The shard.
        shard: ShardIndex,
    },
    /// There is no such stream.
    #[error("no stream {}", .0.name)]
    StreamNotFound(StreamRef),
    /// An ARN of a queue or a channel.
    #[error("nothing has the ARN {0}")]
    ResourceNotFound(String),
    /// There is one already.
    #[error("there is a stream {} already", .0.name)]
    StreamExists(StreamRef),
    /// The stream's state does not allow this.
    #[error("{0}")]
    StreamInUse(String),
    /// A quota is met.
    #[error("{0}")]
    LimitExceeded(String),
    /// A consumer or its subscription does not allow this.
    #[error("{0}")]
    Consumer(#[from] ConsumerError),
    /// There is no such shard in the stream.
    #[error("no shard {shard} in {}", .stream.name)]
    ShardNotFound {
        /// The stream.
        stream: StreamRef,
        /// The shard.
        shard: ShardIndex,
    },
    /// The text names no shard at all.
    #[error("{text:?} names no shard")]
    ShardUnreadable {
        /// The stream.
        stream: StreamRef,
        /// What came.
        text: String,
    },
    /// The iterator is none of ours.
    #[error("the iterator does not read")]
    IteratorInvalid,
    /// The iterator points behind the end of its shard: made of a number that was never given out, or of one whose record
    /// was lost, as `--durability os` and `memory` allow.
    #[error("the iterator points at record {record}, and the shard ends at {tip}")]
    IteratorAhead {
        /// Where it points.
        record: RecordIndex,
        /// Where the shard ends.
        tip: RecordIndex,
    },
    /// The iterator is too old.
    #[error("the iterator is too old")]
    IteratorExpired {
        /// When it was made.
        issued: WallMs,
        /// The time of the call.
        now: WallMs,
        /// How long an iterator lives.
        lifetime: Duration,
    },
    /// Streams cannot be encrypted with this key.
    #[error("key: {0}")]
    Key(#[from] KeyFault),
    /// The paging token is none of ours.
    #[error("the token does not read")]
    TokenInvalid,
    /// The paging token is too old.
    #[error("the token is too old")]
    TokenExpired,
    /// This server has never had a shard map.
    #[error("there was never a shard map")]
    NoMap,
    /// The shard map is older than it may be.
    #[error("the shard map is {0:?} old")]
    MapExpired(Duration),
    /// The stream exists, but the shard map has no owner for (a part of) it.
    #[error("no owner of {} is known", .0.name)]
    OwnerUnknown(StreamRef),
    /// A shard was closed, or a stream came, and the map has no owner yet for (a part of) what is new.
    #[error("{} is between two sets of shards", .0.name)]
    BetweenShards(StreamRef),
    /// The answers that wait for their clients take all the memory there is for answers.
    #[error("no room for one more large answer")]
    AnswersFull,
    /// The node was not asked or did not do it.
    #[error("node: {0}")]
    Forward(#[from] ForwardError),
    /// The control plane did not do it, for a reason that is not the caller's.
    #[error("control plane: {0}")]
    Control(ControlError),
    /// The control plane answered something else than it was asked.
    #[error("the control plane answered nonsense")]
    ControlNonsense,
}

/// What goes wrong with consumers and their subscriptions. None of it has done anything.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConsumerError {
    /// The stream has consumers, and they were not to go with it.
    #[error("stream {} has consumers", .0.name)]
    StreamHas(StreamRef),
    /// The consumer cannot read yet, or not any more.
    #[error("consumer {consumer} of {} is not active", .stream.name)]
    NotActive {
        /// The stream.
        stream: StreamRef,
        /// The consumer.
        consumer: ConsumerName,
        /// When it was registered.
        created: WallMs,
    },
    /// The consumer is not registered any more.
    #[error("consumer {consumer} of {} is gone", .stream.name)]
    Gone {
        /// The stream.
        stream: StreamRef,
        /// The consumer.
        consumer: ConsumerName,
    },
    /// Another subscription has the consumer's place at this shard.
    #[error("consumer {consumer} is subscribed to {shard} of {} elsewhere", .stream.name)]
    InUse {
        /// The stream.
        stream: StreamRef,
        /// The shard.
        shard: ShardIndex,
        /// The consumer.
        consumer: ConsumerName,
    },
    /// This server serves as many subscriptions as it may.
    #[error("no room for one more subscription")]
    Full,
    /// A subscription was to start behind the end of its shard.
    #[error("a subscription was to start at record {record}, and the shard ends at {tip}")]
    StartAhead {
        /// Where.
        record: RecordIndex,
        /// Where the shard ends.
        tip: RecordIndex,
    },
}

impl RequestError {
    /// May the write have happened? No `_` arm, on purpose.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Forward(error) => error.effect(),
            Self::ConnectionCut(effect) => *effect,
            Self::Control(ControlError::Unavailable(_)) | Self::ControlNonsense => Effect::Unknown,
            Self::Control(
                ControlError::NotFound(_)
                | ControlError::AlreadyExists(_)
                | ControlError::InUse(_)
                | ControlError::ShardNotFound(_)
                | ControlError::HasConsumers
                | ControlError::LimitExceeded(_)
                | ControlError::Invalid(_)
                | ControlError::OtherCluster(_)
                | ControlError::Full,
            )
            | Self::UnknownOperation
            | Self::UnsupportedOperation(_)
            | Self::Signature(_)
            | Self::Input(_)
            | Self::OtherAccount { .. }
            | Self::DryRun
            | Self::TenantBusy { .. }
            | Self::Injected { .. }
            | Self::CallThrottled { .. }
            | Self::ShardThrottled { .. }
            | Self::StreamNotFound(_)
            | Self::ResourceNotFound(_)
            | Self::StreamExists(_)
            | Self::StreamInUse(_)
            | Self::LimitExceeded(_)
            | Self::Consumer(_)
            | Self::ShardNotFound { .. }
            | Self::ShardUnreadable { .. }
            | Self::IteratorInvalid
            | Self::IteratorAhead { .. }
            | Self::IteratorExpired { .. }
            | Self::Key(_)
            | Self::TokenInvalid
            | Self::TokenExpired
            | Self::NoMap
            | Self::MapExpired(_)
            | Self::OwnerUnknown(_)
            | Self::BetweenShards(_)
            | Self::AnswersFull => Effect::None,
        }
    }
}
