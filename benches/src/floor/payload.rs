//! What the floor makes of bodies: the bytes that it writes.
//!
//! By the fastest libraries there are for it, one pass each: this is what decoding costs at least, not how Weir does it.

use md5::{Digest, Md5};
use serde::Deserialize;
use weir_core::checksum::crc32c;

/// The bytes of all requests since the last write.
#[derive(Debug, Default)]
pub(super) struct Payload {
    bytes: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Several<'a> {
    #[serde(borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    data: &'a str,
    partition_key: &'a str,
}

impl Payload {
    /// Adds the records of a body, each with the hash of its key and of its data; how many.
    pub(super) fn decode(&mut self, several: bool, body: &[u8]) -> anyhow::Result<usize> {
        if several {
            let Several { records } = sonic_rs::from_slice(body)?;
            for record in &records {
                self.add(record)?;
            }
            Ok(records.len())
        } else {
            self.add(&sonic_rs::from_slice(body)?)?;
            Ok(1)
        }
    }

    fn add(&mut self, record: &Record<'_>) -> anyhow::Result<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&Md5::digest(record.partition_key.as_bytes()));
        self.bytes.extend_from_slice(&[0; 4]);
        let data = self.bytes.len();
        base64_simd::STANDARD.decode_append(record.data.as_bytes(), &mut self.bytes)?;
        let crc = crc32c(&self.bytes[data..]);
        self.bytes[start + 16..data].copy_from_slice(&crc.to_le_bytes());
        Ok(())
    }

    /// Adds a body as it is.
    pub(super) fn keep(&mut self, body: &[u8]) {
        self.bytes.extend_from_slice(body);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}
