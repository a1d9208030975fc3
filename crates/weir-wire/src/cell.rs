//! What a front end asks of a node, and what the node answers.
//!
//! One file each for the questions and the answers. Batches travel as blobs, in the layout that is on disk; both ends
//! check them. Within a process they are handed over as they are (`local.rs`). Nothing here is Kinesis's: names,
//! accounts and JSON stay in the front end.

mod local;
mod reply;
mod request;

pub use self::local::{LocalNode, ReplyFuture};
pub use self::reply::{AppendReply, CellError, CellReply, PositionReply, ReadReply, TipReply};
pub use self::request::{CellRequest, Position, ShardAppend};
