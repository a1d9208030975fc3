//! Unit tests of the completion on real threads and with a waker of our own.

use super::{Dropped, completion};
use crate::facade::{Alarm, Arc, block_on, thread};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

#[test]
fn an_answer_given_before_the_wait_is_there() {
    let (completer, completion) = completion();
    completer.complete(7);
    assert_eq!(block_on(completion), Ok(7));
}

#[test]
fn an_answer_reaches_a_task_on_another_thread() {
    let (completer, completion) = completion();
    thread::scope(|scope| {
        let task = scope.spawn(|| block_on(completion));
        completer.complete(7);
        assert_eq!(task.join().unwrap(), Ok(7));
    });
}

#[test]
fn a_sender_that_goes_away_is_an_answer() {
    let (completer, completion) = completion::<u32>();
    drop(completer);
    assert_eq!(block_on(completion), Err(Dropped));
}

#[test]
fn only_the_last_waker_is_called_and_only_once_resolved() {
    let (completer, mut completion) = completion();
    let [(first, first_waker), (last, last_waker)] = [Alarm::new(), Alarm::new()];
    let mut poll = |waker| Pin::new(&mut completion).poll(&mut Context::from_waker(waker));
    assert_eq!(poll(&first_waker), Poll::Pending);
    assert_eq!(poll(&last_waker), Poll::Pending);
    assert!(!first.is_rung() && !last.is_rung());
    completer.complete(7);
    assert!(!first.is_rung() && last.is_rung());
    assert_eq!(poll(&last_waker), Poll::Ready(Ok(7)));
}

#[test]
fn an_answer_that_nobody_takes_is_dropped() {
    let answer = Arc::new(());
    let (completer, completion) = completion();
    drop(completion);
    completer.complete(Arc::clone(&answer));
    assert_eq!(Arc::strong_count(&answer), 1);
}

#[test]
#[should_panic(expected = "taken twice")]
fn an_answer_cannot_be_taken_twice() {
    let (completer, mut completion) = completion();
    completer.complete(7);
    assert_eq!(block_on(&mut completion), Ok(7));
    let _ = block_on(completion);
}
