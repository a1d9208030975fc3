//! What a node counts, under names that docs/METRICS.md lists.
//!
//! Filled by the node and by the journal's own counters, read by the admin listener. No label names a stream.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use weir_log::JournalMetrics;
use weir_wire::cell::{CellError, CellReply};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    question: Question,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Question {
    Append,
    Read,
    Position,
    Await,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Outcome {
    Done,
    NotOwner,
    Closed,
    Busy,
    Failed,
}

type GaugeF64 = Gauge<f64, AtomicU64>;

/// The counts of one node.
#[derive(Debug, Default)]
pub struct NodeMetrics {
    answers: Family<AnswerLabels, Counter>,
    shards: Gauge,
    queue_writes: Gauge,
    queue_bytes: Gauge,
    groups: Gauge,
    groups_by_caller: Gauge,
    groups_overlapped: Gauge,
    appends: Gauge,
    records: Gauge,
    syncs: Gauge,
    sync_seconds: GaugeF64,
    written_bytes: Gauge,
    read_bytes: Gauge,
    rewritten_bytes: Gauge,
    rewritten_segments: Gauge,
    segments: Gauge,
    leaving_bytes: Gauge,
    stopped: Gauge,
    full: Gauge,
}

impl NodeMetrics {
    /// Registers every name.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("weir_node_answers", "Answers by question and outcome", self.answers.clone());
        registry.register("weir_node_shards", "Shards that the journal holds", self.shards.clone());
        registry.register(
            "weir_node_queue_writes",
            "Writes waiting for the committer",
            self.queue_writes.clone(),
        );
        registry.register_with_unit(
            "weir_node_queue",
            "Bytes waiting",
            Unit::Bytes,
            self.queue_bytes.clone(),
        );
        registry.register("weir_node_commit_groups", "Group commits since the start", self.groups.clone());
        registry.register(
            "weir_node_commit_groups_by_caller",
            "Group commits on the thread of a caller who was alone",
            self.groups_by_caller.clone(),
        );
        registry.register(
            "weir_node_commit_groups_overlapped",
            "Group commits written while the one before them was synced",
            self.groups_overlapped.clone(),
        );
        registry.register("weir_node_appends", "Batches appended since the start", self.appends.clone());
        registry.register("weir_node_records", "Records appended since the start", self.records.clone());
        registry.register("weir_node_syncs", "Syncs since the start", self.syncs.clone());
        registry.register_with_unit(
            "weir_node_sync",
            "Time in syncs since the start",
            Unit::Seconds,
            self.sync_seconds.clone(),
        );
        registry.register_with_unit(
            "weir_node_written",
            "Bytes written since the start",
            Unit::Bytes,
            self.written_bytes.clone(),
        );
        registry.register_with_unit(
            "weir_node_read",
            "Bytes read since the start",
            Unit::Bytes,
            self.read_bytes.clone(),
        );
        registry.register_with_unit(
            "weir_node_rewritten",
            "Bytes of rewritten segments since the start",
            Unit::Bytes,
            self.rewritten_bytes.clone(),
        );
        registry.register(
            "weir_node_rewritten_segments",
            "Segments that rewritten ones took the place of since the start",
            self.rewritten_segments.clone(),
        );
        registry.register("weir_node_segments", "Segments in use", self.segments.clone());
        registry.register_with_unit(
            "weir_node_leaving",
            "Bytes of removed segments that are not given back to the disk yet",
            Unit::Bytes,
            self.leaving_bytes.clone(),
        );
        registry.register("weir_node_log_stopped", "1 after a failed write or sync", self.stopped.clone());
        registry.register("weir_node_log_full", "1 while the next segment has no room", self.full.clone());
    }

    pub(crate) fn answered(&self, reply: &CellReply) {
        let count = |question, outcome, times| {
            self.answers.get_or_create(&AnswerLabels { question, outcome }).inc_by(times);
        };
        match reply {
            CellReply::Append(results) => {
                for result in results {
                    count(
                        Question::Append,
                        result.as_ref().map_or_else(|error| outcome(*error), |_| Outcome::Done),
                        1,
                    );
                }
            }
            CellReply::Read(_) => count(Question::Read, Outcome::Done, 1),
            CellReply::Position(_) => count(Question::Position, Outcome::Done, 1),
            CellReply::Tip(_) => count(Question::Await, Outcome::Done, 1),
            CellReply::Failed(error) => count(Question::Other, outcome(*error), 1),
        }
    }

    pub(crate) fn watch(&self, journal: JournalMetrics) {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.shards.set(signed(journal.shards));
        self.queue_writes.set(signed(journal.queue_items));
        self.queue_bytes.set(signed(journal.queue_bytes));
        self.groups.set(signed(journal.groups));
        self.groups_by_caller.set(signed(journal.groups_by_caller));
        self.groups_overlapped.set(signed(journal.groups_overlapped));
        self.appends.set(signed(journal.appends));
        self.records.set(signed(journal.records));
        self.syncs.set(signed(journal.syncs));
        self.sync_seconds.set(journal.sync_time.as_secs_f64());
        self.written_bytes.set(signed(journal.written_bytes));
        self.read_bytes.set(signed(journal.read_bytes));
        self.rewritten_bytes.set(signed(journal.rewritten_bytes));
        self.rewritten_segments.set(signed(journal.rewritten_segments));
        self.segments.set(signed(journal.segments));
        self.leaving_bytes.set(signed(journal.leaving_bytes));
        self.stopped.set(i64::from(journal.stopped));
        self.full.set(i64::from(journal.full));
    }
}

fn outcome(error: CellError) -> Outcome {
    match error {
        CellError::NotOwner => Outcome::NotOwner,
        CellError::Closed => Outcome::Closed,
        CellError::Busy => Outcome::Busy,
        CellError::Storage
        | CellError::LogUnavailable
        | CellError::Malformed
        | CellError::Stopping
        | CellError::Full => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_names_exactly_these_metrics() {
        let metrics = NodeMetrics::default();
        metrics.answered(&CellReply::Failed(CellError::Busy)); // a family without members shows nothing
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let shown: BTreeSet<&str> = samples.filter_map(|line| line.split([' ', '{']).next()).collect();
        let document = include_str!("../../../docs/METRICS.md");
        let section = document.split("\n## ").find(|section| section.starts_with("Back-end node"));
        let section = section.expect("docs/METRICS.md has a section of its own for them");
        let documented: BTreeSet<&str> =
            section.split('`').filter(|word| word.starts_with("weir_node_")).collect();
        assert_eq!(documented, shown);
    }
}
