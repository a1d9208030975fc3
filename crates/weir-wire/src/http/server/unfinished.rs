//! A head that has begun to arrive and has no end yet.
//!
//! A connection has one at a time (`exchanges.rs`); who reads it says what comes (`heads.rs`). A head of usual size is the
//! connection's own. What comes beyond, many clients together could make the server hold for as long as a head may take,
//! so it comes out of a budget that long heads have together. It must hold nothing of that once the request has begun:
//! then the head is counted as it was understood (`connection.rs`), and the body for itself.

use weir_core::limits::{HTTP_HEAD_BYTES_FREE, HTTP_HEADER_BYTES_MAX};
use weir_sync::{ByteBudget, byte_budget::Permit};

/// Bytes that a connection keeps for each byte of an unfinished head: its buffer grows by doubling.
const BYTES_KEPT: usize = 2;

/// What has come of it.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    bytes: usize,
    beyond: Option<Permit>,
}

impl Unfinished {
    /// So many bytes more have come.
    pub(super) fn add(&mut self, bytes: usize) {
        // No more of a head is kept, and what else comes without a request (frames that control) is not kept at all.
        self.bytes = (self.bytes + bytes).min(HTTP_HEADER_BYTES_MAX);
    }

    /// It is read on, so what has come was not all: whether there is room for that in `budget`.
    #[must_use]
    pub(super) fn is_kept_within(&mut self, budget: &ByteBudget) -> bool {
        let beyond = BYTES_KEPT * self.bytes.saturating_sub(HTTP_HEAD_BYTES_FREE);
        match &mut self.beyond {
            Some(permit) => permit.try_resize(beyond),
            None if beyond == 0 => true,
            none => {
                *none = budget.try_acquire(beyond);
                none.is_some()
            }
        }
    }
}
