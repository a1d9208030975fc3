//! Bodies of put calls: laid out once, shared as they are or patched in place.
//!
//! A record's head (its id and checksum) is 32 base64 characters of its own, or 24 bytes in CBOR, and its partition key has
//! a fixed length, so that a body of 500 records becomes another body of 500 records by 1,000 small copies. Without ids, a
//! few bodies are made and sent again and again.

use std::{collections::BTreeMap, io::Write};

use base64_simd::{AsOut, STANDARD};
use bytes::Bytes;
use rand::Rng as _;
use weir_core::{entropy::Rng, limits::MIB};
use weir_wire::kinesis::{cbor::CborWriter, encode::Encoder, encoding::Encoding, json::JsonWriter};

use super::{Operation, call::Call};
use crate::{
    config::KinesisLoad,
    draw::Keys,
    payload::{RECORD_HEAD_BASE64_CHARS, RECORD_HEAD_BYTES, RecordId, write_head},
    workload::RequestBuffer,
};

/// Characters of a partition key: `k` and nine digits.
const KEY_CHARS: usize = 10;
/// Different bodies of one operation and stream when they are shared: enough to reach every shard.
const SHARED_BODIES: usize = 8;
/// Bytes of all shared bodies of one worker.
const SHARED_BYTES_MAX: usize = 64 * MIB;

/// Makes and keeps bodies.
#[derive(Debug)]
pub(super) struct Bodies {
    encoding: Encoding,
    batch: usize,
    keys: Keys,
    rng: Rng,
    streams: Vec<String>,
    /// One record's data; its head is written over for each record.
    data: Vec<u8>,
    templates: BTreeMap<(Operation, u32), Template>,
    shared: BTreeMap<(Operation, u32), Shared>,
    shared_count: usize,
}

/// A body with places to be filled in.
#[derive(Debug)]
struct Template {
    number: u32,
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

/// Where one record's own parts are.
#[derive(Debug, Clone, Copy)]
struct Slot {
    head: usize,
    key: usize,
}

#[derive(Debug, Default)]
struct Shared {
    bodies: Vec<Bytes>,
    turn: usize,
}

impl Bodies {
    pub(super) fn new(load: &KinesisLoad, streams: &[String], mut rng: Rng) -> Self {
        let mut data = vec![0; load.record_bytes];
        rng.fill_bytes(&mut data[RECORD_HEAD_BYTES..]);
        let body_bytes = load.batch * record_bytes(load.encoding, load.record_bytes);
        Self {
            encoding: load.encoding,
            batch: load.batch,
            keys: Keys::new(load.keys, load.skew),
            rng,
            streams: streams.to_vec(),
            data,
            templates: BTreeMap::new(),
            shared: BTreeMap::new(),
            shared_count: (SHARED_BYTES_MAX / (body_bytes * streams.len()).max(1)).clamp(1, SHARED_BODIES),
        }
    }

    /// Fills `request` with records that are numbered from `first`; how many.
    pub(super) fn fill_unique(
        &mut self,
        operation: Operation,
        target: u32,
        first: RecordId,
        request: &mut RequestBuffer,
    ) -> u32 {
        let number = self.templates.len() as u32;
        let template = self.templates.entry((operation, target)).or_insert_with(|| {
            let batch = (operation == Operation::PutRecords).then_some(self.batch);
            Template::new(number, self.encoding, &self.streams[target as usize], batch, &self.data)
        });
        if request.own_template != Some(template.number) {
            request.own.clear();
            request.own.extend_from_slice(&template.bytes);
            request.own_template = Some(template.number);
        }
        request.shared = None;
        let mut id = first;
        for slot in &template.slots {
            write_head(id, &mut self.data);
            let (data, body) = (&self.data[..RECORD_HEAD_BYTES], &mut request.own[slot.head..]);
            match self.encoding {
                Encoding::Json => {
                    let _ = STANDARD.encode(data, body[..RECORD_HEAD_BASE64_CHARS].as_out());
                }
                Encoding::Cbor => body[..RECORD_HEAD_BYTES].copy_from_slice(data),
            }
            let key = self.keys.draw(&mut self.rng);
            write!(&mut request.own[slot.key..slot.key + KEY_CHARS], "k{key:09}")
                .expect("a key has ten characters");
            id.number += 1;
        }
        template.slots.len() as u32
    }

    /// Gives `request` one of the shared bodies, made with ids from `first` when it is made; how many records it has,
    /// and which one it is.
    pub(super) fn share(
        &mut self,
        operation: Operation,
        target: u32,
        first: RecordId,
        request: &mut RequestBuffer,
    ) -> (u32, u32) {
        let made = self.shared.get(&(operation, target)).map_or(0, |shared| shared.bodies.len());
        if made < self.shared_count {
            let mut fresh = RequestBuffer::default();
            self.fill_unique(operation, target, first, &mut fresh);
            self.shared.entry((operation, target)).or_default().bodies.push(fresh.own.into());
        }
        let shared = self.shared.get_mut(&(operation, target)).expect("one was made above");
        let variant = shared.turn % shared.bodies.len();
        shared.turn += 1;
        request.shared = Some(shared.bodies[variant].clone());
        let count = if operation == Operation::PutRecord { 1 } else { self.batch };
        (count as u32, variant as u32)
    }

    /// Gives `request` the body of `ListShards`.
    pub(super) fn list_shards(&mut self, target: u32, request: &mut RequestBuffer) {
        let shared = self.shared.entry((Operation::ListShards, target)).or_default();
        if shared.bodies.is_empty() {
            let call = Call([("StreamName", &self.streams[target as usize])]);
            shared.bodies.push(self.encoding.encode(&call, 64).into());
        }
        request.shared = Some(shared.bodies[0].clone());
    }

    /// CRC32C of the whole data of record `id`.
    pub(super) fn checksum(&mut self, id: RecordId) -> u32 {
        write_head(id, &mut self.data)
    }
}

impl Template {
    /// The body of a `PutRecords` of `batch` records, or of a `PutRecord`.
    fn new(number: u32, encoding: Encoding, stream: &str, batch: Option<usize>, data: &[u8]) -> Self {
        let room = batch.unwrap_or(1) * record_bytes(encoding, data.len()) + 100;
        let (slots, bytes) = match encoding {
            // Base64 and a text end with a quote.
            Encoding::Json => {
                let mut out = JsonWriter::with_capacity(room);
                (layout(&mut out, stream, batch, data, STANDARD.encoded_length(data.len()), 1), out.finish())
            }
            Encoding::Cbor => {
                let mut out = CborWriter::with_capacity(room);
                (layout(&mut out, stream, batch, data, data.len(), 0), out.finish())
            }
        };
        Self { number, bytes: bytes.into(), slots }
    }
}

/// About what one record takes of a body.
fn record_bytes(encoding: Encoding, data_bytes: usize) -> usize {
    let data = match encoding {
        Encoding::Json => STANDARD.encoded_length(data_bytes),
        Encoding::Cbor => data_bytes,
    };
    data + KEY_CHARS + 40
}

/// Writes a body and says where each record's own parts are: data ends `data_len` and a `tail` behind its start, a key so
/// many characters and the tail.
fn layout(
    out: &mut impl Encoder,
    stream: &str,
    batch: Option<usize>,
    data: &[u8],
    data_len: usize,
    tail: usize,
) -> Vec<Slot> {
    let record = |out: &mut _| {
        let out: &mut dyn Encoder = out;
        out.member("Data");
        out.blob(data);
        let head = out.written() - tail - data_len;
        out.member("PartitionKey");
        out.text(&"k".repeat(KEY_CHARS));
        Slot { head, key: out.written() - tail - KEY_CHARS }
    };
    out.open_structure();
    out.member("StreamName");
    out.text(stream);
    let slots = match batch {
        None => vec![record(out)],
        Some(batch) => {
            out.member("Records");
            out.open_list();
            let slots = (0..batch).map(|_| {
                out.open_structure();
                let slot = record(out);
                out.close_structure();
                slot
            });
            let slots = slots.collect();
            out.close_list();
            slots
        }
    };
    out.close_structure();
    slots
}
