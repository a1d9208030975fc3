//! `UpdateStreamWarmThroughput`: asks the control plane, which splits or merges shards to be ready for it.

use weir_wire::{
    control::StreamChange,
    kinesis::update_stream_warm_throughput::{
        UpdateStreamWarmThroughputInput, UpdateStreamWarmThroughputReply, WarmThroughput,
    },
};

use super::{Call, SMALL_ANSWER_BYTES, change::change};
use crate::{
    answer::Answer,
    error::RequestError,
    lookup::{selector, stream_arn},
};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: UpdateStreamWarmThroughputInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    let target = mib_per_second(input.warm_throughput.expect("it was validated to be there"));
    let (stream_arn, stream_name) = (stream_arn(&stream), stream.name.as_str().to_owned());
    let changed = change(call, stream, StreamChange::SetWarmThroughput { mibps: target }).await?;
    let open = changed.shards.iter().filter(|shard| shard.is_open()).count();
    let current = u32::try_from(open).expect("shards of a stream are bounded");
    let warm_throughput = WarmThroughput { target, current };
    let reply = UpdateStreamWarmThroughputReply { stream_arn, stream_name, warm_throughput };
    Ok(call.answer(&reply, SMALL_ANSWER_BYTES))
}

/// A number of the model, which has 32 bits and is not below 0.
pub(super) fn mib_per_second(number: i64) -> u32 {
    u32::try_from(number).expect("it was validated to be at least 0 and read as 32 bits")
}
