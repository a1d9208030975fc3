//! `RemoveTagsFromStream`: asks the control plane; the answer is empty.

use weir_wire::{
    control::{AttachedChange, ResourceRef},
    kinesis::remove_tags_from_stream::RemoveTagsFromStreamInput,
};

use super::{Call, attached};
use crate::{answer::Answer, error::RequestError, lookup::selector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: RemoveTagsFromStreamInput<'_> = call.input()?;
    let resource = ResourceRef::Stream(call.stream(selector!(input))?);
    let keys = input.tag_keys.expect("it was validated to be there");
    let keys = keys.iter().map(str::to_owned).collect();
    attached::change(call, resource, AttachedChange::RemoveTags(keys)).await?;
    Ok(Answer::default())
}
