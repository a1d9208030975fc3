//! Where request code finds the shard map of this moment.
//!
//! The fleet thread publishes, request threads look. Looking never waits for a build; it answers that there is no map
//! rather than one that is too old.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use weir_core::clock::Monotonic;
use weir_sync::Snapshot;

use super::ShardMap;

/// The newest published map and how old it may become.
#[derive(Debug)]
pub struct CurrentMap {
    newest: Snapshot<Option<Arc<ShardMap>>>,
    ttl_nanos: AtomicU64,
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
        Self { newest: Snapshot::new(Arc::new(None)), ttl_nanos: AtomicU64::new(nanos(ttl)) }
    }

    /// What there is to route by at `now`.
    pub fn look(&self, now: Monotonic) -> MapState {
        match self.newest() {
            None => MapState::Never,
            Some(map) => {
                let age = now.since(map.built_at);
                if nanos(age) <= self.ttl_nanos.load(Ordering::Relaxed) {
                    MapState::Usable(map)
                } else {
                    MapState::Expired { age }
                }
            }
        }
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
    }

    /// Changes how old a map may become.
    pub fn set_ttl(&self, ttl: Duration) {
        self.ttl_nanos.store(nanos(ttl), Ordering::Relaxed);
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
        let current = CurrentMap::new(TTL);
        assert!(matches!(current.look(Monotonic::ZERO), MapState::Never));
        assert!(!current.is_ready());
        let built_at = Monotonic::ZERO + Duration::from_secs(10);
        let map = ShardMap::new(Generation(1), built_at, 0, Arc::new(Routes::default()));
        current.publish(Arc::new(map));
        assert!(matches!(current.look(built_at + TTL), MapState::Usable(_)));
        let late = built_at + TTL + Duration::from_nanos(1);
        assert!(matches!(current.look(late), MapState::Expired { age } if age > TTL));
        assert!(current.is_ready(), "an expired map does not make the server look unhealthy");
        current.set_ttl(2 * TTL);
        assert!(matches!(current.look(late), MapState::Usable(_)));
    }
}
