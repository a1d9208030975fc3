//! Every message of the mesh survives the wire, and nothing else is taken for one.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use proptest::prelude::*;
use weir_core::{
    hash_key::{HashKey, HashKeyRange},
    id::{AccountId, Epoch, Region, ShardIndex, ShardKey, StreamId, StreamName},
    shard::{ClosedShard, OwnedShard},
};

use super::*;

pub(crate) fn owned_shard() -> impl Strategy<Value = OwnedShard> {
    let numbers = any::<(u64, u32, u64, u64)>();
    let names = (0..1_000_000_000_000u64, "[a-zA-Z0-9_.-]{1,20}");
    let lineage = any::<([Option<u32>; 2], Option<(u64, u64)>)>();
    (numbers, names, any::<(u128, u128)>(), lineage).prop_map(
        |((stream, shard, created_ms, epoch), (account, name), (start, end), (parents, closed))| OwnedShard {
            key: ShardKey { stream: StreamId(stream), shard: ShardIndex(shard) },
            account: AccountId::new(account).unwrap(),
            region: [Region::US_EAST_1, "eu-west-3".parse().unwrap()][(stream % 2) as usize],
            stream_name: StreamName::new(name),
            range: HashKeyRange { start: HashKey(start), end: HashKey(end) },
            created_ms,
            epoch: Epoch(epoch),
            parents: parents.map(|parent| parent.map(ShardIndex)),
            closed: closed.map(|(at_ms, end)| ClosedShard { at_ms, end }),
        },
    )
}

pub(crate) fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u16; 8], u16)>().prop_map(SocketAddr::from)
    ]
}

pub(crate) fn fragment() -> impl Strategy<Value = Fragment> {
    let shards = prop::collection::vec(owned_shard(), 0..5);
    (any::<(u32, u64, u64)>(), address(), 0..u64::from(u32::MAX), shards).prop_map(
        |((node, life, sequence), address, ttl_ms, shards)| Fragment {
            node: MemberId(node),
            life: Incarnation(life),
            sequence,
            address,
            ttl: Duration::from_millis(ttl_ms),
            shards: Arc::from(shards),
        },
    )
}

fn message() -> impl Strategy<Value = MeshMessage> {
    let dialler = prop_oneof![Just(Dialler::Peer), Just(Dialler::Node), Just(Dialler::Subscriber)];
    let reason = prop_oneof![
        Just(RefusedReason::UnknownMember),
        Just(RefusedReason::NoPeerThread),
        Just(RefusedReason::WrongCell)
    ];
    prop_oneof![
        (any::<(u32, u64, u32)>(), "[a-z0-9-]{0,12}", dialler).prop_map(
            |((member, life, lane), cell, dialler)| MeshMessage::Hello {
                member: MemberId(member),
                life: Incarnation(life),
                cell: CellName::new(cell),
                dialler,
                lane,
            }
        ),
        any::<(u32, u64)>().prop_map(|(member, life)| MeshMessage::Welcome {
            member: MemberId(member),
            life: Incarnation(life)
        }),
        reason.prop_map(MeshMessage::Refused),
        (any::<bool>(), prop::collection::vec(fragment(), 0..4))
            .prop_map(|(whole_map, fragments)| MeshMessage::Fragments { whole_map, fragments }),
        any::<u64>().prop_map(|sequence| MeshMessage::Beat { sequence }),
        Just(MeshMessage::WantMap),
    ]
}

#[test]
fn a_hello_is_these_bytes() {
    let hello = MeshMessage::Hello {
        member: MemberId(5),
        life: Incarnation(9),
        cell: CellName::new("ab"),
        dialler: Dialler::Node,
        lane: 3,
    };
    let frame = hello.to_frame();
    assert_eq!((frame.kind, frame.id, frame.blobs.len()), (0x0201, 0, 0));
    let golden = [5, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'a', b'b', 1, 3, 0, 0, 0];
    assert_eq!(frame.meta.as_ref(), golden);
}

#[test]
fn a_beat_laid_out_by_hand_is_the_frame_and_nothing_else_reads_as_one() {
    for sequence in [0, 1, u64::MAX] {
        let frame = MeshMessage::Beat { sequence }.to_frame().encode();
        assert_eq!(frame.as_ref(), beat(sequence));
        assert_eq!(read_beat(&frame), Some(sequence));
        assert_eq!(read_beat(&frame[..BEAT_BYTES - 1]), None);
        assert_eq!(read_beat(&[&frame[..], &[0]].concat()), None);
    }
    let other = Frame::new(KIND_WANT_MAP, 0, Bytes::from_static(&[0; 8])).encode();
    assert_eq!(read_beat(&other), None);
}

#[test]
fn a_kind_of_another_protocol_is_no_message() {
    let error = MeshMessage::from_frame(&Frame::new(0x0101, 0, Bytes::new())).unwrap_err();
    assert_eq!(error.what, "kind");
}

proptest! {
    #[test]
    fn a_message_reads_back_what_was_written(message in message()) {
        prop_assert_eq!(MeshMessage::from_frame(&message.to_frame()).unwrap(), message);
    }

    #[test]
    fn a_message_cut_short_or_with_a_tail_is_refused(message in message(), cut: prop::sample::Index) {
        let whole = message.to_frame();
        if !whole.meta.is_empty() {
            let short = Frame { meta: whole.meta.slice(..cut.index(whole.meta.len())), ..whole.clone() };
            prop_assert!(MeshMessage::from_frame(&short).is_err());
        }
        let long = Frame { meta: whole.meta.iter().copied().chain([0]).collect(), ..whole };
        prop_assert!(MeshMessage::from_frame(&long).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(kind in 0x0200u16..0x0208, meta: Vec<u8>) {
        let _ = MeshMessage::from_frame(&Frame::new(kind, 0, Bytes::from(meta)));
    }
}
