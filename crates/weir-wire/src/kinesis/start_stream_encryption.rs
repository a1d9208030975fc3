//! `StartStreamEncryption`: what it takes. Its answer is empty.

use super::{
    model,
    shape::{Text, structure},
};

structure! {
    /// What `StartStreamEncryption` takes.
    StartStreamEncryptionInput {
        /// `KMS`: there is no other.
        encryption_type: Text<'a> = "EncryptionType", model::ENCRYPTION_TYPE, required;
        /// The key with which records are encrypted: its id, its ARN, an alias or an alias's ARN.
        key_id: Text<'a> = "KeyId", model::KEY_ID, required;
        /// The stream.
        stream_name: Text<'a> = "StreamName", model::STREAM_NAME, without ["StreamARN"];
        /// The stream's ARN.
        stream_arn: Text<'a> = "StreamARN", model::STREAM_ARN;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}
