//! The machine with a clock, a store and a lock: a control plane in this process.
//!
//! `weir serve` asks it directly; `run.rs` puts HTTP in front of it. A change is answered only after it was saved, and
//! one that was not saved is taken back before anybody can see it: a node must never be given a shard that the next
//! life of the control plane does not know.

use std::{fmt, time::Duration};

use parking_lot::Mutex;
use tokio::sync::watch;
use weir_core::{clock::Clock, id::ClusterId};
use weir_wire::control::{ControlError, ControlFuture, ControlReply, ControlRequest, ControlService};

use crate::{
    config::{ConfigError, ControlConfig},
    health::{ProbeOutcome, ProbeTarget},
    machine::{ControlCommand, Machine},
    metrics::ControlMetrics,
    state::State,
    store::{Store, StoreError, Urgency},
};

/// A control plane in this process.
pub struct EmbeddedControl {
    clock: Clock,
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
    metrics: ControlMetrics,
}

struct Inner {
    machine: Machine,
    store: Box<dyn Store>,
    /// What the store was last given with success: what is gone back to when it fails.
    saved: State,
}

/// Why a control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl fmt::Debug for EmbeddedControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmbeddedControl")
    }
}

impl EmbeddedControl {
    /// Goes on from what `store` kept, under the configuration given now: fleet, cells, credentials and health may
    /// differ from the last time, streams and numbers go on. The iterator secret of the first start stays, so that
    /// iterators outlive a restart.
    pub fn open(config: ControlConfig, mut store: Box<dyn Store>, clock: Clock) -> Result<Self, OpenError> {
        config.check()?;
        let state = match store.load()? {
            Some(mut kept) => {
                let secret = std::mem::take(&mut kept.config.shared.iterator_secret);
                let fresh = State::new(kept.cluster, config);
                for cell in fresh.generations.keys() {
                    kept.generations.entry(cell.clone()).or_insert(1);
                }
                kept.generations.retain(|cell, _| fresh.generations.contains_key(cell));
                kept.tenants.extend(fresh.tenants);
                kept.config = fresh.config;
                kept.config.shared.iterator_secret = secret;
                kept
            }
            None => State::new(ClusterId::draw(), config),
        };
        store.save(&state, Urgency::MustBeHeard)?;
        let metrics = ControlMetrics::default();
        metrics.show(&state);
        let version = state.version;
        let inner = Mutex::new(Inner { saved: state.clone(), machine: Machine::new(state), store });
        Ok(Self { clock, inner, changes: watch::Sender::new(version), metrics })
    }

    /// What it counts.
    pub fn metrics(&self) -> &ControlMetrics {
        &self.metrics
    }

    /// A round of probes begins. Returns how they are made and all servers.
    pub(crate) fn begin_round(&self) -> (crate::config::HealthConfig, Vec<ProbeTarget>) {
        if let Err(error) = self.apply(ControlCommand::Round) {
            tracing::error!(%error, "silent nodes were not taken off");
        }
        let inner = self.inner.lock();
        (inner.machine.state().config.health.clone(), inner.machine.probe_targets())
    }

    pub(crate) fn probed(&self, outcome: ProbeOutcome) {
        if let Err(error) = self.apply(ControlCommand::Probed(outcome)) {
            tracing::error!(%error, "a probe's outcome was not kept");
        }
    }

    /// How long until the next stream that is held may go on.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let due = self.inner.lock().machine.next_due()?;
        Some(Duration::from_millis(due.0.saturating_sub(self.clock.wall().0)))
    }

    /// The time of a stream that is held has come.
    pub(crate) fn tick(&self) -> Result<(), ControlError> {
        self.apply(ControlCommand::Tick).map(drop)
    }

    fn apply(&self, command: ControlCommand) -> Result<ControlReply, ControlError> {
        let mut inner = self.inner.lock();
        let Inner { machine, store, saved } = &mut *inner;
        let urgency = if command.is_wish() { Urgency::CanWait } else { Urgency::MustBeHeard };
        let applied = machine.apply(self.clock.now(), self.clock.wall(), command);
        if applied.save {
            if let Err(error) = store.save(machine.state(), urgency) {
                tracing::error!(%error, "the control plane's state was not saved");
                self.metrics.not_saved();
                machine.take_back(saved.clone());
                let is_full = error.is_full();
                return Err(if is_full {
                    ControlError::Full
                } else {
                    ControlError::Unavailable(error.to_string())
                });
            }
            saved.clone_from(machine.state());
            self.metrics.saved(saved);
            if matches!(applied.reply, Ok(ControlReply::Registered { .. })) {
                self.metrics.registered();
            }
        }
        drop(inner);
        if applied.notify {
            self.changes.send_modify(|version| *version += 1);
        }
        applied.reply
    }
}

impl ControlService for EmbeddedControl {
    fn call(&self, request: ControlRequest) -> ControlFuture<'_> {
        Box::pin(std::future::ready(self.apply(ControlCommand::Call(request))))
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changes.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        path::Path,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use weir_core::{
        durable::FileError,
        id::{AccountId, Incarnation, MemberId, Region, ServerName, StreamName, StreamRef},
        shard::OwnedShard,
    };
    use weir_wire::{
        control::{NewStream, Role, SharedConfig, StreamStatus},
        fragment::Fragment,
    };

    use super::*;
    use crate::config::embedded;

    /// A disk that is full while the test says so.
    struct FullDisk(Arc<AtomicBool>);

    impl Store for FullDisk {
        fn load(&self) -> Result<Option<State>, StoreError> {
            Ok(None)
        }

        fn save(&mut self, _state: &State, _urgency: Urgency) -> Result<(), StoreError> {
            if self.0.load(Ordering::Relaxed) {
                let full = std::io::ErrorKind::StorageFull.into();
                return Err(FileError::at("write", Path::new("control.json.new"))(full).into());
            }
            Ok(())
        }
    }

    fn control() -> (EmbeddedControl, Arc<AtomicBool>) {
        let shared = SharedConfig::new("00".repeat(32));
        let full = Arc::new(AtomicBool::new(false));
        let store = Box::new(FullDisk(Arc::clone(&full)));
        (EmbeddedControl::open(embedded(shared, Vec::new()), store, Clock::new()).unwrap(), full)
    }

    fn call(control: &EmbeddedControl, request: ControlRequest) -> Result<ControlReply, ControlError> {
        control.apply(ControlCommand::Call(request))
    }

    fn register(control: &EmbeddedControl) -> (MemberId, Incarnation) {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let request = ControlRequest::Register {
            cluster: None,
            name: ServerName::new("node-1"),
            role: Role::Backend,
            cell: None,
            service: address,
            mesh: None,
            admin: address,
        };
        match call(control, request).unwrap() {
            ControlReply::Registered { member, life, .. } => (member, life),
            other => panic!("{other:?}"),
        }
    }

    fn stream() -> StreamRef {
        StreamRef { account: AccountId::DEFAULT, region: Region::US_EAST_1, name: StreamName::new("s") }
    }

    fn create(control: &EmbeddedControl) -> Result<ControlReply, ControlError> {
        call(control, ControlRequest::CreateStream(NewStream::provisioned(stream(), 1)))
    }

    fn report(
        control: &EmbeddedControl,
        (node, life): (MemberId, Incarnation),
        sequence: u64,
        shards: &[OwnedShard],
    ) -> Result<Vec<OwnedShard>, ControlError> {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let ttl = Duration::from_secs(1);
        let fragment = Fragment { node, life, sequence, address, ttl, shards: shards.into() };
        match call(control, ControlRequest::Report { fragment, traffic: Vec::new() })? {
            ControlReply::Assignments { shards, .. } => Ok(shards),
            other => panic!("{other:?}"),
        }
    }

    fn status(control: &EmbeddedControl) -> Result<StreamStatus, ControlError> {
        match call(control, ControlRequest::DescribeStream { stream: stream() })? {
            ControlReply::Stream(stream) => Ok(stream.status),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_stream_that_was_not_saved_is_given_to_no_node_and_can_be_created_again() {
        let (control, full) = control();
        let node = register(&control);
        full.store(true, Ordering::Relaxed);
        assert_eq!(create(&control), Err(ControlError::Full));
        assert_eq!(report(&control, node, 1, &[]).unwrap(), [], "the next life would not know it");
        assert!(matches!(status(&control), Err(ControlError::NotFound(_))));
        full.store(false, Ordering::Relaxed);
        create(&control).unwrap();
        assert_eq!(report(&control, node, 2, &[]).unwrap().len(), 1);
    }

    #[test]
    fn the_metrics_show_what_is_kept_and_count_what_could_not_be() {
        let (control, full) = control();
        let shown = |line: &str| {
            let mut registry = prometheus_client::registry::Registry::default();
            control.metrics().register(&mut registry);
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            assert!(text.lines().any(|found| found == line), "{line} is missing in {text}");
        };
        shown("weir_control_members{role=\"backend\"} 0");
        register(&control);
        register(&control);
        full.store(true, Ordering::Relaxed);
        create(&control).unwrap_err();
        shown("weir_control_streams 0");
        full.store(false, Ordering::Relaxed);
        create(&control).unwrap();
        shown("weir_control_members{role=\"backend\"} 1");
        shown("weir_control_registrations_total 2");
        shown("weir_control_streams 1");
        shown("weir_control_shards 1");
        shown("weir_control_saves_total 3");
        shown("weir_control_saves_failed_total 1");
    }

    #[test]
    fn what_a_node_said_while_nothing_could_be_saved_counts_with_its_next_word() {
        let (control, full) = control();
        let node = register(&control);
        create(&control).unwrap();
        let shards = report(&control, node, 1, &[]).unwrap();
        full.store(true, Ordering::Relaxed);
        assert!(matches!(report(&control, node, 2, &shards), Err(ControlError::Full)));
        assert_eq!(status(&control), Ok(StreamStatus::Creating));
        full.store(false, Ordering::Relaxed);
        report(&control, node, 3, &shards).unwrap();
        assert_eq!(status(&control), Ok(StreamStatus::Active));
    }
}
