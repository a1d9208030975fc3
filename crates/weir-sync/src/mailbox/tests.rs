//! Unit tests of the mailbox: what is kept, what is handed back, when it rings.

use super::{Bell, Mail, Mailbox};
use crate::facade::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
struct Rings(AtomicUsize);

impl Bell for Rings {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn mailbox(capacity: usize) -> Mailbox<u32, Option<u32>, Rings> {
    Mailbox::new(capacity, Rings::default())
}

fn rings(mailbox: &Mailbox<u32, Option<u32>, Rings>) -> usize {
    mailbox.bell().0.load(Ordering::Relaxed)
}

#[test]
fn an_owner_that_does_not_come_loses_the_oldest_items_and_no_order() {
    let mailbox = mailbox(2);
    mailbox.order(|orders| *orders = Some(7));
    assert_eq!([1, 2, 3, 4].map(|item| mailbox.send(item)), [None, None, Some(1), Some(2)]);
    assert_eq!(mailbox.take(), Mail { items: [3, 4].into(), orders: Some(7) });
    assert_eq!(mailbox.take(), Mail::default());
}

#[test]
fn the_first_that_is_left_rings_and_the_next_do_not() {
    let mailbox = mailbox(2);
    mailbox.send(1);
    mailbox.order(|orders| *orders = Some(1));
    assert_eq!(rings(&mailbox), 1);
    mailbox.take();
    assert_eq!(rings(&mailbox), 1);
    mailbox.order(|_| {});
    assert_eq!(rings(&mailbox), 2, "an order that changes nothing is an order");
}

#[test]
#[should_panic(expected = "without room for one item")]
fn a_mailbox_without_room_is_refused() {
    drop(mailbox(0));
}
