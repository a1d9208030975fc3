//! Asks front ends and cache servers whether they are ready and whether they answer, and tells the machine.
//!
//! The shell of [`crate::health`], on the control plane's runtime. A front end's health goes through the listener that
//! serves requests, so that a server too busy to serve is too busy to look healthy. Nodes are not asked: they report.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use weir_core::id::MemberId;
use weir_wire::{control::Role, http::client};

use crate::{embedded::EmbeddedControl, health::ProbeOutcome, state::Server};

/// Probes under way at once; the next waits.
const PROBES_MAX: usize = 64;

/// Probes for ever.
pub(crate) async fn probe_servers(control: Arc<EmbeddedControl>) {
    let room = Arc::new(Semaphore::new(PROBES_MAX));
    let mut last_away = MemberId(0);
    loop {
        let (config, servers) = control.begin_round();
        let round = tokio::time::Instant::now() + config.interval.0;
        let mut probes = tokio::task::JoinSet::new();
        for server in of_this_round(servers, &mut last_away) {
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

/// All that are there, and of those that are away the next after `last_away`: the dead must not slow the round down.
fn of_this_round(servers: Vec<Server>, last_away: &mut MemberId) -> Vec<Server> {
    let probed = servers.into_iter().filter(|server| server.role != Role::Backend);
    let (away, mut round): (Vec<_>, Vec<_>) = probed.partition(|server| server.away);
    let next = away.iter().find(|server| server.id > *last_away).or(away.first());
    if let Some(next) = next {
        *last_away = next.id;
        round.push(next.clone());
    }
    round
}

async fn probe(server: &Server, timeout: Duration) -> ProbeOutcome {
    let says_yes = |answer: Result<client::Answer, client::CallError>| {
        answer.is_ok_and(|answer| answer.status.is_success())
    };
    let (answered, ready) = tokio::join!(
        client::get(health_listener(server), "/health", timeout),
        client::get(server.admin, "/ready", timeout),
    );
    ProbeOutcome {
        member: server.id,
        life: server.life,
        ready: says_yes(ready),
        answered: says_yes(answered),
    }
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
        let servers = vec![
            server(1, Role::Frontend, false),
            server(2, Role::Frontend, true),
            server(3, Role::Backend, false),
            server(4, Role::Cache, false),
            server(5, Role::Cache, true),
        ];
        let mut last_away = MemberId(0);
        let mut round = || -> Vec<u32> {
            of_this_round(servers.clone(), &mut last_away).iter().map(|server| server.id.0).collect()
        };
        assert_eq!([round(), round(), round()], [[1, 4, 2], [1, 4, 5], [1, 4, 2]]);
    }

    #[test]
    fn a_front_end_is_asked_where_it_serves_and_a_cache_server_at_its_admin_listener() {
        let ports = [Role::Frontend, Role::Cache].map(|role| health_listener(&server(1, role, false)).port());
        assert_eq!(ports, [1, 3]);
    }
}
