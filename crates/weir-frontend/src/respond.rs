//! The last step: every outcome becomes an answer in Kinesis's words.
//!
//! The only place that maps the front end's errors to Kinesis's codes and texts, by exhaustive match. What is inside Weir
//! goes to the log and never to the caller.

mod usual;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use parking_lot::Mutex;
use rand::RngExt;
use weir_core::{
    calendar::{Date, SECS_PER_DAY},
    clock::WallMs,
    entropy::{self, Rng},
    id::{AccountId, StreamRef},
};
use weir_wire::{
    cell::CellError,
    control::ControlError,
    http::server::{ResponseBody, full, held},
    kinesis::{
        encoding::Encoding,
        error::{ApiError, ErrorCode},
        limits::Scope,
        operation::Operation,
        subscribe_to_shard::{StreamErrorReply, ending_name},
    },
    sigv4::SignatureError,
};

pub(crate) use self::usual::usual;
use crate::{
    answer::Answer,
    call_target::CallTarget,
    error::{ConsumerError, RequestError},
    forward::ForwardError,
    kms::KeyFault,
    lookup::stream_arn,
};

/// Which request it was.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// The same, at length.
const EXTENDED_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
/// Why records are refused that would fill the disk of their node.
const DISK_FULL: &str = "the disk is full, and records are taken again when there is room";

/// What a caller is told about an error. No `_` arm, on purpose.
pub(crate) fn api_error(error: &RequestError) -> ApiError {
    match error {
        RequestError::UnknownOperation => ApiError::bare(ErrorCode::UnknownOperation),
        RequestError::UnsupportedOperation(name) => ApiError::new(
            ErrorCode::UnsupportedOperation,
            format!("The operation {name} is not supported: Weir has no queues and no channels."),
        ),
        RequestError::Signature(error) => ApiError::new(signature_code(error), error.to_string()),
        RequestError::Input(error) => error.clone(),
        RequestError::OtherAccount { caller, resource, operation } => {
            ApiError::new(ErrorCode::AccessDenied, not_authorized(*caller, resource, operation))
        }
        RequestError::DryRun => usual(ErrorCode::DryRunOperation),
        RequestError::TenantBusy { tenant, operation } => {
            ApiError::new(busy_code(*operation), format!("Rate exceeded for tenant {tenant}."))
        }
        RequestError::Injected { code, message } => match message {
            Some(text) => ApiError::new(*code, text.clone()),
            None => usual(*code),
        },
        RequestError::ConnectionCut(_) => internal_failure(), // nobody hears it
        RequestError::CallThrottled { account, operation, scope, target } => {
            ApiError::new(busy_code(*operation), calls_exceeded(*account, *scope, target))
        }
        RequestError::ShardThrottled { stream, shard } => ApiError::new(
            ErrorCode::ProvisionedThroughputExceeded,
            format!("Rate exceeded for shard {shard} in {}.", of(stream)),
        ),
        RequestError::StreamNotFound(stream) => {
            let text = format!("Stream {} under account {} not found.", stream.name, stream.account);
            ApiError::new(ErrorCode::ResourceNotFound, text)
        }
        RequestError::ResourceNotFound(arn) => {
            ApiError::new(ErrorCode::ResourceNotFound, format!("Resource {arn} not found."))
        }
        RequestError::StreamExists(stream) => {
            let text = format!("Stream {} under account {} already exists.", stream.name, stream.account);
            ApiError::new(ErrorCode::ResourceInUse, text)
        }
        RequestError::Consumer(error) => consumer_error(error),
        RequestError::StreamInUse(text) => ApiError::new(ErrorCode::ResourceInUse, text.clone()),
        RequestError::LimitExceeded(text) => ApiError::new(ErrorCode::LimitExceeded, text.clone()),
        RequestError::ShardNotFound { stream, shard } => {
            let text = format!("Shard {shard} in {} does not exist", of(stream));
            ApiError::new(ErrorCode::ResourceNotFound, text)
        }
        RequestError::ShardUnreadable { stream, text } => {
            let text = format!("Could not find shard {text} in {}.", of(stream));
            ApiError::new(ErrorCode::ResourceNotFound, text)
        }
        RequestError::IteratorInvalid | RequestError::IteratorAhead { .. } => {
            ApiError::new(ErrorCode::InvalidArgument, "Invalid ShardIterator.")
        }
        RequestError::IteratorExpired { issued, now, lifetime } => {
            ApiError::new(ErrorCode::ExpiredIterator, expired_iterator(*issued, *now, *lifetime))
        }
        RequestError::Key(fault) => key_error(*fault),
        RequestError::TokenInvalid => ApiError::new(ErrorCode::InvalidArgument, "Invalid NextToken."),
        RequestError::TokenExpired => usual(ErrorCode::ExpiredNextToken),
        RequestError::NoMap | RequestError::ControlNonsense => internal_failure(),
        RequestError::MapExpired(_) | RequestError::OwnerUnknown(_) | RequestError::BetweenShards(_) => {
            unavailable()
        }
        RequestError::AnswersFull => ApiError::new(
            ErrorCode::ServiceUnavailable,
            "The service is temporarily unavailable: too many answers wait to be read.",
        ),
        RequestError::Forward(error) => forward_error(error),
        RequestError::Control(error) => control_error(error),
    }
}

fn not_authorized(caller: AccountId, resource: &str, operation: &str) -> String {
    format!(
        "User: arn:aws:iam::{caller}:root is not authorized to perform: kinesis:{operation} on resource: {resource} \
         because no resource-based policy allows the kinesis:{operation} action"
    )
}

fn consumer_error(error: &ConsumerError) -> ApiError {
    match error {
        ConsumerError::StreamHas(stream) => ApiError::new(
            ErrorCode::ResourceInUse,
            format!(
                "DeleteStream can't delete {} because there are consumers associated with this data stream. To delete {} \
                 anyway, set the EnforceConsumerDeletion parameter to true to force the deletion of all the consumers that \
                 are associated with it.",
                stream_arn(stream),
                stream.name
            ),
        ),
        ConsumerError::NotActive { stream, consumer, created } => ApiError::new(
            ErrorCode::ResourceInUse,
            format!(
                "Consumer {consumer} with creation timestamp {} under stream: {} , account {} is not in ACTIVE status.",
                created.secs(),
                stream.name,
                stream.account
            ),
        ),
        ConsumerError::Gone { stream, consumer } => ApiError::new(
            ErrorCode::ResourceNotFound,
            format!("Consumer {consumer} of {} not found.", of(stream)),
        ),
        ConsumerError::InUse { stream, shard, consumer } => ApiError::new(
            ErrorCode::ResourceInUse,
            format!(
                "Another active subscription exists for this consumer: {}:{}:{shard}:{consumer}",
                stream.account, stream.name
            ),
        ),
        ConsumerError::Full => {
            ApiError::new(ErrorCode::LimitExceeded, "This server serves as many subscriptions as it can.")
        }
        ConsumerError::StartAhead { .. } => {
            ApiError::new(ErrorCode::InvalidArgument, "The sequence number is behind the end of the shard.")
        }
    }
}

/// An error inside an event stream: its name, which the model spells in full, and its payload.
pub(crate) struct StreamException {
    /// What the header says.
    pub(crate) name: &'static str,
    /// The payload.
    pub(crate) reply: StreamErrorReply,
}

/// What a subscriber is told about the end of its stream: Kinesis knows these kinds there.
pub(crate) fn stream_exception(error: &RequestError) -> StreamException {
    let told = api_error(error);
    let (told, name) = match ending_name(told.code) {
        Some(name) => (told, name),
        None => (internal_failure(), "InternalFailureException"),
    };
    StreamException { name, reply: StreamErrorReply { message: told.message.unwrap_or_default() } }
}

/// What a record of `PutRecords` is told: Kinesis knows two codes there. That a disk is full is said all the same: it is for
/// people, whom no repeated call helps.
pub(crate) fn record_error(error: &RequestError) -> ApiError {
    if let RequestError::Forward(ForwardError::Refused { error: CellError::Full, .. }) = error {
        return ApiError::new(ErrorCode::InternalFailure, format!("Internal service failure: {DISK_FULL}."));
    }
    let told = api_error(error);
    match told.code {
        ErrorCode::ProvisionedThroughputExceeded => told,
        _ => internal_failure(),
    }
}

/// Each operation has one code of its own for too much at once, which its SDKs know to wait after.
fn busy_code(operation: Operation) -> ErrorCode {
    match operation {
        Operation::PutRecord
        | Operation::PutRecords
        | Operation::GetRecords
        | Operation::GetShardIterator => ErrorCode::ProvisionedThroughputExceeded,
        Operation::AddTagsToStream
        | Operation::CreateStream
        | Operation::DecreaseStreamRetentionPeriod
        | Operation::DeleteResourcePolicy
        | Operation::DeleteStream
        | Operation::DeregisterStreamConsumer
        | Operation::DescribeAccountSettings
        | Operation::DescribeLimits
        | Operation::DescribeStream
        | Operation::DescribeStreamConsumer
        | Operation::DescribeStreamSummary
        | Operation::DisableEnhancedMonitoring
        | Operation::EnableEnhancedMonitoring
        | Operation::GetResourcePolicy
        | Operation::IncreaseStreamRetentionPeriod
        | Operation::ListShards
        | Operation::ListStreamConsumers
        | Operation::ListStreams
        | Operation::ListTagsForResource
        | Operation::ListTagsForStream
        | Operation::MergeShards
        | Operation::PutResourcePolicy
        | Operation::RegisterStreamConsumer
        | Operation::RemoveTagsFromStream
        | Operation::SplitShard
        | Operation::StartStreamEncryption
        | Operation::StopStreamEncryption
        | Operation::SubscribeToShard
        | Operation::TagResource
        | Operation::UntagResource
        | Operation::UpdateAccountSettings
        | Operation::UpdateMaxRecordSize
        | Operation::UpdateShardCount
        | Operation::UpdateStreamMode
        | Operation::UpdateStreamRecordDistributionStrategy
        | Operation::UpdateStreamWarmThroughput => ErrorCode::LimitExceeded,
    }
}

/// Whose rate of calls is exceeded. Kinesis names the stream where the call names one, also where the rate is the
/// account's.
fn calls_exceeded(account: AccountId, scope: Scope, target: &CallTarget) -> String {
    let CallTarget { stream: Some(stream), shard, consumer } = target else {
        return format!("Rate exceeded for account {account}.");
    };
    let shard = shard.as_deref().unwrap_or_default();
    match scope {
        Scope::Account | Scope::Stream => format!("Rate exceeded for {}.", of(stream)),
        Scope::Shard => format!("Rate exceeded for shard {shard} in {}.", of(stream)),
        Scope::ConsumerAndShard => {
            let consumer = consumer.as_ref().map_or("", |consumer| consumer.name.as_str());
            format!("Rate exceeded for consumer {consumer} of {} and shard {shard}.", of(stream))
        }
    }
}

fn of(stream: &StreamRef) -> String {
    format!("stream {} under account {}", stream.name, stream.account)
}

fn unavailable() -> ApiError {
    usual(ErrorCode::ServiceUnavailable)
}

fn internal_failure() -> ApiError {
    usual(ErrorCode::InternalFailure)
}

fn signature_code(error: &SignatureError) -> ErrorCode {
    match error {
        SignatureError::Missing => ErrorCode::MissingAuthenticationToken,
        SignatureError::Incomplete(_) => ErrorCode::IncompleteSignature,
        SignatureError::Invalid(_) => ErrorCode::InvalidSignature,
        SignatureError::UnknownKey => ErrorCode::UnrecognizedClient,
    }
}

fn key_error(fault: KeyFault) -> ApiError {
    usual(match fault {
        KeyFault::AccessDenied => ErrorCode::KmsAccessDenied,
        KeyFault::Disabled => ErrorCode::KmsDisabled,
        KeyFault::InvalidState => ErrorCode::KmsInvalidState,
        KeyFault::NotFound => ErrorCode::KmsNotFound,
        KeyFault::OptInRequired => ErrorCode::KmsOptInRequired,
        KeyFault::Throttling => ErrorCode::KmsThrottling,
    })
}

/// Where nothing was done the client may simply come again; where nobody knows, it must decide itself.
fn forward_error(error: &ForwardError) -> ApiError {
    match error {
        ForwardError::Unreachable { .. } | ForwardError::Full { .. } => unavailable(),
        ForwardError::Broken { .. } | ForwardError::Timeout { .. } | ForwardError::Nonsense { .. } => {
            internal_failure()
        }
        ForwardError::Refused { error, .. } => match error {
            CellError::NotOwner | CellError::Busy | CellError::Stopping | CellError::Closed => unavailable(),
            CellError::Full => ApiError::new(
                ErrorCode::ServiceUnavailable,
                format!("The service is temporarily unavailable: {DISK_FULL}."),
            ),
            CellError::Storage | CellError::LogUnavailable | CellError::Malformed => internal_failure(),
        },
    }
}

fn control_error(error: &ControlError) -> ApiError {
    match error {
        ControlError::NotFound(what) => {
            ApiError::new(ErrorCode::ResourceNotFound, format!("{what} not found."))
        }
        ControlError::AlreadyExists(what) => {
            ApiError::new(ErrorCode::ResourceInUse, format!("{what} already exists."))
        }
        ControlError::ShardNotFound(shard) => {
            ApiError::new(ErrorCode::ResourceNotFound, format!("Could not find shard {shard}."))
        }
        ControlError::HasConsumers => ApiError::new(ErrorCode::ResourceInUse, "It has consumers."),
        ControlError::InUse(text) => ApiError::new(ErrorCode::ResourceInUse, text.clone()),
        ControlError::LimitExceeded(text) => ApiError::new(ErrorCode::LimitExceeded, text.clone()),
        ControlError::Invalid(text) => ApiError::new(ErrorCode::InvalidArgument, text.clone()),
        ControlError::OtherCluster(_) => internal_failure(), // it answers registrations alone
        ControlError::Full => ApiError::new(
            ErrorCode::ServiceUnavailable,
            "The service is temporarily unavailable: the disk is full, and nothing was changed.",
        ),
        ControlError::Unavailable(_) => unavailable(),
    }
}

fn expired_iterator(issued: WallMs, now: WallMs, lifetime: Duration) -> String {
    format!(
        "Iterator expired. The iterator was created at time {} while right now it is {} which is further in the \
         future than the tolerated delay of {} milliseconds.",
        java_date(issued),
        java_date(now),
        lifetime.as_millis()
    )
}

/// A time as Java's `Date` prints it: `Wed Nov 25 10:44:00 UTC 2020`.
fn java_date(time: WallMs) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, secs) = (time.secs() / SECS_PER_DAY, time.secs() % SECS_PER_DAY);
    let date = Date::of_day(days);
    let (weekday, month) = (DAYS[(days % 7) as usize], MONTHS[(date.month - 1) as usize]);
    let (hour, minute, second) = (secs / 3_600, secs / 60 % 60, secs % 60);
    format!("{weekday} {month} {:02} {hour:02}:{minute:02}:{second:02} UTC {}", date.day, date.year)
}

/// Makes answers and gives each its ids.
pub(crate) struct Responder {
    ids: Mutex<Rng>,
}

impl Responder {
    pub(crate) fn new() -> Self {
        Self { ids: Mutex::new(entropy::seeded(entropy::secret_u64(), "request ids")) }
    }

    /// A served request. Operations without output have an empty body.
    pub(crate) fn answer(&self, encoding: Encoding, answer: Answer) -> Response<ResponseBody> {
        let (content_type, body) = match answer {
            Answer::Whole { body, held: Some(permit) } => (encoding.content_type(), held(body, permit)),
            Answer::Whole { body, held: None } => (encoding.content_type(), full(body)),
            Answer::Stream { content_type, body } => (content_type, body),
        };
        self.respond(StatusCode::OK, content_type, body)
    }

    /// An error in the request's encoding.
    pub(crate) fn refuse(&self, encoding: Encoding, error: &ApiError) -> Response<ResponseBody> {
        let body = encoding.encode(error, 256);
        self.respond(error.code.status(), encoding.content_type(), full(body))
    }

    /// The XML that Kinesis's front door speaks to those who do not speak its API.
    pub(crate) fn refuse_in_xml(&self, code: ErrorCode, message: Option<&str>) -> Response<ResponseBody> {
        let name = code.name();
        let (status, body) = match message {
            Some(text) => {
                (StatusCode::FORBIDDEN, format!("<{name}>\n  <Message>{text}</Message>\n</{name}>\n"))
            }
            None => (StatusCode::NOT_FOUND, format!("<{name}/>\n")),
        };
        self.respond(status, "application/xml", full(body))
    }

    /// Nothing but who says it: to a browser that asks what it may do.
    pub(crate) fn say_nothing(&self) -> Response<ResponseBody> {
        let mut response = Response::new(full(""));
        response.headers_mut().insert(REQUEST_ID, self.ids().0);
        response
    }

    fn respond(
        &self,
        status: StatusCode,
        content_type: &'static str,
        body: ResponseBody,
    ) -> Response<ResponseBody> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let (request_id, extended_id) = self.ids();
        headers.insert(REQUEST_ID, request_id);
        headers.insert(EXTENDED_REQUEST_ID, extended_id);
        response
    }

    /// A random UUID and 72 random bytes in base64.
    fn ids(&self) -> (HeaderValue, HeaderValue) {
        let bytes: [u8; 88] = self.ids.lock().random();
        let (uuid, extended) = bytes.split_at(16);
        let mut text = Vec::with_capacity(36);
        for (at, byte) in uuid.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push(b'-');
            }
            let byte = match at {
                6 => 0x40 | byte & 0x0f, // version 4
                8 => 0x80 | byte & 0x3f, // its variant
                _ => *byte,
            };
            text.extend([byte >> 4, byte & 0x0f].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        }
        (ascii(text), ascii(base64_simd::STANDARD.encode_to_string(extended).into_bytes()))
    }
}

fn ascii(text: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("ids are ASCII")
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Responder")
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use weir_core::{
        effect::Effect,
        id::{AccountId, Region, ShardIndex, StreamName, TenantName},
    };

    use super::*;

    fn stream() -> StreamRef {
        StreamRef { account: AccountId::DEFAULT, region: Region::US_EAST_1, name: StreamName::new("s") }
    }

    fn told(error: RequestError) -> (&'static str, u16, String) {
        let told = api_error(&error);
        (told.code.name(), told.code.status().as_u16(), told.message.unwrap_or_default())
    }

    #[test]
    fn errors_have_kinesis_own_texts() {
        let shard = ShardIndex(5);
        assert_eq!(
            told(RequestError::StreamNotFound(stream())),
            ("ResourceNotFoundException", 400, "Stream s under account 000000000000 not found.".into())
        );
        assert_eq!(
            told(RequestError::StreamExists(stream())),
            ("ResourceInUseException", 400, "Stream s under account 000000000000 already exists.".into())
        );
        assert_eq!(
            told(RequestError::ShardNotFound { stream: stream(), shard }).2,
            "Shard shardId-000000000005 in stream s under account 000000000000 does not exist"
        );
        assert_eq!(
            told(RequestError::ShardThrottled { stream: stream(), shard }),
            (
                "ProvisionedThroughputExceededException",
                400,
                "Rate exceeded for shard shardId-000000000005 in stream s under account 000000000000.".into()
            )
        );
        let calls = |operation, scope, target: &CallTarget| {
            let (account, target) = (AccountId::DEFAULT, target.clone());
            told(RequestError::CallThrottled { account, operation, scope, target })
        };
        assert_eq!(
            calls(Operation::ListStreams, Scope::Account, &CallTarget::default()),
            ("LimitExceededException", 400, "Rate exceeded for account 000000000000.".into())
        );
        let target = CallTarget {
            stream: Some(stream()),
            shard: Some(shard.to_string()),
            consumer: Some(weir_wire::control::ConsumerKey {
                name: weir_core::id::ConsumerName::new("c"),
                created_secs: Some(7),
            }),
        };
        assert_eq!(
            calls(Operation::DescribeStream, Scope::Account, &target),
            ("LimitExceededException", 400, "Rate exceeded for stream s under account 000000000000.".into())
        );
        assert_eq!(
            calls(Operation::GetShardIterator, Scope::Shard, &target),
            (
                "ProvisionedThroughputExceededException",
                400,
                "Rate exceeded for shard shardId-000000000005 in stream s under account 000000000000.".into()
            )
        );
        assert_eq!(
            calls(Operation::ListShards, Scope::ConsumerAndShard, &target).2,
            "Rate exceeded for consumer c of stream s under account 000000000000 and shard shardId-000000000005."
        );
        assert_eq!(
            told(RequestError::IteratorExpired {
                issued: WallMs(1_421_889_722_000),
                now: WallMs(1_606_301_040_000),
                lifetime: Duration::from_secs(300),
            })
            .2,
            "Iterator expired. The iterator was created at time Thu Jan 22 01:22:02 UTC 2015 while right now it is \
             Wed Nov 25 10:44:00 UTC 2020 which is further in the future than the tolerated delay of 300000 \
             milliseconds."
        );
    }

    #[test]
    fn a_stale_map_is_unavailable_and_a_missing_one_a_failure() {
        assert_eq!(told(RequestError::MapExpired(Duration::from_secs(9))).0, "ServiceUnavailable");
        assert_eq!(told(RequestError::MapExpired(Duration::from_secs(9))).1, 503);
        assert_eq!(told(RequestError::OwnerUnknown(stream())).1, 503);
        assert_eq!(told(RequestError::NoMap).0, "InternalFailure");
        assert_eq!(told(RequestError::NoMap).1, 500);
    }

    #[test]
    fn only_errors_that_did_nothing_are_called_unavailable() {
        let node = SocketAddr::from(([127, 0, 0, 1], 1));
        let refused = |error| ForwardError::Refused { node, error };
        for error in [
            ForwardError::Unreachable { node, detail: String::new() },
            ForwardError::Full { node },
            ForwardError::Broken { node },
            ForwardError::Timeout { node, timeout: Duration::ZERO },
            ForwardError::Nonsense { node },
            refused(CellError::NotOwner),
            refused(CellError::Busy),
            refused(CellError::Storage),
            refused(CellError::LogUnavailable),
            refused(CellError::Malformed),
            refused(CellError::Stopping),
            refused(CellError::Closed),
            refused(CellError::Full),
        ] {
            let effect = error.effect();
            let code = forward_error(&error).code;
            assert!(code != ErrorCode::ServiceUnavailable || effect == Effect::None, "{error}");
            assert!(!api_error(&RequestError::Forward(error)).message.unwrap().contains("127.0.0.1"));
        }
    }

    #[test]
    fn a_record_is_throttled_or_failed_and_nothing_else() {
        let throttled = RequestError::ShardThrottled { stream: stream(), shard: ShardIndex(0) };
        assert_eq!(record_error(&throttled).code, ErrorCode::ProvisionedThroughputExceeded);
        assert_eq!(record_error(&RequestError::OwnerUnknown(stream())).code, ErrorCode::InternalFailure);
        let node = SocketAddr::from(([127, 0, 0, 1], 1));
        let full = RequestError::Forward(ForwardError::Refused { node, error: CellError::Full });
        let told = record_error(&full);
        assert_eq!(told.code, ErrorCode::InternalFailure);
        assert!(told.message.unwrap().contains("the disk is full"), "a person is told why");
    }

    #[test]
    fn a_busy_tenant_hears_a_code_that_its_operation_has() {
        let busy = |operation| told(RequestError::TenantBusy { tenant: TenantName::new("t"), operation }).0;
        assert_eq!(busy(Operation::PutRecords), "ProvisionedThroughputExceededException");
        assert_eq!(busy(Operation::GetRecords), "ProvisionedThroughputExceededException");
        assert_eq!(busy(Operation::ListShards), "LimitExceededException");
    }

    #[test]
    fn every_answer_has_ids_of_its_own() {
        let responder = Responder::new();
        let (one, other) = (responder.ids(), responder.ids());
        assert_ne!(one, other);
        let uuid = one.0.to_str().unwrap();
        let parts: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{uuid}");
        assert!(uuid.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f' | '-')), "{uuid}");
        assert_eq!(&uuid[14..15], "4");
        assert_eq!(base64_simd::STANDARD.decode_to_vec(one.1).unwrap().len(), 72);
    }
}
