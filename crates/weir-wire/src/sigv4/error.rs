//! What is wrong with a request's proof, in AWS's words.
//!
//! Made by [`super::Presented`], mapped to an answer by the front end. The texts are shown to callers: they tell what the
//! caller sent and never anything secret.

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Neither an `Authorization` header nor a signed query (`MissingAuthenticationTokenException`).
    #[error("Missing Authentication Token")]
    Missing,
    /// A part of the proof is missing or has no form (`IncompleteSignatureException`).
    #[error("{0}")]
    Incomplete(String),
    /// The proof has form and does not hold (`InvalidSignatureException`).
    #[error("{0}")]
    Invalid(String),
    /// The access key is not known (`UnrecognizedClientException`).
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
}

impl SignatureError {
    /// The signature is another than the one that the request has.
    pub fn mismatch() -> Self {
        Self::Invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS \
             Secret Access Key and signing method. Consult the service documentation for details."
                .to_owned(),
        )
    }
}
