//! Every call and every answer survives JSON, and a misspelt field is refused.

use proptest::prelude::*;

use weir_core::{id::ConsumerName, monitoring::ShardLevelMetric};

use super::*;
use crate::mesh::tests::{address, fragment, owned_shard};

fn span() -> impl Strategy<Value = Span> {
    (0..10_000_000u64).prop_map(|ms| Span(Duration::from_millis(ms)))
}

fn fleet() -> impl Strategy<Value = FleetConfig> {
    let mesh =
        prop_oneof![Just(MeshKind::ThreadPerPeer), Just(MeshKind::Multiplexed), Just(MeshKind::CacheFleet)];
    let on_refusal = prop_oneof![Just(OnRefusal::Wedge), Just(OnRefusal::Retry)];
    let bootstrap = prop_oneof![Just(Bootstrap::Peers), Just(Bootstrap::Authoritative)];
    (mesh, 1..16usize, [span(), span(), span(), span()], on_refusal, bootstrap).prop_map(
        |(mesh, threads_per_peer, [gossip, window, ttl, deadline], on_refusal, bootstrap)| FleetConfig {
            mesh,
            threads_per_peer,
            gossip_interval: gossip,
            discovery_window: window,
            map_ttl: ttl,
            build_deadline: deadline,
            on_refusal,
            bootstrap,
        },
    )
}

fn member() -> impl Strategy<Value = Member> {
    let role = prop_oneof![Just(Role::Frontend), Just(Role::Cache), Just(Role::Backend)];
    ("[a-z0-9-]{1,9}", any::<(u32, u64)>(), role, address()).prop_map(|(name, (id, life), role, mesh)| {
        Member { id: MemberId(id), name: ServerName::new(name), role, life: Incarnation(life), mesh }
    })
}

fn view() -> impl Strategy<Value = MembershipView> {
    let nodes = prop::collection::vec((any::<(u32, u64)>(), address()), 0..3).prop_map(|nodes| {
        nodes
            .into_iter()
            .map(|((id, life), address)| NodeEntry {
                id: MemberId(id),
                name: ServerName::new("node"),
                life: Incarnation(life),
                address,
            })
            .collect()
    });
    (any::<u64>(), prop::collection::vec(member(), 0..4), nodes, fleet()).prop_map(
        |(generation, members, nodes, fleet)| MembershipView {
            generation: Generation(generation),
            cell: CellName::new("a"),
            members,
            nodes,
            fleet,
            shared: SharedConfig {
                streams: vec![StreamSettings {
                    id: StreamId(generation),
                    stream: stream_ref(),
                    encrypted_since_ms: Some(1),
                    intake: Intake { record_kib_max: 2_048, spread: true },
                    metrics: ShardLevelMetrics::of_names(["ALL"]).unwrap(),
                    policy: Some("{}".to_owned()),
                    consumers: vec![ConsumerPolicy {
                        name: ConsumerName::new("c"),
                        created_secs: 1,
                        policy: "{}".to_owned(),
                    }],
                }],
                settings_revision: generation,
                iterator_secret: "00ff".to_owned(),
                iterator_lifetime: Span(Duration::from_secs(7)),
                credentials: vec![Credential {
                    access_key: "AKIA".to_owned(),
                    secret_key: "secret".to_owned(),
                    session_token: None,
                    account: AccountId::DEFAULT,
                    tenant: TenantName::new("t"),
                }],
                limits: Default::default(),
            },
        },
    )
}

fn stream() -> impl Strategy<Value = StreamDescription> {
    let status = prop_oneof![
        Just(StreamStatus::Creating),
        Just(StreamStatus::Active),
        Just(StreamStatus::Updating),
        Just(StreamStatus::Deleting)
    ];
    let shown = (prop::option::of("\\PC{0,5}"), metrics());
    (status, any::<(u64, u32, bool)>(), shown, prop::collection::vec(owned_shard(), 0..3)).prop_map(
        |(status, (created_ms, retention_hours, on_demand), (encryption_key, metrics), shards)| {
            StreamDescription {
                stream: stream_ref(),
                status,
                created_ms,
                retention_hours,
                on_demand,
                encryption_key,
                metrics,
                warm_mibps: on_demand.then_some(retention_hours),
                intake: Intake { record_kib_max: retention_hours, spread: on_demand },
                settings_revision: created_ms,
                shards,
                consumers: retention_hours,
            }
        },
    )
}

fn metrics() -> impl Strategy<Value = ShardLevelMetrics> {
    let names: Vec<_> = ShardLevelMetric::ALL.into_iter().map(ShardLevelMetric::name).collect();
    prop::sample::subsequence(names, 0..=7).prop_map(|names| ShardLevelMetrics::of_names(names).unwrap())
}

fn attached_change() -> impl Strategy<Value = AttachedChange> {
    let text = || "\\PC{0,5}";
    prop_oneof![
        prop::collection::btree_map(text(), text(), 0..3).prop_map(AttachedChange::AddTags),
        prop::collection::btree_set(text(), 0..3).prop_map(AttachedChange::RemoveTags),
        prop::option::of(text()).prop_map(AttachedChange::Policy),
    ]
}

fn change() -> impl Strategy<Value = StreamChange> {
    prop_oneof![
        any::<u32>().prop_map(|kib| StreamChange::SetRecordSize { kib }),
        any::<(bool, Option<u32>)>()
            .prop_map(|(on_demand, warm_mibps)| StreamChange::SetMode { on_demand, warm_mibps }),
        any::<u32>().prop_map(|mibps| StreamChange::SetWarmThroughput { mibps }),
        any::<bool>().prop_map(|on| StreamChange::SetSpread { on }),
        any::<i64>().prop_map(|hours| StreamChange::IncreaseRetention { hours }),
        any::<i64>().prop_map(|hours| StreamChange::DecreaseRetention { hours }),
        "\\PC{0,9}".prop_map(|key| StreamChange::StartEncryption { key }),
        "\\PC{0,9}".prop_map(|key| StreamChange::StopEncryption { key }),
        metrics().prop_map(|metrics| StreamChange::EnableMonitoring { metrics }),
        metrics().prop_map(|metrics| StreamChange::DisableMonitoring { metrics }),
    ]
}

fn consumer(created_ms: u64) -> ConsumerDescription {
    ConsumerDescription { name: ConsumerName::new("c"), status: ConsumerStatus::Deleting, created_ms }
}

fn consumer_call() -> impl Strategy<Value = ConsumerCall> {
    let name = || ConsumerName::new("c");
    let key = any::<Option<u64>>().prop_map(move |created_secs| ConsumerKey { name: name(), created_secs });
    let tags = prop::collection::btree_map("[a-z]{1,4}", ".{0,4}", 0..3);
    prop_oneof![
        tags.prop_map(move |tags| ConsumerCall::Register { name: name(), tags }),
        key.clone().prop_map(|key| ConsumerCall::Deregister { key }),
        key.prop_map(|key| ConsumerCall::Describe { key }),
        any::<(Option<u64>, bool, u32)>().prop_map(move |(stream_created_secs, first, limit)| {
            ConsumerCall::List { stream_created_secs, after: (!first).then(name), limit }
        }),
    ]
}

fn stream_ref() -> StreamRef {
    StreamRef { account: AccountId::DEFAULT, region: Region::US_EAST_1, name: StreamName::new("s") }
}

fn request() -> impl Strategy<Value = ControlRequest> {
    let cell = prop::option::of("[a-z]{1,4}".prop_map(CellName::new));
    prop_oneof![
        (member(), cell.clone(), any::<Option<u64>>()).prop_map(|(member, cell, cluster)| {
            ControlRequest::Register {
                cluster: cluster.map(ClusterId),
                name: member.name,
                role: member.role,
                cell,
                service: member.mesh,
                mesh: Some(member.mesh),
                admin: member.mesh,
            }
        }),
        any::<u32>().prop_map(|id| ControlRequest::Deregister { member: MemberId(id) }),
        any::<(u32, bool)>().prop_map(|(id, on)| ControlRequest::Drain { member: MemberId(id), on }),
        Just(ControlRequest::View { cell: CellName::new("a") }),
        Just(ControlRequest::Census { cell: CellName::new("a") }),
        any::<bool>()
            .prop_map(|all| ControlRequest::Endpoints { tenant: (!all).then(|| TenantName::new("t")) }),
        Just(ControlRequest::Routes { tenants: vec![TenantName::new("t"), TenantName::new("u")] }),
        (fragment(), any::<(u64, u64, u64)>()).prop_map(|(fragment, (stream, bytes, records))| {
            let traffic = vec![StreamTraffic { stream: StreamId(stream), bytes, records }];
            ControlRequest::Report { fragment, traffic }
        }),
        Just(ControlRequest::Fragments),
        Just(ControlRequest::Cells),
        (any::<(u32, bool)>(), prop::collection::btree_map("[a-z]{1,4}", ".{0,4}", 0..3)).prop_map(
            |((shards, on_demand), tags)| {
                let intake = Intake { record_kib_max: shards, spread: on_demand };
                ControlRequest::CreateStream(NewStream {
                    stream: stream_ref(),
                    shards,
                    on_demand,
                    warm_mibps: Some(shards),
                    intake,
                    tags,
                })
            }
        ),
        any::<bool>()
            .prop_map(|with_consumers| ControlRequest::DeleteStream { stream: stream_ref(), with_consumers }),
        prop_oneof![
            Just(AccountCall::Usage),
            Just(AccountCall::Commitment),
            any::<bool>().prop_map(|on| AccountCall::Commit { on })
        ]
        .prop_map(|about| ControlRequest::Account {
            account: AccountId::DEFAULT,
            region: Region::US_EAST_1,
            about
        }),
        consumer_call().prop_map(|about| ControlRequest::Consumers { stream: stream_ref(), about }),
        change().prop_map(|change| ControlRequest::ChangeStream { stream: stream_ref(), change }),
        Just(ControlRequest::Attached { resource: ResourceRef::Stream(stream_ref()) }),
        attached_change().prop_map(|change| ControlRequest::ChangeAttached {
            resource: ResourceRef::Stream(stream_ref()),
            change
        }),
        Just(ControlRequest::DescribeStream { stream: stream_ref() }),
        any::<u32>().prop_map(|limit| ControlRequest::ListStreams {
            account: AccountId::DEFAULT,
            region: Region::US_EAST_1,
            after: Some(StreamName::new("s")),
            limit
        }),
        cell.prop_map(|cell| ControlRequest::PlaceTenant { tenant: TenantName::new("t"), cell }),
        fleet().prop_map(|fleet| ControlRequest::SetFleet { fleet }),
        Just(ControlRequest::Status),
    ]
}

fn reply() -> impl Strategy<Value = ControlReply> {
    let shards = prop::collection::vec(owned_shard(), 0..3);
    let cells = prop::collection::vec(member(), 0..3);
    prop_oneof![
        any::<(u64, u64)>().prop_map(|(open_shards, on_demand_streams)| {
            ControlReply::Usage(AccountUsage { open_shards, on_demand_streams })
        }),
        any::<(Option<u64>, Option<u64>, Option<u64>)>().prop_map(
            |(started_ms, ended_ms, earliest_end_ms)| {
                let status = CommitmentStatus::EnabledUntilEarliestAllowedEnd;
                ControlReply::Commitment(BillingCommitment { status, started_ms, ended_ms, earliest_end_ms })
            }
        ),
        any::<(u32, u64, u64)>().prop_map(|(id, life, cluster)| ControlReply::Registered {
            member: MemberId(id),
            life: Incarnation(life),
            cluster: ClusterId(cluster),
        }),
        Just(ControlReply::Done),
        view().prop_map(|view| ControlReply::View(Box::new(view))),
        any::<u64>().prop_map(|version| ControlReply::Endpoints {
            version,
            urls: vec!["http://127.1.2.3:80".to_owned()]
        }),
        prop::collection::vec(0..2_usize, 0..4).prop_map(|tenants| ControlReply::Routes {
            cells: vec![vec!["http://127.1.2.3:80".to_owned()], Vec::new()],
            tenants,
        }),
        (shards, any::<(u64, u32)>()).prop_map(|(shards, (stream, hours))| ControlReply::Assignments {
            closing: shards.iter().map(|shard| shard.key).take(1).collect(),
            shards,
            retention_hours: vec![(StreamId(stream), hours)],
            next_stream: StreamId(stream),
        }),
        prop::collection::vec(fragment(), 0..3).prop_map(ControlReply::Fragments),
        (fleet(), cells).prop_map(|(fleet, members)| ControlReply::Cells {
            fleet: Box::new(fleet),
            cells: vec![(CellName::new("a"), members)],
        }),
        stream().prop_map(|stream| ControlReply::Stream(Box::new(stream))),
        (prop::collection::vec(stream(), 0..3), any::<bool>())
            .prop_map(|(streams, more)| ControlReply::Streams { streams, more }),
        (prop::collection::btree_map("\\PC{0,3}", "\\PC{0,3}", 0..3), prop::option::of("\\PC{0,5}"))
            .prop_map(|(tags, policy)| ControlReply::Attached(Attached { tags, policy })),
        (metrics(), metrics()).prop_map(|(before, after)| ControlReply::Monitoring { before, after }),
        any::<u64>().prop_map(|created_ms| ControlReply::Consumer(consumer(created_ms))),
        any::<(u64, bool)>().prop_map(|(created_ms, more)| ControlReply::Consumers {
            consumers: vec![consumer(created_ms); 2],
            more
        }),
        member().prop_map(|member| ControlReply::Status(vec![ServerStatus {
            id: member.id,
            name: member.name,
            role: member.role,
            cell: None,
            life: member.life,
            ready: true,
            healthy: false,
            draining: true,
        }])),
    ]
}

proptest! {
    #[test]
    fn a_call_reads_back_what_was_written(request in request()) {
        let text = serde_json::to_string(&request).unwrap();
        prop_assert_eq!(serde_json::from_str::<ControlRequest>(&text).unwrap(), request);
    }

    #[test]
    fn an_answer_reads_back_what_was_written(reply in reply()) {
        let text = serde_json::to_string(&CallOutcome::Ok(reply.clone())).unwrap();
        let CallOutcome::Ok(read) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        prop_assert_eq!(read, reply);
    }
}

#[test]
fn every_error_reads_back_what_was_written() {
    let text = "why".to_owned();
    for error in [
        ControlError::NotFound(text.clone()),
        ControlError::AlreadyExists(text.clone()),
        ControlError::InUse(text.clone()),
        ControlError::LimitExceeded(text.clone()),
        ControlError::Invalid(text.clone()),
        ControlError::OtherCluster(ClusterId(u64::MAX)),
        ControlError::Full,
        ControlError::Unavailable(text),
    ] {
        let written = serde_json::to_string(&CallOutcome::Err(error.clone())).unwrap();
        let CallOutcome::Err(read) = serde_json::from_str(&written).unwrap() else { panic!("{written}") };
        assert_eq!(read, error);
    }
}

#[test]
fn a_call_is_this_json() {
    let deregister = serde_json::to_string(&ControlRequest::Deregister { member: MemberId(4) }).unwrap();
    assert_eq!(deregister, r#"{"call":"deregister","member":4}"#);
    assert!(serde_json::from_str::<ControlRequest>(r#"{"call":"deregister","membr":4}"#).is_err());
}

#[test]
fn a_region_is_its_text_and_no_other_text_is_one() {
    let written = serde_json::to_string(&stream_ref()).unwrap();
    assert_eq!(written, r#"{"account":0,"region":"us-east-1","name":"s"}"#);
    assert!(serde_json::from_str::<StreamRef>(&written.replace("us-east-1", "us east")).is_err());
}

#[test]
fn a_fragment_outlives_some_lost_renewals_and_a_home_is_kept_until_all_have_learned() {
    let mut config = FleetConfig {
        mesh: MeshKind::ThreadPerPeer,
        threads_per_peer: 1,
        gossip_interval: Span(Duration::from_secs(1)),
        discovery_window: Span(Duration::from_secs(8)),
        map_ttl: Span(Duration::from_secs(3)),
        build_deadline: Span(Duration::from_secs(2)),
        on_refusal: OnRefusal::Wedge,
        bootstrap: Bootstrap::Peers,
    };
    assert_eq!(config.fragment_ttl(), Duration::from_secs(4));
    config.map_ttl = Span(Duration::from_secs(9));
    assert_eq!(config.fragment_ttl(), Duration::from_secs(9));
    assert_eq!(config.hand_over(), Duration::from_secs(10));
}

#[test]
fn the_report_of_a_node_that_owns_every_shard_fits_into_one_body() {
    let shard = OwnedShard {
        key: weir_core::id::ShardKey {
            stream: StreamId(u64::from(u32::MAX)),
            shard: weir_core::id::ShardIndex(9_999),
        },
        account: AccountId::new(999_999_999_999).unwrap(),
        region: "r".repeat(Region::CHARS_MAX).parse().unwrap(),
        stream_name: StreamName::new("n".repeat(128)),
        range: weir_core::hash_key::HashKeyRange::ALL,
        created_ms: 1_606_300_000_000,
        epoch: weir_core::id::Epoch(u64::from(u32::MAX)),
        parents: [Some(weir_core::id::ShardIndex(9_997)), Some(weir_core::id::ShardIndex(9_998))],
        closed: Some(weir_core::shard::ClosedShard { at_ms: 1_606_300_000_000, end: 1 << 40 }),
    };
    let bytes = serde_json::to_vec(&shard).unwrap().len() + 1; // and a comma
    assert!(bytes * weir_core::limits::SHARDS_MAX < weir_core::limits::HTTP_BODY_BYTES_MAX, "{bytes}");
}
