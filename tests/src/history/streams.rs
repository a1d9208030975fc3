//! Rules about streams: one that was created is there, one that was deleted is not.

use super::Event;

/// Judges all looks.
pub(super) fn judge(events: &[Event], faults: &mut Vec<String>) {
    for (seen, event) in events.iter().enumerate() {
        let Event::Looked { look, there } = event else { continue };
        let Event::Look(stream) = &events[*look] else { panic!("{look} is no look") };
        let is = |call: &Event, change: fn(&String) -> Event| *call == change(stream);
        let done = |change: fn(&String) -> Event| {
            let before = events[..*look].iter();
            before.filter(|event| matches!(event, Event::Done { call } if is(&events[*call], change))).count()
        };
        let (create, delete) =
            (|name: &String| Event::Create(name.clone()), |name: &String| Event::Delete(name.clone()));
        let being_deleted = events[..seen].iter().any(|event| is(event, delete));
        if *there && done(delete) > 0 {
            faults.push(format!("stream {stream} was deleted, and is there"));
        }
        if !*there && done(create) > 0 && !being_deleted {
            faults.push(format!("stream {stream} was created, and is not there"));
        }
    }
}
