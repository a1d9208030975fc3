//! `DeleteResourcePolicy`: asks the control plane; the answer is empty.

use weir_wire::{control::AttachedChange, kinesis::delete_resource_policy::DeleteResourcePolicyInput};

use super::{Call, attached};
use crate::{answer::Answer, error::RequestError};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: DeleteResourcePolicyInput<'_> = call.input()?;
    let resource = call.resource(input.resource_arn.as_deref().expect("it was validated to be there"))?;
    attached::change(call, resource, AttachedChange::Policy(None)).await?;
    Ok(Answer::default())
}
