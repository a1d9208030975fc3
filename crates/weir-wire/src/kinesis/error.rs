//! Kinesis's errors: the code that clients match on, its HTTP status, and the text.
//!
//! Made by decoding, validation and the front end's one map from its own errors (`respond.rs`); written by the encoders.
//! What is inside Weir has no word here.

use http::StatusCode;

/// An error's kind: its `__type` and its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorCode {
    /// The caller may not do this.
    AccessDenied,
    /// The call was a trial, and would have succeeded.
    DryRunOperation,
    /// The iterator is older than five minutes.
    ExpiredIterator,
    /// The paging token is too old.
    ExpiredNextToken,
    /// A part of the signature is missing.
    IncompleteSignature,
    /// Something broke in the service.
    InternalFailure,
    /// An argument makes no sense.
    InvalidArgument,
    /// The signature does not hold.
    InvalidSignature,
    /// The caller may not use the key.
    KmsAccessDenied,
    /// The key is disabled.
    KmsDisabled,
    /// The key is in a state in which it cannot be used.
    KmsInvalidState,
    /// There is no such key.
    KmsNotFound,
    /// The account has no subscription to the key management service.
    KmsOptInRequired,
    /// The key management service is asked too often.
    KmsThrottling,
    /// A quota is met.
    LimitExceeded,
    /// No signature at all.
    MissingAuthenticationToken,
    /// A shard or a tenant is over its rate.
    ProvisionedThroughputExceeded,
    /// The body is larger than any call may be.
    RequestEntityTooLarge,
    /// The body did not come in time.
    RequestTimeout,
    /// The stream is not in a state for this.
    ResourceInUse,
    /// No such stream or shard.
    ResourceNotFound,
    /// The body does not read.
    Serialization,
    /// The service cannot take requests now.
    ServiceUnavailable,
    /// No such operation.
    UnknownOperation,
    /// The access key is not known.
    UnrecognizedClient,
    /// The API has this operation and Weir does not.
    UnsupportedOperation,
    /// A bound of the input does not hold.
    Validation,
}

impl ErrorCode {
    /// Every code, for metrics and documents.
    pub const ALL: [Self; 27] = [
        Self::AccessDenied,
        Self::DryRunOperation,
        Self::ExpiredIterator,
        Self::ExpiredNextToken,
        Self::IncompleteSignature,
        Self::InternalFailure,
        Self::InvalidArgument,
        Self::InvalidSignature,
        Self::KmsAccessDenied,
        Self::KmsDisabled,
        Self::KmsInvalidState,
        Self::KmsNotFound,
        Self::KmsOptInRequired,
        Self::KmsThrottling,
        Self::LimitExceeded,
        Self::MissingAuthenticationToken,
        Self::ProvisionedThroughputExceeded,
        Self::RequestEntityTooLarge,
        Self::RequestTimeout,
        Self::ResourceInUse,
        Self::ResourceNotFound,
        Self::Serialization,
        Self::ServiceUnavailable,
        Self::UnknownOperation,
        Self::UnrecognizedClient,
        Self::UnsupportedOperation,
        Self::Validation,
    ];

    /// The `__type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDeniedException",
            Self::DryRunOperation => "DryRunOperationException",
            Self::ExpiredIterator => "ExpiredIteratorException",
            Self::ExpiredNextToken => "ExpiredNextTokenException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::InternalFailure => "InternalFailure",
            Self::InvalidArgument => "InvalidArgumentException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::KmsAccessDenied => "KMSAccessDeniedException",
            Self::KmsDisabled => "KMSDisabledException",
            Self::KmsInvalidState => "KMSInvalidStateException",
            Self::KmsNotFound => "KMSNotFoundException",
            Self::KmsOptInRequired => "KMSOptInRequired",
            Self::KmsThrottling => "KMSThrottlingException",
            Self::LimitExceeded => "LimitExceededException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::RequestEntityTooLarge => "RequestEntityTooLargeException",
            Self::RequestTimeout => "RequestTimeoutException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::Serialization => "SerializationException",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::UnknownOperation => "UnknownOperationException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::UnsupportedOperation => "UnsupportedOperationException",
            Self::Validation => "ValidationException",
        }
    }

    /// The HTTP status: 400 for all that the caller can mend.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InternalFailure => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::RequestEntityTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::AccessDenied
            | Self::DryRunOperation
            | Self::ExpiredIterator
            | Self::ExpiredNextToken
            | Self::IncompleteSignature
            | Self::InvalidArgument
            | Self::InvalidSignature
            | Self::KmsAccessDenied
            | Self::KmsDisabled
            | Self::KmsInvalidState
            | Self::KmsNotFound
            | Self::KmsOptInRequired
            | Self::KmsThrottling
            | Self::LimitExceeded
            | Self::MissingAuthenticationToken
            | Self::ProvisionedThroughputExceeded
            | Self::ResourceInUse
            | Self::ResourceNotFound
            | Self::Serialization
            | Self::UnknownOperation
            | Self::UnrecognizedClient
            | Self::UnsupportedOperation
            | Self::Validation => StatusCode::BAD_REQUEST,
        }
    }

    /// The member that carries the text. Serialization errors spell it with a capital, in JSON as well as in CBOR.
    pub const fn message_member(self) -> &'static str {
        match self {
            Self::Serialization => "Message",
            _ => "message",
        }
    }
}

/// What a caller is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", .code.name(), .message.as_deref().unwrap_or("no message"))]
pub struct ApiError {
    /// The kind.
    pub code: ErrorCode,
    /// The text; some errors have none.
    pub message: Option<String>,
}

impl ApiError {
    /// An error with a text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// An error without a text.
    pub fn bare(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_and_only_three_kinds_are_not_the_callers() {
        let names: std::collections::BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        let servers: Vec<_> =
            ErrorCode::ALL.into_iter().filter(|code| code.status().is_server_error()).collect();
        assert_eq!(servers, [ErrorCode::InternalFailure, ErrorCode::ServiceUnavailable]);
    }
}
