//! Tags and policies from outside: what is kept, and what is refused in which words.

use weir_core::{id::StreamRef, limits::POLICIES_BYTES_MAX};
use weir_wire::control::{
    Attached, AttachedChange, ControlError, ControlReply, ControlRequest, ResourceRef, Role, StreamStatus,
};

use crate::machine::{
    Machine,
    tests::{apply, call, create, machine, register, stream},
};

fn with_stream() -> Machine {
    let mut machine = machine(&["main"]);
    register(&mut machine, "node-1", Role::Backend, None);
    create(&mut machine, "s", 1).unwrap();
    machine.state.streams[0].status = StreamStatus::Active;
    machine
}

fn resource() -> ResourceRef {
    ResourceRef::Stream(stream("s"))
}

fn tag(machine: &mut Machine, tags: &[(&str, &str)]) -> Result<(), String> {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    change(machine, AttachedChange::AddTags(tags))
}

fn untag(machine: &mut Machine, keys: &[&str]) -> Result<(), String> {
    change(machine, AttachedChange::RemoveTags(keys.iter().map(|key| (*key).to_owned()).collect()))
}

fn change(machine: &mut Machine, change: AttachedChange) -> Result<(), String> {
    let applied = apply(machine, ControlRequest::ChangeAttached { resource: resource(), change });
    assert_eq!(applied.save, applied.reply.is_ok(), "what was refused changes nothing");
    applied.reply.map(|reply| assert_eq!(reply, ControlReply::Done)).map_err(|error| error.to_string())
}

fn attached(machine: &mut Machine) -> Attached {
    match call(machine, ControlRequest::Attached { resource: resource() }).unwrap() {
        ControlReply::Attached(attached) => attached,
        other => panic!("{other:?}"),
    }
}

fn tags(machine: &mut Machine) -> Vec<(String, String)> {
    attached(machine).tags.into_iter().collect()
}

#[test]
fn a_stream_keeps_what_it_was_created_with_until_it_is_active() {
    let mut machine = with_stream();
    machine.state.streams[0].status = StreamStatus::Creating;
    let busy = "Stream s under account 000000000000 not ACTIVE, instead in state CREATING";
    assert_eq!(tag(&mut machine, &[("a", "1")]), Err(busy.to_owned()));
    assert_eq!(untag(&mut machine, &["a"]), Err(busy.to_owned()));
    assert_eq!(change(&mut machine, AttachedChange::Policy(None)), Err(busy.to_owned()));
    assert_eq!(tags(&mut machine), [], "they can be read");
}

#[test]
fn tags_are_added_replaced_and_taken_away() {
    let mut machine = with_stream();
    tag(&mut machine, &[("b", "1"), ("\u{fc}0 _.", ""), ("/=+-@:", "2")]).unwrap();
    tag(&mut machine, &[("b", "3")]).unwrap();
    untag(&mut machine, &["/=+-@:", "never there"]).unwrap();
    let kept = [("b", "3"), ("\u{fc}0 _.", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(tags(&mut machine), kept);
}

#[test]
fn a_tag_of_wrong_characters_or_one_too_many_is_refused_in_kinesis_words() {
    let mut machine = with_stream();
    let invalid = "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + \
                   - % @ :.";
    for text in ["abc;def", "abc\tdef", "abc\ndef", "abc,def"] {
        assert_eq!(tag(&mut machine, &[("key", text)]), Err(invalid.to_owned()));
        assert_eq!(tag(&mut machine, &[(text, "value")]), Err(invalid.to_owned()));
        assert_eq!(untag(&mut machine, &[text]), Err(invalid.to_owned()));
    }
    let illegal = |what: &str| {
        Err(format!(
            "Failed to {what} stream s under account 000000000000 because some tags contained illegal characters. The \
             allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@',':'."
        ))
    };
    assert_eq!(tag(&mut machine, &[("a", "100%")]), illegal("add tags to"));
    assert_eq!(untag(&mut machine, &["a%"]), illegal("remove tags from"));
    for key in ["aws:x", "AWS:"] {
        let reserved = "aws: prefixed tag key names are not allowed for external use.";
        assert_eq!(tag(&mut machine, &[(key, "")]), Err(reserved.to_owned()));
    }
    let fifty: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    let fifty: Vec<(&str, &str)> = fifty.iter().map(|key| (key.as_str(), "")).collect();
    tag(&mut machine, &fifty).unwrap();
    tag(&mut machine, &fifty).unwrap();
    let full = "Failed to add tags to stream s under account 000000000000 because a given stream cannot have more than 50 \
                tags associated with it.";
    assert_eq!(tag(&mut machine, &[("0", "new"), ("one more", "")]), Err(full.to_owned()));
    assert_eq!(tags(&mut machine).len(), 50);
    assert!(tags(&mut machine).iter().all(|(_, value)| value.is_empty()), "all or none");
}

#[test]
fn a_policy_is_kept_as_it_was_put() {
    let mut machine = with_stream();
    let policy = "{ \"Statement\": [] }".to_owned();
    change(&mut machine, AttachedChange::Policy(Some(policy.clone()))).unwrap();
    assert_eq!(attached(&mut machine).policy, Some(policy));
    change(&mut machine, AttachedChange::Policy(None)).unwrap();
    assert_eq!(attached(&mut machine).policy, None);
}

#[test]
fn all_policies_together_have_a_bound() {
    let mut machine = with_stream();
    create(&mut machine, "t", 1).unwrap();
    machine.state.streams[1].status = StreamStatus::Active;
    let mut put = |name: &str, bytes: usize| {
        let (resource, policy) = (ResourceRef::Stream(stream(name)), Some(" ".repeat(bytes)));
        call(
            &mut machine,
            ControlRequest::ChangeAttached { resource, change: AttachedChange::Policy(policy) },
        )
    };
    put("s", POLICIES_BYTES_MAX - 10).unwrap();
    assert!(matches!(put("t", 11), Err(ControlError::LimitExceeded(_))));
    put("t", 10).expect("to the last byte");
}

#[test]
fn what_is_not_there_has_nothing() {
    let mut machine = with_stream();
    let elsewhere = StreamRef { region: "eu-west-1".parse().unwrap(), ..stream("s") };
    for missing in [stream("other"), elsewhere] {
        let resource = ResourceRef::Stream(missing);
        let asked = call(&mut machine, ControlRequest::Attached { resource });
        assert!(matches!(asked, Err(ControlError::NotFound(_))), "{asked:?}");
    }
}
