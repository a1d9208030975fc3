//! Any order of appends, restarts, crashes, trims, rewritings, closings and deletions, against a map of vectors.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Append { shard: u8, records: u8, bytes: u16 },
    Burst { shard: u8, appends: u8 },
    Open { shard: u8 },
    Close { shard: u8 },
    Delete { shard: u8 },
    Trim { stream: u8 },
    TrimOlder { shard: u8, of_100: u8 },
    Rewrite,
    Restart,
    Kill,
    LosePower { seed: u64 },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let shard = 0..4u8;
    let op = prop_oneof![
        12 => (shard.clone(), 1..6u8, 0..1_500u16)
            .prop_map(|(shard, records, bytes)| Op::Append { shard, records, bytes }),
        4 => (shard.clone(), 1..20u8).prop_map(|(shard, appends)| Op::Burst { shard, appends }),
        6 => (shard.clone(), 20..60u8).prop_map(|(shard, appends)| Op::Burst { shard, appends }),
        4 => shard.clone().prop_map(|shard| Op::Open { shard }),
        1 => shard.clone().prop_map(|shard| Op::Close { shard }),
        1 => shard.clone().prop_map(|shard| Op::Delete { shard }),
        2 => (shard, 0..100u8).prop_map(|(shard, of_100)| Op::TrimOlder { shard, of_100 }),
        5 => Just(Op::Rewrite),
        4 => (0..2u8).prop_map(|stream| Op::Trim { stream }),
        1 => Just(Op::Restart),
        1 => Just(Op::Kill),
        1 => any::<u64>().prop_map(|seed| Op::LosePower { seed }),
    ];
    prop::collection::vec(op, 1..80)
}

/// Two streams of two shards.
fn key_of(shard: u8) -> ShardKey {
    key(u64::from(shard / 2), u32::from(shard % 2))
}

#[derive(Debug, Default)]
struct Known {
    texts: Vec<String>,
    /// When each of them arrived.
    arrived: Vec<WallMs>,
    oldest: usize,
    closed: Option<ClosedShard>,
}

#[derive(Debug, Default)]
struct Model {
    shards: BTreeMap<ShardKey, Known>,
    written: u64,
}

struct World {
    disk: FaultDisk,
    journal: Option<Journal>,
    model: Model,
}

impl World {
    fn new() -> Self {
        let disk = disk();
        let mut world = Self { journal: Some(open(&disk).0), disk, model: Model::default() };
        (0..4).for_each(|shard| world.apply(&Op::Open { shard }));
        world
    }

    fn journal(&self) -> &Journal {
        self.journal.as_ref().expect("always open between operations")
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Append { shard, records, bytes } => self.append(key_of(shard), records, bytes),
            Op::Burst { shard, appends } => self.burst(key_of(shard), appends),
            Op::Open { shard } => {
                open_shard(self.journal(), key_of(shard));
                self.model.shards.entry(key_of(shard)).or_default();
            }
            Op::Close { shard } => self.close(key_of(shard)),
            Op::Delete { shard } => {
                let outcome = wait(|done| self.journal().delete_shard(key_of(shard), done));
                assert_eq!(outcome.is_ok(), self.model.shards.remove(&key_of(shard)).is_some());
            }
            Op::Trim { stream } => {
                let trimmed = StreamId(u64::from(stream));
                let keep =
                    |shard: ShardKey| if shard.stream == trimmed { Duration::ZERO } else { Duration::MAX };
                retain(self.journal(), keep, u64::MAX);
                for (key, known) in &mut self.model.shards {
                    if key.stream == trimmed {
                        known.oldest = known.texts.len();
                    }
                }
            }
            Op::TrimOlder { shard, of_100 } => self.trim_older(key_of(shard), usize::from(of_100)),
            Op::Rewrite => {
                rewrite(self.journal());
            }
            Op::Restart => {
                self.journal = None;
                self.reopen(self.disk.clone());
            }
            Op::Kill => self.reopen(self.disk.after_kill(1)),
            Op::LosePower { seed } => self.reopen(self.disk.after_power_loss(seed)),
        }
    }

    fn append(&mut self, key: ShardKey, records: u8, bytes: u16) {
        let texts: Vec<_> = (0..records).map(|_| self.text(bytes)).collect();
        let parts: Vec<_> = texts.iter().map(String::as_str).collect();
        let outcome = append(self.journal(), key, &parts);
        match self.model.shards.get_mut(&key) {
            Some(Known { closed: Some(closed), .. }) => {
                assert!(matches!(outcome, Err(AppendError::Closed { end, .. }) if end == closed.end));
            }
            Some(known) => {
                let AppendOutcome { first, arrived, .. } = outcome.unwrap();
                assert_eq!(first, known.texts.len() as u64);
                known.arrived.extend(texts.iter().map(|_| arrived));
                known.texts.extend(texts);
            }
            None => assert!(matches!(outcome, Err(AppendError::NoShard { .. }))),
        }
    }

    fn burst(&mut self, key: ShardKey, appends: u8) {
        let texts: Vec<_> = (0..appends).map(|n| self.text(u16::from(n) * 50)).collect();
        let answers: Vec<_> = texts.iter().map(|text| begin_append(self.journal(), key, &[text])).collect();
        let outcomes: Vec<_> = answers.into_iter().map(|answer| answer.recv().unwrap()).collect();
        if let Some(known) = self.model.shards.get_mut(&key) {
            assert!(outcomes.iter().all(|outcome| outcome.is_ok() == known.closed.is_none()));
            if known.closed.is_none() {
                known.arrived.extend(outcomes.into_iter().map(|outcome| outcome.unwrap().arrived));
                known.texts.extend(texts);
            }
        }
    }

    /// Trims what arrived in that part of its time, or a little more or less: by the millisecond, as retention does.
    fn trim_older(&mut self, key: ShardKey, of_100: usize) {
        let Some(known) = self.model.shards.get_mut(&key) else { return };
        let Some(cutoff) = known.arrived.get(known.arrived.len() * of_100 / 100).copied() else { return };
        known.oldest = known.oldest.max(known.arrived.partition_point(|arrived| *arrived < cutoff));
        let now = cutoff.0 + 10;
        let keep = |shard: ShardKey| if shard == key { Duration::from_millis(10) } else { Duration::MAX };
        retain(self.journal(), keep, now);
    }

    fn close(&mut self, key: ShardKey) {
        let outcome = close_shard(self.journal(), key);
        match self.model.shards.get_mut(&key) {
            Some(known) => {
                let closed = outcome.unwrap();
                assert_eq!(closed.end, known.texts.len() as u64);
                assert_eq!(*known.closed.get_or_insert(closed), closed, "it ends once");
            }
            None => assert!(matches!(outcome, Err(CloseShardError::NoShard { .. }))),
        }
    }

    fn text(&mut self, bytes: u16) -> String {
        self.model.written += 1;
        format!("{}-{}", self.model.written, "m".repeat(usize::from(bytes)))
    }

    fn reopen(&mut self, disk: FaultDisk) {
        let (journal, report) = open(&disk);
        assert_eq!((report.damage, report.torn_tail), (vec![], None));
        self.journal = Some(journal);
        self.disk = disk;
    }

    fn check(&self) {
        let statuses = self.journal().shards();
        let keys: Vec<_> = statuses.iter().map(|status| status.owned.key).collect();
        assert_eq!(keys, self.model.shards.keys().copied().collect::<Vec<_>>());
        for (status, Known { texts, oldest, closed, .. }) in statuses.iter().zip(self.model.shards.values()) {
            assert_eq!(status.owned.closed, *closed);
            assert_eq!(status.tip, texts.len() as u64);
            assert!(status.oldest <= *oldest as u64, "kept records are served");
            let read = read_all(self.journal(), status.owned.key, *oldest as u64).unwrap();
            assert_eq!(read, texts[*oldest..]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_is_a_map_of_vectors_whatever_happens_to_it(ops in ops()) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
            if matches!(op, Op::Restart | Op::Kill | Op::LosePower { .. } | Op::Trim { .. } | Op::Rewrite) {
                world.check();
            }
        }
        world.check();
    }
}
