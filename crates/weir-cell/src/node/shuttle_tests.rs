//! The node and its journal, whole, under random schedules: front-end callers, reshards, a follower, failing syncs, the end.
//!
//! Shuttle runs every thread of it (callers, follower, the journal's three) one at a time and draws at each lock, channel and
//! condition variable who goes on; the disk's operations are among those places. `cargo xtask shuttle` runs these. A
//! seed draws one schedule, the same each time, and a failure prints the command that runs its seed alone.

use std::{env, fmt::Write as _, sync::Arc};

use nix::errno::Errno;
use shuttle::{Config, Runner, future::block_on, scheduler::RandomScheduler, thread};
use weir_core::{
    batch::{BatchBuilder, Record},
    hash_key::HashKeyRange,
    id::{AccountId, Epoch, Region, ShardIndex, StreamName},
    threads::Threads,
};
use weir_log::{
    Durability, JournalConfig,
    disk::fault::{FaultDisk, Operation},
};

use super::*;

/// Schedules of each property, unless `WEIR_SHUTTLE` says more.
const SCHEDULES: u64 = 2_000;
/// Shuttle's own are too small for an unoptimised journal.
const STACK_BYTES: usize = 1 << 20;
/// The shards of the stream: one that is closed meanwhile, one that stays, and the child of the first.
const PARENT: u32 = 0;
const STAYS: u32 = 1;
const CHILD: u32 = 2;
/// So long that the journal rolls to its second segment while it is written to.
const TEXT_BYTES: usize = 3_000;

/// Names the seed when it fails.
struct Named {
    seed: u64,
    property: &'static str,
}

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, property } = self;
            eprintln!(
                "seed {seed} failed; alone: WEIR_SHUTTLE=1 WEIR_SHUTTLE_SEED={seed} cargo xtask shuttle {property}"
            );
        }
    }
}

/// Runs `schedule` under many seeds; it is handed a disk of the seed's.
fn under_schedules(property: &'static str, schedule: fn(u64, &FaultDisk)) {
    let number =
        |name: &str, default: u64| env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (count, first) = (number("WEIR_SHUTTLE", SCHEDULES), number("WEIR_SHUTTLE_SEED", 1));
    for seed in first..first + count {
        let _named = Named { seed, property };
        let mut config = Config::new();
        config.stack_size = STACK_BYTES;
        config.failure_persistence = shuttle::FailurePersistence::None; // the seed says it all
        Runner::new(RandomScheduler::new_from_seed(seed, 1), config)
            .run(move || schedule(seed, &FaultDisk::new(seed, 1 << 30)));
    }
    eprintln!("{property}: {count} schedules from seed {first} on");
}

fn key(shard: u32) -> ShardKey {
    ShardKey { stream: StreamId(1), shard: ShardIndex(shard) }
}

fn owned(shard: u32) -> OwnedShard {
    OwnedShard {
        key: key(shard),
        account: AccountId::DEFAULT,
        region: Region::US_EAST_1,
        stream_name: StreamName::new("orders"),
        range: HashKeyRange::ALL,
        created_ms: 1,
        epoch: Epoch(1),
        parents: [None; 2],
        closed: None,
    }
}

/// A node over what is on the disk.
fn node(disk: &FaultDisk) -> Arc<Node> {
    let config = JournalConfig {
        segment_bytes: 32 * 1024,
        reserve_bytes: 0,
        overlap_bytes_min: 1,
        zeros_ahead: false,
        kernel_cache_bytes: 0,
        disk: Arc::new(disk.clone()),
        ..JournalConfig::new("data", Durability::Fsync)
    };
    let (journal, report) = Journal::open(config, &Threads::new(), Clock::new()).unwrap();
    assert_eq!(report.damage, []);
    Arc::new(Node::new(journal, Clock::new(), Arc::default()))
}

/// A node with a parent and another shard.
fn with_shards(disk: &FaultDisk) -> Arc<Node> {
    let node = node(disk);
    for shard in [PARENT, STAYS] {
        block_on(node.open_shard(owned(shard))).unwrap();
    }
    node
}

fn ask(node: &Node, request: CellRequest) -> CellReply {
    CellReply::from_frame(block_on(node.answer(request.into_frame(1)))).unwrap()
}

/// All texts of a shard from `from` on, by their first words.
fn texts(node: &Node, shard: u32, from: u64) -> Vec<String> {
    let read = CellRequest::Read { key: key(shard), from, records_max: 10_000, bytes_max: 1 << 20 };
    let CellReply::Read(read) = ask(node, read) else { return Vec::new() };
    let mut texts = Vec::new();
    for stored in read.batches {
        assert_eq!(stored.first, from + texts.len() as u64, "no hole, and nothing twice");
        for record in stored.batch.records() {
            let text = String::from_utf8(record.data.to_vec()).unwrap();
            texts.push(text.trim_end_matches('.').to_owned());
        }
    }
    texts
}

/// What one caller was told: shard, number and text of every acknowledged record.
type Told = Vec<(u32, u64, String)>;

/// A front end that puts records to both shards, and to the child when the parent has ended.
fn call(node: &Node, caller: usize) -> Told {
    let mut told = Told::new();
    let mut has_failed = false;
    let mut shards = vec![PARENT, STAYS];
    for round in 0..3 {
        let put = |shard: &u32| {
            let mut text = format!("{caller} {round} to {shard}");
            let record = text.clone();
            write!(text, "{}", ".".repeat(TEXT_BYTES)).unwrap();
            let mut batch = BatchBuilder::default();
            batch.push(&Record { partition_key: "k".into(), explicit_hash_key: None, data: text.as_bytes() });
            (record, ShardAppend { key: key(*shard), batch: batch.finish() })
        };
        let (records, appends): (Vec<_>, Vec<_>) = shards.iter().map(put).unzip();
        // Some write in the committer's place, where they can.
        let by = if (caller + round) % 2 == 0 { CommittedBy::Caller } else { CommittedBy::Committer };
        let CellReply::Append(results) = block_on(node.reply(CellRequest::Append(appends), by)) else {
            panic!("not appended")
        };
        for ((shard, record), result) in shards.clone().into_iter().zip(records).zip(results) {
            match result {
                Ok(reply) => {
                    assert!(!has_failed, "acknowledged after a write that failed");
                    told.push((shard, reply.first, record));
                }
                Err(CellError::Closed) => shards[0] = CHILD,
                Err(CellError::NotOwner) => assert_eq!(shard, CHILD, "it is not open yet"),
                Err(CellError::Storage) => has_failed = true,
                Err(CellError::LogUnavailable | CellError::Stopping) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    told
}

fn callers(node: &Arc<Node>) -> Vec<thread::JoinHandle<Told>> {
    let caller = |caller| {
        let node = Arc::clone(node);
        thread::spawn(move || call(&node, caller))
    };
    (0..3).map(caller).collect()
}

fn joined(callers: Vec<thread::JoinHandle<Told>>) -> Told {
    callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
}

/// What was acknowledged is there, each at its number. `and_no_more`: nothing else is.
fn check(node: &Node, told: &Told, and_no_more: bool) {
    for shard in [PARENT, STAYS, CHILD] {
        let mut expected: Vec<_> = told.iter().filter(|(of, ..)| *of == shard).collect();
        expected.sort();
        let found = texts(node, shard, 0);
        for (at, (_, first, text)) in (0..).zip(&expected) {
            assert_eq!((*first, found.get(at)), (at as u64, Some(text)), "shard {shard}");
        }
        assert!(!and_no_more || found.len() == expected.len(), "shard {shard} has {found:?}");
    }
}

/// Follows the parent at its watermark until it has ended.
fn follow(node: &Node) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(rise) = node.journal().rise(key(PARENT), seen.len() as u64) {
        let ended = block_on(rise) == weir_sync::watermark::Risen::Ended;
        let more = texts(node, PARENT, seen.len() as u64);
        assert!(ended || !more.is_empty(), "woken above the place, and nothing is there");
        seen.extend(more);
        if ended {
            break;
        }
    }
    seen
}

#[test]
fn what_is_acknowledged_while_a_shard_is_resharded_is_there_once_and_in_order_for_all() {
    under_schedules("resharded", |seed, disk| {
        let node = with_shards(disk);
        let callers = callers(&node);
        let followed = Arc::clone(&node);
        let follower = thread::spawn(move || follow(&followed));
        let closed = block_on(node.close_shard(key(PARENT))).unwrap();
        block_on(node.open_shard(owned(CHILD))).unwrap();
        let told = joined(callers);
        check(&node, &told, true);
        let parent = texts(&node, PARENT, 0);
        assert_eq!(parent.len() as u64, closed.end);
        assert_eq!(follower.join().unwrap(), parent, "the follower saw it all, to the end");
        check(&self::node(&disk.after_power_loss(seed)), &told, true);
    });
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_what_was_stays() {
    under_schedules("failed_sync", |seed, disk| {
        let node = with_shards(disk);
        disk.fail_after(Operation::Sync, seed % 6, Errno::EIO);
        let callers = callers(&node);
        let looked_at = Arc::clone(&node);
        let onlooker = thread::spawn(move || {
            let looks = (0..6).map(|_| {
                thread::yield_now();
                texts(&looked_at, STAYS, 0)
            });
            looks.last().unwrap()
        });
        let told = joined(callers);
        let seen = onlooker.join().unwrap();
        check(&node, &told, true);
        assert!(texts(&node, STAYS, 0).starts_with(&seen), "what was seen once stays");
        let after = self::node(&disk.after_power_loss(seed));
        check(&after, &told, false);
        assert!(texts(&after, STAYS, 0).starts_with(&seen));
    });
}

#[test]
fn a_node_that_stops_answers_everybody_and_keeps_what_it_acknowledged_and_no_more() {
    under_schedules("stops", |seed, disk| {
        let node = with_shards(disk);
        let callers = callers(&node);
        node.close();
        let told = joined(callers);
        check(&node, &told, true);
        check(&self::node(&disk.after_kill(seed)), &told, true);
        check(&self::node(&disk.after_power_loss(seed)), &told, true);
    });
}
