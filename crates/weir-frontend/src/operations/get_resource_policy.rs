//! `GetResourcePolicy`: the policy as it was put; `{}` where there is none.

use weir_wire::kinesis::get_resource_policy::{GetResourcePolicyInput, GetResourcePolicyReply};

use super::{Call, attached};
use crate::{answer::Answer, error::RequestError};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: GetResourcePolicyInput<'_> = call.input()?;
    let resource = call.resource(input.resource_arn.as_deref().expect("it was validated to be there"))?;
    let policy = attached::look(call, resource).await?.policy.unwrap_or_else(|| "{}".to_owned());
    let bytes = policy.len() * 2;
    Ok(call.answer(&GetResourcePolicyReply { policy }, bytes))
}
