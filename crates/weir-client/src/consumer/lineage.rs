//! Which shards of a stream may be read now: a shard begins when all that its keys came from is read.
//!
//! A [`Consumer`](super::Consumer) tells it what a listing showed and which shard has ended; it says which shards begin.
//! Pure: no call and no clock. It must never let a shard begin beside a parent that is not read to its end, however far
//! back that one's own beginning is, and never let one begin twice.

use std::collections::BTreeSet;

use super::StartAt;
use crate::calls::Shard;

/// What became of the shards so far. As large as a listing at most: what is no longer listed is forgotten.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    /// Being read, or read already.
    begun: BTreeSet<String>,
    /// Read to the end.
    ended: BTreeSet<String>,
    /// Left out on purpose: closed before a reader of new records first looked.
    passed_over: BTreeSet<String>,
}

impl Lineage {
    /// The shards of the first listing that begin. Whoever begins behind the newest record leaves out what was closed
    /// before, unless it was in the middle of it.
    pub(super) fn first<'s>(
        &mut self,
        shards: &'s [Shard],
        start: StartAt,
        has_checkpoint: impl Fn(&str) -> bool,
    ) -> Vec<&'s Shard> {
        if start == StartAt::Latest {
            let closed = |shard: &&Shard| shard.sequence_number_range.ending_sequence_number.is_some();
            let left_out = shards.iter().filter(closed).filter(|shard| !has_checkpoint(&shard.shard_id));
            self.passed_over = left_out.map(|shard| shard.shard_id.clone()).collect();
        }
        self.begin(shards)
    }

    /// The shards that begin now that `shard_id` is read to its end; `None` while the listing does not show its children.
    pub(super) fn behind<'s>(&mut self, shard_id: &str, shards: &'s [Shard]) -> Option<Vec<&'s Shard>> {
        self.ended.insert(shard_id.to_owned());
        let has_child = shards.iter().any(|shard| shard.parents().any(|parent| parent == shard_id));
        has_child.then(|| self.begin(shards))
    }

    fn begin<'s>(&mut self, shards: &'s [Shard]) -> Vec<&'s Shard> {
        let listed: BTreeSet<&str> = shards.iter().map(|shard| shard.shard_id.as_str()).collect();
        for known in [&mut self.begun, &mut self.ended, &mut self.passed_over] {
            known.retain(|id| listed.contains(id.as_str()));
        }
        // A parent that is not listed has gone with its records.
        let is_over =
            |id: &str| !listed.contains(id) || self.ended.contains(id) || self.passed_over.contains(id);
        let begins = |shard: &&Shard| {
            let is_known = self.begun.contains(&shard.shard_id) || self.passed_over.contains(&shard.shard_id);
            !is_known && shard.parents().all(is_over)
        };
        let begin: Vec<&Shard> = shards.iter().filter(begins).collect();
        self.begun.extend(begin.iter().map(|shard| shard.shard_id.clone()));
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{HashKeyRange, SequenceNumberRange};

    fn shard(id: &str, parents: [Option<&str>; 2], closed: bool) -> Shard {
        let [parent, adjacent] = parents.map(|parent| parent.map(str::to_owned));
        Shard {
            shard_id: id.to_owned(),
            parent_shard_id: parent,
            adjacent_parent_shard_id: adjacent,
            hash_key_range: HashKeyRange { starting_hash_key: "0".into(), ending_hash_key: "9".into() },
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: "1".into(),
                ending_sequence_number: closed.then(|| "2".into()),
            },
        }
    }

    fn ids(shards: &[&Shard]) -> Vec<String> {
        shards.iter().map(|shard| shard.shard_id.clone()).collect()
    }

    #[test]
    fn parents_are_read_before_children_and_what_ended_before_the_newest_record_not_at_all() {
        // a is split into b and c; b and c are merged into d; x was never touched.
        let shards = [
            shard("a", [None, None], true),
            shard("b", [Some("a"), None], true),
            shard("c", [Some("a"), None], true),
            shard("d", [Some("b"), Some("c")], false),
            shard("x", [Some("gone"), None], false),
        ];
        for (start, checkpoints, first) in [
            (StartAt::TrimHorizon, &[][..], &["a", "x"][..]),
            (StartAt::Latest, &[], &["d", "x"]),
            (StartAt::Latest, &["c"], &["c", "x"]),
            (StartAt::TrimHorizon, &["c"], &["a", "x"]),
        ] {
            let begin = Lineage::default().first(&shards, start, |id| checkpoints.contains(&id));
            assert_eq!(ids(&begin), first, "{start:?} {checkpoints:?}");
        }
    }

    #[test]
    fn a_shard_waits_for_a_parent_that_has_not_begun_itself_and_begins_once() {
        // a is split into b and c; c and x are merged into d; d goes on in e.
        let shards = [
            shard("a", [None, None], true),
            shard("b", [Some("a"), None], false),
            shard("c", [Some("a"), None], true),
            shard("x", [None, None], true),
            shard("d", [Some("c"), Some("x")], true),
            shard("e", [Some("d"), None], false),
        ];
        let mut lineage = Lineage::default();
        assert_eq!(ids(&lineage.first(&shards, StartAt::TrimHorizon, |_| false)), ["a", "x"]);
        assert_eq!(ids(&lineage.behind("x", &shards).unwrap()), [""; 0], "c is not read, nor even begun");
        assert_eq!(ids(&lineage.behind("a", &shards).unwrap()), ["b", "c"]);
        assert_eq!(ids(&lineage.behind("c", &shards).unwrap()), ["d"]);
        assert_eq!(ids(&lineage.behind("d", &shards).unwrap()), ["e"]);
        assert_eq!(ids(&lineage.behind("x", &shards).unwrap()), [""; 0], "d was read");
        assert!(lineage.behind("e", &shards).is_none(), "its children are not to be seen yet");
    }

    #[test]
    fn a_parent_that_went_with_its_records_holds_nobody_up() {
        let all = [
            shard("a", [None, None], true),
            shard("x", [None, None], true),
            shard("d", [Some("a"), Some("x")], false),
        ];
        let mut lineage = Lineage::default();
        assert_eq!(lineage.first(&all, StartAt::TrimHorizon, |_| false).len(), 2);
        assert_eq!(ids(&lineage.behind("a", &all[..1]).unwrap_or_default()), [""; 0]);
        assert_eq!(ids(&lineage.behind("a", &[all[0].clone(), all[2].clone()]).unwrap()), ["d"]);
    }
}
