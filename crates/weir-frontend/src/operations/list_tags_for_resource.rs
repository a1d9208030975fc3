//! `ListTagsForResource`: all tags of a stream or a consumer, by key.

use weir_wire::kinesis::list_tags_for_resource::{ListTagsForResourceInput, ListTagsForResourceReply};

use super::{Call, SMALL_ANSWER_BYTES, attached};
use crate::{answer::Answer, error::RequestError};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: ListTagsForResourceInput<'_> = call.input()?;
    let resource = call.resource(input.resource_arn.as_deref().expect("it was validated to be there"))?;
    let tags = attached::look(call, resource).await?.tags.into_iter().collect();
    Ok(call.answer(&ListTagsForResourceReply { tags }, SMALL_ANSWER_BYTES))
}
