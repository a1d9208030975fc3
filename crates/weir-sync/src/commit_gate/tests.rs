//! Unit tests of the commit gate on real threads.

use super::{CommitGate, EnqueueRefused, GateLimits, Taken};
use crate::facade::thread;

fn gate(items: usize, bytes: usize) -> CommitGate<u32> {
    CommitGate::new(GateLimits { items, bytes })
}

#[test]
fn one_take_gets_everything_that_waits_in_order() {
    let gate = gate(10, 100);
    for item in 1..=3 {
        gate.try_enqueue(item, 10).unwrap();
    }
    let mut taken = vec![0];
    assert_eq!(gate.take(1_000, &mut taken), Taken { items: 3, bytes: 30, closed: false });
    assert_eq!(taken, [0, 1, 2, 3]);
    assert_eq!(gate.waiting(), GateLimits { items: 0, bytes: 0 });
}

#[test]
fn a_take_stops_before_the_item_that_exceeds_its_bytes() {
    let gate = gate(10, 100);
    for (item, bytes) in [(1, 10), (2, 20), (3, 30)] {
        gate.try_enqueue(item, bytes).unwrap();
    }
    let mut taken = Vec::new();
    assert_eq!(gate.take(29, &mut taken), Taken { items: 1, bytes: 10, closed: false });
    gate.try_enqueue(4, 1).unwrap();
    assert_eq!(gate.take(50, &mut taken), Taken { items: 2, bytes: 50, closed: false });
    assert_eq!(gate.waiting(), GateLimits { items: 1, bytes: 1 });
    assert_eq!(gate.take(50, &mut taken), Taken { items: 1, bytes: 1, closed: false });
    assert_eq!(taken, [1, 2, 3, 4]);
}

#[test]
fn an_item_larger_than_a_take_is_taken_alone() {
    let gate = gate(10, 100);
    gate.try_enqueue(1, 90).unwrap();
    gate.try_enqueue(2, 0).unwrap();
    let mut taken = Vec::new();
    assert_eq!(gate.take(50, &mut taken), Taken { items: 1, bytes: 90, closed: false });
    assert_eq!(taken, [1]);
}

#[test]
fn both_limits_refuse_and_hand_the_item_back() {
    let by_items = gate(1, 100);
    by_items.try_enqueue(1, 1).unwrap();
    assert_eq!(by_items.try_enqueue(2, 1), Err(EnqueueRefused::Full(2)));
    let by_bytes = gate(10, 100);
    by_bytes.try_enqueue(1, 60).unwrap();
    assert_eq!(by_bytes.try_enqueue(2, 41), Err(EnqueueRefused::Full(2)));
    by_bytes.try_enqueue(3, 40).unwrap();
    assert_eq!(by_bytes.try_enqueue(4, 101), Err(EnqueueRefused::TooLarge(4)));
}

#[test]
fn a_closed_gate_gives_out_what_waits_and_then_says_so() {
    let gate = gate(10, 100);
    gate.try_enqueue(1, 60).unwrap();
    gate.try_enqueue(2, 40).unwrap();
    gate.close();
    assert_eq!(gate.try_enqueue(3, 1), Err(EnqueueRefused::Closed(3)));
    let mut taken = Vec::new();
    assert_eq!(gate.take(60, &mut taken), Taken { items: 1, bytes: 60, closed: false });
    assert_eq!(gate.take(60, &mut taken), Taken { items: 1, bytes: 40, closed: true });
    assert_eq!(gate.take(60, &mut taken), Taken { items: 0, bytes: 0, closed: true });
    assert_eq!(taken, [1, 2]);
}

#[test]
fn it_is_idle_while_it_is_open_and_nothing_waits() {
    let gate = gate(10, 100);
    assert!(gate.is_idle());
    gate.try_enqueue(1, 60).unwrap();
    assert!(!gate.is_idle());
    let mut taken = Vec::new();
    assert_eq!(gate.take(100, &mut taken), Taken { items: 1, bytes: 60, closed: false });
    assert_eq!(gate.take(100, &mut taken), Taken { items: 0, bytes: 0, closed: false });
    assert!(gate.is_idle());
    gate.close();
    assert!(!gate.is_idle());
    gate.wait();
}

#[test]
fn many_writers_hand_over_every_item_once_and_the_gate_keeps_its_bounds() {
    const WRITERS: u32 = 4;
    const ITEMS: u32 = 3_000;
    let gate = CommitGate::new(GateLimits { items: 16, bytes: 640 });
    let mut taken: Vec<(u32, u32)> = thread::scope(|scope| {
        let committer = scope.spawn(|| {
            let mut taken = Vec::new();
            loop {
                let before = taken.len();
                gate.wait();
                let batch = gate.take(300, &mut taken);
                assert_eq!(taken.len() - before, batch.items);
                assert!(batch.items <= 16 && batch.bytes <= 300);
                if batch.closed {
                    return taken;
                }
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let gate = &gate;
                scope.spawn(move || {
                    for item in 0..ITEMS {
                        while gate.try_enqueue((writer, item), 1 + item as usize % 64).is_err() {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        gate.close();
        committer.join().unwrap()
    });
    for writer in 0..WRITERS {
        assert!(
            taken.iter().filter(|(from, _)| *from == writer).is_sorted(),
            "items of one writer changed places"
        );
    }
    taken.sort_unstable();
    let expected: Vec<_> = (0..WRITERS).flat_map(|w| (0..ITEMS).map(move |item| (w, item))).collect();
    assert_eq!(taken, expected);
}

#[test]
fn a_take_of_the_first_ends_at_the_one_that_may_not_go() {
    let gate = gate(10, 100);
    for (item, bytes) in [(1, 10), (2, 20), (3, 30), (4, 1)] {
        gate.try_enqueue(item, bytes).unwrap();
    }
    let mut taken = Vec::new();
    assert_eq!(gate.take_while(&mut taken, |item, bytes| *item != 3 && bytes == 10 * *item as usize), 2);
    assert_eq!(gate.take_while(&mut taken, |item, _| *item == 4), 0, "nobody overtakes");
    assert_eq!(taken, [1, 2]);
    assert_eq!(gate.waiting(), GateLimits { items: 2, bytes: 31 });
}

#[test]
fn the_second_taker_is_called_once_by_what_waits_or_by_what_comes() {
    let gate = gate(10, 100);
    gate.try_enqueue(1, 30).unwrap();
    gate.call_second(30);
    assert!(gate.wait_to_be_called());
    gate.call_second(50);
    gate.try_enqueue(2, 20).unwrap();
    assert!(gate.wait_to_be_called());
    // Called for nothing, dismissed, or never: none of them lets it go before the close.
    gate.call_second(10);
    gate.dismiss_second();
    gate.try_enqueue(3, 20).unwrap();
    gate.close();
    assert!(!gate.wait_to_be_called());
}
