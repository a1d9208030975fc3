//! `UntagResource`: asks the control plane; the answer is empty.

use weir_wire::{control::AttachedChange, kinesis::untag_resource::UntagResourceInput};

use super::{Call, attached};
use crate::{answer::Answer, error::RequestError};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: UntagResourceInput<'_> = call.input()?;
    let resource = call.resource(input.resource_arn.as_deref().expect("it was validated to be there"))?;
    let keys = input.tag_keys.expect("it was validated to be there");
    let keys = keys.iter().map(str::to_owned).collect();
    attached::change(call, resource, AttachedChange::RemoveTags(keys)).await?;
    Ok(Answer::default())
}
