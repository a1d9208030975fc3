//! Models of the commit gate: no item without a committer, no writer left asleep, and group commit as a whole.

use super::{CommitGate, EnqueueRefused, GateLimits};
use crate::completion::{Completer, completion};
use crate::facade::atomic::{AtomicU64, Ordering};
use crate::facade::{Arc, block_on, check_model, thread};

fn shared<T>(items: usize) -> Arc<CommitGate<T>> {
    Arc::new(CommitGate::new(GateLimits { items, bytes: 100 }))
}

#[test]
fn every_item_of_two_writers_is_taken_once() {
    check_model(|| {
        let gate = shared(2);
        let writers = [1, 2].map(|item| {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.try_enqueue(item, 10).unwrap())
        });
        let mut taken = Vec::new();
        while taken.len() < 2 {
            gate.wait();
            let batch = gate.take(100, &mut taken);
            assert!(!batch.closed);
        }
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

#[test]
fn a_committer_takes_what_came_before_the_close_and_then_stops() {
    check_model(|| {
        let gate = shared(2);
        let writer = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                gate.try_enqueue(1, 10).unwrap();
                gate.close();
                assert_eq!(gate.try_enqueue(2, 10), Err(EnqueueRefused::Closed(2)));
            })
        };
        let mut taken = Vec::new();
        loop {
            gate.wait();
            if gate.take(100, &mut taken).closed {
                break;
            }
        }
        assert_eq!(taken, [1]);
        writer.join().unwrap();
    });
}

/// The second taker is called before, while or after the items come that it is wanted for.
#[test]
fn a_second_taker_comes_when_enough_waits() {
    check_model(|| {
        let gate = shared(3);
        let second = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                assert!(gate.wait_to_be_called(), "closed before it was called");
                let mut taken = Vec::new();
                gate.take_while(&mut taken, |_, _| true);
                taken
            })
        };
        let writer = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || (1..=3).for_each(|item| gate.try_enqueue(item, 10).unwrap()))
        };
        gate.call_second(20);
        let taken = second.join().unwrap();
        assert!(taken == [1, 2] || taken == [1, 2, 3], "came for {taken:?}");
        writer.join().unwrap();
    });
}

#[test]
fn a_close_ends_the_second_takers_sleep() {
    check_model(|| {
        let gate = shared::<u8>(2);
        let second = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.wait_to_be_called())
        };
        gate.call_second(10);
        gate.dismiss_second();
        gate.close();
        assert!(!second.join().unwrap(), "called for nothing");
    });
}

/// The journal in small: gate, sync, completion. `synced` stands for the disk.
#[test]
fn group_commit_acknowledges_only_what_is_synced() {
    check_model(|| {
        let gate: Arc<CommitGate<Completer<u64>>> = shared(2);
        let synced = Arc::new(AtomicU64::new(0));
        let writers = [(); 2].map(|()| {
            let (gate, synced) = (Arc::clone(&gate), Arc::clone(&synced));
            thread::spawn(move || {
                let (completer, acknowledged) = completion();
                gate.try_enqueue(completer, 10).unwrap();
                let place = block_on(acknowledged).unwrap();
                assert!(synced.load(Ordering::Relaxed) >= place, "acknowledged before the sync");
            })
        });
        let mut group = Vec::new();
        let mut committed = 0;
        while committed < 2 {
            let places = committed + 1..;
            gate.wait();
            committed += gate.take(100, &mut group).items as u64;
            synced.store(committed, Ordering::Relaxed);
            group.drain(..).zip(places).for_each(|(completer, place)| completer.complete(place));
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}
