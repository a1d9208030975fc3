//! Where a server is besieged: what its other clients feel and what its memory is, before and during.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    panic::resume_unwind,
    sync::{
        Mutex, MutexGuard,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use weir_tests::server::Server;

/// Calls that the other clients make in one measurement: enough for a percentile of 99.
const CALLS: usize = 150;
/// How many times as long as before the others may wait, when it is more than the blink below. The processors are the
/// besieger's as well: what took under a millisecond before may well take many times as long.
const RATIO_MAX: f64 = 40.0;
/// A wait that is no harm, whatever it was before. Other servers of this API let their clients wait for 4 to 20 seconds
/// under the same sieges, for good or until these end; a server that serves its clients in turn stays far below.
const BLINK: Duration = Duration::from_millis(150);
/// Bytes that a besieged server may take: 512 MiB of answers or of bodies, whichever the siege is after
/// (`HTTP_ANSWERS_BYTES_MAX`, `HTTP_BODIES_BYTES_MAX`), and 256 MiB for all else.
const RESIDENT_BYTES_MAX: u64 = 768 << 20;
/// How long a besieger waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

static TURN: Mutex<()> = Mutex::new(());

/// A server that is nobody else's at the time.
pub(crate) struct Arena {
    server: Server,
    _turn: MutexGuard<'static, ()>,
}

/// A siege as the besieger sees it.
pub(crate) struct Siege {
    address: SocketAddr,
    secure_address: SocketAddr,
    laid: SyncSender<()>,
    lifted: Receiver<()>,
}

impl Arena {
    /// Starts a server with a stream `s` of one shard, without limits of its own that would hide those of the listener.
    pub(crate) fn open() -> Self {
        let turn = TURN.lock().unwrap_or_else(|failed| failed.into_inner());
        let open = ["--shard-limits", "off", "--durability", "memory"];
        let secured = ["--tls-self-signed", "--tls-listen", "127.0.0.1:0"];
        let server = Server::start_with(&[open.as_slice(), &secured].concat());
        server.stream("s", 1);
        Self { server, _turn: turn }
    }

    /// Puts a record of 9 MiB into the stream; an iterator to it. Its answer has 12 MiB: more than a kernel keeps for a client
    /// that does not read, and no page can be smaller.
    pub(crate) fn iterator(&self) -> String {
        let told = self.server.ok("DescribeStreamSummary", &json!({"StreamName": "s"}));
        let arn = &told["StreamDescriptionSummary"]["StreamARN"];
        self.server.ok("UpdateMaxRecordSize", &json!({"StreamARN": arn, "MaxRecordSizeInKiB": 10 << 10}));
        self.server.await_active("s");
        let data = "eHh4".repeat(3 << 20);
        self.server.ok("PutRecord", &json!({"StreamName": "s", "PartitionKey": "k", "Data": data}));
        let from = json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"});
        self.server.ok("GetShardIterator", &from)["ShardIterator"].as_str().unwrap().to_owned()
    }

    /// Lets `attack` begin, measures what the others feel once it is laid, and lifts it.
    pub(crate) fn besiege(&mut self, name: &str, attack: impl FnOnce(&Siege) + Send) {
        let before = self.p99().max(self.p99());
        let (laid, is_laid) = sync_channel(1);
        let (lift, lifted) = sync_channel(1);
        let (address, secure_address) = (self.server.address(), self.server.secure_address());
        let siege = Siege { address, secure_address, laid, lifted };
        let during = thread::scope(|scope| {
            let besieger = scope.spawn(move || attack(&siege));
            // Without a word the besieger has failed, and says how.
            let during = is_laid.recv().ok().map(|()| self.p99().min(self.p99())); // other work may meet one of them
            drop::<SyncSender<()>>(lift);
            besieger.join().unwrap_or_else(|failure| resume_unwind(failure));
            during.unwrap()
        });
        let resident = self.resident_bytes_peak();
        let ratio = during.as_secs_f64() / before.as_secs_f64();
        let report = format!(
            "hostile: {name}: p99 of others {before:.1?} before, {during:.1?} during, ratio {ratio:.1}; peak memory {} MiB\n",
            resident >> 20
        );
        let _ = std::io::stderr().write_all(report.as_bytes()); // past the capture: it is a measurement
        let record = concat!(env!("CARGO_TARGET_TMPDIR"), "/hostile.txt");
        let record = fs::OpenOptions::new().create(true).append(true).open(record);
        record.and_then(|mut file| file.write_all(report.as_bytes())).unwrap();
        assert!(during < BLINK || ratio < RATIO_MAX, "{report}");
        assert!(resident < RESIDENT_BYTES_MAX, "{report}");
        assert!(!self.server.process().has_ended());
        self.p99(); // everybody is served afterwards
    }

    /// The 99th percentile of what another client waits for a put, each on a connection of its own.
    #[expect(clippy::disallowed_methods, reason = "a test's own measurement: the machine's clock is meant")]
    fn p99(&self) -> Duration {
        let put = json!({"StreamName": "s", "PartitionKey": "k", "Data": "aGVsbG8="});
        let mut waits: Vec<Duration> = (0..CALLS)
            .map(|_| {
                let begun = Instant::now();
                self.server.ok("PutRecord", &put);
                begun.elapsed()
            })
            .collect();
        waits.sort();
        waits[CALLS * 99 / 100]
    }

    /// The most that the server's process has had in memory so far.
    fn resident_bytes_peak(&mut self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.process().id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        kib << 10
    }
}

impl Siege {
    /// It is in place: the others may be looked at.
    pub(crate) fn is_laid(&self) {
        let _ = self.laid.try_send(()); // said once is enough
    }

    /// Whether it is over.
    pub(crate) fn is_lifted(&self) -> bool {
        self.lifted.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Stays as it is until it is over.
    pub(crate) fn hold(&self) {
        self.is_laid();
        let _ = self.lifted.recv();
    }

    /// Does `attack` again and again; it is in place from the first time on.
    pub(crate) fn repeat(&self, mut attack: impl FnMut()) {
        while !self.is_lifted() {
            attack();
            self.is_laid();
        }
    }

    /// One more connection.
    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// One more connection to the https port, without a handshake.
    pub(crate) fn connect_securely(&self) -> TcpStream {
        connect(self.secure_address)
    }

    /// Sends `parts` in turn and reads to the end; what was heard, if it was a close, nothing. A server may have closed
    /// before all is sent.
    pub(crate) fn exchange<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut stream = self.connect();
        for part in parts {
            if stream.write_all(part).is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("neither an answer nor an end")
            }
            _ => answer,
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// As many connections as this host's limit of open files leaves to a server, which keeps a quarter back, for who opens
/// many. Raises this process's own limit as well.
pub(crate) fn connections_max() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    usize::try_from(hard - hard / 4).unwrap().saturating_sub(500) // the server and this process have other files, too
}
