//! `TagResource`: asks the control plane; the answer is empty.

use weir_wire::{control::AttachedChange, kinesis::tag_resource::TagResourceInput};

use super::{Call, attached};
use crate::{answer::Answer, error::RequestError};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: TagResourceInput<'_> = call.input()?;
    let resource = call.resource(input.resource_arn.as_deref().expect("it was validated to be there"))?;
    let tags = input.tags.expect("it was validated to be there");
    let tags = tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    attached::change(call, resource, AttachedChange::AddTags(tags)).await?;
    Ok(Answer::default())
}
