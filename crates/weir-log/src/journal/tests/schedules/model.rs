//! What must be there: a map of vectors for what was acknowledged, and in their order the writes of which nobody knows.
//!
//! A crash keeps some first part of the unknown writes and nothing of the rest, because the log is one sequence. Under
//! `os` a loss of power keeps some first part of everything since the last opening.

use std::{collections::BTreeMap, fmt};

use super::*;

/// A write.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Op {
    /// `life` numbers the shard's lives: one that is deleted and opened again is another.
    Open {
        key: ShardKey,
        epoch: u64,
        life: u64,
    },
    Append {
        key: ShardKey,
        texts: Vec<String>,
    },
    Close {
        key: ShardKey,
    },
    Delete {
        key: ShardKey,
    },
}

impl Op {
    pub(super) fn key(&self) -> ShardKey {
        match self {
            Self::Open { key, .. }
            | Self::Append { key, .. }
            | Self::Close { key }
            | Self::Delete { key } => *key,
        }
    }

    /// Bytes of the records' data.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append { texts, .. } => texts.iter().map(String::len).sum(),
            Self::Open { .. } | Self::Close { .. } | Self::Delete { .. } => 0,
        }
    }
}

/// Without the records' data, which is long.
impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { key, epoch, .. } => write!(f, "opening of {key} under epoch {epoch}"),
            Self::Append { key, texts } => {
                write!(f, "append of {} records ({} bytes) to {key}", texts.len(), self.bytes())
            }
            Self::Close { key } => write!(f, "closing of {key}"),
            Self::Delete { key } => write!(f, "deletion of {key}"),
        }
    }
}

/// A shard from its opening to its deletion.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) life: u64,
    pub(super) epoch: u64,
    pub(super) texts: Vec<String>,
    pub(super) closed: bool,
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { life, epoch, closed, .. } = self;
        write!(f, "life {life} of {} records, epoch {epoch}, closed {closed}", self.end())
    }
}

impl Life {
    pub(super) fn end(&self) -> u64 {
        self.texts.len() as u64
    }
}

pub(super) type Shards = BTreeMap<ShardKey, Life>;

/// What was found of one shard.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) epoch: u64,
    pub(super) closed: Option<u64>,
    pub(super) oldest: u64,
    pub(super) tip: u64,
    /// From the oldest on.
    pub(super) texts: Vec<String>,
}

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// As the last opening found it.
    opened: Shards,
    /// Acknowledged since then.
    done: Vec<Op>,
    /// The two together.
    pub(super) shown: Shards,
    /// Neither acknowledged nor refused without effect.
    unknown: Vec<Op>,
    /// Records before this one may be trimmed, by life.
    trimmed: BTreeMap<u64, u64>,
}

impl Model {
    pub(super) fn acknowledge(&mut self, op: Op) {
        assert_eq!(self.unknown, [], "{op:?} is acknowledged behind a write that is not");
        apply(&mut self.shown, &op);
        self.done.push(op);
    }

    pub(super) fn suspect(&mut self, op: Op) {
        self.unknown.push(op);
    }

    /// Everything of these shards may be trimmed that is there now.
    pub(super) fn trim(&mut self, which: impl Fn(ShardKey) -> bool) {
        for (_, life) in self.shown.iter().filter(|(key, _)| which(**key)) {
            self.trimmed.insert(life.life, life.end());
        }
    }

    /// Everything is gone, as it should be.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Is `found` what is shown?
    pub(super) fn check(&self, found: &BTreeMap<ShardKey, Found>) {
        self.is_as(&self.shown, found).unwrap_or_else(|differs| panic!("{differs}"));
    }

    /// After a crash: is `found` what it may be? Then that is what is there from now on. Returns how many of the unknown
    /// writes it has, and how many there were.
    pub(super) fn settle(
        &mut self,
        found: &BTreeMap<ShardKey, Found>,
        acknowledged_may_be_lost: bool,
    ) -> (usize, usize) {
        let (mut shards, mut rest) = match acknowledged_may_be_lost {
            true => (self.opened.clone(), [&self.done[..], &self.unknown].concat()),
            false => (self.shown.clone(), self.unknown.clone()),
        };
        let (total, mut kept) = (rest.len(), 0);
        let mut rest = rest.drain(..);
        let mut differences = Vec::new();
        loop {
            match self.is_as(&shards, found) {
                Ok(()) => break,
                Err(differs) => differences.push(differs),
            }
            let Some(op) = rest.next() else {
                panic!("no first part of {total} unknown writes explains what is there: {differences:#?}")
            };
            apply(&mut shards, &op);
            kept += 1;
        }
        self.opened.clone_from(&shards);
        self.shown = shards;
        self.done.clear();
        self.unknown.clear();
        (kept, total)
    }

    fn is_as(&self, shards: &Shards, found: &BTreeMap<ShardKey, Found>) -> Result<(), String> {
        if !shards.keys().eq(found.keys()) {
            return Err(format!("shards {:?} instead of {:?}", found.keys(), shards.keys()));
        }
        for ((key, life), found) in shards.iter().zip(found.values()) {
            let Found { epoch, closed, oldest, tip, texts } = found;
            let trimmed = self.trimmed.get(&life.life).copied().unwrap_or(0);
            let facts = (*epoch, *closed, *tip);
            let expected = (life.epoch, life.closed.then(|| life.end()), life.end());
            if facts != expected {
                return Err(format!("{key}: epoch, end and tip {facts:?} instead of {expected:?}"));
            }
            if *oldest > trimmed.min(*tip) {
                return Err(format!("{key}: begins at {oldest}, only {trimmed} were trimmed"));
            }
            if *texts != life.texts[usize::try_from(*oldest).unwrap()..] {
                return Err(format!("{key}: other records from {oldest} on"));
            }
        }
        Ok(())
    }
}

/// What a write does where it has an effect.
fn apply(shards: &mut Shards, op: &Op) {
    match op {
        Op::Open { key, epoch, life } => {
            let new = || Life { life: *life, epoch: 0, texts: Vec::new(), closed: false };
            let shard = shards.entry(*key).or_insert_with(new);
            shard.epoch = shard.epoch.max(*epoch);
        }
        Op::Append { key, texts } => {
            if let Some(shard) = shards.get_mut(key).filter(|shard| !shard.closed) {
                shard.texts.extend_from_slice(texts);
            }
        }
        Op::Close { key } => {
            if let Some(shard) = shards.get_mut(key) {
                shard.closed = true;
            }
        }
        Op::Delete { key } => {
            shards.remove(key);
        }
    }
}
