//! Rules about acknowledgements: there, once, as they were sent, in the order in which they were sent.

use std::collections::{BTreeMap, HashMap};

use super::{
    At, Outcome, Sequence, ShardName,
    told::{Known, Told},
};

/// Judges all puts. Acknowledged before `settled` is read by now.
pub(super) fn judge(told: &Told<'_>, settled: At, faults: &mut Vec<String>) {
    for (name, places) in &told.shards {
        lost(told, name, places, settled, faults);
        out_of_order(told, name, places, faults);
    }
    copies(told, faults);
    not_after(told, faults);
    back_in_lineage(told, faults);
}

fn lost(
    told: &Told<'_>,
    name: &ShardName,
    places: &BTreeMap<&Sequence, Known<'_>>,
    settled: At,
    faults: &mut Vec<String>,
) {
    if told.deleted.contains(name.stream.as_str()) {
        return;
    }
    for (sequence, known) in places {
        if let Some((_, acknowledged)) = known.acknowledged.filter(|_| !known.was_read)
            && acknowledged < settled
        {
            let (data, when) = (known.data, told.when(acknowledged));
            faults.push(format!("{data:?} is lost: acknowledged {when} at {sequence} in {name}"));
        }
    }
}

/// A record that was sent after another of its shard was acknowledged has the higher number.
fn out_of_order(
    told: &Told<'_>,
    name: &ShardName,
    places: &BTreeMap<&Sequence, Known<'_>>,
    faults: &mut Vec<String>,
) {
    let mut first: Option<(At, &Sequence)> = None;
    for (sequence, known) in places.iter().rev() {
        let Some((begun, acknowledged)) = known.acknowledged else { continue };
        if let Some((earlier, higher)) = first.filter(|(earlier, _)| *earlier < begun) {
            let (data, when) = (known.data, told.when(earlier));
            faults.push(format!(
                "{data:?} was sent after {higher} in {name} was acknowledged {when}, and has {sequence}"
            ));
        }
        if first.is_none_or(|(earlier, _)| acknowledged < earlier) {
            first = Some((acknowledged, sequence));
        }
    }
}

/// A record is there at most as often as it was sent, and what is there was sent.
fn copies(told: &Told<'_>, faults: &mut Vec<String>) {
    let mut there: HashMap<(&str, &str), Vec<String>> = HashMap::new();
    for (name, places) in &told.shards {
        for (sequence, known) in places {
            let place = format!("{sequence} in {name}");
            there.entry((&name.stream, known.data)).or_default().push(place);
            let sent = told.records.get(&(name.stream.as_str(), known.data));
            match sent.map(|attempts| told.attempts[attempts[0]].put) {
                None => faults.push(format!("{:?} at {sequence} in {name} was never sent", known.data)),
                Some(put) if put.key != known.key => faults.push(format!(
                    "{:?} at {sequence} in {name} has the key {:?}, and was sent with {:?}",
                    known.data, known.key, put.key
                )),
                Some(_) => {}
            }
        }
    }
    let mut there: Vec<_> = there.into_iter().collect();
    there.sort();
    for (record, places) in there {
        let Some(attempts) = told.records.get(&record) else { continue };
        let may = attempts.iter().filter(|attempt| told.attempts[**attempt].may_have_happened()).count();
        if places.len() > may {
            let (data, times, places) = (record.1, places.len(), places.join(", "));
            faults.push(format!(
                "{data:?} was sent {may} times but for refusals, and is there {times} times: {places}"
            ));
        }
    }
}

/// `SequenceNumberForOrdering`.
fn not_after(told: &Told<'_>, faults: &mut Vec<String>) {
    for attempt in &told.attempts {
        let Some((_, Outcome::Stored { shard, sequence })) = attempt.ended else { continue };
        if let Some(after) = attempt.put.after.as_ref().filter(|after| *after >= sequence) {
            let (data, stream) = (&attempt.put.data, &attempt.put.stream);
            faults
                .push(format!("{data:?} was to be after {after}, and is {sequence} in {shard} of {stream}"));
        }
    }
}

/// What is sent to a key after another record of it was acknowledged goes to the same shard or to one that came of it.
fn back_in_lineage(told: &Told<'_>, faults: &mut Vec<String>) {
    let mut keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for attempt in &told.attempts {
        if let Some((ended, Outcome::Stored { shard, .. })) = attempt.ended {
            let of_key = keys.entry((&attempt.put.stream, &attempt.put.key)).or_default();
            of_key.push((attempt, ended, shard)); // in the order in which they were begun
        }
    }
    for ((stream, key), puts) in keys {
        let mut first: BTreeMap<&str, At> = BTreeMap::new(); // by shard: its first acknowledgement
        for (_, ended, shard) in &puts {
            first.entry(shard).and_modify(|at| *at = (*at).min(*ended)).or_insert(*ended);
        }
        for (attempt, _, shard) in &puts {
            let before = first.iter().filter(|(_, acknowledged)| **acknowledged < attempt.begun);
            for (earlier, _) in before {
                if told.descends(stream, shard, earlier) == Some(false) {
                    let data = &attempt.put.data;
                    faults.push(format!(
                        "{data:?} of key {key:?} went to {shard} of {stream}, which does not come of {earlier}, where the \
                         key had been before"
                    ));
                }
            }
        }
    }
}
