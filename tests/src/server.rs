//! `weir serve` as a process: started, killed, started again on the same data.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    http::{self, Answer, Caller},
    process::{Process, wait_for_line},
    weir,
};

/// How long a server may take to say that it is ready, on a loaded machine.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// A running `weir serve`.
#[derive(Debug)]
pub struct Server {
    process: Process,
    address: SocketAddr,
    secure: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    data: PathBuf,
    arguments: Vec<String>,
    _own_data: Option<tempfile::TempDir>,
}

impl Server {
    /// On a free port, with a data folder of its own.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more arguments. Operations may be called as often as tests like, unless they say otherwise.
    pub fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self::launch(folder.path().to_path_buf(), arguments);
        server._own_data = Some(folder);
        server
    }

    /// The same, on a data folder of the caller's.
    pub fn start_on(data: &Path, arguments: &[&str]) -> Self {
        Self::launch(data.to_path_buf(), arguments.iter().map(|&argument| argument.to_owned()).collect())
    }

    /// The same, with what it logs in a file of its own: for tests that look for panics.
    pub fn start_logging_to(log: &Path, arguments: &[&str]) -> Self {
        let log = fs::File::create(log).expect("a file for the log");
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self::launch_with(folder.path().to_path_buf(), arguments, log.into());
        server._own_data = Some(folder);
        server
    }

    /// The same in a process that may open `files` files.
    pub fn start_with_open_files(files: u32, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]).arg(weir());
        let mut server = Self::launch_as(limited, folder.path().to_path_buf(), arguments, Stdio::inherit());
        server._own_data = Some(folder);
        server
    }

    fn launch(data: PathBuf, arguments: Vec<String>) -> Self {
        Self::launch_with(data, arguments, Stdio::inherit())
    }

    fn launch_with(data: PathBuf, arguments: Vec<String>, stderr: Stdio) -> Self {
        Self::launch_as(Command::new(weir()), data, arguments, stderr)
    }

    fn launch_as(mut command: Command, data: PathBuf, arguments: Vec<String>, stderr: Stdio) -> Self {
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data).args(&arguments);
        if !arguments.iter().any(|argument| argument == "--call-limits") {
            command.args(["--call-limits", "off"]);
        }
        let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr));
        let out = process.child().stdout.take().expect("piped");
        let (address, secure, admin) = wait_for_line(out, READY_TIMEOUT, |line| {
            let address = address_after("http://", line)?;
            Some((address, address_after("https://", line), address_after("admin at http://", line)))
        });
        Self { process, address, secure, admin, data, arguments, _own_data: None }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for https.
    pub fn secure_address(&self) -> SocketAddr {
        self.secure.expect("started with a flag for https")
    }

    /// Where it serves https, under the name that its own certificate has.
    pub fn secure_url(&self) -> String {
        format!("https://localhost:{}", self.secure_address().port())
    }

    /// Where its admin listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.expect("started with --admin")
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// SIGKILL, then a new process on the same data.
    pub fn kill_9_and_restart(&mut self) {
        self.process.kill_9();
        self.relaunch();
    }

    /// SIGTERM, a clean end, then a new process on the same data.
    pub fn stop_and_restart(&mut self) {
        self.process.signal(Signal::SIGTERM);
        let status = self.process.wait(Duration::from_secs(30));
        assert!(status.success(), "a clean stop ends with {status}");
        self.relaunch();
    }

    fn relaunch(&mut self) {
        let again = Self::launch(self.data.clone(), self.arguments.clone());
        self.process = again.process;
        self.address = again.address;
        self.secure = again.secure;
        self.admin = again.admin;
    }

    /// One operation.
    pub fn call(&self, operation: &str, body: &Value) -> Answer {
        http::kinesis(self.address, operation, body)
    }

    /// One operation of another caller.
    pub fn call_as(&self, caller: Caller<'_>, operation: &str, body: &Value) -> Answer {
        http::kinesis_as(caller, self.address, operation, body)
    }

    /// One operation that must succeed; its answer (null where there is none).
    pub fn ok(&self, operation: &str, body: &Value) -> Value {
        let answer = self.call(operation, body);
        assert_eq!(answer.status, 200, "{operation} {body}: {}", String::from_utf8_lossy(&answer.body));
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// A stream that is ACTIVE.
    pub fn stream(&self, name: &str, shards: u32) {
        self.ok("CreateStream", &json!({"StreamName": name, "ShardCount": shards}));
        self.await_active(name);
    }

    /// Returns when a stream is ACTIVE.
    pub fn await_active(&self, name: &str) {
        for _ in 0..2_000 {
            let described = self.ok("DescribeStreamSummary", &json!({"StreamName": name}));
            if described["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!("stream {name} did not become ACTIVE");
    }

    /// Every record of a shard from the start, in order: (sequence number, partition key, data in base64). Of a closed
    /// shard, to its end.
    pub fn read_all(&self, stream: &str, shard: &str) -> Vec<(String, String, String)> {
        let from = json!({"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
        let mut iterator =
            self.ok("GetShardIterator", &from)["ShardIterator"].as_str().expect("one").to_owned();
        let mut records = Vec::new();
        loop {
            let read = self.ok("GetRecords", &json!({"ShardIterator": iterator, "Limit": 10_000}));
            let text = |record: &Value, field: &str| record[field].as_str().expect("a text").to_owned();
            for record in read["Records"].as_array().expect("a list") {
                records.push((
                    text(record, "SequenceNumber"),
                    text(record, "PartitionKey"),
                    text(record, "Data"),
                ));
            }
            if read["MillisBehindLatest"] == 0 && read["Records"].as_array().is_some_and(Vec::is_empty) {
                return records;
            }
            match read["NextShardIterator"].as_str() {
                Some(next) => iterator = next.to_owned(),
                None => return records,
            }
        }
    }
}

/// The address that follows `scheme` in the line that a ready server prints.
fn address_after(scheme: &str, line: &str) -> Option<SocketAddr> {
    let rest = line.split(scheme).nth(1)?;
    rest.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).next()?.parse().ok()
}
