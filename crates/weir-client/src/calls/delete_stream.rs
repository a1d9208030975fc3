//! `DeleteStream`.

use serde::Serialize;
use weir_wire::kinesis::operation::Operation;

use super::{Call, Empty};

/// Deletes a stream and all its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteStream {
    /// Its name.
    pub stream_name: String,
}

impl Call for DeleteStream {
    const OPERATION: Operation = Operation::DeleteStream;
    const WRITES: bool = true;
    type Answer = Empty;
}
