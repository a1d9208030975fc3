//! Child processes with a deadline: nothing that a test starts outlives it.

use std::{
    fs,
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

/// How long a process runs before it is looked at again.
const STEP: Duration = Duration::from_micros(300);

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

    /// SIGSTOP, and waits until it stands still. False when it has ended.
    pub fn stand_still(&mut self) -> bool {
        self.signal(Signal::SIGSTOP);
        while self.state() != Some('T') {
            if self.has_ended() {
                return false;
            }
            thread::yield_now();
        }
        true
    }

    /// SIGCONT, and waits until it has run for a moment, waits for something itself, or has ended.
    pub fn go_on(&mut self) {
        let before = self.ran_for();
        self.signal(Signal::SIGCONT);
        while self.ran_for().saturating_sub(before) < STEP && self.state() != Some('S') && !self.has_ended() {
            thread::yield_now();
        }
    }

    /// `R` running, `S` sleeping, `T` standing still.
    fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        stat.rsplit(") ").next().and_then(|fields| fields.chars().next())
    }

    /// Processor time of its main thread.
    fn ran_for(&self) -> Duration {
        let times = fs::read_to_string(format!("/proc/{}/schedstat", self.id())).unwrap_or_default();
        let nanos = times.split(' ').next().and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(nanos.unwrap_or_default())
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
pub fn wait_for_line<T>(
    pipe: impl Read + Send + 'static,
    timeout: Duration,
    wanted: impl Fn(&str) -> Option<T>,
) -> T {
    Lines::read(pipe).wait_for(timeout, wanted)
}

/// The lines of a pipe as they come. It is read to its end whether anybody asks for them or not.
#[derive(Debug)]
pub struct Lines {
    come: mpsc::Receiver<String>,
}

impl Lines {
    /// Begins to read.
    pub fn read(pipe: impl Read + Send + 'static) -> Self {
        let (send, come) = mpsc::sync_channel(LINES_KEPT);
        spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                // Nobody asks any more, or for too long: the child must not wait for that.
                let _ = send.try_send(line);
            }
        });
        Self { come }
    }

    /// Waits for a line that `wanted` accepts; panics after `timeout` with what was read so far.
    pub fn wait_for<T>(&self, timeout: Duration, wanted: impl Fn(&str) -> Option<T>) -> T {
        let deadline = now() + timeout;
        let mut seen = Vec::new();
        loop {
            match self.come.recv_timeout(deadline.saturating_duration_since(now())) {
                Ok(line) => match wanted(&line) {
                    Some(value) => return value,
                    None => seen.push(line),
                },
                Err(end) => panic!("the awaited line did not come ({end}); read: {seen:#?}"),
            }
        }
    }

    /// What has not been asked for, up to the end of the pipe. Ask when the child has ended.
    pub fn rest(self) -> String {
        self.come.iter().collect::<Vec<_>>().join("\n")
    }
}

/// Lines that wait to be asked for: more than any child here writes.
const LINES_KEPT: usize = 10_000;

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
