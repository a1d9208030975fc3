//! Asking a node without a connection: the same questions and answers, handed over within a call.
//!
//! For a front end and a node in one process. Between them a link would cost three tasks and as many wake-ups for each
//! question, and checksums of bytes that went nowhere; here the node's work is a part of the asking task.

use std::{fmt, future::Future, pin::Pin};

use super::{CellReply, CellRequest};

/// The answer, when it comes; none when there will never be one.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Option<CellReply>> + Send>>;

/// A node in the process of those who ask it.
pub trait LocalNode: fmt::Debug + Send + Sync {
    /// Answers one question. It is taken when the answer is first polled, and questions in the order of that. Dropping the
    /// answer forgets it: an append that was taken goes on, a wait ends.
    fn ask(&self, question: CellRequest) -> ReplyFuture;
}
