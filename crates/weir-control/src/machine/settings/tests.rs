//! Settings from outside: what each change is told, and what nodes and later lives of the control plane learn of it.

use std::time::Duration;

use weir_core::{
    clock::{Monotonic, WallMs},
    id::StreamId,
    monitoring::ShardLevelMetrics,
};
use weir_wire::{
    control::{ControlError, ControlReply, ControlRequest, Role, StreamChange, StreamDescription},
    fragment::Fragment,
};

use crate::machine::{
    ControlCommand, Machine,
    tests::{address, apply, call, create, machine, register, report, stream},
};

/// A control plane with one node and one stream, `s`, that is active.
fn with_stream() -> Machine {
    let mut machine = machine(&["main"]);
    let node = register(&mut machine, "node-1", Role::Backend, None);
    create(&mut machine, "s", 1).unwrap();
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
