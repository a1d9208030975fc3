//! Models of the mailbox: no mail beside a sleeping owner, nothing lost but what did not fit, no ring too many.

use super::{Bell, Mailbox};
use crate::facade::{Arc, Condvar, Mutex, check_model, lock, thread, wait_while};

/// An eventfd: a counter that rings raise, and that the owner sleeps on and lowers to zero.
#[derive(Default)]
struct Counter {
    rings: Mutex<u32>,
    rung: Condvar,
}

impl Counter {
    fn sleep_and_lower(&self) -> u32 {
        let rings = wait_while(&self.rung, lock(&self.rings), |rings| *rings == 0);
        std::mem::take(&mut *{ rings })
    }
}

impl Bell for Counter {
    fn ring(&self) {
        *lock(&self.rings) += 1;
        self.rung.notify_all();
    }
}

fn shared(capacity: usize) -> Arc<Mailbox<u32, u32, Counter>> {
    Arc::new(Mailbox::new(capacity, Counter::default()))
}

#[test]
fn no_mail_is_left_beside_an_owner_that_sleeps() {
    check_model(|| {
        let mailbox = shared(2);
        let senders = [1, 2].map(|item| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || assert_eq!(mailbox.send(item), None))
        });
        let mut taken = Vec::new();
        while taken.len() < 2 {
            taken.extend(mailbox.take().items);
            if taken.len() < 2 {
                mailbox.bell().sleep_and_lower();
            }
        }
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn an_owner_that_takes_before_it_sleeps_misses_no_order() {
    check_model(|| {
        let mailbox = shared(1);
        let sender = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                mailbox.send(1);
                mailbox.order(|orders| *orders += 1);
            })
        };
        while mailbox.take().orders == 0 {
            mailbox.bell().sleep_and_lower();
        }
        sender.join().unwrap();
    });
}

#[test]
fn what_does_not_fit_is_handed_back_and_an_order_always_fits() {
    check_model(|| {
        let mailbox = shared(1);
        let senders = [1, 2].map(|item| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                mailbox.order(|orders| *orders += item);
                mailbox.send(item)
            })
        });
        let mut seen: Vec<u32> = senders.into_iter().filter_map(|sender| sender.join().unwrap()).collect();
        let mail = mailbox.take();
        seen.extend(mail.items);
        seen.sort_unstable();
        assert_eq!((seen, mail.orders), (vec![1, 2], 3));
    });
}

#[test]
fn the_bell_rings_once_for_all_that_is_taken_at_once() {
    check_model(|| {
        let mailbox = shared(2);
        let senders = [1, 2].map(|item| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.send(item))
        });
        let early = usize::from(!mailbox.take().items.is_empty());
        senders.into_iter().for_each(|sender| assert_eq!(sender.join().unwrap(), None));
        let late = usize::from(!mailbox.take().items.is_empty());
        assert_eq!(*lock(&mailbox.bell().rings) as usize, early + late);
    });
}
