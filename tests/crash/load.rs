//! Clients of one stream: producers that try again as SDKs do, readers that follow, readers that begin anywhere.
//!
//! They run while a test kills what they talk to, and write into one history. Every choice comes from a seed; which thread
//! is faster does not.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use weir_tests::{
    follower::Follower,
    history::{At, History, Outcome, Put, Read, Sequence, ShardName, Start},
    witness::Witness,
};

/// Threads that put, each by connections of its own.
const PRODUCERS: usize = 4;
/// Partition keys of each producer, and keys that all of them use.
const OWN_KEYS: u32 = 12;
const SHARED_KEYS: u32 = 4;
/// Records of one PutRecords, and attempts after which a producer gives a record up.
const BATCH_MAX: u32 = 12;
const ATTEMPTS_MAX: u32 = 8;
/// The pause after a refusal doubles from the first to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(2);
const PAUSE_LAST: Duration = Duration::from_millis(64);
/// The pause of a reader that is at the tip.
const READ_PAUSE: Duration = Duration::from_millis(10);
/// How often progress is looked at, and how many looks are worth waiting for it.
const LOOK_PAUSE: Duration = Duration::from_micros(500);
const LOOKS_MAX: u32 = 120_000;
/// Records that a prober remembers as places to begin at.
const PLACES_MAX: usize = 64;

/// The clients' state, which outlives them.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) stream: String,
    pub(crate) history: History,
    seed: u64,
    addresses: Mutex<Vec<SocketAddr>>,
    /// Records that were acknowledged, by producer.
    acknowledged: [AtomicUsize; PRODUCERS],
    retries: AtomicUsize,
    records: AtomicU64,
    readers: AtomicU64,
    followers: Mutex<Vec<Follower>>,
    stop: AtomicBool,
}

/// Ends the clients when the test's own part is over, also by a panic.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Load {
    /// Nobody has called yet.
    pub(crate) fn new(stream: &str, seed: u64) -> Self {
        Self {
            stream: stream.to_owned(),
            history: History::default(),
            seed,
            addresses: Mutex::default(),
            acknowledged: Default::default(),
            retries: AtomicUsize::new(0),
            records: AtomicU64::new(0),
            readers: AtomicU64::new(100),
            followers: Mutex::new(vec![Follower::new(1, stream, 10_000), Follower::new(2, stream, 7)]),
            stop: AtomicBool::new(false),
        }
    }

    /// Runs the clients against these servers while `during` runs.
    pub(crate) fn run(&self, addresses: &[SocketAddr], during: impl FnOnce()) {
        self.go_on_at(addresses);
        self.stop.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            let _stop = Stop(&self.stop);
            for producer in 0..PRODUCERS {
                scope.spawn(move || self.to_the_end(|| self.produce(producer)));
            }
            scope.spawn(|| self.to_the_end(|| self.follow()));
            scope.spawn(|| self.to_the_end(|| self.probe()));
            during();
        });
    }

    /// From now on these servers are called.
    pub(crate) fn go_on_at(&self, addresses: &[SocketAddr]) {
        *self.addresses.lock().expect("no client panics") = addresses.to_vec();
    }

    /// What a client's panic ends is the whole test: whoever waits for progress must hear of it.
    fn to_the_end(&self, client: impl FnOnce()) {
        let stop = Stop(&self.stop);
        client();
        std::mem::forget(stop); // it ended because it was told to
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A client of the server whose turn it is.
    pub(crate) fn witness(&self, turn: usize) -> Witness<'_> {
        let addresses = self.addresses.lock().expect("no client panics");
        Witness { history: &self.history, address: addresses[turn % addresses.len()] }
    }

    /// Records that were acknowledged until now.
    pub(crate) fn acknowledged(&self) -> usize {
        self.by_producer().iter().sum()
    }

    /// The same, by producer.
    pub(crate) fn by_producer(&self) -> [usize; PRODUCERS] {
        std::array::from_fn(|producer| self.acknowledged[producer].load(Ordering::Relaxed))
    }

    /// Records that had to be sent again, each time.
    pub(crate) fn retries(&self) -> usize {
        self.retries.load(Ordering::Relaxed)
    }

    /// Waits until `seen`.
    ///
    /// # Panics
    /// When a client has panicked, and when it does not come.
    pub(crate) fn wait_until(&self, what: &str, seen: impl Fn() -> bool) {
        for _ in 0..LOOKS_MAX {
            if seen() {
                return;
            }
            assert!(!self.stopped(), "a client ended while {what} was waited for");
            thread::park_timeout(LOOK_PAUSE);
        }
        panic!("{what} did not come");
    }

    /// Waits until so many records are acknowledged.
    pub(crate) fn wait_for(&self, acknowledged: usize) {
        self.wait_until("the next acknowledgement", || self.acknowledged() >= acknowledged);
    }

    /// The number of one more reader.
    pub(crate) fn new_reader(&self) -> u64 {
        self.readers.fetch_add(1, Ordering::Relaxed)
    }

    /// Reads the stream from its start to its tip and judges everything until now.
    ///
    /// # Panics
    /// With all faults, when there is one.
    pub(crate) fn check(&self, turn: usize) {
        let settled = self.history.now();
        let mut follower = Follower::new(self.new_reader(), &self.stream, 10_000);
        self.read_to_the_tip(&mut follower, turn);
        self.judge(settled);
    }

    /// The same once the clients have ended, with those that follow at the tip as well.
    pub(crate) fn check_at_the_end(&self) {
        let settled = self.history.now();
        let mut followers = self.followers.lock().expect("no client panics");
        followers.iter_mut().for_each(|follower| self.read_to_the_tip(follower, 0));
        self.judge(settled);
    }

    fn read_to_the_tip(&self, follower: &mut Follower, turn: usize) {
        for _ in 0..LOOKS_MAX {
            if follower.step(self.witness(turn)) {
                return;
            }
            thread::park_timeout(LOOK_PAUSE);
        }
        panic!("the tip of {} was not reached", self.stream);
    }

    fn judge(&self, settled: At) {
        let faults = self.history.faults(settled);
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    }

    fn rng(&self, of: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ of.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn produce(&self, producer: usize) {
        let mut rng = self.rng(producer as u64 + self.records.load(Ordering::Relaxed));
        let mut last: Vec<(String, Sequence)> = Vec::new();
        while !self.stopped() {
            if rng.random_ratio(1, 4) {
                let mut put = self.new_put(producer, &mut rng);
                put.after = last.iter().find(|(key, _)| *key == put.key).map(|(_, number)| number.clone());
                self.put_until_stored(producer, put, &mut last);
            } else {
                let count = rng.random_range(1..=BATCH_MAX);
                let puts = (0..count).map(|_| self.new_put(producer, &mut rng)).collect();
                self.put_all_until_stored(producer, puts);
            }
        }
    }

    /// A record that nobody has put before.
    fn new_put(&self, producer: usize, rng: &mut StdRng) -> Put {
        let key = match rng.random_range(0..OWN_KEYS + SHARED_KEYS) {
            own if own < OWN_KEYS => format!("{producer}-{own}"),
            shared => format!("shared-{shared}"),
        };
        // Sixteen digits are base64 as well; some records are large, so that writes take their time.
        let padding = if rng.random_ratio(1, 40) { 2_000 } else { rng.random_range(0..4) };
        let data = format!("{:016}{}", self.records.fetch_add(1, Ordering::Relaxed), "weir".repeat(padding));
        Put { stream: self.stream.clone(), key, data, after: None }
    }

    fn put_until_stored(&self, producer: usize, put: Put, last: &mut Vec<(String, Sequence)>) {
        self.again_until_empty(producer, vec![put], |witness, puts| {
            let outcome = witness.put_record(&puts[0]);
            if let Outcome::Stored { sequence, .. } = &outcome {
                last.retain(|(key, _)| *key != puts[0].key);
                last.push((puts[0].key.clone(), sequence.clone()));
            }
            vec![outcome]
        });
    }

    fn put_all_until_stored(&self, producer: usize, puts: Vec<Put>) {
        self.again_until_empty(producer, puts, |witness, puts| witness.put_records(puts));
    }

    /// Puts what is not stored again, as SDKs do, also where nobody knows whether it was.
    fn again_until_empty(
        &self,
        producer: usize,
        mut puts: Vec<Put>,
        mut attempt: impl FnMut(Witness<'_>, &[Put]) -> Vec<Outcome>,
    ) {
        let mut pause = PAUSE_FIRST;
        for attempts in 0..ATTEMPTS_MAX {
            if attempts > 0 {
                self.retries.fetch_add(puts.len(), Ordering::Relaxed);
                thread::park_timeout(pause);
                pause = (pause * 2).min(PAUSE_LAST);
            }
            let outcomes = attempt(self.witness(producer), &puts);
            let mut outcomes = outcomes.iter();
            let before = puts.len();
            puts.retain(|_| !matches!(outcomes.next(), Some(Outcome::Stored { .. })));
            self.acknowledged[producer].fetch_add(before - puts.len(), Ordering::Relaxed);
            if puts.is_empty() || self.stopped() {
                return;
            }
        }
    }

    /// Follows the stream from its start, twice: by whole pages and by small ones, through different servers.
    fn follow(&self) {
        let mut followers = self.followers.lock().expect("it is the only client that follows");
        while !self.stopped() {
            for (turn, follower) in followers.iter_mut().enumerate() {
                follower.step(self.witness(turn));
            }
            thread::park_timeout(READ_PAUSE);
        }
    }

    /// Reads a little from any place by any kind of iterator, again and again.
    fn probe(&self) {
        let mut rng = self.rng(u64::MAX - self.records.load(Ordering::Relaxed));
        let mut places: Vec<(ShardName, Read)> = Vec::new();
        let mut turn = 0;
        while !self.stopped() {
            turn += 1;
            self.probe_once(self.witness(turn), &mut rng, &mut places);
            thread::park_timeout(READ_PAUSE);
        }
    }

    /// One iterator, a few pages of it. None: a server did not answer.
    fn probe_once(
        &self,
        witness: Witness<'_>,
        rng: &mut StdRng,
        places: &mut Vec<(ShardName, Read)>,
    ) -> Option<()> {
        let (shard, start) = if places.is_empty() || rng.random_ratio(1, 3) {
            let shards = witness.shards(&self.stream)?;
            let shard = shards[rng.random_range(0..shards.len())].shard.clone();
            let start = if rng.random() { Start::Latest } else { Start::TrimHorizon };
            (ShardName { stream: self.stream.clone(), shard }, start)
        } else {
            let (shard, record) = places[rng.random_range(0..places.len())].clone();
            let start = match rng.random_range(0..3) {
                0 => Start::At(record.sequence),
                1 => Start::After(record.sequence),
                _ => Start::Time(record.arrived_ms),
            };
            (shard, start)
        };
        let reader = self.new_reader();
        let mut cursor = witness.iterator(reader, &shard, start)?;
        for _ in 0..rng.random_range(1..4) {
            let page = witness.page(&cursor, rng.random_range(1..200))?;
            for record in page.records {
                if places.len() < PLACES_MAX {
                    places.push((shard.clone(), record));
                } else if rng.random_ratio(1, 8) {
                    let at = rng.random_range(0..PLACES_MAX);
                    places[at] = (shard.clone(), record);
                }
            }
            cursor = page.cursor?;
        }
        Some(())
    }
}
