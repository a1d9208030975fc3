//! Asks front ends and cache servers whether they are ready and whether they answer, and tells the machine.
//!
//! The shell of [`crate::health`], on the control plane's runtime. A front end's health goes through the listener that
//! serves requests, so that a server too busy to serve is too busy to look healthy. Whether it is ready it is asked until
//! it has said so. Nodes are not asked: they report.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use weir_core::id::MemberId;
use weir_wire::{control::Role, http::client};

use crate::{
    embedded::EmbeddedControl,
    health::{ProbeOutcome, ProbeTarget},
    state::Server,
};

/// Probes under way at once; the next waits.
const PROBES_MAX: usize = 64;

/// Probes for ever.
pub(crate) async fn probe_servers(control: Arc<EmbeddedControl>) {
    let room = Arc::new(Semaphore::new(PROBES_MAX));
    let mut last_away = MemberId(0);
    loop {
        let (config, targets) = control.begin_round();
        let round = tokio::time::Instant::now() + config.interval.0;
        let mut probes = tokio::task::JoinSet::new();
        for target in of_this_round(targets, &mut last_away) {
            let permit = Arc::clone(&room).acquire_owned().await.expect("never closed");
            let control = Arc::clone(&control);
            probes.spawn(async move {
                control.probed(probe(&target, config.timeout.0).await);
                drop(permit);
            });
        }
        while probes.join_next().await.is_some() {}
        tokio::time::sleep_until(round).await;
    }
}

/// All that are there, and of those that are away the next after `last_away`: the dead must not slow the round down.
fn of_this_round(targets: Vec<ProbeTarget>, last_away: &mut MemberId) -> Vec<ProbeTarget> {
    let probed = targets.into_iter().filter(|target| target.server.role != Role::Backend);
    let (away, mut round): (Vec<_>, Vec<_>) = probed.partition(|target| target.server.away);
    let next = away.iter().find(|target| target.server.id > *last_away).or(away.first());
    if let Some(next) = next {
        *last_away = next.server.id;
        round.push(next.clone());
    }
    round
}

async fn probe(target: &ProbeTarget, timeout: Duration) -> ProbeOutcome {
    let ProbeTarget { server, said_ready } = target;
    let says_yes = async |address, path| {
        client::get(address, path, timeout).await.is_ok_and(|answer| answer.status.is_success())
    };
    let (answered, ready) = tokio::join!(says_yes(health_listener(server), "/health"), async {
        *said_ready || says_yes(server.admin, "/ready").await
    });
    ProbeOutcome { member: server.id, life: server.life, ready, answered }
}

/// A cache server takes no requests: its admin listener speaks for it.
fn health_listener(server: &Server) -> SocketAddr {
    match server.role {
        Role::Frontend => server.service,
        Role::Cache | Role::Backend => server.admin,
    }
}

#[cfg(test)]
mod tests {
    use weir_core::id::{CellName, Incarnation, ServerName};

    use super::*;

    fn target(id: u32, role: Role, away: bool) -> ProbeTarget {
        ProbeTarget { server: server(id, role, away), said_ready: false }
    }

    fn server(id: u32, role: Role, away: bool) -> Server {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Server {
            id: MemberId(id),
            name: ServerName::new(format!("s-{id}")),
            role,
            cell: (role != Role::Backend).then(|| CellName::new("main")),
            life: Incarnation(1),
            service: address(1),
            mesh: (role != Role::Backend).then(|| address(2)),
            admin: address(3),
            draining: false,
            away,
        }
    }

    #[test]
    fn a_round_asks_all_that_are_there_and_one_that_is_away() {
        let targets = vec![
            target(1, Role::Frontend, false),
            target(2, Role::Frontend, true),
            target(3, Role::Backend, false),
            target(4, Role::Cache, false),
            target(5, Role::Cache, true),
        ];
        let mut last_away = MemberId(0);
        let mut round = || -> Vec<u32> {
            of_this_round(targets.clone(), &mut last_away).iter().map(|target| target.server.id.0).collect()
        };
        assert_eq!([round(), round(), round()], [[1, 4, 2], [1, 4, 5], [1, 4, 2]]);
    }

    #[tokio::test]
    async fn who_has_said_to_be_ready_is_asked_for_its_health_alone() {
        let admin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut server = server(1, Role::Frontend, false); // nobody listens where it serves
        server.admin = admin.local_addr().unwrap();
        for said_ready in [true, false] {
            let target = ProbeTarget { server: server.clone(), said_ready };
            let outcome = tokio::select! {
                outcome = probe(&target, Duration::from_secs(30)) => Some(outcome),
                _ = admin.accept() => None, // asked; it does not answer
            };
            assert_eq!(
                outcome.map(|outcome| (outcome.ready, outcome.answered)),
                said_ready.then_some((true, false))
            );
        }
    }

    #[test]
    fn a_front_end_is_asked_where_it_serves_and_a_cache_server_at_its_admin_listener() {
        let ports = [Role::Frontend, Role::Cache].map(|role| health_listener(&server(1, role, false)).port());
        assert_eq!(ports, [1, 3]);
    }
}
