//! A lane and its socket: carries out what the lane wants, short of waiting.
//!
//! The same for a thread (`thread_per_peer`) and for a task (`multiplexed`), which only wait differently. Nothing here
//! blocks: the socket never does, and the fleet's queue is the carrier's to wait for.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
};

use bytes::{Buf, Bytes};
use weir_core::{
    clock::{Clock, Monotonic},
    limits::{KIB, PEER_QUEUE_MAX},
};

use super::{
    lane::{Lane, Step, Steps},
    mailbox::{Mail, Orders},
};
use crate::fleet::FleetEvent;

/// Bytes read at once, on the stack of a peer thread.
const READ_BYTES: usize = 2 * KIB;

/// A nonblocking socket, whoever waits for it.
pub(super) trait Wire: Sized {
    /// Takes over a nonblocking socket.
    fn wrap(stream: TcpStream) -> io::Result<Self>;
    /// Reads what is there.
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize>;
    /// Writes what fits.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// How the connect ended.
    fn connect_error(&self) -> io::Result<Option<io::Error>>;
}

impl Wire for TcpStream {
    fn wrap(stream: TcpStream) -> io::Result<Self> {
        Ok(stream)
    }

    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut stream: &Self = self;
        stream.read(into)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut stream: &Self = self;
        stream.write(bytes)
    }

    fn connect_error(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }
}

impl Wire for tokio::net::TcpStream {
    fn wrap(stream: TcpStream) -> io::Result<Self> {
        Self::from_std(stream)
    }

    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, into)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }

    fn connect_error(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }
}

/// One lane with its socket.
pub(super) struct Driver<W> {
    lane: Lane,
    clock: Clock,
    /// This server's own address, the source of its dials.
    source: IpAddr,
    peer: SocketAddr,
    socket: Option<W>,
    connecting: bool,
    /// Not written yet; the first may be written in part.
    pending: VecDeque<Bytes>,
    steps: Steps,
    /// For the fleet, in order; the carrier takes them.
    reports: VecDeque<FleetEvent>,
}

impl<W: Wire> Driver<W> {
    /// A lane without a connection.
    pub(super) fn new(lane: Lane, clock: Clock, source: IpAddr, peer: SocketAddr) -> Self {
        Self {
            lane,
            clock,
            source,
            peer,
            socket: None,
            connecting: false,
            pending: VecDeque::new(),
            steps: Steps::new(),
            reports: VecDeque::new(),
        }
    }

    /// Does what mail and time ask for.
    pub(super) fn turn(&mut self, mail: Mail) {
        let now = self.clock.now();
        let Orders { gossip, adopt, .. } = mail.orders;
        if let Some(gossip) = gossip {
            self.lane.set_gossip(gossip);
        }
        if let Some((stream, rest)) = adopt {
            self.adopt(now, stream, &rest);
        }
        if self.lane.is_open() {
            for message in mail.items {
                self.queue(message);
            }
        }
        self.lane.on_time(now, &mut self.steps);
        self.carry_out(now);
    }

    /// The socket can be written to.
    pub(super) fn on_writable(&mut self) {
        let now = self.clock.now();
        if self.connecting {
            let outcome = self.socket.as_ref().map(W::connect_error);
            if let Some(Ok(None)) = outcome {
                self.connecting = false;
                self.lane.on_connected(now, &mut self.steps);
            } else {
                self.lane.on_closed(now, &mut self.steps);
            }
        }
        self.carry_out(now);
    }

    /// The socket can be read from.
    pub(super) fn on_readable(&mut self) {
        let now = self.clock.now();
        let mut buffer = [0; READ_BYTES];
        let Some(socket) = self.socket.as_ref().filter(|_| !self.connecting) else { return };
        match socket.try_read(&mut buffer) {
            Ok(0) => self.lane.on_closed(now, &mut self.steps),
            Ok(length) => self.lane.on_bytes(now, &buffer[..length], &mut self.steps),
            Err(error) if is_not_yet(&error) => {}
            Err(_) => self.lane.on_closed(now, &mut self.steps),
        }
        self.carry_out(now);
    }

    /// When [`Self::turn`] is next of use without mail.
    pub(super) fn next_wake(&self) -> Option<Monotonic> {
        self.lane.next_wake()
    }

    /// The socket, and whether to wait until it can be written to.
    pub(super) fn socket(&self) -> Option<(&W, bool)> {
        self.socket.as_ref().map(|socket| (socket, self.connecting || !self.pending.is_empty()))
    }

    /// The next word for the fleet.
    pub(super) fn next_report(&mut self) -> Option<FleetEvent> {
        self.reports.pop_front()
    }

    fn adopt(&mut self, now: Monotonic, stream: TcpStream, rest: &Bytes) {
        match W::wrap(stream) {
            Ok(socket) => {
                self.socket = Some(socket);
                self.connecting = false;
                self.pending.clear();
                self.lane.on_adopted(now, &mut self.steps);
                if !rest.is_empty() {
                    self.lane.on_bytes(now, rest, &mut self.steps);
                }
            }
            Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
        }
    }

    fn carry_out(&mut self, now: Monotonic) {
        loop {
            while let Some(step) = self.steps.pop_front() {
                match step {
                    Step::Connect => self.connect(now),
                    Step::Write(bytes) => self.queue(bytes),
                    Step::Beat(bytes) => self.beat(&bytes),
                    Step::Close => self.close(),
                    Step::Report(event) => self.reports.push_back(event),
                }
            }
            if self.flush().is_ok() {
                return;
            }
            self.close();
            self.lane.on_closed(now, &mut self.steps);
        }
    }

    fn close(&mut self) {
        self.socket = None;
        self.connecting = false;
        self.pending = VecDeque::new();
    }

    fn connect(&mut self, now: Monotonic) {
        match start_connect(self.source, self.peer).and_then(W::wrap) {
            Ok(socket) => {
                self.socket = Some(socket);
                self.connecting = true;
            }
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "no dial");
                self.lane.on_closed(now, &mut self.steps);
            }
        }
    }

    /// A peer that does not read costs a bounded number of messages; what is dropped is lost as in its mailbox.
    fn queue(&mut self, bytes: Bytes) {
        if self.pending.len() >= PEER_QUEUE_MAX {
            self.pending.remove(1); // the first may be under way
        }
        self.pending.push_back(bytes);
    }

    fn beat(&mut self, bytes: &[u8]) {
        let Some(socket) = self.socket.as_ref().filter(|_| self.pending.is_empty()) else { return };
        match socket.try_write(bytes) {
            Ok(written) if written == bytes.len() => {}
            Ok(written) => self.pending.push_back(Bytes::copy_from_slice(&bytes[written..])),
            Err(_) => {} // full: skipped; broken: the next read says so
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(socket) = self.socket.as_ref().filter(|_| !self.connecting) else { return Ok(()) };
        while let Some(first) = self.pending.front_mut() {
            match socket.try_write(first) {
                Ok(written) if written == first.len() => drop(self.pending.pop_front()),
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => first.advance(written),
                Err(error) if is_not_yet(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.pending.capacity() > 0 {
            self.pending = VecDeque::new(); // an idle lane keeps no room
        }
        Ok(())
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// A connect that is under way, from this server's own address.
fn start_connect(source: IpAddr, peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(peer), socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match socket.connect(&peer.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}
