//! Settings from outside: what each change is told, and what nodes and later lives of the control plane learn of it.

use std::time::Duration;

use weir_core::{
    clock::{Monotonic, WallMs},
    id::{AccountId, CellName, Region, StreamId},
    monitoring::ShardLevelMetrics,
};
use weir_wire::{
    control::{
        AccountCall, ControlError, ControlReply, ControlRequest, Role, StreamChange, StreamDescription,
    },
    fragment::Fragment,
};

use crate::machine::{
    ControlCommand, Machine,
    tests::{address, apply, call, create, machine, register, report, stream},
};

/// A control plane with one node and one stream, `s`, that is active.
fn with_stream() -> Machine {
    with_stream_of(1)
}

fn with_stream_of(shards: u32) -> Machine {
    let mut machine = machine(&["main"]);
    let node = register(&mut machine, "node-1", Role::Backend, None);
    create(&mut machine, "s", shards).unwrap();
    let shards = report(&mut machine, node, 1, &[]);
    report(&mut machine, node, 2, &shards);
    machine
}

fn change(machine: &mut Machine, change: StreamChange) -> Result<Box<StreamDescription>, ControlError> {
    match call(machine, ControlRequest::ChangeStream { stream: stream("s"), change })? {
        ControlReply::Stream(stream) => Ok(stream),
        other => panic!("{other:?}"),
    }
}

fn hours(machine: &mut Machine, asked: StreamChange) -> Result<u32, String> {
    change(machine, asked).map(|stream| stream.retention_hours).map_err(|error| error.to_string())
}

/// What nodes are told of streams that keep other than the default.
fn told(machine: &mut Machine) -> Vec<(StreamId, u32)> {
    let (node, life) = register(machine, "node-2", Role::Backend, None);
    let (address, ttl) = (address(1), Duration::from_secs(1));
    let fragment = Fragment { node, life, sequence: 1, address, ttl, shards: [].into() };
    match call(machine, ControlRequest::Report { fragment, traffic: Vec::new() }).unwrap() {
        ControlReply::Assignments { retention_hours, .. } => retention_hours,
        other => panic!("{other:?}"),
    }
}

#[test]
fn retention_goes_up_and_down_and_nodes_hear_of_it() {
    let mut machine = with_stream();
    assert_eq!(told(&mut machine), []);
    assert_eq!(hours(&mut machine, StreamChange::IncreaseRetention { hours: 8_760 }), Ok(8_760));
    assert_eq!(told(&mut machine), [(StreamId(1), 8_760)]);
    assert_eq!(hours(&mut machine, StreamChange::DecreaseRetention { hours: 48 }), Ok(48));
    assert_eq!(told(&mut machine), [(StreamId(1), 48)]);
    for same in [StreamChange::IncreaseRetention { hours: 48 }, StreamChange::DecreaseRetention { hours: 48 }]
    {
        assert_eq!(hours(&mut machine, same), Ok(48), "the same again changes nothing");
    }
    assert_eq!(hours(&mut machine, StreamChange::DecreaseRetention { hours: 24 }), Ok(24));
    assert_eq!(told(&mut machine), []);
}

#[test]
fn a_period_out_of_bounds_or_in_the_wrong_direction_is_refused_in_kinesis_words() {
    let mut machine = with_stream();
    change(&mut machine, StreamChange::IncreaseRetention { hours: 48 }).unwrap();
    for (asked, text) in [
        (
            StreamChange::IncreaseRetention { hours: 47 },
            "Requested retention period (47 hours) for stream s can not be shorter than existing retention period (48 \
             hours). Use DecreaseRetentionPeriod API.",
        ),
        (
            StreamChange::DecreaseRetention { hours: 49 },
            "Requested retention period (49 hours) for stream s can not be longer than existing retention period (48 \
             hours). Use IncreaseRetentionPeriod API.",
        ),
        (
            StreamChange::DecreaseRetention { hours: 23 },
            "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.",
        ),
        (
            StreamChange::IncreaseRetention { hours: 8_761 },
            "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.",
        ),
    ] {
        assert_eq!(hours(&mut machine, asked), Err(text.to_owned()));
    }
    assert_eq!(told(&mut machine), [(StreamId(1), 48)]);
}

#[test]
fn a_stream_that_does_not_serve_takes_no_change() {
    let mut machine = machine(&["main"]);
    register(&mut machine, "node-1", Role::Backend, None);
    let asked = StreamChange::IncreaseRetention { hours: 48 };
    assert!(matches!(change(&mut machine, asked.clone()), Err(ControlError::NotFound(_))));
    create(&mut machine, "s", 1).unwrap();
    let text = "Stream s under account 000000000000 not ACTIVE, instead in state CREATING";
    assert_eq!(change(&mut machine, asked.clone()), Err(ControlError::InUse(text.to_owned())));
    let refused = ControlRequest::ChangeStream { stream: stream("s"), change: asked };
    assert!(!apply(&mut machine, refused).save, "nothing is saved");
}

fn start(machine: &mut Machine, hour: u64, key: &str) -> Result<Option<String>, ControlError> {
    change_at(machine, hour, StreamChange::StartEncryption { key: key.to_owned() })
}

/// The key after a change of the encryption at some hour.
fn change_at(machine: &mut Machine, hour: u64, change: StreamChange) -> Result<Option<String>, ControlError> {
    let request = ControlRequest::ChangeStream { stream: stream("s"), change };
    let wall = WallMs(1_700_000_000_000 + hour * 3_600_000);
    match machine.apply(Monotonic::ZERO, wall, ControlCommand::Call(request)).reply? {
        ControlReply::Stream(stream) => Ok(stream.encryption_key),
        other => panic!("{other:?}"),
    }
}

#[test]
fn encryption_is_started_with_another_key_and_stopped_so_many_times_a_day() {
    let mut machine = with_stream();
    let stop = StreamChange::StopEncryption { key: "alias/a".to_owned() };
    assert_eq!(change_at(&mut machine, 0, stop.clone()), Ok(None), "there is nothing to stop");
    for hour in 0..24 {
        let key = format!("alias/{hour}");
        assert_eq!(start(&mut machine, hour, &key), Ok(Some(key)));
    }
    for _ in 0..30 {
        assert!(start(&mut machine, 23, "alias/23").is_ok(), "the same key is no change");
    }
    start(&mut machine, 23, "alias/24").unwrap();
    let refused = start(&mut machine, 23, "alias/25");
    assert!(matches!(refused, Err(ControlError::LimitExceeded(_))), "{refused:?}");
    assert_eq!(change_at(&mut machine, 23, stop), Ok(None));
    start(&mut machine, 24, "alias/25").unwrap();
}

#[test]
fn metrics_are_enabled_and_disabled_one_by_one() {
    let mut machine = with_stream();
    let some = |names: &[&str]| ShardLevelMetrics::of_names(names.iter().copied()).unwrap();
    let mut ask =
        |change| match call(&mut machine, ControlRequest::ChangeStream { stream: stream("s"), change }) {
            Ok(ControlReply::Monitoring { before, after }) => (before, after),
            other => panic!("{other:?}"),
        };
    let (one, two) = (some(&["IncomingBytes"]), some(&["IncomingBytes", "OutgoingRecords"]));
    let enabled = ask(StreamChange::EnableMonitoring { metrics: one });
    assert_eq!(enabled, (ShardLevelMetrics::NONE, one));
    assert_eq!(ask(StreamChange::EnableMonitoring { metrics: two }), (one, two));
    assert_eq!(ask(StreamChange::DisableMonitoring { metrics: one }), (two, some(&["OutgoingRecords"])));
    assert_eq!(ask(StreamChange::DisableMonitoring { metrics: some(&["ALL"]) }).1, ShardLevelMetrics::NONE);
}

fn described(machine: &mut Machine) -> Box<StreamDescription> {
    match call(machine, ControlRequest::DescribeStream { stream: stream("s") }) {
        Ok(ControlReply::Stream(stream)) => stream,
        other => panic!("{other:?}"),
    }
}

/// Of which revision the settings are that front ends are given.
fn given_out(machine: &mut Machine) -> u64 {
    match call(machine, ControlRequest::View { cell: CellName::new("main") }) {
        Ok(ControlReply::View(view)) => view.shared.settings_revision,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mode_changes_with_the_warm_throughput_that_is_asked_for_or_not_at_all() {
    // As many shards as it is kept ready with: nothing is split.
    let mut machine = with_stream_of(4);
    let set = |on_demand, warm_mibps| StreamChange::SetMode { on_demand, warm_mibps };
    let kept = |machine: &mut Machine| {
        let stream = described(machine);
        (stream.on_demand, stream.warm_mibps, stream.intake.spread)
    };
    let refused = change(&mut machine, set(true, Some(4)));
    assert!(matches!(refused, Err(ControlError::Invalid(_))), "nobody has committed: {refused:?}");
    assert_eq!(kept(&mut machine), (false, None, false));

    let (account, region) = (AccountId::DEFAULT, Region::US_EAST_1);
    let commit = ControlRequest::Account { account, region, about: AccountCall::Commit { on: true } };
    call(&mut machine, commit).unwrap();
    let refused = change(&mut machine, set(true, Some(10_001)));
    assert!(matches!(refused, Err(ControlError::LimitExceeded(_))), "{refused:?}");
    assert_eq!(kept(&mut machine), (false, None, false));

    change(&mut machine, set(true, Some(4))).expect("what was refused is no change of the two of a day");
    change(&mut machine, StreamChange::SetSpread { on: true }).unwrap();
    assert_eq!(kept(&mut machine), (true, Some(4), true));
    let refused = change(&mut machine, set(false, Some(4)));
    assert!(matches!(refused, Err(ControlError::Invalid(_))), "only streams on demand: {refused:?}");
    assert_eq!(kept(&mut machine), (true, Some(4), true));
    change(&mut machine, set(false, None)).expect("the second of the day");
    assert_eq!(kept(&mut machine), (false, None, false));
}

#[test]
fn each_change_of_the_settings_is_of_a_higher_revision_than_all_before() {
    let mut machine = with_stream();
    let before = given_out(&mut machine);
    assert!(described(&mut machine).settings_revision <= before, "a new stream is waited for by nobody");
    let mut last = before;
    for asked in [
        StreamChange::SetRecordSize { kib: 10_240 },
        StreamChange::StartEncryption { key: "alias/a".to_owned() },
        StreamChange::SetRecordSize { kib: 1_024 },
    ] {
        let told = change(&mut machine, asked.clone()).unwrap().settings_revision;
        assert!(told > last, "{asked:?}: {told} after {last}");
        let (kept, given) = (described(&mut machine).settings_revision, given_out(&mut machine));
        assert_eq!((kept, given), (told, told), "{asked:?}");
        last = told;
    }
    change(&mut machine, StreamChange::IncreaseRetention { hours: 1 }).unwrap_err();
    assert_eq!(given_out(&mut machine), last, "what is refused is no change");
}

#[test]
fn the_revision_of_settings_outlives_a_restart_and_never_goes_back() {
    let mut machine = with_stream();
    let told = change(&mut machine, StreamChange::SetRecordSize { kib: 2_048 }).unwrap().settings_revision;
    let kept = serde_json::to_vec(machine.state()).unwrap();
    let mut machine = Machine::new(serde_json::from_slice(&kept).unwrap());
    assert_eq!((described(&mut machine).settings_revision, given_out(&mut machine)), (told, told));
    let next = change(&mut machine, StreamChange::SetRecordSize { kib: 4_096 }).unwrap().settings_revision;
    assert!(next > told, "{next} after {told}");
}
