//! The two checksums that Weir's bytes carry.
//!
//! For whoever writes or reads frames, batches and messages. It must never change a value: both are on disks and on wires.

/// CRC-32C (Castagnoli; iSCSI's): of frames, batches and payloads.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32 (ISO-HDLC; zlib's): of the messages of event streams.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iso_hdlc(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bit by bit, as the standards tell it, with the polynomial reflected.
    fn slowly(bytes: &[u8], polynomial: u32) -> u32 {
        let bit = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ polynomial } else { crc >> 1 };
        !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc)))
    }

    #[test]
    fn these_are_the_values_of_the_catalogue() {
        assert_eq!((crc32c(b"123456789"), crc32(b"123456789")), (0xe306_9283, 0xcbf4_3926));
        assert_eq!((crc32c(b""), crc32(b"")), (0, 0));
    }

    proptest! {
        /// Lengths and places that meet every way in which a vector unit takes the ends.
        #[test]
        fn they_are_the_values_of_the_polynomials(
            bytes in prop::collection::vec(any::<u8>(), 0..3_000),
            skipped in 0..64usize,
        ) {
            let bytes = &bytes[skipped.min(bytes.len())..];
            prop_assert_eq!(crc32c(bytes), slowly(bytes, 0x82f6_3b78));
            prop_assert_eq!(crc32(bytes), slowly(bytes, 0xedb8_8320));
        }
    }
}
