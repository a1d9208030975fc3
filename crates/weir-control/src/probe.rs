//! Asks front ends whether they are ready and whether they answer, and tells the machine.
//!
//! The shell of [`crate::health`], on the control plane's runtime. Health goes through the listener that serves
//! requests, so that a server too busy to serve is too busy to look healthy.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use weir_wire::{control::Role, http::client};

use crate::{embedded::EmbeddedControl, health::ProbeOutcome, state::Server};

/// Probes under way at once; the next waits.
const PROBES_MAX: usize = 64;

/// Probes for ever.
pub(crate) async fn probe_front_ends(control: Arc<EmbeddedControl>) {
    let room = Arc::new(Semaphore::new(PROBES_MAX));
    loop {
        let (config, servers) = control.to_probe();
        let round = tokio::time::Instant::now() + config.interval.0;
        let mut probes = tokio::task::JoinSet::new();
        for server in servers.into_iter().filter(|server| server.role == Role::Frontend) {
            let permit = Arc::clone(&room).acquire_owned().await.expect("never closed");
            let control = Arc::clone(&control);
            probes.spawn(async move {
                control.probed(probe(&server, config.timeout.0).await);
                drop(permit);
            });
        }
        while probes.join_next().await.is_some() {}
        tokio::time::sleep_until(round).await;
    }
}

async fn probe(server: &Server, timeout: Duration) -> ProbeOutcome {
    let says_yes = |answer: Result<client::Answer, client::CallError>| {
        answer.is_ok_and(|answer| answer.status.is_success())
    };
    let (answered, ready) = tokio::join!(
        client::get(server.service, "/health", timeout),
        client::get(server.admin, "/ready", timeout),
    );
    ProbeOutcome {
        member: server.id,
        life: server.life,
        ready: says_yes(ready),
        answered: says_yes(answered),
    }
}
