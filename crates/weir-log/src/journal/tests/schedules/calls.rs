//! One write as it is asked of the journal, and what is heard of it.
//!
//! What the verbs answer, said in one way, so that the world can judge all of them.

use super::{model::Op, *};

/// The longest that an answer may take: who waits longer was forgotten.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The answer to a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Done(Told),
    Refused { why: Why, effect: Effect, text: String },
}

impl Heard {
    /// Was nothing ever written of it?
    pub(super) fn is_without_effect(&self) -> bool {
        matches!(self, Self::Refused { effect: Effect::None, .. })
    }
}

/// What an acknowledgement says besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The number of the first record.
    First(u64),
    /// Where the shard ends.
    End(u64),
    Nothing,
}

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    NoShard,
    Ended,
    Stale,
    TooLarge,
    Busy,
    NoRoom,
    Storage,
    Stopped,
    Closed,
    /// Never to be heard here: damage, a dead committer, too many shards.
    Never,
}

/// A write that was asked for.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) op: Op,
    answer: Receiver<Heard>,
}

impl Call {
    /// Asks for `op`; `answered` is called with the answer.
    pub(super) fn begin(journal: &Journal, op: Op, answered: impl FnOnce() + Send + 'static) -> Self {
        Self::begin_with(journal, op, answered, Journal::append)
    }

    /// Asks for `op` where nothing else is asked for: what is appended is committed here, if it can be.
    pub(super) fn begin_here(journal: &Journal, op: Op) -> Self {
        Self::begin_with(journal, op, || (), |journal, append| journal.append_here(vec![append]))
    }

    fn begin_with(
        journal: &Journal,
        op: Op,
        answered: impl FnOnce() + Send + 'static,
        append: impl FnOnce(&Journal, Append),
    ) -> Self {
        let (told, answer) = sync_channel(1);
        let tell = move |heard| {
            drop(told.send(heard)); // nobody listens any more to a journal that was killed
            answered();
        };
        match &op {
            Op::Open { key, epoch, .. } => {
                journal.open_shard(owned(*key, *epoch), move |outcome| tell(of_opening(outcome)));
            }
            Op::Append { key, texts } => {
                let texts: Vec<_> = texts.iter().map(String::as_str).collect();
                append(journal, Append::new(*key, batch(&texts), move |outcome| tell(of_append(outcome))));
            }
            Op::Close { key } => journal.close_shard(*key, move |outcome| tell(of_closing(outcome))),
            Op::Delete { key } => journal.delete_shard(*key, move |outcome| tell(of_deletion(outcome))),
        }
        Self { op, answer }
    }

    /// Waits for the answer, which comes whatever happens.
    pub(super) fn heard(&self) -> Heard {
        let heard = self.answer.recv_timeout(ANSWER_MAX);
        heard.unwrap_or_else(|_| panic!("no answer to {:?} in {ANSWER_MAX:?}", self.op))
    }

    /// The answer, if it is there.
    pub(super) fn heard_so_far(&self) -> Option<Heard> {
        self.answer.try_recv().ok()
    }
}

fn of_append(outcome: Result<AppendOutcome, AppendError>) -> Heard {
    let refused = |error: AppendError| {
        let why = match &error {
            AppendError::NoShard { .. } => Why::NoShard,
            AppendError::Closed { .. } => Why::Ended,
            AppendError::Damaged(_) => Why::Never,
            AppendError::Write(error) => of_write(error),
        };
        Heard::Refused { why, effect: error.effect(), text: error.to_string() }
    };
    outcome.map_or_else(refused, |appended| Heard::Done(Told::First(appended.first)))
}

fn of_opening(outcome: Result<(), OpenShardError>) -> Heard {
    let refused = |error: OpenShardError| {
        let why = match &error {
            OpenShardError::StaleEpoch { .. } => Why::Stale,
            OpenShardError::TooMany { .. } => Why::Never,
            OpenShardError::Write(error) => of_write(error),
        };
        Heard::Refused { why, effect: error.effect(), text: error.to_string() }
    };
    outcome.map_or_else(refused, |()| Heard::Done(Told::Nothing))
}

fn of_closing(outcome: Result<ClosedShard, CloseShardError>) -> Heard {
    let refused = |error: CloseShardError| {
        let why = match &error {
            CloseShardError::NoShard { .. } => Why::NoShard,
            CloseShardError::Write(error) => of_write(error),
        };
        Heard::Refused { why, effect: error.effect(), text: error.to_string() }
    };
    outcome.map_or_else(refused, |closed| Heard::Done(Told::End(closed.end)))
}

fn of_deletion(outcome: Result<(), DeleteShardError>) -> Heard {
    let refused = |error: DeleteShardError| {
        let why = match &error {
            DeleteShardError::NoShard { .. } => Why::NoShard,
            DeleteShardError::Write(error) => of_write(error),
        };
        Heard::Refused { why, effect: error.effect(), text: error.to_string() }
    };
    outcome.map_or_else(refused, |()| Heard::Done(Told::Nothing))
}

pub(super) fn of_write(error: &WriteError) -> Why {
    match error {
        WriteError::Busy { .. } => Why::Busy,
        WriteError::NoRoom(_) | WriteError::NoSegment(_) => Why::NoRoom,
        WriteError::Storage(_) => Why::Storage,
        WriteError::Stopped(_) => Why::Stopped,
        WriteError::Closed => Why::Closed,
        WriteError::TooLarge { .. } => Why::TooLarge,
        WriteError::OwnerGone => Why::Never,
    }
}
