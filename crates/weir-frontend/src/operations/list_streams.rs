//! `ListStreams`: a page of the account's streams in the region, by name.

use weir_core::id::StreamName;
use weir_wire::{
    control::{ControlReply, ControlRequest},
    kinesis::list_streams::{ListStreamsInput, ListStreamsReply},
};

use super::{Call, SMALL_ANSWER_BYTES, view};
use crate::{answer::Answer, authenticate::Caller, error::RequestError, page_token, seal::SealKind};

/// Streams of one answer, unless fewer are asked for (AWS).
const STREAMS_MAX: u32 = 100;
/// Bytes of one stream in an answer.
const STREAM_BYTES: usize = 320;

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: ListStreamsInput<'_> = call.input()?;
    let after = match &input.next_token {
        Some(token) => Some(open_token(call, token)?),
        None => input.exclusive_start_stream_name.as_deref().map(StreamName::new),
    };
    let asked = input.limit.map_or(STREAMS_MAX, |limit| u32::try_from(limit).unwrap_or(STREAMS_MAX));
    let Caller { account, region, .. } = *call.caller();
    let request = ControlRequest::ListStreams { account, region, after, limit: asked.min(STREAMS_MAX) };
    let (streams, more) = match call.common.lookup.ask(request).await {
        Ok(ControlReply::Streams { streams, more }) => (streams, more),
        Ok(_) => return Err(RequestError::ControlNonsense),
        Err(error) => return Err(RequestError::Control(error)),
    };
    let next_token = match streams.last() {
        Some(last) if more => {
            let (sealer, place) = (&call.config.sealer, last.stream.name.as_str().as_bytes());
            Some(page_token::seal(sealer, SealKind::ListStreams, call.caller(), call.wall(), place))
        }
        _ => None,
    };
    let streams: Vec<_> = streams.iter().map(|description| view::listed(call, description)).collect();
    let bytes = SMALL_ANSWER_BYTES + streams.len() * STREAM_BYTES;
    call.large_answer(&ListStreamsReply { streams, next_token }, bytes)
}

fn open_token(call: &Call<'_>, token: &str) -> Result<StreamName, RequestError> {
    let sealer = &call.config.sealer;
    let place = page_token::open(sealer, SealKind::ListStreams, call.caller(), call.wall(), token)?;
    String::from_utf8(place).map(StreamName::new).map_err(|_| RequestError::TokenInvalid)
}
