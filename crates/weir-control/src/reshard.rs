//! Reshards as plans: which shards become which, and the way to uniform ranges.
//!
//! Pure functions that the machine calls; it alone closes parents and places children. A plan never looks at a node, a
//! clock or a quota.

use std::{collections::BTreeSet, num::NonZeroU32};

use serde::{Deserialize, Serialize};
use weir_core::{
    hash_key::{HashKey, HashKeyRange},
    id::ShardIndex,
};

/// A shard that begins this much of a range beside where it should begins there: 2^128 divides by few counts, and a key's
/// difference is worth no shard of a few keys.
const NEAR_SHIFT: u32 = 20;

/// One split or merge: when the parents have ended, the children begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReshardStep {
    /// One shard that is split, or two that are merged, the lower range first.
    pub parents: Vec<ShardIndex>,
    /// The ranges of the children, which are those of the parents together.
    pub children: Vec<HashKeyRange>,
}

/// The reshard of a stream that is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshard {
    /// Steps whose parents have not all ended yet.
    pub steps: Vec<ReshardStep>,
    /// Go on until there are so many shards of uniform ranges; none: the steps are all.
    pub target: Option<NonZeroU32>,
}

/// A shard that takes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenShard {
    /// Its number.
    pub shard: ShardIndex,
    /// Its range.
    pub range: HashKeyRange,
}

/// Splits a shard in front of `at`; `None` when a part would be empty.
pub fn split(parent: OpenShard, at: HashKey) -> Option<ReshardStep> {
    let HashKeyRange { start, end } = parent.range;
    let lower = HashKeyRange { start, end: HashKey(at.0.checked_sub(1)?) };
    let upper = HashKeyRange { start: at, end };
    (start < at && at <= end)
        .then(|| ReshardStep { parents: vec![parent.shard], children: vec![lower, upper] })
}

/// Merges two shards; `None` when the second does not begin where the first ends.
pub fn merge(lower: OpenShard, upper: OpenShard) -> Option<ReshardStep> {
    let range = HashKeyRange { start: lower.range.start, end: upper.range.end };
    let follows = lower.range.end.0.checked_add(1) == Some(upper.range.start.0);
    follows.then(|| ReshardStep { parents: vec![lower.shard, upper.shard], children: vec![range] })
}

/// The next splits and merges on the way from `open`, which tile the space in order, to `count` ranges that are as good
/// as uniform; none when they are there. As AWS does it: shards are split where a range of the target begins inside
/// them, and what lies within one such range is merged in pairs. Steps of one round share no shard, so that all may be
/// under way at once.
pub fn toward_uniform(open: &[OpenShard], count: NonZeroU32) -> Vec<ReshardStep> {
    let starts = target_starts(open, count);
    let mut steps = Vec::new();
    let mut waiting: Option<(OpenShard, usize)> = None;
    for &shard in open {
        let first = starts.partition_point(|start| *start <= shard.range.start);
        let behind = starts.partition_point(|start| *start <= shard.range.end);
        if first < behind {
            // In the middle of those inside, so that many take few rounds.
            let at = starts[first + (behind - first) / 2];
            steps.push(split(shard, at).expect("it begins inside"));
            waiting = None;
            continue;
        }
        // The whole shard lies within the target's range number `first`.
        match waiting.take() {
            Some((lower, of)) if of == first => steps.extend(merge(lower, shard)),
            _ => waiting = Some((shard, first)),
        }
    }
    steps
}

/// Where the ranges of the target but the first begin.
fn target_starts(open: &[OpenShard], count: NonZeroU32) -> Vec<HashKey> {
    let near = (u128::MAX / u128::from(count.get())) >> NEAR_SHIFT;
    let start_of = |index| {
        let ideal = HashKeyRange::uniform(index, count).start;
        let after = open.partition_point(|shard| shard.range.start < ideal);
        let around = open[after.saturating_sub(1)..].iter().take(2).map(|shard| shard.range.start);
        let nearest = around.min_by_key(|start| start.0.abs_diff(ideal.0));
        nearest.filter(|start| start.0.abs_diff(ideal.0) <= near && *start != HashKey::MIN).unwrap_or(ideal)
    };
    (1..count.get()).map(start_of).collect()
}

/// How many shards are born on that way, those that live only for a part of it included.
pub fn births_toward_uniform(open: &[OpenShard], count: NonZeroU32) -> usize {
    let mut open = open.to_vec();
    let mut born = 0;
    loop {
        let steps = toward_uniform(&open, count);
        if steps.is_empty() {
            return born;
        }
        let parents: BTreeSet<ShardIndex> =
            steps.iter().flat_map(|step| step.parents.iter().copied()).collect();
        open.retain(|shard| !parents.contains(&shard.shard));
        for step in steps {
            for range in step.children {
                // Counted down, so that no number of the way is one of the stream's.
                let shard = ShardIndex(u32::MAX - u32::try_from(born).expect("shards are bounded"));
                open.push(OpenShard { shard, range });
                born += 1;
            }
        }
        open.sort_by_key(|shard| shard.range.start);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    fn uniform(shards: u32) -> Vec<OpenShard> {
        (0..shards)
            .map(|index| OpenShard {
                shard: ShardIndex(index),
                range: HashKeyRange::uniform(index, count(shards)),
            })
            .collect()
    }

    /// Carries a round out; gives back the shards after it.
    fn carry_out(mut open: Vec<OpenShard>, steps: &[ReshardStep], next: &mut u32) -> Vec<OpenShard> {
        for step in steps {
            let before = open.len();
            open.retain(|shard| !step.parents.contains(&shard.shard));
            assert_eq!(before - open.len(), step.parents.len(), "each shard is in one step and open");
            for range in &step.children {
                open.push(OpenShard { shard: ShardIndex(*next), range: *range });
                *next += 1;
            }
        }
        open.sort_by_key(|shard| shard.range.start);
        open
    }

    fn rounds_to(mut open: Vec<OpenShard>, target: u32) -> (Vec<OpenShard>, usize) {
        let mut next = 1_000_000;
        let most = open.len() + target as usize;
        for round in 0.. {
            let steps = toward_uniform(&open, count(target));
            if steps.is_empty() {
                return (open, round);
            }
            open = carry_out(open, &steps, &mut next);
            assert!(open.len() <= most, "{} shards on the way to {target}", open.len());
            assert!(round < 64, "it does not end");
        }
        unreachable!("counted without end")
    }

    #[test]
    fn a_split_needs_a_key_inside_and_a_merge_needs_neighbours_in_order() {
        let [lower, upper] = uniform(2)[..] else { panic!("two") };
        assert_eq!(split(lower, HashKey(0)), None);
        assert_eq!(split(upper, upper.range.start), None);
        assert_eq!(split(lower, upper.range.start), None);
        let step = split(upper, HashKey(u128::MAX)).unwrap();
        assert_eq!(step.children[0].end.0 + 1, step.children[1].start.0);
        assert_eq!(merge(lower, upper).unwrap().children, [HashKeyRange::ALL]);
        assert_eq!(merge(upper, lower), None);
        assert_eq!(merge(lower, lower), None);
    }

    #[test]
    fn doubling_takes_a_split_of_each_and_halving_a_merge_of_each_pair() {
        for shards in [1, 2, 3, 7, 64] {
            let steps = toward_uniform(&uniform(shards), count(2 * shards));
            assert_eq!(steps.len(), shards as usize);
            assert!(steps.iter().all(|step| step.children.len() == 2));
            let steps = toward_uniform(&uniform(2 * shards), count(shards));
            assert_eq!(steps.len(), shards as usize);
            assert!(steps.iter().all(|step| step.parents.len() == 2));
            assert_eq!(toward_uniform(&uniform(shards), count(shards)), []);
        }
    }

    #[test]
    fn from_four_to_three_the_middle_two_are_split_and_all_are_merged_in_pairs() {
        let (open, rounds) = rounds_to(uniform(4), 3);
        let ranges: Vec<_> = open.iter().map(|shard| shard.range).collect();
        assert_eq!(ranges, uniform(3).iter().map(|shard| shard.range).collect::<Vec<_>>());
        assert_eq!(rounds, 2);
        assert_eq!(births_toward_uniform(&uniform(4), count(3)), 4 + 3);
    }

    proptest! {
        #[test]
        fn from_any_ranges_the_target_is_reached_in_few_rounds(
            mut cuts in prop::collection::btree_set(1u128.., 0..20), target in 1u32..40,
        ) {
            cuts.insert(0);
            let starts: Vec<u128> = cuts.into_iter().collect();
            let ends = starts.iter().skip(1).map(|start| start - 1).chain([u128::MAX]);
            let open: Vec<_> = starts.iter().zip(ends).enumerate().map(|(at, (&start, end))| OpenShard {
                shard: ShardIndex(at as u32), range: HashKeyRange { start: HashKey(start), end: HashKey(end) },
            }).collect();
            let (open, rounds) = rounds_to(open, target);
            prop_assert_eq!(open.len(), target as usize);
            for (shard, ideal) in open.iter().zip(uniform(target)) {
                let off = shard.range.start.0.abs_diff(ideal.range.start.0);
                prop_assert!(off <= (u128::MAX / u128::from(target)) >> NEAR_SHIFT, "{} of {}", off, target);
            }
            prop_assert!(rounds <= 13, "{} rounds", rounds);
        }
    }
}
