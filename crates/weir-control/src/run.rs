//! A control plane as a process: `weir node control`.
//!
//! Everything runs on the caller's current-thread runtime: HTTP, probes, the machine.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use weir_core::clock::Clock;
use weir_sync::Shutdown;
use weir_wire::http;

use crate::{
    config::ControlConfig,
    embedded::{EmbeddedControl, OpenError},
    metrics::ControlMetrics,
    probe,
    server::ControlServer,
    store::{FileStore, NoStore, Store},
    transitions::let_streams_go_on,
};

/// How long calls in flight may take when the process is asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// What a control plane is told.
#[derive(Debug, Clone)]
pub struct ControlProcess {
    /// Where it answers.
    pub service: SocketAddr,
    /// Where its state is kept; nowhere: it dies with the process.
    pub data: Option<PathBuf>,
    /// The fleet.
    pub config: ControlConfig,
}

/// Why a control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Configuration or store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The listener.
    #[error("listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// Serves until `stop` begins. `opened` gets the metrics once the store is open and the listener is bound.
pub async fn run_control(
    process: ControlProcess,
    clock: Clock,
    stop: Shutdown,
    opened: impl FnOnce(&ControlMetrics),
) -> Result<(), StartError> {
    let store: Box<dyn Store> = match &process.data {
        Some(folder) => Box::new(FileStore::open(folder).map_err(OpenError::from)?),
        None => Box::new(NoStore),
    };
    let control = Arc::new(EmbeddedControl::open(process.config, store, clock)?);
    let address = process.service;
    let listener = http::server::bind(address).map_err(|source| StartError::Listen { address, source })?;
    opened(control.metrics());
    let probes = tokio::spawn(probe::probe_servers(Arc::clone(&control)));
    let streams = tokio::spawn(let_streams_go_on(Arc::clone(&control)));
    http::server::serve(listener, Arc::new(ControlServer { control }), stop, STOP_GRACE).await;
    streams.abort();
    probes.abort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use weir_wire::control::{ControlReply, ControlRequest, ControlService, RemoteControl, SharedConfig};

    use super::*;
    use crate::config::embedded;

    #[tokio::test]
    async fn a_control_plane_answers_over_http_and_goes_on_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let shared = SharedConfig::new("00".repeat(32));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let remote = RemoteControl::new(port);
        let mut lives = Vec::new();
        for _ in 0..2 {
            let process = ControlProcess {
                service: port,
                data: Some(folder.path().to_path_buf()),
                config: embedded(shared.clone(), Vec::new()),
            };
            let stop = Shutdown::new();
            let running = tokio::spawn(run_control(process, Clock::new(), stop.clone(), |_| ()));
            let register = ControlRequest::Register {
                cluster: None,
                name: weir_core::id::ServerName::new("node-1"),
                role: weir_wire::control::Role::Backend,
                cell: None,
                service: port,
                mesh: None,
                admin: port,
            };
            let registered = loop {
                match remote.call(register.clone()).await {
                    Ok(reply) => break reply,
                    Err(_) => tokio::task::yield_now().await, // it is still starting
                }
            };
            let ControlReply::Registered { member, life, .. } = registered else { panic!("{registered:?}") };
            lives.push((member, life));
            // Over the connection of the life before, if that were still used, nobody would answer.
            let status = remote.call(ControlRequest::Status).await;
            assert!(matches!(status, Ok(ControlReply::Status(_))), "{status:?}");
            stop.begin();
            running.await.unwrap().unwrap();
        }
        assert_eq!(lives[0].0, lives[1].0, "the same server");
        assert!(lives[1].1 > lives[0].1, "a later life");
    }
}
