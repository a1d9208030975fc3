//! What an answer may take of the memory: large ones are counted before they are made, and until they have gone out.
//!
//! Operations reserve here and give back an [`Answer`]; `server.rs` hands it to the listener with its permit. A client that
//! asks and does not read costs a part of one budget and never more than that. Answers to writes are not counted: they
//! are small, and a write that was done must not be refused its answer.
//!
//! The price: a page's room is held while its node is asked, so that no number of replies at once is more than the budget.
//! Some seventy reads that wait for a silent node hold all of it until their calls end (`NODE_CALL_TIMEOUT`), and reads
//! of other nodes are refused meanwhile.

use bytes::Bytes;
use weir_core::limits::{
    GET_RECORDS_BYTES_MAX, HTTP_ANSWER_RECYCLED_BYTES_MAX, HTTP_ANSWERS_BYTES_MAX, HTTP_EVENTS_BYTES_MAX,
    RECORD_BYTES_LIMIT, RECORD_BYTES_MAX, SUBSCRIPTION_EVENT_BYTES_MAX,
};
use weir_sync::{ByteBudget, byte_budget::Permit};
use weir_wire::{
    http::server::{ResponseBody, held_bytes},
    kinesis::encoded_body::EncodedBody,
};

use crate::error::RequestError;

/// A read takes at most one part in so many of what is free: when memory is short, pages get smaller before calls are
/// refused.
const READ_SHARE: usize = 16;
/// Bytes that most events take at most.
pub(crate) const EVENT_ROOM_BYTES: usize = page_bytes(SUBSCRIPTION_EVENT_BYTES_MAX);
/// Bytes of events that one tenant may hold: half, so that others find the other half.
pub(crate) const TENANT_EVENTS_BYTES_MAX: usize = HTTP_EVENTS_BYTES_MAX / 2;

const _: () = assert!(page_bytes(RECORD_BYTES_LIMIT) < TENANT_EVENTS_BYTES_MAX, "every event has room");
const _: () = assert!(
    page_bytes(RECORD_BYTES_MAX) > HTTP_ANSWER_RECYCLED_BYTES_MAX,
    "whatever recycled memory a page is given, as much was reserved for it"
);

/// What a served call is answered with.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A whole body, and what it holds of the budget.
    Whole {
        /// In the request's encoding; empty where an operation tells nothing.
        body: EncodedBody,
        /// None: it is not counted.
        held: Option<Permit>,
    },
    /// A body that is made while it is read.
    Stream {
        /// What it is.
        content_type: &'static str,
        /// Its parts count themselves.
        body: ResponseBody,
    },
}

/// Room for one event: of all events and of its tenant's.
#[derive(Debug)]
pub(crate) struct EventRoom {
    of_all: Permit,
    of_tenant: Permit,
}

/// The budget of all large answers of a front end.
#[derive(Debug)]
pub(crate) struct AnswerBudget {
    bytes: ByteBudget,
    /// Of events alone.
    events: ByteBudget,
}

impl Default for AnswerBudget {
    fn default() -> Self {
        Self {
            bytes: ByteBudget::new(HTTP_ANSWERS_BYTES_MAX),
            events: ByteBudget::new(HTTP_EVENTS_BYTES_MAX),
        }
    }
}

impl AnswerBudget {
    /// Room for an answer of about `bytes`.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<Permit, RequestError> {
        self.bytes.try_acquire(bytes).ok_or(RequestError::AnswersFull)
    }

    /// Room for a page of at most `records_max` records of so many bytes each, before a node is asked for it; and how many
    /// bytes of records the page may have.
    pub(crate) fn reserve_page(
        &self,
        records_max: usize,
        record_bytes_max: usize,
    ) -> Result<(Permit, usize), RequestError> {
        let share = self.bytes.available() / READ_SHARE / 3 * 2;
        let wanted = records_max.saturating_mul(record_bytes_max).min(GET_RECORDS_BYTES_MAX);
        let records_bytes = wanted.min(share).max(RECORD_BYTES_MAX);
        Ok((self.reserve(page_bytes(records_bytes))?, records_bytes))
    }

    /// Room for one event of a subscription of a tenant, which has its own part of the room: about [`EVENT_ROOM_BYTES`], or
    /// as many as the event is known to take.
    pub(crate) fn reserve_event(&self, tenant: &ByteBudget, bytes: usize) -> Option<EventRoom> {
        let of_tenant = tenant.try_acquire(bytes)?;
        Some(EventRoom { of_all: self.events.try_acquire(bytes)?, of_tenant })
    }

    /// Bytes that are free.
    #[cfg(test)]
    pub(crate) fn available(&self) -> usize {
        self.bytes.available()
    }

    /// Bytes that are free for events.
    #[cfg(test)]
    pub(crate) fn events_available(&self) -> usize {
        self.events.available()
    }

    /// The answer that `permit` was reserved for, now that it is encoded and its size is known.
    pub(crate) fn settle(&self, permit: Permit, body: EncodedBody) -> Result<Answer, RequestError> {
        let permit = resized(permit, body.capacity())?;
        Ok(Answer::Whole { body, held: Some(permit) })
    }
}

impl EventRoom {
    /// The event that the room is for, now that it is made and its size is known; the size, if there is no room for that.
    pub(crate) fn settle(mut self, event: Vec<u8>) -> Result<Bytes, usize> {
        let bytes = event.capacity();
        if self.of_tenant.try_resize(bytes) && self.of_all.try_resize(bytes) {
            Ok(held_bytes(event, self))
        } else {
            Err(bytes)
        }
    }
}

impl From<EncodedBody> for Answer {
    /// An answer that is not counted.
    fn from(body: EncodedBody) -> Self {
        Self::Whole { body, held: None }
    }
}

impl Default for Answer {
    /// That it was done, and nothing more.
    fn default() -> Self {
        EncodedBody::default().into()
    }
}

fn resized(mut permit: Permit, bytes: usize) -> Result<Permit, RequestError> {
    if permit.try_resize(bytes) { Ok(permit) } else { Err(RequestError::AnswersFull) }
}

/// About what a page takes that has so many bytes of records: base64 makes four of three, and the rest is for what stands
/// around them.
const fn page_bytes(records_bytes: usize) -> usize {
    records_bytes / 2 * 3
}

#[cfg(test)]
mod tests {
    use weir_core::limits::GET_RECORDS_COUNT_MAX;

    use super::*;

    #[test]
    fn pages_get_smaller_before_one_is_refused() {
        let answers = AnswerBudget::default();
        let mut pages = Vec::new();
        while let Ok(page) = answers.reserve_page(GET_RECORDS_COUNT_MAX, RECORD_BYTES_MAX) {
            pages.push(page);
        }
        let sizes: Vec<usize> = pages.iter().map(|(_, bytes)| *bytes).collect();
        assert_eq!((sizes[0], sizes[sizes.len() - 1]), (GET_RECORDS_BYTES_MAX, RECORD_BYTES_MAX));
        assert!(sizes.is_sorted_by(|one, next| one >= next), "{sizes:?}");
        assert!(sizes.len() > 60, "{} pages at once", sizes.len());
        drop(pages);
        assert_eq!(answers.available(), HTTP_ANSWERS_BYTES_MAX);
    }

    #[test]
    fn who_asks_for_few_records_takes_no_more_than_they_can_be() {
        let answers = AnswerBudget::default();
        let (permit, bytes) = answers.reserve_page(2, RECORD_BYTES_MAX).unwrap();
        assert_eq!((bytes, permit.bytes()), (2 * RECORD_BYTES_MAX, 3 * RECORD_BYTES_MAX));
        assert_eq!(answers.reserve_page(2, 5 * RECORD_BYTES_MAX).unwrap().1, 10 * RECORD_BYTES_MAX);
    }

    #[test]
    fn an_answer_holds_what_it_is_and_no_longer_what_it_might_have_been() {
        let answers = AnswerBudget::default();
        let (permit, _) = answers.reserve_page(10, RECORD_BYTES_MAX).unwrap();
        let answer = answers.settle(permit, EncodedBody::with_capacity(100)).unwrap();
        assert_eq!(answers.available(), HTTP_ANSWERS_BYTES_MAX - 100);
        drop(answer);
        assert_eq!(answers.available(), HTTP_ANSWERS_BYTES_MAX);
    }

    #[test]
    fn an_answer_that_became_larger_than_there_is_room_is_refused_and_takes_nothing() {
        let answers = AnswerBudget { bytes: ByteBudget::new(10), ..AnswerBudget::default() };
        let permit = answers.reserve(5).unwrap();
        assert!(matches!(
            answers.settle(permit, EncodedBody::with_capacity(100)),
            Err(RequestError::AnswersFull)
        ));
        assert_eq!(answers.available(), 10);
    }

    #[test]
    fn subscribers_that_do_not_read_take_nothing_of_other_answers_nor_of_other_tenants() {
        let answers = AnswerBudget::default();
        let tenants: Vec<_> = (0..3).map(|_| ByteBudget::new(TENANT_EVENTS_BYTES_MAX)).collect();
        let fill = |tenant: &ByteBudget| -> Vec<EventRoom> {
            std::iter::from_fn(|| answers.reserve_event(tenant, EVENT_ROOM_BYTES)).collect()
        };
        let (first, second) = (fill(&tenants[0]), fill(&tenants[1]));
        assert_eq!(first.len(), second.len(), "one takes its half");
        assert!(first.len() > 30, "{} events at once", first.len());
        assert!(fill(&tenants[2]).len() < 2, "what is left of all");
        assert_eq!(answers.available(), HTTP_ANSWERS_BYTES_MAX);
        assert_eq!(
            answers.reserve_page(GET_RECORDS_COUNT_MAX, RECORD_BYTES_MAX).unwrap().1,
            GET_RECORDS_BYTES_MAX
        );
    }

    #[test]
    fn an_event_that_became_too_large_says_what_it_needs_and_gives_back_its_room() {
        let (answers, tenant) = (AnswerBudget::default(), ByteBudget::new(100));
        let room = answers.reserve_event(&tenant, 10).unwrap();
        assert_eq!(room.settle(Vec::with_capacity(101)), Err(101));
        let room = answers.reserve_event(&tenant, 10).unwrap();
        let event = room.settle(vec![7; 100]).unwrap();
        assert_eq!((tenant.available(), answers.events_available()), (0, HTTP_EVENTS_BYTES_MAX - 100));
        drop(event);
        assert_eq!((tenant.available(), answers.events_available()), (100, HTTP_EVENTS_BYTES_MAX));
    }
}
