//! Models of the watermark: no task is left beside a mark that has risen or ended.

use super::{Risen, Watermark};
use crate::facade::{Alarm, block_on, check_model, thread};
use core::future::Future;
use core::pin::Pin;
use core::task::Context;

#[test]
fn no_waiting_task_misses_a_rise() {
    check_model(|| {
        let mark = Watermark::new(4);
        let tasks = [(); 2].map(|()| {
            let rise = mark.above(4);
            thread::spawn(move || block_on(rise))
        });
        mark.raise(5);
        tasks.into_iter().for_each(|task| assert_eq!(task.join().unwrap(), Risen::Above));
    });
}

#[test]
fn a_task_that_waits_for_the_second_rise_is_not_lost_at_the_first() {
    check_model(|| {
        let mark = Watermark::new(0);
        let rise = mark.above(1);
        let task = thread::spawn(move || block_on(rise));
        mark.raise(1);
        mark.raise(2);
        assert_eq!(task.join().unwrap(), Risen::Above);
    });
}

#[test]
fn the_end_releases_who_waits_for_more() {
    check_model(|| {
        let mark = Watermark::new(0);
        let rise = mark.above(1);
        let task = thread::spawn(move || block_on(rise));
        let raising = {
            let mark = mark.clone();
            thread::spawn(move || mark.raise(1))
        };
        mark.end();
        raising.join().unwrap();
        assert_eq!(task.join().unwrap(), Risen::Ended);
    });
}

#[test]
fn a_task_may_leave_while_the_mark_rises() {
    check_model(|| {
        let mark = Watermark::new(0);
        let (_alarm, waker) = Alarm::new();
        let mut leaving = mark.above(0);
        let staying = mark.above(0);
        let task = thread::spawn(move || block_on(staying));
        let raising = {
            let mark = mark.clone();
            thread::spawn(move || mark.raise(1))
        };
        let _ = Pin::new(&mut leaving).poll(&mut Context::from_waker(&waker));
        drop(leaving);
        raising.join().unwrap();
        assert_eq!(task.join().unwrap(), Risen::Above);
    });
}
