//! Where a consumer is in one shard, and what to ask for when its iterator is lost: a pure state machine.
//!
//! The consumer tells it of every answer; it never skips a record. A cursor that began at LATEST and has read nothing
//! yet goes back to the time when it first asked, not to a later LATEST.

use weir_core::clock::{Monotonic, WallMs};

use crate::calls::IteratorType;

/// Where to begin in a shard without a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// The oldest record that is kept.
    TrimHorizon,
    /// Behind the newest record.
    Latest,
}

/// One shard's reader.
#[derive(Debug)]
pub(super) struct Cursor {
    /// When it is read next.
    pub(super) due: Monotonic,
    start: StartAt,
    /// The last record that was handed out, or the checkpoint.
    after: Option<String>,
    /// When the first iterator was asked for.
    began: Option<WallMs>,
    iterator: Option<String>,
    at_end: bool,
}

impl Cursor {
    pub(super) fn new(start: StartAt, checkpoint: Option<String>, due: Monotonic) -> Self {
        Self { due, start, after: checkpoint, began: None, iterator: None, at_end: false }
    }

    /// The iterator to read with, if there is one.
    pub(super) fn iterator(&self) -> Option<&str> {
        self.iterator.as_deref()
    }

    /// What to ask an iterator for.
    pub(super) fn place(&self) -> IteratorType {
        match (&self.after, self.start, self.began) {
            (Some(number), _, _) => IteratorType::AfterSequenceNumber { number: number.clone() },
            (None, StartAt::TrimHorizon, _) => IteratorType::TrimHorizon,
            (None, StartAt::Latest, None) => IteratorType::Latest,
            (None, StartAt::Latest, Some(time)) => IteratorType::AtTimestamp { time },
        }
    }

    /// An iterator came; it was asked for at `asked`.
    pub(super) fn begin(&mut self, iterator: String, asked: WallMs) {
        self.iterator = Some(iterator);
        self.began.get_or_insert(asked);
    }

    /// Is the shard closed and read to its end?
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// A batch came: its last record, and the next iterator. Without one, the shard is read to its end.
    pub(super) fn read(&mut self, last: Option<&str>, next: Option<String>) {
        if let Some(last) = last {
            self.after = Some(last.to_owned());
        }
        self.at_end = next.is_none();
        self.iterator = next;
    }

    /// A read failed. An iterator that the service has refused is of no further use; one that merely was not answered
    /// still is.
    pub(super) fn failed(&mut self, code: &str) {
        if matches!(code, "ExpiredIteratorException" | "InvalidArgumentException") {
            self.iterator = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_iterator_is_asked_for_behind_the_last_record() {
        let mut cursor = Cursor::new(StartAt::TrimHorizon, None, Monotonic::ZERO);
        assert_eq!(cursor.place(), IteratorType::TrimHorizon);
        cursor.begin("i1".into(), WallMs(5));
        cursor.read(Some("42"), Some("i2".into()));
        cursor.failed("timeout");
        assert_eq!(cursor.iterator(), Some("i2"), "an iterator outlives a timeout");
        cursor.failed("ExpiredIteratorException");
        assert_eq!(cursor.iterator(), None);
        assert_eq!(cursor.place(), IteratorType::AfterSequenceNumber { number: "42".into() });
    }

    #[test]
    fn latest_stays_where_it_was_first_asked_for() {
        let mut cursor = Cursor::new(StartAt::Latest, None, Monotonic::ZERO);
        assert_eq!(cursor.place(), IteratorType::Latest);
        cursor.begin("i1".into(), WallMs(1_000));
        cursor.read(None, Some("i2".into()));
        cursor.failed("ExpiredIteratorException");
        cursor.begin("i3".into(), WallMs(400_000));
        cursor.failed("ExpiredIteratorException");
        assert_eq!(cursor.place(), IteratorType::AtTimestamp { time: WallMs(1_000) });
    }

    #[test]
    fn a_checkpoint_beats_the_start() {
        let cursor = Cursor::new(StartAt::Latest, Some("7".into()), Monotonic::ZERO);
        assert_eq!(cursor.place(), IteratorType::AfterSequenceNumber { number: "7".into() });
    }
}
