//! Consumers of a stream: registered, listed, given up, and gone with their stream.
//!
//! Part of the machine. A consumer becomes ACTIVE, and leaves after its deletion, by the clock alone: nothing has to be
//! done for it anywhere. What is said of the clock is said at each question, so nothing here needs to be woken. Who reads
//! on a consumer's behalf is not known here.

use std::collections::BTreeMap;

use weir_core::{
    clock::WallMs,
    id::{ConsumerName, StreamRef},
    units::Span,
};
use weir_wire::{
    control::{
        Attached, ConsumerCall, ConsumerDescription, ConsumerKey, ConsumerStatus, ControlError, ControlReply,
    },
    kinesis::limits::Limit,
};

use super::{Applied, Machine, attached::add_tags};
use crate::{
    config::StreamDelays,
    state::{Consumer, Stream},
};

impl Machine {
    /// Forgets the consumers whose deletion is over.
    pub(super) fn settle_consumers(&mut self, wall: WallMs) {
        for stream in &mut self.state.streams {
            stream.consumers.retain(|consumer| !(consumer.deleting && consumer.settled(wall)));
        }
    }

    pub(super) fn consumers(&mut self, wall: WallMs, stream: &StreamRef, call: ConsumerCall) -> Applied {
        let Some(at) = self.state.streams.iter().position(|known| known.is(stream)) else {
            return Applied::refused(no_stream(stream));
        };
        let known = &self.state.streams[at];
        match call {
            ConsumerCall::Register { name, tags } => match self.check_register(wall, known, &name) {
                Ok(()) => self.register_consumer(wall, at, name, tags),
                Err(error) => Applied::refused(error),
            },
            ConsumerCall::Deregister { key } => self.deregister_consumer(wall, at, &key),
            ConsumerCall::Describe { key } => match find(known, &key) {
                Some(consumer) => Applied::answer(ControlReply::Consumer(describe(consumer, wall))),
                None => Applied::refused(no_consumer(known, &key.name)),
            },
            ConsumerCall::List { stream_created_secs, after, limit } => {
                if stream_created_secs.is_some_and(|secs| secs != known.created_ms / 1_000) {
                    return Applied::refused(no_stream(stream));
                }
                list(known, wall, after.as_ref(), limit as usize)
            }
        }
    }

    fn check_register(&self, wall: WallMs, stream: &Stream, name: &ConsumerName) -> Result<(), ControlError> {
        stream.must_be_active()?;
        let of = format!("stream {} under account {}", stream.name, stream.account);
        if stream.consumers.iter().any(|known| known.name == *name) {
            return Err(ControlError::AlreadyExists(format!("Consumer {name} of {of}")));
        }
        let exceeds = |limit, there: usize| {
            let quota = self.state.config.shared.limits.quota(limit);
            (there >= quota).then_some(quota)
        };
        if let Some(quota) = exceeds(Limit::StreamConsumers, stream.consumers.len()) {
            return Err(ControlError::LimitExceeded(format!(
                "This request would exceed the limit of {quota} consumers of {of}."
            )));
        }
        let near = |known: &&Stream| known.account == stream.account && known.region == stream.region;
        let consumers = self.state.streams.iter().filter(near).flat_map(|known| &known.consumers);
        let creating = consumers.filter(|known| known.status(wall) == ConsumerStatus::Creating).count();
        if let Some(quota) = exceeds(Limit::ConsumersCreating, creating) {
            return Err(ControlError::LimitExceeded(format!(
                "Only {quota} consumers of account {} can be in CREATING state at once.",
                stream.account
            )));
        }
        Ok(())
    }

    fn register_consumer(
        &mut self,
        wall: WallMs,
        at: usize,
        name: ConsumerName,
        added: BTreeMap<String, String>,
    ) -> Applied {
        let mut tags = BTreeMap::new();
        if let Err(error) = add_tags(
            &mut tags,
            self.state.config.shared.limits.quota(Limit::Tags),
            &format!("consumer {name}"),
            added,
        ) {
            return Applied::refused(error);
        }
        let settles_ms = delayed_ms(wall, self.state.config.delays.create);
        let consumer = Consumer {
            name,
            created_ms: wall.0,
            settles_ms,
            deleting: false,
            attached: Attached { tags, policy: None },
        };
        // It is new whatever the delay: Kinesis never answers with another state.
        let told = ConsumerDescription { status: ConsumerStatus::Creating, ..describe(&consumer, wall) };
        self.state.streams[at].consumers.push(consumer);
        Applied::changed(ControlReply::Consumer(told))
    }

    fn deregister_consumer(&mut self, wall: WallMs, at: usize, key: &ConsumerKey) -> Applied {
        let settles_ms = delayed_ms(wall, self.state.config.delays.delete);
        let stream = &mut self.state.streams[at];
        match stream.consumers.iter_mut().find(|known| known.is(key)) {
            Some(consumer) => {
                if !consumer.deleting {
                    (consumer.deleting, consumer.settles_ms) = (true, settles_ms);
                }
                self.settle_consumers(wall);
                Applied::changed(ControlReply::Done)
            }
            None => Applied::refused(no_consumer(stream, &key.name)),
        }
    }
}

fn delayed_ms(wall: WallMs, delay: Span) -> u64 {
    StreamDelays::held_until_ms(wall, delay).unwrap_or(wall.0)
}

impl Consumer {
    /// Has it become what it was becoming?
    fn settled(&self, wall: WallMs) -> bool {
        wall.0 >= self.settles_ms
    }

    fn status(&self, wall: WallMs) -> ConsumerStatus {
        match (self.deleting, self.settled(wall)) {
            (true, _) => ConsumerStatus::Deleting,
            (false, true) => ConsumerStatus::Active,
            (false, false) => ConsumerStatus::Creating,
        }
    }

    pub(super) fn is(&self, key: &ConsumerKey) -> bool {
        self.name == key.name && key.created_secs.is_none_or(|secs| secs == self.created_ms / 1_000)
    }
}

fn find<'a>(stream: &'a Stream, key: &ConsumerKey) -> Option<&'a Consumer> {
    stream.consumers.iter().find(|known| known.is(key))
}

fn list(stream: &Stream, wall: WallMs, after: Option<&ConsumerName>, limit: usize) -> Applied {
    let rest = stream.consumers.iter().filter(|known| after.is_none_or(|after| known.name > *after));
    let mut consumers: Vec<_> = rest.map(|known| describe(known, wall)).collect();
    consumers.sort_by(|one, other| one.name.cmp(&other.name));
    let more = consumers.len() > limit;
    consumers.truncate(limit);
    Applied::answer(ControlReply::Consumers { consumers, more })
}

fn describe(consumer: &Consumer, wall: WallMs) -> ConsumerDescription {
    ConsumerDescription {
        name: consumer.name.clone(),
        status: consumer.status(wall),
        created_ms: consumer.created_ms,
    }
}

pub(super) fn no_stream(stream: &StreamRef) -> ControlError {
    ControlError::NotFound(format!("Stream {} under account {}", stream.name, stream.account))
}

pub(super) fn no_consumer(stream: &Stream, name: &ConsumerName) -> ControlError {
    ControlError::NotFound(format!(
        "Consumer {name} of stream {} under account {}",
        stream.name, stream.account
    ))
}

#[cfg(test)]
mod tests;
