//! A client of brokers that speak no Kinesis: Redis Streams, NATS JetStream, RabbitMQ streams.
//!
//! Run beside `weir load` by `cargo xtask bench`, with batches of the same size and as many in flight. One thread, one epoll;
//! each connection keeps one batch in flight, written from bytes that were made once, and sends the next when every record
//! of the last is acknowledged. A record counts when its broker has acknowledged it by itself: nothing is assumed.

mod nats;
mod rabbitmq;
mod redis;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use weir_core::clock::{Clock, Monotonic};

use crate::report::{ClientReport, Tally, processor_seconds};

/// Room for answers that have not been read whole.
const ANSWER_ROOM_BYTES: usize = 64 << 10;
/// How long a broker may say nothing at all.
const SILENCE_MAX_MS: u16 = 20_000;
/// The stream's name at every broker.
const STREAM: &str = "s";

/// A broker, by its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// Redis Streams: `XADD` commands, pipelined.
    Redis,
    /// NATS JetStream: `PUB` with a reply subject for each acknowledgement.
    Nats,
    /// RabbitMQ streams by their own binary protocol.
    RabbitMq,
}

/// What is sent, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct PeerLoad {
    /// Where the broker listens.
    pub address: SocketAddr,
    /// Connections; each has one batch in flight.
    pub connections: usize,
    /// Records of a batch.
    pub batch: usize,
    /// Bytes of a record.
    pub record_bytes: usize,
    /// How long batches are begun.
    pub duration: Duration,
}

/// How one broker is spoken to, on one connection.
trait Protocol {
    /// Logs in and makes the stream where it is not there, over a stream that blocks.
    fn open(&mut self, stream: &mut TcpStream) -> anyhow::Result<()>;

    /// The bytes of a batch.
    fn batch(&mut self, records: usize, record: &[u8]) -> Vec<u8>;

    /// Takes whole answers off the front of `bytes`: how many bytes that were, and what they said.
    fn answers(&mut self, bytes: &[u8]) -> anyhow::Result<(usize, Heard)>;
}

/// What answers said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    acknowledged: usize,
    refused: Vec<String>,
    /// To be sent back at once: a broker asks whether its client lives.
    reply: Vec<u8>,
}

impl Broker {
    fn protocol(self, connection: usize) -> Box<dyn Protocol> {
        match self {
            Self::Redis => Box::new(redis::Redis),
            Self::Nats => Box::new(nats::Nats::new(connection)),
            Self::RabbitMq => Box::new(rabbitmq::RabbitMq::default()),
        }
    }
}

struct Connection {
    protocol: Box<dyn Protocol>,
    stream: TcpStream,
    batch: Vec<u8>,
    /// Bytes of the batch that are sent; all of them while nothing is to be written.
    sent: usize,
    begun: Monotonic,
    awaited: usize,
    had_refusal: bool,
    answers: Vec<u8>,
    filled: usize,
}

impl Connection {
    fn open(broker: Broker, number: usize, load: &PeerLoad, record: &[u8]) -> anyhow::Result<Self> {
        let mut protocol = broker.protocol(number);
        let mut stream = TcpStream::connect(load.address).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(SILENCE_MAX_MS.into())))?;
        protocol.open(&mut stream)?;
        let batch = protocol.batch(load.batch, record);
        stream.set_nonblocking(true)?;
        Ok(Self {
            protocol,
            stream,
            sent: batch.len(),
            batch,
            begun: Monotonic::ZERO,
            awaited: 0,
            had_refusal: false,
            answers: vec![0; ANSWER_ROOM_BYTES],
            filled: 0,
        })
    }

    fn begin(&mut self, now: Monotonic, records: usize) -> io::Result<()> {
        (self.sent, self.begun, self.awaited, self.had_refusal) = (0, now, records, false);
        self.write()
    }

    /// Sends what the socket takes.
    fn write(&mut self) -> io::Result<()> {
        while self.sent < self.batch.len() {
            match self.stream.write(&self.batch[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there; true when that ends the batch.
    fn read(&mut self, tally: &mut Tally) -> anyhow::Result<bool> {
        loop {
            match self.stream.read(&mut self.answers[self.filled..]) {
                Ok(0) => bail!("the broker closed the connection"),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            let (taken, heard) = self.protocol.answers(&self.answers[..self.filled])?;
            self.answers.copy_within(taken..self.filled, 0);
            self.filled -= taken;
            if self.filled == self.answers.len() {
                bail!("an answer of more than {ANSWER_ROOM_BYTES} bytes");
            }
            let settled = heard.acknowledged + heard.refused.len();
            let left = self.awaited.checked_sub(settled);
            self.awaited = left.context("more acknowledgements than records")?;
            for refusal in heard.refused {
                self.had_refusal = true;
                tally.error(refusal, 1);
            }
            if !heard.reply.is_empty() {
                self.reply(&heard.reply)?;
            }
            if settled > 0 && self.awaited == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Behind the batch that is being sent, or at once when none is.
    fn reply(&mut self, reply: &[u8]) -> anyhow::Result<()> {
        if self.sent < self.batch.len() {
            bail!("the broker asks in the middle of a batch");
        }
        self.stream.write_all(reply).context("reply")
    }
}

/// Sends batches for the duration, and waits for the last acknowledgements.
///
/// # Errors
/// When the broker cannot be reached, speaks otherwise than expected, or falls silent.
pub fn run(broker: Broker, load: &PeerLoad) -> anyhow::Result<ClientReport> {
    // No codec or disk of any of these brokers shortens what it stores.
    let record: Vec<u8> = (0..load.record_bytes).map(|at| b'a' + (at % 26) as u8).collect();
    let mut connections = (0..load.connections)
        .map(|number| Connection::open(broker, number, load, &record))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let epoll = Epoll::new(EpollCreateFlags::empty()).context("make an epoll")?;
    for (number, connection) in connections.iter().enumerate() {
        let ready = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        epoll.add(&connection.stream, EpollEvent::new(ready, number as u64))?;
    }
    let clock = Clock::new();
    let begun = clock.now();
    let cpu_before = processor_seconds()?;
    for connection in &mut connections {
        connection.begin(clock.now(), load.batch)?;
    }
    let mut tally = Tally::new();
    let mut busy = connections.len();
    let mut events = vec![EpollEvent::empty(); load.connections];
    while busy > 0 {
        let count = epoll.wait(&mut events, EpollTimeout::from(SILENCE_MAX_MS))?;
        if count == 0 {
            bail!("the broker has been silent for {SILENCE_MAX_MS} ms");
        }
        for event in &events[..count] {
            let number = usize::try_from(event.data()).context("a connection's number")?;
            let connection = &mut connections[number];
            connection.write()?;
            // A batch that ends begins the next, whose answers may be there already: read until there is nothing.
            while connection.read(&mut tally)? {
                let now = clock.now();
                if !connection.had_refusal {
                    tally.succeeded += 1;
                    tally.bytes += (load.batch * load.record_bytes) as u64;
                    tally.took(now.since(connection.begun));
                }
                if now.since(begun) < load.duration {
                    connection.begin(now, load.batch)?;
                } else {
                    busy -= 1;
                    break;
                }
            }
        }
    }
    Ok(tally.report(clock.now().since(begun), processor_seconds()? - cpu_before))
}

/// The line at the front of `bytes` without its end, and the bytes it took; `None` when it has not arrived whole.
fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], end + 2))
}
