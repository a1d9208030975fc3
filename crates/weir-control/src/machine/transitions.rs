//! States that take their time: CREATING, UPDATING and DELETING, each at least as long as the configuration says.
//!
//! Part of the machine. A stream on its way is held until its time has come, and goes on then as far as the nodes' words
//! allow (`streams.rs`). Nothing here asks a clock: `transitions.rs` beside the machine says when a time has come.

use weir_core::clock::WallMs;
use weir_wire::control::{ControlError, ControlReply, StreamStatus};

use super::{Applied, Machine};
use crate::state::Stream;

impl Machine {
    /// When the next stream that is held may go on.
    pub fn next_due(&self) -> Option<WallMs> {
        self.state.streams.iter().filter_map(|stream| stream.held_until_ms).min().map(WallMs)
    }

    /// Lets go of every stream whose time has come.
    pub(super) fn tick(&mut self, wall: WallMs) -> Applied {
        let mut released = false;
        for stream in &mut self.state.streams {
            if stream.held_until_ms.is_some_and(|until| until <= wall.0) {
                stream.held_until_ms = None;
                released = true;
            }
        }
        if released {
            self.settle_streams();
        }
        Applied { reply: Ok(ControlReply::Done), save: released, notify: released }
    }
}

impl Stream {
    /// The stream is being changed, for as long as `until_ms` says and a reshard takes; it serves all the while.
    pub(super) fn begin_update(&mut self, until_ms: Option<u64>) {
        self.held_until_ms = until_ms;
        let takes_time = until_ms.is_some() || self.reshard.is_some();
        self.status = if takes_time { StreamStatus::Updating } else { StreamStatus::Active };
    }

    /// May it be changed now? Changes are taken by streams that serve and are not being changed already.
    pub(super) fn must_be_active(&self) -> Result<(), ControlError> {
        match self.status {
            StreamStatus::Active => Ok(()),
            StreamStatus::Creating | StreamStatus::Updating | StreamStatus::Deleting => {
                Err(ControlError::InUse(format!(
                    "Stream {} under account {} not ACTIVE, instead in state {}",
                    self.name,
                    self.account,
                    self.status.name()
                )))
            }
        }
    }

    /// Should nodes own its shards? Not before it is made, and not after it is given up.
    pub(super) fn is_provided(&self) -> bool {
        let is_to_come = self.status == StreamStatus::Creating && self.held_until_ms.is_some();
        !is_to_come && !self.is_given_up()
    }

    /// Is it deleted, and was it seen to be for long enough?
    pub(super) fn is_given_up(&self) -> bool {
        self.status == StreamStatus::Deleting && self.held_until_ms.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_core::{clock::Monotonic, units::Span};
    use weir_wire::control::{ControlRequest, Role, StreamChange};

    use super::*;
    use crate::{
        config::StreamDelays,
        machine::{
            ControlCommand,
            tests::{call, create, machine, register, report, status, stream},
        },
    };

    /// When calls of these tests are made.
    const NOW: u64 = 1_700_000_000_000;

    fn slow() -> Machine {
        let mut machine = machine(&["main"]);
        let span = |ms| Span(Duration::from_millis(ms));
        machine.state.config.delays =
            StreamDelays { create: span(500), update: span(700), delete: span(900) };
        machine
    }

    fn tick(machine: &mut Machine, wall: u64) -> bool {
        machine.apply(Monotonic::ZERO, WallMs(wall), ControlCommand::Tick).save
    }

    #[test]
    fn a_stream_is_given_to_its_nodes_when_its_time_has_come_and_no_sooner() {
        let mut machine = slow();
        let node = register(&mut machine, "node-1", Role::Backend, None);
        assert_eq!(machine.next_due(), None);
        create(&mut machine, "s", 2).unwrap();
        assert_eq!(machine.next_due(), Some(WallMs(NOW + 500)));
        assert!(report(&mut machine, node, 1, &[]).is_empty());
        assert!(!tick(&mut machine, NOW + 499));
        assert_eq!(status(&mut machine, "s"), Ok(StreamStatus::Creating));
        assert!(tick(&mut machine, NOW + 500));
        let shards = report(&mut machine, node, 2, &[]);
        assert_eq!(shards.len(), 2);
        assert_eq!(status(&mut machine, "s"), Ok(StreamStatus::Creating), "nobody owns them yet");
        report(&mut machine, node, 3, &shards);
        assert_eq!(status(&mut machine, "s"), Ok(StreamStatus::Active));
        assert_eq!(machine.next_due(), None);
    }

    #[test]
    fn a_change_is_seen_as_updating_and_refuses_the_next_one_until_it_is_done() {
        let mut machine = slow();
        let node = register(&mut machine, "node-1", Role::Backend, None);
        create(&mut machine, "s", 1).unwrap();
        tick(&mut machine, NOW + 500);
        let shards = report(&mut machine, node, 1, &[]);
        report(&mut machine, node, 2, &shards);
        let longer = |hours| ControlRequest::ChangeStream {
            stream: stream("s"),
            change: StreamChange::IncreaseRetention { hours },
        };
        call(&mut machine, longer(48)).unwrap();
        assert_eq!(status(&mut machine, "s"), Ok(StreamStatus::Updating));
        assert_eq!(report(&mut machine, node, 3, &shards), shards, "it serves all the while");
        let text = "Stream s under account 000000000000 not ACTIVE, instead in state UPDATING";
        assert_eq!(call(&mut machine, longer(72)), Err(ControlError::InUse(text.to_owned())));
        assert!(tick(&mut machine, NOW + 700));
        assert_eq!(status(&mut machine, "s"), Ok(StreamStatus::Active));
        call(&mut machine, longer(72)).unwrap();
    }

    #[test]
    fn a_deleted_stream_keeps_its_shards_and_its_name_until_its_time_has_come() {
        let mut machine = slow();
        let node = register(&mut machine, "node-1", Role::Backend, None);
        create(&mut machine, "s", 1).unwrap();
        tick(&mut machine, NOW + 500);
        let shards = report(&mut machine, node, 1, &[]);
        report(&mut machine, node, 2, &shards);
        call(&mut machine, ControlRequest::DeleteStream { stream: stream("s"), with_consumers: false })
            .unwrap();
        call(&mut machine, ControlRequest::DeleteStream { stream: stream("s"), with_consumers: false })
            .unwrap();
        assert_eq!(machine.next_due(), Some(WallMs(NOW + 900)), "asking twice does not put it off");
        assert_eq!(report(&mut machine, node, 3, &shards), shards);
        assert_eq!(status(&mut machine, "s"), Ok(StreamStatus::Deleting));
        assert!(matches!(create(&mut machine, "s", 1), Err(ControlError::AlreadyExists(_))));
        assert!(tick(&mut machine, NOW + 900));
        assert!(report(&mut machine, node, 4, &shards).is_empty());
        report(&mut machine, node, 5, &[]);
        assert!(matches!(status(&mut machine, "s"), Err(ControlError::NotFound(_))));
    }
}
