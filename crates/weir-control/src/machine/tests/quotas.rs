//! Quotas of an account: kept as AWS keeps them, and set otherwise by the configuration.

use weir_core::{limits::SHARDS_MAX, shard::ClosedShard};
use weir_wire::control::{Intake, StreamChange};

use super::*;

fn create_for(
    machine: &mut Machine,
    account: AccountId,
    number: u32,
    shards: u32,
    on_demand: bool,
) -> Result<ControlReply, ControlError> {
    let stream = StreamRef { account, ..stream(&format!("s{number}")) };
    call(
        machine,
        ControlRequest::CreateStream(NewStream { on_demand, ..NewStream::provisioned(stream, shards) }),
    )
}

fn limited(assignments: &[&str]) -> (Machine, (MemberId, Incarnation)) {
    let mut machine = machine(&["main"]);
    for assignment in assignments {
        machine.state.config.shared.limits.assign(&assignment.parse().unwrap());
    }
    let node = register(&mut machine, "node", Role::Backend, None);
    (machine, node)
}

#[test]
fn five_streams_of_an_account_are_created_or_deleted_at_once() {
    let (mut machine, node) = limited(&[]);
    for number in 0..5 {
        create_for(&mut machine, AccountId::DEFAULT, number, 1, false).unwrap();
    }
    let refused = create_for(&mut machine, AccountId::DEFAULT, 5, 1, false).unwrap_err();
    let text = "Only 5 streams can simultaneously be in CREATING or DELETING states.";
    assert_eq!(refused, ControlError::LimitExceeded(text.to_owned()));
    create_for(&mut machine, AccountId::new(1).unwrap(), 5, 1, false).expect("each account has its own");
    let wanted = report(&mut machine, node, 1, &[]);
    report(&mut machine, node, 2, &wanted);
    create_for(&mut machine, AccountId::DEFAULT, 5, 1, false).expect("those are ACTIVE");
}

#[test]
fn streams_on_demand_and_shards_of_an_account_have_quotas() {
    let (mut machine, _) =
        limited(&["streams-in-transition=off", "on-demand-streams=2", "account-shards=10"]);
    let account = AccountId::DEFAULT;
    create_for(&mut machine, account, 0, 4, true).unwrap();
    create_for(&mut machine, account, 1, 4, true).unwrap();
    let refused = create_for(&mut machine, account, 2, 4, true).unwrap_err().to_string();
    assert!(refused.contains("on-demand stream limit") && refused.contains("Limit: 2."), "{refused}");
    create_for(&mut machine, account, 2, 8, false).expect("those on demand have no part in ten");
    let refused = create_for(&mut machine, account, 3, 3, false).unwrap_err().to_string();
    assert!(refused.contains("Current shard count for the account: 8. Limit: 10."), "{refused}");
    create_for(&mut machine, account, 3, 2, false).expect("ten are allowed");
    machine.state.streams.iter_mut().for_each(|stream| stream.status = StreamStatus::Active);
    let mode = StreamChange::SetMode { on_demand: false, warm_mibps: None };
    let changed = call(&mut machine, ControlRequest::ChangeStream { stream: stream("s0"), change: mode });
    let refused = changed.unwrap_err().to_string();
    assert!(refused.contains("Current shard count for the account: 10. Limit: 10."), "{refused}");
    assert!(machine.state.streams[0].on_demand);
    create_for(&mut machine, AccountId::new(1).unwrap(), 0, 10, false).expect("each account has its own");
}

#[test]
fn a_stream_is_not_created_to_take_records_as_no_stream_does() {
    let (mut machine, _) = limited(&[]);
    for intake in [
        Intake { spread: true, ..Intake::default() },
        Intake { record_kib_max: 0, ..Intake::default() },
        Intake { record_kib_max: 10_241, ..Intake::default() },
    ] {
        let new = NewStream { intake, ..NewStream::provisioned(stream("s"), 1) };
        let refused = call(&mut machine, ControlRequest::CreateStream(new)).unwrap_err();
        assert!(matches!(refused, ControlError::Invalid(_)), "{refused}");
    }
    assert!(machine.state.streams.is_empty());
}

#[test]
fn a_stream_that_takes_the_name_of_one_with_settings_is_known_as_another() {
    let (mut machine, node) = limited(&[]);
    create_for(&mut machine, AccountId::DEFAULT, 0, 1, true).unwrap();
    machine.state.streams[0].status = StreamStatus::Active;
    let spread = StreamChange::SetSpread { on: true };
    call(&mut machine, ControlRequest::ChangeStream { stream: stream("s0"), change: spread }).unwrap();
    // Its node still has it: a front end that asks now hears of its settings.
    let wanted = report(&mut machine, node, 1, &[]);
    report(&mut machine, node, 2, &wanted);
    call(&mut machine, ControlRequest::DeleteStream { stream: stream("s0"), with_consumers: false }).unwrap();
    let view = call(&mut machine, ControlRequest::View { cell: CellName::new("main") }).unwrap();
    let ControlReply::View(view) = view else { panic!("{view:?}") };
    assert_eq!(view.shared.streams.len(), 1);
    let known = view.shared.settings_revision;
    report(&mut machine, node, 3, &[]);
    create_for(&mut machine, AccountId::DEFAULT, 0, 1, false).unwrap();
    let new = machine.state.stream(&stream("s0")).unwrap();
    assert!(new.settings_revision > known, "who knows the old settings alone does not know it");
    create_for(&mut machine, AccountId::DEFAULT, 1, 1, false).unwrap();
    assert_eq!(machine.state.stream(&stream("s1")).unwrap().settings_revision, known + 1);
}

#[test]
fn shards_that_are_closed_count_of_all_there_may_be_and_of_no_account() {
    let (mut machine, _) = limited(&["account-shards=2"]);
    create_for(&mut machine, AccountId::DEFAULT, 0, 1, false).unwrap();
    let mut closed = machine.state.streams[0].shards[0].clone();
    closed.shard.closed = Some(ClosedShard { at_ms: 0, end: 0 });
    machine.state.streams[0].shards.resize(SHARDS_MAX - 1, closed);
    create_for(&mut machine, AccountId::DEFAULT, 1, 1, false)
        .expect("the last of all, the second of the account");
    let refused = create_for(&mut machine, AccountId::new(1).unwrap(), 2, 1, false).unwrap_err().to_string();
    assert!(refused.contains("Current shard count for the account: 0. Limit: 40000."), "{refused}");
}

#[test]
fn one_control_plane_keeps_so_many_streams_of_all_accounts() {
    let (mut machine, _) = limited(&["streams-in-transition=off"]);
    create_for(&mut machine, AccountId::DEFAULT, 0, 1, false).unwrap();
    let one = machine.state.streams[0].clone();
    machine.state.streams.resize(weir_core::limits::STREAMS_MAX, one);
    let refused = create_for(&mut machine, AccountId::new(1).unwrap(), 1, 1, false).unwrap_err();
    assert_eq!(refused, ControlError::LimitExceeded("there are 10000 streams already".to_owned()));
}
