//! The answer to one write, which is given exactly once whatever happens.
//!
//! Every write carries one. If it is dropped without an answer, because the committer ended in a panic, the caller
//! hears that it may have happened.

use std::fmt;

use crate::error::WriteError;

type Callback<T, E> = Box<dyn FnOnce(Result<T, E>) + Send>;

/// Calls back once.
pub(super) struct Done<T, E: From<WriteError>> {
    callback: Option<Callback<T, E>>,
}

impl<T, E: From<WriteError>> Done<T, E> {
    pub(super) fn new(callback: impl FnOnce(Result<T, E>) + Send + 'static) -> Self {
        Self { callback: Some(Box::new(callback)) }
    }

    pub(super) fn succeed(self, outcome: T) {
        self.answer(Ok(outcome));
    }

    pub(super) fn fail(self, error: E) {
        self.answer(Err(error));
    }

    fn answer(mut self, outcome: Result<T, E>) {
        let callback = self.callback.take().expect("an answer consumes it");
        callback(outcome);
    }
}

impl<T, E: From<WriteError>> Drop for Done<T, E> {
    fn drop(&mut self) {
        if let Some(callback) = self.callback.take() {
            callback(Err(WriteError::OwnerGone.into()));
        }
    }
}

impl<T, E: From<WriteError>> fmt::Debug for Done<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn one_answer_is_given_even_when_nobody_gives_one() {
        let (heard, answers) = sync_channel(4);
        let done = |heard: &std::sync::mpsc::SyncSender<_>| {
            let heard = heard.clone();
            Done::<u32, WriteError>::new(move |outcome| heard.send(outcome).unwrap())
        };
        done(&heard).succeed(7);
        done(&heard).fail(WriteError::Closed);
        drop(done(&heard));
        assert_eq!(answers.recv().unwrap().unwrap(), 7);
        assert!(matches!(answers.recv().unwrap(), Err(WriteError::Closed)));
        assert!(matches!(answers.recv().unwrap(), Err(WriteError::OwnerGone)));
        drop(heard);
        assert!(answers.recv().is_err(), "three writes, three answers");
    }
}
