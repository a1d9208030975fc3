//! Models of the shutdown: nobody misses it, thread or task, and nobody is kept who has left.

use super::Shutdown;
use crate::facade::atomic::{AtomicU64, Ordering};
use crate::facade::{Alarm, Arc, block_on, check_model, thread};
use core::future::Future;
use core::pin::Pin;
use core::task::Context;
use std::time::Duration;

#[test]
fn no_sleeping_thread_misses_it() {
    check_model(|| {
        let shutdown = Shutdown::new();
        let sleepers = [(); 2].map(|()| {
            let shutdown = shutdown.clone();
            thread::spawn(move || shutdown.wait())
        });
        shutdown.begin();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}

#[test]
fn no_awaiting_task_misses_it() {
    check_model(|| {
        let shutdown = Shutdown::new();
        let tasks = [(); 2].map(|()| {
            let begun = shutdown.wait_async();
            thread::spawn(move || block_on(begun))
        });
        shutdown.begin();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

#[test]
fn what_was_written_before_it_is_seen_after_it() {
    check_model(|| {
        let shutdown = Shutdown::new();
        let reason = Arc::new(AtomicU64::new(0));
        let looker = {
            let (shutdown, reason) = (shutdown.clone(), Arc::clone(&reason));
            thread::spawn(move || {
                if shutdown.is_begun() {
                    assert_eq!(reason.load(Ordering::Relaxed), 15);
                }
            })
        };
        reason.store(15, Ordering::Relaxed);
        shutdown.begin();
        looker.join().unwrap();
    });
}

#[test]
fn it_may_begin_twice_at_once() {
    check_model(|| {
        let shutdown = Shutdown::new();
        let other = {
            let shutdown = shutdown.clone();
            thread::spawn(move || shutdown.begin())
        };
        let waiter = {
            let shutdown = shutdown.clone();
            thread::spawn(move || shutdown.wait())
        };
        shutdown.begin();
        waiter.join().unwrap();
        other.join().unwrap();
        assert!(shutdown.wait_timeout(Duration::ZERO));
    });
}

#[test]
fn a_task_may_leave_while_it_begins() {
    check_model(|| {
        let shutdown = Shutdown::new();
        let (_alarm, waker) = Alarm::new();
        let mut leaving = shutdown.wait_async();
        let staying = shutdown.wait_async();
        let task = thread::spawn(move || block_on(staying));
        let beginner = {
            let shutdown = shutdown.clone();
            thread::spawn(move || shutdown.begin())
        };
        let _ = Pin::new(&mut leaving).poll(&mut Context::from_waker(&waker));
        drop(leaving);
        beginner.join().unwrap();
        task.join().unwrap();
    });
}
