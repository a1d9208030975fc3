//! Unit tests of the shutdown on real threads and with wakers of our own.

use super::Shutdown;
use crate::facade::{Alarm, block_on, lock, thread};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::time::Duration;

#[test]
fn it_begins_once_for_all_its_clones() {
    let shutdown = Shutdown::new();
    let other = shutdown.clone();
    assert!(!other.is_begun());
    assert!(!other.wait_timeout(Duration::from_millis(1)));
    shutdown.begin();
    shutdown.begin();
    other.wait();
    assert!(other.is_begun() && other.wait_timeout(Duration::ZERO));
}

#[test]
fn threads_and_tasks_are_woken() {
    let shutdown = Shutdown::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| shutdown.wait());
            scope.spawn(|| block_on(shutdown.wait_async()));
        }
        scope.spawn(|| assert!(shutdown.wait_timeout(Duration::from_secs(60))));
        shutdown.begin();
    });
}

#[test]
fn a_future_made_after_the_begin_is_ready() {
    let shutdown = Shutdown::new();
    shutdown.begin();
    block_on(shutdown.wait_async());
}

#[test]
fn each_future_is_listed_once_however_often_it_is_polled_and_leaves_when_dropped() {
    let shutdown = Shutdown::new();
    let [(first, first_waker), (last, last_waker), (gone, gone_waker)] =
        [Alarm::new(), Alarm::new(), Alarm::new()];
    let mut begun = shutdown.wait_async();
    let mut dropped = shutdown.wait_async();
    for waker in [&first_waker, &first_waker, &last_waker] {
        assert_eq!(Pin::new(&mut begun).poll(&mut Context::from_waker(waker)), Poll::Pending);
        assert_eq!(Pin::new(&mut dropped).poll(&mut Context::from_waker(&gone_waker)), Poll::Pending);
    }
    assert_eq!(lock(&shutdown.shared.wakers).len(), 2);
    drop(dropped);
    assert_eq!(lock(&shutdown.shared.wakers).len(), 1);
    shutdown.begin();
    assert_eq!([first.is_rung(), last.is_rung(), gone.is_rung()], [false, true, false]);
}
