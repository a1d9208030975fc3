//! What the node owns against what it should own, and the fragment that says so.
//!
//! A pure state machine between the control plane's assignments and the journal: `assignments.rs` carries its answers
//! out. A shard is said to be owned only after the journal has it; one to be given up is unsaid first. It must never
//! delete a shard that the control plane did not give out, in this life or after it: a control plane that has forgotten is
//! no reason to forget records.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use weir_core::{
    clock::Monotonic,
    id::{Incarnation, MemberId, ShardKey, StreamId},
    shard::{ClosedShard, OwnedShard},
};
use weir_wire::fragment::Fragment;

/// How long after its failure a step is asked for again; doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(10);

/// What to do to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnershipStep {
    /// Open (or reopen under a new epoch), then say [`Ownership::opened`] or [`Ownership::failed`].
    Open(OwnedShard),
    /// Close, then say [`Ownership::closed`] or [`Ownership::failed`]; it stays owned, and its end is said next.
    Close(ShardKey),
    /// Delete, then say [`Ownership::deleted`] or [`Ownership::failed`]; it is already unsaid.
    Delete(ShardKey),
    /// Leave these as they are, and no others: the journal has shards that this control plane never gave out. They are
    /// unsaid and serve nobody. Tell an operator, note them so that the next life knows, then say [`Ownership::noted`] or
    /// [`Ownership::not_noted`].
    Keep(Vec<OwnedShard>),
}

/// The node's shards.
#[derive(Debug)]
pub struct Ownership {
    node: MemberId,
    life: Incarnation,
    address: SocketAddr,
    ttl: Duration,
    sequence: u64,
    owned: BTreeMap<ShardKey, OwnedShard>,
    /// Is `owned` other than the last fragment said?
    news: bool,
    /// Given up, and still in the journal.
    leaving: BTreeSet<ShardKey>,
    /// In the journal, and never given out by the control plane that was heard first.
    foreign: BTreeMap<ShardKey, OwnedShard>,
    /// Is `foreign` other than what was noted and told in this life?
    unnoted: bool,
    /// Noting failed, and is tried again.
    note_retry: Option<Retry>,
    /// Steps that failed, and when they are tried again.
    retries: BTreeMap<ShardKey, Retry>,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    wait: Duration,
    not_before: Monotonic,
}

impl Retry {
    fn after(last: Option<Self>, now: Monotonic) -> Self {
        let wait = last.map_or(RETRY_FIRST, |last| (last.wait * 2).min(RETRY_LAST));
        Self { wait, not_before: now + wait }
    }

    fn is_due(retry: Option<&Self>, now: Monotonic) -> bool {
        retry.is_none_or(|retry| retry.not_before <= now)
    }
}

impl Ownership {
    /// Starts with what the journal recovered, less what an earlier life noted as foreign: that is said again only when
    /// the control plane says so.
    pub fn new(
        node: MemberId,
        life: Incarnation,
        address: SocketAddr,
        ttl: Duration,
        recovered: impl IntoIterator<Item = OwnedShard>,
        noted: &BTreeSet<ShardKey>,
    ) -> Self {
        let recovered = recovered.into_iter().map(|shard| (shard.key, shard));
        let (foreign, owned): (BTreeMap<_, _>, _) = recovered.partition(|(key, _)| noted.contains(key));
        Self {
            node,
            life,
            address,
            ttl,
            sequence: 0,
            owned,
            news: true,
            leaving: BTreeSet::new(),
            unnoted: !foreign.is_empty(),
            foreign,
            note_retry: None,
            retries: BTreeMap::new(),
        }
    }

    /// How long the fragments from now on may be routed by.
    pub fn ttl(&mut self, ttl: Duration) {
        self.ttl = ttl;
    }

    /// The control plane's word: the shards that the node should own, which of them are to be closed, and the number of
    /// the next stream, from which on none was ever given out. What is no longer assigned is unsaid at once.
    pub fn assigned(
        &mut self,
        now: Monotonic,
        shards: Vec<OwnedShard>,
        closing: &[ShardKey],
        next_stream: StreamId,
    ) -> Vec<OwnershipStep> {
        let assigned: BTreeMap<ShardKey, OwnedShard> =
            shards.into_iter().map(|shard| (shard.key, shard)).collect();
        let is_ours = |key: &ShardKey, held: &mut OwnedShard| {
            assigned.get(key).is_some_and(|assigned| assigned.is_same_shard(held))
        };
        // A control plane that remembers again: its own store is back.
        for (key, shard) in self.foreign.extract_if(.., is_ours) {
            (self.news, self.unnoted) = (true, true);
            self.owned.insert(key, shard);
        }
        for (key, owned) in self.owned.extract_if(.., |key, owned| !is_ours(key, owned)) {
            self.news = true;
            if assigned.contains_key(&key) || key.stream >= next_stream {
                self.unnoted = true;
                self.foreign.insert(key, owned);
            } else {
                self.leaving.insert(key);
            }
        }
        self.retries.retain(|key, _| assigned.contains_key(key) || self.leaving.contains(key));
        let due = |key: &ShardKey| Retry::is_due(self.retries.get(key), now);
        let mut steps = Vec::new();
        if self.unnoted && Retry::is_due(self.note_retry.as_ref(), now) {
            steps.push(OwnershipStep::Keep(self.foreign.values().cloned().collect()));
        }
        steps.extend(self.leaving.iter().copied().filter(due).map(OwnershipStep::Delete));
        let is_open = |key: &&ShardKey| self.owned.get(key).is_some_and(OwnedShard::is_open);
        let open = closing.iter().filter(is_open).copied();
        steps.extend(open.filter(due).map(OwnershipStep::Close));
        let missing = assigned.into_values().filter(|shard| {
            // An assignment older than what is owned was overtaken on the way; and what the journal still has of a
            // shard that was given up, or of a foreign one, must not come back as the new one's records.
            self.owned.get(&shard.key).is_none_or(|owned| owned.epoch < shard.epoch)
                && !self.leaving.contains(&shard.key)
                && !self.foreign.contains_key(&shard.key)
        });
        steps.extend(missing.filter(|shard| due(&shard.key)).map(OwnershipStep::Open));
        steps
    }

    /// The journal has the shard, durably. A later epoch opens no closed shard again.
    pub fn opened(&mut self, mut shard: OwnedShard) {
        self.retries.remove(&shard.key);
        shard.closed = self.owned.get(&shard.key).and_then(|owned| owned.closed);
        self.owned.insert(shard.key, shard);
        self.news = true;
    }

    /// The journal takes no more records of the shard, durably.
    pub fn closed(&mut self, key: ShardKey, closed: ClosedShard) {
        self.retries.remove(&key);
        if let Some(owned) = self.owned.get_mut(&key) {
            owned.closed = Some(closed);
            self.news = true;
        }
    }

    /// The journal has the shard no more.
    pub fn deleted(&mut self, key: ShardKey) {
        self.retries.remove(&key);
        self.leaving.remove(&key);
    }

    /// The journal did not do the step: it is asked for again, later each time.
    pub fn failed(&mut self, now: Monotonic, key: ShardKey) {
        let retry = Retry::after(self.retries.get(&key).copied(), now);
        self.retries.insert(key, retry);
    }

    /// The next life will know which shards are foreign.
    pub fn noted(&mut self) {
        (self.unnoted, self.note_retry) = (false, None);
    }

    /// It would not: noting is asked for again, later each time.
    pub fn not_noted(&mut self, now: Monotonic) {
        self.note_retry = Some(Retry::after(self.note_retry, now));
    }

    /// Shards that the control plane never gave out.
    pub fn foreign(&self) -> impl Iterator<Item = ShardKey> {
        self.foreign.keys().copied()
    }

    /// Would the next fragment say other shards than the last one?
    pub fn has_news(&self) -> bool {
        self.news
    }

    /// The next fragment: complete, and later than every one before.
    pub fn fragment(&mut self) -> Fragment {
        self.sequence += 1;
        self.news = false;
        Fragment {
            node: self.node,
            life: self.life,
            sequence: self.sequence,
            address: self.address,
            ttl: self.ttl,
            shards: self.owned.values().cloned().collect::<Arc<[_]>>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_core::{
        hash_key::HashKeyRange,
        id::{AccountId, Epoch, Region, ShardIndex, StreamId, StreamName},
    };

    use super::*;

    fn shard(number: u32, epoch: u64) -> OwnedShard {
        OwnedShard {
            key: ShardKey { stream: StreamId(1), shard: ShardIndex(number) },
            account: AccountId::DEFAULT,
            region: Region::US_EAST_1,
            stream_name: StreamName::new("s"),
            range: HashKeyRange::ALL,
            created_ms: 1,
            epoch: Epoch(epoch),
            parents: [None; 2],
            closed: None,
        }
    }

    fn ownership(recovered: &[OwnedShard]) -> Ownership {
        ownership_after(recovered, &BTreeSet::new())
    }

    fn ownership_after(recovered: &[OwnedShard], noted: &BTreeSet<ShardKey>) -> Ownership {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let (node, life, ttl) = (MemberId(1), Incarnation(4), Duration::from_secs(5));
        Ownership::new(node, life, address, ttl, recovered.to_vec(), noted)
    }

    fn at(ms: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(ms)
    }

    /// The control plane's word, when it has given out stream 1 and no other.
    fn assigned(ownership: &mut Ownership, ms: u64, shards: &[OwnedShard]) -> Vec<OwnershipStep> {
        ownership.assigned(at(ms), shards.to_vec(), &[], StreamId(2))
    }

    #[test]
    fn a_shard_is_said_only_after_the_journal_has_it() {
        let mut ownership = ownership(&[]);
        assert!(ownership.fragment().shards.is_empty());
        assert_eq!(assigned(&mut ownership, 0, &[shard(0, 1)]), [OwnershipStep::Open(shard(0, 1))]);
        assert!(!ownership.has_news());
        ownership.opened(shard(0, 1));
        assert!(ownership.has_news());
        assert_eq!(ownership.fragment().shards.as_ref(), [shard(0, 1)]);
        assert!(!ownership.has_news());
        assert_eq!(assigned(&mut ownership, 0, &[shard(0, 1)]), [], "nothing is left to do");
    }

    #[test]
    fn a_shard_is_unsaid_before_it_is_deleted() {
        let mut ownership = ownership(&[shard(0, 1), shard(1, 1)]);
        let steps = assigned(&mut ownership, 0, &[shard(1, 1)]);
        assert_eq!(steps, [OwnershipStep::Delete(shard(0, 1).key)]);
        assert_eq!(ownership.fragment().shards.as_ref(), [shard(1, 1)]);
    }

    #[test]
    fn a_newer_epoch_reopens_and_an_older_one_is_ignored() {
        let mut ownership = ownership(&[shard(0, 5)]);
        assert_eq!(assigned(&mut ownership, 0, &[shard(0, 4)]), []);
        assert_eq!(assigned(&mut ownership, 0, &[shard(0, 6)]), [OwnershipStep::Open(shard(0, 6))]);
    }

    #[test]
    fn a_shard_is_closed_once_it_is_owned_and_said_to_be_when_the_journal_has_closed_it() {
        let mut ownership = ownership(&[]);
        let key = shard(0, 1).key;
        // What the control plane remembers of the end is no reason to believe that this journal has it.
        let remembered = OwnedShard { closed: Some(ClosedShard { at_ms: 1, end: 1 }), ..shard(0, 1) };
        let assigned = |ownership: &mut Ownership| {
            ownership.assigned(at(0), vec![remembered.clone()], &[key], StreamId(2))
        };
        assert_eq!(
            assigned(&mut ownership),
            [OwnershipStep::Open(remembered.clone())],
            "it is not there yet"
        );
        ownership.opened(remembered.clone());
        assert_eq!(ownership.fragment().shards.as_ref(), [shard(0, 1)], "said as it is");
        assert_eq!(assigned(&mut ownership), [OwnershipStep::Close(key)]);
        assert!(!ownership.has_news());
        let closed = ClosedShard { at_ms: 5, end: 7 };
        ownership.closed(key, closed);
        assert!(ownership.has_news());
        assert_eq!(ownership.fragment().shards[0].closed, Some(closed));
        assert_eq!(assigned(&mut ownership), []);
        ownership.opened(shard(0, 2));
        assert_eq!(ownership.fragment().shards[0].closed, Some(closed), "it ends once");
    }

    #[test]
    fn a_control_plane_that_has_forgotten_makes_the_node_delete_nothing() {
        for (next_stream, kept) in [(1, true), (2, false)] {
            let mut ownership = ownership(&[shard(0, 1)]);
            let steps = ownership.assigned(at(0), Vec::new(), &[], StreamId(next_stream));
            let kept_or_deleted =
                [OwnershipStep::Keep(vec![shard(0, 1)]), OwnershipStep::Delete(shard(0, 1).key)];
            let expected = kept_or_deleted[usize::from(!kept)].clone();
            assert_eq!(steps, [expected], "next stream {next_stream}");
            assert!(ownership.fragment().shards.is_empty(), "unsaid in either case");
            if kept {
                ownership.noted();
                let steps = ownership.assigned(at(60_000), Vec::new(), &[], StreamId(2));
                assert_eq!(steps, [], "nor later, when the number has been given to another stream");
            }
        }
    }

    #[test]
    fn what_was_foreign_in_an_earlier_life_is_deleted_by_no_later_one() {
        let (foreign, other) = (shard(0, 1), shard(1, 1));
        let noted = BTreeSet::from([foreign.key, shard(9, 1).key]);
        let mut ownership = ownership_after(&[foreign.clone(), other.clone()], &noted);
        let said = ownership.fragment().shards;
        assert!(said.iter().eq([&other]), "the foreign one is not said before it is asked for: {said:?}");
        // Its number was given out again, and that stream is gone.
        let steps = assigned(&mut ownership, 0, &[]);
        let kept = OwnershipStep::Keep(vec![foreign.clone()]);
        assert_eq!(steps, [kept, OwnershipStep::Delete(other.key)], "told once a life");
        assert!(ownership.foreign().eq([foreign.key]));
    }

    #[test]
    fn a_foreign_shard_is_owned_again_when_the_control_plane_remembers_it() {
        let mut ownership = ownership_after(&[shard(0, 1)], &BTreeSet::from([shard(0, 1).key]));
        assert_eq!(assigned(&mut ownership, 0, &[shard(0, 1)]), [OwnershipStep::Keep(vec![])]);
        assert!(ownership.has_news());
        assert_eq!(ownership.fragment().shards.as_ref(), [shard(0, 1)]);
        ownership.noted();
        assert_eq!(assigned(&mut ownership, 0, &[]), [OwnershipStep::Delete(shard(0, 1).key)]);
    }

    #[test]
    fn what_was_not_noted_is_noted_again_later_each_time() {
        let mut ownership = ownership(&[shard(0, 1)]);
        let keep = [OwnershipStep::Keep(vec![shard(0, 1)])];
        let forgotten = |ownership: &mut Ownership, ms| ownership.assigned(at(ms), vec![], &[], StreamId(1));
        assert_eq!(forgotten(&mut ownership, 0), keep);
        for (failed, next) in [(0, 250), (250, 750)] {
            ownership.not_noted(at(failed));
            assert_eq!(forgotten(&mut ownership, next - 1), []);
            assert_eq!(forgotten(&mut ownership, next), keep);
        }
        ownership.noted();
        assert_eq!(forgotten(&mut ownership, 60_000), []);
    }

    #[test]
    fn the_records_of_one_stream_never_come_back_under_another_of_the_same_number() {
        let mut ownership = ownership(&[shard(0, 1)]);
        let new = OwnedShard { stream_name: StreamName::new("other"), created_ms: 2, ..shard(0, 1) };
        let newer = OwnedShard { epoch: Epoch(2), ..new.clone() };
        assert_eq!(assigned(&mut ownership, 0, &[new]), [OwnershipStep::Keep(vec![shard(0, 1)])]);
        ownership.noted();
        assert!(ownership.fragment().shards.is_empty());
        assert_eq!(assigned(&mut ownership, 1, &[newer]), [], "the journal has the old one still");
    }

    #[test]
    fn a_step_that_failed_is_asked_for_again_later_each_time() {
        let mut ownership = ownership(&[shard(0, 1)]);
        let delete = [OwnershipStep::Delete(shard(0, 1).key)];
        assert_eq!(assigned(&mut ownership, 0, &[]), delete);
        ownership.failed(at(0), shard(0, 1).key);
        assert_eq!(assigned(&mut ownership, 249, &[]), []);
        assert_eq!(assigned(&mut ownership, 250, &[]), delete, "a failed deletion is not forgotten");
        ownership.failed(at(250), shard(0, 1).key);
        assert_eq!(
            assigned(&mut ownership, 749, &[shard(0, 2)]),
            [],
            "it is to be deleted before it is opened"
        );
        assert_eq!(assigned(&mut ownership, 750, &[shard(0, 2)]), delete);
        ownership.deleted(shard(0, 1).key);
        let open = [OwnershipStep::Open(shard(0, 2))];
        assert_eq!(assigned(&mut ownership, 750, &[shard(0, 2)]), open);
        let mut now = 750;
        for _ in 0..20 {
            ownership.failed(at(now), shard(0, 2).key);
            now += 10_000;
            assert_eq!(assigned(&mut ownership, now, &[shard(0, 2)]), open, "never later than the last wait");
        }
    }

    #[test]
    fn every_fragment_is_later_than_the_one_before() {
        let mut ownership = ownership(&[]);
        let first = ownership.fragment();
        assert!(ownership.fragment().order() > first.order());
    }
}
