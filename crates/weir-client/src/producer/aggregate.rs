//! The aggregated record of AWS's producer library: many small records inside one of Kinesis's.
//!
//! Producers pack with [`Aggregate`], consumers unpack with [`deaggregate`]; the formats of other languages' libraries
//! agree with it. All records of an aggregate land where its first one does.
//!
//! Layout: `F3 89 9A C2`; a protobuf message; the MD5 of that message. The message is `AggregatedRecord`: field 1,
//! repeated string, the partition keys; field 2, repeated string, explicit hash keys; field 3, repeated message
//! `Record`: field 1, varint, index of its partition key; field 2, varint, index of its explicit hash key (optional);
//! field 3, bytes, its data; field 4, tags, which are not kept.

use bytes::Bytes;
use md5::{Digest, Md5};

/// First bytes of an aggregated record.
pub const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const DIGEST_BYTES: usize = 16;
/// Records in one aggregate when it is unpacked: far more than a record of 10 MiB can hold of any use.
const RECORDS_MAX: usize = 1 << 20;

/// Field numbers shifted by their wire types, as protobuf writes them.
mod tag {
    pub(super) const PARTITION_KEY: u64 = 1 << 3 | 2;
    pub(super) const EXPLICIT_HASH_KEY: u64 = 2 << 3 | 2;
    pub(super) const RECORD: u64 = 3 << 3 | 2;
    pub(super) const RECORD_PARTITION_KEY: u64 = 1 << 3;
    pub(super) const RECORD_EXPLICIT_HASH_KEY: u64 = 2 << 3;
    pub(super) const RECORD_DATA: u64 = 3 << 3 | 2;
}

/// One record inside an aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// Its partition key.
    pub partition_key: String,
    /// Its explicit hash key, decimal.
    pub explicit_hash_key: Option<String>,
    /// Its data.
    pub data: Bytes,
}

/// An aggregate that is being packed.
#[derive(Debug, Default)]
pub struct Aggregate {
    partition_keys: Vec<String>,
    explicit_hash_keys: Vec<String>,
    /// The messages of the records, each with its tag and length.
    records: Vec<u8>,
    count: usize,
}

impl Aggregate {
    /// Adds a record, unless the aggregate would be larger than `bytes_max` then; it is handed back if so.
    pub fn push(&mut self, record: UserRecord, bytes_max: usize) -> Result<(), UserRecord> {
        // At most: tag, length and message of the record, and both keys new to the tables.
        let keys = record.partition_key.len() + record.explicit_hash_key.as_ref().map_or(0, String::len);
        let bound = self.bytes() + record.data.len() + keys + 64;
        if bound > bytes_max && self.count > 0 {
            return Err(record);
        }
        let mut message = Vec::with_capacity(record.data.len() + 32);
        varint(tag::RECORD_PARTITION_KEY, &mut message);
        varint(index_of(&mut self.partition_keys, record.partition_key), &mut message);
        if let Some(key) = record.explicit_hash_key {
            varint(tag::RECORD_EXPLICIT_HASH_KEY, &mut message);
            varint(index_of(&mut self.explicit_hash_keys, key), &mut message);
        }
        field(tag::RECORD_DATA, &record.data, &mut message);
        field(tag::RECORD, &message, &mut self.records);
        self.count += 1;
        Ok(())
    }

    /// Records in it.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the aggregated record, at most.
    pub fn bytes(&self) -> usize {
        let table = |keys: &[String]| keys.iter().map(|key| key.len() + 6).sum::<usize>();
        MAGIC.len()
            + table(&self.partition_keys)
            + table(&self.explicit_hash_keys)
            + self.records.len()
            + DIGEST_BYTES
    }

    /// The partition key and the explicit hash key that the aggregated record goes by, and its data. `None` when it is
    /// empty.
    pub fn finish(self) -> Option<UserRecord> {
        let partition_key = self.partition_keys.first()?.clone();
        let explicit_hash_key = self.explicit_hash_keys.first().cloned();
        let mut data = MAGIC.to_vec();
        for key in &self.partition_keys {
            field(tag::PARTITION_KEY, key.as_bytes(), &mut data);
        }
        for key in &self.explicit_hash_keys {
            field(tag::EXPLICIT_HASH_KEY, key.as_bytes(), &mut data);
        }
        data.extend(&self.records);
        let digest = Md5::digest(&data[MAGIC.len()..]);
        data.extend(digest);
        Some(UserRecord { partition_key, explicit_hash_key, data: data.into() })
    }
}

/// The records inside `data`; `None` when it is no aggregate, and so one record by itself.
pub fn deaggregate(data: &Bytes) -> Option<Vec<UserRecord>> {
    let message = data.strip_prefix(&MAGIC)?;
    let (message, digest) = message.split_at_checked(message.len().checked_sub(DIGEST_BYTES)?)?;
    if Md5::digest(message)[..] != *digest {
        return None;
    }
    let mut partition_keys = Vec::new();
    let mut explicit_hash_keys = Vec::new();
    let mut messages = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        match read_field(&mut rest)? {
            (tag::PARTITION_KEY, Value::Bytes(key)) => partition_keys.push(str::from_utf8(key).ok()?),
            (tag::EXPLICIT_HASH_KEY, Value::Bytes(key)) => explicit_hash_keys.push(str::from_utf8(key).ok()?),
            (tag::RECORD, Value::Bytes(record)) if messages.len() < RECORDS_MAX => messages.push(record),
            (tag::RECORD, _) => return None,
            _ => {}
        }
    }
    messages
        .into_iter()
        .map(|record| read_record(data, record, &partition_keys, &explicit_hash_keys))
        .collect()
}

fn read_record(
    data: &Bytes,
    record: &[u8],
    partition_keys: &[&str],
    hash_keys: &[&str],
) -> Option<UserRecord> {
    let (mut partition_key, mut explicit_hash_key, mut payload) = (None, None, None);
    let mut rest = record;
    while !rest.is_empty() {
        match read_field(&mut rest)? {
            (tag::RECORD_PARTITION_KEY, Value::Number(index)) => {
                partition_key = Some(*partition_keys.get(usize::try_from(index).ok()?)?);
            }
            (tag::RECORD_EXPLICIT_HASH_KEY, Value::Number(index)) => {
                explicit_hash_key = Some((*hash_keys.get(usize::try_from(index).ok()?)?).to_owned());
            }
            (tag::RECORD_DATA, Value::Bytes(bytes)) => payload = Some(data.slice_ref(bytes)),
            _ => {}
        }
    }
    Some(UserRecord { partition_key: partition_key?.to_owned(), explicit_hash_key, data: payload? })
}

fn index_of(table: &mut Vec<String>, key: String) -> u64 {
    // Aggregates hold a few hundred records: a scan is as fast as a map.
    let index = table.iter().position(|known| *known == key).unwrap_or_else(|| {
        table.push(key);
        table.len() - 1
    });
    index as u64
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn field(tag: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(tag, out);
    varint(bytes.len() as u64, out);
    out.extend(bytes);
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn read_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let tag = read_varint(rest)?;
    let value = match tag & 7 {
        0 => Value::Number(read_varint(rest)?),
        2 => {
            let length = usize::try_from(read_varint(rest)?).ok()?;
            let (bytes, tail) = rest.split_at_checked(length)?;
            *rest = tail;
            Value::Bytes(bytes)
        }
        _ => return None,
    };
    Some((tag, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(key: &str, hash: Option<&str>, data: &'static [u8]) -> UserRecord {
        UserRecord {
            partition_key: key.into(),
            explicit_hash_key: hash.map(str::to_owned),
            data: Bytes::from_static(data),
        }
    }

    #[test]
    fn an_aggregate_is_these_bytes() {
        let mut aggregate = Aggregate::default();
        aggregate.push(record("a", None, b"hi"), 1_000).unwrap();
        aggregate.push(record("a", Some("7"), b""), 1_000).unwrap();
        let packed = aggregate.finish().unwrap();
        assert_eq!((packed.partition_key.as_str(), packed.explicit_hash_key.as_deref()), ("a", Some("7")));
        let message: &[u8] = &[
            0x0a, 1, b'a', // partition key table
            0x12, 1, b'7', // explicit hash key table
            0x1a, 6, 0x08, 0, 0x1a, 2, b'h', b'i', // first record
            0x1a, 6, 0x08, 0, 0x10, 0, 0x1a, 0, // second record
        ];
        let mut golden = MAGIC.to_vec();
        golden.extend(message);
        golden.extend(Md5::digest(message));
        assert_eq!(packed.data, golden);
    }

    #[test]
    fn an_aggregate_that_is_full_hands_the_record_back() {
        let mut aggregate = Aggregate::default();
        aggregate.push(record("a", None, &[0; 200]), 100).unwrap();
        let back = record("b", None, &[1; 10]);
        assert_eq!(aggregate.push(back.clone(), 300), Err(back));
        assert_eq!(aggregate.count(), 1);
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(
            records in prop::collection::vec(("[a-c]{1,3}", prop::option::of("[0-9]{1,5}"), prop::collection::vec(any::<u8>(), 0..300)), 1..30)
        ) {
            let records: Vec<_> = records.into_iter()
                .map(|(partition_key, explicit_hash_key, data)| UserRecord { partition_key, explicit_hash_key, data: data.into() })
                .collect();
            let mut aggregate = Aggregate::default();
            for record in &records {
                aggregate.push(record.clone(), usize::MAX).unwrap();
            }
            let bound = aggregate.bytes();
            let packed = aggregate.finish().unwrap();
            prop_assert!(packed.data.len() <= bound);
            prop_assert_eq!(deaggregate(&packed.data), Some(records));
        }

        #[test]
        fn a_flipped_bit_makes_it_a_plain_record(data in prop::collection::vec(any::<u8>(), 1..50), at: prop::sample::Index, bit in 0..8u32) {
            let mut aggregate = Aggregate::default();
            aggregate.push(UserRecord { partition_key: "k".into(), explicit_hash_key: None, data: data.into() }, usize::MAX).unwrap();
            let mut bytes = aggregate.finish().unwrap().data.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(deaggregate(&bytes.into()), None);
        }

        #[test]
        fn arbitrary_messages_with_a_right_digest_never_panic(message: Vec<u8>) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(&message);
            bytes.extend(Md5::digest(&message));
            let _ = deaggregate(&bytes.into());
        }
    }
}
