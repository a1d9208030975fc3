//! `ListTagsForStream`: a page of a stream's tags, by key.

use std::ops::Bound;

use weir_core::limits::TAGS_MAX;
use weir_wire::{
    control::ResourceRef,
    kinesis::list_tags_for_stream::{ListTagsForStreamInput, ListTagsForStreamReply},
};

use super::{Call, SMALL_ANSWER_BYTES, attached};
use crate::{answer::Answer, error::RequestError, lookup::selector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: ListTagsForStreamInput<'_> = call.input()?;
    let resource = ResourceRef::Stream(call.stream(selector!(input))?);
    let all = attached::look(call, resource).await?.tags;
    let most = input.limit.map_or(TAGS_MAX, |limit| usize::try_from(limit).unwrap_or(TAGS_MAX));
    let after = input.exclusive_start_tag_key.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = all.range::<str, _>((after, Bound::Unbounded));
    let page = rest.by_ref().take(most).map(|(key, value)| (key.clone(), value.clone())).collect();
    let reply = ListTagsForStreamReply { tags: page, more: rest.next().is_some() };
    Ok(call.answer(&reply, SMALL_ANSWER_BYTES))
}
