//! Cuts frames out of a byte stream as it arrives.
//!
//! Used by the asynchronous link and by the mesh's plain threads alike: it owns a buffer and no socket. A frame over
//! the bound is refused from its head, before a byte of it is kept.

use bytes::{Buf, BytesMut};
use weir_core::limits::FRAME_BYTES_MAX;

use super::{FRAME_HEAD_BYTES, Frame};

/// Bytes that are no frame. The connection they came on is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The head announces more than a frame may have.
    #[error("a frame of {bytes} bytes is over the bound of {FRAME_BYTES_MAX}")]
    TooLarge {
        /// Bytes announced.
        bytes: usize,
    },
    /// The parts do not add up to the whole.
    #[error("the parts of a frame do not add up to its length")]
    Inconsistent,
}

/// Collects bytes and gives out whole frames.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: BytesMut,
}

impl FrameDecoder {
    /// An empty decoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where to read the next bytes into.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame, `None` when more bytes are needed. Blobs are slices of the buffer, not copies.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(head) = self.buffer.first_chunk::<FRAME_HEAD_BYTES>() else { return Ok(None) };
        let mut fields = &head[..];
        let body_bytes = fields.get_u32_le() as usize;
        let kind = fields.get_u16_le();
        let blobs_count = usize::from(fields.get_u16_le());
        let id = fields.get_u64_le();
        let meta_bytes = fields.get_u32_le() as usize;
        if body_bytes > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge { bytes: body_bytes });
        }
        if blobs_count * 4 + meta_bytes > body_bytes {
            return Err(FrameError::Inconsistent);
        }
        let whole = FRAME_HEAD_BYTES + body_bytes;
        if self.buffer.len() < whole {
            self.buffer.reserve(whole - self.buffer.len());
            return Ok(None);
        }
        let mut body = self.buffer.split_to(whole).freeze();
        body.advance(FRAME_HEAD_BYTES);
        let mut lengths = body.split_to(blobs_count * 4);
        let meta = body.split_to(meta_bytes);
        let mut blobs = Vec::with_capacity(blobs_count);
        for _ in 0..blobs_count {
            let len = lengths.get_u32_le() as usize;
            if len > body.len() {
                return Err(FrameError::Inconsistent);
            }
            blobs.push(body.split_to(len));
        }
        if body.is_empty() {
            Ok(Some(Frame { kind, id, meta, blobs }))
        } else {
            Err(FrameError::Inconsistent)
        }
    }

    /// Takes bytes that were read elsewhere.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes of a frame that has not ended yet.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let blob = prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let frame = (any::<u16>(), any::<u64>(), blob.clone(), prop::collection::vec(blob, 0..4))
            .prop_map(|(kind, id, meta, blobs)| Frame { kind, id, meta, blobs });
        prop::collection::vec(frame, 1..6)
    }

    fn encoded(frames: &[Frame]) -> Bytes {
        frames.iter().flat_map(|f| f.encode()).collect()
    }

    #[test]
    fn the_head_is_these_bytes() {
        let frame =
            Frame { kind: 3, id: 7, meta: Bytes::from_static(b"m"), blobs: vec![Bytes::from_static(b"xy")] };
        let golden =
            [7, 0, 0, 0, 3, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, b'm', b'x', b'y'];
        assert_eq!(frame.encode().as_ref(), golden);
    }

    #[test]
    fn an_oversized_frame_is_refused_from_its_head() {
        let mut decoder = FrameDecoder::new();
        let mut head = [0u8; FRAME_HEAD_BYTES];
        head[..4].copy_from_slice(&(FRAME_BYTES_MAX as u32 + 1).to_le_bytes());
        decoder.extend(&head);
        assert!(matches!(decoder.next_frame(), Err(FrameError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut_of_the_stream(frames in frames(), cut: prop::sample::Index) {
            let bytes = encoded(&frames);
            let cut = cut.index(bytes.len());
            let mut decoder = FrameDecoder::new();
            let mut read = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                decoder.extend(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    read.push(frame);
                }
            }
            prop_assert_eq!(read, frames);
            prop_assert_eq!(decoder.pending(), 0);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut decoder = FrameDecoder::new();
            decoder.extend(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }
}
