//! The node as a front end in the same process meets it: questions and answers are parts of one call.
//!
//! `weir serve` hands it to its front end. It is the links' counterpart (`server.rs`) without a queue and a task for each
//! question; how many may be open at once is for the front end to bound. It must never let a serve thread wait for the disk
//! while others are served there.

use std::sync::Arc;

use weir_wire::{
    cell::{CellRequest, LocalNode, ReplyFuture},
    http::server::has_one_caller_here,
};

use crate::node::{CommittedBy, Node};

/// A node to be asked within the process.
#[derive(Debug)]
pub(crate) struct Within(pub(crate) Arc<Node>);

impl LocalNode for Within {
    fn ask(&self, question: CellRequest) -> ReplyFuture {
        let node = Arc::clone(&self.0);
        Box::pin(async move {
            let by = if has_one_caller_here() { CommittedBy::Caller } else { CommittedBy::Committer };
            Some(node.reply(question, by).await)
        })
    }
}
