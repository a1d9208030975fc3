//! Which servers somebody brings its news to, or asks for them: its home, and who stands in.
//!
//! A node keeps one for each front-end cell (where does my fragment go?), a front end of a `cache-fleet` cell keeps one
//! (which cache server do I ask?). It decides from what it is told; connecting is its caller's work. A member that was
//! home must not be dropped the moment the home moves: members that have not learned of the new home still listen
//! to the old one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{clock::Monotonic, rendezvous};

/// The homes of one key among the members of one cell.
#[derive(Debug, Clone)]
pub struct Homes {
    key: u64,
    /// Best first.
    ranked: Vec<u64>,
    unreachable: BTreeSet<u64>,
    /// Homes of the past, and until when they are kept.
    leaving: BTreeMap<u64, Monotonic>,
    hand_over: Duration,
}

impl Homes {
    /// No members yet. `key` is the number of whoever looks for a home.
    pub fn new(key: u64) -> Self {
        Self {
            key,
            ranked: Vec::new(),
            unreachable: BTreeSet::new(),
            leaving: BTreeMap::new(),
            hand_over: Duration::ZERO,
        }
    }

    /// The members are these now. A home that the change displaces is kept for `hand_over`: as long as it takes until
    /// every member knows of the new one.
    pub fn members(&mut self, now: Monotonic, members: impl IntoIterator<Item = u64>, hand_over: Duration) {
        let before = self.active();
        self.ranked = rendezvous::ranked(self.key, members);
        self.hand_over = hand_over;
        let known: BTreeSet<u64> = self.ranked.iter().copied().collect();
        self.unreachable.retain(|member| known.contains(member));
        self.leaving.retain(|member, _| known.contains(member));
        self.displace(now, before.into_iter().filter(|member| known.contains(member)));
    }

    /// A connection to `member` failed or broke: the next in rank stands in until it is reached again.
    pub fn unreachable(&mut self, now: Monotonic, member: u64) {
        if self.ranked.contains(&member) {
            let before = self.active();
            self.unreachable.insert(member);
            self.displace(now, before);
        }
    }

    /// A connection to `member` stands.
    pub fn reached(&mut self, now: Monotonic, member: u64) {
        let before = self.active();
        self.unreachable.remove(&member);
        self.displace(now, before);
    }

    /// The best member that is not known to be unreachable; when none is reachable, the best.
    pub fn home(&self) -> Option<u64> {
        let reachable = self.ranked.iter().find(|member| !self.unreachable.contains(member));
        reachable.or(self.ranked.first()).copied()
    }

    /// Everybody to keep a connection to at `now`: better members that are unreachable (to be tried), the home, and
    /// the homes of the past that are still needed. Best first, then the past ones by number.
    pub fn targets(&mut self, now: Monotonic) -> Vec<u64> {
        self.leaving.retain(|_, until| now < *until);
        let mut targets = self.active();
        targets.extend(self.leaving.keys().copied());
        targets
    }

    /// From the best down to the first that is reachable.
    fn active(&self) -> Vec<u64> {
        let upto = self.ranked.iter().position(|member| !self.unreachable.contains(member));
        self.ranked[..upto.map_or(self.ranked.len(), |at| at + 1)].to_vec()
    }

    fn displace(&mut self, now: Monotonic, before: impl IntoIterator<Item = u64>) {
        let active: BTreeSet<u64> = self.active().into_iter().collect();
        for member in before {
            if !active.contains(&member) {
                self.leaving.insert(member, now + self.hand_over);
            }
        }
        self.leaving.retain(|member, _| !active.contains(member));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HAND_OVER: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn an_old_home_is_kept_until_everybody_knows_the_new_one() {
        // A key whose home moves when member 9 joins.
        let key = (0..).find(|&key| rendezvous::home(key, 1..10) == Some(9)).unwrap();
        let mut homes = Homes::new(key);
        homes.members(at(0), 1..9, HAND_OVER);
        let old = homes.home().unwrap();
        assert_eq!(homes.targets(at(0)), [old]);
        homes.members(at(1), 1..10, HAND_OVER);
        assert_eq!(homes.home(), Some(9));
        assert_eq!(homes.targets(at(5)), [9, old]);
        assert_eq!(homes.targets(at(6)), [9]);
    }

    #[test]
    fn a_removed_home_is_dropped_at_once() {
        let mut homes = Homes::new(4);
        homes.members(at(0), 1..9, HAND_OVER);
        let old = homes.home().unwrap();
        homes.members(at(1), (1..9).filter(|&member| member != old), HAND_OVER);
        assert!(!homes.targets(at(1)).contains(&old));
    }

    #[test]
    fn the_next_in_rank_stands_in_while_the_home_is_unreachable_and_the_home_is_still_tried() {
        let mut homes = Homes::new(4);
        homes.members(at(0), 1..4, HAND_OVER);
        let ranked = rendezvous::ranked(4, 1..4);
        homes.unreachable(at(0), ranked[0]);
        assert_eq!((homes.home(), homes.targets(at(0))), (Some(ranked[1]), ranked[..2].to_vec()));
        homes.reached(at(1), ranked[0]);
        assert_eq!(homes.home(), Some(ranked[0]));
        assert_eq!(homes.targets(at(2)), ranked[..2].to_vec(), "the stand-in is kept for the hand-over");
        assert_eq!(homes.targets(at(6)), ranked[..1].to_vec());
    }

    #[test]
    fn with_nobody_reachable_everybody_is_tried_and_the_best_is_home() {
        let mut homes = Homes::new(4);
        homes.members(at(0), 1..4, HAND_OVER);
        for member in 1..4 {
            homes.unreachable(at(0), member);
        }
        assert_eq!(homes.targets(at(0)).len(), 3);
        assert_eq!(homes.home(), rendezvous::home(4, 1..4));
    }

    proptest! {
        #[test]
        fn whatever_happens_the_home_is_among_the_targets(
            key: u64,
            events in prop::collection::vec((0u8..3, 0u64..8, 1u64..6), 1..40),
        ) {
            let mut homes = Homes::new(key);
            let mut clock = 0;
            for (kind, member, seconds) in events {
                clock += seconds;
                match kind {
                    0 => homes.members(at(clock), member..member + seconds, HAND_OVER),
                    1 => homes.unreachable(at(clock), member),
                    _ => homes.reached(at(clock), member),
                }
                let targets = homes.targets(at(clock));
                let unique: BTreeSet<_> = targets.iter().collect();
                prop_assert_eq!(unique.len(), targets.len());
                prop_assert!(homes.home().is_none_or(|home| targets.contains(&home)));
            }
        }
    }
}
