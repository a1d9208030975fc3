//! `CreateStream`.

use serde::Serialize;
use weir_wire::kinesis::operation::Operation;

use super::{Call, Empty};

/// Creates a stream; it is usable once it is described as ACTIVE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateStream {
    /// Its name.
    pub stream_name: String,
    /// How many shards.
    pub shard_count: u32,
}

impl Call for CreateStream {
    const OPERATION: Operation = Operation::CreateStream;
    const WRITES: bool = true;
    type Answer = Empty;
}
