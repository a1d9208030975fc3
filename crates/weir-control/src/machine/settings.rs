//! Settings of a stream: what its owner changes after its creation.
//!
//! Part of the machine. Each change is judged against what the stream is now, and either whole or refused; the texts are
//! Kinesis's own where they are known, because only here both the old value and the new one are. Changes of its shards are
//! in `reshard.rs`.

use std::num::NonZeroU32;

use weir_core::{
    clock::WallMs,
    id::StreamRef,
    limits::{
        ON_DEMAND_SHARDS, RECORD_KIB, RETENTION_HOURS_MAX, RETENTION_HOURS_MIN, SETTING_CHANGES_PERIOD,
        SHARDS_PER_STREAM_MAX,
    },
    monitoring::ShardLevelMetrics,
};
use weir_wire::{
    control::{
        CommitmentStatus, ConsumerPolicy, ControlError, ControlReply, Intake, StreamChange, StreamSettings,
    },
    kinesis::limits::Limit,
};

use super::{Applied, Machine, streams::describe};
use crate::{
    config::StreamDelays,
    state::{Consumer, Stream},
};

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
        let limits = &self.state.config.shared.limits;
        let (most, mode_changes) = (limits.quota(Limit::EncryptionChanges), limits.quota(Limit::ModeChanges));
        let known = &mut self.state.streams[at];
        let (before, settings) = (known.metrics, settings_of(known));
        let changed = match change {
            StreamChange::IncreaseRetention { hours } => increase_retention(known, hours),
            StreamChange::DecreaseRetention { hours } => decrease_retention(known, hours),
            StreamChange::StartEncryption { key } => start_encryption(known, wall, most, key),
            StreamChange::StopEncryption { .. } => stop_encryption(known, wall, most),
            StreamChange::EnableMonitoring { metrics } => monitor(known, before.with(metrics)),
            StreamChange::DisableMonitoring { metrics } => monitor(known, before.without(metrics)),
            StreamChange::SetRecordSize { kib } => set_record_size(known, kib),
            StreamChange::SetMode { on_demand, warm_mibps } => {
                self.set_mode(at, wall, mode_changes, on_demand, warm_mibps)
            }
            StreamChange::SetWarmThroughput { mibps } => self.set_warm_throughput(at, wall, mibps),
            StreamChange::SetSpread { on } => set_spread(known, on),
            StreamChange::SplitShard { shard, at: key } => {
                self.split_shard(at, shard, key).map(|()| Told::Stream)
            }
            StreamChange::MergeShards { shard, adjacent } => {
                self.merge_shards(at, shard, adjacent).map(|()| Told::Stream)
            }
            StreamChange::UpdateShardCount { target } => {
                self.update_shard_count(at, target, wall).map(|()| Told::Stream)
            }
        };
        match changed {
            Ok(told) => {
                if settings_of(&self.state.streams[at]) != settings {
                    self.state.streams[at].settings_revision = self.next_revision();
                }
                let known = &mut self.state.streams[at];
                known.begin_update(held_until_ms);
                Applied::changed(match told {
                    Told::Stream => ControlReply::Stream(Box::new(describe(known))),
                    Told::Monitoring => ControlReply::Monitoring { before, after: known.metrics },
                })
            }
            Err(error) => Applied::refused(error),
        }
    }
}

impl Machine {
    /// Changes the mode and, where that is said, what the stream is kept ready for: both or neither.
    fn set_mode(
        &mut self,
        at: usize,
        wall: WallMs,
        most: usize,
        on_demand: bool,
        warm_mibps: Option<u32>,
    ) -> Result<Told, ControlError> {
        let before = self.state.streams[at].clone();
        let changed = self.switch_mode(at, wall, most, on_demand).and_then(|told| match warm_mibps {
            Some(mibps) => self.set_warm_throughput(at, wall, mibps),
            None => Ok(told),
        });
        if changed.is_err() {
            self.state.streams[at] = before;
        }
        changed
    }

    fn switch_mode(
        &mut self,
        at: usize,
        wall: WallMs,
        most: usize,
        on_demand: bool,
    ) -> Result<Told, ControlError> {
        let stream = &self.state.streams[at];
        stream.must_be_active()?;
        if stream.on_demand == on_demand {
            return Ok(Told::Stream);
        }
        if on_demand {
            self.check_on_demand_quota(&stream.reference())?;
        } else {
            let open = u32::try_from(stream.open_shards().len()).expect("shards are bounded");
            self.check_shard_quotas(&stream.reference(), false, open, 0)?;
        }
        let stream = &mut self.state.streams[at];
        count_change(&mut stream.mode_changed_ms, wall, most, "UpdateStreamMode")?;
        stream.on_demand = on_demand;
        // Only an on-demand stream spreads, and is kept ready.
        stream.intake.spread &= on_demand;
        stream.warm_mibps = stream.warm_mibps.filter(|_| on_demand);
        self.traffic.forget(stream.id);
        Ok(Told::Stream)
    }

    /// Splits or merges until the stream can take in so much. Traffic makes it grow from there as ever.
    fn set_warm_throughput(&mut self, at: usize, wall: WallMs, mibps: u32) -> Result<Told, ControlError> {
        let stream = &self.state.streams[at];
        stream.must_be_active()?;
        let shards = self.check_warm_throughput(wall, &stream.reference(), stream.on_demand, Some(mibps))?;
        let target = NonZeroU32::new(shards).expect("as many as a new stream has at least");
        if stream.open_shards().len() != shards as usize {
            self.scale(at, target)?;
        }
        self.state.streams[at].warm_mibps = Some(mibps);
        Ok(Told::Stream)
    }

    /// How many shards a stream needs that is to take in so much; 0 where nothing is said of it.
    pub(super) fn check_warm_throughput(
        &self,
        wall: WallMs,
        stream: &StreamRef,
        on_demand: bool,
        mibps: Option<u32>,
    ) -> Result<u32, ControlError> {
        let Some(mibps) = mibps else { return Ok(0) };
        if !on_demand {
            return Err(ControlError::Invalid(format!(
                "Warm throughput is only supported for streams in ON_DEMAND mode; stream {} under account {} is in \
                 PROVISIONED mode.",
                stream.name, stream.account
            )));
        }
        if self.commitment(wall, stream.account, stream.region).status == CommitmentStatus::Disabled {
            return Err(ControlError::Invalid(format!(
                "Warm throughput is only supported for accounts with MinimumThroughputBillingCommitment enabled; it is not \
                 for account {}.",
                stream.account
            )));
        }
        // A shard takes in one MiB a second.
        if mibps > SHARDS_PER_STREAM_MAX {
            return Err(ControlError::LimitExceeded(format!(
                "Warm throughput cannot be greater than {SHARDS_PER_STREAM_MAX} MiB per second. Requested: {mibps}."
            )));
        }
        Ok(mibps.max(ON_DEMAND_SHARDS))
    }

    /// The revision of settings that are others from now on.
    pub(super) fn next_revision(&mut self) -> u64 {
        self.state.settings_revision += 1;
        self.state.settings_revision
    }

    /// What front ends must know of streams that are not as new ones are.
    pub(super) fn stream_settings(&self) -> Vec<StreamSettings> {
        self.state.streams.iter().map(settings_of).filter(|settings| !settings.is_default()).collect()
    }
}

/// What front ends must know of it.
pub(super) fn settings_of(stream: &Stream) -> StreamSettings {
    StreamSettings {
        id: stream.id,
        stream: stream.reference(),
        encrypted_since_ms: stream.encryption.key.is_some().then_some(stream.encryption.since_ms),
        intake: stream.intake,
        metrics: stream.metrics,
        policy: stream.attached.policy.clone(),
        consumers: stream.consumers.iter().filter_map(consumer_policy).collect(),
    }
}

fn consumer_policy(consumer: &Consumer) -> Option<ConsumerPolicy> {
    let (name, created_secs) = (consumer.name.clone(), consumer.created_ms / 1_000);
    let policy = consumer.attached.policy.clone()?;
    Some(ConsumerPolicy { name, created_secs, policy })
}

/// What the caller hears of a change.
enum Told {
    Stream,
    Monitoring,
}

fn increase_retention(stream: &mut Stream, hours: i64) -> Result<Told, ControlError> {
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
    Ok(Told::Stream)
}

fn decrease_retention(stream: &mut Stream, hours: i64) -> Result<Told, ControlError> {
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
    Ok(Told::Stream)
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

fn set_record_size(stream: &mut Stream, kib: u32) -> Result<Told, ControlError> {
    stream.must_be_active()?;
    check_record_size(kib)?;
    stream.intake.record_kib_max = kib;
    Ok(Told::Stream)
}

fn set_spread(stream: &mut Stream, on: bool) -> Result<Told, ControlError> {
    stream.must_be_active()?;
    check_spread(&stream.reference(), on, stream.on_demand)?;
    stream.intake.spread = on;
    Ok(Told::Stream)
}

/// May records come into the stream so?
pub(super) fn check_intake(stream: &StreamRef, intake: Intake, on_demand: bool) -> Result<(), ControlError> {
    check_record_size(intake.record_kib_max)?;
    check_spread(stream, intake.spread, on_demand)
}

fn check_record_size(kib: u32) -> Result<(), ControlError> {
    if RECORD_KIB.contains(&kib) {
        return Ok(());
    }
    let (least, most) = (RECORD_KIB.start(), RECORD_KIB.end());
    Err(ControlError::Invalid(format!("A stream takes records of {least} to {most} KiB, not of {kib}.")))
}

fn check_spread(stream: &StreamRef, on: bool, on_demand: bool) -> Result<(), ControlError> {
    if on_demand || !on {
        return Ok(());
    }
    Err(ControlError::Invalid(format!(
        "The record distribution strategy AUTO is only supported for streams in ON_DEMAND mode; stream {} under account {} is \
         in PROVISIONED mode.",
        stream.name, stream.account
    )))
}

fn start_encryption(
    stream: &mut Stream,
    wall: WallMs,
    most: usize,
    key: String,
) -> Result<Told, ControlError> {
    stream.must_be_active()?;
    if stream.encryption.key.as_ref() != Some(&key) {
        count_change(&mut stream.encryption.started_ms, wall, most, "StartStreamEncryption")?;
        if stream.encryption.key.replace(key).is_none() {
            stream.encryption.since_ms = wall.0;
        }
    }
    Ok(Told::Stream)
}

fn stop_encryption(stream: &mut Stream, wall: WallMs, most: usize) -> Result<Told, ControlError> {
    stream.must_be_active()?;
    if stream.encryption.key.is_some() {
        count_change(&mut stream.encryption.stopped_ms, wall, most, "StopStreamEncryption")?;
        stream.encryption.key = None;
    }
    Ok(Told::Stream)
}

/// Kinesis takes at most `most` changes of one kind within any 24 hours. What is older is forgotten, so that the list
/// is bounded.
fn count_change(
    changes_ms: &mut Vec<u64>,
    wall: WallMs,
    most: usize,
    operation: &str,
) -> Result<(), ControlError> {
    let period_ms = u64::try_from(SETTING_CHANGES_PERIOD.as_millis()).expect("a day");
    changes_ms.retain(|change| wall.0.saturating_sub(*change) < period_ms);
    if changes_ms.len() >= most {
        return Err(ControlError::LimitExceeded(format!(
            "{operation} can be called successfully {most} times in a rolling 24-hour period."
        )));
    }
    changes_ms.push(wall.0);
    Ok(())
}

fn monitor(stream: &mut Stream, metrics: ShardLevelMetrics) -> Result<Told, ControlError> {
    stream.must_be_active()?;
    stream.metrics = metrics;
    Ok(Told::Monitoring)
}

#[cfg(test)]
mod tests;
