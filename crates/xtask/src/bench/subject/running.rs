//! A server that runs: found out where it listens, asked to make the stream, ended with all that it started.
//!
//! Each has a process group of its own, whose processor time and memory are counted, and which is killed when it is dropped.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};

/// How often a server is looked at until it is there, and the pause between: thirty seconds.
const LOOKS_MAX: usize = 600;
const PAUSE: Duration = Duration::from_millis(50);
/// How often what a server left behind is asked to end: two seconds.
const CLEANUPS_MAX: usize = 40;
/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One that runs. It ends when this is dropped.
#[derive(Debug)]
pub(in super::super) struct Running {
    child: Child,
    /// Where it listens.
    pub(in super::super) address: String,
    /// Run behind its end: what it left behind.
    cleanup: Option<Command>,
}

impl Running {
    /// One that says where it listens.
    pub(super) fn telling(mut command: Command) -> anyhow::Result<Self> {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().context("start it")?;
        let out = child.stdout.take().expect("piped");
        let mut line = String::new();
        let read = BufReader::new(out).read_line(&mut line);
        let mut running = Self { child, address: String::new(), cleanup: None };
        read.context("ask it where it listens")?;
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        let address = address.with_context(|| format!("it did not say where it listens: {line:?}"))?;
        running.address = address.trim_end_matches(',').to_owned();
        Ok(running)
    }

    /// One that was told.
    pub(super) fn listening(mut command: Command, address: SocketAddr) -> anyhow::Result<Self> {
        let command = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let mut running = Self { child, address: address.to_string(), cleanup: None };
        let listens = patiently(|| match running.child.try_wait()? {
            Some(status) => bail!("it ended by itself: {status}"),
            None => Ok(TcpStream::connect(address).is_ok()),
        })?;
        if listens { Ok(running) } else { bail!("it does not listen at {address}") }
    }

    /// Runs `command` when this has ended.
    pub(super) fn behind_it(mut self, command: Command) -> Self {
        self.cleanup = Some(command);
        self
    }

    /// With a stream `s` of so many shards.
    pub(super) fn with_stream(self, shards: u32) -> anyhow::Result<Self> {
        let made = self.call("CreateStream", &format!("{{\"StreamName\":\"s\",\"ShardCount\":{shards}}}"))?;
        if !made.starts_with("HTTP/1.1 200") {
            bail!("it makes no stream of {shards} shards: {made}");
        }
        let described = || self.call("DescribeStreamSummary", "{\"StreamName\":\"s\"}");
        if !patiently(|| Ok(described()?.contains("\"ACTIVE\"")))? {
            bail!("its stream does not become ACTIVE");
        }
        Ok(self)
    }

    /// One call with a made-up signature; the answer, head and all.
    fn call(&self, operation: &str, body: &str) -> anyhow::Result<String> {
        let address = &self.address;
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(CALL_TIMEOUT))?;
        write!(
            stream,
            "POST / HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/x-amz-json-1.1\r\nx-amz-target: \
             Kinesis_20131202.{operation}\r\nx-amz-date: 20201125T024400Z\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential=bench/20201125/us-east-1/kinesis/aws4_request, SignedHeaders=host;x-amz-date, Signature={}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            "0".repeat(64),
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("an answer")?;
        Ok(answer)
    }

    /// Its process group.
    pub(in super::super) fn group(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as an operator would, and waits.
    pub(in super::super) fn stop(&mut self) -> anyhow::Result<()> {
        signal("-TERM", self.group());
        self.child.wait().context("wait for a server's end")?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        signal("-KILL", self.group());
        let _ = self.child.wait(); // it may have ended
        let Some(mut command) = self.cleanup.take() else { return };
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // What it left behind may go on for a moment in the belief that it lives.
        for _ in 0..CLEANUPS_MAX {
            if command.status().is_ok_and(|status| status.success()) {
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// To the whole group; one that has ended takes none.
fn signal(which: &str, group: u32) {
    let mut kill = Command::new("kill");
    kill.args([which, "--", &format!("-{group}")]).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = kill.status();
}

/// Looks until it is so; false when it never is.
fn patiently(mut look: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<bool> {
    for _ in 0..LOOKS_MAX {
        if look()? {
            return Ok(true);
        }
        thread::sleep(PAUSE);
    }
    Ok(false)
}
