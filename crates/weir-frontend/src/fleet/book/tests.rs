//! Which of two words counts, and for how long.

use std::{net::SocketAddr, time::Duration};

use weir_core::id::{Incarnation, ShardKey};

use super::*;
use crate::fleet::tests::network::shard;

const TTL: Duration = Duration::from_secs(4);
const NODE: MemberId = MemberId(7);

fn at(seconds: u64) -> Monotonic {
    Monotonic::ZERO + Duration::from_secs(seconds)
}

fn fragment(node: MemberId, order: (u64, u64), shards: &[(u64, u64)]) -> Fragment {
    Fragment {
        node,
        life: Incarnation(order.0),
        sequence: order.1,
        address: SocketAddr::from(([127, 0, 0, 1], 4000)),
        ttl: TTL,
        shards: shards.iter().map(|(stream, epoch)| shard(*stream, *epoch)).collect(),
    }
}

fn book() -> FragmentBook {
    let mut book = FragmentBook::default();
    book.begin_build([NODE]);
    book
}

fn routed(book: &mut FragmentBook) -> Vec<(ShardKey, MemberId)> {
    let map = crate::shard_map::ShardMap::new(
        weir_core::id::Generation(1),
        Monotonic::ZERO,
        0,
        Arc::new(book.routes()),
    );
    map.streams().flat_map(|s| s.shards()).map(|r| (r.shard.key, r.node)).collect()
}

#[test]
fn of_one_node_only_a_later_fragment_counts() {
    let mut book = book();
    assert_eq!(book.hear(at(0), fragment(NODE, (1, 9), &[(1, 1)]), Proof::Mesh, true), Hearing::News);
    for earlier in [(1, 8), (1, 9), (0, 99)] {
        let word = fragment(NODE, earlier, &[(1, 1), (2, 1)]);
        assert_eq!(book.hear(at(1), word, Proof::Mesh, false), Hearing::Known);
    }
    assert_eq!(routed(&mut book).len(), 1);
    assert_eq!(book.hear(at(1), fragment(NODE, (2, 0), &[]), Proof::Mesh, false), Hearing::News);
    assert!(routed(&mut book).is_empty(), "a new life owns what it says and nothing else");
}

#[test]
fn a_repeated_word_does_not_live_longer_and_passing_it_on_does_not_make_it_younger() {
    let mut book = book();
    let word = fragment(NODE, (1, 1), &[(1, 1)]);
    book.hear(at(0), word.clone(), Proof::Mesh, true);
    book.hear(at(3), word, Proof::Mesh, false);
    assert_eq!(book.fragments(at(3), true)[0].ttl, Duration::from_secs(1));
    book.expire(at(4));
    assert!(book.is_dirty() && routed(&mut book).is_empty());
    assert!(book.fragments(at(4), false).is_empty());
    assert_eq!(book.silent_count(), 1);
}

#[test]
fn an_unchanged_renewal_leaves_the_routes_alone() {
    let mut book = book();
    book.hear(at(0), fragment(NODE, (1, 1), &[(1, 1)]), Proof::Mesh, true);
    assert!(book.is_dirty());
    routed(&mut book);
    book.hear(at(1), fragment(NODE, (1, 2), &[(1, 1)]), Proof::Mesh, true);
    assert!(!book.is_dirty());
    assert_eq!(book.next_expiry(), Some(at(5)));
}

#[test]
fn the_newest_owner_is_routed_to_and_when_it_is_silent_nobody() {
    let (old, new) = (MemberId(7), MemberId(8));
    let mut book = FragmentBook::default();
    book.begin_build([old, new]);
    book.hear(at(0), fragment(new, (1, 1), &[(1, 2)]), Proof::Mesh, false);
    book.hear(at(3), fragment(old, (1, 1), &[(1, 1)]), Proof::Mesh, false);
    assert_eq!(routed(&mut book)[0].1, new);
    book.expire(at(4));
    assert!(routed(&mut book).is_empty(), "the older owner still says that it owns the shard");
    // Even a late copy of an overtaken fragment says which owner there was.
    let mut late = FragmentBook::default();
    late.begin_build([old, new]);
    late.hear(at(0), fragment(new, (1, 5), &[]), Proof::Mesh, false);
    late.hear(at(0), fragment(new, (1, 4), &[(1, 3)]), Proof::Mesh, false);
    late.hear(at(0), fragment(old, (1, 1), &[(1, 1)]), Proof::Mesh, false);
    assert!(routed(&mut late).is_empty());
}

#[test]
fn an_unheard_node_is_given_up_only_while_nothing_of_it_is_held() {
    let mut book = book();
    assert_eq!(book.unheard(), BTreeSet::from([NODE]));
    book.hear(at(0), fragment(NODE, (1, 1), &[(1, 1)]), Proof::Hearsay, false);
    assert!(book.unheard().is_empty(), "somebody knows it");
    book.give_up_on(NODE);
    assert_eq!(book.settled(), (0, 1));
    book.expire(at(4));
    assert_eq!(book.unheard(), BTreeSet::from([NODE]), "hearsay that has expired proves nothing");
    book.give_up_on(NODE);
    book.begin_build([NODE]);
    assert_eq!((book.settled(), book.all_meshed()), ((1, 1), true), "once is enough");
    book.hear(at(5), fragment(NODE, (1, 2), &[(1, 1)]), Proof::Hearsay, false);
    assert_eq!((book.settled(), routed(&mut book).len()), ((0, 1), 1), "until it speaks");
}

#[test]
fn hearsay_is_held_but_settles_nothing() {
    let mut book = book();
    book.hear(at(0), fragment(NODE, (1, 1), &[(1, 1)]), Proof::Hearsay, false);
    assert_eq!(book.settled(), (0, 1));
    assert_eq!(routed(&mut book).len(), 1);
    book.hear(at(0), fragment(NODE, (1, 1), &[(1, 1)]), Proof::Store, false);
    assert_eq!((book.settled(), book.all_meshed()), ((1, 1), false));
    book.hear(at(0), fragment(NODE, (1, 1), &[(1, 1)]), Proof::Mesh, false);
    assert!(book.all_meshed());
    book.begin_build([NODE]);
    assert_eq!(book.settled(), (0, 1), "each build asks again");
}

#[test]
fn floors_outlive_their_fragments_for_any_time() {
    let (old, new) = (MemberId(7), MemberId(8));
    let mut book = FragmentBook::default();
    book.begin_build([old, new]);
    book.hear(at(0), fragment(new, (1, 1), &[(1, 2)]), Proof::Mesh, false);
    book.hear(at(1), fragment(new, (1, 2), &[]), Proof::Mesh, false);
    let claim = |book: &mut FragmentBook, seconds: u64| {
        book.expire(at(seconds));
        book.hear(at(seconds), fragment(old, (1, seconds), &[(1, 1)]), Proof::Mesh, false);
        routed(book).len()
    };
    assert_eq!(claim(&mut book, 599), 0);
    book.begin_build([old]);
    assert_eq!(claim(&mut book, 1_000_000), 0, "the newer owner has long left, and nobody names it");
}

#[test]
fn of_streams_without_end_the_floors_are_bounded_and_those_in_use_stay() {
    let (old, new) = (MemberId(7), MemberId(8));
    let mut book = FragmentBook::default();
    book.begin_build([old, new]);
    book.hear(at(0), fragment(new, (1, 1), &[(0, 2)]), Proof::Mesh, false);
    for sequence in 1..=25 {
        let first = sequence * 1_000;
        let streams: Vec<_> = (first..first + 1_000).map(|stream| (stream, 1)).collect();
        book.hear(at(sequence), fragment(old, (1, sequence), &streams), Proof::Mesh, false);
    }
    assert!(book.floors.len() <= FLOOR_STREAMS_MAX, "{}", book.floors.len());
    for kept in [0, 24_000, 25_000] {
        assert!(book.floors.contains_key(&StreamId(kept)), "{kept} is held or was named a moment ago");
    }
    assert!(!book.floors.contains_key(&StreamId(1_000)), "named before all others");
}
