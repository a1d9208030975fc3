//! A reader that follows a stream over its reshards: every shard from its start, children after their parents.
//!
//! It asks whichever witness it is handed, so that it can go on through another front end when one is gone. What it reads
//! is in the witness's history; it keeps only where it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    history::{Next, ShardName, ShardTold, Start},
    witness::{Cursor, Witness},
};

/// Where a reader is in a stream.
#[derive(Debug)]
pub struct Follower {
    reader: u64,
    stream: String,
    shards: BTreeMap<String, ShardTold>,
    open: BTreeMap<String, Cursor>,
    ended: BTreeSet<String>,
    limit: u32,
}

impl Follower {
    /// At the start of the stream. No other reader of the history has this number; pages have `limit` records at most.
    pub fn new(reader: u64, stream: &str, limit: u32) -> Self {
        let (shards, open, ended) = Default::default();
        Self { reader, stream: stream.to_owned(), shards, open, ended, limit }
    }

    /// Asks for the shards, begins those that may be begun, and reads a page of each. True when every shard was at its tip
    /// or its end; false also when a server did not answer.
    pub fn step(&mut self, witness: Witness<'_>) -> bool {
        let Some(told) = witness.shards(&self.stream) else { return false };
        self.shards.extend(told.into_iter().map(|shard| (shard.shard.clone(), shard)));
        let mut is_all = self.begin(witness);
        for (shard, cursor) in std::mem::take(&mut self.open) {
            let Some(page) = witness.page(&cursor, self.limit) else {
                self.open.insert(shard, cursor);
                is_all = false;
                continue;
            };
            match page.cursor {
                Some(next) => drop(self.open.insert(shard, next)),
                None => drop(self.ended.insert(shard)),
            }
            is_all &= matches!(page.next, Next::Tip | Next::End(_));
        }
        is_all && self.open.len() + self.ended.len() == self.shards.len()
    }

    /// Begins the shards whose parents have ended. A parent that nobody tells of any more has.
    fn begin(&mut self, witness: Witness<'_>) -> bool {
        let has_ended = |parent: &String| self.ended.contains(parent) || !self.shards.contains_key(parent);
        let due = self.shards.values().filter(|shard| {
            let is_known = self.open.contains_key(&shard.shard) || self.ended.contains(&shard.shard);
            !is_known && shard.parents.iter().all(has_ended)
        });
        let due: Vec<_> = due.map(|shard| shard.shard.clone()).collect();
        let mut is_all = true;
        for shard in due {
            let name = ShardName { stream: self.stream.clone(), shard: shard.clone() };
            match witness.iterator(self.reader, &name, Start::TrimHorizon) {
                Some(cursor) => drop(self.open.insert(shard, cursor)),
                None => is_all = false,
            }
        }
        is_all
    }
}
