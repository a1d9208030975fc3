//! What the fuzz target of the log drives: arbitrary bytes as frames and as the bodies behind their checksums.
//!
//! Called by the target in `tests/fuzz` and by the test that replays its corpus. Nothing that ships calls it.

use crate::{
    frame::{FRAME_HEADER_BYTES, FrameHeader, MAGIC, header_crc},
    segment::footer::Footer,
    snapshot::{Snapshot, decode_opened},
};

/// The bytes are looked through for frames, as recovery does; then they are a header whose checksum holds, and the body of
/// every kind of frame. A header that reads is the one that was written.
pub fn frames(input: &[u8]) {
    const SALT: u32 = 7;
    let mut from = 0;
    while let Some(at) = FrameHeader::next_candidate(input, from) {
        let offset = u32::try_from(at).expect("no input is so long");
        if let Some(header) = FrameHeader::decode(&input[at..], SALT, offset) {
            assert!(header.frame_bytes() >= FRAME_HEADER_BYTES);
        }
        from = at + 1;
    }
    if let Some(header) = input.first_chunk::<FRAME_HEADER_BYTES>() {
        let mut header = *header;
        header[4..8].copy_from_slice(&MAGIC);
        header[9..12].fill(0);
        let crc = header_crc(SALT, 0, &header);
        header[..4].copy_from_slice(&crc.to_le_bytes());
        if let Some(decoded) = FrameHeader::decode(&header, SALT, 0) {
            assert_eq!(decoded.encode(SALT, 0), header, "a header is all that its bytes say");
        }
    }
    let _ = decode_opened(input);
    let _ = Snapshot::decode(&mut &input[..]);
    let _ = Footer::decode(input, u32::MAX);
}
