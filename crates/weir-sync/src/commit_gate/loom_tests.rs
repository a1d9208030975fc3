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
