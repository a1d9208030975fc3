//! Unit tests of the watermark on real threads.

use super::Watermark;
use crate::facade::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(1);

#[test]
fn a_wait_for_what_is_passed_returns_at_once() {
    let watermark = Watermark::new(5);
    assert_eq!(watermark.wait_past(4), Ok(5));
    assert_eq!(watermark.wait_past_timeout(4, SHORT), Ok(Some(5)));
}

#[test]
fn the_value_itself_is_not_past_itself() {
    assert_eq!(Watermark::new(5).wait_past_timeout(5, SHORT), Ok(None));
}

#[test]
fn an_advance_to_the_same_value_is_no_step_back() {
    let watermark = Watermark::new(5);
    assert_eq!(watermark.advance(5), Ok(()));
    assert_eq!(watermark.current(), 5);
}

#[test]
#[should_panic(expected = "a watermark went back from 5 to 4")]
fn a_step_back_is_a_bug() {
    let _ = Watermark::new(5).advance(4);
}

#[test]
fn poison_ends_waits_for_more_but_not_for_what_is_passed() {
    let watermark = Watermark::new(5);
    watermark.poison("the disk is gone");
    watermark.poison("a later reason");
    assert_eq!(watermark.wait_past(4), Ok(5));
    assert_eq!(watermark.wait_past(5).unwrap_err().reason, "the disk is gone");
    assert_eq!(watermark.wait_past_timeout(5, SHORT).unwrap_err().reason, "the disk is gone");
    assert_eq!(watermark.poisoned().unwrap().reason, "the disk is gone");
}

#[test]
fn a_poisoned_watermark_does_not_move() {
    let watermark = Watermark::new(5);
    watermark.poison("the disk is gone");
    assert_eq!(
        watermark.advance(6).unwrap_err().to_string(),
        "the watermark will not rise any more: the disk is gone"
    );
    assert_eq!(watermark.current(), 5);
}

#[test]
fn every_waiter_is_told_as_soon_as_its_place_is_passed() {
    let watermark = Watermark::new(0);
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..8)
            .map(|n| {
                scope.spawn({
                    let watermark = &watermark;
                    move || watermark.wait_past(n)
                })
            })
            .collect();
        for to in 1..=8 {
            watermark.advance(to).unwrap();
        }
        for (n, waiter) in waiters.into_iter().enumerate() {
            assert!(waiter.join().unwrap().unwrap() > n as u64);
        }
    });
}
