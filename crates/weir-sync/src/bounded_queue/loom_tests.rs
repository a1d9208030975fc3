//! Models of the bounded queue: nothing lost, nothing doubled, nobody left asleep; and the stall of 2020.

use super::{BoundedQueue, Overflow, PushOutcome};
use crate::facade::{Arc, check_model, thread};

/// The policy of the auth cache's analytics buffer in the model of the stall. `Block` is what it was in 2020.
const AUTH_BUFFER_POLICY: Overflow = if cfg!(loom_broken = "bounded_queue_auth_buffer_blocks") {
    Overflow::Block
} else {
    Overflow::DropNewest
};

fn shared<T>(capacity: usize, overflow: Overflow) -> Arc<BoundedQueue<T>> {
    Arc::new(BoundedQueue::new(capacity, overflow))
}

#[test]
fn a_sign_in_worker_is_never_stalled_by_a_buffer_that_nobody_drains() {
    check_model(|| {
        let buffer = shared(1, AUTH_BUFFER_POLICY);
        let workers = [1, 2].map(|user| {
            let buffer = Arc::clone(&buffer);
            // A worker answers its sign-in only after it has noted the access event.
            thread::spawn(move || buffer.push(user) == PushOutcome::Queued)
        });
        let noted = workers.map(|worker| worker.join().unwrap());
        assert_eq!(noted.iter().filter(|noted| **noted).count(), 1, "one event fits, the other is dropped");
        assert_eq!(buffer.counters().blocked_pushes, 0);
    });
}

#[test]
fn drop_oldest_hands_out_exactly_what_is_not_queued() {
    check_model(|| {
        let queue = shared(1, Overflow::DropOldest);
        let pushers = [1, 2].map(|item| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || match queue.push(item) {
                PushOutcome::Queued => None,
                PushOutcome::DroppedOldest(oldest) => Some(oldest),
                other => panic!("{other:?}"),
            })
        });
        let mut seen: Vec<u32> = pushers.into_iter().filter_map(|pusher| pusher.join().unwrap()).collect();
        seen.extend(queue.try_pop());
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

#[test]
fn spill_hands_back_exactly_what_is_not_queued() {
    check_model(|| {
        let queue = shared(1, Overflow::Spill);
        let pushers = [1, 2].map(|item| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || match queue.push(item) {
                PushOutcome::Queued => None,
                PushOutcome::Spilled(spilled) => Some(spilled),
                other => panic!("{other:?}"),
            })
        });
        let mut seen: Vec<u32> = pushers.into_iter().filter_map(|pusher| pusher.join().unwrap()).collect();
        seen.extend(queue.try_pop());
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

#[test]
fn a_blocking_producer_and_its_consumer_move_every_item_in_order() {
    check_model(|| {
        let queue = shared(1, Overflow::Block);
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                for item in 1..=3 {
                    assert_eq!(queue.push(item), PushOutcome::Queued);
                }
                queue.close();
            })
        };
        let popped: Vec<u32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(popped, [1, 2, 3]);
        producer.join().unwrap();
    });
}

#[test]
fn two_consumers_share_the_items_without_loss() {
    check_model(|| {
        let queue = shared(2, Overflow::Block);
        let consumers = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.pop().expect("one item for each"))
        });
        assert_eq!(queue.push(1), PushOutcome::Queued);
        assert_eq!(queue.push(2), PushOutcome::Queued);
        let mut popped = consumers.map(|consumer| consumer.join().unwrap());
        popped.sort_unstable();
        assert_eq!(popped, [1, 2]);
    });
}

#[test]
fn a_pop_of_many_wakes_every_push_that_fits_now() {
    check_model(|| {
        let queue = shared(2, Overflow::Block);
        assert_eq!(queue.push(1), PushOutcome::Queued);
        assert_eq!(queue.push(2), PushOutcome::Queued);
        let pushers = [3, 4].map(|item| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || assert_eq!(queue.push(item), PushOutcome::Queued))
        });
        let mut popped = Vec::new();
        assert_eq!(queue.pop_many(2, &mut popped), 2);
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        assert_eq!(popped, [1, 2]);
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.counters().blocked_now, 0);
    });
}

#[test]
fn close_ends_a_push_that_waits_for_room() {
    check_model(|| {
        let queue = shared(1, Overflow::Block);
        assert_eq!(queue.push(1), PushOutcome::Queued);
        let pusher = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.push(2))
        };
        queue.close();
        assert_eq!(pusher.join().unwrap(), PushOutcome::Closed(2));
        assert_eq!((queue.pop(), queue.pop()), (Some(1), None));
    });
}

#[test]
fn close_ends_every_pop_that_waits_for_an_item() {
    check_model(|| {
        let queue = shared::<u32>(1, Overflow::Block);
        let consumers = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.pop())
        });
        queue.close();
        assert_eq!(consumers.map(|consumer| consumer.join().unwrap()), [None, None]);
    });
}
