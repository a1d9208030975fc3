//! Bodies of put calls: laid out once, shared as they are or patched in place.
//!
//! A record's head (its id and checksum) is 32 base64 characters of its own and its partition key has a fixed length, so
//! that a body of 500 records becomes another body of 500 records by 1,000 small copies. Without ids, a few bodies are
//! made and sent again and again.

use std::{collections::BTreeMap, io::Write};

use base64_simd::{AsOut, STANDARD};
use bytes::Bytes;
use rand::Rng as _;
use weir_core::{entropy::Rng, limits::MIB};

use super::Operation;
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
    batch: usize,
    keys: Keys,
    rng: Rng,
    streams: Vec<String>,
    /// One record's data; its head is written over for each record.
    data: Vec<u8>,
    /// Base64 of the data behind its head: the same in every record.
    filler: String,
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
        let filler = STANDARD.encode_to_string(&data[RECORD_HEAD_BYTES..]);
        let body_bytes = load.batch * (filler.len() + RECORD_HEAD_BASE64_CHARS + KEY_CHARS + 40);
        Self {
            batch: load.batch,
            keys: Keys::new(load.keys, load.skew),
            rng,
            streams: streams.to_vec(),
            data,
            filler,
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
            layout(number, operation, &self.streams[target as usize], self.batch, &self.filler)
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
            let head = &mut request.own[slot.head..slot.head + RECORD_HEAD_BASE64_CHARS];
            let _ = STANDARD.encode(&self.data[..RECORD_HEAD_BYTES], head.as_out());
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
            let body = serde_json::json!({ "StreamName": self.streams[target as usize] });
            shared.bodies.push(body.to_string().into());
        }
        request.shared = Some(shared.bodies[0].clone());
    }

    /// CRC32C of the whole data of record `id`.
    pub(super) fn checksum(&mut self, id: RecordId) -> u32 {
        write_head(id, &mut self.data)
    }
}

fn layout(number: u32, operation: Operation, stream: &str, batch: usize, filler: &str) -> Template {
    let mut bytes = Vec::with_capacity(batch * (filler.len() + 100) + 100);
    let mut slots = Vec::with_capacity(batch);
    let mut record = |bytes: &mut Vec<u8>| {
        bytes.extend_from_slice(b"\"Data\":\"");
        let head = bytes.len();
        bytes.resize(head + RECORD_HEAD_BASE64_CHARS, b'A');
        bytes.extend_from_slice(filler.as_bytes());
        bytes.extend_from_slice(b"\",\"PartitionKey\":\"");
        let key = bytes.len();
        bytes.resize(key + KEY_CHARS, b'k');
        bytes.extend_from_slice(b"\"}");
        slots.push(Slot { head, key });
    };
    let stream = serde_json::to_string(stream).expect("a name is JSON");
    bytes.extend_from_slice(b"{\"StreamName\":");
    bytes.extend_from_slice(stream.as_bytes());
    if operation == Operation::PutRecord {
        bytes.push(b',');
        record(&mut bytes);
    } else {
        bytes.extend_from_slice(b",\"Records\":[");
        for index in 0..batch {
            bytes.extend_from_slice(if index == 0 { b"{" } else { b",{" });
            record(&mut bytes);
        }
        bytes.extend_from_slice(b"]}");
    }
    Template { number, bytes, slots }
}
