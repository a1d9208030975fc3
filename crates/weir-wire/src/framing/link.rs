//! A connection as a pair of bounded queues of frames.
//!
//! Front ends hold one end, nodes the other. A full queue makes the sender wait; a link never drops a frame and never
//! reorders.

use std::io::IoSlice;

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};
use weir_core::limits::LINK_FRAMES_MAX;

use super::{Frame, FrameDecoder};

/// The other end is gone. What was in flight may or may not have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link is closed")]
pub struct LinkClosed;

/// One end of a connection.
#[derive(Debug)]
pub struct FrameLink {
    /// Frames to the other end.
    pub outgoing: mpsc::Sender<Frame>,
    /// Frames from the other end; `None` once it is gone.
    pub incoming: mpsc::Receiver<Frame>,
}

impl FrameLink {
    /// Takes over a connected socket: two tasks of the current runtime move frames until either side closes.
    pub fn over(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (outgoing, to_write) = mpsc::channel(LINK_FRAMES_MAX);
        let (was_read, incoming) = mpsc::channel(LINK_FRAMES_MAX);
        let (reader, writer) = tokio::io::split(stream);
        tokio::spawn(write_frames(writer, to_write));
        tokio::spawn(read_frames(reader, was_read));
        Self { outgoing, incoming }
    }

    /// Queues a frame; waits while the queue is full.
    pub async fn send(&self, frame: Frame) -> Result<(), LinkClosed> {
        self.outgoing.send(frame).await.map_err(|_| LinkClosed)
    }

    /// The next frame.
    pub async fn receive(&mut self) -> Option<Frame> {
        self.incoming.recv().await
    }
}

async fn read_frames(mut reader: impl AsyncRead + Unpin, frames: mpsc::Sender<Frame>) {
    let mut decoder = FrameDecoder::new();
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => {
                if frames.send(frame).await.is_err() {
                    return;
                }
            }
            Ok(None) => {
                decoder.buffer().reserve(64 * 1024);
                tokio::select! {
                    read = reader.read_buf(decoder.buffer()) => match read {
                        Ok(0) => return,
                        Ok(_) => {}
                        Err(error) => {
                            tracing::debug!(%error, "link read failed");
                            return;
                        }
                    },
                    () = frames.closed() => return,
                }
            }
            Err(error) => {
                tracing::warn!(%error, "link closed on a malformed frame");
                return;
            }
        }
    }
}

async fn write_frames(mut writer: impl AsyncWrite + Unpin, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        let mut parts = Vec::with_capacity(1 + frame.blobs.len());
        parts.push(frame.encode_head());
        parts.extend(frame.blobs);
        if let Err(error) = write_parts(&mut writer, parts).await {
            tracing::debug!(%error, "link write failed");
            return;
        }
    }
    let _ = writer.shutdown().await; // the peer sees the end either way
}

async fn write_parts(writer: &mut (impl AsyncWrite + Unpin), mut parts: Vec<Bytes>) -> std::io::Result<()> {
    let mut first = 0;
    while first < parts.len() {
        let slices: Vec<IoSlice<'_>> = parts[first..].iter().map(|part| IoSlice::new(part)).collect();
        let mut written = writer.write_vectored(&slices).await?;
        if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        while first < parts.len() && written >= parts[first].len() {
            written -= parts[first].len();
            first += 1;
        }
        if written > 0 {
            parts[first].advance(written);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(id: u64) -> Frame {
        Frame {
            kind: 1,
            id,
            meta: Bytes::from(vec![id as u8; 10]),
            blobs: vec![Bytes::from(vec![9; 100_000]), Bytes::new(), Bytes::from_static(b"z")],
        }
    }

    #[tokio::test]
    async fn frames_cross_a_socket_in_order_and_its_end_is_seen() {
        let (one, other) = tokio::io::duplex(4096);
        let (left, mut right) = (FrameLink::over(one), FrameLink::over(other));
        let sender = tokio::spawn(async move {
            for id in 0..50 {
                left.send(frame(id)).await.unwrap();
            }
            left
        });
        for id in 0..50 {
            assert_eq!(right.receive().await, Some(frame(id)));
        }
        drop(sender.await.unwrap());
        assert_eq!(right.receive().await, None, "the end of the other side is seen");
    }
}
