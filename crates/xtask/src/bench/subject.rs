//! The servers that are measured: their names, what they promise, and how each is started.
//!
//! Each run has a server and a folder of its own, and both are gone behind it. What is not on this host is installed by
//! `prepare`, or named in the table as not to be had.

mod peers;
mod running;

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

pub(super) use self::running::Running;
use crate::{
    cargo,
    prepare::{self, Program},
};

/// Shards of a stream, where nothing else is said.
pub(super) const SHARDS: u32 = 4;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The bare server of `weir-benches`, with these stages.
    Floor(&'static str, &'static [Stage]),
    /// `weir serve`, durable by `fsync`.
    Weir,
    /// The same, its client speaking CBOR.
    WeirCbor,
    /// The same, with credentials: every signature is checked.
    WeirSigned,
    /// kinesalite over LevelDB, which does not sync.
    Kinesalite,
    /// kinesis-local (kinesis-mock), in memory.
    KinesisLocal,
    /// moto's server, in memory.
    Moto,
    Redis(Sync),
    Nats(Sync),
    /// RabbitMQ, which never syncs a stream.
    RabbitMq,
}

/// When a peer syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    Always,
    /// As it comes.
    Default,
}

/// A stage of the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Decode,
    Hash,
    Store,
}

/// Who speaks to a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    Kinesis,
    /// By the name that `peer-load` has for it.
    Peer(&'static str),
}

/// Where the programs are.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) weir: PathBuf,
    floor: PathBuf,
    pub(super) peer_load: PathBuf,
    pub(super) reader: PathBuf,
    /// `node_modules` with the emulators; none: not to be had, and why.
    emulators: anyhow::Result<PathBuf>,
    /// A Python that has moto.
    python: anyhow::Result<PathBuf>,
    pub(super) redis: anyhow::Result<PathBuf>,
    pub(super) nats: anyhow::Result<PathBuf>,
    rabbitmq: anyhow::Result<PathBuf>,
    pub(super) wrk: anyhow::Result<PathBuf>,
}

impl Programs {
    /// Those that were built, and those that could be installed.
    pub(super) fn prepared() -> Self {
        let release = cargo::target().join("release");
        Self {
            weir: release.join("weir"),
            floor: release.join("floor"),
            peer_load: release.join("peer-load"),
            reader: release.join("reader"),
            emulators: prepare::emulators(),
            python: prepare::python(),
            redis: prepare::program(Program::Redis),
            nats: prepare::nats(),
            rabbitmq: prepare::program(Program::RabbitMq),
            wrk: prepare::program(Program::Wrk),
        }
    }
}

impl Subject {
    /// As the table has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Floor(name, _) => name,
            Self::Weir => "Weir, fsync",
            Self::WeirCbor => "Weir, fsync, CBOR",
            Self::WeirSigned => "Weir, fsync, signed and checked",
            Self::Kinesalite => "kinesalite, LevelDB",
            Self::KinesisLocal => "kinesis-local",
            Self::Moto => "moto",
            Self::Redis(Sync::Always) => "Redis Streams, appendfsync always",
            Self::Redis(Sync::Default) => "Redis Streams, appendfsync everysec",
            Self::Nats(Sync::Always) => "NATS JetStream, sync_interval always",
            Self::Nats(Sync::Default) => "NATS JetStream, default",
            Self::RabbitMq => "RabbitMQ streams",
        }
    }

    /// Is a record on disk when it is acknowledged, as far as its makers say?
    pub(super) fn is_durable(self) -> bool {
        match self {
            Self::Floor(_, stages) => stages.contains(&Stage::Store),
            Self::Weir | Self::WeirCbor | Self::WeirSigned => true,
            Self::Redis(sync) | Self::Nats(sync) => sync == Sync::Always,
            Self::Kinesalite | Self::KinesisLocal | Self::Moto | Self::RabbitMq => false,
        }
    }

    pub(super) fn speaks(self) -> Speaks {
        match self {
            Self::Redis(_) => Speaks::Peer("redis"),
            Self::Nats(_) => Speaks::Peer("nats"),
            Self::RabbitMq => Speaks::Peer("rabbitmq"),
            _ => Speaks::Kinesis,
        }
    }

    /// How `weir load` signs and writes for it.
    pub(super) fn manners(self) -> &'static [&'static str] {
        match self {
            Self::WeirCbor => &["--unsigned", "--encoding", "cbor"],
            Self::WeirSigned => &["--access-key", "bench", "--secret-key", "bench-secret"],
            Self::Floor(_, stages) if stages.contains(&Stage::Hash) => {
                &["--access-key", "bench", "--secret-key", "bench-secret"]
            }
            _ => &["--unsigned"],
        }
    }

    /// Starts it in `folder`, with the stream `s`.
    pub(super) fn start(self, programs: &Programs, folder: &Path) -> anyhow::Result<Running> {
        match self {
            Self::Floor(_, stages) => floor(programs, stages, folder),
            Self::Weir | Self::WeirCbor => weir(programs, folder, SHARDS),
            Self::WeirSigned => weir_signed(programs, folder),
            Self::Kinesalite => {
                let at = free_address()?;
                let port = at.port().to_string();
                let mut command = Command::new("node");
                command.arg(known(&programs.emulators)?.join("kinesalite/cli.js")).args(["--port", &port]);
                command.args(["--shardLimit", "100", "--createStreamMs", "10", "--path"]).arg(folder);
                Running::listening(command, at)?.with_stream(SHARDS)
            }
            Self::KinesisLocal => {
                let at = free_address()?;
                let home = known(&programs.emulators)?.join("kinesis-local");
                let mut command = Command::new("node");
                command.arg("main.js").current_dir(home); // it looks for its certificate where it runs
                command
                    .env("KINESIS_MOCK_PLAIN_PORT", at.port().to_string())
                    .env("KINESIS_MOCK_TLS_PORT", "0");
                command.env("CREATE_STREAM_DURATION", "10ms").env("LOG_LEVEL", "ERROR");
                Running::listening(command, at)?.with_stream(SHARDS)
            }
            Self::Moto => {
                let at = free_address()?;
                let mut command = Command::new(known(&programs.python)?);
                command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &at.port().to_string()]);
                Running::listening(command, at)?.with_stream(SHARDS)
            }
            Self::Redis(sync) => {
                peers::redis(known(&programs.redis)?, folder, free_address()?, sync == Sync::Always)
            }
            Self::Nats(sync) => {
                peers::nats(known(&programs.nats)?, folder, free_address()?, sync == Sync::Always)
            }
            Self::RabbitMq => {
                let ports = [free_address()?.port(), free_address()?.port(), free_address()?.port()];
                peers::rabbitmq(known(&programs.rabbitmq)?, folder, free_address()?, &ports)
            }
        }
    }
}

fn floor(programs: &Programs, stages: &[Stage], folder: &Path) -> anyhow::Result<Running> {
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

/// `weir serve` over what is in `folder`, without the limits of AWS.
pub(super) fn serve(programs: &Programs, folder: &Path) -> Command {
    let mut command = Command::new(&programs.weir);
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--shard-limits",
        "off",
        "--call-limits",
        "off",
        "--data",
    ]);
    command.arg(folder.join("data"));
    command
}

/// Weir with a stream of so many shards.
pub(super) fn weir(programs: &Programs, folder: &Path, shards: u32) -> anyhow::Result<Running> {
    Running::telling(serve(programs, folder))?.with_stream(shards)
}

/// Weir over data that is there.
pub(super) fn weir_again(programs: &Programs, folder: &Path) -> anyhow::Result<Running> {
    Running::telling(serve(programs, folder))
}

fn weir_signed(programs: &Programs, folder: &Path) -> anyhow::Result<Running> {
    weir(programs, folder, SHARDS)?.stop()?; // the stream outlives it
    let file = folder.join("credentials");
    let text = "[default]\naws_access_key_id = bench\naws_secret_access_key = bench-secret\n";
    std::fs::write(&file, text)?;
    let mut command = serve(programs, folder);
    command.arg("--credentials").arg(file);
    Running::telling(command)
}

/// An address that nobody listens at.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn known(found: &anyhow::Result<PathBuf>) -> anyhow::Result<&PathBuf> {
    found.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}
