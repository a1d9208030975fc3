//! The answer to `SubscribeToShard` as its reader sees it: chunks of HTTP/1.1, and messages of an event stream in them.
//!
//! Checks every message's sums; hands out payloads. It never waits for more than one read.

use std::{io::Read, net::TcpStream};

use anyhow::{Context, bail};
use weir_wire::kinesis::event_stream::Message;

/// Bytes asked of the socket at once.
const READ_BYTES: usize = 256 << 10;

/// A subscription whose request was sent.
#[derive(Debug)]
pub(super) struct Subscription {
    stream: TcpStream,
    /// As they came: a head first, then chunks.
    raw: Vec<u8>,
    /// Where reads go.
    room: Vec<u8>,
    had_head: bool,
    /// Out of their chunks.
    messages: Vec<u8>,
}

impl Subscription {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, raw: Vec::new(), room: vec![0; READ_BYTES], had_head: false, messages: Vec::new() }
    }

    /// Reads once and hands each whole payload to `see`; false at the end of the subscription.
    pub(super) fn read(&mut self, mut see: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<bool> {
        let count = self.stream.read(&mut self.room).context("an event")?;
        self.raw.extend_from_slice(&self.room[..count]);
        if count == 0 || !self.unwrap()? {
            return Ok(false);
        }
        let mut taken = 0;
        while let Some((message, bytes)) = Message::decode(&self.messages[taken..])? {
            see(&message.payload)?;
            taken += bytes;
        }
        self.messages.drain(..taken);
        Ok(true)
    }

    /// Moves whole chunks to the messages; false behind the last one.
    fn unwrap(&mut self) -> anyhow::Result<bool> {
        let mut taken = 0;
        if !self.had_head {
            let Some(end) = self.raw.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                return Ok(true);
            };
            if !self.raw.starts_with(b"HTTP/1.1 200") {
                bail!("no subscription: {}", String::from_utf8_lossy(&self.raw));
            }
            self.had_head = true;
            taken = end + 4;
        }
        let mut goes_on = true;
        while let httparse::Status::Complete((line, bytes)) =
            httparse::parse_chunk_size(&self.raw[taken..]).map_err(|_| anyhow::anyhow!("a chunk's size"))?
        {
            let bytes = usize::try_from(bytes).context("a chunk's size")?;
            let Some(chunk) = self.raw[taken + line..].get(..bytes + 2) else { break };
            self.messages.extend_from_slice(&chunk[..bytes]);
            taken += line + bytes + 2;
            goes_on &= bytes > 0;
        }
        self.raw.drain(..taken);
        Ok(goes_on)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, net::TcpListener};

    use super::*;

    #[test]
    fn payloads_come_out_however_their_bytes_are_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut subscription = Subscription::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (mut server, _) = listener.accept().unwrap();
        let message = Message::event("SubscribeToShardEvent", "application/json", b"payload").encode();
        let (front, back) = message.split_at(20);
        let mut sent = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for chunk in [front, back, &message, b""] {
            sent.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            sent.extend_from_slice(chunk);
            sent.extend_from_slice(b"\r\n");
        }
        let (mut seen, mut goes_on) = (0, true);
        for piece in sent.chunks(7) {
            assert!(goes_on, "before its last chunk");
            server.write_all(piece).unwrap();
            goes_on = subscription
                .read(|payload| {
                    assert_eq!(payload, b"payload");
                    seen += 1;
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!((seen, goes_on), (2, false));
    }
}
