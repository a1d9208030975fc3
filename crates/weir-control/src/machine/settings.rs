//! Settings of a stream: what its owner changes after its creation.
//!
//! Part of the machine. Each change is judged against what the stream is now, and either whole or refused; the texts are
//! Kinesis's own, because only here both the old value and the new one are known. Changes of its shards are in `reshard.rs`.

use weir_core::{
    clock::WallMs,
    id::StreamRef,
    limits::{RETENTION_HOURS_MAX, RETENTION_HOURS_MIN},
};
use weir_wire::control::{ControlError, ControlReply, StreamChange};

use super::{Applied, Machine, streams::describe};
use crate::{config::StreamDelays, state::Stream};

impl Machine {
    pub(super) fn change_stream(
        &mut self,
        wall: WallMs,
        stream: &StreamRef,
        change: StreamChange,
    ) -> Applied {
        let held_until_ms = StreamDelays::held_until_ms(wall, self.state.config.delays.update);
        let Some(at) = self.state.streams.iter().position(|known| known.is(stream)) else {
            return Applied::refused(ControlError::NotFound(format!("stream {}", stream.name)));
        };
        let stream = &mut self.state.streams[at];
        let changed = match change {
            StreamChange::IncreaseRetention { hours } => increase_retention(stream, hours),
            StreamChange::DecreaseRetention { hours } => decrease_retention(stream, hours),
            StreamChange::SplitShard { shard, at: key } => self.split_shard(at, shard, key),
            StreamChange::MergeShards { shard, adjacent } => self.merge_shards(at, shard, adjacent),
            StreamChange::UpdateShardCount { target } => self.update_shard_count(at, target, wall),
        };
        match changed {
            Ok(()) => {
                let stream = &mut self.state.streams[at];
                stream.begin_update(held_until_ms);
                Applied::changed(ControlReply::Stream(Box::new(describe(stream))))
            }
            Err(error) => Applied::refused(error),
        }
    }
}

fn increase_retention(stream: &mut Stream, hours: i64) -> Result<(), ControlError> {
    let hours = retention_hours(hours)?;
    stream.must_be_active()?;
    if hours < stream.retention_hours {
        return Err(ControlError::Invalid(format!(
            "Requested retention period ({hours} hours) for stream {} can not be shorter than existing retention period \
             ({} hours). Use DecreaseRetentionPeriod API.",
            stream.name, stream.retention_hours
        )));
    }
    stream.retention_hours = hours;
    Ok(())
}

fn decrease_retention(stream: &mut Stream, hours: i64) -> Result<(), ControlError> {
    let hours = retention_hours(hours)?;
    stream.must_be_active()?;
    if hours > stream.retention_hours {
        return Err(ControlError::Invalid(format!(
            "Requested retention period ({hours} hours) for stream {} can not be longer than existing retention period \
             ({} hours). Use IncreaseRetentionPeriod API.",
            stream.name, stream.retention_hours
        )));
    }
    stream.retention_hours = hours;
    Ok(())
}

/// A period within Kinesis's bounds.
fn retention_hours(hours: i64) -> Result<u32, ControlError> {
    let (bound, least_or_most, is) = if hours < i64::from(RETENTION_HOURS_MIN) {
        (RETENTION_HOURS_MIN, "Minimum", "short")
    } else if hours > i64::from(RETENTION_HOURS_MAX) {
        (RETENTION_HOURS_MAX, "Maximum", "long")
    } else {
        return Ok(u32::try_from(hours).expect("within two bounds of 32 bits"));
    };
    Err(ControlError::Invalid(format!(
        "{least_or_most} allowed retention period is {bound} hours. Requested retention period ({hours} hours) is too {is}."
    )))
}

#[cfg(test)]
mod tests;
