//! What every server process has: a main thread with signals and the admin listener, and threads that serve.
//!
//! Used by `weir serve` and by the roles of `weir node`. The number of threads is a constant of the role.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use prometheus_client::registry::Registry;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use weir_wire::http::{
    admin::{Admin, Ready},
    server,
};

/// How long admin requests in flight may take at the end.
const ADMIN_GRACE: Duration = Duration::from_millis(200);

/// What the admin listener shows, once the role has it.
pub(crate) type Registered = watch::Sender<Option<(Arc<Registry>, Ready)>>;

/// A runtime for the current thread.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")
}

/// The main thread's work until `stop`: the first SIGTERM or SIGINT sets it; the admin listener runs from when the
/// role has registered its metrics.
pub(crate) async fn main_thread(
    admin: Option<SocketAddr>,
    mut registered: watch::Receiver<Option<(Arc<Registry>, Ready)>>,
    stop: watch::Sender<bool>,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let admin_stopped = stopped.clone();
    let serve_admin = async move {
        let Some(address) = admin else { return Ok(()) };
        let shown = match registered.wait_for(Option::is_some).await {
            Ok(shown) => shown.clone(),
            Err(_) => None, // the role ended before it had any
        };
        let Some((registry, ready)) = shown else { return Ok(()) };
        let listener = server::bind(address).with_context(|| format!("listen on {address}"))?;
        server::serve(listener, Arc::new(Admin::new(registry, ready)), admin_stopped, ADMIN_GRACE).await;
        anyhow::Ok(())
    };
    let serving = tokio::spawn(serve_admin);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    serving.await.context("the admin listener")?
}
