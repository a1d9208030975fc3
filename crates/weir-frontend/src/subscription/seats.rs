//! Who is subscribed to what: one subscription for each consumer and shard, so many in all.
//!
//! A new call within five seconds of the last is refused, a later one takes the seat over and the old subscription is told.
//! A seat given back is remembered for those five seconds and no longer. Each front end knows its own seats alone. It must
//! never hold a lock while it wakes somebody.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use weir_core::{
    clock::Monotonic,
    id::{ConsumerName, ShardKey, TenantName},
    limits::SUBSCRIPTIONS_MAX,
};
use weir_sync::ByteBudget;

use crate::answer::TENANT_EVENTS_BYTES_MAX;

/// Seats that one tenant may have: half, so that the others always find the other half.
const TENANT_SUBSCRIPTIONS_MAX: usize = SUBSCRIPTIONS_MAX / 2;

/// What one seat is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SeatKey {
    /// The shard.
    pub(crate) shard: ShardKey,
    /// The consumer.
    pub(crate) consumer: ConsumerName,
    /// The second of its registration: another of the same name is another consumer.
    pub(crate) created_secs: u64,
}

/// All seats of a front end.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: Mutex<HashMap<SeatKey, Taken>>,
    /// Who has any is here, and who had some whose events are still in memory.
    tenants: Mutex<HashMap<TenantName, TenantSeats>>,
    room: Arc<Semaphore>,
    takeover_after: Duration,
}

/// What one tenant has.
#[derive(Debug)]
struct TenantSeats {
    count: usize,
    /// What its events may take together.
    events: ByteBudget,
}

#[derive(Debug)]
struct Taken {
    since: Monotonic,
    /// None when who sat there has left by himself.
    held: Option<Held>,
}

impl Taken {
    /// Does somebody of this tenant sit there?
    fn is_of(&self, tenant: &TenantName) -> bool {
        self.held.as_ref().is_some_and(|held| held.place.share.tenant == *tenant)
    }
}

/// What is held for who sits there.
#[derive(Debug)]
struct Held {
    /// Tells that it is over, when it is dropped.
    end: oneshot::Sender<()>,
    place: Place,
}

/// A place among all, and among those of a tenant.
#[derive(Debug)]
struct Place {
    share: Share,
    _room: OwnedSemaphorePermit,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeatRefused {
    /// The last call is not long enough ago.
    InUse,
    /// All seats are taken.
    Full,
}

impl Seats {
    pub(crate) fn new(takeover_after: Duration) -> Self {
        let room = Arc::new(Semaphore::new(SUBSCRIPTIONS_MAX));
        Self { taken: Mutex::default(), tenants: Mutex::default(), room, takeover_after }
    }

    /// Would there be a seat? Takes none.
    pub(crate) fn look(&self, key: &SeatKey, tenant: &TenantName, now: Monotonic) -> Result<(), SeatRefused> {
        let taken = self.taken.lock();
        self.must_be_free(&taken, key, now)?;
        let is_own = taken.get(key).is_some_and(|seat| seat.is_of(tenant));
        drop(taken);
        let has = self.tenants.lock().get(tenant).map_or(0, |has| has.count);
        let is_room = self.room.available_permits() > 0 && has < TENANT_SUBSCRIPTIONS_MAX;
        if is_own || is_room { Ok(()) } else { Err(SeatRefused::Full) }
    }

    /// Takes a seat for a tenant at `now`, from who has it if need be, and then with his place.
    pub(crate) fn take(
        self: &Arc<Self>,
        key: SeatKey,
        tenant: &TenantName,
        now: Monotonic,
    ) -> Result<Seat, SeatRefused> {
        let mut taken = self.taken.lock();
        self.must_be_free(&taken, &key, now)?;
        let own = taken.get_mut(&key).filter(|seat| seat.is_of(tenant)).and_then(|seat| seat.held.take());
        let (place, own_end) = match own {
            Some(Held { place, end }) => (place, Some(end)),
            None => (self.place(tenant)?, None),
        };
        if taken.len() >= 2 * SUBSCRIPTIONS_MAX {
            let young = |seat: &Taken| now.since(seat.since) < self.takeover_after;
            taken.retain(|_, seat| seat.held.is_some() || young(seat));
        }
        let tenants_events = place.share.events.clone();
        let (end, ended) = oneshot::channel();
        let held = Some(Held { place, end });
        let before = taken.insert(key.clone(), Taken { since: now, held });
        drop(taken);
        drop((own_end, before)); // who sat there hears of it
        Ok(Seat { seats: Arc::clone(self), key, since: now, ended, tenants_events })
    }

    fn must_be_free(
        &self,
        taken: &HashMap<SeatKey, Taken>,
        key: &SeatKey,
        now: Monotonic,
    ) -> Result<(), SeatRefused> {
        match taken.get(key) {
            Some(seat) if now.since(seat.since) < self.takeover_after => Err(SeatRefused::InUse),
            Some(_) | None => Ok(()),
        }
    }

    fn place(self: &Arc<Self>, tenant: &TenantName) -> Result<Place, SeatRefused> {
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| SeatRefused::Full)?;
        let share = Share::of(self, tenant).ok_or(SeatRefused::Full)?;
        Ok(Place { share, _room: room })
    }
}

/// One of a tenant's seats, counted.
#[derive(Debug)]
struct Share {
    seats: Arc<Seats>,
    tenant: TenantName,
    events: ByteBudget,
}

impl Share {
    /// One more, unless the tenant has all that one may have.
    fn of(seats: &Arc<Seats>, tenant: &TenantName) -> Option<Self> {
        let mut tenants = seats.tenants.lock();
        tenants.retain(|_, has| has.count > 0 || has.events.available() < TENANT_EVENTS_BYTES_MAX);
        let has = tenants
            .entry(tenant.clone())
            .or_insert_with(|| TenantSeats { count: 0, events: ByteBudget::new(TENANT_EVENTS_BYTES_MAX) });
        if has.count >= TENANT_SUBSCRIPTIONS_MAX {
            return None;
        }
        has.count += 1;
        let events = has.events.clone();
        drop(tenants);
        Some(Self { seats: Arc::clone(seats), tenant: tenant.clone(), events })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut tenants = self.seats.tenants.lock();
        let has = tenants.get_mut(&self.tenant).expect("a seat is counted until it is given back");
        has.count -= 1;
        if has.count == 0 && has.events.available() == TENANT_EVENTS_BYTES_MAX {
            tenants.remove(&self.tenant);
        }
    }
}

/// A seat. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    key: SeatKey,
    since: Monotonic,
    ended: oneshot::Receiver<()>,
    tenants_events: ByteBudget,
}

impl Seat {
    /// What the events of its tenant may take together.
    pub(crate) fn tenants_events(&self) -> ByteBudget {
        self.tenants_events.clone()
    }

    /// Resolves when somebody else has taken it. Not to be asked again then.
    pub(crate) async fn lost(&mut self) {
        let _ = (&mut self.ended).await; // nobody sends: the other half is dropped
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        let own = taken.get_mut(&self.key).filter(|seat| seat.since == self.since);
        let held = own.and_then(|seat| seat.held.take());
        drop(taken);
        drop(held);
    }
}

#[cfg(test)]
mod tests {
    use weir_core::id::{ShardIndex, StreamId};

    use super::*;

    const AFTER: Duration = Duration::from_secs(5);

    fn key(shard: u32) -> SeatKey {
        let shard = ShardKey { stream: StreamId(1), shard: ShardIndex(shard) };
        SeatKey { shard, consumer: ConsumerName::new("c"), created_secs: 7 }
    }

    fn tenant(name: &str) -> TenantName {
        TenantName::new(name)
    }

    fn at(ms: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(ms)
    }

    #[tokio::test]
    async fn a_call_within_five_seconds_is_refused_and_a_later_one_takes_over() {
        let seats = Arc::new(Seats::new(AFTER));
        let mut first = seats.take(key(0), &tenant("t"), at(0)).unwrap();
        assert_eq!(seats.take(key(0), &tenant("t"), at(4_999)).unwrap_err(), SeatRefused::InUse);
        let second = seats.take(key(0), &tenant("t"), at(5_000)).unwrap();
        first.lost().await;
        drop(first);
        assert_eq!(
            seats.take(key(0), &tenant("t"), at(9_999)).unwrap_err(),
            SeatRefused::InUse,
            "of the second"
        );
        drop(second);
        assert_eq!(
            seats.take(key(0), &tenant("t"), at(9_999)).unwrap_err(),
            SeatRefused::InUse,
            "also when it has left"
        );
        assert!(seats.take(key(0), &tenant("t"), at(10_000)).is_ok());
    }

    #[test]
    fn another_shard_and_another_consumer_of_the_name_have_seats_of_their_own() {
        let seats = Arc::new(Seats::new(AFTER));
        let _one = seats.take(key(0), &tenant("t"), at(0)).unwrap();
        assert!(seats.take(key(1), &tenant("t"), at(0)).is_ok());
        assert!(seats.take(SeatKey { created_secs: 8, ..key(0) }, &tenant("t"), at(0)).is_ok());
    }

    #[test]
    fn seats_are_so_many_and_those_given_back_do_not_pile_up() {
        let seats = Arc::new(Seats::new(AFTER));
        let all: Vec<_> = (0..SUBSCRIPTIONS_MAX as u32)
            .map(|shard| {
                let own = tenant(if shard % 2 == 0 { "even" } else { "odd" });
                seats.take(key(shard), &own, at(0)).unwrap()
            })
            .collect();
        assert_eq!(seats.take(key(u32::MAX), &tenant("t"), at(0)).unwrap_err(), SeatRefused::Full);
        drop(all);
        for shard in 0..5 * SUBSCRIPTIONS_MAX as u32 {
            drop(seats.take(key(shard), &tenant("t"), at(u64::from(shard) * 100 + 10_000)).unwrap());
        }
        assert!(seats.taken.lock().len() <= 2 * SUBSCRIPTIONS_MAX);
    }

    #[test]
    fn a_tenant_has_half_of_the_seats_and_others_find_theirs() {
        let seats = Arc::new(Seats::new(AFTER));
        let mut all = Vec::new();
        while let Ok(seat) = seats.take(key(all.len() as u32), &tenant("one"), at(0)) {
            all.push(seat);
        }
        assert_eq!(all.len(), TENANT_SUBSCRIPTIONS_MAX);
        assert!(seats.take(key(9_999), &tenant("other"), at(0)).is_ok());
        assert!(seats.look(&key(0), &tenant("one"), at(5_000)).is_ok());
        all.push(seats.take(key(0), &tenant("one"), at(5_000)).expect("it takes over its own"));
        assert_eq!(seats.look(&key(9_998), &tenant("one"), at(5_000)), Err(SeatRefused::Full));
        all.pop();
        assert!(seats.take(key(9_998), &tenant("one"), at(5_000)).is_ok(), "a seat given back is a seat");
        all.clear();
        assert!(seats.tenants.lock().is_empty());
    }
}
