//! Rules about pages: each begins where its iterator says, goes on in the order of numbers, and passes nothing over.
//!
//! A record counts as passed over only when somebody knew of it before the page was asked for: it was acknowledged, or it
//! had been read.

use std::collections::{BTreeMap, HashSet};

use super::{
    At, Next, Read, Sequence,
    told::{Known, Page, Position, Told},
};

/// Judges all pages.
pub(super) fn judge(told: &Told<'_>, faults: &mut Vec<String>) {
    for page in &told.pages {
        in_order(told, page, faults);
        begins_right(told, page, faults);
        passes_over(told, page, faults);
        ends_right(told, page, faults);
    }
    keys_in_order(told, faults);
}

fn in_order(told: &Told<'_>, page: &Page<'_>, faults: &mut Vec<String>) {
    for pair in page.records.windows(2) {
        if pair[0].sequence >= pair[1].sequence {
            let (shard, when) = (page.shard, told.when(page.begun));
            let (first, second) = (&pair[0].sequence, &pair[1].sequence);
            faults.push(format!("a page of {shard} has {second} behind {first}, {when}"));
        }
    }
}

/// Nothing from before its iterator.
fn begins_right(told: &Told<'_>, page: &Page<'_>, faults: &mut Vec<String>) {
    let Some(places) = told.shards.get(page.shard) else { return };
    let (shard, when) = (page.shard, told.when(page.begun));
    let early = page.records.iter().find(|record| match page.from {
        Position::Start => false,
        Position::At(sequence) => record.sequence < *sequence,
        Position::After(sequence) => record.sequence <= *sequence,
        Position::Latest { asked, .. } => places[&record.sequence].since < asked,
        Position::Time(ms) => record.arrived_ms < ms,
    });
    if let Some(Read { sequence, .. }) = early {
        let from = page.from;
        faults.push(format!("a page of {shard} from {from:?} has {sequence}, which is before that, {when}"));
    }
}

/// Nothing that was known lies between its beginning and its end and is not in it.
fn passes_over(told: &Told<'_>, page: &Page<'_>, faults: &mut Vec<String>) {
    let Some(places) = told.shards.get(page.shard) else { return };
    let known_before = match page.next {
        Next::More if page.records.is_empty() => return,
        Next::More | Next::Tip => page.begun,
        Next::End(_) => At::MAX, // nothing is ever behind the end
    };
    let end = match page.next {
        Next::More => page.records.last().map(|last| &last.sequence),
        Next::Tip | Next::End(_) => None,
    };
    let given: HashSet<&Sequence> = page.records.iter().map(|record| &record.sequence).collect();
    let candidates = places.range::<&Sequence, _>(first_of(page.from)..);
    let missed = candidates.take_while(|(sequence, _)| end.is_none_or(|end| *sequence <= &end)).find(
        |(sequence, known)| {
            known.since < known_before && !given.contains(**sequence) && is_due(told, page, sequence, known)
        },
    );
    if let Some((sequence, known)) = missed {
        let (shard, from, data, when) = (page.shard, page.from, known.data, told.when(page.begun));
        faults.push(format!("a page of {shard} from {from:?} passes over {sequence} ({data:?}), {when}"));
    }
}

/// Every place from here on may be due.
fn first_of<'a>(from: Position<'a>) -> &'a Sequence {
    static LEAST: Sequence = Sequence(String::new());
    match from {
        Position::At(sequence) | Position::After(sequence) => sequence,
        Position::Start | Position::Latest { .. } | Position::Time(_) => &LEAST,
    }
}

/// Does a page that begins here owe this record?
fn is_due(told: &Told<'_>, page: &Page<'_>, sequence: &Sequence, known: &Known<'_>) -> bool {
    match page.from {
        Position::Start | Position::At(_) => true, // `first_of` bounds it
        Position::After(after) => sequence > after,
        Position::Latest { there, .. } => {
            let attempts = told.records.get(&(page.shard.stream.as_str(), known.data));
            attempts.is_some_and(|attempts| told.attempts[attempts[0]].begun > there)
        }
        Position::Time(ms) => known.arrived_ms.is_some_and(|arrived| arrived >= ms),
    }
}

/// The shards that take a closed one's place come of it.
fn ends_right(told: &Told<'_>, page: &Page<'_>, faults: &mut Vec<String>) {
    let Next::End(children) = page.next else { return };
    let (shard, when) = (page.shard, told.when(page.begun));
    if children.is_empty() {
        faults.push(format!("{shard} ends without children, {when}"));
    }
    for child in children.iter().filter(|child| !child.parents.contains(&shard.shard)) {
        faults.push(format!("{shard} ends with {}, which does not come of it, {when}", child.shard));
    }
}

/// A reader meets the records of a key in the order in which they were put one after another, over all shards.
fn keys_in_order(told: &Told<'_>, faults: &mut Vec<String>) {
    let mut met: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for page in &told.pages {
        let Some(places) = told.shards.get(page.shard) else { continue };
        for record in page.records {
            if let Some((begun, acknowledged)) = places[&record.sequence].acknowledged {
                let of_key =
                    met.entry((page.reader, page.shard.stream.as_str(), record.key.as_str())).or_default();
                of_key.push((&record.sequence, begun, acknowledged));
            }
        }
    }
    for ((reader, stream, key), records) in met {
        let mut later: Option<(At, &Sequence)> = None; // of those behind, the one that was acknowledged first
        for (sequence, begun, acknowledged) in records.into_iter().rev() {
            if let Some((_, behind)) = later.filter(|(earlier, _)| *earlier < begun) {
                faults.push(format!(
                    "reader {reader} of {stream} met {sequence} of key {key:?} before {behind}, which was acknowledged before \
                     that was sent"
                ));
            }
            if later.is_none_or(|(earlier, _)| acknowledged < earlier) {
                later = Some((acknowledged, sequence));
            }
        }
    }
}
