//! The names of things: accounts, regions, streams, shards, servers, cells, and the counters that order their news.
//!
//! Every id is a type of its own, so that a node's number cannot be passed where a member's is asked for.
//! Nothing here looks anything up.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{decimal::write_padded, entropy::secret_u64};

/// An AWS account: twelve decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(u64);

impl AccountId {
    /// The account of callers whose credentials name none.
    pub const DEFAULT: Self = Self(0);

    /// `number` below 10^12, else `None`.
    pub const fn new(number: u64) -> Option<Self> {
        if number < 1_000_000_000_000 { Some(Self(number)) } else { None }
    }

    /// The account as a number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

/// Text that names no [`AccountId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an account id is twelve digits, not {0:?}")]
pub struct AccountIdError(String);

impl FromStr for AccountId {
    type Err = AccountIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.parse().map_err(|_| AccountIdError(text.to_owned()))?))
        } else {
            Err(AccountIdError(text.to_owned()))
        }
    }
}

/// A region: letters, digits and hyphens. Any such text is one, so that every client's own works.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region {
    /// The text, then zeros: ordered as texts are.
    bytes: [u8; Self::CHARS_MAX],
}

impl Region {
    /// Characters of the longest: twice AWS's longest, and an iterator still has room for it.
    pub const CHARS_MAX: usize = 32;

    /// The region that clients without a wish of their own sign for.
    pub const US_EAST_1: Self = {
        let (mut bytes, text) = ([0; Self::CHARS_MAX], b"us-east-1");
        let (head, _) = bytes.split_at_mut(text.len());
        head.copy_from_slice(text);
        Self { bytes }
    };

    /// The text.
    pub fn as_str(&self) -> &str {
        let len = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(Self::CHARS_MAX);
        std::str::from_utf8(&self.bytes[..len]).expect("made of ASCII")
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Text that names no [`Region`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a region is up to {max} letters, digits and hyphens, not {0:?}", max = Region::CHARS_MAX)]
pub struct RegionError(String);

impl FromStr for Region {
    type Err = RegionError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let formed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if text.is_empty() || text.len() > Self::CHARS_MAX || !formed {
            return Err(RegionError(text.to_owned()));
        }
        let mut bytes = [0; Self::CHARS_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes })
    }
}

impl TryFrom<String> for Region {
    type Error = RegionError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.as_str().to_owned()
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is: whoever reads it from outside checks its form.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// A stream's name, unique within an account and a region.
    StreamName
}
text_id! {
    /// A registered consumer's name, unique within a stream.
    ConsumerName
}
text_id! {
    /// A tenant: who shares a placement. An access key belongs to one.
    TenantName
}
text_id! {
    /// A front-end cell.
    CellName
}
text_id! {
    /// A server's own name, stable over its restarts (`fe-03`, `node-1`).
    ServerName
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number_id! {
    /// Everything that one control plane has numbered since its first start. What two of them gave out must never be
    /// mixed: their streams and epochs have the same numbers.
    ClusterId, u64
}

impl ClusterId {
    /// A new one, from the kernel's randomness.
    pub fn draw() -> Self {
        Self(secret_u64())
    }
}

number_id! {
    /// A stream as the log knows it: given by the control plane at creation, never used twice.
    StreamId, u64
}
number_id! {
    /// A server registered with the control plane (front end, cache server or node): never used twice, kept over
    /// restarts of the same server.
    MemberId, u32
}
number_id! {
    /// One life of a server: a random number drawn at its start, so that a restart is told from a reconnect.
    Incarnation, u64
}
number_id! {
    /// The version of a membership view or of a shard map built from it; rises by one with each change.
    Generation, u64
}
number_id! {
    /// Who owns a shard, in order of time: a higher epoch beats a lower one, whoever says so.
    Epoch, u64
}

/// A stream as the outside names it. The same names another one once this one is deleted; [`StreamId`] never does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamRef {
    /// Its account.
    pub account: AccountId,
    /// Its region.
    pub region: Region,
    /// Its name.
    pub name: StreamName,
}

/// A shard's number within its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardIndex(pub u32);

/// Bytes of a shard's id.
const SHARD_ID_BYTES: usize = 20;

impl ShardIndex {
    /// The id in ASCII, in Kinesis's form: `shardId-000000000005`.
    #[inline]
    pub fn printed(self) -> [u8; SHARD_ID_BYTES] {
        let mut text = *b"shardId-000000000000";
        write_padded(self.0.into(), &mut text["shardId-".len()..]);
        text
    }
}

impl fmt::Display for ShardIndex {
    /// Kinesis's form: `shardId-000000000005`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.printed()).expect("it is ASCII"))
    }
}

/// Text that names no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a shard id is shardId- and twelve digits, not {0:?}")]
pub struct ShardIndexError(String);

impl FromStr for ShardIndex {
    type Err = ShardIndexError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("shardId-").unwrap_or(text);
        if digits.len() <= 12 && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            digits.parse().map(Self).map_err(|_| ShardIndexError(text.to_owned()))
        } else {
            Err(ShardIndexError(text.to_owned()))
        }
    }
}

/// One shard of one stream: the key of the log's index and of the shard map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ShardKey {
    /// The stream.
    pub stream: StreamId,
    /// The shard within it.
    pub shard: ShardIndex,
}

impl fmt::Display for ShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {} {}", self.stream, self.shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_twelve_digits() {
        assert_eq!("000000000042".parse::<AccountId>().unwrap().to_string(), "000000000042");
        assert!("42".parse::<AccountId>().is_err());
        assert!("00000000004x".parse::<AccountId>().is_err());
        assert!(AccountId::new(1_000_000_000_000).is_none());
    }

    #[test]
    fn a_region_is_a_short_plain_text_and_compares_as_one() {
        assert_eq!("us-east-1".parse(), Ok(Region::US_EAST_1));
        let longest = "x".repeat(Region::CHARS_MAX);
        assert_eq!(longest.parse::<Region>().unwrap().to_string(), longest);
        for text in ["", "eu west", "eu/west", "r\u{e9}gion", "nul\0", &"x".repeat(Region::CHARS_MAX + 1)] {
            assert!(text.parse::<Region>().is_err(), "{text:?}");
        }
        let mut regions: Vec<Region> =
            ["eu-west-10", "eu-west-1", "af-south-1"].map(|text| text.parse().unwrap()).into();
        regions.sort_unstable();
        let texts: Vec<&str> = regions.iter().map(Region::as_str).collect();
        assert_eq!(texts, ["af-south-1", "eu-west-1", "eu-west-10"]);
    }

    #[test]
    fn a_shard_id_reads_back_what_it_prints() {
        let shard = ShardIndex(5);
        assert_eq!(shard.to_string(), "shardId-000000000005");
        assert_eq!(shard.to_string().parse::<ShardIndex>().unwrap(), shard);
        assert!("shardId-".parse::<ShardIndex>().is_err());
        assert!("shardId-99999999999".parse::<ShardIndex>().is_err(), "does not fit a shard number");
    }
}
