//! Reads of a world: of everything, of a shard here and there, and of what comes while it comes.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Wake, Waker},
};

use rand::{RngExt, seq::IteratorRandom};
use weir_sync::watermark::{Rise, Risen};

use super::{
    calls::Call,
    model::{Found, Life, Op},
    world::World,
    *,
};

/// What was read of a shard while writes waited.
#[derive(Debug)]
pub(super) struct Glimpse {
    key: ShardKey,
    life: u64,
    from: u64,
    texts: Vec<String>,
    tip: u64,
    /// The end that was acknowledged before.
    acknowledged: u64,
}

/// Somebody who waits for the next record of a shard.
pub(super) struct Waiter {
    waits: Option<Waits>,
}

struct Waits {
    key: ShardKey,
    life: Life,
    rise: Rise,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl World {
    /// Everything that the journal has; none when the power goes meanwhile.
    pub(super) fn find(&self) -> Option<BTreeMap<ShardKey, Found>> {
        let mut found = BTreeMap::new();
        for status in self.journal().shards() {
            let OwnedShard { key, epoch, closed, .. } = status.owned;
            assert_eq!(status.owned, OwnedShard { closed, ..owned(key, epoch.0) });
            assert_eq!(status.damage, None, "{key}");
            let texts = self.patiently(|journal| read_all(journal, key, status.oldest))?;
            let (oldest, tip, closed) = (status.oldest, status.tip, closed.map(|closed| closed.end));
            found.insert(key, Found { epoch: epoch.0, closed, oldest, tip, texts });
        }
        Some(found)
    }

    /// Tries again while the disk has its faults, and as long as it has power.
    fn patiently<T>(&self, look: impl Fn(&Journal) -> Result<T, ReadError>) -> Option<T> {
        loop {
            let faults = self.disk.faults_happened();
            match look(self.journal()) {
                Ok(seen) => return Some(seen),
                Err(ReadError::Storage(error)) => {
                    assert!(self.disk.faults_happened() > faults, "{error}");
                    assert!(error.to_string().contains(" data/segment-"), "which file: {error}");
                }
                Err(error) => panic!("{error}"),
            }
            if !self.disk.is_powered() {
                return None;
            }
        }
    }

    /// Reads a part of a shard, or of all of them, and asks who waits.
    pub(super) fn look(&mut self) {
        if self.one_in(4)
            && let Some(found) = self.find()
        {
            self.model.check(&found);
        }
        let Some((key, life)) = self.model.shown.iter().choose(&mut self.rng) else { return };
        let (key, life) = (*key, life.clone());
        let from = self.rng.random_range(0..=life.end());
        let (records_max, bytes_max) = (self.rng.random_range(1..6), self.rng.random_range(1..4_000));
        let read = self.patiently(|journal| journal.read(key, from, records_max, bytes_max));
        let Some(read) = read else { return };
        assert_eq!((read.tip, read.closed), (life.end(), life.closed), "{key}");
        let texts = texts_from(read.from, &read.batches);
        let expected = &life.texts[usize::try_from(read.from).unwrap()..];
        assert!(expected.starts_with(&texts) && texts.is_empty() == expected.is_empty(), "{key} from {from}");
        let beyond = self.journal().read(key, life.end() + 1, 1, 1);
        assert!(matches!(beyond, Err(ReadError::BeyondTip { tip, .. }) if tip == life.end()), "{beyond:?}");
        let mut rise = self.journal().rise(key, from).expect("it is there");
        let risen = Pin::new(&mut rise).poll(&mut Context::from_waker(Waker::noop()));
        let expected = match (from < life.end(), life.closed) {
            (true, _) => Poll::Ready(Risen::Above),
            (false, true) => Poll::Ready(Risen::Ended),
            (false, false) => Poll::Pending,
        };
        assert_eq!(risen, expected, "{key} at {from} of {}", life.end());
        self.tally.looks += 1;
    }

    /// Reads at the end of a shard while `calls` wait, if they leave it in this life.
    pub(super) fn glimpse(&mut self, calls: &[Call]) -> Option<Glimpse> {
        let stays = |key: ShardKey| {
            let ends = |op: &Op| matches!(op, Op::Open { .. } | Op::Delete { .. }) && op.key() == key;
            !calls.iter().any(|call| ends(&call.op))
        };
        let (key, life) = self.model.shown.iter().filter(|(key, _)| stays(**key)).choose(&mut self.rng)?;
        let from = life.end().saturating_sub(self.rng.random_range(0..4));
        let (key, life, acknowledged) = (*key, life.life, life.end());
        let read = self.journal().read(key, from, 1_000, 100_000);
        let Ok(read) = read else {
            assert!(matches!(read, Err(ReadError::Storage(_))), "{read:?}");
            return None;
        };
        let texts = texts_from(read.from, &read.batches);
        Some(Glimpse { key, life, from: read.from, texts, tip: read.tip, acknowledged })
    }

    /// What was seen was acknowledged, if not then, then after.
    pub(super) fn judge_glimpse(&mut self, glimpse: Option<Glimpse>) {
        let Some(Glimpse { key, life, from, texts, tip, acknowledged }) = glimpse else { return };
        let shown = self.model.shown.get(&key).filter(|shown| shown.life == life).expect("it stays");
        assert!(
            (acknowledged..=shown.end()).contains(&tip),
            "{key}: {tip} was seen, {} is the end",
            shown.end()
        );
        assert!(shown.texts[usize::try_from(from).unwrap()..].starts_with(&texts), "{key}");
        self.tally.glimpses += 1;
    }
}

impl Waiter {
    /// Somebody waits at the end of a shard, or nobody.
    pub(super) fn draw(world: &mut World) -> Self {
        let Some((key, life)) = world.model.shown.iter().choose(&mut world.rng) else {
            return Self { waits: None };
        };
        let (key, life, woken) = (*key, life.clone(), Arc::new(Woken::default()));
        let mut rise = world.journal().rise(key, life.end()).expect("it is there");
        let waker = Waker::from(Arc::clone(&woken));
        let is_over = Pin::new(&mut rise).poll(&mut Context::from_waker(&waker));
        assert_eq!(is_over, if life.closed { Poll::Ready(Risen::Ended) } else { Poll::Pending }, "{key}");
        Self { waits: (!life.closed).then_some(Waits { key, life, rise, woken }) }
    }

    /// Who waited was woken when there was a reason, and when there was none waits still.
    pub(super) fn judge(self, world: &mut World) {
        let Some(Waits { key, life, mut rise, woken }) = self.waits else { return };
        let now = world.model.shown.get(&key).filter(|now| now.life == life.life);
        let risen = now.is_some_and(|now| now.end() > life.end());
        let ended = now.is_none_or(|now| now.closed);
        let polled = Pin::new(&mut rise).poll(&mut Context::from_waker(Waker::noop()));
        let is_right = match polled {
            Poll::Ready(Risen::Above) => risen || ended, // a life may have grown before it ended
            Poll::Ready(Risen::Ended) => ended,
            Poll::Pending => !risen && !ended,
        };
        assert!(is_right, "{key}: {polled:?} although risen is {risen} and ended {ended}");
        assert_eq!(woken.0.load(Ordering::Relaxed), risen || ended, "{key}: woken without a reason, or not");
        world.tally.waiters += 1;
    }
}

/// The records of `batches` from `from` on, which is in the first of them.
fn texts_from(from: u64, batches: &[weir_core::batch::StoredBatch]) -> Vec<String> {
    let mut texts = Vec::new();
    let mut at = from;
    for stored in batches {
        assert!(stored.first <= at && stored.end() > at, "no hole at {at}");
        let skipped = usize::try_from(at - stored.first).unwrap();
        texts.extend(
            stored
                .batch
                .records()
                .skip(skipped)
                .map(|record| String::from_utf8(record.data.to_vec()).unwrap()),
        );
        at = stored.end();
    }
    texts
}
