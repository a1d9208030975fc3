//! Unit tests of the byte budget on real threads.

use super::{ByteBudget, OverBudget};
use crate::facade::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(1);

#[test]
fn a_permit_takes_its_bytes_and_its_drop_returns_them() {
    let budget = ByteBudget::new(10);
    let permit = budget.try_acquire(7).unwrap();
    assert_eq!((permit.bytes(), budget.available(), budget.total()), (7, 3, 10));
    assert!(budget.try_acquire(4).is_none());
    drop(permit);
    assert_eq!(budget.available(), 10);
    assert!(budget.clone().try_acquire(10).is_some());
}

#[test]
fn a_shrunk_permit_returns_the_surplus_at_once() {
    let budget = ByteBudget::new(10);
    let mut permit = budget.try_acquire(10).unwrap();
    permit.shrink_to(4);
    assert_eq!((permit.bytes(), budget.available()), (4, 6));
    permit.shrink_to(9);
    assert_eq!(permit.bytes(), 4, "a permit does not grow");
    drop(permit);
    assert_eq!(budget.available(), 10);
}

#[test]
fn a_wish_above_the_whole_is_refused_and_does_not_wait() {
    let budget = ByteBudget::new(10);
    let refused = OverBudget { asked: 11, total: 10 };
    assert_eq!(budget.acquire(11).unwrap_err(), refused);
    assert_eq!(budget.acquire_timeout(11, SHORT).unwrap_err(), refused);
    assert!(budget.try_acquire(11).is_none());
    assert_eq!(refused.to_string(), "11 bytes were asked for, and the whole budget is 10");
}

#[test]
fn a_timed_wish_gives_up_without_taking_anything() {
    let budget = ByteBudget::new(10);
    let permit = budget.try_acquire(6).unwrap();
    assert!(budget.acquire_timeout(5, SHORT).unwrap().is_none());
    assert_eq!(budget.available(), 4);
    assert!(budget.acquire_timeout(4, SHORT).unwrap().is_some());
    drop(permit);
}

#[test]
fn many_borrowers_never_hold_more_than_the_whole_and_return_it_all() {
    let budget = ByteBudget::new(100);
    thread::scope(|scope| {
        for bytes in [100, 60, 50, 30, 1] {
            let budget = &budget;
            scope.spawn(move || {
                for _ in 0..2_000 {
                    let permit = budget.acquire(bytes).unwrap();
                    assert!(budget.available() + permit.bytes() <= 100);
                }
            });
        }
    });
    assert_eq!(budget.available(), 100);
}
