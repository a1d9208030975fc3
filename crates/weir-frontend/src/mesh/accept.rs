//! The mesh's listener: hears each dialler's hello and asks the fleet what to do with it; listens to nodes.
//!
//! Runs on the fleet thread. A connection that says nothing, or nonsense, costs one bounded wait; how many may be silent
//! at once is bounded.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use weir_core::{id::MemberId, limits::KIB};
use weir_wire::{framing::FrameDecoder, mesh::MeshMessage};

use crate::fleet::{FleetEvent, Hello, Source, Ticket};

/// Connections that have not said hello yet. More than the largest cell dials at once. Those that have wait in the
/// fleet's own bounded queue, and then for one lane each.
const GREETINGS_MAX: usize = 4_096;
/// How long a dialler may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes read from a node at once.
const NODE_READ_BYTES: usize = 16 * KIB;

/// A connection that waits for the fleet's answer.
pub(super) struct Greeted {
    pub(super) member: MemberId,
    pub(super) stream: TcpStream,
    /// What came after the hello.
    pub(super) rest: Bytes,
}

/// The connections that wait for the fleet's answer, by ticket.
#[derive(Clone, Default)]
pub(super) struct Lobby {
    waiting: Arc<Mutex<BTreeMap<Ticket, Greeted>>>,
    tickets: Arc<AtomicU64>,
}

impl Lobby {
    /// Takes one out.
    pub(super) fn take(&self, ticket: Ticket) -> Option<Greeted> {
        self.waiting.lock().remove(&ticket)
    }

    /// Lets one wait.
    pub(super) fn put(&self, greeted: Greeted) -> Ticket {
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        self.waiting.lock().insert(ticket, greeted);
        ticket
    }
}

/// Accepts until the fleet is gone.
pub(super) async fn accept(listener: TcpListener, lobby: Lobby, events: mpsc::Sender<FleetEvent>) {
    let greetings = Arc::new(Semaphore::new(GREETINGS_MAX));
    loop {
        let permit = Arc::clone(&greetings).acquire_owned().await.expect("never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let (lobby, events) = (lobby.clone(), events.clone());
                tokio::spawn(async move {
                    greet(stream, &lobby, &events).await;
                    drop(permit);
                });
            }
            // Out of file descriptors, or the dialler was gone already: wait a moment rather than spin.
            Err(error) => {
                tracing::warn!(%error, "the mesh could not accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        if events.is_closed() {
            return;
        }
    }
}

async fn greet(stream: TcpStream, lobby: &Lobby, events: &mpsc::Sender<FleetEvent>) {
    let _ = stream.set_nodelay(true); // a failure here only costs time
    let Ok(Some((stream, hello, rest))) = tokio::time::timeout(HELLO_TIMEOUT, read_hello(stream)).await
    else {
        return;
    };
    let ticket = lobby.put(Greeted { member: hello.member, stream, rest });
    if events.send(FleetEvent::Dialled { ticket, hello }).await.is_err() {
        lobby.take(ticket);
    }
}

async fn read_hello(mut stream: TcpStream) -> Option<(TcpStream, Hello, Bytes)> {
    let mut decoder = FrameDecoder::new();
    let frame = loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => break frame,
            Ok(None) if decoder.pending() <= KIB => {
                if stream.read_buf(decoder.buffer()).await.ok()? == 0 {
                    return None;
                }
            }
            Ok(None) | Err(_) => return None, // no hello is as long as that
        }
    };
    let rest = decoder.buffer().split().freeze();
    match MeshMessage::from_frame(&frame) {
        Ok(MeshMessage::Hello { member, life, cell, dialler, lane }) => {
            Some((stream, Hello { member, life, cell, dialler, lane }, rest))
        }
        _ => None,
    }
}

/// Answers a dialler whose connection ends with the answer.
pub(super) async fn refuse(mut greeted: Greeted, answer: MeshMessage) {
    let _ = greeted.stream.write_all(&answer.to_frame().encode()).await; // it may be gone already
    let _ = greeted.stream.shutdown().await;
}

/// Welcomes a node and hears its fragments until it goes.
pub(super) async fn listen_to_node(greeted: Greeted, welcome: MeshMessage, events: mpsc::Sender<FleetEvent>) {
    let Greeted { member, mut stream, rest } = greeted;
    if stream.write_all(&welcome.to_frame().encode()).await.is_err() {
        return;
    }
    let mut decoder = FrameDecoder::new();
    decoder.extend(&rest);
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => match MeshMessage::from_frame(&frame) {
                Ok(MeshMessage::Fragments { fragments, .. }) => {
                    let heard = FleetEvent::Heard { from: Source::Node(member), whole_map: false, fragments };
                    if events.send(heard).await.is_err() {
                        return;
                    }
                }
                Ok(MeshMessage::Beat { .. }) => {}
                Ok(other) => {
                    return tracing::warn!(node = %member, ?other, "a node says what only servers say");
                }
                Err(error) => return tracing::warn!(node = %member, %error, "a node sent no message"),
            },
            Ok(None) => {
                decoder.buffer().reserve(NODE_READ_BYTES);
                match stream.read_buf(decoder.buffer()).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
            Err(error) => return tracing::warn!(node = %member, %error, "a node sent no frame"),
        }
    }
}
