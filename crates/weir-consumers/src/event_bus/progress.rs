//! How far each shard is dealt with when its events are not delivered in their order: pure.
//!
//! The reader notes what it read and what was delivered; a checkpoint is the last record before which nothing is open.
//! A restart reads from there, so that no event is lost with the process.

use std::collections::{BTreeMap, VecDeque};

/// Records that may be open or wait behind an open one. Beyond, nothing more is read.
const TRACKED_MAX: usize = 4 * 65_536;

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    shard_id: String,
    /// Counts the records of the shard since the start.
    index: u64,
}

/// The records of all shards that are not behind a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Progress {
    shards: BTreeMap<String, Shard>,
    tracked: usize,
}

#[derive(Debug, Default)]
struct Shard {
    /// Index of the first of `records`.
    first: u64,
    /// Sequence number, and whether it is dealt with. The first one is not.
    records: VecDeque<(String, bool)>,
    /// The last record before which nothing is open, until somebody asks for it.
    checkpoint: Option<String>,
}

impl Progress {
    /// A record was read.
    pub(super) fn read(&mut self, shard_id: &str, sequence_number: String) -> Mark {
        let shard = match self.shards.get_mut(shard_id) {
            Some(shard) => shard,
            None => self.shards.entry(shard_id.to_owned()).or_default(),
        };
        let index = shard.first + shard.records.len() as u64;
        shard.records.push_back((sequence_number, false));
        self.tracked += 1;
        Mark { shard_id: shard_id.to_owned(), index }
    }

    /// It is dealt with.
    pub(super) fn done(&mut self, mark: &Mark) {
        let shard = self.shards.get_mut(&mark.shard_id).expect("marks are given for shards that were read");
        let place = usize::try_from(mark.index - shard.first).expect("tracked records are bounded");
        shard.records[place].1 = true;
        while let Some((sequence_number, _)) = shard.records.pop_front_if(|(_, done)| *done) {
            shard.checkpoint = Some(sequence_number);
            shard.first += 1;
            self.tracked -= 1;
        }
    }

    /// How far each shard has come since it was last asked.
    pub(super) fn checkpoints(&mut self) -> Vec<(String, String)> {
        let moved =
            |(shard_id, shard): (&String, &mut Shard)| Some((shard_id.clone(), shard.checkpoint.take()?));
        self.shards.iter_mut().filter_map(moved).collect()
    }

    /// May more be read?
    pub(super) fn has_room(&self) -> bool {
        self.tracked < TRACKED_MAX
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_checkpoint_waits_for_the_oldest_open_record() {
        let mut progress = Progress::default();
        let marks: Vec<Mark> = (1..=3).map(|number: u32| progress.read("s", number.to_string())).collect();
        progress.done(&marks[1]);
        progress.done(&marks[2]);
        assert_eq!(progress.checkpoints(), []);
        progress.done(&marks[0]);
        assert_eq!(progress.checkpoints(), [("s".to_owned(), "3".to_owned())]);
        assert_eq!(progress.checkpoints(), [], "said once");
        assert_eq!(progress.read("s", "4".into()).index, 3);
    }

    #[test]
    fn an_open_record_holds_up_those_behind_it_only_until_it_is_dealt_with() {
        let mut progress = Progress::default();
        let first = progress.read("s", "0".into());
        for number in 1..TRACKED_MAX {
            let mark = progress.read("s", number.to_string());
            progress.done(&mark);
        }
        assert!(!progress.has_room());
        progress.done(&first);
        assert!(progress.has_room());
    }

    proptest! {
        #[test]
        fn no_checkpoint_passes_an_open_record(order in prop::collection::vec((0..3usize, 0..60usize), 0..120)) {
            let mut progress = Progress::default();
            let mut marks: Vec<(usize, u32, Option<Mark>)> = Vec::new();
            let mut passed = [0u32; 3];
            for (number, (shard, which)) in (1..).zip(order) {
                marks.push((shard, number, Some(progress.read(&shard.to_string(), number.to_string()))));
                let which = which % marks.len();
                if let Some(mark) = marks[which].2.take() {
                    progress.done(&mark);
                }
                for (shard, sequence) in progress.checkpoints() {
                    let (shard, sequence): (usize, u32) = (shard.parse().unwrap(), sequence.parse().unwrap());
                    prop_assert!(sequence > passed[shard]);
                    passed[shard] = sequence;
                }
                let open = |s: usize| marks.iter().filter(move |m| m.0 == s && m.2.is_some()).map(|m| m.1).min();
                for (shard, passed) in passed.iter().enumerate() {
                    prop_assert!(open(shard).is_none_or(|first| *passed < first));
                }
            }
            let open = marks.iter().filter(|mark| mark.2.is_some()).count();
            prop_assert!(progress.tracked >= open);
        }
    }
}
