//! Fixed-width little-endian fields, written to and read from a frame's meta bytes.
//!
//! Used by the messages of `cell` and `mesh`. Reading checks every bound and never panics; what is left over after a
//! message is an error, so that two versions cannot half-understand each other.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use weir_core::{
    hash_key::{HashKey, HashKeyRange},
    id::{AccountId, Epoch, Region, ShardIndex, ShardKey, StreamId, StreamName, StreamRef},
    shard::{ClosedShard, OwnedShard},
};

/// Meta bytes that are no message of the kind they came as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what} in a message")]
pub struct DecodeError {
    /// The field that did not read.
    pub what: &'static str,
}

/// Appends fields.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// The message.
    pub fn finish(self) -> Bytes {
        self.bytes.freeze()
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.put_u8(value);
        self
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.put_u32_le(value);
        self
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes.put_u64_le(value);
        self
    }

    /// Sixteen bytes.
    pub fn u128(&mut self, value: u128) -> &mut Self {
        self.bytes.put_u128_le(value);
        self
    }

    /// A length (four bytes) and the text.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.u32(u32::try_from(value.len()).expect("texts are short"));
        self.bytes.put_slice(value.as_bytes());
        self
    }

    /// A stream id and a shard number.
    pub fn shard_key(&mut self, key: ShardKey) -> &mut Self {
        self.u64(key.stream.0).u32(key.shard.0)
    }

    /// An address, as text: no length differs between the two families that way.
    pub fn address(&mut self, address: SocketAddr) -> &mut Self {
        self.text(&address.to_string())
    }

    /// A stream as the outside names it.
    pub fn stream_ref(&mut self, stream: &StreamRef) -> &mut Self {
        self.u64(stream.account.number()).text(stream.region.as_str()).text(stream.name.as_str())
    }

    /// A shard as its owner says it.
    pub fn owned_shard(&mut self, shard: &OwnedShard) -> &mut Self {
        self.shard_key(shard.key)
            .u64(shard.account.number())
            .text(shard.region.as_str())
            .text(shard.stream_name.as_str())
            .u128(shard.range.start.0)
            .u128(shard.range.end.0)
            .u64(shard.created_ms)
            .u64(shard.epoch.0);
        for parent in shard.parents {
            self.option(parent, |out, parent| out.u32(parent.0));
        }
        self.option(shard.closed, |out, closed| out.u64(closed.at_ms).u64(closed.end))
    }

    /// One byte that tells whether there is a value, and the value.
    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T) -> &mut Self) -> &mut Self {
        match value {
            None => self.u8(0),
            Some(value) => write(self.u8(1), value),
        }
    }
}

/// Takes fields off.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError { what })?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(self.take::<1>(what)?[0])
    }

    /// Four bytes.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.take(what)?))
    }

    /// Eight bytes.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.take(what)?))
    }

    /// Sixteen bytes.
    pub fn u128(&mut self, what: &'static str) -> Result<u128, DecodeError> {
        Ok(u128::from_le_bytes(self.take(what)?))
    }

    /// A length and a text.
    pub fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let len = self.u32(what)? as usize;
        let bytes = self.rest.get(..len).ok_or(DecodeError { what })?;
        self.rest = &self.rest[len..];
        std::str::from_utf8(bytes).map_err(|_| DecodeError { what })
    }

    /// A number of things that follow. No more than could fit in what is left, so that it is safe to reserve for.
    pub fn count(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let count = self.u32(what)? as usize;
        if count <= self.rest.len() { Ok(count) } else { Err(DecodeError { what }) }
    }

    /// A stream id and a shard number.
    pub fn shard_key(&mut self, what: &'static str) -> Result<ShardKey, DecodeError> {
        Ok(ShardKey { stream: StreamId(self.u64(what)?), shard: ShardIndex(self.u32(what)?) })
    }

    /// An address.
    pub fn address(&mut self, what: &'static str) -> Result<SocketAddr, DecodeError> {
        self.text(what)?.parse().map_err(|_| DecodeError { what })
    }

    /// An account.
    fn account(&mut self) -> Result<AccountId, DecodeError> {
        AccountId::new(self.u64("account")?).ok_or(DecodeError { what: "account" })
    }

    /// A region.
    fn region(&mut self) -> Result<Region, DecodeError> {
        self.text("region")?.parse().map_err(|_| DecodeError { what: "region" })
    }

    /// A stream as the outside names it.
    pub fn stream_ref(&mut self) -> Result<StreamRef, DecodeError> {
        Ok(StreamRef {
            account: self.account()?,
            region: self.region()?,
            name: StreamName::new(self.text("stream name")?),
        })
    }

    /// A shard as its owner says it.
    pub fn owned_shard(&mut self) -> Result<OwnedShard, DecodeError> {
        Ok(OwnedShard {
            key: self.shard_key("shard key")?,
            account: self.account()?,
            region: self.region()?,
            stream_name: StreamName::new(self.text("stream name")?),
            range: HashKeyRange {
                start: HashKey(self.u128("range start")?),
                end: HashKey(self.u128("range end")?),
            },
            created_ms: self.u64("creation time")?,
            epoch: Epoch(self.u64("epoch")?),
            parents: [self.parent()?, self.parent()?],
            closed: self.option("closed", |input| {
                Ok(ClosedShard { at_ms: input.u64("closing time")?, end: input.u64("end")? })
            })?,
        })
    }

    fn parent(&mut self) -> Result<Option<ShardIndex>, DecodeError> {
        self.option("parent", |input| Ok(ShardIndex(input.u32("parent")?)))
    }

    /// One byte that tells whether there is a value, and the value.
    fn option<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u8(what)? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(DecodeError { what }),
        }
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError { what: "trailing bytes" }) }
    }
}
