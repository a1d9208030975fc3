//! Unit tests of the snapshot on real threads.

use super::{Snapshot, SnapshotReader};
use crate::facade::atomic::{AtomicBool, Ordering};
use crate::facade::{Arc, thread};

#[test]
fn a_publish_replaces_the_value_and_raises_the_version() {
    let snapshot = Snapshot::new(Arc::new("old"));
    assert_eq!((*snapshot.load(), snapshot.version()), ("old", 0));
    assert_eq!(snapshot.publish(Arc::new("new")), 1);
    assert_eq!((*snapshot.load(), snapshot.version()), ("new", 1));
}

#[test]
fn a_reader_keeps_its_arc_until_something_was_published() {
    let snapshot = Arc::new(Snapshot::new(Arc::new(1)));
    let mut reader = SnapshotReader::new(Arc::clone(&snapshot));
    let first = Arc::clone(reader.get());
    assert!(Arc::ptr_eq(&first, reader.get()));
    snapshot.publish(Arc::new(2));
    assert_eq!((**reader.get(), reader.seen_version()), (2, 1));
}

#[test]
fn an_old_value_is_freed_when_the_last_reader_has_looked_again() {
    let snapshot = Arc::new(Snapshot::new(Arc::new(1)));
    let mut reader = SnapshotReader::new(Arc::clone(&snapshot));
    let old = Arc::downgrade(reader.get());
    snapshot.publish(Arc::new(2));
    assert!(old.upgrade().is_some(), "the reader still holds it");
    reader.get();
    assert!(old.upgrade().is_none());
}

#[test]
fn readers_on_many_threads_never_go_back() {
    let snapshot = Arc::new(Snapshot::new(Arc::new(0_u64)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            let mut reader = SnapshotReader::new(Arc::clone(&snapshot));
            let done = &done;
            scope.spawn(move || {
                let mut seen = 0;
                loop {
                    let last_look = done.load(Ordering::Acquire);
                    let value = **reader.get();
                    assert!(value >= seen && value == reader.seen_version());
                    seen = value;
                    if last_look {
                        break assert_eq!(seen, 10_000);
                    }
                }
            });
        }
        for value in 1..=10_000 {
            assert_eq!(snapshot.publish(Arc::new(value)), value);
        }
        done.store(true, Ordering::Release);
    });
}
