//! The batch: records of one shard laid out once, by the front end, and never again.
//!
//! The front end builds it, the node numbers it, the log writes these very bytes and readers slice them. Nothing
//! between the two ends may re-encode a record.
//!
//! Small batches, of a `PutRecord`, lie one behind another in chunks of memory: each would be an allocation that one thread
//! makes and another gives back. Batches are forgotten in about the order in which they were made, so a chunk lives not
//! much longer than its first batch.

use std::{cell::RefCell, mem};

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    checksum::crc32c,
    clock::WallMs,
    hash_key::HashKey,
    limits::{KIB, PARTITION_KEY_BYTES_MAX},
    partition_key::PartitionKey,
    sequence::RecordIndex,
};

/// Bytes in front of each record's key: data length (u32 LE), key length (u16 LE), flags (u8), zero (u8).
pub const RECORD_HEADER_BYTES: usize = 8;
/// Flag: 16 bytes of explicit hash key (u128 LE) follow the header. Persisted, never renumber.
const FLAG_EXPLICIT_HASH_KEY: u8 = 1;
/// The flags that this version knows; a record with another is refused, not guessed at.
const FLAGS_KNOWN: u8 = FLAG_EXPLICIT_HASH_KEY;

/// Bytes of a chunk of small batches. A thread holds one that is not full, and a batch that is not forgotten keeps all of its
/// chunk in memory.
const CHUNK_BYTES: usize = 64 * KIB;
/// Bytes of the largest batch that lies in a chunk with others; no more than this is lost at the end of a chunk.
const SMALL_BYTES_MAX: usize = 4 * KIB;

thread_local! {
    /// What is left of this thread's chunk.
    static CHUNK: RefCell<BytesMut> = RefCell::default();
}

/// One record as it lies in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The partition key.
    pub partition_key: PartitionKey<'a>,
    /// The hash key that the producer set instead of the key's MD5.
    pub explicit_hash_key: Option<HashKey>,
    /// The data.
    pub data: &'a [u8],
}

impl Record<'_> {
    /// Bytes of the data and the partition key, by which the API bounds and counts.
    pub fn payload_bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }

    /// Bytes that the record takes in a batch.
    pub fn encoded_bytes(&self) -> usize {
        let explicit = if self.explicit_hash_key.is_some() { 16 } else { 0 };
        RECORD_HEADER_BYTES + explicit + self.payload_bytes()
    }
}

/// Records in their final layout, one after another, with the checksum of the whole.
///
/// A record is: data length (u32 LE), key length (u16 LE), flags (u8), zero (u8), the explicit hash key (u128 LE) if
/// the flag says so, the partition key (UTF-8), the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    count: u32,
    crc: u32,
    payload_bytes: usize,
    body: Bytes,
}

/// Bytes that are no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The body's CRC32C is another.
    #[error("batch checksum is {found:#010x}, its body has {computed:#010x}")]
    Checksum {
        /// What the header says.
        found: u32,
        /// What the body has.
        computed: u32,
    },
    /// The body does not divide into `count` records.
    #[error("batch of {count} records is malformed at byte {offset}")]
    Malformed {
        /// The records announced.
        count: u32,
        /// Where reading stopped.
        offset: usize,
    },
}

impl Batch {
    /// Takes bytes from a socket or a file: checks the checksum and every record's bounds and UTF-8 once, so that
    /// reading cannot fail later.
    pub fn from_parts(count: u32, crc: u32, body: Bytes) -> Result<Self, BatchError> {
        let computed = crc32c(&body);
        if computed != crc {
            return Err(BatchError::Checksum { found: crc, computed });
        }
        let mut offset = 0;
        let mut payload_bytes = 0;
        for _ in 0..count {
            let malformed = BatchError::Malformed { count, offset };
            let (record, next) = record_at(&body, offset, PartitionKey::of_utf8).ok_or(malformed)?;
            payload_bytes += record.payload_bytes();
            offset = next;
        }
        if offset == body.len() && count > 0 {
            Ok(Self { count, crc, payload_bytes, body })
        } else {
            Err(BatchError::Malformed { count, offset })
        }
    }

    /// Records in the batch; at least one.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// [`Record::payload_bytes`] of all records.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// CRC32C of [`Self::body`].
    pub fn crc(&self) -> u32 {
        self.crc
    }

    /// The bytes, as they travel and as they are stored.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The same batch in memory of its own, where its bytes are a part of more.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self { body: Bytes::copy_from_slice(&self.body), ..*self }
    }

    /// The records in order.
    pub fn records(&self) -> Records<'_> {
        Records { body: &self.body, offset: 0, left: self.count }
    }
}

/// Iterates over a batch's records without copying.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    body: &'a [u8],
    offset: usize,
    left: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        self.left = self.left.checked_sub(1)?;
        let key = |bytes| Some(PartitionKey::of_checked(bytes));
        let (record, next) = record_at(self.body, self.offset, key).expect("checked when the batch was made");
        self.offset = next;
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Records<'_> {}

#[inline]
fn record_at<'a>(
    body: &'a [u8],
    offset: usize,
    key: impl FnOnce(&'a [u8]) -> Option<PartitionKey<'a>>,
) -> Option<(Record<'a>, usize)> {
    let (header, rest) = body.get(offset..)?.split_first_chunk::<RECORD_HEADER_BYTES>()?;
    let data_len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let key_len = usize::from(u16::from_le_bytes([header[4], header[5]]));
    let flags = header[6];
    if flags & !FLAGS_KNOWN != 0 || header[7] != 0 || key_len > PARTITION_KEY_BYTES_MAX {
        return None;
    }
    let (explicit_hash_key, rest) = if flags & FLAG_EXPLICIT_HASH_KEY == 0 {
        (None, rest)
    } else {
        let (key, rest) = rest.split_first_chunk::<16>()?;
        (Some(HashKey(u128::from_le_bytes(*key))), rest)
    };
    let partition_key = key(rest.get(..key_len)?)?;
    let data = rest.get(key_len..key_len.checked_add(data_len)?)?;
    let record = Record { partition_key, explicit_hash_key, data };
    let next = offset + record.encoded_bytes();
    Some((record, next))
}

/// Lays records out into a [`Batch`].
#[derive(Debug, Default)]
pub struct BatchBuilder {
    count: u32,
    payload_bytes: usize,
    body: BytesMut,
}

impl BatchBuilder {
    /// An empty batch with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let body = if bytes > SMALL_BYTES_MAX { BytesMut::with_capacity(bytes) } else { of_chunk(bytes) };
        Self { count: 0, payload_bytes: 0, body }
    }

    /// Appends a record. The caller has checked its sizes against the limits of the API.
    pub fn push(&mut self, record: &Record<'_>) {
        self.begin_record(record.partition_key, record.explicit_hash_key, record.data.len());
        self.body.put_slice(record.data);
    }

    /// Appends a record whose data `fill` writes straight into the batch: base64 is decoded into its last place.
    pub fn push_with(
        &mut self,
        partition_key: PartitionKey<'_>,
        explicit_hash_key: Option<HashKey>,
        data_bytes: usize,
        fill: impl FnOnce(&mut [u8]),
    ) {
        self.begin_record(partition_key, explicit_hash_key, data_bytes);
        let start = self.body.len();
        self.body.resize(start + data_bytes, 0);
        fill(&mut self.body[start..]);
    }

    /// All of a record but its data.
    fn begin_record(
        &mut self,
        partition_key: PartitionKey<'_>,
        explicit_hash_key: Option<HashKey>,
        data_bytes: usize,
    ) {
        assert!(partition_key.len() <= PARTITION_KEY_BYTES_MAX, "the caller checks the partition key");
        self.body.put_u32_le(u32::try_from(data_bytes).expect("the caller checks the data's size"));
        self.body.put_u16_le(partition_key.len() as u16);
        self.body.put_u8(if explicit_hash_key.is_some() { FLAG_EXPLICIT_HASH_KEY } else { 0 });
        self.body.put_u8(0);
        if let Some(key) = explicit_hash_key {
            self.body.put_u128_le(key.0);
        }
        self.body.put_slice(partition_key.as_bytes());
        self.count += 1;
        self.payload_bytes += data_bytes + partition_key.len();
    }

    /// Records so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// The batch, its checksum computed. At least one record must have been pushed.
    pub fn finish(self) -> Batch {
        assert!(self.count > 0, "an empty batch has no first record");
        let body = self.body.freeze();
        Batch { count: self.count, crc: crc32c(&body), payload_bytes: self.payload_bytes, body }
    }
}

/// Room for so many bytes in this thread's chunk, or in a new one.
fn of_chunk(bytes: usize) -> BytesMut {
    CHUNK.with_borrow_mut(|chunk| {
        if chunk.capacity() < bytes {
            *chunk = BytesMut::with_capacity(CHUNK_BYTES);
        }
        let rest = chunk.split_off(bytes);
        mem::replace(chunk, rest)
    })
}

/// A batch with its place in the shard's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// The index of the first record; the others follow one by one.
    pub first: RecordIndex,
    /// When it was appended; one time for the whole batch. Never earlier than the batch before it.
    pub arrived: WallMs,
    /// The records.
    pub batch: Batch,
}

impl StoredBatch {
    /// The index after the last record.
    pub fn end(&self) -> RecordIndex {
        self.first + u64::from(self.batch.count())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch_of(records: &[(String, Option<u128>, Vec<u8>)]) -> Batch {
        let mut builder = BatchBuilder::default();
        for (key, explicit, data) in records {
            builder.push(&Record {
                partition_key: key.as_str().into(),
                explicit_hash_key: explicit.map(HashKey),
                data,
            });
        }
        builder.finish()
    }

    #[test]
    fn the_layout_is_these_bytes() {
        let batch = batch_of(&[("ab".into(), None, vec![7, 8, 9]), ("k".into(), Some(1), vec![])]);
        let mut golden = vec![3, 0, 0, 0, 2, 0, 0, 0, b'a', b'b', 7, 8, 9];
        golden.extend([0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'k']);
        assert_eq!(batch.body().as_ref(), golden);
    }

    /// A batch of one record with `data`, begun with room for `room` bytes.
    fn begun(room: usize, data: &[u8]) -> BatchBuilder {
        let mut builder = BatchBuilder::with_capacity(room);
        builder.push(&Record { partition_key: "k".into(), explicit_hash_key: None, data });
        builder
    }

    #[test]
    fn small_batches_lie_one_behind_another_and_a_large_one_for_itself() {
        let bytes = RECORD_HEADER_BYTES + 1 + 100;
        CHUNK.take(); // whatever other tests have left of this thread's
        let batches: Vec<_> = (0..3).map(|_| begun(bytes, &[7; 100]).finish()).collect();
        let starts: Vec<_> = batches.iter().map(|batch| batch.body().as_ptr() as usize).collect();
        assert_eq!((starts[1] - starts[0], starts[2] - starts[1]), (bytes, bytes));
        let large = begun(SMALL_BYTES_MAX + 1, &[7; SMALL_BYTES_MAX]).finish();
        assert_ne!(large.body().as_ptr() as usize, starts[2] + bytes);
    }

    proptest! {
        #[test]
        fn batches_that_are_built_at_once_keep_their_bytes_apart(
            given in prop::collection::vec((0..2 * SMALL_BYTES_MAX, 0..2 * SMALL_BYTES_MAX), 1..60),
        ) {
            let data = |at: usize| vec![at as u8; given[at].1];
            let mut builders: Vec<_> = (0..given.len()).map(|at| begun(given[at].0, &data(at))).collect();
            for (at, builder) in builders.iter_mut().enumerate() {
                builder.push(&Record { partition_key: "".into(), explicit_hash_key: Some(HashKey(1)), data: &data(at) });
            }
            for (at, builder) in builders.into_iter().enumerate() {
                let batch = builder.finish();
                prop_assert!(batch.records().all(|record| record.data == data(at)));
                prop_assert_eq!(batch.count(), 2);
            }
        }

        #[test]
        fn records_come_back_as_they_were_pushed(
            records in prop::collection::vec((".{0,20}", any::<Option<u128>>(), prop::collection::vec(any::<u8>(), 0..50)), 1..20)
        ) {
            let batch = batch_of(&records);
            let again = Batch::from_parts(batch.count(), batch.crc(), batch.body().clone()).unwrap();
            let payload_bytes: usize = records.iter().map(|(key, _, data)| key.len() + data.len()).sum();
            prop_assert_eq!((batch.payload_bytes(), again.payload_bytes()), (payload_bytes, payload_bytes));
            let read: Vec<_> = again.records()
                .map(|r| (r.partition_key.as_str().to_owned(), r.explicit_hash_key.map(|k| k.0), r.data.to_vec()))
                .collect();
            prop_assert_eq!(read, records);
        }

        #[test]
        fn a_flipped_bit_or_a_cut_is_refused(
            records in prop::collection::vec((".{0,8}", any::<Option<u128>>(), prop::collection::vec(any::<u8>(), 0..20)), 1..5),
            at: prop::sample::Index, bit in 0..8u32,
        ) {
            let batch = batch_of(&records);
            let mut bytes = batch.body().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Batch::from_parts(batch.count(), batch.crc(), Bytes::from(bytes)).is_err());
            let cut = batch.body().slice(..at);
            prop_assert!(Batch::from_parts(batch.count(), crc32c(&cut), cut).is_err());
        }

        #[test]
        fn arbitrary_bytes_with_a_right_checksum_never_panic(bytes: Vec<u8>, count in 0..20u32) {
            let body = Bytes::from(bytes);
            if let Ok(batch) = Batch::from_parts(count, crc32c(&body), body) {
                prop_assert_eq!(batch.records().count(), count as usize);
            }
        }
    }
}
