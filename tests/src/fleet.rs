//! A fleet of `weir node` processes on loopback addresses of its own, as the lab would start one.
//!
//! Each server is known by the last number of its address. One that was killed is started again at the same address and on
//! the same folder. What they log lies in the fleet's folder, which is kept when a test fails.

use std::{
    fs::{self, OpenOptions},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{http, process::Process, scratch, weir};

/// The ports that every server has by default.
const SERVICE_PORT: u16 = 4567;
const ADMIN_PORT: u16 = 4569;
/// Held as long as a fleet has its addresses: nobody else's server uses it.
const CLAIM_PORT: u16 = 4566;
/// Where the control plane is.
pub const CONTROL: u8 = 1;
/// How often a server is asked whether it is ready, and the pause between.
const READY_LOOKS_MAX: u32 = 12_000;
const READY_PAUSE: Duration = Duration::from_millis(5);

/// A running fleet. Its processes end with it.
#[derive(Debug)]
pub struct Fleet {
    net: u8,
    folder: tempfile::TempDir,
    servers: Vec<Server>,
    _claim: TcpListener,
}

#[derive(Debug)]
struct Server {
    role: &'static str,
    host: u8,
    arguments: Vec<String>,
    process: Process,
}

impl Fleet {
    /// A control plane with this configuration, ready, and nothing else.
    pub fn new(config: &Value) -> Self {
        let (net, claim) = claim();
        let mut fleet = Self { net, folder: scratch::shared_folder(), servers: Vec::new(), _claim: claim };
        let data = fleet.data("control");
        fleet.start("control", CONTROL, &["--config", &config.to_string(), "--data", &data]);
        fleet.ready(CONTROL); // a node that finds no control plane when it starts ends
        fleet
    }

    /// The address of a server.
    pub fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 92, self.net, host)
    }

    /// The admin listener of the server there.
    pub fn admin(&self, host: u8) -> SocketAddr {
        SocketAddr::from((self.address(host), ADMIN_PORT))
    }

    /// Where a server serves.
    pub fn service(&self, host: u8) -> SocketAddr {
        (self.address(host), SERVICE_PORT).into()
    }

    /// A fresh folder of this name for a server's data.
    pub fn data(&self, name: &str) -> String {
        let data = self.folder.path().join(name);
        fs::create_dir(&data).expect("a fresh folder");
        data.into_os_string().into_string().expect("a plain path")
    }

    /// Starts `weir node ROLE` at this host.
    pub fn start(&mut self, role: &'static str, host: u8, more: &[&str]) {
        let name = format!("{role}-{host}");
        let mut arguments = vec!["node".to_owned(), role.to_owned(), "--name".to_owned(), name];
        arguments.extend(["--address".to_owned(), self.address(host).to_string()]);
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        if role != "control" && role != "consumer" {
            arguments.extend(["--control".to_owned(), format!("http://{}", self.service(CONTROL))]);
        }
        let process = launch(self.folder.path(), &arguments);
        self.servers.push(Server { role, host, arguments, process });
    }

    /// Starts a back-end node with a folder of its own.
    pub fn backend(&mut self, host: u8) {
        let data = self.data(&format!("node-{host}"));
        self.start("backend", host, &["--data", &data]);
    }

    /// The processes of a role.
    pub fn processes(&self, role: &str) -> impl Iterator<Item = &Process> {
        self.servers.iter().filter(move |server| server.role == role).map(|server| &server.process)
    }

    /// What a server is, for people.
    pub fn name(&self, host: u8) -> String {
        let server = self.servers.iter().find(|server| server.host == host).expect("started");
        format!("{}-{host}", server.role)
    }

    /// The process of a server.
    pub fn process(&mut self, host: u8) -> &mut Process {
        &mut self.server(host).process
    }

    /// Starts a server that has ended, as it was started before.
    pub fn restart(&mut self, host: u8) {
        let folder = self.folder.path().to_owned();
        let server = self.server(host);
        assert!(server.process.has_ended(), "{}-{host} still runs", server.role);
        server.process = launch(&folder, &server.arguments);
    }

    /// Waits until a server says that it is ready. False when it has ended instead.
    pub fn is_ready(&mut self, host: u8) -> bool {
        let admin = self.admin(host);
        let ask = format!("GET /ready HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
        for _ in 0..READY_LOOKS_MAX {
            if http::send(admin, ask.as_bytes()).is_ok_and(|answer| answer.status == 200) {
                return true;
            }
            if self.process(host).has_ended() {
                return false;
            }
            thread::park_timeout(READY_PAUSE);
        }
        panic!("{admin} never became ready");
    }

    /// The same of a server that must not end.
    pub fn ready(&mut self, host: u8) {
        assert!(self.is_ready(host), "{} ended instead of becoming ready", self.name(host));
    }

    /// Ends a server for good.
    pub fn remove(&mut self, host: u8) {
        self.servers.retain(|server| server.host != host);
    }

    fn server(&mut self, host: u8) -> &mut Server {
        self.servers.iter_mut().find(|server| server.host == host).expect("started")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("the servers' logs and data are in {}", self.folder.path().display());
        }
    }
}

fn launch(folder: &Path, arguments: &[String]) -> Process {
    let log = folder.join(format!("{}.log", arguments[3])); // by its name
    let log = OpenOptions::new().create(true).append(true).open(log).expect("a file for the log");
    let mut command = Command::new(weir());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Process::start(&mut command)
}

/// A block of addresses that no other fleet of these tests has.
fn claim() -> (u8, TcpListener) {
    let nets = 1..=250;
    let mut claims = nets.filter_map(|net| {
        TcpListener::bind((Ipv4Addr::new(127, 92, net, CONTROL), CLAIM_PORT)).ok().map(|claim| (net, claim))
    });
    claims.next().expect("a free block of loopback addresses")
}
