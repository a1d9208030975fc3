//! Where request code finds the shard map of this moment.
//!
//! The fleet thread publishes, requests look through their front end's [`MapReader`]. Looking never waits for a build; it answers that there is no map rather than one that is too old.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::watch;
use weir_core::clock::Monotonic;
use weir_sync::{Snapshot, SnapshotReader};

use super::ShardMap;

/// The newest published map and how old it may become.
#[derive(Debug)]
pub struct CurrentMap {
    newest: Arc<Snapshot<Option<Arc<ShardMap>>>>,
    /// How many were published: what those wait for who need a fresher one.
    published: watch::Sender<u64>,
    ttl_nanos: AtomicU64,
}

/// A front end's view of the newest map. It keeps the map that it saw last alive until it looks again.
///
/// No request holds the lock over an await: on one thread nobody ever waits for it, and between the threads of `weir serve`
/// for as long as a reference is counted.
#[derive(Debug)]
pub struct MapReader {
    current: Arc<CurrentMap>,
    seen: Mutex<SnapshotReader<Option<Arc<ShardMap>>>>,
}

/// What there is to route by.
#[derive(Debug, Clone)]
pub enum MapState {
    /// No map was ever published: the server is not ready.
    Never,
    /// Routing may use this one.
    Usable(Arc<ShardMap>),
    /// The newest map is older than its TTL: routing must answer `ServiceUnavailable`.
    Expired {
        /// How old it is.
        age: Duration,
    },
}

impl CurrentMap {
    /// No map yet; `ttl` is how old one may become.
    pub fn new(ttl: Duration) -> Self {
        Self {
            newest: Arc::new(Snapshot::new(Arc::new(None))),
            published: watch::Sender::new(0),
            ttl_nanos: AtomicU64::new(nanos(ttl)),
        }
    }

    /// A view for one thread.
    pub fn reader(self: &Arc<Self>) -> MapReader {
        let seen = SnapshotReader::new(Arc::clone(&self.newest));
        MapReader { current: Arc::clone(self), seen: Mutex::new(seen) }
    }

    /// The newest map, however old: for metrics and for the routes of a wedged server in a report.
    pub fn newest(&self) -> Option<Arc<ShardMap>> {
        self.newest.load().as_ref().clone()
    }

    /// Has there ever been a map?
    pub fn is_ready(&self) -> bool {
        self.newest().is_some()
    }

    /// Replaces the map. Called by the fleet thread alone.
    pub fn publish(&self, map: Arc<ShardMap>) {
        self.newest.publish(Arc::new(Some(map)));
        self.published.send_modify(|count| *count += 1);
    }

    /// Changes how old a map may become.
    pub fn set_ttl(&self, ttl: Duration) {
        self.ttl_nanos.store(nanos(ttl), Ordering::Relaxed);
    }
}

impl MapReader {
    /// Tells of every map that is published from now on. To be asked for before looking: one that comes between the two
    /// must not be missed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.current.published.subscribe()
    }

    /// What there is to route by at `now`.
    pub fn look(&self, now: Monotonic) -> MapState {
        let Some(map) = Option::clone(self.seen.lock().get()) else { return MapState::Never };
        let age = now.since(map.built_at);
        if nanos(age) <= self.current.ttl_nanos.load(Ordering::Relaxed) {
            MapState::Usable(map)
        } else {
            MapState::Expired { age }
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use weir_core::id::Generation;

    use super::{super::Routes, *};

    const TTL: Duration = Duration::from_secs(3);

    #[test]
    fn a_map_is_usable_until_its_ttl_has_passed_and_not_after() {
        let current = Arc::new(CurrentMap::new(TTL));
        let reader = current.reader();
        assert!(matches!(reader.look(Monotonic::ZERO), MapState::Never));
        assert!(!current.is_ready());
        let built_at = Monotonic::ZERO + Duration::from_secs(10);
        let map = ShardMap::new(Generation(1), built_at, 0, Arc::new(Routes::default()));
        current.publish(Arc::new(map));
        assert!(matches!(reader.look(built_at + TTL), MapState::Usable(_)));
        let late = built_at + TTL + Duration::from_nanos(1);
        assert!(matches!(reader.look(late), MapState::Expired { age } if age > TTL));
        assert!(current.is_ready(), "an expired map does not make the server look unhealthy");
        current.set_ttl(2 * TTL);
        assert!(matches!(reader.look(late), MapState::Usable(_)));
    }
}
