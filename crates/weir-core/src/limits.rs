//! Every bound of Weir that more than one crate meets, in one place, each with its reason.
//!
//! Read by all crates. A queue, pool, map or retry without a name here (or beside its only user) is a bug.
//! Kinesis's own quotas carry the word that AWS's documentation uses for them.

use std::{ops::RangeInclusive, time::Duration};

/// One kibibyte.
pub const KIB: usize = 1024;
/// One mebibyte.
pub const MIB: usize = 1024 * KIB;

// ---- Kinesis: what a caller may send. Rates and quotas are in `weir-wire/src/kinesis/limits.rs` ----

/// Records in one `PutRecords` call (AWS).
pub const PUT_RECORDS_COUNT_MAX: usize = 500;
/// Bytes of data and partition keys in one `PutRecords` call (AWS, since 2025).
pub const PUT_RECORDS_BYTES_MAX: usize = 10 * MIB;
/// Bytes of one record's data and partition key, unless the stream is set higher (AWS).
pub const RECORD_BYTES_MAX: usize = MIB;
/// How high a stream may be set (AWS).
pub const RECORD_BYTES_LIMIT: usize = 10 * MIB;
/// What a stream may be set to, in KiB of one record; the least is what a new stream has (AWS).
pub const RECORD_KIB: RangeInclusive<u32> =
    (RECORD_BYTES_MAX / KIB) as u32..=(RECORD_BYTES_LIMIT / KIB) as u32;
/// Unicode characters of a partition key (AWS). At most four bytes each in UTF-8.
pub const PARTITION_KEY_CHARS_MAX: usize = 256;
/// Bytes of a partition key: 256 characters of four bytes.
pub const PARTITION_KEY_BYTES_MAX: usize = 4 * PARTITION_KEY_CHARS_MAX;
/// Records that one `GetRecords` call may ask for (AWS).
pub const GET_RECORDS_COUNT_MAX: usize = 10_000;
/// Bytes that one `GetRecords` call returns at most (AWS).
pub const GET_RECORDS_BYTES_MAX: usize = 10 * MIB;
/// How long a shard iterator lives, and a token that a list goes on with (AWS).
pub const SHARD_ITERATOR_LIFETIME: Duration = Duration::from_secs(300);
/// Characters of a shard iterator (AWS).
pub const SHARD_ITERATOR_CHARS_MAX: usize = 512;
/// Shards of one stream. AWS's default quota is 20,000 an account in the large regions; one host keeps less.
pub const SHARDS_PER_STREAM_MAX: u32 = 10_000;
/// The rolling period in which `UpdateShardCount` calls on one stream are counted (AWS).
pub const UPDATE_SHARD_COUNT_PERIOD: Duration = Duration::from_secs(24 * 3_600);
/// Shards that one control plane keeps, of all streams. However they are spread over the nodes, one node's journal lists
/// them all in a snapshot and its report of them fits into one HTTP body, also when every name has 128 characters.
pub const SHARDS_MAX: usize = 40_000;
/// Streams that one control plane keeps. Bounded because every front end holds all of their shards in memory.
pub const STREAMS_MAX: usize = 10_000;
/// Shards of an on-demand stream at birth (AWS).
pub const ON_DEMAND_SHARDS: u32 = 4;
/// Retention when a stream is created (AWS).
pub const RETENTION_HOURS_DEFAULT: u32 = 24;
/// The shortest retention of a stream (AWS).
pub const RETENTION_HOURS_MIN: u32 = 24;
/// The longest retention of a stream: 365 days (AWS).
pub const RETENTION_HOURS_MAX: u32 = 8_760;
/// The rolling period in which changes of a stream's encryption and of its capacity mode are counted (AWS).
pub const SETTING_CHANGES_PERIOD: Duration = Duration::from_secs(24 * 3_600);
/// Tags of one page of a list (AWS).
pub const TAGS_MAX: usize = 50;
/// Bytes of a resource policy: as much as AWS takes elsewhere.
pub const POLICY_BYTES_MAX: usize = 20 * KIB;
/// Bytes of all resource policies that one control plane keeps: every front end gets them whole with each poll.
pub const POLICIES_BYTES_MAX: usize = 2 * MIB;
/// Statements of a resource policy: each is judged for every call of another account.
pub const POLICY_STATEMENTS_MAX: usize = 100;
/// Shards of monitored streams that one front end counts for: seven lines each in every scrape.
pub const MONITORED_SHARDS_MAX: usize = 1_000;
/// Bytes of data and keys in one event of a subscription, but always one record if there is one: half of
/// what a second lets pass.
pub const SUBSCRIPTION_EVENT_BYTES_MAX: usize = MIB;

// ---- HTTP: what a socket may cost ----

/// Bytes of a request body: the largest `PutRecords` in base64 inside JSON (10 MiB x 4/3) with room for keys, and the report
/// of a node that owns every shard there is.
pub const HTTP_BODY_BYTES_MAX: usize = 18 * MIB;
/// Bytes of all header lines of a request. SDKs send under 2 KiB; a session token may add 4 KiB.
pub const HTTP_HEADER_BYTES_MAX: usize = 32 * KIB;
/// Bytes of a request head that are free; SDKs send fewer.
pub const HTTP_HEAD_BYTES_FREE: usize = 8 * KIB;
/// Bytes of longer heads that one listener holds at once, beyond what is free of each: of those that have no end yet, and
/// of requests that are being served. Who sends such heads gets 503 beyond, or a close; nobody else does.
pub const HTTP_HEADS_BYTES_MAX: usize = 256 * MIB;
/// Connections that one listener serves at once, as far as [`OPEN_FILES_RESERVE`] lets it; the next waits in the kernel's
/// accept queue.
pub const HTTP_CONNECTIONS_MAX: usize = 16_384;
/// Connections that a listener for the house alone serves at once: they come out of [`OPEN_FILES_RESERVE`].
pub const HTTP_OWN_CONNECTIONS_MAX: usize = 64;
/// File descriptors of a process that its connections leave free at least, beside a quarter of all, for what else it
/// opens: segments of the log and those that retention has not given back yet, the control store, listeners, links to
/// nodes and peers.
pub const OPEN_FILES_RESERVE: u64 = 256;
/// Requests that one listener serves at once, over all connections; beyond, requests are refused with 503. HTTP/1.1 cannot
/// meet it before [`HTTP_CONNECTIONS_MAX`]; many streams on many HTTP/2 connections can.
pub const HTTP_REQUESTS_MAX: usize = HTTP_CONNECTIONS_MAX;
/// A connection that has not sent its request head after this long is closed.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// A client of https that has not shaken hands after this long is closed.
pub const HTTP_TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A body that has not arrived after this long ends the request.
pub const HTTP_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that takes nothing of its answer for this long is closed.
pub const HTTP_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that takes nothing of an answer without an end for this long is closed: as long as a `SubscribeToShard`
/// lasts (AWS), for a consumer may take its time over what it has, and what waits for it is one event.
pub const HTTP_STREAM_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes a second that a client must take of an answer, beside the patience above: the largest is gone, or its connection
/// is, within three minutes.
pub const HTTP_ANSWER_BYTES_PER_SECOND_MIN: usize = 128 * KIB;
/// Bytes of large answers that one front end holds at once, from before a read is asked for until the last byte has gone
/// out; beyond, calls are refused with `ServiceUnavailable`. As much as for request bodies.
pub const HTTP_ANSWERS_BYTES_MAX: usize = 512 * MIB;
/// Bytes of events that one front end holds for its subscribers at once. Apart from answers, so that subscribers who do
/// not read take nothing of other calls; who finds it full waits.
pub const HTTP_EVENTS_BYTES_MAX: usize = 128 * MIB;
/// Answers whose memory each thread keeps for the next ones: most are sent whole before the next is encoded.
pub const HTTP_ANSWERS_RECYCLED_MAX: usize = 2;
/// Bytes of the largest memory that is kept so: a page of 500 records of a kibibyte takes three quarters of it.
pub const HTTP_ANSWER_RECYCLED_BYTES_MAX: usize = MIB;
/// Events that are being read from one node and made at once: it gives whole batches, of which an event may take a small
/// part, and those are counted nowhere else.
pub const EVENTS_MADE_MAX: usize = 8;
/// Bytes of a refused body that are read and thrown away, so that a client which sends all before it listens still
/// hears why.
pub const HTTP_DISCARD_BYTES_MAX: usize = 64 * MIB;
/// Bytes of request bodies that one listener holds at once; beyond, requests are refused with 503.
pub const HTTP_BODIES_BYTES_MAX: usize = 512 * MIB;

// ---- HTTP/2: what one connection may cost beside that ----

/// Streams that a client may have open on one connection. Enough for a consumer's subscriptions to a hundred shards; a
/// client that needs more opens another connection.
pub const HTTP2_STREAMS_MAX: u32 = 128;
/// Bytes of bodies that a client may send ahead, on one stream and on one connection: a body goes at full speed over any
/// network that a millisecond crosses, and no connection makes the server keep more that nobody has read.
pub const HTTP2_WINDOW_BYTES: u32 = MIB as u32;
/// Bytes of one frame that a client may send: the least that the protocol allows.
pub const HTTP2_FRAME_BYTES_MAX: u32 = 16 * KIB as u32;
/// Bytes of one answer that wait in the connection for their turn.
pub const HTTP2_SEND_BYTES_MAX: usize = 256 * KIB;
/// Bytes of the table that request heads are compressed with: the protocol's default.
pub const HTTP2_HEADER_TABLE_BYTES: u32 = 4 * KIB as u32;
/// Streams that a client has opened and reset before they were served; one more ends the connection. Clients give up now
/// and then; a flood of it is an attack (CVE-2023-44487).
pub const HTTP2_RESETS_PENDING_MAX: usize = 20;
/// Streams of one connection that the server has had to reset for a client's mistakes; one more ends the connection.
pub const HTTP2_RESETS_FOR_ERRORS_MAX: usize = 100;
/// How often a connection is asked whether its other side is there, so that an event stream to nobody ends.
pub const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// A connection that does not answer that for this long is closed.
pub const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection without a request for this long is ended politely: clients open the next without an error.
pub const HTTP2_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection that is ended politely and has nothing open any more is closed after this long, whether its client has
/// answered or not: a stop must not wait for clients that are asleep.
pub const HTTP2_GOAWAY_TIMEOUT: Duration = Duration::from_millis(500);

// ---- Between front end and node ----

/// Bytes of one frame's payload on Weir's own sockets. Above the largest `PutRecords` and the largest read.
pub const FRAME_BYTES_MAX: usize = 24 * MIB;
/// Frames that may wait in one direction of one link before the sender waits.
pub const LINK_FRAMES_MAX: usize = 1_024;
/// Calls in flight from one front end to one node; the next is refused with `ServiceUnavailable`.
pub const NODE_CALLS_MAX: usize = 4_096;
/// How long a front end waits for a node's answer before it says `InternalFailure`: the write may have happened.
pub const NODE_CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a node lets a front end wait for a record that has not come yet: the answer is back well before
/// [`NODE_CALL_TIMEOUT`].
pub const NODE_AWAIT_MAX: Duration = Duration::from_secs(5);
/// Subscriptions to shards that one front end serves at once; the next is refused with `LimitExceededException`. Each has
/// up to one call in flight to a node: a quarter of what a node takes, so that reads and writes always find room.
pub const SUBSCRIPTIONS_MAX: usize = NODE_CALLS_MAX / 4;
/// How long a put waits at a front end for the shards that take the place of closed ones; then it is refused. As long as
/// for a node's answer: a reshard takes the words of two nodes through the fleet.
pub const RESHARD_WAIT: Duration = NODE_CALL_TIMEOUT;
/// Puts that may wait so at one front end; the next is refused. As many as may be in flight to one node.
pub const RESHARD_WAITING_MAX: usize = NODE_CALLS_MAX;

// ---- The log ----

/// Bytes of one journal segment. Large enough that a footer is rare, small enough that retention drops in steps.
pub const SEGMENT_BYTES: u64 = 64 * MIB as u64;
/// Bytes that one group commit takes. Measured: 512 KiB are too few for a sync, with 4 MiB a group waits for long while
/// nothing is answered; 1 MiB and 2 MiB are as good as each other (docs/PERFORMANCE.md).
pub const COMMIT_GROUP_BYTES_MAX: usize = 2 * MIB;
/// Bytes that are committed on the thread that brings them, if nobody else is served there: what is more is written for
/// longer than a hand-off to the committer and back takes.
pub const COMMIT_HERE_BYTES_MAX: usize = MIB;
/// When the last write and sync took longer, the next is the committer's: a disk that stands still holds up a serve thread
/// once, and one of turning platters never.
pub const COMMIT_HERE_FLUSH_MAX: Duration = Duration::from_millis(1);
/// Bytes that must wait to be written while the group before them is synced: a copy that is worth waking a thread for.
/// Measured: 64 KiB, 256 KiB and 1 MiB are nearly as good as each other (docs/PERFORMANCE.md).
pub const COMMIT_OVERLAP_BYTES_MIN: usize = MIB / 4;
/// Bytes of appends that may wait for the committer; beyond, appends are refused, never queued without end.
pub const COMMIT_QUEUE_BYTES_MAX: usize = 64 * MIB;
/// Appends that may wait for the committer.
pub const COMMIT_QUEUE_ITEMS_MAX: usize = 65_536;
/// This part of the machine's memory is what the kernel is left to keep of the newest segments, and half a segment more; older
/// ones it is told to let go of. What it gets back is what the next segment is written into: where free memory is the host's,
/// as on many virtual machines, getting more takes longer than writing it to disk (docs/PERFORMANCE.md).
pub const LOG_KERNEL_CACHE_PART: u64 = 8;
/// Bytes of the newest records that a journal keeps in memory for readers at the tail, of shards that have some.
pub const LOG_CACHE_BYTES_MAX: usize = 32 * MIB;
/// Bytes of batches within which a page ended, kept for the page that begins there; over all shards.
pub const LOG_RESTS_BYTES_MAX: usize = 8 * MIB;
/// How many of them, so that they are looked through in no time.
pub const LOG_RESTS_MAX: usize = 64;
/// Segments that are kept laid out for their next use; what retention drops beyond goes back to the disk.
pub const SPARE_SEGMENTS_MAX: usize = 8;
/// Files of dropped segments that are given back to the disk with rests between the slices, so that who appends has most of the
/// disk's time; with more of them there are no rests.
pub const LEAVING_FILES_UNHURRIED_MAX: usize = 64;
/// Files of dropped segments that stay open until they are given back slice by slice: 64 GiB of full ones. What comes beyond is
/// closed at once, and who appends waits for it.
pub const LEAVING_FILES_MAX: usize = 1_024;
/// Bytes that the log leaves free on its disk: no segment is laid out that would take of them, so that writes are
/// refused with a clear error while everything else on the machine still works.
pub const DISK_RESERVE_BYTES: u64 = 128 * MIB as u64;
/// Bytes of segments that `--durability memory` holds; then appends are refused until retention makes room.
pub const MEMORY_LOG_BYTES_MAX: u64 = 2 * 1024 * MIB as u64;

// ---- The fleet ----

/// Members of one front-end cell. A full mesh of more does not fit under the kernel's largest pid_max.
pub const CELL_MEMBERS_MAX: usize = 4_096;
/// Front-end cells of one fleet.
pub const CELLS_MAX: usize = 256;
/// Back-end nodes of one fleet.
pub const NODES_MAX: usize = 1_024;
/// Peer threads for one peer (k).
pub const THREADS_PER_PEER_MAX: usize = 16;
/// Bytes of stack for a peer thread: it holds one frame header and a few locals; payloads are on the heap.
pub const PEER_THREAD_STACK_BYTES: usize = 64 * KIB;
/// Messages that may wait for one peer before the oldest is dropped. A message is one node's fragment, a part of a
/// whole map or the wish for one, so what is dropped may be the word of another node: it comes again with the next
/// fragment of that node, and a build that waits for it meets its deadline.
pub const PEER_QUEUE_MAX: usize = 64;
/// Accounts, each in a region, whose settings one control plane keeps.
pub const ACCOUNTS_MAX: usize = 4_096;
/// Regions of one account of those: AWS has half as many, and a caller may name any.
pub const ACCOUNT_REGIONS_MAX: usize = 64;
/// Tenants that a control plane places.
pub const TENANTS_MAX: usize = 65_536;

const _: () = {
    assert!(HTTP_BODY_BYTES_MAX > PUT_RECORDS_BYTES_MAX / 3 * 4);
    assert!(HTTP_ANSWERS_BYTES_MAX > 16 * GET_RECORDS_BYTES_MAX, "one large answer must not be most of them");
    assert!(FRAME_BYTES_MAX > PUT_RECORDS_BYTES_MAX + PUT_RECORDS_COUNT_MAX * PARTITION_KEY_BYTES_MAX);
    assert!(RECORD_BYTES_LIMIT <= PUT_RECORDS_BYTES_MAX, "the largest record fits into a call");
    assert!(FRAME_BYTES_MAX > GET_RECORDS_BYTES_MAX + RECORD_BYTES_LIMIT);
    assert!(SEGMENT_BYTES as usize > FRAME_BYTES_MAX, "the largest batch must fit into a segment");
    assert!(COMMIT_QUEUE_BYTES_MAX > FRAME_BYTES_MAX, "the largest batch must be able to wait");
};
