//! Acknowledgements on their way from the committer to the runtimes that wait for them.
//!
//! The committer answers a whole group at once, most often from a thread of its own. A task that is woken from another
//! thread costs that thread a system call; here only the first of a group is on each thread that asked: the others lie in
//! the channel when its task looks. It must never hold the committer up.

use std::cell::RefCell;

use tokio::{
    runtime::{self, Handle},
    sync::mpsc,
};
use weir_core::limits::COMMIT_QUEUE_ITEMS_MAX;
use weir_log::{AppendError, AppendOutcome};
use weir_sync::completion::Completer;

/// What became of an append.
pub(crate) type Appended = Result<AppendOutcome, AppendError>;

/// Acknowledgements taken in one go.
const TAKEN_MAX: usize = 1_024;

/// An acknowledgement, and who waits for it.
#[derive(Debug)]
struct Acknowledged {
    waiter: Completer<Appended>,
    outcome: Appended,
}

/// The committer's end.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledgements {
    to_deliver: mpsc::Sender<Acknowledged>,
}

thread_local! {
    /// Those of the runtime that this thread drove when it last asked.
    static HERE: RefCell<Option<(Option<runtime::Id>, Acknowledgements)>> = const { RefCell::new(None) };
}

impl Acknowledgements {
    /// To whoever waits on the current runtime: the same for all of them, while the thread drives no other.
    pub(crate) fn here() -> Self {
        let runtime = Handle::try_current().ok().map(|runtime| runtime.id());
        HERE.with_borrow_mut(|here| match here {
            Some((of, kept)) if *of == runtime => kept.clone(),
            other => other.insert((runtime, Self::start())).1.clone(),
        })
    }

    /// Delivers on the current runtime until this and its clones are gone; without one, whoever waits is told where the
    /// outcome is known. As many may wait as appends can: more are never under way.
    fn start() -> Self {
        let (to_deliver, mut arrived) = mpsc::channel::<Acknowledged>(COMMIT_QUEUE_ITEMS_MAX);
        let Ok(runtime) = Handle::try_current() else { return Self { to_deliver } };
        runtime.spawn(async move {
            let mut taken = Vec::new();
            while arrived.recv_many(&mut taken, TAKEN_MAX).await > 0 {
                taken.drain(..).for_each(|Acknowledged { waiter, outcome }| waiter.complete(outcome));
            }
        });
        Self { to_deliver }
    }

    /// Has `waiter` told. Never waits: without room, or with nobody left to deliver it, it is told here.
    pub(crate) fn deliver(&self, waiter: Completer<Appended>, outcome: Appended) {
        if let Err(refused) = self.to_deliver.try_send(Acknowledged { waiter, outcome }) {
            let Acknowledged { waiter, outcome } = refused.into_inner();
            waiter.complete(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_core::clock::WallMs;
    use weir_sync::completion;

    use super::*;

    fn outcome(first: u64) -> Appended {
        Ok(AppendOutcome { first, count: 1, arrived: WallMs(1) })
    }

    #[tokio::test]
    async fn everybody_is_told_also_beyond_the_room_and_in_any_number() {
        let acknowledgements = Acknowledgements::start();
        let waits: Vec<_> = (0..COMMIT_QUEUE_ITEMS_MAX as u64 + 10)
            .map(|first| {
                let (waiter, wait) = completion();
                acknowledgements.deliver(waiter, outcome(first)); // nobody takes any before the first await below
                wait
            })
            .collect();
        for (first, wait) in waits.into_iter().enumerate() {
            assert_eq!(wait.await.unwrap().unwrap().first, first as u64);
        }
    }

    #[test]
    fn whoever_waits_is_told_when_the_runtime_is_gone() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let acknowledgements = runtime.block_on(async { Acknowledgements::start() });
        drop(runtime);
        let (waiter, wait) = completion();
        acknowledgements.deliver(waiter, outcome(7));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(wait).unwrap().unwrap().first, 7);
    }
}
