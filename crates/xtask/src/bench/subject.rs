//! The servers that are measured: how each is started, and how it is told of the stream.
//!
//! Each run has a server and a folder of its own, and both are gone behind it. What is not on this host is installed by
//! `prepare`, or named in the table as not to be had.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};

/// How often a server is looked at until it is there, and the pause between: twenty seconds.
const LOOKS_MAX: usize = 400;
const PAUSE: Duration = Duration::from_millis(50);
/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Shards of the stream.
const SHARDS: u32 = 4;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The bare server of `weir-benches`, with these stages.
    Floor(&'static str, &'static [Stage]),
    /// `weir serve`, durable by `fsync`.
    Weir,
    /// The same, with credentials: every signature is checked.
    WeirSigned,
    /// kinesalite over LevelDB, which does not sync.
    Kinesalite,
    /// kinesis-local (kinesis-mock), in memory.
    KinesisLocal,
    /// moto's server, in memory.
    Moto,
}

/// A stage of the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Decode,
    Hash,
    Store,
}

/// Where the programs are.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) weir: PathBuf,
    pub(super) floor: PathBuf,
    /// `node_modules` with the emulators; none: not to be had, and why.
    pub(super) emulators: anyhow::Result<PathBuf>,
    /// A Python that has moto.
    pub(super) python: anyhow::Result<PathBuf>,
}

/// One that runs. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    pub(super) url: String,
}

impl Subject {
    /// As the table has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Floor(name, _) => name,
            Self::Weir | Self::WeirSigned => "Weir, fsync",
            Self::Kinesalite => "kinesalite, LevelDB",
            Self::KinesisLocal => "kinesis-local",
            Self::Moto => "moto",
        }
    }

    /// Is a record on disk when it is acknowledged, as far as its makers say?
    pub(super) fn is_durable(self) -> bool {
        match self {
            Self::Floor(_, stages) => stages.contains(&Stage::Store),
            Self::Weir | Self::WeirSigned => true,
            Self::Kinesalite | Self::KinesisLocal | Self::Moto => false,
        }
    }

    /// Starts it in `folder`, with the stream `s`.
    pub(super) fn start(self, programs: &Programs, folder: &Path) -> anyhow::Result<Running> {
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let port = free.port().to_string();
        match self {
            Self::Floor(_, stages) => {
                let mut command = Command::new(&programs.floor);
                for stage in stages {
                    match stage {
                        Stage::Decode => command.arg("--decode"),
                        Stage::Hash => command.arg("--hash"),
                        Stage::Store => command.arg("--store").arg(folder),
                    };
                }
                Running::telling(command)
            }
            Self::Weir | Self::WeirSigned => {
                let serve = || {
                    let mut command = Command::new(&programs.weir);
                    command.args([
                        "serve",
                        "--listen",
                        "127.0.0.1:0",
                        "--shard-limits",
                        "off",
                        "--call-limits",
                        "off",
                    ]);
                    command.arg("--data").arg(folder.join("data"));
                    command
                };
                let open = Running::telling(serve())?.with_stream()?;
                if self == Self::Weir {
                    return Ok(open);
                }
                drop(open); // the stream outlives it
                let file = folder.join("credentials");
                let text = "[default]\naws_access_key_id = bench\naws_secret_access_key = bench-secret\n";
                std::fs::write(&file, text)?;
                let mut command = serve();
                command.arg("--credentials").arg(file);
                Running::telling(command)
            }
            Self::Kinesalite => {
                let modules = known(&programs.emulators)?;
                let mut command = Command::new("node");
                command.arg(modules.join("kinesalite/cli.js")).args(["--port", &port, "--shardLimit", "100"]);
                command.args(["--createStreamMs", "10", "--path"]).arg(folder.join("leveldb"));
                Running::listening(command, free)?.with_stream()
            }
            Self::KinesisLocal => {
                let modules = known(&programs.emulators)?;
                let mut command = Command::new("node");
                command.arg(modules.join("kinesis-local/main.js"));
                command.env("KINESIS_MOCK_PLAIN_PORT", &port).env("KINESIS_MOCK_TLS_PORT", "0");
                command.env("CREATE_STREAM_DURATION", "10ms").env("LOG_LEVEL", "ERROR");
                Running::listening(command, free)?.with_stream()
            }
            Self::Moto => {
                let mut command = Command::new(known(&programs.python)?);
                command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port]);
                Running::listening(command, free)?.with_stream()
            }
        }
    }
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

fn known(found: &anyhow::Result<PathBuf>) -> anyhow::Result<&PathBuf> {
    found.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}

impl Running {
    /// One that says where it listens.
    fn telling(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("start it")?;
        let out = child.stdout.take().expect("piped");
        let mut line = String::new();
        let read = BufReader::new(out).read_line(&mut line);
        let mut running = Self { child, url: String::new() };
        read.context("ask it where it listens")?;
        let word = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = word.with_context(|| format!("it did not say where it listens: {line:?}"))?;
        running.url = url.trim_end_matches(',').to_owned();
        Ok(running)
    }

    /// One that was told.
    fn listening(mut command: Command, address: SocketAddr) -> anyhow::Result<Self> {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("start it")?;
        let running = Self { child, url: format!("http://{address}") };
        if !patiently(|| Ok(TcpStream::connect(address).is_ok()))? {
            bail!("it does not listen at {address}");
        }
        Ok(running)
    }

    fn with_stream(self) -> anyhow::Result<Self> {
        self.call("CreateStream", &format!("{{\"StreamName\":\"s\",\"ShardCount\":{SHARDS}}}"))?;
        let described = || self.call("DescribeStream", "{\"StreamName\":\"s\"}");
        if !patiently(|| Ok(described()?.contains("\"ACTIVE\"")))? {
            bail!("its stream does not become ACTIVE");
        }
        Ok(self)
    }

    /// One call with a made-up signature; the answer, head and all.
    fn call(&self, operation: &str, body: &str) -> anyhow::Result<String> {
        let address = self.url.trim_start_matches("http://");
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

    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}
