//! The only way to stdout and stderr for commands: a list, a table, a report; the last word of one that failed.
//!
//! Who reads may go away in the middle (`weir limits | head`), which is no failure of the command; a pipe or a disk that takes
//! nothing is one, and is told. Nothing here may panic: an outcome is never lost because nobody could be told. Logs are
//! `logging.rs`'s, the ready line of `weir serve` its own.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

use anyhow::Context;
use serde::Serialize;

use crate::exit::Failure;

/// Data for people, as it is.
pub(crate) fn text(text: impl Display) -> Result<(), Failure> {
    write_to(io::stdout().lock(), &text.to_string())
}

/// Data for programs: one JSON object and the end of its line.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let object = serde_json::to_string_pretty(value).context("write JSON")?;
    text(format_args!("{object}\n"))
}

/// A line for people on stderr. Nobody may be reading; that changes nothing.
pub(crate) fn aside(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn write_to(mut out: impl Write, text: &str) -> Result<(), Failure> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::environment(anyhow::Error::from(error).context("write to stdout")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refusing(ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is() {
        assert!(write_to(Refusing(ErrorKind::BrokenPipe), "a").is_ok());
        assert!(write_to(Refusing(ErrorKind::StorageFull), "a").is_err());
    }
}
