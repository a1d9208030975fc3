//! What the process's exit code means. Scripts depend on these numbers; they never change.

use std::{
    io::{self, ErrorKind},
    process::ExitCode,
};

use crate::say;

/// Everything asked for was done; in a run, every expectation held.
pub(crate) const HELD: u8 = 0;
/// It was done, but something expected did not hold.
pub(crate) const NOT_HELD: u8 = 1;
/// The command line or a file it names is wrong. (clap uses the same number where it speaks itself: help unasked for.)
pub(crate) const USAGE: u8 = 2;
/// This host cannot run it; the message says what to change.
pub(crate) const ENVIRONMENT: u8 = 3;

/// Why a command ended early, and with which code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// The user can mend it by changing what was asked.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: USAGE, error: error.into() }
    }

    /// The host must change first.
    pub(crate) fn environment(error: impl Into<anyhow::Error>) -> Self {
        Self { code: ENVIRONMENT, error: error.into() }
    }

    /// What a server keeps in its data folder could not be used. A path that cannot be such a folder is a wrong command
    /// line; anything else that the kernel refused (no room, a broken disk, a folder in use) is the host's.
    pub(crate) fn folder(error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        let refused = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
        match refused.map(io::Error::kind) {
            Some(
                ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::AlreadyExists
                | ErrorKind::PermissionDenied,
            ) => Self::usage(error),
            _ => Self::environment(error),
        }
    }
}

/// Anything else: it was tried and did not work.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: NOT_HELD, error: error.into() }
    }
}

/// A command's outcome as the process's.
pub(crate) fn code(outcome: Result<u8, Failure>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            say::aside(format_args!("weir: {}", sentence(&failure.error)));
            ExitCode::from(failure.code)
        }
    }
}

/// The error and its causes, each said once: many errors say their cause in their own text already.
fn sentence(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.ends_with(&cause) {
            said.push_str(": ");
            said.push_str(&cause);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_can_be_no_folder_is_usage_and_a_disk_that_fails_is_not() {
        use weir_core::durable::FileError;
        for (kind, code) in [
            (ErrorKind::NotFound, USAGE),
            (ErrorKind::NotADirectory, USAGE),
            (ErrorKind::AlreadyExists, USAGE),
            (ErrorKind::PermissionDenied, USAGE),
            (ErrorKind::StorageFull, ENVIRONMENT),
            (ErrorKind::ReadOnlyFilesystem, ENVIRONMENT),
            (ErrorKind::Other, ENVIRONMENT),
        ] {
            let refused = || FileError::at("create", "/data".as_ref())(kind.into());
            let store = weir_control::store::StoreError::from(refused());
            assert_eq!(crate::serve::not_opened(store.into()).code, code, "the store: {kind}");
            let FileError { operation, path, source } = refused();
            let storage = weir_log::StorageError { operation, path, source };
            let journal =
                weir_cell::run::StartError::Journal { folder: "/data".into(), source: storage.into() };
            assert_eq!(crate::node::not_started(journal).code, code, "the journal: {kind}");
        }
    }

    #[test]
    fn a_cause_is_said_once_whether_its_error_says_it_or_not() {
        let source = std::io::Error::other("no room");
        let refused = weir_core::threads::SpawnRefused { name: "serve".to_owned(), running: 3, source };
        let said = refused.to_string();
        assert!(said.ends_with("no room"));
        assert_eq!(sentence(&anyhow::Error::from(refused).context("start")), format!("start: {said}"));
    }
}
