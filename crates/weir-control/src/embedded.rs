//! The machine with a clock, a store and a lock: a control plane in this process.
//!
//! `weir serve` asks it directly; `run.rs` puts HTTP in front of it. A change is answered only after it was saved.

use std::fmt;

use parking_lot::Mutex;
use tokio::sync::watch;
use weir_core::clock::Clock;
use weir_wire::control::{ControlError, ControlFuture, ControlReply, ControlRequest, ControlService};

use crate::{
    config::{ConfigError, ControlConfig},
    health::ProbeOutcome,
    machine::{ControlCommand, Machine},
    state::{Server, State},
    store::{Store, StoreError},
};

/// A control plane in this process.
pub struct EmbeddedControl {
    clock: Clock,
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

struct Inner {
    machine: Machine,
    store: Box<dyn Store>,
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
                let fresh = State::new(config);
                for cell in fresh.generations.keys() {
                    kept.generations.entry(cell.clone()).or_insert(1);
                }
                kept.generations.retain(|cell, _| fresh.generations.contains_key(cell));
                kept.tenants.extend(fresh.tenants);
                kept.config = fresh.config;
                kept.config.shared.iterator_secret = secret;
                kept
            }
            None => State::new(config),
        };
        store.save(&state)?;
        let version = state.version;
        let inner = Mutex::new(Inner { machine: Machine::new(state), store });
        Ok(Self { clock, inner, changes: watch::Sender::new(version) })
    }

    /// A round of probes begins. Returns how they are made and all servers.
    pub(crate) fn begin_round(&self) -> (crate::config::HealthConfig, Vec<Server>) {
        if let Err(error) = self.apply(ControlCommand::Round) {
            tracing::error!(%error, "silent nodes were not taken off");
        }
        let inner = self.inner.lock();
        let state = inner.machine.state();
        (state.config.health.clone(), state.servers.values().cloned().collect())
    }

    pub(crate) fn probed(&self, outcome: ProbeOutcome) {
        if let Err(error) = self.apply(ControlCommand::Probed(outcome)) {
            tracing::error!(%error, "a probe's outcome was not kept");
        }
    }

    fn apply(&self, command: ControlCommand) -> Result<ControlReply, ControlError> {
        let mut inner = self.inner.lock();
        let Inner { machine, store } = &mut *inner;
        let applied = machine.apply(self.clock.now(), self.clock.wall(), command);
        if applied.save
            && let Err(error) = store.save(machine.state())
        {
            // It is in force in this process and may be lost with it: the caller must not take it for done.
            tracing::error!(%error, "the control plane's state was not saved");
            return Err(ControlError::Unavailable(error.to_string()));
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
