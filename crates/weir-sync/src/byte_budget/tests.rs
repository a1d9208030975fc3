//! Unit tests of the byte budget on real threads.

use super::ByteBudget;
use crate::facade::thread;

#[test]
fn a_permit_takes_its_bytes_and_its_drop_returns_them() {
    let budget = ByteBudget::new(10);
    let permit = budget.try_acquire(7).unwrap();
    assert_eq!((permit.bytes(), budget.available()), (7, 3));
    assert!(budget.try_acquire(4).is_none());
    drop(permit);
    assert_eq!(budget.available(), 10);
    assert!(budget.try_acquire(11).is_none());
    assert!(budget.clone().try_acquire(10).is_some());
}

#[test]
fn a_permit_shrinks_always_and_grows_while_there_is_something() {
    let budget = ByteBudget::new(10);
    let mut permit = budget.try_acquire(8).unwrap();
    assert!(permit.try_resize(4));
    assert_eq!((permit.bytes(), budget.available()), (4, 6));
    assert!(permit.try_resize(9));
    assert_eq!((permit.bytes(), budget.available()), (9, 1));
    assert!(!permit.try_resize(11));
    assert_eq!((permit.bytes(), budget.available()), (9, 1), "a refusal changes nothing");
    drop(permit);
    assert_eq!(budget.available(), 10);
}

#[test]
fn many_borrowers_never_hold_more_than_the_whole_and_return_it_all() {
    let budget = ByteBudget::new(100);
    thread::scope(|scope| {
        for bytes in [100, 60, 50, 30, 1] {
            let budget = &budget;
            scope.spawn(move || {
                for _ in 0..2_000 {
                    let Some(permit) = budget.try_acquire(bytes) else { continue };
                    assert!(budget.available() + permit.bytes() <= 100);
                }
            });
        }
    });
    assert_eq!(budget.available(), 100);
}
