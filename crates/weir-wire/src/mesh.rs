//! What the servers of a front-end cell say to each other, and nodes to their home.
//!
//! Sent by peer threads, by the multiplexed mesh, by cache servers and by nodes. Each message carries the whole truth
//! of its sender about its subject, so that losing one costs time and nothing else.

use bytes::Bytes;
use weir_core::id::{CellName, Incarnation, MemberId};

use crate::{
    codec::{DecodeError, Reader, Writer},
    fragment::Fragment,
    framing::{FRAME_HEAD_BYTES, Frame},
};

/// Frame kinds of the mesh. On the wire, never renumber.
const KIND_HELLO: u16 = 0x0201;
const KIND_WELCOME: u16 = 0x0202;
const KIND_REFUSED: u16 = 0x0203;
const KIND_FRAGMENTS: u16 = 0x0204;
const KIND_BEAT: u16 = 0x0205;
const KIND_WANT_MAP: u16 = 0x0206;

/// Bytes of a beat: a frame's head and a number.
pub const BEAT_BYTES: usize = FRAME_HEAD_BYTES + 8;

/// A beat, the message that a fleet sends most, laid out without an allocation. The same bytes as
/// [`MeshMessage::Beat`] as a frame.
pub fn beat(sequence: u64) -> [u8; BEAT_BYTES] {
    let mut bytes = [0; BEAT_BYTES];
    bytes[0] = 8; // of meta, the whole body
    bytes[4..6].copy_from_slice(&KIND_BEAT.to_le_bytes());
    bytes[16] = 8;
    bytes[FRAME_HEAD_BYTES..].copy_from_slice(&sequence.to_le_bytes());
    bytes
}

/// Are these bytes one beat and nothing else? Then its number.
pub fn read_beat(bytes: &[u8]) -> Option<u64> {
    let (head, number) = bytes.split_first_chunk::<FRAME_HEAD_BYTES>()?;
    let sequence = u64::from_le_bytes(number.try_into().ok()?);
    (beat(sequence)[..FRAME_HEAD_BYTES] == head[..]).then_some(sequence)
}

/// What a dialler is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialler {
    /// Another server of the mesh: served by a peer thread (or by the multiplexed mesh).
    Peer,
    /// A back-end node that brings its fragment home.
    Node,
    /// A front end that asks a cache server.
    Subscriber,
}

/// Why a dial was refused. The dialler tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedReason {
    /// The membership poll has not brought this member yet.
    UnknownMember,
    /// There is no peer thread for this member.
    NoPeerThread,
    /// The dialler is in another cell.
    WrongCell,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeshMessage {
    /// First on every connection, from the dialler.
    Hello {
        /// Who dials.
        member: MemberId,
        /// Its life.
        life: Incarnation,
        /// Its cell.
        cell: CellName,
        /// What it is.
        dialler: Dialler,
        /// Which of the k connections (threads) of this peer it is, from zero.
        lane: u32,
    },
    /// The answer to a hello: the connection stands.
    Welcome {
        /// Who answers.
        member: MemberId,
        /// Its life.
        life: Incarnation,
    },
    /// The answer to a hello: not now. The connection closes.
    Refused(RefusedReason),
    /// Fragments that the sender passes on (as home, or as a whole map when asked).
    Fragments {
        /// True when these are all that the sender knows, not only those that it is home to.
        whole_map: bool,
        /// The fragments.
        fragments: Vec<Fragment>,
    },
    /// "I am here": sent each gossip interval.
    Beat {
        /// Rises with each beat of a connection.
        sequence: u64,
    },
    /// Asks for the sender's whole map (bootstrap from peers).
    WantMap,
}

impl MeshMessage {
    /// The message as a frame.
    pub fn to_frame(&self) -> Frame {
        let mut meta = Writer::new();
        let kind = match self {
            Self::Hello { member, life, cell, dialler, lane } => {
                let dialler = match dialler {
                    Dialler::Peer => 0,
                    Dialler::Node => 1,
                    Dialler::Subscriber => 2,
                };
                meta.u32(member.0).u64(life.0).text(cell.as_str()).u8(dialler).u32(*lane);
                KIND_HELLO
            }
            Self::Welcome { member, life } => {
                meta.u32(member.0).u64(life.0);
                KIND_WELCOME
            }
            Self::Refused(reason) => {
                meta.u8(match reason {
                    RefusedReason::UnknownMember => 0,
                    RefusedReason::NoPeerThread => 1,
                    RefusedReason::WrongCell => 2,
                });
                KIND_REFUSED
            }
            Self::Fragments { whole_map, fragments } => {
                meta.u8(u8::from(*whole_map));
                meta.u32(u32::try_from(fragments.len()).expect("nodes are bounded by NODES_MAX"));
                for fragment in fragments {
                    fragment.encode(&mut meta);
                }
                KIND_FRAGMENTS
            }
            Self::Beat { sequence } => {
                meta.u64(*sequence);
                KIND_BEAT
            }
            Self::WantMap => KIND_WANT_MAP,
        };
        Frame::new(kind, 0, meta.finish())
    }

    /// Reads a frame of the mesh.
    pub fn from_frame(frame: &Frame) -> Result<Self, DecodeError> {
        let meta: &Bytes = &frame.meta;
        let mut input = Reader::new(meta);
        let message = match frame.kind {
            KIND_HELLO => Self::Hello {
                member: MemberId(input.u32("member")?),
                life: Incarnation(input.u64("life")?),
                cell: CellName::new(input.text("cell")?),
                dialler: match input.u8("dialler")? {
                    0 => Dialler::Peer,
                    1 => Dialler::Node,
                    2 => Dialler::Subscriber,
                    _ => return Err(DecodeError { what: "dialler" }),
                },
                lane: input.u32("lane")?,
            },
            KIND_WELCOME => Self::Welcome {
                member: MemberId(input.u32("member")?),
                life: Incarnation(input.u64("life")?),
            },
            KIND_REFUSED => Self::Refused(match input.u8("reason")? {
                0 => RefusedReason::UnknownMember,
                1 => RefusedReason::NoPeerThread,
                2 => RefusedReason::WrongCell,
                _ => return Err(DecodeError { what: "reason" }),
            }),
            KIND_FRAGMENTS => {
                let whole_map = input.u8("whole map")? != 0;
                let count = input.count("fragments")?;
                let fragments = (0..count).map(|_| Fragment::decode(&mut input)).collect::<Result<_, _>>()?;
                Self::Fragments { whole_map, fragments }
            }
            KIND_BEAT => Self::Beat { sequence: input.u64("sequence")? },
            KIND_WANT_MAP => Self::WantMap,
            _ => return Err(DecodeError { what: "kind" }),
        };
        input.finish()?;
        Ok(message)
    }
}

#[cfg(test)]
pub(crate) mod tests;
