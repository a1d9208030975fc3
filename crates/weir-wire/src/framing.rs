//! Frames: how Weir's own messages share a connection.
//!
//! Front ends, nodes and the mesh send them. A frame's blobs are batches and are never copied by encoding: the socket
//! takes them by vectored write. Nothing here knows what a frame means.

mod decoder;
mod link;

use bytes::{BufMut, Bytes, BytesMut};

pub use self::decoder::{FrameDecoder, FrameError};
pub use self::link::{FrameLink, LinkClosed};

/// Bytes of a frame's fixed head.
pub const FRAME_HEAD_BYTES: usize = 20;

/// One message.
///
/// On a socket, little endian: bytes after the head (u32), kind (u16), number of blobs (u16), request id (u64), bytes
/// of meta (u32); then the length of each blob (u32 each), the meta, the blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is: each protocol numbers its own.
    pub kind: u16,
    /// Pairs an answer with its question; zero where there is none.
    pub id: u64,
    /// The message's fields.
    pub meta: Bytes,
    /// The batches that go with it, in the order in which the fields name them.
    pub blobs: Vec<Bytes>,
}

impl Frame {
    /// A frame without blobs.
    pub fn new(kind: u16, id: u64, meta: Bytes) -> Self {
        Self { kind, id, meta, blobs: Vec::new() }
    }

    /// Bytes on the socket after the head.
    pub fn body_bytes(&self) -> usize {
        self.blobs.len() * 4 + self.meta.len() + self.blobs.iter().map(Bytes::len).sum::<usize>()
    }

    /// Head, blob lengths and meta: what goes before the blobs on a socket.
    pub fn encode_head(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(FRAME_HEAD_BYTES + self.blobs.len() * 4 + self.meta.len());
        out.put_u32_le(u32::try_from(self.body_bytes()).expect("frames are bounded by FRAME_BYTES_MAX"));
        out.put_u16_le(self.kind);
        out.put_u16_le(u16::try_from(self.blobs.len()).expect("a frame has at most 500 blobs"));
        out.put_u64_le(self.id);
        out.put_u32_le(u32::try_from(self.meta.len()).expect("frames are bounded by FRAME_BYTES_MAX"));
        for blob in &self.blobs {
            out.put_u32_le(u32::try_from(blob.len()).expect("frames are bounded by FRAME_BYTES_MAX"));
        }
        out.put_slice(&self.meta);
        out.freeze()
    }

    /// The whole frame in one piece: for the mesh, whose messages are small.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(FRAME_HEAD_BYTES + self.body_bytes());
        out.put_slice(&self.encode_head());
        for blob in &self.blobs {
            out.put_slice(blob);
        }
        out.freeze()
    }
}
