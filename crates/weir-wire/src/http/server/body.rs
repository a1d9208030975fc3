//! Takes request bodies, whole and within bounds.
//!
//! All bodies of a listener share one budget of bytes. A body takes of it what has arrived, not what was announced, so
//! that clients who announce much and send nothing take nothing from the others. Where the handler wants a body's hash, for
//! its signature, it is taken here, part by part.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use weir_core::limits::{HTTP_BODY_BYTES_MAX, HTTP_DISCARD_BYTES_MAX};
use weir_sync::{ByteBudget, byte_budget::Permit};

use super::Refusal;
use crate::sigv4::{BodyHash, BodyHasher};

/// A body that came whole.
pub(super) struct Taken {
    pub(super) whole: Bytes,
    /// Its hash, if it was wanted and the first part was not known to be the last.
    pub(super) hash: Option<BodyHash>,
    /// Its part of the budget, given back when it is dropped.
    pub(super) reserved: Permit,
}

/// The whole body, or why not. What is left unread stays in `body`. `wants_hash` is asked when more than the first part may
/// come.
pub(super) async fn take(
    budget: &ByteBudget,
    body: &mut Incoming,
    wants_hash: impl FnOnce() -> bool,
) -> Result<Taken, Refusal> {
    let announced = body.size_hint().upper();
    if is_too_large(body) {
        return Err(Refusal::BodyTooLarge);
    }
    let mut permit = budget.try_acquire(0).expect("nothing is always there");
    let taken = |whole, hash, reserved| Ok(Taken { whole, hash, reserved });
    let Some(first) = next_part(body).await? else { return taken(Bytes::new(), None, permit) };
    grow(&mut permit, first.len())?;
    if body.is_end_stream() {
        return taken(first, None, permit); // it came in one piece: nothing is copied
    }
    let mut hasher = wants_hash().then(BodyHasher::default);
    // A client that has begun will most likely go on: room for all that it announced, which stays untouched, and so
    // unused, until it arrives.
    let capacity = announced.map_or(first.len() * 2, |bytes| bytes as usize).min(HTTP_BODY_BYTES_MAX);
    let mut whole = BytesMut::with_capacity(capacity);
    let mut next = Some(first);
    while let Some(part) = next {
        grow(&mut permit, whole.len() + part.len())?;
        whole.extend_from_slice(&part);
        if let Some(hasher) = &mut hasher {
            hasher.update(&part);
        }
        next = next_part(body).await?;
    }
    taken(whole.freeze(), hasher.map(BodyHasher::finish), permit)
}

/// It is announced to be longer than any body may be, so nothing of it is read.
pub(super) fn is_too_large(body: &Incoming) -> bool {
    body.size_hint().upper().is_some_and(|bytes| bytes > HTTP_BODY_BYTES_MAX as u64)
}

fn grow(permit: &mut Permit, bytes: usize) -> Result<(), Refusal> {
    if bytes > HTTP_BODY_BYTES_MAX {
        Err(Refusal::BodyTooLarge)
    } else if permit.try_resize(bytes) {
        Ok(())
    } else {
        Err(Refusal::Busy)
    }
}

/// Reads on and throws away, up to a bound: a client that sends all before it listens would else be cut off in the middle
/// of sending and never hear why.
pub(super) async fn discard(body: &mut Incoming) {
    let mut seen = 0;
    while let Ok(Some(part)) = next_part(body).await {
        seen += part.len();
        if seen > HTTP_DISCARD_BYTES_MAX {
            return;
        }
    }
}

/// The next bytes; trailers are passed over.
async fn next_part(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Refusal::BodyBroken),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}
