//! A history in the order in which it is judged: attempts by record, records by place, pages by where they begin.
//!
//! Made once for all rules. What contradicts itself whatever the rule (one place, two records) is found here, as it is
//! laid out.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{At, Event, Next, Outcome, Put, Read, Sequence, ShardName, ShardTold, Start};

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub(super) begun: At,
    pub(super) put: &'a Put,
    pub(super) ended: Option<(At, &'a Outcome)>,
}

impl Attempt<'_> {
    /// May it have been written?
    pub(super) fn may_have_happened(&self) -> bool {
        !matches!(self.ended, Some((_, Outcome::Refused)))
    }
}

/// A record that is known to lie at its place: acknowledged there, or read there, or both.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) key: &'a str,
    pub(super) data: &'a str,
    /// When this was first known to somebody.
    pub(super) since: At,
    /// Its acknowledgement: when its attempt began, and when it was acknowledged.
    pub(super) acknowledged: Option<(At, At)>,
    pub(super) arrived_ms: Option<u64>,
    pub(super) was_read: bool,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Position<'a> {
    Start,
    At(&'a Sequence),
    After(&'a Sequence),
    /// Asked for and there: the end of the shard at some moment between.
    Latest {
        asked: At,
        there: At,
    },
    Time(u64),
}

/// A page that was answered.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) reader: u64,
    pub(super) shard: &'a ShardName,
    pub(super) from: Position<'a>,
    pub(super) begun: At,
    pub(super) records: &'a [Read],
    pub(super) next: &'a Next,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    pub(super) attempts: Vec<Attempt<'a>>,
    /// By stream and data: places in `attempts`.
    pub(super) records: HashMap<(&'a str, &'a str), Vec<usize>>,
    pub(super) shards: BTreeMap<ShardName, BTreeMap<&'a Sequence, Known<'a>>>,
    pub(super) pages: Vec<Page<'a>>,
    /// By stream and shard: its parents.
    pub(super) parents: HashMap<(&'a str, &'a str), &'a [String]>,
    /// Streams that somebody began to delete: their records need not be there.
    pub(super) deleted: HashSet<&'a str>,
    /// Kills, with their places.
    kills: Vec<(At, &'a str)>,
    pub(super) faults: Vec<String>,
}

impl<'a> Told<'a> {
    pub(super) fn of(events: &'a [Event]) -> Self {
        let mut told = Self::default();
        let mut attempt_at = HashMap::new();
        for (at, event) in events.iter().enumerate() {
            match event {
                Event::Put(put) => {
                    attempt_at.insert(at, told.attempts.len());
                    told.records.entry((&put.stream, &put.data)).or_default().push(told.attempts.len());
                    told.attempts.push(Attempt { begun: at, put, ended: None });
                }
                Event::PutEnded { put, outcome } => {
                    told.attempts[attempt_at[put]].ended = Some((at, outcome));
                }
                Event::Shards { stream, shards } => told.lineage(stream, shards),
                Event::PageEnded { page, next: Next::End(children), .. } => {
                    told.lineage(&shard_of(events, *page).stream, children);
                }
                Event::Delete(stream) => drop(told.deleted.insert(stream)),
                Event::Killed(who) => told.kills.push((at, who)),
                _ => {}
            }
        }
        told.place_acknowledged();
        told.place_read(events);
        told
    }

    /// Between which kills an event lies, for people.
    pub(super) fn when(&self, at: At) -> String {
        let before = self.kills.partition_point(|(kill, _)| *kill < at);
        match before.checked_sub(1) {
            Some(last) => format!("after kill {before} ({})", self.kills[last].1),
            None => "before the first kill".to_owned(),
        }
    }

    fn lineage(&mut self, stream: &'a str, shards: &'a [ShardTold]) {
        for shard in shards {
            let before = self.parents.insert((stream, &shard.shard), &shard.parents);
            if before.is_some_and(|before| before != shard.parents) {
                let (id, parents) = (&shard.shard, &shard.parents);
                self.faults.push(format!("{id} of {stream} has the parents {parents:?}, and had others"));
            }
        }
    }

    fn place_acknowledged(&mut self) {
        for attempt in &self.attempts {
            let Some((ended, Outcome::Stored { shard, sequence })) = attempt.ended else { continue };
            let Put { stream, key, data, .. } = attempt.put;
            let name = ShardName { stream: stream.clone(), shard: shard.clone() };
            let known = Known {
                key,
                data,
                since: ended,
                acknowledged: Some((attempt.begun, ended)),
                arrived_ms: None,
                was_read: false,
            };
            if let Some(other) = self.shards.entry(name).or_default().insert(sequence, known) {
                let (name, other) = (format!("{shard} of {stream}"), other.data);
                self.faults.push(format!("{sequence} in {name} was given to {other:?} and to {data:?}"));
            }
        }
    }

    fn place_read(&mut self, events: &'a [Event]) {
        let mut positions: HashMap<At, (u64, &ShardName, Position<'_>)> = HashMap::new();
        for (at, event) in events.iter().enumerate() {
            if let Event::IteratorEnded { iterator } = event {
                let Event::Iterator { reader, shard, start } = &events[*iterator] else {
                    panic!("{iterator} is no iterator")
                };
                let position = match start {
                    Start::TrimHorizon => Position::Start,
                    Start::Latest => Position::Latest { asked: *iterator, there: at },
                    Start::At(sequence) => Position::At(sequence),
                    Start::After(sequence) => Position::After(sequence),
                    Start::Time(ms) => Position::Time(*ms),
                };
                positions.insert(*iterator, (*reader, shard, position));
            }
            let Event::PageEnded { page: begun, records, next } = event else { continue };
            let Event::Page { from } = &events[*begun] else { panic!("{begun} is no page") };
            let (reader, shard, from) = positions[from];
            self.pages.push(Page { reader, shard, from, begun: *begun, records, next });
            let behind = records.last().map_or(from, |last| Position::After(&last.sequence));
            positions.insert(*begun, (reader, shard, behind));
            for record in records {
                self.read(shard, record, at);
            }
        }
    }

    fn read(&mut self, shard: &'a ShardName, record: &'a Read, at: At) {
        let Read { sequence, key, data, arrived_ms } = record;
        let fresh = || Known { key, data, since: at, acknowledged: None, arrived_ms: None, was_read: true };
        let known = self.shards.entry(shard.clone()).or_default().entry(sequence).or_insert_with(fresh);
        let same_time = known.arrived_ms.is_none_or(|known| known == *arrived_ms);
        if (known.key, known.data) != (key, data) || !same_time {
            let (was, is) = (known.data, self.when(at));
            self.faults.push(format!("{sequence} in {shard} is {was:?} and was read as {data:?} {is}"));
            return;
        }
        known.since = known.since.min(at);
        known.arrived_ms = Some(*arrived_ms);
        known.was_read = true;
    }

    /// Does `later` take records that `earlier` took once? None where the shards were never told.
    pub(super) fn descends(&self, stream: &str, later: &str, earlier: &str) -> Option<bool> {
        if later == earlier {
            return Some(true);
        }
        let parents = self.parents.get(&(stream, later))?;
        let mut above = parents.iter().map(|parent| self.descends(stream, parent, earlier));
        Some(above.any(|descends| descends == Some(true)))
    }
}

fn shard_of(events: &[Event], page: At) -> &ShardName {
    let mut at = page;
    loop {
        match &events[at] {
            Event::Page { from } => at = *from,
            Event::Iterator { shard, .. } => return shard,
            other => panic!("a page comes of {other:?}"),
        }
    }
}
