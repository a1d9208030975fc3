//! `ListStreams`.

use serde::{Deserialize, Serialize};
use weir_wire::kinesis::operation::Operation;

use super::Call;

/// Asks for a page of the account's streams.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListStreams {
    /// Streams at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only names after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive_start_stream_name: Option<String>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListStreamsAnswer {
    /// Names, in order.
    pub stream_names: Vec<String>,
    /// Are there more, after the last one?
    pub has_more_streams: bool,
}

impl Call for ListStreams {
    const OPERATION: Operation = Operation::ListStreams;
    const WRITES: bool = false;
    type Answer = ListStreamsAnswer;
}
