//! The shard map under readers: what a look costs a request thread, quiet and while the fleet publishes, and what
//! publishing costs the fleet.
//!
//! Beside [`SnapshotReader`] stand the front end's own [`MapReader::look`] and the plain ways, a reference count under
//! a mutex or a read-write lock. No reader may ever see a map older than one that it has seen, and after the last
//! publish every reader must see the last.

use std::{
    num::NonZeroU32,
    sync::{Arc, Barrier},
    time::Duration,
};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use parking_lot::{Mutex, RwLock};
use weir_benches::{BASELINE, CpuTime, Size, run, shards};
use weir_core::{
    clock::{Clock, Monotonic},
    id::Generation,
    threads::Threads,
};
use weir_frontend::shard_map::{
    CurrentMap, MapReader, MapState, RoutedShard, Routes, ShardMap, StreamShards,
};
use weir_sync::{Snapshot, SnapshotReader};

/// How often the fleet publishes while readers are measured: hundreds of times more often than a real one.
const PUBLISH_EVERY: Duration = Duration::from_millis(1);

fn main() {
    run::run_alone(build_and_publish);
    run::run(read_all);
}

fn build_and_publish(criterion: &mut Criterion<CpuTime>, size: Size) {
    let first = first(size);
    build(criterion, &first);
    publish(criterion, &first);
}

fn read_all(criterion: &mut Criterion, size: Size) {
    let first = first(size);
    for (readers, publishing) in [(1, false), (1, true), (2, false), (2, true)] {
        read(criterion, &first, Case { readers, publishing });
    }
}

/// The map that is there before anybody publishes.
fn first(size: Size) -> ShardMap {
    shards::map(NonZeroU32::new(size.pick(8, 4_096)).expect("not zero"), Generation(1))
}

/// From the shards to a map, which the fleet does before it publishes.
fn build(criterion: &mut Criterion<CpuTime>, wanted: &ShardMap) {
    let count = wanted.shards_count();
    let routed: Vec<RoutedShard> = wanted.streams().flat_map(StreamShards::shards).cloned().collect();
    let mut group = criterion.benchmark_group("shard_map_build");
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(BenchmarkId::new("weir", format!("{count} shards")), |bencher| {
        let map = |routed| {
            let map = ShardMap::new(Generation(1), Monotonic::ZERO, 0, Arc::new(Routes::new(routed)));
            assert_eq!(map.shards_count(), count);
            map
        };
        bencher.iter_batched(|| routed.clone(), map, BatchSize::LargeInput);
    });
    group.finish();
}

/// A place that holds the newest map.
trait Place: Send + Sync + 'static {
    /// A thread's own view of it.
    type Reader: Send + 'static;

    fn of(first: ShardMap) -> Self;
    fn publish(&self, map: Arc<ShardMap>);
    fn reader(self: &Arc<Self>) -> Self::Reader;
    /// The generation of the map that a request would route by.
    fn look(&self, reader: &mut Self::Reader) -> Generation;
}

impl Place for Snapshot<ShardMap> {
    type Reader = SnapshotReader<ShardMap>;

    fn of(first: ShardMap) -> Self {
        Self::new(Arc::new(first))
    }
    fn publish(&self, map: Arc<ShardMap>) {
        Self::publish(self, map);
    }
    fn reader(self: &Arc<Self>) -> Self::Reader {
        SnapshotReader::new(Arc::clone(self))
    }
    fn look(&self, reader: &mut Self::Reader) -> Generation {
        reader.get().generation
    }
}

impl Place for CurrentMap {
    type Reader = MapReader;

    fn of(first: ShardMap) -> Self {
        let place = Self::new(Duration::from_secs(3_600));
        place.publish(Arc::new(first));
        place
    }
    fn publish(&self, map: Arc<ShardMap>) {
        Self::publish(self, map);
    }
    fn reader(self: &Arc<Self>) -> MapReader {
        Self::reader(self)
    }
    fn look(&self, reader: &mut MapReader) -> Generation {
        match reader.look(Monotonic::ZERO) {
            MapState::Usable(map) => map.generation,
            other => panic!("{other:?} is no map"),
        }
    }
}

impl Place for Mutex<Arc<ShardMap>> {
    type Reader = ();

    fn of(first: ShardMap) -> Self {
        Self::new(Arc::new(first))
    }
    fn publish(&self, map: Arc<ShardMap>) {
        let old = std::mem::replace(&mut *self.lock(), map);
        drop(old);
    }
    fn reader(self: &Arc<Self>) {}
    fn look(&self, (): &mut ()) -> Generation {
        let map = Arc::clone(&self.lock());
        map.generation
    }
}

impl Place for RwLock<Arc<ShardMap>> {
    type Reader = ();

    fn of(first: ShardMap) -> Self {
        Self::new(Arc::new(first))
    }
    fn publish(&self, map: Arc<ShardMap>) {
        let old = std::mem::replace(&mut *self.write(), map);
        drop(old);
    }
    fn reader(self: &Arc<Self>) {}
    fn look(&self, (): &mut ()) -> Generation {
        let map = Arc::clone(&self.read());
        map.generation
    }
}

fn publish(criterion: &mut Criterion<CpuTime>, first: &ShardMap) {
    publish_to::<Snapshot<ShardMap>>(criterion, "weir Snapshot", first);
    publish_to::<Mutex<Arc<ShardMap>>>(criterion, &format!("{BASELINE} Mutex"), first);
    publish_to::<RwLock<Arc<ShardMap>>>(criterion, "RwLock", first);
}

/// A map that is confirmed: the routes are the same, the generation is the next.
fn publish_to<P: Place>(criterion: &mut Criterion<CpuTime>, name: &str, first: &ShardMap) {
    let place = Arc::new(P::of(first.clone()));
    let mut reader = place.reader();
    let mut newest = first.clone();
    let mut group = criterion.benchmark_group("shard_map_publish");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            newest.generation = Generation(newest.generation.0 + 1);
            place.publish(Arc::new(newest.clone()));
        });
        assert_eq!(place.look(&mut reader), newest.generation, "the last map is not the one that is read");
    });
    group.finish();
}

/// Who reads, and whether the fleet publishes meanwhile.
#[derive(Clone, Copy)]
struct Case {
    readers: u64,
    publishing: bool,
}

fn read(criterion: &mut Criterion, first: &ShardMap, case: Case) {
    read_from::<Snapshot<ShardMap>>(criterion, "weir SnapshotReader", first, case);
    read_from::<CurrentMap>(criterion, "weir MapReader", first, case);
    read_from::<Mutex<Arc<ShardMap>>>(criterion, &format!("{BASELINE} Mutex"), first, case);
    read_from::<RwLock<Arc<ShardMap>>>(criterion, "RwLock", first, case);
}

fn read_from<P: Place>(criterion: &mut Criterion, name: &str, first: &ShardMap, case: Case) {
    let place = Arc::new(P::of(first.clone()));
    let mut newest = first.clone();
    let readers = if case.readers == 1 { "1 reader".to_owned() } else { format!("{} readers", case.readers) };
    let work = format!("{readers}, {}", if case.publishing { "publishing" } else { "quiet" });
    let mut group = criterion.benchmark_group("shard_map_read");
    group.throughput(Throughput::Elements(case.readers));
    group.bench_function(BenchmarkId::new(name, work), |bencher| {
        bencher.iter_custom(|looks| look_and_publish(&place, &mut newest, case, looks));
    });
    group.finish();
}

/// Every reader looks `looks` times; until all have, this thread publishes, if it should. How long the slowest took.
fn look_and_publish<P: Place>(place: &Arc<P>, newest: &mut ShardMap, case: Case, looks: u64) -> Duration {
    let (threads, clock) = (Threads::new(), Clock::new());
    let start = Arc::new(Barrier::new(case.readers as usize + 1));
    let handles: Vec<_> = (0..case.readers)
        .map(|_| {
            let (place, start) = (Arc::clone(place), Arc::clone(&start));
            let read = move || {
                let mut reader = place.reader();
                let mut seen = Generation(0);
                start.wait();
                let begun = clock.now();
                for _ in 0..looks {
                    let found = place.look(&mut reader);
                    assert!(found >= seen, "the map went back from {seen} to {found}");
                    seen = found;
                }
                (clock.now().since(begun), reader)
            };
            threads.spawn("reader", read).expect("a thread for each reader")
        })
        .collect();
    start.wait();
    while case.publishing && handles.iter().any(|handle| !handle.is_finished()) {
        newest.generation = Generation(newest.generation.0 + 1);
        place.publish(Arc::new(newest.clone()));
        std::thread::park_timeout(PUBLISH_EVERY);
    }
    let mut slowest = Duration::ZERO;
    for handle in handles {
        let (took, mut reader) = handle.join().expect("no reader may see the map go back");
        assert_eq!(place.look(&mut reader), newest.generation, "the last map is not the one that is read");
        slowest = slowest.max(took);
    }
    slowest
}
