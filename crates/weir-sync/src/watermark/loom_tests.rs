//! Models of the watermark: no advance and no poison is missed, and what it covers is visible.

use super::Watermark;
use crate::facade::atomic::{AtomicU64, Ordering};
use crate::facade::{Arc, check_model, thread};
use std::time::Duration;

#[test]
fn no_advance_is_missed() {
    check_model(|| {
        let watermark = Arc::new(Watermark::new(0));
        let waiters = [0, 1].map(|n| {
            let watermark = Arc::clone(&watermark);
            thread::spawn(move || watermark.wait_past(n).expect("nobody poisons it"))
        });
        watermark.advance(1).unwrap();
        watermark.advance(2).unwrap();
        let [past_zero, past_one] = waiters.map(|waiter| waiter.join().unwrap());
        assert!((1..=2).contains(&past_zero));
        assert_eq!(past_one, 2);
    });
}

#[test]
fn what_was_written_before_an_advance_is_seen_after_it() {
    check_model(|| {
        let watermark = Arc::new(Watermark::new(0));
        let log = Arc::new(AtomicU64::new(0));
        let committer = {
            let (watermark, log) = (Arc::clone(&watermark), Arc::clone(&log));
            thread::spawn(move || {
                log.store(7, Ordering::Relaxed);
                watermark.advance(1).unwrap();
            })
        };
        if watermark.current() == 1 {
            assert_eq!(log.load(Ordering::Relaxed), 7);
        }
        watermark.wait_past(0).unwrap();
        assert_eq!(log.load(Ordering::Relaxed), 7);
        committer.join().unwrap();
    });
}

#[test]
fn poison_wakes_everybody_who_waits_for_more() {
    check_model(|| {
        let watermark = Arc::new(Watermark::new(0));
        let waiters = [(); 2].map(|()| {
            let watermark = Arc::clone(&watermark);
            thread::spawn(move || watermark.wait_past(0))
        });
        watermark.poison("the sync failed");
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap().unwrap_err().reason, "the sync failed");
        }
    });
}

#[test]
fn what_was_passed_before_the_poison_stays_passed() {
    check_model(|| {
        let watermark = Arc::new(Watermark::new(0));
        let waiter = {
            let watermark = Arc::clone(&watermark);
            thread::spawn(move || watermark.wait_past(0))
        };
        watermark.advance(1).unwrap();
        watermark.poison("the next sync failed");
        assert_eq!(waiter.join().unwrap(), Ok(1));
    });
}

#[test]
fn a_poison_and_an_advance_at_once_leave_one_story() {
    check_model(|| {
        let watermark = Arc::new(Watermark::new(0));
        let advancer = {
            let watermark = Arc::clone(&watermark);
            thread::spawn(move || watermark.advance(1))
        };
        watermark.poison("stopped");
        let advanced = advancer.join().unwrap();
        assert_eq!(advanced.is_ok(), watermark.current() == 1);
        assert_eq!(watermark.wait_past(0).is_ok(), advanced.is_ok());
    });
}

#[test]
fn a_wait_with_a_timeout_tells_the_truth_either_way() {
    check_model(|| {
        let watermark = Arc::new(Watermark::new(0));
        let waiter = {
            let watermark = Arc::clone(&watermark);
            thread::spawn(move || watermark.wait_past_timeout(0, Duration::from_millis(1)))
        };
        watermark.advance(1).unwrap();
        let outcome = waiter.join().unwrap();
        assert!(outcome == Ok(None) || outcome == Ok(Some(1)), "{outcome:?}");
    });
}
