//! Unit tests of the watermark on real threads and with wakers of our own.

use super::{Risen, Watermark};
use crate::facade::{Alarm, block_on, lock, thread};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

#[test]
fn who_waits_for_a_place_below_the_mark_does_not_wait() {
    let mark = Watermark::new(7);
    assert_eq!(block_on(mark.above(6)), Risen::Above);
    mark.raise(3);
    assert_eq!(block_on(mark.above(6)), Risen::Above, "it never falls");
    mark.end();
    assert_eq!(block_on(mark.above(6)), Risen::Above, "what was reached is reached");
    assert_eq!(block_on(mark.above(7)), Risen::Ended);
}

#[test]
fn every_task_is_woken_by_the_rise_that_it_waits_for() {
    let mark = Watermark::new(0);
    thread::scope(|scope| {
        let tasks: Vec<_> = (0..8)
            .map(|place| {
                scope.spawn({
                    let rise = mark.above(place);
                    move || block_on(rise)
                })
            })
            .collect();
        for place in 1..=8 {
            mark.raise(place);
        }
        tasks.into_iter().for_each(|task| assert_eq!(task.join().unwrap(), Risen::Above));
    });
}

#[test]
fn a_rise_that_is_not_enough_wakes_and_the_task_waits_on() {
    let mark = Watermark::new(0);
    let (alarm, waker) = Alarm::new();
    let mut rise = mark.above(1);
    assert_eq!(Pin::new(&mut rise).poll(&mut Context::from_waker(&waker)), Poll::Pending);
    mark.raise(1);
    assert!(alarm.is_rung());
    assert_eq!(Pin::new(&mut rise).poll(&mut Context::from_waker(&waker)), Poll::Pending);
    mark.raise(2);
    assert_eq!(Pin::new(&mut rise).poll(&mut Context::from_waker(&waker)), Poll::Ready(Risen::Above));
}

#[test]
fn each_wait_is_listed_once_and_leaves_when_dropped() {
    let mark = Watermark::new(0);
    let listed = |mark: &Watermark| lock(&mark.shared.state).wakers.len();
    let (_alarm, waker) = Alarm::new();
    let mut waits: Vec<_> = (0..3).map(|_| mark.above(0)).collect();
    for wait in &mut waits {
        for _ in 0..2 {
            assert_eq!(Pin::new(&mut *wait).poll(&mut Context::from_waker(&waker)), Poll::Pending);
        }
    }
    assert_eq!(listed(&mark), 3);
    drop(waits);
    assert_eq!(listed(&mark), 0);
}
