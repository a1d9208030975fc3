//! Models of the snapshot: readers never go back, and never miss a publish that has returned.

use super::{Snapshot, SnapshotReader};
use crate::facade::atomic::{AtomicU64, Ordering};
use crate::facade::{Arc, check_model, thread};

fn shared(initial: u64) -> Arc<Snapshot<u64>> {
    Arc::new(Snapshot::new(Arc::new(initial)))
}

#[test]
fn a_reader_never_goes_back_and_ends_at_the_newest() {
    check_model(|| {
        let snapshot = shared(0);
        let publisher = {
            let snapshot = Arc::clone(&snapshot);
            thread::spawn(move || {
                for value in 1..=2 {
                    assert_eq!(snapshot.publish(Arc::new(value)), value);
                }
            })
        };
        let mut reader = SnapshotReader::new(Arc::clone(&snapshot));
        let mut seen = 0;
        for _ in 0..2 {
            let value = **reader.get();
            assert!(value >= seen, "went back from {seen} to {value}");
            assert_eq!(reader.seen_version(), value);
            seen = value;
        }
        publisher.join().unwrap();
        assert_eq!(**reader.get(), 2);
    });
}

#[test]
fn two_publishers_leave_one_newest_value_for_everybody() {
    check_model(|| {
        let snapshot = shared(0);
        let mut reader = SnapshotReader::new(Arc::clone(&snapshot));
        let publishers = [10, 20].map(|value| {
            let snapshot = Arc::clone(&snapshot);
            thread::spawn(move || snapshot.publish(Arc::new(value)))
        });
        let during = **reader.get();
        assert!([0, 10, 20].contains(&during));
        let mut versions = publishers.map(|publisher| publisher.join().unwrap());
        versions.sort_unstable();
        assert_eq!(versions, [1, 2]);
        assert_eq!(**reader.get(), *snapshot.load());
        assert_eq!(reader.seen_version(), 2);
    });
}

#[test]
fn what_was_written_before_a_publish_is_seen_with_its_version() {
    check_model(|| {
        let snapshot = shared(0);
        let beside = Arc::new(AtomicU64::new(0));
        let publisher = {
            let (snapshot, beside) = (Arc::clone(&snapshot), Arc::clone(&beside));
            thread::spawn(move || {
                beside.store(7, Ordering::Relaxed);
                snapshot.publish(Arc::new(1));
            })
        };
        if snapshot.version() == 1 {
            assert_eq!(beside.load(Ordering::Relaxed), 7);
            assert_eq!(*snapshot.load(), 1);
        }
        publisher.join().unwrap();
    });
}
