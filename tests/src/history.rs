//! What the clients of a run did and heard, in the order in which it happened, and whether the service kept its word.
//!
//! Clients (`witness.rs`) write an event before they send and another when they have heard. So what ended above another's
//! beginning was over before that began, whatever the clocks say; what overlaps may have happened in either order.
//! [`History::faults`] judges all that was written: it asks no server, and it must never count what a client cannot know as
//! a promise.

mod puts;
mod reads;
mod streams;
mod told;

use std::{
    cmp::Ordering,
    fmt,
    sync::{Mutex, MutexGuard},
};

use self::told::Told;

/// An event's place in the history. A call is known by the place of its beginning.
pub type At = usize;

/// A sequence number; ordered as the number that it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sequence(pub String);

impl Ord for Sequence {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0)) // without leading zeros
    }
}

impl PartialOrd for Sequence {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A shard of a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardName {
    /// The stream.
    pub stream: String,
    /// The shard's id.
    pub shard: String,
}

impl fmt::Display for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.shard, self.stream)
    }
}

/// One attempt to put one record. A client that tries again writes another with the same data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The stream.
    pub stream: String,
    /// The partition key.
    pub key: String,
    /// The data, which no other record of the stream has.
    pub data: String,
    /// `SequenceNumberForOrdering`.
    pub after: Option<Sequence>,
}

/// What a client knows of an attempt once it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged.
    Stored {
        /// The shard's id.
        shard: String,
        /// The record's number.
        sequence: Sequence,
    },
    /// It was refused: nothing was written.
    Refused,
    /// It may have happened.
    Unknown,
}

/// Where an iterator or a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record.
    TrimHorizon,
    /// Behind the newest one.
    Latest,
    /// With this one.
    At(Sequence),
    /// Behind this one.
    After(Sequence),
    /// With the first that arrived then or later, in milliseconds since 1970.
    Time(u64),
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Its number.
    pub sequence: Sequence,
    /// Its partition key.
    pub key: String,
    /// Its data.
    pub data: String,
    /// When it arrived, in milliseconds since 1970.
    pub arrived_ms: u64,
}

/// What a page said beside its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// There may be more.
    More,
    /// There may be more, and there was nothing behind it when it was made.
    Tip,
    /// The shard ends with it: its children, with their parents.
    End(Vec<ShardTold>),
}

/// A shard as the service tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardTold {
    /// Its id.
    pub shard: String,
    /// Its parents' ids: none, one or two.
    pub parents: Vec<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A record is about to be sent.
    Put(Put),
    /// What became of it.
    PutEnded {
        /// The attempt.
        put: At,
        /// What is known.
        outcome: Outcome,
    },
    /// An iterator is about to be asked for.
    Iterator {
        /// Who will read with it. One reader reads each shard once, and children after their parents.
        reader: u64,
        /// The shard.
        shard: ShardName,
        /// Where it is to begin.
        start: Start,
    },
    /// It is there.
    IteratorEnded {
        /// The iterator.
        iterator: At,
    },
    /// A page is about to be asked for.
    Page {
        /// The iterator that is used, or the page whose next one it is.
        from: At,
    },
    /// It is there.
    PageEnded {
        /// The page.
        page: At,
        /// Its records, in its order.
        records: Vec<Read>,
        /// What follows it.
        next: Next,
    },
    /// The service has told a stream's shards.
    Shards {
        /// The stream.
        stream: String,
        /// All of them.
        shards: Vec<ShardTold>,
    },
    /// A stream is about to be created.
    Create(String),
    /// A stream is about to be deleted.
    Delete(String),
    /// The creation or the deletion was acknowledged. One that was not may have happened.
    Done {
        /// The creation or the deletion.
        call: At,
    },
    /// Somebody is about to look whether a stream is there.
    Look(String),
    /// What was seen.
    Looked {
        /// The look.
        look: At,
        /// It is there, and not being deleted.
        there: bool,
    },
    /// These servers were killed.
    Killed(String),
}

/// A history that is being written, by any number of clients.
#[derive(Debug, Default)]
pub struct History {
    events: Mutex<Vec<Event>>,
}

impl History {
    /// Writes an event; its place.
    pub fn write(&self, event: Event) -> At {
        let mut events = self.events();
        events.push(event);
        events.len() - 1
    }

    /// Writes events that begin together; the place of the first, and the others follow.
    pub fn write_all(&self, more: impl IntoIterator<Item = Event>) -> At {
        let mut events = self.events();
        let first = events.len();
        events.extend(more);
        first
    }

    /// The place of the next event.
    pub fn now(&self) -> At {
        self.events().len()
    }

    /// Records that were read, each time.
    pub fn records_read(&self) -> usize {
        let read = |event: &Event| match event {
            Event::PageEnded { records, .. } => records.len(),
            _ => 0,
        };
        self.events().iter().map(read).sum()
    }

    /// What was promised and not kept, each in a sentence. Everything that was acknowledged before `settled` has been read
    /// since, if it is there to be read.
    pub fn faults(&self, settled: At) -> Vec<String> {
        let events = self.events();
        let told = Told::of(&events);
        let mut faults = told.faults.clone();
        puts::judge(&told, settled, &mut faults);
        reads::judge(&told, &mut faults);
        streams::judge(&events, &mut faults);
        faults
    }

    fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().expect("no client panics while it writes")
    }
}

#[cfg(test)]
mod tests;
