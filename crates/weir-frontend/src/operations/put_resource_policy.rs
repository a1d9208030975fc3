//! `PutResourcePolicy`: checks the document and gives it to the control plane; the answer is empty.

use weir_wire::{
    control::AttachedChange,
    kinesis::{
        error::{ApiError, ErrorCode},
        put_resource_policy::PutResourcePolicyInput,
    },
};

use super::{Call, attached};
use crate::{answer::Answer, consumer::resource_arn, error::RequestError, policy::Policy};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: PutResourcePolicyInput<'_> = call.input()?;
    let arn = input.resource_arn.as_deref().expect("it was validated to be there");
    let resource = call.resource(arn)?;
    let document = input.policy.as_deref().expect("it was validated to be there");
    // As front ends will read it, not as the caller spelled the ARN.
    Policy::parse(document, &resource_arn(&resource))
        .map_err(|error| ApiError::new(ErrorCode::InvalidArgument, error.to_string()))?;
    attached::change(call, resource, AttachedChange::Policy(Some(document.to_owned()))).await?;
    Ok(Answer::default())
}
