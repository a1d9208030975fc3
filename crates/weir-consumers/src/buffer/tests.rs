//! Each policy on a full buffer, and the way back from the file.

use std::time::Duration;

use weir_core::{limits::MIB, threads::Threads};

use super::*;

fn config(policy: BufferPolicy, capacity: usize) -> BufferConfig {
    BufferConfig { capacity, policy, spill_bytes_max: MIB as u64, flush_interval: Duration::ZERO }
}

fn entry(number: u64) -> Entry {
    Entry {
        number,
        at: WallMs(number),
        partition_key: "k".into(),
        data: Bytes::from_static(b"d"),
        in_file: false,
    }
}

fn taken(buffer: &Buffer, max: usize) -> Vec<u64> {
    let mut out = Vec::new();
    buffer.take(max, &mut out);
    out.into_iter().map(|entry| entry.number).collect()
}

#[test]
fn a_full_buffer_that_drops_loses_the_right_one_and_says_which() {
    let newest = Buffer::open(&config(BufferPolicy::DropNewest, 2), None, false).unwrap();
    let outcomes: Vec<_> = (0..3).map(|n| newest.push(entry(n))).collect();
    assert_eq!(outcomes, [Pushed::Kept, Pushed::Kept, Pushed::Dropped]);
    assert_eq!((taken(&newest, 9), newest.numbers().dropped), (vec![0, 1], 1));

    let oldest = Buffer::open(&config(BufferPolicy::DropOldest, 2), None, false).unwrap();
    let outcomes: Vec<_> = (0..3).map(|n| oldest.push(entry(n))).collect();
    assert_eq!(outcomes, [Pushed::Kept, Pushed::Kept, Pushed::ReplacedOldest(entry(0))]);
    assert_eq!((taken(&oldest, 9), oldest.numbers().dropped), (vec![1, 2], 1));
}

#[test]
fn a_blocked_push_waits_until_there_is_room_and_is_counted_while_it_waits() {
    let buffer = Arc::new(Buffer::open(&config(BufferPolicy::Block, 1), None, false).unwrap());
    assert_eq!(buffer.push(entry(0)), Pushed::Kept);
    let pusher = Arc::clone(&buffer);
    let worker = Threads::new().spawn("worker", move || pusher.push(entry(1))).unwrap();
    while buffer.numbers().blocked_now == 0 {
        std::thread::yield_now();
    }
    assert_eq!(taken(&buffer, 1), [0]);
    assert_eq!(worker.join().unwrap(), Pushed::Kept);
    assert_eq!((buffer.numbers().blocked_now, buffer.numbers().blocked_pushes), (0, 1));
}

#[test]
fn closing_frees_a_blocked_worker() {
    let buffer = Arc::new(Buffer::open(&config(BufferPolicy::Block, 1), None, false).unwrap());
    assert_eq!(buffer.push(entry(0)), Pushed::Kept);
    let pusher = Arc::clone(&buffer);
    let worker = Threads::new().spawn("worker", move || pusher.push(entry(1))).unwrap();
    while buffer.numbers().blocked_now == 0 {
        std::thread::yield_now();
    }
    buffer.close();
    assert_eq!(worker.join().unwrap(), Pushed::Closed);
    assert_eq!((taken(&buffer, 9), taken(&buffer, 9)), (vec![0], vec![]));
}

#[test]
fn in_order_everything_behind_the_file_goes_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let open =
        |in_order| Buffer::open(&config(BufferPolicy::Spill, 2), Some(folder.path()), in_order).unwrap();
    let in_order = open(true);
    let push = |buffer: &Buffer, numbers: std::ops::Range<u64>| {
        for number in numbers {
            assert_eq!(buffer.push(entry(number)), Pushed::Kept);
        }
    };
    push(&in_order, 0..4);
    assert_eq!(taken(&in_order, 1), [0]);
    push(&in_order, 4..6);
    assert_eq!(taken(&in_order, 9), [1, 2, 3, 4, 5], "memory first, and nothing younger got into it");
    in_order.sent();
    push(&in_order, 6..7);
    assert_eq!((taken(&in_order, 9), in_order.numbers().spilled), (vec![6], 4));

    let new_first = open(false);
    push(&new_first, 0..4);
    assert_eq!(taken(&new_first, 2), [0, 1]);
    push(&new_first, 4..6);
    assert_eq!(taken(&new_first, 9), [4, 5, 2, 3], "the file gets the room that is left");
}

#[test]
fn what_was_spilled_and_not_sent_is_taken_again_by_the_next_life() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Buffer::open(&config(BufferPolicy::Spill, 1), Some(folder.path()), true).unwrap();
    let buffer = open();
    for number in 0..4 {
        assert_eq!(buffer.push(entry(number)), Pushed::Kept);
    }
    assert_eq!(taken(&buffer, 9), [0, 1, 2, 3]);
    drop(buffer);
    let again = open();
    assert_eq!(taken(&again, 9), [1, 2, 3], "taken is not sent");
    again.sent();
    drop(again);
    assert_eq!(open().numbers().spill_entries, 0);
}

#[test]
fn a_full_file_drops_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let small = BufferConfig { spill_bytes_max: 40, ..config(BufferPolicy::Spill, 1) };
    let buffer = Buffer::open(&small, Some(folder.path()), true).unwrap();
    let outcomes: Vec<_> = (0..3).map(|n| buffer.push(entry(n))).collect();
    assert_eq!(outcomes, [Pushed::Kept, Pushed::Kept, Pushed::Dropped]);
    let numbers = buffer.numbers();
    assert_eq!((numbers.spilled, numbers.dropped, numbers.spill_bytes), (1, 1, 30));
}

#[test]
fn what_still_lies_in_the_file_is_not_written_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = Buffer::open(&config(BufferPolicy::Spill, 1), Some(folder.path()), true).unwrap();
    for number in 0..2 {
        assert_eq!(buffer.push(entry(number)), Pushed::Kept);
    }
    let mut held = Vec::new();
    buffer.take(9, &mut held);
    buffer.close();
    assert!(held.iter().all(|entry| buffer.set_aside(entry) == Pushed::Kept));
    drop(buffer);
    let again = Buffer::open(&config(BufferPolicy::Spill, 1), Some(folder.path()), true).unwrap();
    assert_eq!(taken(&again, 9), [1, 0]);
}
