//! The floor under durable puts: one thread that does what no server of this API can leave out, and nothing else.
//!
//! Run beside Weir by the suite of peers, with the same client and the same bodies, to say how much of what sockets,
//! hash and disk allow is left. It reads HTTP/1.1 from any number of connections on one epoll, and in stages that are
//! asked for one by one: takes JSON and base64 apart, hashes partition keys and records, hashes the body as a signature
//! wants it, writes all that has arrived and syncs once. Readers get a body of records that was made once. It is no
//! Kinesis: it checks nothing, has no shards, and answers from templates.

mod connection;
mod payload;
mod store;

use std::{collections::HashMap, net::TcpListener, os::fd::AsRawFd, path::PathBuf, rc::Rc};

use anyhow::Context;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use sha2::{Digest, Sha256};

use self::{
    connection::{Asked, Connection, Heard, head_of_answer},
    payload::Payload,
    store::Store,
};

/// Events taken at once.
const EVENTS_MAX: usize = 256;
/// Records of the body that readers get, and bytes of each: what the suite asks of all others, too.
const READ_RECORDS: usize = 500;
const READ_RECORD_BYTES: usize = 1024;
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
    listener.set_nonblocking(true)?;
    let mut floor = Floor {
        epoll: Epoll::new(EpollCreateFlags::empty()).context("make an epoll")?,
        store: stages.store.as_deref().map(Store::open).transpose()?,
        stages: stages.clone(),
        payload: Payload::default(),
        connections: HashMap::new(),
        heard: Vec::new(),
        records: records_answer()?,
    };
    floor.epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut events = vec![EpollEvent::empty(); EVENTS_MAX];
    loop {
        let count = floor.epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            if event.data() == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let number = u64::try_from(stream.as_raw_fd()).context("a descriptor")?;
                floor.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
                floor.connections.insert(number, Connection::new(stream));
            } else if event.events().contains(EpollFlags::EPOLLOUT) {
                floor.send(event.data())?;
            } else {
                floor.read(event.data())?;
            }
        }
        floor.answer()?;
    }
}

struct Floor {
    epoll: Epoll,
    stages: Stages,
    store: Option<Store>,
    payload: Payload,
    connections: HashMap<u64, Connection>,
    /// Who has sent a whole request since the last answers.
    heard: Vec<(u64, Heard)>,
    /// What readers get, head and all.
    records: Rc<[u8]>,
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
        let is_put = matches!(request.asked, Asked::PutRecord | Asked::PutRecords);
        let records = if self.stages.decode && is_put {
            self.payload.decode(request.asked == Asked::PutRecords, body).context("a body that reads")?
        } else {
            if self.store.is_some() && is_put {
                self.payload.keep(body);
            }
            request.records_guess
        };
        connection.taken(request);
        self.heard.push((number, Heard { records, asked: request.asked }));
        Ok(())
    }

    /// Everybody who has sent a request is answered, behind one write and one sync for all.
    fn answer(&mut self) -> anyhow::Result<()> {
        if self.heard.is_empty() {
            return Ok(());
        }
        if let Some(store) = self.store.as_mut().filter(|_| !self.payload.bytes().is_empty()) {
            store.put(self.payload.bytes())?;
        }
        self.payload.clear();
        let mut all_heard = std::mem::take(&mut self.heard);
        for (number, heard) in all_heard.drain(..) {
            let Some(connection) = self.connections.get_mut(&number) else { continue };
            let said = match heard.asked {
                Asked::GetRecords => connection.answer_with(&self.records),
                _ => connection.answer(heard),
            };
            match said {
                Ok(true) => {}
                // The rest goes when the socket has room; the next request is not read before.
                Ok(false) => self.watch(number, EpollFlags::EPOLLOUT)?,
                Err(_) => drop(self.connections.remove(&number)),
            }
        }
        self.heard = all_heard; // its room is used again
        Ok(())
    }

    /// Goes on with an answer that the socket did not take at once.
    fn send(&mut self, number: u64) -> anyhow::Result<()> {
        let Some(connection) = self.connections.get_mut(&number) else { return Ok(()) };
        match connection.send() {
            Ok(true) => self.watch(number, EpollFlags::EPOLLIN)?,
            Ok(false) => {}
            Err(_) => drop(self.connections.remove(&number)),
        }
        Ok(())
    }

    fn watch(&mut self, number: u64, ready: EpollFlags) -> anyhow::Result<()> {
        if let Some(connection) = self.connections.get(&number) {
            self.epoll.modify(connection.stream(), &mut EpollEvent::new(ready, number))?;
        }
        Ok(())
    }
}

/// An answer to GetRecords, as large as one that holds records.
fn records_answer() -> anyhow::Result<Rc<[u8]>> {
    let data = base64_simd::STANDARD.encode_to_string([b'x'; READ_RECORD_BYTES]);
    let record = format!(
        r#"{{"ApproximateArrivalTimestamp":1606272240.123,"Data":"{data}","PartitionKey":"key-0000","SequenceNumber":"49668899999999999999999999999999999999999999999999999999"}}"#
    );
    let records = vec![record; READ_RECORDS].join(",");
    let body = format!(r#"{{"MillisBehindLatest":1000,"NextShardIterator":"AAAA","Records":[{records}]}}"#);
    let mut answer = Vec::with_capacity(body.len() + 128);
    head_of_answer(&mut answer, body.len())?;
    answer.extend_from_slice(body.as_bytes());
    Ok(answer.into())
}
