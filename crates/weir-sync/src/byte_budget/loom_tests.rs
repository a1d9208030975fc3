//! Models of the byte budget: never more lent than there is, and nobody asleep who would fit.

use super::ByteBudget;
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::facade::{Arc, check_model, thread};
use std::time::Duration;

#[test]
fn two_borrowers_never_hold_more_than_the_whole() {
    check_model(|| {
        let budget = ByteBudget::new(3);
        let held = Arc::new(AtomicUsize::new(0));
        let borrowers = [(); 2].map(|()| {
            let (budget, held) = (budget.clone(), Arc::clone(&held));
            thread::spawn(move || {
                if let Some(permit) = budget.try_acquire(2) {
                    let now = held.fetch_add(permit.bytes(), Ordering::Relaxed) + permit.bytes();
                    assert!(now <= budget.total(), "{now} of {} bytes are lent", budget.total());
                    held.fetch_sub(permit.bytes(), Ordering::Relaxed);
                }
            })
        });
        borrowers.into_iter().for_each(|borrower| borrower.join().unwrap());
        assert_eq!(budget.available(), 3);
    });
}

#[test]
fn borrowers_that_wait_all_get_their_turn() {
    check_model(|| {
        let budget = ByteBudget::new(1);
        let borrowers = [(); 2].map(|()| {
            let budget = budget.clone();
            thread::spawn(move || drop(budget.acquire(1).unwrap()))
        });
        borrowers.into_iter().for_each(|borrower| borrower.join().unwrap());
        assert_eq!(budget.available(), 1);
    });
}

#[test]
fn a_return_wakes_the_borrower_that_fits_and_not_only_the_first() {
    check_model(|| {
        let budget = ByteBudget::new(2);
        let mut permit = budget.try_acquire(2).expect("all is available");
        let [large, small] = [2, 1].map(|bytes| {
            let budget = budget.clone();
            thread::spawn(move || drop(budget.acquire(bytes).unwrap()))
        });
        permit.shrink_to(1);
        small.join().unwrap();
        drop(permit);
        large.join().unwrap();
        assert_eq!(budget.available(), 2);
    });
}

#[test]
fn a_borrower_that_gave_up_took_nothing() {
    check_model(|| {
        let budget = ByteBudget::new(1);
        let permit = budget.try_acquire(1).expect("all is available");
        let hasty = {
            let budget = budget.clone();
            thread::spawn(move || budget.acquire_timeout(1, Duration::from_millis(1)).unwrap().is_some())
        };
        drop(permit);
        hasty.join().unwrap();
        assert_eq!(budget.available(), 1);
    });
}
