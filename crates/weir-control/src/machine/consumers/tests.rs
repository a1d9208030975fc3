//! Consumers of a stream: their states by the clock, their quotas, and their end with the stream.

use std::time::Duration;

use weir_core::{clock::Monotonic, units::Span};
use weir_wire::control::{ControlRequest, Role};

use super::*;
use crate::machine::{
    ControlCommand,
    tests::{apply, create, machine, register, report, stream},
};

const NOW: WallMs = WallMs(1_700_000_000_000);

fn ask_at(machine: &mut Machine, wall: WallMs, about: ConsumerCall) -> Result<ControlReply, ControlError> {
    let request = ControlRequest::Consumers { stream: stream("s"), about };
    machine.apply(Monotonic::ZERO, wall, ControlCommand::Call(request)).reply
}

fn ask(machine: &mut Machine, about: ConsumerCall) -> Result<ControlReply, ControlError> {
    ask_at(machine, NOW, about)
}

fn key(name: &str) -> ConsumerKey {
    ConsumerKey { name: ConsumerName::new(name), created_secs: None }
}

fn new(name: &str) -> ConsumerCall {
    ConsumerCall::Register { name: ConsumerName::new(name), tags: BTreeMap::new() }
}

fn state_at(machine: &mut Machine, wall: WallMs, name: &str) -> Option<ConsumerStatus> {
    match ask_at(machine, wall, ConsumerCall::Describe { key: key(name) }) {
        Ok(ControlReply::Consumer(consumer)) => Some(consumer.status),
        Ok(other) => panic!("{other:?}"),
        Err(ControlError::NotFound(_)) => None,
        Err(error) => panic!("{error:?}"),
    }
}

fn names(machine: &mut Machine, after: Option<&str>, limit: u32) -> (Vec<String>, bool) {
    let after = after.map(ConsumerName::new);
    match ask(machine, ConsumerCall::List { stream_created_secs: None, after, limit }).unwrap() {
        ControlReply::Consumers { consumers, more } => {
            (consumers.iter().map(|consumer| consumer.name.to_string()).collect(), more)
        }
        other => panic!("{other:?}"),
    }
}

/// A machine with the active stream `s`, whose consumers take `delay` to come and to go.
fn with_stream(delay: Duration) -> Machine {
    let mut machine = machine(&["main"]);
    let node = register(&mut machine, "node", Role::Backend, None);
    create(&mut machine, "s", 1).unwrap();
    let shards = report(&mut machine, node, 1, &[]);
    report(&mut machine, node, 2, &shards);
    (machine.state.config.delays.create, machine.state.config.delays.delete) = (Span(delay), Span(delay));
    machine
}

#[test]
fn a_consumer_is_new_when_it_is_registered_and_active_after_its_time() {
    let mut machine = with_stream(Duration::from_secs(2));
    let ControlReply::Consumer(told) = ask(&mut machine, new("c")).unwrap() else { panic!() };
    assert_eq!((told.status, told.created_ms), (ConsumerStatus::Creating, NOW.0));
    assert_eq!(state_at(&mut machine, WallMs(NOW.0 + 1_999), "c"), Some(ConsumerStatus::Creating));
    assert_eq!(state_at(&mut machine, WallMs(NOW.0 + 2_000), "c"), Some(ConsumerStatus::Active));
    let later = WallMs(NOW.0 + 10_000);
    for _ in 0..2 {
        // Once more changes nothing: it leaves when it was to leave.
        assert_eq!(
            ask_at(&mut machine, later, ConsumerCall::Deregister { key: key("c") }),
            Ok(ControlReply::Done)
        );
    }
    assert_eq!(state_at(&mut machine, WallMs(later.0 + 1_999), "c"), Some(ConsumerStatus::Deleting));
    assert_eq!(state_at(&mut machine, WallMs(later.0 + 2_000), "c"), None);
    assert!(machine.state.streams[0].consumers.is_empty(), "it is forgotten");
}

#[test]
fn without_a_delay_a_consumer_is_there_at_once_and_gone_at_once() {
    let mut machine = with_stream(Duration::ZERO);
    let ControlReply::Consumer(told) = ask(&mut machine, new("c")).unwrap() else { panic!() };
    assert_eq!(told.status, ConsumerStatus::Creating, "Kinesis never answers otherwise");
    assert_eq!(state_at(&mut machine, NOW, "c"), Some(ConsumerStatus::Active));
    ask(&mut machine, ConsumerCall::Deregister { key: key("c") }).unwrap();
    assert_eq!(state_at(&mut machine, NOW, "c"), None);
    let again = ask(&mut machine, ConsumerCall::Deregister { key: key("c") });
    assert!(matches!(again, Err(ControlError::NotFound(_))));
}

#[test]
fn of_two_consumers_of_one_name_the_second_of_registration_tells() {
    let mut machine = with_stream(Duration::ZERO);
    ask(&mut machine, new("c")).unwrap();
    let at = |secs| ConsumerCall::Describe { key: ConsumerKey { created_secs: Some(secs), ..key("c") } };
    assert!(ask(&mut machine, at(NOW.secs())).is_ok());
    assert!(matches!(ask(&mut machine, at(NOW.secs() - 1)), Err(ControlError::NotFound(_))));
}

#[test]
fn a_stream_has_twenty_consumers_each_with_a_name_of_its_own() {
    let mut machine = with_stream(Duration::ZERO);
    for number in 0..20 {
        ask(&mut machine, new(&format!("c{number:02}"))).unwrap();
    }
    assert!(matches!(ask(&mut machine, new("c07")), Err(ControlError::AlreadyExists(_))));
    assert!(matches!(ask(&mut machine, new("more")), Err(ControlError::LimitExceeded(_))));
    machine.state.config.shared.limits.assign(&"stream-consumers=21".parse().unwrap());
    ask(&mut machine, new("more")).unwrap();
}

#[test]
fn five_consumers_are_created_at_once() {
    let mut machine = with_stream(Duration::from_secs(1));
    for number in 0..5 {
        ask(&mut machine, new(&format!("c{number}"))).unwrap();
    }
    assert!(matches!(ask(&mut machine, new("c5")), Err(ControlError::LimitExceeded(_))));
    assert!(ask_at(&mut machine, WallMs(NOW.0 + 1_000), new("c5")).is_ok());
}

#[test]
fn a_list_is_in_order_of_names_page_by_page_and_of_one_stream() {
    let mut machine = with_stream(Duration::ZERO);
    for name in ["b", "c", "a"] {
        ask(&mut machine, new(name)).unwrap();
    }
    assert_eq!(names(&mut machine, None, 2), (vec!["a".to_owned(), "b".to_owned()], true));
    assert_eq!(names(&mut machine, Some("b"), 2), (vec!["c".to_owned()], false));
    let of = |secs| ConsumerCall::List { stream_created_secs: Some(secs), after: None, limit: 1 };
    assert!(ask(&mut machine, of(NOW.secs())).is_ok());
    assert!(matches!(ask(&mut machine, of(NOW.secs() + 1)), Err(ControlError::NotFound(_))));
}

#[test]
fn a_stream_that_is_not_there_or_not_active_takes_no_consumers() {
    let mut machine = machine(&["main"]);
    register(&mut machine, "node", Role::Backend, None);
    assert!(matches!(ask(&mut machine, new("c")), Err(ControlError::NotFound(_))));
    create(&mut machine, "s", 1).unwrap();
    assert!(matches!(ask(&mut machine, new("c")), Err(ControlError::InUse(_))));
}

#[test]
fn a_stream_with_consumers_is_deleted_with_them_or_not_at_all() {
    let mut machine = with_stream(Duration::ZERO);
    ask(&mut machine, new("c")).unwrap();
    let delete = |with_consumers| ControlRequest::DeleteStream { stream: stream("s"), with_consumers };
    assert_eq!(apply(&mut machine, delete(false)).reply, Err(ControlError::HasConsumers));
    assert_eq!(state_at(&mut machine, NOW, "c"), Some(ConsumerStatus::Active));
    assert_eq!(apply(&mut machine, delete(true)).reply, Ok(ControlReply::Done));
    assert_eq!(state_at(&mut machine, NOW, "c"), None);
}
