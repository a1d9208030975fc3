//! The floor under durable puts: one thread that does what no server of this API can leave out, and nothing else.
//!
//! Run beside Weir by the suite of peers, with the same client and the same bodies, to say how much of what sockets, hash and
//! disk allow is left. It reads HTTP/1.1 from any number of connections on one epoll, and in stages that are asked for one
//! by one: takes JSON and base64 apart, hashes partition keys and records, hashes the body as a signature wants it, writes
//! all that has arrived and syncs once. It is no Kinesis: it checks nothing, has no shards, and answers from templates.

mod connection;
mod payload;
mod store;

use std::{collections::HashMap, net::TcpListener, os::fd::AsRawFd, path::PathBuf};

use anyhow::Context;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use sha2::{Digest, Sha256};

use self::{
    connection::{Connection, Heard},
    payload::Payload,
    store::Store,
};

/// Events taken at once.
const EVENTS_MAX: usize = 256;
/// The listener's number among events; connections have those of their descriptors.
const LISTENER: u64 = u64::MAX;

/// What is done with a request, beside reading it and answering.
#[derive(Debug, Clone, Default)]
pub struct Stages {
    /// Take JSON and base64 apart, hash keys and records.
    pub decode: bool,
    /// Hash the body with SHA-256, as who checks a signature must.
    pub hash: bool,
    /// Write into a file of this folder and sync, before the answer.
    pub store: Option<PathBuf>,
}

/// Serves for ever.
///
/// # Errors
/// What the kernel says to sockets or files. A connection that breaks ends alone.
pub fn serve(listener: &TcpListener, stages: &Stages) -> anyhow::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::empty()).context("make an epoll")?;
    listener.set_nonblocking(true)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut floor = Floor {
        store: stages.store.as_deref().map(Store::open).transpose()?,
        stages: stages.clone(),
        payload: Payload::default(),
        connections: HashMap::new(),
        heard: Vec::new(),
    };
    let mut events = vec![EpollEvent::empty(); EVENTS_MAX];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            if event.data() == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let number = u64::try_from(stream.as_raw_fd()).context("a descriptor")?;
                epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
                floor.connections.insert(number, Connection::new(stream));
            } else {
                floor.read(event.data())?;
            }
        }
        floor.answer()?;
    }
}

struct Floor {
    stages: Stages,
    store: Option<Store>,
    payload: Payload,
    connections: HashMap<u64, Connection>,
    /// Who has sent a whole request since the last answers.
    heard: Vec<(u64, Heard)>,
}

impl Floor {
    fn read(&mut self, number: u64) -> anyhow::Result<()> {
        let Some(connection) = self.connections.get_mut(&number) else { return Ok(()) };
        let Ok(whole) = connection.read() else {
            self.connections.remove(&number);
            return Ok(());
        };
        let Some(request) = whole else { return Ok(()) };
        let body = connection.body(request);
        if self.stages.hash {
            std::hint::black_box(Sha256::digest(body));
        }
        let records = if self.stages.decode {
            self.payload.decode(request.several, body).context("a body that reads")?
        } else {
            if self.store.is_some() {
                self.payload.keep(body);
            }
            request.records_guess
        };
        connection.taken(request);
        self.heard.push((number, Heard { records, several: request.several }));
        Ok(())
    }

    /// Everybody who has sent a request is answered, behind one write and one sync for all.
    fn answer(&mut self) -> anyhow::Result<()> {
        if self.heard.is_empty() {
            return Ok(());
        }
        if let Some(store) = &mut self.store {
            store.put(self.payload.bytes())?;
        }
        self.payload.clear();
        for (number, heard) in self.heard.drain(..) {
            let said = self.connections.get_mut(&number).map(|connection| connection.answer(heard));
            if matches!(said, Some(Err(_))) {
                self.connections.remove(&number);
            }
        }
        Ok(())
    }
}
