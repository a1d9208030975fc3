//! Child processes with a deadline: nothing that a test starts outlives it.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

/// A child that is killed and reaped when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command`.
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        Self { child }
    }

    /// Its process id.
    pub fn id(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("process ids are positive"))
    }

    /// The child itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal; the process may be gone already.
    pub fn signal(&self, signal: Signal) {
        let _ = signal::kill(self.id(), signal);
    }

    /// SIGKILL, and wait for the end.
    pub fn kill_9(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("reap a killed child");
    }

    /// Has it ended?
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("ask after a child").is_some()
    }

    /// Waits for the end; panics after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let deadline = now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().expect("ask after a child") {
                return status;
            }
            assert!(now() < deadline, "process {} did not end within {timeout:?}", self.id());
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill_9();
        }
    }
}

/// Runs `command` to its end with its output; panics after `timeout`.
pub fn output(command: &mut Command, timeout: Duration) -> Output {
    let mut process =
        Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let out = drain(process.child().stdout.take().expect("piped"));
    let err = drain(process.child().stderr.take().expect("piped"));
    let status = process.wait(timeout);
    Output { status, stdout: out.recv().expect("a reader"), stderr: err.recv().expect("a reader") }
}

/// Waits for a line that `wanted` accepts; panics after `timeout` with what was read so far. What follows is read and
/// thrown away, so that the child never waits for its reader.
pub fn wait_for_line<T: Send + 'static>(
    pipe: impl Read + Send + 'static,
    timeout: Duration,
    wanted: impl Fn(&str) -> Option<T> + Send + 'static,
) -> T {
    let (send, found) = mpsc::sync_channel(1);
    let (send_seen, seen) = mpsc::sync_channel(1_000);
    spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            match wanted(&line) {
                Some(value) => drop(send.try_send(value)),
                None => drop(send_seen.try_send(line)),
            }
        }
    });
    found.recv_timeout(timeout).unwrap_or_else(|_| {
        panic!(
            "the awaited line did not come within {timeout:?}; read: {:#?}",
            seen.try_iter().collect::<Vec<_>>()
        )
    })
}

fn drain(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, all) = mpsc::sync_channel(1);
    spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes); // what came before an error is still worth showing
        let _ = send.send(bytes);
    });
    all
}

#[expect(clippy::disallowed_methods, reason = "a test's own reader: no server's thread count depends on it")]
fn spawn(run: impl FnOnce() + Send + 'static) {
    thread::spawn(run);
}

#[expect(clippy::disallowed_methods, reason = "a deadline of a test: the machine's own clock is meant")]
fn now() -> Instant {
    Instant::now()
}
