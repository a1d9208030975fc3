//! A node behind its links, and a node under a control plane: what front ends and the fleet see of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests: what does not hold fails the test")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::net::TcpStream;
use weir_cell::{
    metrics::NodeMetrics,
    node::Node,
    run::{NodeConfig, RunningNode, StartError},
};
use weir_core::{
    batch::{BatchBuilder, Record},
    clock::{Clock, WallMs},
    hash_key::HashKeyRange,
    id::{
        AccountId, ClusterId, Epoch, Incarnation, MemberId, Region, ServerName, ShardIndex, ShardKey,
        StreamId, StreamName,
    },
    limits::NODE_AWAIT_MAX,
    shard::OwnedShard,
    threads::Threads,
};
use weir_log::{Durability, Journal, JournalConfig};
use weir_wire::{
    cell::{CellError, CellReply, CellRequest, Position, ShardAppend, TipReply},
    control::{ControlError, ControlFuture, ControlReply, ControlRequest, ControlService},
    framing::{Frame, FrameLink},
};

fn key(shard: u32) -> ShardKey {
    ShardKey { stream: StreamId(1), shard: ShardIndex(shard) }
}

fn owned(shard: u32, epoch: u64) -> OwnedShard {
    OwnedShard {
        key: key(shard),
        account: AccountId::DEFAULT,
        region: Region::US_EAST_1,
        stream_name: StreamName::new("orders"),
        range: HashKeyRange::ALL,
        created_ms: 1_600_000_000_000,
        epoch: Epoch(epoch),
        parents: [None; 2],
        closed: None,
    }
}

fn append(shard: u32, texts: &[&str]) -> ShardAppend {
    let mut builder = BatchBuilder::default();
    for text in texts {
        builder.push(&Record { partition_key: "k".into(), explicit_hash_key: None, data: text.as_bytes() });
    }
    ShardAppend { key: key(shard), batch: builder.finish() }
}

fn journal(folder: &Path) -> Journal {
    let config = JournalConfig { segment_bytes: 1 << 20, ..JournalConfig::new(folder, Durability::Fsync) };
    Journal::open(config, &Threads::new(), Clock::new()).unwrap().0
}

fn node(folder: &Path) -> Arc<Node> {
    Arc::new(Node::new(journal(folder), Clock::new(), Arc::new(NodeMetrics::default())))
}

/// What a killed process leaves is what is in its files at that moment: no close, no footer.
fn as_a_kill_leaves_it(folder: &Path) -> tempfile::TempDir {
    let after = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), after.path().join(file.file_name())).unwrap();
    }
    after
}

async fn ask(node: &Node, request: CellRequest) -> CellReply {
    let answer = node.answer(request.into_frame(1)).await;
    CellReply::from_frame(answer).unwrap()
}

async fn texts(node: &Node, shard: u32) -> Vec<String> {
    let read = CellRequest::Read { key: key(shard), from: 0, records_max: 10_000, bytes_max: 1 << 20 };
    let CellReply::Read(read) = ask(node, read).await else { panic!("not read") };
    let records = read.batches.iter().flat_map(|stored| stored.batch.records());
    records.map(|record| String::from_utf8(record.data.to_vec()).unwrap()).collect()
}

/// A question that waits for records from `record` on; an answer that comes with the end of its time fails the test.
async fn awaited(node: &Node, record: u64) -> CellReply {
    let question = CellRequest::Await { key: key(0), record, wait_ms: 60_000 };
    let early = NODE_AWAIT_MAX - Duration::from_secs(1);
    tokio::time::timeout(early, ask(node, question))
        .await
        .expect("answered by what happened, not by the clock")
}

#[tokio::test]
async fn who_waits_for_a_record_is_answered_when_it_is_durable_and_when_none_can_come() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    node.open_shard(owned(0, 1)).await.unwrap();
    let question = CellRequest::Append(vec![append(0, &["a", "b"])]);
    let (answer, appended) = tokio::join!(awaited(&node, 0), ask(&node, question));
    let (CellReply::Tip(end), CellReply::Append(results)) = (answer, appended) else { panic!() };
    assert_eq!((end.tip, end.tip_arrived), (2, results[0].unwrap().arrived));
    assert_eq!(awaited(&node, 1).await, CellReply::Tip(end), "what is there already is not waited for");
    let (answer, closed) = tokio::join!(awaited(&node, 2), node.close_shard(key(0)));
    closed.unwrap();
    assert_eq!(answer, CellReply::Tip(TipReply { closed: true, ..end }));
    node.delete_shard(key(0)).await.unwrap();
    assert_eq!(awaited(&node, 2).await, CellReply::Failed(CellError::NotOwner));
}

#[tokio::test]
async fn who_waits_for_a_record_of_a_shard_that_is_deleted_hears_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    node.open_shard(owned(0, 1)).await.unwrap();
    let (answer, deleted) = tokio::join!(awaited(&node, 0), node.delete_shard(key(0)));
    deleted.unwrap();
    assert_eq!(answer, CellReply::Failed(CellError::NotOwner));
}

#[tokio::test]
async fn who_waits_in_vain_hears_where_the_shard_ends() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    node.open_shard(owned(0, 1)).await.unwrap();
    let answer = ask(&node, CellRequest::Await { key: key(0), record: 0, wait_ms: 1 }).await;
    assert_eq!(answer, CellReply::Tip(TipReply { tip: 0, tip_arrived: WallMs(0), closed: false }));
}

#[tokio::test]
async fn one_frame_appends_to_many_shards_and_answers_for_each() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    for shard in [0, 1] {
        node.open_shard(owned(shard, 1)).await.unwrap();
    }
    let appends =
        vec![append(0, &["a", "b"]), append(9, &["nobody's"]), append(1, &["c"]), append(0, &["d"])];
    let CellReply::Append(results) = ask(&node, CellRequest::Append(appends)).await else { panic!() };
    let firsts: Vec<_> = results.iter().map(|result| result.map(|done| done.first)).collect();
    assert_eq!(firsts, [Ok(0), Err(CellError::NotOwner), Ok(0), Ok(2)]);
    assert_eq!(texts(&node, 0).await, ["a", "b", "d"]);
    assert!(node.journal().metrics().groups <= 4, "appends of one frame share group commits");
    let latest = CellRequest::Position { key: key(0), at: Position::Latest };
    let CellReply::Position(position) = ask(&node, latest).await else { panic!() };
    assert_eq!(position.record, 3);
    let beyond = CellRequest::Read { key: key(0), from: 4, records_max: 1, bytes_max: 1 };
    let CellReply::Read(read) = ask(&node, beyond).await else { panic!("not read") };
    assert_eq!((read.batches.len(), read.from, read.tip), (0, 4, 3), "the asker sees that it is ahead");
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = self::node(folder.path());
    node.open_shard(owned(0, 1)).await.unwrap();
    let expected: Vec<_> = (0..200).map(|n| format!("record {n}")).collect();
    for text in &expected {
        let CellReply::Append(results) = ask(&node, CellRequest::Append(vec![append(0, &[text])])).await
        else {
            panic!()
        };
        results[0].unwrap();
    }
    let after = as_a_kill_leaves_it(folder.path());
    let again = self::node(after.path());
    assert_eq!(again.recovered(), [owned(0, 1)]);
    assert_eq!(texts(&again, 0).await, expected);
    let CellReply::Append(results) = ask(&again, CellRequest::Append(vec![append(0, &["next"])])).await
    else {
        panic!()
    };
    assert_eq!(results[0].unwrap().first, 200);
}

#[tokio::test]
async fn nothing_is_trimmed_before_the_control_plane_has_said_how_long_streams_keep() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    for (shard, text) in [(1, "foreign"), (0, "kept")] {
        node.open_shard(owned(shard, 1)).await.unwrap();
        ask(&node, CellRequest::Append(vec![append(shard, &[text])])).await;
    }
    node.retain().await;
    assert_eq!(texts(&node, 0).await, ["kept"]);
    node.retain_hours(vec![(StreamId(1), 0)], [key(1)].into());
    // Zero hours keep what arrives now; a moment later it is gone.
    while texts(&node, 0).await == ["kept"] {
        node.retain().await;
        tokio::task::yield_now().await;
    }
    assert_eq!(texts(&node, 0).await, [""; 0]);
    assert_eq!(texts(&node, 1).await, ["foreign"], "of which nobody has said how long it is kept");
}

#[tokio::test]
async fn records_go_when_their_time_is_over_and_a_shorter_period_takes_more_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    node.open_shard(owned(0, 1)).await.unwrap();
    let filler = "x".repeat(100_000);
    for _ in 0..40 {
        ask(&node, CellRequest::Append(vec![append(0, &[&filler])])).await;
    }
    let CellReply::Append(last) = ask(&node, CellRequest::Append(vec![append(0, &["last"])])).await else {
        panic!()
    };
    let arrived = last[0].unwrap().arrived.0;
    let after = |hours: u64, ms: u64| WallMs(arrived + hours * 3_600_000 + ms);
    let (held, segments) = (node.records_of(key(0)), node.journal().metrics().segments);
    assert_eq!(held, 41);
    assert!(segments > 3, "{segments} segments");

    assert!(node.retain_hours(vec![(StreamId(1), 48)], [].into()));
    node.retain_at(after(30, 0)).await;
    assert_eq!((node.records_of(key(0)), node.journal().metrics().segments), (held, segments));

    assert!(node.retain_hours(vec![], [].into()), "48 hours have become 24: news");
    assert!(!node.retain_hours(vec![], [].into()));
    node.retain_at(after(24, 0)).await;
    assert_eq!(texts(&node, 0).await.last().unwrap(), "last", "kept to the last millisecond");
    node.retain_at(after(24, 1)).await;
    assert_eq!(texts(&node, 0).await, [""; 0]);
    assert_eq!(node.journal().metrics().segments, 1, "only the one that is being filled is left on disk");
    let CellReply::Append(next) = ask(&node, CellRequest::Append(vec![append(0, &["next"])])).await else {
        panic!()
    };
    assert_eq!(next[0].unwrap().first, 41, "numbers go on");
}

#[tokio::test]
async fn a_stream_that_keeps_for_long_does_not_hold_what_its_neighbour_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    let (mut kept, filler) = (Vec::new(), "x".repeat(100_000));
    for shard in [0, 1] {
        node.open_shard(owned(shard, 1)).await.unwrap();
    }
    for n in 0..80 {
        ask(&node, CellRequest::Append(vec![append(0, &[&filler])])).await;
        if n % 8 == 0 {
            kept.push(format!("kept {n}"));
            ask(&node, CellRequest::Append(vec![append(1, &[kept.last().unwrap()])])).await;
        }
    }
    let before = node.journal().metrics().segments;
    assert!(before > 6, "{before} segments");
    node.retain_hours(vec![], [key(1)].into()); // whose hours nobody has said: it keeps everything
    let tomorrow = WallMs(Clock::new().wall().0 + 25 * 3_600_000);
    node.retain_at(tomorrow).await;
    while node.journal().metrics().rewritten_segments < before - 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.journal().metrics().segments, 3, "one file in the place of all but the two newest");
    assert_eq!((texts(&node, 0).await, texts(&node, 1).await), (vec![], kept.clone()));
    let after = as_a_kill_leaves_it(folder.path());
    let again = self::node(after.path());
    assert_eq!(texts(&again, 1).await, kept);
}

/// A control plane of one answer to each question, which the test changes.
struct FakeControl {
    cluster: ClusterId,
    next_stream: StreamId,
    assigned: Mutex<Vec<OwnedShard>>,
    closing: Mutex<Vec<ShardKey>>,
    reported: Mutex<BTreeMap<u64, Vec<ShardKey>>>,
}

impl Default for FakeControl {
    /// It has given out stream 1.
    fn default() -> Self {
        Self {
            cluster: ClusterId(1),
            next_stream: StreamId(2),
            assigned: Mutex::default(),
            closing: Mutex::default(),
            reported: Mutex::default(),
        }
    }
}

impl ControlService for FakeControl {
    fn call(&self, request: ControlRequest) -> ControlFuture<'_> {
        let answer = match request {
            ControlRequest::Register { cluster: Some(other), .. } if other != self.cluster => {
                Err(ControlError::OtherCluster(self.cluster))
            }
            ControlRequest::Register { .. } => {
                let cluster = self.cluster;
                Ok(ControlReply::Registered { member: MemberId(7), life: Incarnation(3), cluster })
            }
            ControlRequest::Report { fragment, traffic: _ } => {
                let keys = fragment.shards.iter().map(|shard| shard.key).collect();
                self.reported.lock().unwrap().insert(fragment.sequence, keys);
                let shards = self.assigned.lock().unwrap().clone();
                let (closing, next_stream) = (self.closing.lock().unwrap().clone(), self.next_stream);
                Ok(ControlReply::Assignments { shards, closing, retention_hours: vec![], next_stream })
            }
            _ => Err(ControlError::Unavailable("the test's control plane knows no more".into())),
        };
        Box::pin(std::future::ready(answer))
    }
}

fn config(folder: &Path, service: SocketAddr) -> NodeConfig {
    NodeConfig {
        name: ServerName::new("node-1"),
        service,
        admin: SocketAddr::from(([127, 0, 0, 1], 1)),
        data: folder.to_owned(),
        durability: Durability::Fsync,
    }
}

async fn running(
    folder: &Path,
    control: &Arc<FakeControl>,
    service: SocketAddr,
) -> (RunningNode, NodeConfig) {
    let config = config(folder, service);
    let control: weir_wire::control::Control = Arc::clone(control) as _;
    let started = RunningNode::start(&config, control, &Threads::new(), Clock::new()).await;
    (started.unwrap().0, config)
}

#[tokio::test]
async fn assigned_shards_are_owned_once_they_are_durable_and_given_up_when_they_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let control = Arc::new(FakeControl::default());
    let (node, _) = running(folder.path(), &control, SocketAddr::from(([127, 0, 0, 1], 1))).await;
    let mut fragments = node.fragments();
    let owns = |keys: &'static [u32]| {
        move |fragment: &Option<weir_wire::fragment::Fragment>| {
            fragment.as_ref().is_some_and(|fragment| {
                fragment.shards.iter().map(|shard| shard.key.shard.0).eq(keys.iter().copied())
            })
        }
    };
    fragments.wait_for(owns(&[])).await.unwrap();
    *control.assigned.lock().unwrap() = (0..3).map(|shard| owned(shard, 1)).collect();
    let fragment = fragments.wait_for(owns(&[0, 1, 2])).await.unwrap().clone().unwrap();
    assert_eq!((fragment.node, fragment.life), (MemberId(7), Incarnation(3)));
    let held: Vec<_> = node.node().journal().shards().into_iter().map(|status| status.owned).collect();
    assert_eq!(held, fragment.shards.as_ref(), "said only what the journal has");
    let syncs = node.node().journal().metrics().syncs;
    assert!(syncs <= 2, "{syncs} syncs for three shards of one assignment");
    control.assigned.lock().unwrap().remove(1);
    fragments.wait_for(owns(&[0, 2])).await.unwrap();
    let gone = CellRequest::Position { key: key(1), at: Position::Latest };
    while ask(node.node(), gone.clone()).await != CellReply::Failed(CellError::NotOwner) {
        tokio::task::yield_now().await;
    }
    let reported = control.reported.lock().unwrap();
    assert!(reported.values().any(|keys| *keys == [key(0), key(1), key(2)]), "the control plane heard it");
}

#[tokio::test]
async fn a_shard_that_is_to_be_closed_is_said_to_be_once_it_takes_no_more_and_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let control = Arc::new(FakeControl::default());
    *control.assigned.lock().unwrap() = vec![owned(0, 1)];
    let (node, _) = running(folder.path(), &control, SocketAddr::from(([127, 0, 0, 1], 1))).await;
    let mut fragments = node.fragments();
    let said = |closed: bool| {
        move |fragment: &Option<weir_wire::fragment::Fragment>| {
            let shards = fragment.as_ref().map(|fragment| &fragment.shards[..]).unwrap_or_default();
            shards.iter().any(|shard| shard.is_open() != closed)
        }
    };
    fragments.wait_for(said(false)).await.unwrap();
    ask(node.node(), CellRequest::Append(vec![append(0, &["a", "b"])])).await;
    *control.closing.lock().unwrap() = vec![key(0)];
    let fragment = fragments.wait_for(said(true)).await.unwrap().clone().unwrap();
    assert_eq!(fragment.shards[0].closed.unwrap().end, 2);
    let CellReply::Append(results) = ask(node.node(), CellRequest::Append(vec![append(0, &["c"])])).await
    else {
        panic!()
    };
    assert_eq!(results, [Err(CellError::Closed)]);
    assert_eq!(texts(node.node(), 0).await, ["a", "b"]);
    for from in [2, 3] {
        let end = CellRequest::Read { key: key(0), from, records_max: 1, bytes_max: 1 };
        let CellReply::Read(read) = ask(node.node(), end).await else { panic!("not read") };
        assert_eq!((read.from, read.tip, read.closed), (from, 2, true));
    }
    let again = self::node(as_a_kill_leaves_it(folder.path()).path());
    assert_eq!(again.recovered()[0].closed, fragment.shards[0].closed);
}

/// A control plane that must not hear of the node.
struct Unasked;

impl ControlService for Unasked {
    fn call(&self, request: ControlRequest) -> ControlFuture<'_> {
        panic!("{request:?}")
    }
}

#[tokio::test]
async fn a_node_that_cannot_listen_is_never_registered() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(folder.path(), taken.local_addr().unwrap());
    let threads = Threads::new();
    let started = RunningNode::start_listening(&config, Arc::new(Unasked), &threads, Clock::new()).await;
    assert!(matches!(started, Err(StartError::Listen { .. })), "{started:?}");
}

#[tokio::test]
async fn a_front_end_over_a_socket_and_one_in_the_process_get_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let control = Arc::new(FakeControl::default());
    *control.assigned.lock().unwrap() = vec![owned(0, 1)];
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let config = config(folder.path(), address);
    let plane = Arc::clone(&control) as weir_wire::control::Control;
    let started = RunningNode::start_listening(&config, plane, &Threads::new(), Clock::new()).await;
    let (node, _) = started.unwrap();
    let has_shard = |fragment: &Option<weir_wire::fragment::Fragment>| {
        fragment.as_ref().is_some_and(|fragment| !fragment.shards.is_empty())
    };
    node.fragments().wait_for(has_shard).await.unwrap();
    let mut link = FrameLink::over(TcpStream::connect(address).await.unwrap());
    for at in [0, 1] {
        let written: Vec<_> = (0..50).map(|id| format!("{at} {id}")).collect();
        let appends = written.iter().map(|text| CellRequest::Append(vec![append(0, &[text])]));
        let mut answers = BTreeMap::new();
        if at == 0 {
            let local = node.local();
            let begun: Vec<_> = appends.map(|append| tokio::spawn(local.ask(append))).collect();
            for (id, answer) in (0..).zip(begun) {
                answers.insert(id, answer.await.unwrap().unwrap());
            }
        } else {
            for (id, append) in (0..).zip(appends) {
                link.send(append.into_frame(id)).await.unwrap();
            }
            link.send(Frame::new(0x7fff, 99, Bytes::from_static(b"nonsense"))).await.unwrap();
            for _ in 0..51 {
                let frame = link.receive().await.unwrap();
                answers.insert(frame.id, CellReply::from_frame(frame).unwrap());
            }
            assert_eq!(answers.remove(&99), Some(CellReply::Failed(CellError::Malformed)));
        }
        for id in 0..50 {
            let Some(CellReply::Append(results)) = answers.get(&id) else { panic!("{id}: {answers:?}") };
            let done = results[0].unwrap();
            assert_eq!(done.first, 50 * at + id, "order of frames is order of numbers");
            assert!(done.arrived > WallMs(0));
        }
    }
    assert_eq!(texts(node.node(), 0).await.len(), 100);
}

#[tokio::test]
async fn a_restarted_node_says_what_its_journal_holds_before_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let control = Arc::new(FakeControl::default());
    *control.assigned.lock().unwrap() = vec![owned(0, 1)];
    {
        let journal = journal(folder.path());
        let (done, opened) = std::sync::mpsc::sync_channel(1);
        journal.open_shard(owned(0, 1), move |result| done.send(result).unwrap());
        opened.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
    }
    let (node, _) = running(folder.path(), &control, SocketAddr::from(([127, 0, 0, 1], 1))).await;
    let mut fragments = node.fragments();
    let first = fragments.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert_eq!((first.sequence, first.shards.as_ref()), (1, &[owned(0, 1)][..]));
}

/// A folder whose journal holds shard 0 with one record.
async fn folder_with_a_record() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    node.open_shard(owned(0, 1)).await.unwrap();
    ask(&node, CellRequest::Append(vec![append(0, &["kept"])])).await;
    node.close();
    folder
}

#[tokio::test]
async fn a_control_plane_that_knows_no_stream_takes_no_record() {
    let folder = folder_with_a_record().await;
    let control = Arc::new(FakeControl { next_stream: StreamId(1), ..FakeControl::default() });
    let (node, _) = running(folder.path(), &control, SocketAddr::from(([127, 0, 0, 1], 1))).await;
    let unsaid = |fragment: &Option<weir_wire::fragment::Fragment>| {
        fragment.as_ref().is_some_and(|fragment| fragment.sequence > 3 && fragment.shards.is_empty())
    };
    node.fragments().wait_for(unsaid).await.unwrap();
    assert_eq!(texts(node.node(), 0).await, ["kept"]);
}

#[tokio::test]
async fn a_node_does_not_follow_the_control_plane_of_another_cluster() {
    let folder = folder_with_a_record().await;
    std::fs::write(folder.path().join("cluster"), "1\n").unwrap();
    let other = Arc::new(FakeControl { cluster: ClusterId(2), ..FakeControl::default() });
    let config = config(folder.path(), SocketAddr::from(([127, 0, 0, 1], 1)));
    let plane = Arc::clone(&other) as weir_wire::control::Control;
    let refused = RunningNode::start(&config, plane, &Threads::new(), Clock::new()).await;
    let Err(StartError::Cluster(refused)) = refused else { panic!("{refused:?}") };
    assert!(refused.to_string().contains("belongs to cluster 1"), "{refused}");
    assert!(other.reported.lock().unwrap().is_empty(), "it asked for nothing");
}

#[tokio::test]
async fn a_number_that_was_given_out_again_deletes_no_forgotten_record_in_any_life() {
    let mut folder = folder_with_a_record().await;
    // Before the number is given out again, and after the stream that had it second is gone.
    for next_stream in [1, 2, 2] {
        let next_stream = StreamId(next_stream);
        let control = Arc::new(FakeControl { next_stream, ..FakeControl::default() });
        let (node, _) = running(folder.path(), &control, SocketAddr::from(([127, 0, 0, 1], 1))).await;
        let settled = |fragment: &Option<weir_wire::fragment::Fragment>| {
            fragment.as_ref().is_some_and(|fragment| fragment.sequence > 3)
        };
        node.fragments().wait_for(settled).await.unwrap();
        assert_eq!(texts(node.node(), 0).await, ["kept"], "next stream {next_stream}");
        folder = as_a_kill_leaves_it(folder.path());
    }
}
