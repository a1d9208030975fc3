//! `moto_server` as a process: the DynamoDB in which consumer libraries keep their leases.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    prepared,
    process::{Process, wait_for_line},
};

/// How long it may take to load, on a loaded machine.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// A running `moto_server`, on a free port.
#[derive(Debug)]
pub struct Moto {
    _process: Process,
    url: String,
}

impl Moto {
    /// Starts one, without tables.
    pub fn start() -> Self {
        let mut command = Command::new(prepared("WEIR_PYTHON").with_file_name("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut process = Process::start(&mut command);
        let said = process.child().stderr.take().expect("piped");
        let url = wait_for_line(said, READY_TIMEOUT, |line| {
            line.split_whitespace().find(|word| word.starts_with("http://127")).map(str::to_owned)
        });
        Self { _process: process, url }
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}
