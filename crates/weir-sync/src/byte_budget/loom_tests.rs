//! Models of the byte budget: never more lent than there is, and every byte comes back.

use super::ByteBudget;
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::facade::{Arc, check_model, thread};

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
                    assert!(now <= budget.pool.total, "{now} of {} bytes are lent", budget.pool.total);
                    held.fetch_sub(permit.bytes(), Ordering::Relaxed);
                }
            })
        });
        borrowers.into_iter().for_each(|borrower| borrower.join().unwrap());
        assert_eq!(budget.available(), 3);
    });
}

#[test]
fn of_two_permits_that_want_the_same_bytes_one_grows() {
    check_model(|| {
        let budget = ByteBudget::new(3);
        let growing = [(); 2].map(|()| {
            let mut permit = budget.try_acquire(1).expect("two of three");
            thread::spawn(move || (permit.try_resize(2), permit))
        });
        let grown = growing.map(|growing| growing.join().unwrap());
        assert_eq!(grown.iter().filter(|(grew, _)| *grew).count(), 1);
        assert_eq!(grown.iter().map(|(_, permit)| permit.bytes()).sum::<usize>(), 3);
        drop(grown);
        assert_eq!(budget.available(), 3);
    });
}

#[test]
fn what_comes_back_at_once_all_comes_back() {
    check_model(|| {
        let budget = ByteBudget::new(4);
        let dropped = budget.try_acquire(1).expect("all is available");
        let mut shrunk = budget.try_acquire(3).expect("the rest is available");
        let returning = thread::spawn(move || drop(dropped));
        assert!(shrunk.try_resize(1), "less is always there");
        returning.join().unwrap();
        assert_eq!(budget.available(), 3);
    });
}
