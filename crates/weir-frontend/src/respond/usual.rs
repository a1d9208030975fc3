//! The text that an error has whatever its reason: where no stream, shard or member is to be named.
//!
//! `respond.rs` takes it for errors that always say the same, and for those that a rule of faults makes up without a text.
//! Where Kinesis's own text would name something, the service model's word for the kind of error stands here.

use weir_wire::{
    kinesis::error::{ApiError, ErrorCode},
    sigv4::SignatureError,
};

/// An error of this kind with its usual text. `UnknownOperationException` has none: Kinesis sends nothing but its name.
pub(crate) fn usual(code: ErrorCode) -> ApiError {
    let text = match code {
        ErrorCode::UnknownOperation => return ApiError::bare(code),
        ErrorCode::MissingAuthenticationToken => {
            return ApiError::new(code, SignatureError::Missing.to_string());
        }
        ErrorCode::InvalidSignature => return ApiError::new(code, SignatureError::mismatch().to_string()),
        ErrorCode::UnrecognizedClient => return ApiError::new(code, SignatureError::UnknownKey.to_string()),
        ErrorCode::AccessDenied => "You do not have the permissions required to perform this operation.",
        ErrorCode::DryRunOperation => "The request was rejected because the DryRun parameter was specified.",
        ErrorCode::ExpiredIterator => "The provided iterator exceeds the maximum age allowed.",
        ErrorCode::ExpiredNextToken => "The NextToken has expired.",
        ErrorCode::IncompleteSignature => "The request signature does not conform to AWS standards.",
        ErrorCode::InternalFailure => "Internal service failure.",
        ErrorCode::InvalidArgument => {
            "A specified parameter exceeds its restrictions, is not supported, or can't be used."
        }
        ErrorCode::KmsAccessDenied => {
            "The ciphertext references a key that doesn't exist or that you don't have access to."
        }
        ErrorCode::KmsDisabled => "The request was rejected because the specified KMS key isn't enabled.",
        ErrorCode::KmsInvalidState => {
            "The request was rejected because the state of the specified resource isn't valid for this request."
        }
        ErrorCode::KmsNotFound => {
            "The request was rejected because the specified entity or resource can't be found."
        }
        ErrorCode::KmsOptInRequired => "The AWS access key ID needs a subscription for the service.",
        ErrorCode::KmsThrottling => "The request was denied due to request throttling.",
        ErrorCode::LimitExceeded => {
            "The requested resource exceeds the maximum number allowed, or the number of concurrent stream requests \
             exceeds the maximum number allowed."
        }
        ErrorCode::ProvisionedThroughputExceeded => {
            "The request rate for the stream is too high, or the requested data is too large for the available \
             throughput. Reduce the frequency or size of your requests."
        }
        ErrorCode::RequestEntityTooLarge => "The request body is too large.",
        ErrorCode::RequestTimeout => "The request body did not arrive in time.",
        ErrorCode::ResourceInUse => {
            "The resource is not available for this operation. For successful operation, the resource must be in the \
             ACTIVE state."
        }
        ErrorCode::ResourceNotFound => {
            "The requested resource could not be found. The stream might not be specified correctly."
        }
        ErrorCode::Serialization => "The request body could not be read.",
        ErrorCode::ServiceUnavailable => "The service is temporarily unavailable.",
        ErrorCode::UnsupportedOperation => "The operation is not supported.",
        ErrorCode::Validation => "The input fails to satisfy the constraints specified by the service.",
    };
    ApiError::new(code, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_text_but_the_one_that_kinesis_sends_bare() {
        for code in ErrorCode::ALL {
            let told = usual(code);
            let has_text = told
                .message
                .is_some_and(|text| text.ends_with('.') || text == "Missing Authentication Token");
            assert_eq!((told.code, has_text), (code, code != ErrorCode::UnknownOperation), "{code:?}");
        }
    }
}
