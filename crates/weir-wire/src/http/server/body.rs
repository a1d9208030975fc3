//! Takes request bodies, whole and within bounds.
//!
//! All bodies of a listener share one budget of bytes. A body takes of it what has arrived, not what was announced, so
//! that clients who announce much and send nothing take nothing from the others.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_core::limits::{HTTP_BODY_BYTES_MAX, HTTP_DISCARD_BYTES_MAX, KIB};

use super::Refusal;

/// Bytes are counted in units of this many: a semaphore counts 32 bits of permits.
const UNIT_BYTES: usize = KIB;

/// Bytes that the bodies of a listener may have together.
#[derive(Debug, Clone)]
pub(super) struct BodyBudget {
    units: Arc<Semaphore>,
}

/// A body's part of the budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    budget: BodyBudget,
    held: Option<OwnedSemaphorePermit>,
}

impl BodyBudget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { units: Arc::new(Semaphore::new(bytes / UNIT_BYTES)) }
    }

    /// The whole body and its part of the budget, or why not. What is left unread stays in `body`.
    pub(super) async fn take(&self, body: &mut Incoming) -> Result<(Bytes, Reserved), Refusal> {
        let announced = body.size_hint().upper();
        if announced.is_some_and(|bytes| bytes > HTTP_BODY_BYTES_MAX as u64) {
            return Err(Refusal::BodyTooLarge);
        }
        let mut reserved = Reserved { budget: self.clone(), held: None };
        let Some(first) = next_part(body).await? else { return Ok((Bytes::new(), reserved)) };
        reserved.grow_to(first.len())?;
        if body.is_end_stream() {
            return Ok((first, reserved)); // it came in one piece: nothing is copied
        }
        // A client that has begun will most likely go on: room for all that it announced, which stays untouched, and so
        // unused, until it arrives.
        let capacity = announced.map_or(first.len() * 2, |bytes| bytes as usize).min(HTTP_BODY_BYTES_MAX);
        let mut whole = BytesMut::with_capacity(capacity);
        whole.extend_from_slice(&first);
        while let Some(part) = next_part(body).await? {
            reserved.grow_to(whole.len() + part.len())?;
            whole.extend_from_slice(&part);
        }
        Ok((whole.freeze(), reserved))
    }
}

impl Reserved {
    fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes > HTTP_BODY_BYTES_MAX {
            return Err(Refusal::BodyTooLarge);
        }
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(UNIT_BYTES).saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).expect("bodies are bounded");
        let units = Arc::clone(&self.budget.units);
        let permit = units.try_acquire_many_owned(more).map_err(|_| Refusal::Busy)?;
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        Ok(())
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
