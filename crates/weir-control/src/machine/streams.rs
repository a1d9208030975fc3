//! Streams: creation, placement, what nodes report, deletion.
//!
//! Part of the machine. A stream is ACTIVE once the nodes say that they own all of its shards, and gone once none says
//! so any more: the nodes' word decides, not the wish. How long it takes at least is `transitions.rs`'s matter.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
};

use weir_core::{
    clock::{Monotonic, WallMs},
    hash_key::HashKeyRange,
    id::{AccountId, Epoch, MemberId, Region, ShardIndex, ShardKey, StreamId, StreamName, StreamRef},
    limits::RETENTION_HOURS_DEFAULT,
    monitoring::ShardLevelMetrics,
    shard::OwnedShard,
};
use weir_wire::{
    control::{
        Attached, CommitmentStatus, ControlError, ControlReply, Intake, NewStream, StreamDescription,
        StreamStatus, StreamTraffic,
    },
    fragment::Fragment,
    kinesis::limits::Limit,
};

use super::{
    Applied, Machine,
    attached::add_tags,
    reshard,
    settings::{check_intake, settings_of},
};
use crate::{
    config::StreamDelays,
    placement,
    state::{AssignedShard, Encryption, Stream},
};

impl Machine {
    pub(super) fn create_stream(&mut self, now: Monotonic, wall: WallMs, new: NewStream) -> Applied {
        let (count, nodes) = match self.check_new(now, wall, &new) {
            Ok(checked) => checked,
            Err(error) => return Applied::refused(error),
        };
        let StreamRef { account, region, name } = new.stream;
        let id = StreamId(self.state.next_stream);
        let epoch = self.state.next_epoch;
        let assign = |(index, node): (u32, MemberId)| AssignedShard {
            node,
            shard: OwnedShard {
                key: ShardKey { stream: id, shard: ShardIndex(index) },
                account,
                region,
                stream_name: name.clone(),
                range: HashKeyRange::uniform(index, count),
                created_ms: wall.0,
                epoch,
                parents: [None; 2],
                closed: None,
            },
        };
        let mut stream = Stream {
            id,
            account,
            region,
            name: name.clone(),
            status: StreamStatus::Creating,
            held_until_ms: StreamDelays::held_until_ms(wall, self.state.config.delays.create),
            created_ms: wall.0,
            retention_hours: RETENTION_HOURS_DEFAULT,
            on_demand: new.on_demand,
            attached: Attached::default(),
            encryption: Encryption::default(),
            metrics: ShardLevelMetrics::NONE,
            warm_mibps: new.warm_mibps,
            intake: new.intake,
            // Who knows as much knows that the settings of a stream of this name before are not this one's.
            settings_revision: self.state.settings_revision,
            mode_changed_ms: Vec::new(),
            shards: (0..).zip(nodes).map(assign).collect(),
            reshard: None,
            scaled_ms: Vec::new(),
            consumers: Vec::new(),
        };
        let (tags, tags_most) =
            (&mut stream.attached.tags, self.state.config.shared.limits.quota(Limit::Tags));
        if let Err(error) =
            add_tags(tags, tags_most, &format!("stream {name} under account {account}"), new.tags)
        {
            return Applied::refused(error);
        }
        self.state.next_stream += 1;
        self.state.next_epoch = Epoch(epoch.0 + 1);
        if stream.intake != Intake::default() {
            stream.settings_revision = self.next_revision();
        }
        let description = describe(&stream);
        self.state.streams.push(stream);
        Applied::changed(ControlReply::Stream(Box::new(description)))
    }

    /// How many shards the new stream begins with, and on which nodes, if there may be such a stream.
    fn check_new(
        &self,
        now: Monotonic,
        wall: WallMs,
        new: &NewStream,
    ) -> Result<(NonZeroU32, Vec<MemberId>), ControlError> {
        let NewStream { stream, shards, on_demand, warm_mibps, .. } = new;
        if self.state.stream(stream).is_some() {
            return Err(ControlError::AlreadyExists(format!("stream {}", stream.name)));
        }
        check_intake(stream, new.intake, *on_demand)?;
        self.check_stream_quotas(stream, *on_demand)?;
        let warm = self.check_warm_throughput(wall, stream, *on_demand, *warm_mibps)?;
        let count = NonZeroU32::new((*shards).max(warm))
            .ok_or_else(|| ControlError::Invalid("a stream has at least one shard".to_owned()))?;
        self.check_shard_quotas(stream, *on_demand, count.get(), count.get() as usize)?;
        let nodes = placement::nodes_for(count.get(), self.load(now))
            .ok_or_else(|| ControlError::Unavailable("there is no back-end node".to_owned()))?;
        Ok((count, nodes))
    }

    /// Shards assigned to each node that gives signs of life; to each that is there when none does.
    pub(super) fn load(&self, now: Monotonic) -> BTreeMap<MemberId, usize> {
        let mut load: BTreeMap<MemberId, usize> = self.present_nodes().map(|node| (node.id, 0)).collect();
        if load.keys().any(|node| !self.is_silent(now, *node)) {
            load.retain(|node, _| !self.is_silent(now, *node));
        }
        for assigned in self.state.streams.iter().flat_map(|stream| &stream.shards) {
            if let Some(shards) = load.get_mut(&assigned.node) {
                *shards += 1;
            }
        }
        load
    }

    pub(super) fn delete_stream(
        &mut self,
        wall: WallMs,
        stream: &StreamRef,
        with_consumers: bool,
    ) -> Applied {
        let held_until_ms = StreamDelays::held_until_ms(wall, self.state.config.delays.delete);
        match self.state.streams.iter_mut().find(|known| known.is(stream)) {
            Some(known) if known.status == StreamStatus::Deleting => Applied::answer(ControlReply::Done),
            Some(known) if !known.consumers.is_empty() && !with_consumers => {
                Applied::refused(ControlError::HasConsumers)
            }
            Some(known) => {
                known.consumers.clear();
                known.status = StreamStatus::Deleting;
                known.held_until_ms = held_until_ms;
                self.settle_streams();
                Applied::changed(ControlReply::Done)
            }
            None => Applied::refused(ControlError::NotFound(format!("stream {}", stream.name))),
        }
    }

    pub(super) fn describe_stream(&self, wall: WallMs, stream: &StreamRef) -> Applied {
        match self.state.stream(stream) {
            Some(known) => {
                let mut told = describe(known);
                // Kinesis tells it to accounts that have committed.
                let commitment = self.commitment(wall, known.account, known.region);
                told.warm_mibps = told.warm_mibps.filter(|_| commitment.status != CommitmentStatus::Disabled);
                Applied::answer(ControlReply::Stream(Box::new(told)))
            }
            None => Applied::refused(ControlError::NotFound(format!("stream {}", stream.name))),
        }
    }

    pub(super) fn list_streams(
        &self,
        account: AccountId,
        region: Region,
        after: Option<&StreamName>,
        limit: u32,
    ) -> Applied {
        let mut streams: Vec<&Stream> = self
            .state
            .streams
            .iter()
            .filter(|stream| stream.account == account && stream.region == region)
            .filter(|stream| after.is_none_or(|after| stream.name > *after))
            .collect();
        streams.sort_by(|one, other| one.name.cmp(&other.name));
        let more = streams.len() > limit as usize;
        let streams = streams.into_iter().take(limit as usize).map(describe).collect();
        Applied::answer(ControlReply::Streams { streams, more })
    }

    pub(super) fn report(
        &mut self,
        now: Monotonic,
        wall: WallMs,
        fragment: Fragment,
        traffic: Vec<StreamTraffic>,
    ) -> Applied {
        let node = fragment.node;
        match self.state.servers.get(&node) {
            Some(server) if server.life == fragment.life => {}
            Some(_) => {
                return Applied::refused(ControlError::Invalid(format!("that life of node {node} is over")));
            }
            None => return Applied::refused(ControlError::NotFound(format!("node {node}"))),
        }
        let returned = self.heard_node(now, node);
        let newer = self.fragments.get(&node).is_none_or(|known| known.order() < fragment.order());
        if newer {
            self.fragments.insert(node, fragment);
        }
        let settled = newer && (self.advance_reshards(now, wall) | self.settle_streams());
        let changed =
            settled | self.drop_expired_shards(wall) | self.grow_on_demand(now, wall, traffic) | returned;
        Applied { reply: Ok(self.assignments(node)), save: changed, notify: changed }
    }

    fn assignments(&self, node: MemberId) -> ControlReply {
        let wanted = self.state.streams.iter().filter(|stream| stream.is_provided());
        let shards = wanted
            .clone()
            .flat_map(|stream| &stream.shards)
            .filter(|assigned| assigned.node == node)
            .map(|assigned| assigned.shard.clone())
            .collect();
        let closing = wanted.clone().flat_map(|stream| reshard::closing(stream, node)).collect();
        let retention_hours = wanted
            .filter(|stream| stream.retention_hours != RETENTION_HOURS_DEFAULT)
            .map(|stream| (stream.id, stream.retention_hours))
            .collect();
        let next_stream = StreamId(self.state.next_stream);
        ControlReply::Assignments { shards, closing, retention_hours, next_stream }
    }

    /// Moves streams on as far as the nodes' words allow; true when one moved.
    pub(super) fn settle_streams(&mut self) -> bool {
        let is_on_the_way =
            |stream: &Stream| matches!(stream.status, StreamStatus::Creating | StreamStatus::Deleting);
        let mut words: HashMap<(MemberId, ShardKey), &OwnedShard> = HashMap::new();
        if self.state.streams.iter().any(is_on_the_way) {
            words.extend(self.fragments.iter().flat_map(|(node, fragment)| {
                fragment.shards.iter().map(|shard| ((*node, shard.key), shard))
            }));
        }
        let said = |assigned: &AssignedShard| {
            // Whole: under the same number a node may hold a shard from another control plane.
            words
                .get(&(assigned.node, assigned.shard.key))
                .is_some_and(|said| said.epoch == assigned.shard.epoch && said.is_same_shard(&assigned.shard))
        };
        let mut changed = false;
        for stream in self.state.streams.iter_mut().filter(|stream| stream.held_until_ms.is_none()) {
            let done = match stream.status {
                StreamStatus::Creating => stream.shards.iter().all(said),
                StreamStatus::Updating => stream.reshard.is_none(),
                StreamStatus::Active | StreamStatus::Deleting => false,
            };
            if done {
                stream.status = StreamStatus::Active;
                changed = true;
            }
        }
        // A node that is not registered any more can say nothing; its shards do not hold the stream back.
        let goes = |stream: &Stream| stream.is_given_up() && !stream.shards.iter().any(said);
        let before = self.state.streams.len();
        let forgets =
            self.state.streams.iter().any(|stream| goes(stream) && !settings_of(stream).is_default());
        self.state.streams.retain(|stream| !goes(stream));
        if forgets {
            self.next_revision(); // until now every view had them
        }
        changed || self.state.streams.len() != before
    }
}

pub(super) fn describe(stream: &Stream) -> StreamDescription {
    StreamDescription {
        stream: stream.reference(),
        status: stream.status,
        created_ms: stream.created_ms,
        retention_hours: stream.retention_hours,
        on_demand: stream.on_demand,
        encryption_key: stream.encryption.key.clone(),
        metrics: stream.metrics,
        warm_mibps: stream.warm_mibps,
        intake: stream.intake,
        settings_revision: stream.settings_revision,
        consumers: u32::try_from(stream.consumers.len()).expect("consumers of a stream are few"),
        shards: stream.shards.iter().map(|assigned| assigned.shard.clone()).collect(),
    }
}
