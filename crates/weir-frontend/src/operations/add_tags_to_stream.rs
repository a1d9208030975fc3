//! `AddTagsToStream`: asks the control plane; the answer is empty.

use weir_wire::{
    control::{AttachedChange, ResourceRef},
    kinesis::add_tags_to_stream::AddTagsToStreamInput,
};

use super::{Call, attached};
use crate::{answer::Answer, error::RequestError, lookup::selector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: AddTagsToStreamInput<'_> = call.input()?;
    let resource = ResourceRef::Stream(call.stream(selector!(input))?);
    let tags = input.tags.expect("it was validated to be there");
    let tags = tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    attached::change(call, resource, AttachedChange::AddTags(tags)).await?;
    Ok(Answer::default())
}
