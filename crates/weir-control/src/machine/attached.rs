//! Tags and policies of streams and consumers.
//!
//! Part of the machine. What a policy allows is judged where requests come in; here it is kept, as it was put.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::{id::StreamRef, limits::POLICIES_BYTES_MAX};
use weir_wire::{
    control::{Attached, AttachedChange, ControlError, ControlReply, ResourceRef, StreamStatus},
    kinesis::limits::Limit,
};

use super::{
    Applied, Machine,
    consumers::{no_consumer, no_stream},
};

impl Machine {
    pub(super) fn attached(&mut self, resource: &ResourceRef) -> Applied {
        match self.attached_mut(resource, &[StreamStatus::Deleting]) {
            Ok(attached) => Applied::answer(ControlReply::Attached(attached.clone())),
            Err(error) => Applied::refused(error),
        }
    }

    pub(super) fn change_attached(&mut self, resource: &ResourceRef, change: AttachedChange) -> Applied {
        if let AttachedChange::Policy(Some(policy)) = &change
            && self.policies_bytes() + policy.len() > POLICIES_BYTES_MAX
        {
            return Applied::refused(ControlError::LimitExceeded(format!(
                "Resource policies may have {POLICIES_BYTES_MAX} bytes together."
            )));
        }
        let tags_most = self.state.config.shared.limits.quota(Limit::Tags);
        // What a stream is created with cannot be changed before it is ACTIVE.
        let except = [StreamStatus::Creating, StreamStatus::Deleting];
        let attached = match self.attached_mut(resource, &except) {
            Ok(attached) => attached,
            Err(error) => return Applied::refused(error),
        };
        let changed = match change {
            AttachedChange::AddTags(tags) => add_tags(&mut attached.tags, tags_most, &whose(resource), tags),
            AttachedChange::RemoveTags(keys) => remove_tags(&mut attached.tags, &whose(resource), &keys),
            AttachedChange::Policy(policy) => {
                attached.policy = policy;
                Ok(())
            }
        };
        match changed {
            Ok(()) => Applied::changed(ControlReply::Done),
            Err(error) => Applied::refused(error),
        }
    }

    fn policies_bytes(&self) -> usize {
        let attached = self.state.streams.iter().flat_map(|stream| {
            stream.consumers.iter().map(|consumer| &consumer.attached).chain([&stream.attached])
        });
        attached.filter_map(|attached| attached.policy.as_ref()).map(String::len).sum()
    }

    /// What the resource has. A stream is none at these of its statuses.
    fn attached_mut(
        &mut self,
        resource: &ResourceRef,
        except: &[StreamStatus],
    ) -> Result<&mut Attached, ControlError> {
        let stream = resource.stream();
        let found = self.state.streams.iter_mut().find(|known| known.is(stream));
        let known = found.ok_or_else(|| no_stream(stream))?;
        match resource {
            ResourceRef::Stream(_) => {
                if except.contains(&known.status) {
                    known.must_be_active()?;
                }
                Ok(&mut known.attached)
            }
            ResourceRef::Consumer { key, .. } => match known.consumers.iter().position(|known| known.is(key))
            {
                Some(at) => Ok(&mut known.consumers[at].attached),
                None => Err(no_consumer(known, &key.name)),
            },
        }
    }
}

/// As texts name it.
fn whose(resource: &ResourceRef) -> String {
    let StreamRef { name, account, .. } = resource.stream();
    match resource {
        ResourceRef::Stream(_) => format!("stream {name} under account {account}"),
        ResourceRef::Consumer { key, .. } => {
            format!("consumer {} of stream {name} under account {account}", key.name)
        }
    }
}

/// Adds tags to those that a resource has, all or none, to `most` at most. `whose` names the resource in texts.
pub(super) fn add_tags(
    tags: &mut BTreeMap<String, String>,
    most: usize,
    whose: &str,
    added: BTreeMap<String, String>,
) -> Result<(), ControlError> {
    check_characters(added.iter().flat_map(|(key, value)| [key, value]), &format!("add tags to {whose}"))?;
    let is_reserved = |key: &String| key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
    if added.keys().any(is_reserved) {
        let text = "aws: prefixed tag key names are not allowed for external use.";
        return Err(ControlError::Invalid(text.to_owned()));
    }
    let more = added.keys().filter(|key| !tags.contains_key(*key)).count();
    if tags.len() + more > most {
        let kind = whose.split(' ').next().unwrap_or("resource");
        return Err(ControlError::Invalid(format!(
            "Failed to add tags to {whose} because a given {kind} cannot have more than {most} tags associated with \
             it."
        )));
    }
    tags.extend(added);
    Ok(())
}

fn remove_tags(
    tags: &mut BTreeMap<String, String>,
    whose: &str,
    keys: &BTreeSet<String>,
) -> Result<(), ControlError> {
    check_characters(keys, &format!("remove tags from {whose}"))?;
    tags.retain(|key, _| !keys.contains(key));
    Ok(())
}

/// Kinesis names `%` among the valid characters and refuses it, with another text.
fn check_characters<'t>(texts: impl IntoIterator<Item = &'t String>, what: &str) -> Result<(), ControlError> {
    let mut has_percent = false;
    for character in texts.into_iter().flat_map(|text| text.chars()) {
        if !character.is_alphanumeric() && !" _./=+-%@:".contains(character) {
            return Err(ControlError::Invalid(
                "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + \
                 - % @ :."
                    .to_owned(),
            ));
        }
        has_percent |= character == '%';
    }
    if has_percent {
        return Err(ControlError::Invalid(format!(
            "Failed to {what} because some tags contained illegal characters. The allowed characters are Unicode letters, \
             white-spaces, '_',',','/','=','+','-','@',':'."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
