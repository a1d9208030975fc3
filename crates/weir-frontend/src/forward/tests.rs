//! A node is asked through the same door whether it answers, refuses, breaks or is not there.

use std::io;

use tokio::sync::mpsc;
use weir_core::{
    id::{ShardIndex, ShardKey, StreamId},
    limits::NODE_CALLS_MAX,
};
use weir_wire::{
    cell::{Position, PositionReply},
    framing::{Frame, FrameLink},
};

use super::*;

const NODE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4000);

/// Long enough that no test ends by it.
const LONG: Duration = Duration::from_secs(600);

/// Gives out the links that a test has put in, and refuses when there are none.
struct Scripted(Mutex<Vec<FrameLink>>);

impl Dial for Scripted {
    fn dial(&self, _node: SocketAddr) -> DialFuture<'_> {
        let link = self.0.lock().pop();
        let connection = link.map(Connection::Link);
        Box::pin(std::future::ready(connection.ok_or_else(|| io::Error::other("connection refused"))))
    }
}

fn question() -> CellRequest {
    let key = ShardKey { stream: StreamId(1), shard: ShardIndex(0) };
    CellRequest::Position { key, at: Position::Latest }
}

fn answer(frame: &Frame, record: u64) -> Frame {
    CellReply::Position(PositionReply { record }).into_frame(frame.id)
}

/// Two ends of one connection.
fn pair() -> (FrameLink, FrameLink) {
    let (one, other) = tokio::io::duplex(64 * 1024);
    (FrameLink::over(one), FrameLink::over(other))
}

/// A forwarder and the other ends of the links that it will dial, first to last.
fn forwarder(links: usize, timeout: Duration) -> (Forwarder, Vec<FrameLink>) {
    let (mut near, far): (Vec<_>, Vec<_>) = (0..links).map(|_| pair()).unzip();
    near.reverse();
    let dial = Arc::new(Scripted(Mutex::new(near)));
    (Forwarder::new(dial, Clock::new(), timeout), far)
}

async fn next(link: &mut FrameLink) -> Frame {
    link.receive().await.expect("the forwarder is there")
}

#[tokio::test]
async fn answers_find_their_questions_in_any_order() {
    let (forwarder, mut far) = forwarder(1, LONG);
    let first = forwarder.start(NODE, question()).await.unwrap();
    let second = forwarder.start(NODE, question()).await.unwrap();
    assert_eq!(forwarder.calls_in_flight(), 2);
    let (one, other) = (next(&mut far[0]).await, next(&mut far[0]).await);
    far[0].send(answer(&other, 2)).await.unwrap();
    far[0].send(answer(&one, 1)).await.unwrap();
    assert_eq!(first.answer().await, Ok(CellReply::Position(PositionReply { record: 1 })));
    assert_eq!(second.answer().await, Ok(CellReply::Position(PositionReply { record: 2 })));
    assert_eq!(forwarder.calls_in_flight(), 0);
}

#[tokio::test]
async fn a_link_that_breaks_fails_what_is_in_flight_and_is_dialled_again() {
    let (forwarder, mut far) = forwarder(2, LONG);
    let call = forwarder.start(NODE, question()).await.unwrap();
    let mut second = far.pop().unwrap();
    drop(far);
    let error = call.answer().await.unwrap_err();
    assert_eq!((&error, error.effect()), (&ForwardError::Broken { node: NODE }, Effect::Unknown));

    let again = forwarder.start(NODE, question()).await.unwrap();
    let frame = next(&mut second).await;
    second.send(answer(&frame, 7)).await.unwrap();
    assert_eq!(again.answer().await, Ok(CellReply::Position(PositionReply { record: 7 })));
}

#[tokio::test]
async fn a_node_that_is_not_there_fails_calls_before_anything_is_sent() {
    let (forwarder, _far) = forwarder(0, LONG);
    let first = forwarder.call(NODE, question()).await.unwrap_err();
    assert!(matches!(&first, ForwardError::Unreachable { detail, .. } if detail == "connection refused"));
    assert_eq!(first.effect(), Effect::None);
    let second = forwarder.call(NODE, question()).await.unwrap_err();
    assert!(
        matches!(&second, ForwardError::Unreachable { detail, .. } if detail.starts_with("next dial in"))
    );
    assert_eq!(forwarder.calls_in_flight(), 0);
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_given_up_on() {
    let (forwarder, mut far) = forwarder(1, Duration::from_millis(30));
    let error = forwarder.call(NODE, question()).await.unwrap_err();
    assert!(matches!(error, ForwardError::Timeout { .. }));
    assert_eq!(error.effect(), Effect::Unknown);
    // A late answer belongs to nobody and harms nobody.
    let late = next(&mut far[0]).await;
    far[0].send(answer(&late, 1)).await.unwrap();
    let call = forwarder.start(NODE, question()).await.unwrap();
    let frame = next(&mut far[0]).await;
    far[0].send(answer(&frame, 2)).await.unwrap();
    assert_eq!(call.answer().await, Ok(CellReply::Position(PositionReply { record: 2 })));
}

#[tokio::test]
async fn calls_in_flight_are_bounded_and_the_next_is_refused() {
    let (forwarder, mut far) = forwarder(1, LONG);
    let (seen, mut frames) = mpsc::channel(NODE_CALLS_MAX);
    let reader = tokio::spawn(async move {
        for _ in 0..NODE_CALLS_MAX {
            seen.send(next(&mut far[0]).await).await.unwrap();
        }
        far
    });
    let mut calls = Vec::new();
    for _ in 0..NODE_CALLS_MAX {
        calls.push(forwarder.start(NODE, question()).await.unwrap());
    }
    let refused = forwarder.start(NODE, question()).await.unwrap_err();
    assert_eq!((&refused, refused.effect()), (&ForwardError::Full { node: NODE }, Effect::None));
    frames.recv().await.unwrap();
    drop(calls.pop());
    assert!(forwarder.start(NODE, question()).await.is_ok(), "a call that ended makes room");
    drop(reader.await.unwrap());
}

#[tokio::test]
async fn an_answer_that_does_not_read_is_nonsense_and_may_have_happened() {
    let (forwarder, mut far) = forwarder(1, LONG);
    let call = forwarder.start(NODE, question()).await.unwrap();
    let id = next(&mut far[0]).await.id;
    far[0].send(Frame::new(0x7777, id, bytes::Bytes::new())).await.unwrap();
    let error = call.answer().await.unwrap_err();
    assert_eq!((&error, error.effect()), (&ForwardError::Nonsense { node: NODE }, Effect::Unknown));

    let call = forwarder.start(NODE, question()).await.unwrap();
    let id = next(&mut far[0]).await.id;
    far[0].send(CellReply::Failed(CellError::NotOwner).into_frame(id)).await.unwrap();
    let refused = ForwardError::Refused { node: NODE, error: CellError::NotOwner };
    assert_eq!(call.answer().await, Err(refused));
}

#[tokio::test]
async fn questions_to_several_nodes_are_in_flight_together() {
    let (forwarder, mut far) = forwarder(2, LONG);
    let other = SocketAddr::from(([127, 0, 0, 2], 4000));
    let answering = async {
        // The second node answers before the first has: neither waits for the other's turn.
        let (one, two) = far.split_at_mut(1);
        let (first, second) = (next(&mut one[0]).await, next(&mut two[0]).await);
        two[0].send(answer(&second, 2)).await.unwrap();
        one[0].send(answer(&first, 1)).await.unwrap();
    };
    let asking = all(vec![forwarder.call(NODE, question()), forwarder.call(other, question())]);
    let (answers, ()) = tokio::join!(asking, answering);
    let records = answers.into_iter().map(|answer| match answer.unwrap() {
        CellReply::Position(position) => position.record,
        other => panic!("{other:?}"),
    });
    assert_eq!(records.collect::<Vec<_>>(), [1, 2]);
}
