//! Models of the completion: the answer, or its absence, always reaches the task that waits.

use super::{Dropped, completion};
use crate::facade::{Alarm, block_on, check_model, thread};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

#[test]
fn an_answer_reaches_an_awaiting_task() {
    check_model(|| {
        let (completer, completion) = completion();
        let task = thread::spawn(move || block_on(completion));
        completer.complete(7);
        assert_eq!(task.join().unwrap(), Ok(7));
    });
}

#[test]
fn a_sender_that_goes_away_ends_an_awaiting_task() {
    check_model(|| {
        let (completer, completion) = completion::<u32>();
        let task = thread::spawn(move || block_on(completion));
        drop(completer);
        assert_eq!(task.join().unwrap(), Err(Dropped));
    });
}

#[test]
fn the_waker_that_was_registered_last_is_the_one_that_is_called() {
    check_model(|| {
        let (completer, mut completion) = completion();
        let answering = thread::spawn(move || completer.complete(7));
        let (_first, first_waker) = Alarm::new();
        let (last, last_waker) = Alarm::new();
        let mut poll = |waker| Pin::new(&mut completion).poll(&mut Context::from_waker(waker));
        let early = poll(&first_waker);
        let outcome = if early.is_ready() { early } else { poll(&last_waker) };
        answering.join().unwrap();
        assert!(outcome == Poll::Ready(Ok(7)) || last.is_rung(), "pending, and nobody was told");
    });
}

#[test]
fn a_receiver_may_go_away_at_any_moment() {
    check_model(|| {
        let (completer, completion) = completion();
        let answering = thread::spawn(move || completer.complete(7));
        drop(completion);
        answering.join().unwrap();
    });
}
