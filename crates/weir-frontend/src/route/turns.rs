//! Whose turn it is in the streams that spread their records over their shards.
//!
//! Each stream has a turn of its own: were it one for all, two streams that are fed in step would each use half of their
//! shards. Asked by puts to such streams; others have none. Each front end counts for itself.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use weir_core::id::StreamId;

/// Streams whose turns are kept, before those are forgotten that no put is using.
const TURNS_KEPT: usize = 1_024;

/// The turns of all streams.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    streams: HashMap<StreamId, Arc<AtomicUsize>>,
    /// How often turns were forgotten: where those that come again begin, so that no stream gets its first shard each time.
    forgotten: usize,
}

/// The turn of one stream.
#[derive(Debug, Clone)]
pub(crate) struct Turn(Arc<AtomicUsize>);

impl Turns {
    /// The turn of a stream.
    pub(crate) fn of(&self, stream: StreamId) -> Turn {
        let mut kept = self.kept.lock();
        if kept.streams.len() >= TURNS_KEPT && !kept.streams.contains_key(&stream) {
            kept.streams.retain(|_, turn| Arc::strong_count(turn) > 1);
            kept.forgotten += 1;
        }
        let begin = kept.forgotten;
        Turn(Arc::clone(kept.streams.entry(stream).or_insert_with(|| Arc::new(AtomicUsize::new(begin)))))
    }
}

impl Turn {
    /// Takes it, for one record.
    pub(super) fn take(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// Whose it is, for nobody yet.
    pub(super) fn look(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_are_fed_in_step_have_each_its_own_turn() {
        let turns = Turns::default();
        let taken = |stream| turns.of(StreamId(stream)).take();
        assert_eq!([taken(1), taken(2), taken(1), taken(2)], [0, 0, 1, 1]);
        assert_eq!((turns.of(StreamId(1)).look(), taken(1)), (2, 2), "a look takes nothing");
    }

    #[test]
    fn turns_of_streams_that_are_gone_do_not_pile_up() {
        let turns = Turns::default();
        let used = turns.of(StreamId(0));
        for stream in 0..3 * TURNS_KEPT as u64 {
            used.take();
            turns.of(StreamId(stream));
            assert!(turns.kept.lock().streams.len() <= TURNS_KEPT);
        }
        assert_eq!(turns.of(StreamId(0)).look(), used.look(), "one that is in use is kept");
        assert!(turns.of(StreamId(1)).look() > 0, "one that was forgotten begins elsewhere");
    }
}
