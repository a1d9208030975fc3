//! One subscription at work: waits for records, reads them, makes events, and knows when it is over.
//!
//! A [`Source`] that the connection asks for its next message. It waits at the node for the shard to grow and never asks it
//! again and again; without records it sends a heartbeat with the place where another subscription would go on. It ends
//! when its time is over, when its seat is lost, when shard or consumer is gone, and at the end of a closed shard; what
//! goes wrong is told in the stream, since the status has long gone out.

use std::{iter, sync::Arc, time::Duration};

use bytes::Bytes;
use weir_core::{
    clock::Monotonic,
    id::{ShardKey, StreamRef},
    limits::{GET_RECORDS_COUNT_MAX, NODE_AWAIT_MAX, SUBSCRIPTION_EVENT_BYTES_MAX},
    sequence::{RecordIndex, SequenceNumber},
};
use weir_sync::ByteBudget;
use weir_wire::{
    cell::{CellError, CellReply, CellRequest, ReadReply, TipReply},
    control::{ConsumerKey, ConsumerStatus, ControlError},
    http::server::Source,
    kinesis::{
        encode::Reply,
        encoding::Encoding,
        event_stream::Message,
        get_records::ChildShard,
        subscribe_to_shard::{EVENT, SubscribeToShardEvent},
    },
};

use super::{Seat, SubscriptionTimes, pace::Pace};
use crate::{
    answer::EVENT_ROOM_BYTES,
    error::{ConsumerError, RequestError},
    forward::{ForwardError, Forwarder},
    metrics::SubscriptionGuard,
    page::{Page, PageBounds, children},
    respond::{StreamException, stream_exception},
    route::{ShardPlace, usable_map},
    server::Common,
    shard_map::MapReader,
};

/// How long a feed waits before it asks again for room for an event.
const ROOM_WAIT: Duration = Duration::from_millis(20);
/// How long it waits for the map to tell the children of a shard that has ended: a node is heard twice a second.
const CHILDREN_WAIT: Duration = Duration::from_millis(50);
/// Bytes of an event beside its records.
const EVENT_BYTES: usize = 512;
/// Every payload is JSON, whatever the request was written in.
const PAYLOAD: Encoding = Encoding::Json;
const PAYLOAD_TYPE: &str = "application/json";

/// What was subscribed to, by whom, from where.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// The stream.
    pub(crate) stream: StreamRef,
    /// The consumer.
    pub(crate) consumer: ConsumerKey,
    /// The shard.
    pub(crate) shard: ShardKey,
    /// The first record that is wanted.
    pub(crate) from: RecordIndex,
    /// Data and keys that it gives out each second; none: as many as there are.
    pub(crate) bytes_per_second: Option<u64>,
}

impl Subscription {
    /// Somebody else has it, or had it a moment ago.
    pub(crate) fn in_use(&self) -> RequestError {
        let (stream, consumer) = (self.stream.clone(), self.consumer.name.clone());
        ConsumerError::InUse { stream, shard: self.shard.shard, consumer }.into()
    }
}

/// One subscription.
pub(crate) struct Feed {
    seat: Seat,
    stage: Stage,
    follower: Follower,
    _counted: SubscriptionGuard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent yet.
    Fresh,
    /// Events are sent.
    Running,
    /// The last message was sent.
    Over,
}

impl Feed {
    /// A feed from `subscription.from` on, for whoever has taken `seat`.
    pub(crate) fn new(
        rooms: Rooms,
        seat: Seat,
        subscription: Subscription,
        times: SubscriptionTimes,
    ) -> Self {
        let now = rooms.common.clock.now();
        let follower = Follower {
            next: subscription.from,
            behind: false,
            event_bytes: EVENT_ROOM_BYTES,
            tenants_events: seat.tenants_events(),
            pace: Pace::new(subscription.bytes_per_second),
            heartbeat: times.heartbeat,
            over_at: now + times.lifetime,
            event_due: now,
            check_due: now + times.heartbeat,
            rooms,
            subscription,
        };
        let counted = follower.rooms.common.metrics.subscribed();
        Self { seat, stage: Stage::Fresh, follower, _counted: counted }
    }
}

impl Source for Feed {
    async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Fresh => {
                self.stage = Stage::Running;
                return Some(Message::event("initial-response", PAYLOAD_TYPE, b"{}").encode().into());
            }
            Stage::Running => {}
            Stage::Over => return None,
        }
        let event = tokio::select! {
            biased;
            () = self.seat.lost() => Err(End::Failed(self.follower.subscription.in_use())),
            event = self.follower.event() => event,
        };
        let (message, over) = match event {
            Ok(Event::More(message)) => (Some(message), false),
            Ok(Event::Last(message)) => (Some(message), true),
            Err(End::Quiet) => (None, true),
            Err(End::Failed(error)) => (Some(ending(&error)), true),
        };
        if over {
            self.stage = Stage::Over;
        }
        message
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("seat", &self.seat).field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// What goes wrong, as the stream's last message.
pub(crate) fn ending(error: &RequestError) -> Bytes {
    let StreamException { name, reply } = stream_exception(error);
    tracing::debug!(%error, name, "subscription ended");
    let payload = PAYLOAD.encode(&reply, EVENT_BYTES);
    Message::exception(name, PAYLOAD_TYPE, &payload).encode().into()
}

/// A message and what comes behind it.
enum Event {
    More(Bytes),
    Last(Bytes),
}

/// Why there are no more events.
enum End {
    /// As it should be: nothing is said.
    Quiet,
    /// With a word of why.
    Failed(RequestError),
}

impl<E: Into<RequestError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// The rooms of the front end that a subscription works in.
#[derive(Clone)]
pub(crate) struct Rooms {
    pub(crate) common: Arc<Common>,
    pub(crate) maps: Arc<MapReader>,
    pub(crate) forwarder: Arc<Forwarder>,
}

/// Follows the shard.
struct Follower {
    rooms: Rooms,
    subscription: Subscription,
    pace: Pace,
    heartbeat: Duration,
    /// The next record.
    next: RecordIndex,
    /// Is it known to be there?
    behind: bool,
    /// Room that its event takes, as far as is known.
    event_bytes: usize,
    /// What the events of its tenant may take together.
    tenants_events: ByteBudget,
    over_at: Monotonic,
    /// When an event is due, whether there are records or not.
    event_due: Monotonic,
    /// When it is time to look whether the consumer is still registered.
    check_due: Monotonic,
}

impl Follower {
    /// The next event: records as soon as there are some, else a heartbeat when it is due.
    async fn event(&mut self) -> Result<Event, End> {
        loop {
            let now = self.now();
            if now >= self.over_at {
                return Err(End::Quiet);
            }
            if now >= self.check_due {
                self.check().await?;
                self.check_due = now + self.heartbeat;
            }
            if let Some(wait) = self.pace.wait(now) {
                tokio::time::sleep(wait.min(self.over_at.since(now))).await;
            } else if self.behind {
                if let Some(message) = self.records().await? {
                    return Ok(Event::More(message));
                }
            } else {
                let place = self.place().await?;
                let end = self.tip(&place, now).await?;
                self.behind = end.tip > self.next;
                if self.behind {
                    continue;
                }
                if end.closed {
                    match self.children() {
                        Some(children) => return Ok(Event::Last(self.end(children))),
                        None => tokio::time::sleep(CHILDREN_WAIT).await,
                    }
                }
                if self.now() >= self.event_due {
                    self.event_due = self.now() + self.heartbeat;
                    return Ok(Event::More(self.empty(self.reached(&place, end))));
                }
            }
        }
    }

    /// The shard's end as soon as it is behind the next record, or when something else is due.
    async fn tip(&self, place: &ShardPlace, now: Monotonic) -> Result<TipReply, End> {
        let due = self.event_due.min(self.over_at).min(self.check_due);
        let wait = due.since(now).min(NODE_AWAIT_MAX);
        // Rounded up: what is due then is due when the answer is there.
        let wait_ms = u32::try_from(wait.as_nanos().div_ceil(1_000_000)).expect("at most seconds");
        let request = CellRequest::Await { key: place.key, record: self.next, wait_ms };
        match self.ask(place, request).await? {
            CellReply::Tip(end) => Ok(end),
            _ => Err(ForwardError::Nonsense { node: place.node }.into()),
        }
    }

    /// An event with records; none when there is no room for it yet, or when what was there has been trimmed.
    async fn records(&mut self) -> Result<Option<Bytes>, End> {
        let place = self.place().await?;
        let turn = self.rooms.common.event_reads.turn(place.node).await;
        let Some(room) = self.rooms.common.answers.reserve_event(&self.tenants_events, self.event_bytes)
        else {
            drop(turn);
            tokio::time::sleep(ROOM_WAIT).await;
            return Ok(None);
        };
        let bounds =
            PageBounds { records_max: GET_RECORDS_COUNT_MAX, bytes_max: SUBSCRIPTION_EVENT_BYTES_MAX };
        let read = self.read(&place, bounds).await?;
        let page = Page::cut(&read, self.next, &place, bounds);
        self.behind = page.next < read.tip;
        let Some(last) = page.last() else {
            self.next = page.next;
            return Ok(None);
        };
        let encrypted_since = self.rooms.common.encrypted_since(self.subscription.shard.stream);
        let event = SubscribeToShardEvent {
            continuation: Some(last),
            millis_behind_latest: page.behind(&read, self.rooms.common.clock.wall()),
            records: page.records(encrypted_since),
            children: vec![],
        };
        let message = message(&event, EVENT_BYTES + page.answer_bytes());
        let message = match room.settle(message) {
            Ok(message) => message,
            Err(bytes) => {
                self.event_bytes = bytes; // not read again before there is room for it
                drop(turn);
                tokio::time::sleep(ROOM_WAIT).await;
                return Ok(None);
            }
        };
        self.event_bytes = EVENT_ROOM_BYTES;
        let now = self.now();
        self.next = page.next;
        self.event_due = now + self.heartbeat;
        self.pace.charge(now, page.payload_bytes);
        self.rooms.common.metrics.given_out(page.count, page.payload_bytes);
        Ok(Some(message))
    }

    async fn read(&self, place: &ShardPlace, bounds: PageBounds) -> Result<ReadReply, End> {
        let request = CellRequest::Read {
            key: place.key,
            from: self.next,
            records_max: u32::try_from(bounds.records_max).expect("at most 10,000"),
            bytes_max: u32::try_from(bounds.bytes_max).expect("a mebibyte"),
        };
        match self.ask(place, request).await? {
            CellReply::Read(read) => Ok(read),
            _ => Err(ForwardError::Nonsense { node: place.node }.into()),
        }
    }

    /// An event without records.
    fn empty(&self, reached: SequenceNumber) -> Bytes {
        let continuation = Some(reached);
        let event = SubscribeToShardEvent {
            records: iter::empty(),
            continuation,
            millis_behind_latest: 0,
            children: vec![],
        };
        message(&event, EVENT_BYTES).into()
    }

    /// The last event of a closed shard: there is no place in it to go on from.
    fn end(&self, children: Vec<ChildShard>) -> Bytes {
        let event = SubscribeToShardEvent {
            records: iter::empty(),
            continuation: None,
            millis_behind_latest: 0,
            children,
        };
        message(&event, EVENT_BYTES).into()
    }

    /// What goes on where the shard has ended; none as long as this server does not know it all.
    fn children(&self) -> Option<Vec<ChildShard>> {
        let map = usable_map(&self.rooms.maps, self.now()).ok()?;
        let ShardKey { stream, shard } = self.subscription.shard;
        children(map.stream_by_id(stream)?, shard)
    }

    /// The number after which the next record comes; the shard ends there.
    fn reached(&self, place: &ShardPlace, end: TipReply) -> SequenceNumber {
        let shard = place.key.shard;
        match self.next.checked_sub(1) {
            Some(last) => SequenceNumber::of_record(shard, place.created_secs, last, end.tip_arrived.secs()),
            None => SequenceNumber::starting(shard, place.created_secs),
        }
    }

    /// Where the shard is now. Its owner may have changed since the subscription began.
    async fn place(&self) -> Result<ShardPlace, End> {
        let map = usable_map(&self.rooms.maps, self.now())?;
        let ShardKey { stream, shard } = self.subscription.shard;
        match map.stream_by_id(stream).and_then(|shards| shards.shard(shard)) {
            Some(routed) => Ok(routed.into()),
            None => Err(self.why_gone().await),
        }
    }

    async fn ask(&self, place: &ShardPlace, request: CellRequest) -> Result<CellReply, End> {
        match self.rooms.forwarder.call(place.node, request).await {
            Err(ForwardError::Refused { error: CellError::NotOwner, .. }) => Err(self.why_gone().await),
            answer => Ok(answer?),
        }
    }

    /// Nobody owns the shard: has the stream been deleted, or is it trouble?
    async fn why_gone(&self) -> End {
        match self.check().await {
            Ok(()) => RequestError::OwnerUnknown(self.subscription.stream.clone()).into(),
            Err(end) => end,
        }
    }

    /// Is the consumer still registered? A control plane that does not answer ends nothing.
    async fn check(&self) -> Result<(), End> {
        let Subscription { stream, consumer, .. } = &self.subscription;
        match self.rooms.common.lookup.consumer(stream, consumer).await {
            Ok(known) if known.status == ConsumerStatus::Deleting => {
                let (stream, consumer) = (stream.clone(), consumer.name.clone());
                Err(RequestError::from(ConsumerError::Gone { stream, consumer }).into())
            }
            Err(error @ RequestError::Control(ControlError::NotFound(_))) => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn now(&self) -> Monotonic {
        self.rooms.common.clock.now()
    }
}

fn message(event: &impl Reply, bytes: usize) -> Vec<u8> {
    Message::event(EVENT, PAYLOAD_TYPE, &PAYLOAD.encode(event, bytes)).encode()
}
