//! Two lanes talk to each other without a socket between them.

use std::{net::SocketAddr, sync::Arc};

use weir_wire::{fragment::Fragment, mesh::RefusedReason};

use super::*;
use crate::fleet::Carrier;

const GOSSIP: Duration = Duration::from_secs(1);
const PEER: MemberId = MemberId(2);

fn at(millis: u64) -> Monotonic {
    Monotonic::ZERO + Duration::from_millis(millis)
}

fn lane(dials: bool) -> Lane {
    lane_of(LinkKind::Peer, dials)
}

fn lane_of(link: LinkKind, dials: bool) -> Lane {
    let plan = PeerPlan {
        link,
        carrier: Carrier::Thread,
        lanes: 1,
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        dials,
    };
    let greeting = Greeting { member: MemberId(1), life: Incarnation(1), cell: CellName::new("a") };
    Lane::new(LaneId { peer: PEER, lane: 0 }, &plan, greeting, GOSSIP)
}

/// What the steps come to: bytes written, words to the fleet, dials, closes.
#[derive(Default)]
struct Done {
    written: Vec<u8>,
    reports: Vec<FleetEvent>,
    connects: usize,
    closes: usize,
}

fn run(lane: &mut Lane, act: impl FnOnce(&mut Lane, &mut Steps)) -> Done {
    let mut steps = Steps::new();
    act(lane, &mut steps);
    let mut done = Done::default();
    for step in steps {
        match step {
            Step::Connect => done.connects += 1,
            Step::Write(bytes) => done.written.extend_from_slice(&bytes),
            Step::Beat(bytes) => done.written.extend_from_slice(&bytes),
            Step::Close => done.closes += 1,
            Step::Report(event) => done.reports.push(event),
        }
    }
    done
}

fn messages(bytes: &[u8]) -> Vec<MeshMessage> {
    let mut decoder = FrameDecoder::new();
    decoder.extend(bytes);
    std::iter::from_fn(|| decoder.next_frame().unwrap())
        .map(|frame| MeshMessage::from_frame(&frame).unwrap())
        .collect()
}

fn encoded(message: &MeshMessage) -> Vec<u8> {
    message.to_frame().encode().to_vec()
}

/// A dialling lane whose connection stands at `now`.
fn open(now: Monotonic) -> Lane {
    let mut lane = lane(true);
    run(&mut lane, |lane, steps| lane.on_time(now, steps));
    run(&mut lane, |lane, steps| lane.on_connected(now, steps));
    let welcome = encoded(&MeshMessage::Welcome { member: PEER, life: Incarnation(5) });
    let done = run(&mut lane, |lane, steps| lane.on_bytes(now, &welcome, steps));
    assert!(matches!(done.reports[..], [FleetEvent::LaneOpen(_)]));
    lane
}

#[test]
fn another_server_at_the_peers_address_is_not_the_peer() {
    let mut lane = lane_of(LinkKind::Upstream, true);
    run(&mut lane, |lane, steps| lane.on_time(at(0), steps));
    run(&mut lane, |lane, steps| lane.on_connected(at(1), steps));
    let welcome = encoded(&MeshMessage::Welcome { member: MemberId(9), life: Incarnation(5) });
    let done = run(&mut lane, |lane, steps| lane.on_bytes(at(2), &welcome, steps));
    assert!(!lane.is_open() && done.closes == 1);
    assert!(matches!(done.reports[..], [FleetEvent::DialFailed { refused: None, .. }]), "{:?}", done.reports);
}

#[test]
fn a_dialler_says_hello_and_is_open_when_welcomed() {
    let mut lane = lane(true);
    assert_eq!(run(&mut lane, |lane, steps| lane.on_time(at(0), steps)).connects, 1);
    let done = run(&mut lane, |lane, steps| lane.on_connected(at(1), steps));
    assert!(matches!(messages(&done.written)[..], [MeshMessage::Hello { member: MemberId(1), lane: 0, .. }]));
    assert!(!lane.is_open());
    let welcome = encoded(&MeshMessage::Welcome { member: PEER, life: Incarnation(5) });
    let half = welcome.len() / 2;
    assert!(run(&mut lane, |lane, steps| lane.on_bytes(at(2), &welcome[..half], steps)).reports.is_empty());
    run(&mut lane, |lane, steps| lane.on_bytes(at(2), &welcome[half..], steps));
    assert!(lane.is_open());
}

#[test]
fn a_refused_dialler_reports_why_and_dials_again_later_and_later() {
    let mut lane = lane_of(LinkKind::Upstream, true);
    let refused = encoded(&MeshMessage::Refused(RefusedReason::UnknownMember));
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..8 {
        assert_eq!(run(&mut lane, |lane, steps| lane.on_time(now, steps)).connects, 1);
        run(&mut lane, |lane, steps| lane.on_connected(now, steps));
        let done = run(&mut lane, |lane, steps| lane.on_bytes(now, &refused, steps));
        assert_eq!(done.closes, 1);
        let reason = Some(RefusedReason::UnknownMember);
        assert!(matches!(done.reports[..], [FleetEvent::DialFailed { refused, .. }] if refused == reason));
        let next = lane.next_wake().unwrap();
        waits.push(next.since(now));
        assert_eq!(run(&mut lane, |lane, steps| lane.on_time(now, steps)).connects, 0, "not before its time");
        now = next;
    }
    assert!(waits[0] <= REDIAL_FIRST && waits[0] >= REDIAL_FIRST / 2);
    assert!(waits.iter().all(|wait| *wait <= REDIAL_LAST) && waits[7] >= REDIAL_LAST / 2, "{waits:?}");
}

#[test]
fn a_dial_or_a_greeting_without_an_answer_is_given_up() {
    for connected in [false, true] {
        let mut lane = lane_of(LinkKind::Upstream, true);
        run(&mut lane, |lane, steps| lane.on_time(at(0), steps));
        if connected {
            run(&mut lane, |lane, steps| lane.on_connected(at(0), steps));
        }
        let deadline = lane.next_wake().unwrap();
        assert_eq!(deadline, Monotonic::ZERO + GREETING_TIMEOUT);
        let done = run(&mut lane, |lane, steps| lane.on_time(deadline, steps));
        assert!(matches!(done.reports[..], [FleetEvent::DialFailed { refused: None, .. }]));
    }
}

#[test]
fn only_of_a_cache_server_is_the_fleet_told_that_a_dial_failed() {
    let mut lane = lane(true);
    run(&mut lane, |lane, steps| lane.on_time(at(0), steps));
    let done = run(&mut lane, |lane, steps| lane.on_closed(at(1), steps));
    assert!(done.closes == 1 && done.reports.is_empty(), "{:?}", done.reports);
}

#[test]
fn a_peer_that_ended_its_connection_is_not_dialled_at_once() {
    let wait = |act: fn(&mut Lane, &mut Steps)| {
        let mut lane = open(at(0));
        run(&mut lane, act);
        lane.next_wake().unwrap().since(at(100))
    };
    assert!(wait(|lane, steps| lane.on_bytes(at(100), &[0xff; 64], steps)) <= REDIAL_FIRST, "it is there");
    assert!(wait(|lane, steps| lane.on_closed(at(100), steps)) >= REDIAL_LAST / 2);
    let mut lane = open(at(0));
    let done = run(&mut lane, |lane, steps| lane.on_closed(at(100), steps));
    assert!(matches!(done.reports[..], [FleetEvent::LaneLost(_)]));
    let next = lane.next_wake().unwrap();
    assert!(next >= at(100) + REDIAL_LAST / 2 && next <= at(100) + REDIAL_LAST, "{next:?}");
    assert_eq!(run(&mut lane, |lane, steps| lane.on_time(next, steps)).connects, 1);
    run(&mut lane, |lane, steps| lane.on_connected(next, steps));
    let welcome = encoded(&MeshMessage::Welcome { member: PEER, life: Incarnation(6) });
    run(&mut lane, |lane, steps| lane.on_bytes(next, &welcome, steps));
    assert!(lane.is_open(), "and when it is back it is dialled");
}

#[test]
fn an_unanswered_lane_beats_on_and_notices_the_silence() {
    let mut lane = open(at(0));
    let mut beats = 0;
    loop {
        let now = lane.next_wake().unwrap();
        let done = run(&mut lane, |lane, steps| lane.on_time(now, steps));
        if done.closes == 1 {
            assert!(matches!(done.reports[..], [FleetEvent::LaneLost(_)]));
            assert_eq!(now, at(0) + GOSSIP * SILENT_INTERVALS);
            break;
        }
        beats += 1;
        assert!(matches!(messages(&done.written)[..], [MeshMessage::Beat { sequence }] if sequence == beats));
    }
    assert!((2..=3).contains(&beats), "{beats} beats in five intervals");
}

#[test]
fn two_lanes_that_hear_each_other_stay_open_on_two_wake_ups_an_interval() {
    let mut dialler = open(at(0));
    let mut acceptor = lane(false);
    run(&mut acceptor, |lane, steps| lane.on_adopted(at(0), steps));
    let mut wakes = 0;
    let end = at(20_000);
    loop {
        let (first, second) = (dialler.next_wake().unwrap(), acceptor.next_wake().unwrap());
        let now = first.min(second);
        if now > end {
            break;
        }
        wakes += 1;
        let (one, other) =
            if first <= second { (&mut dialler, &mut acceptor) } else { (&mut acceptor, &mut dialler) };
        let mut bytes = run(one, |lane, steps| lane.on_time(now, steps)).written;
        let mut pair = [other, one];
        while !bytes.is_empty() {
            wakes += 1;
            bytes = run(pair[0], |lane, steps| lane.on_bytes(now, &bytes, steps)).written;
            pair.swap(0, 1);
        }
    }
    assert!(dialler.is_open() && acceptor.is_open());
    assert!(wakes <= 2 * 20 + 2, "{wakes} wake-ups in twenty intervals");
}

#[test]
fn a_new_connection_replaces_the_old_one() {
    let mut lane = lane(false);
    assert_eq!(lane.next_wake(), None, "who waits to be dialled sleeps");
    let done = run(&mut lane, |lane, steps| lane.on_adopted(at(0), steps));
    assert!(matches!(messages(&done.written)[..], [MeshMessage::Welcome { .. }]));
    let done = run(&mut lane, |lane, steps| lane.on_adopted(at(1), steps));
    assert!(matches!(done.reports[..], [FleetEvent::LaneLost(_), FleetEvent::LaneOpen(_)]));
    let done = run(&mut lane, |lane, steps| lane.on_closed(at(2), steps));
    assert!(matches!(done.reports[..], [FleetEvent::LaneLost(_)]));
    assert_eq!(lane.next_wake(), None);
}

#[test]
fn what_is_heard_is_reported_and_nonsense_ends_the_connection() {
    let mut lane = open(at(0));
    let fragment = Fragment {
        node: MemberId(9),
        life: Incarnation(1),
        sequence: 1,
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        ttl: GOSSIP,
        shards: Arc::new([]),
    };
    let said = MeshMessage::Fragments { whole_map: true, fragments: vec![fragment] };
    let bytes = [encoded(&said), encoded(&MeshMessage::WantMap)].concat();
    let done = run(&mut lane, |lane, steps| lane.on_bytes(at(1), &bytes, steps));
    assert!(matches!(
        done.reports[..],
        [FleetEvent::Heard { from: Source::Peer(PEER), whole_map: true, .. }, FleetEvent::MapWanted(_)]
    ));
    let done = run(&mut lane, |lane, steps| lane.on_bytes(at(2), &[0xff; 64], steps));
    assert!(matches!(done.reports[..], [FleetEvent::LaneLost(_)]));
    assert_eq!(done.closes, 1);
    assert!(!lane.is_open());
}
