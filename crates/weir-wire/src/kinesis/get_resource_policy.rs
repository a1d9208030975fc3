//! `GetResourcePolicy`: what it takes and tells.

use super::{
    encode::{Encoder, Reply},
    model,
    shape::{Text, structure},
};

structure! {
    /// What `GetResourcePolicy` takes.
    GetResourcePolicyInput {
        /// A stream or a consumer.
        resource_arn: Text<'a> = "ResourceARN", model::RESOURCE_ARN, required;
        /// Reserved by the API: nothing gives it a meaning yet.
        stream_id: Text<'a> = "StreamId", model::STREAM_ID;
    }
}

/// What `GetResourcePolicy` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetResourcePolicyReply {
    /// The policy as it was put; `{}` where there is none.
    pub policy: String,
}

impl Reply for GetResourcePolicyReply {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("Policy");
        out.text(&self.policy);
        out.close_structure();
    }
}
