//! What a connection reads of heads, and whether there is room for more of the one that comes.
//!
//! Asked by the stream that hyper reads from (`preface.rs`), for hyper keeps a head until it is whole. Of HTTP/1.1 what comes
//! while no request is served is a head, and perhaps the beginning of a body: the request begins as soon as the head is
//! whole, and then it is not counted any more. Of HTTP/2 the frames say what is a head. It must never change a byte.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Sleep;

use super::{
    exchanges::Exchanges,
    preface::{PREFACE, Version},
};

/// How long a head that goes on waits for room.
const CROWDED_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of a frame in front of what it carries: length (3), kind (1), flags (1), stream (4).
const FRAME_HEADER_BYTES: usize = 9;
/// Kinds of frames that a head is made of (RFC 9113, 6.2 and 6.10), and the flag of its last.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// The heads of one connection.
#[derive(Debug)]
pub(super) struct Heads {
    exchanges: Arc<Exchanges>,
    /// Of HTTP/2.
    frames: Option<Frames>,
    /// There is no room; when it is given up.
    crowded: Option<Pin<Box<Sleep>>>,
}

/// Where the bytes of HTTP/2 are among their frames.
#[derive(Debug)]
struct Frames {
    header: [u8; FRAME_HEADER_BYTES],
    /// Bytes of `header` that have come.
    have: usize,
    /// Bytes that the frame still carries.
    left: usize,
    in_head: bool,
    /// The head ends with this frame.
    ends_head: bool,
}

impl Heads {
    /// Of a connection that speaks `version`; nothing was read by hyper yet.
    pub(super) fn new(version: Version, exchanges: Arc<Exchanges>) -> Self {
        let frames = match version {
            Version::Http1 => None,
            Version::Http2 => Some(Frames::new()),
        };
        Self { exchanges, frames, crowded: None }
    }

    /// May the connection read on? Waits for room for a while, then there is an error.
    pub(super) fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.exchanges.may_read(context.waker()) {
            self.crowded = None;
            return Poll::Ready(Ok(()));
        }
        // What was read may be a whole head with some of its body: then its request begins as soon as it has its turn.
        let wait = self.crowded.get_or_insert_with(|| Box::pin(tokio::time::sleep(CROWDED_TIMEOUT)));
        wait.as_mut().poll(context).map(|()| Err(no_room()))
    }

    /// These bytes have come.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        match &mut self.frames {
            None => self.exchanges.read_in_turn(bytes.len()),
            Some(frames) => frames.pass(bytes, &self.exchanges),
        }
    }
}

impl Frames {
    fn new() -> Self {
        let header = [0; FRAME_HEADER_BYTES];
        Self { header, have: 0, left: PREFACE.len(), in_head: false, ends_head: false }
    }

    fn pass(&mut self, mut bytes: &[u8], exchanges: &Exchanges) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = self.left.min(bytes.len());
                bytes = &bytes[count..];
                self.left -= count;
                if self.in_head {
                    exchanges.read_of_head(count);
                }
            } else {
                let count = bytes.len().min(FRAME_HEADER_BYTES - self.have);
                let (some, rest) = bytes.split_at(count);
                self.header[self.have..][..count].copy_from_slice(some);
                self.have += count;
                bytes = rest;
                if self.have < FRAME_HEADER_BYTES {
                    return;
                }
                let [a, b, c, kind, flags, ..] = self.header;
                self.have = 0;
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.in_head = matches!(kind, HEADERS | CONTINUATION);
                self.ends_head = self.in_head && flags & END_HEADERS != 0;
            }
            if self.left == 0 && std::mem::take(&mut self.ends_head) {
                exchanges.head_ended();
            }
        }
    }
}

fn no_room() -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, "there is no room for the rest of its head")
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;
    use weir_core::limits::{HTTP_HEAD_BYTES_FREE, KIB};
    use weir_sync::ByteBudget;

    use super::{super::Bounds, *};

    fn frame(kind: u8, flags: u8, bytes: usize) -> Vec<u8> {
        let length = u32::try_from(bytes).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], &vec![7; bytes]].concat()
    }

    proptest! {
        #[test]
        fn a_head_is_counted_by_its_frames_however_they_are_cut(piece in 1..20_000usize, end: bool) {
            let budget = ByteBudget::new(100 * KIB);
            let exchanges = Exchanges::new(Bounds::SERVED.paces, budget.clone(), Arc::default());
            let last = if end { END_HEADERS } else { 0 };
            let bytes = [
                PREFACE.to_vec(),
                frame(HEADERS, END_HEADERS, 10 * KIB),
                frame(0, 0, 16 * KIB),
                frame(HEADERS, 0, HTTP_HEAD_BYTES_FREE),
                frame(CONTINUATION, last, KIB),
                frame(0, 0, 5)[..7].to_vec(),
            ]
            .concat();
            let mut frames = Frames::new();
            for piece in bytes.chunks(piece) {
                frames.pass(piece, &exchanges);
            }
            prop_assert!(exchanges.may_read(Waker::noop()));
            prop_assert_eq!(100 * KIB - budget.available(), if end { 0 } else { 2 * KIB });
        }
    }
}
