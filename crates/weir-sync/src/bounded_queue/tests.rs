//! Unit tests of the bounded queue on real threads.

use super::{BoundedQueue, Overflow, PushOutcome};
use crate::facade::thread;

fn full(overflow: Overflow) -> BoundedQueue<u32> {
    let queue = BoundedQueue::new(2, overflow);
    assert_eq!(queue.push(1), PushOutcome::Queued);
    assert_eq!(queue.push(2), PushOutcome::Queued);
    queue
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn items_leave_in_the_order_in_which_they_came() {
    let queue = full(Overflow::DropNewest);
    assert_eq!((queue.try_pop(), queue.try_pop(), queue.try_pop()), (Some(1), Some(2), None));
    assert!(queue.is_empty());
}

#[test]
fn drop_newest_keeps_the_old_items() {
    let queue = full(Overflow::DropNewest);
    assert_eq!(queue.push(3), PushOutcome::DroppedNewest(3));
    assert_eq!((queue.pop(), queue.pop()), (Some(1), Some(2)));
    let counters = queue.counters();
    assert_eq!((counters.queued, counters.dropped, counters.spilled, counters.high_water), (2, 1, 0, 2));
}

#[test]
fn drop_oldest_keeps_the_new_items() {
    let queue = full(Overflow::DropOldest);
    assert_eq!(queue.push(3), PushOutcome::DroppedOldest(1));
    assert_eq!((queue.pop(), queue.pop()), (Some(2), Some(3)));
    let counters = queue.counters();
    assert_eq!((counters.queued, counters.dropped, counters.high_water), (3, 1, 2));
}

#[test]
fn spill_hands_the_new_item_back() {
    let queue = full(Overflow::Spill);
    assert_eq!(queue.push(3), PushOutcome::Spilled(3));
    assert_eq!(queue.len(), 2);
    assert_eq!((queue.counters().spilled, queue.counters().dropped), (1, 0));
}

#[test]
fn block_waits_for_room_and_is_counted_while_it_waits() {
    let queue = full(Overflow::Block);
    thread::scope(|scope| {
        let pusher = scope.spawn(|| queue.push(3));
        until(|| queue.counters().blocked_now == 1);
        assert_eq!(queue.pop(), Some(1));
        assert_eq!(pusher.join().unwrap(), PushOutcome::Queued);
    });
    assert_eq!((queue.counters().blocked_now, queue.counters().blocked_pushes), (0, 1));
    assert_eq!(queue.len(), 2);
}

#[test]
fn a_closed_queue_refuses_new_items_and_gives_out_the_old_ones() {
    let queue = full(Overflow::Block);
    queue.close();
    assert_eq!(queue.push(3), PushOutcome::Closed(3));
    let mut rest = Vec::new();
    assert_eq!(queue.pop_many(10, &mut rest), 2);
    assert_eq!(queue.pop_many(10, &mut rest), 0);
    assert_eq!(rest, [1, 2]);
    assert_eq!((queue.pop(), queue.try_pop()), (None, None));
    assert!(queue.is_closed());
}

#[test]
fn close_is_seen_by_all_policies_even_when_full() {
    for overflow in [Overflow::Block, Overflow::DropNewest, Overflow::DropOldest, Overflow::Spill] {
        let queue = full(overflow);
        queue.close();
        assert_eq!(queue.push(3), PushOutcome::Closed(3), "{overflow:?}");
        assert_eq!(queue.len(), 2, "{overflow:?}");
    }
}

#[test]
fn a_pop_of_many_takes_no_more_than_it_was_told() {
    let queue = full(Overflow::Block);
    let mut taken = vec![0];
    assert_eq!(queue.pop_many(1, &mut taken), 1);
    assert_eq!(taken, [0, 1]);
    assert_eq!(queue.len(), 1);
}

#[test]
fn many_threads_move_every_item_once_and_in_the_order_of_its_producer() {
    const PRODUCERS: u32 = 4;
    const ITEMS: u32 = 5_000;
    let queue = BoundedQueue::new(8, Overflow::Block);
    let mut popped: Vec<(u32, u32)> = thread::scope(|scope| {
        let consumers =
            [(); 2].map(|()| scope.spawn(|| std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>()));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let queue = &queue;
                scope.spawn(move || {
                    for item in 0..ITEMS {
                        assert_eq!(queue.push((producer, item)), PushOutcome::Queued);
                    }
                })
            })
            .collect();
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        queue.close();
        consumers
            .into_iter()
            .flat_map(|consumer| {
                let taken = consumer.join().unwrap();
                for producer in 0..PRODUCERS {
                    let of_one = taken.iter().filter(|(from, _)| *from == producer);
                    assert!(of_one.is_sorted(), "one consumer saw a producer's items out of order");
                }
                taken
            })
            .collect()
    });
    popped.sort_unstable();
    let expected: Vec<_> = (0..PRODUCERS).flat_map(|p| (0..ITEMS).map(move |item| (p, item))).collect();
    assert_eq!(popped, expected);
    assert!(queue.counters().high_water <= 8);
}

#[test]
#[should_panic(expected = "without room for one item")]
fn a_queue_without_room_is_refused() {
    drop(BoundedQueue::<u32>::new(0, Overflow::Block));
}
